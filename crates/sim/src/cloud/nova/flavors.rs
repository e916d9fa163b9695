//! `/flavors`.

use std::collections::BTreeMap;

use axum::extract::State as Ext;
use http::StatusCode;
use serde_json::{Value, json};

use super::model::Flavor;
use crate::cloud::{
    Cloud,
    cinder::kit::{
        Call, Refusal, Reply, World, empty, invalid, next_link, ok, page, string_map, text, truth,
        whole,
    },
};

pub(super) async fn list(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| w.list_flavors(&call, false))
}

pub(super) async fn detail(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| w.list_flavors(&call, true))
}

pub(super) async fn show(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let flavor = w.find_flavor(&call)?;
        ok(json!({"flavor": w.flavor_view(&call.who, &flavor)}))
    })
}

pub(super) async fn create(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        admin(&call, "os_compute_api:os-flavor-manage:create")?;
        let body = call.object("flavor")?;
        let number = |key: &str| whole(body.get(key)).unwrap_or(0).max(0) as u64;
        let name = text(body, "name").ok_or_else(|| {
            invalid("flavor", &Value::Object(body.clone()), "'name' is a required property")
        })?;
        let id =
            text(body, "id").filter(|i| i != "auto").unwrap_or_else(|| w.new_id("flavor", &name));
        if w.st.nova.flavors.values().any(|f| f.id == id || f.name == name) {
            return Err(Refusal::conflict(format!("Flavor with name {name} already exists.")));
        }
        let flavor = Flavor {
            id: id.clone(),
            name,
            vcpus: number("vcpus"),
            ram: number("ram"),
            disk: number("disk"),
            ephemeral: number("OS-FLV-EXT-DATA:ephemeral"),
            swap: number("swap"),
            is_public: truth(body.get("os-flavor-access:is_public")).unwrap_or(true),
            extra_specs: BTreeMap::new(),
            description: text(body, "description"),
        };
        let view = w.flavor_view(&call.who, &flavor);
        w.st.nova.flavors.insert(id, flavor);
        ok(json!({ "flavor": view }))
    })
}

pub(super) async fn delete(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        admin(&call, "os_compute_api:os-flavor-manage:delete")?;
        let id = w.find_flavor(&call)?.id;
        w.st.nova.flavors.remove(&id);
        empty(StatusCode::ACCEPTED)
    })
}

pub(super) async fn specs(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| ok(json!({"extra_specs": w.find_flavor(&call)?.extra_specs})))
}

pub(super) async fn spec(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let flavor = w.find_flavor(&call)?;
        let key = call.arg("key");
        let value = flavor.extra_specs.get(key).ok_or_else(|| {
            Refusal::absent(format!("Flavor {} has no extra specs with key {key}.", flavor.id))
        })?;
        ok(json!({ key: value }))
    })
}

pub(super) async fn add_specs(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        admin(&call, "os_compute_api:os-flavor-extra-specs:create")?;
        let id = w.find_flavor(&call)?.id;
        let add = string_map(call.body.get("extra_specs"), "extra_specs")?;
        if let Some(flavor) = w.st.nova.flavors.get_mut(&id) {
            flavor.extra_specs.extend(add.clone());
        }
        ok(json!({ "extra_specs": add }))
    })
}

fn admin(call: &Call, rule: &str) -> Result<(), Refusal> {
    if call.who.admin() { Ok(()) } else { Err(Refusal::policy(rule)) }
}

impl World<'_> {
    fn find_flavor(&self, call: &Call) -> Result<Flavor, Refusal> {
        let id = call.arg("id");
        let flavors = &self.st.nova.flavors;
        flavors
            .get(id)
            .filter(|f| f.is_public || call.who.admin())
            .cloned()
            .ok_or_else(|| Refusal::absent(format!("Flavor {id} could not be found.")))
    }

    fn list_flavors(&self, call: &Call, detail: bool) -> Reply {
        let number = |key: &str| call.q(key).and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
        let everything =
            call.who.admin() && call.q("is_public").is_some_and(|v| v.eq_ignore_ascii_case("none"));
        let private = call.who.admin()
            && call.q("is_public").is_some_and(|v| v.eq_ignore_ascii_case("false"));
        let mut rows: Vec<&Flavor> = self
            .st
            .nova
            .flavors
            .values()
            .filter(|f| everything || f.is_public != private)
            .filter(|f| f.ram >= number("minRam") && f.disk >= number("minDisk"))
            .collect();
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        let (rows, more) = page(
            rows,
            call,
            |f| f.id.as_str(),
            1000,
            |m| Refusal::bad(format!("marker [{m}] not found")),
        )?;
        let views: Vec<Value> = rows
            .iter()
            .map(|f| {
                if detail {
                    self.flavor_view(&call.who, f)
                } else {
                    self.flavor_brief(&call.who, f)
                }
            })
            .collect();
        let mut body = json!({ "flavors": views });
        if let (true, Some(last)) = (more, rows.last()) {
            let base = self.compute_url(if detail { "flavors/detail" } else { "flavors" });
            body["flavors_links"] = next_link(&base, call, &last.id);
        }
        ok(body)
    }
}
