//! `/types`.

use std::collections::BTreeMap;

use axum::extract::State as Ext;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    kit::{Call, Refusal, Reply, World, empty, next_link, ok, page, string_map, text, truth},
    model::VolumeType,
};
use crate::cloud::Cloud;

const MANAGE: &str = "volume_extension:types_manage";
const SPECS: &str = "volume_extension:types_extra_specs:create";

pub(super) async fn list(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let mut rows: Vec<&VolumeType> =
            w.st.cinder
                .types
                .values()
                .filter(|t| {
                    if call.who.admin() {
                        match call.q("is_public").map(str::to_lowercase).as_deref() {
                            Some("none") => true,
                            Some("false" | "0") => !t.is_public,
                            _ => t.is_public,
                        }
                    } else {
                        t.visible_to(&call.who.project_id)
                    }
                })
                .filter(|t| call.q("name").is_none_or(|n| n == t.name))
                .collect();
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        let (rows, more) = page(
            rows,
            &call,
            |t| t.id.as_str(),
            1000,
            |m| Refusal::absent(format!("Volume type {m} could not be found.")),
        )?;
        let views: Vec<Value> = rows.iter().map(|t| w.type_view(&call.who, t)).collect();
        let mut body = json!({ "volume_types": views });
        if let (true, Some(last)) = (more, rows.last()) {
            body["volume_type_links"] = next_link(&w.volume_url(&call, "types"), &call, &last.id);
        }
        ok(body)
    })
}

pub(super) async fn show(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let kind = w.type_of(&call)?;
        ok(json!({"volume_type": w.type_view(&call.who, &kind)}))
    })
}

pub(super) async fn create(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        w.admin_only(&call, MANAGE)?;
        let body = call.object("volume_type")?;
        let name = text(body, "name").filter(|n| !n.trim().is_empty()).ok_or_else(|| {
            Refusal::bad("Invalid input for field/attribute name. 'name' is a required property")
        })?;
        if w.st.cinder.types.values().any(|t| t.name == name) {
            return Err(Refusal::conflict(format!("Volume Type {name} already exists.")));
        }
        let public = truth(body.get("os-volume-type-access:is_public")).unwrap_or(true);
        let specs = string_map(body.get("extra_specs"), "extra_specs")?;
        let id = w.file_type(&name, public, specs);
        if let Some(kind) = w.st.cinder.types.get_mut(&id) {
            kind.description = text(body, "description");
        }
        let kind = w.volume_type(Some(&id)).ok_or_else(|| Refusal::broken("lost"))?;
        ok(json!({"volume_type": w.type_view(&call.who, &kind)}))
    })
}

pub(super) async fn update(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        w.admin_only(&call, MANAGE)?;
        let id = w.type_of(&call)?.id;
        let body = call.object("volume_type")?.clone();
        if let Some(kind) = w.st.cinder.types.get_mut(&id) {
            if let Some(name) = text(&body, "name") {
                kind.name = name;
            }
            if body.contains_key("description") {
                kind.description = text(&body, "description");
            }
            if let Some(public) = truth(body.get("is_public")) {
                kind.is_public = public;
            }
        }
        let kind = w.type_of(&call)?;
        ok(json!({"volume_type": w.type_view(&call.who, &kind)}))
    })
}

pub(super) async fn delete(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        w.admin_only(&call, MANAGE)?;
        let id = w.type_of(&call)?.id;
        if w.st.cinder.volumes.values().any(|v| v.type_id.as_deref() == Some(&id)) {
            return Err(Refusal::bad("Target volume type is still in use."));
        }
        w.st.cinder.types.remove(&id);
        empty(StatusCode::ACCEPTED)
    })
}

pub(super) async fn specs(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let kind = w.type_of(&call)?;
        ok(json!({"extra_specs": w.readable_specs(&call.who, &kind)}))
    })
}

pub(super) async fn spec(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let kind = w.type_of(&call)?;
        let key = call.arg("key");
        let value = w.readable_specs(&call.who, &kind).get(key).map(|v| (*v).to_owned());
        let value = value.ok_or_else(|| no_spec(&kind.id, key))?;
        ok(json!({ key: value }))
    })
}

pub(super) async fn add_specs(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        w.admin_only(&call, SPECS)?;
        let id = w.type_of(&call)?.id;
        let add = string_map(call.body.get("extra_specs"), "extra_specs")?;
        if let Some(kind) = w.st.cinder.types.get_mut(&id) {
            kind.extra_specs.extend(add.clone());
        }
        ok(json!({ "extra_specs": add }))
    })
}

pub(super) async fn set_spec(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        w.admin_only(&call, SPECS)?;
        let id = w.type_of(&call)?.id;
        let key = call.arg("key").to_owned();
        let none = Map::new();
        let value = text(call.body.as_object().unwrap_or(&none), &key)
            .ok_or_else(|| Refusal::bad("Request body and URI mismatch"))?;
        if let Some(kind) = w.st.cinder.types.get_mut(&id) {
            kind.extra_specs.insert(key.clone(), value.clone());
        }
        ok(json!({ key: value }))
    })
}

pub(super) async fn drop_spec(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        w.admin_only(&call, SPECS)?;
        let id = w.type_of(&call)?.id;
        let key = call.arg("key");
        let gone = w.st.cinder.types.get_mut(&id).and_then(|k| k.extra_specs.remove(key));
        gone.ok_or_else(|| no_spec(&id, key))?;
        empty(StatusCode::ACCEPTED)
    })
}

pub(super) async fn act(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        w.admin_only(&call, "volume_extension:volume_type_access:addProjectAccess")?;
        let id = w.type_of(&call)?.id;
        let Some(kind) = w.st.cinder.types.get_mut(&id) else {
            return Err(Refusal::broken("lost"));
        };
        let project = |action: &str| {
            call.body.get(action).and_then(|b| b.get("project")).and_then(Value::as_str)
        };
        if let Some(project) = project("addProjectAccess") {
            if kind.is_public {
                return Err(Refusal::conflict(
                    "Type access modification is not applicable to public volume type.",
                ));
            }
            kind.access.push(project.to_owned());
        } else if let Some(project) = project("removeProjectAccess") {
            kind.access.retain(|p| p != project);
        } else {
            return Err(Refusal::bad("There is no such action"));
        }
        empty(StatusCode::ACCEPTED)
    })
}

pub(super) async fn access(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        w.admin_only(&call, "volume_extension:volume_type_access")?;
        let kind = w.type_of(&call)?;
        let rows: Vec<Value> = kind
            .access
            .iter()
            .map(|p| json!({"volume_type_id": kind.id, "project_id": p}))
            .collect();
        ok(json!({ "volume_type_access": rows }))
    })
}

pub(super) async fn encryption(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        w.admin_only(&call, "volume_extension:volume_type_encryption:get")?;
        let kind = w.type_of(&call)?;
        ok(if kind.encrypted {
            json!({"volume_type_id": kind.id, "provider": "luks", "control_location": "front-end",
                   "cipher": "aes-xts-plain64", "key_size": 256, "encryption_id": kind.id, "deleted": false})
        } else {
            json!({})
        })
    })
}

fn no_spec(id: &str, key: &str) -> Refusal {
    Refusal::absent(format!("Volume Type {id} has no extra specs with key {key}."))
}

impl World<'_> {
    fn type_of(&self, call: &Call) -> Result<VolumeType, Refusal> {
        let id = call.arg("id");
        let id = match (id, &self.st.cinder.default_type) {
            ("default", Some(default)) => default,
            ("default", None) => {
                return Err(Refusal::absent("Default volume type can not be found."));
            }
            _ => id,
        };
        self.volume_type(Some(id))
            .filter(|t| call.who.admin() || t.visible_to(&call.who.project_id))
            .ok_or_else(|| Refusal::absent(format!("Volume type {id} could not be found.")))
    }

    /// Files a new type; gives its id.
    pub(crate) fn file_type(
        &mut self,
        name: &str,
        is_public: bool,
        extra_specs: BTreeMap<String, String>,
    ) -> String {
        let id = self.new_id("volume-type", name);
        let kind = VolumeType {
            id: id.clone(),
            name: name.to_owned(),
            description: None,
            is_public,
            access: Vec::new(),
            extra_specs,
            encrypted: false,
        };
        self.st.cinder.types.insert(id.clone(), kind);
        id
    }
}
