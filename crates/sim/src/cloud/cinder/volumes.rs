//! `/volumes`.

use std::collections::BTreeMap;

use axum::extract::State as Ext;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    driver::Content,
    kit::{
        Call, Refusal, Reply, Who, World, empty, invalid, next_link, ok, page, reply, string_map,
        text, whole,
    },
    model::{Volume, VolumeType},
    work::Job,
};
use crate::cloud::Cloud;

const MOST: usize = 1000;

pub(super) async fn list(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| w.list_volumes(&call, false))
}

pub(super) async fn detail(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| w.list_volumes(&call, true))
}

pub(super) async fn show(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let volume = w.find_volume(&call.who, call.arg("id"))?;
        ok(json!({"volume": w.volume_detail(&call, volume, &w.attachments_by_volume())}))
    })
}

pub(super) async fn create(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let body = call.object("volume")?;
        let id = w.create_volume(&call.who, body)?;
        let volume = w.volume_record(&id)?;
        let view = w.volume_legacy(&call, volume, &w.attachments_by_volume());
        Ok(reply(StatusCode::ACCEPTED, json!({"volume": view})))
    })
}

pub(super) async fn update(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let body = call.object("volume")?;
        let id = w.find_volume(&call.who, call.arg("id"))?.id.clone();
        let metadata = match body.get("metadata") {
            Some(value) => Some(string_map(Some(value), "metadata")?),
            None => None,
        };
        w.edit_volume(&id, |v| {
            for key in ["name", "display_name"] {
                if body.contains_key(key) {
                    v.name = text(body, key);
                }
            }
            for key in ["description", "display_description"] {
                if body.contains_key(key) {
                    v.description = text(body, key);
                }
            }
            if let Some(metadata) = metadata {
                v.metadata = metadata;
            }
        });
        let volume = w.volume_record(&id)?;
        ok(json!({"volume": w.volume_detail(&call, volume, &w.attachments_by_volume())}))
    })
}

pub(super) async fn delete(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let id = w.find_volume(&call.who, call.arg("id"))?.id.clone();
        w.delete_volume(&id, call.flag("force") && call.who.admin(), call.flag("cascade"), false)?;
        empty(StatusCode::ACCEPTED)
    })
}

pub(super) async fn summary(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let all = call.flag("all_tenants") && call.who.admin();
        let mine =
            w.st.cinder.volumes.values().filter(|v| all || v.project_id == call.who.project_id);
        let (count, size) = mine.fold((0, 0), |(c, s), v| (c + 1, s + v.size));
        ok(json!({"volume-summary": {"total_count": count, "total_size": size, "metadata": {}}}))
    })
}

impl World<'_> {
    /// The volume if the caller may see it, else 404.
    pub(crate) fn find_volume(&self, who: &Who, id: &str) -> Result<&Volume, Refusal> {
        let volume = self.volume_record(id)?;
        if who.may_see(&volume.project_id) {
            Ok(volume)
        } else {
            Err(Refusal::absent(format!("Volume {id} could not be found.")))
        }
    }

    fn list_volumes(&mut self, call: &Call, detail: bool) -> Reply {
        let all = call.flag("all_tenants") && call.who.admin();
        let mut rows: Vec<&Volume> = self
            .st
            .cinder
            .volumes
            .values()
            .filter(|v| all || v.project_id == call.who.project_id)
            .filter(|v| wanted(call, v))
            .collect();
        sort_volumes(&mut rows, call);
        let total = rows.len();
        let (rows, more) = page(
            rows,
            call,
            |v| v.id.as_str(),
            MOST,
            |m| Refusal::absent(format!("Volume {m} could not be found.")),
        )?;
        let index = self.attachments_by_volume();
        let views: Vec<Value> = rows
            .iter()
            .map(|v| {
                if detail {
                    self.volume_detail(call, v, &index)
                } else {
                    self.volume_summary(call, v)
                }
            })
            .collect();
        let mut body = json!({ "volumes": views });
        if let (true, Some(last)) = (more, rows.last()) {
            let base = self.volume_url(call, if detail { "volumes/detail" } else { "volumes" });
            body["volumes_links"] = next_link(&base, call, &last.id);
        }
        if call.who.since(45) && call.flag("with_count") {
            body["count"] = json!(total);
        }
        ok(body)
    }

    /// The type named (id or name) if the caller may use it.
    pub(crate) fn find_type(&self, who: &Who, wanted: &str) -> Option<VolumeType> {
        let types = &self.st.cinder.types;
        let kind = types.get(wanted).or_else(|| types.values().find(|t| t.name == wanted))?;
        (who.admin() || kind.visible_to(&who.project_id)).then(|| kind.clone())
    }

    /// A record with the usual values; the caller sets the rest and files it.
    pub(crate) fn blank_volume(
        &mut self,
        who: (&str, &str),
        name: Option<String>,
        kind: Option<&VolumeType>,
    ) -> Volume {
        let id = self.new_id("volume", name.as_deref().unwrap_or(""));
        self.st.cinder.order += 1;
        Volume {
            id,
            name,
            description: None,
            status: "creating".to_owned(),
            previous_status: None,
            attach_status: "detached".to_owned(),
            migration_status: None,
            size: 0,
            type_id: kind.map(|k| k.id.clone()),
            project_id: who.0.to_owned(),
            user_id: who.1.to_owned(),
            availability_zone: "nova".to_owned(),
            host: None,
            metadata: BTreeMap::new(),
            image_metadata: BTreeMap::new(),
            bootable: false,
            multiattach: kind.is_some_and(VolumeType::multiattach),
            encrypted: kind.is_some_and(|k| k.encrypted),
            replication_status: None,
            snapshot_id: None,
            source_volid: None,
            group_id: None,
            provider_id: None,
            service_uuid: None,
            created_at: self.now(),
            updated_at: None,
            counted: true,
            order: self.st.cinder.order,
        }
    }

    /// Accepts a create request; gives the id.
    pub(crate) fn create_volume(
        &mut self,
        who: &Who,
        body: &Map<String, Value>,
    ) -> Result<String, Refusal> {
        let name = text(body, "name").or_else(|| text(body, "display_name"));
        let metadata = string_map(body.get("metadata"), "metadata")?;
        let source = self.source(who, body)?;
        let size = match body.get("size").filter(|v| !v.is_null()) {
            Some(value) => match whole(Some(value)) {
                Some(n) if n >= 1 => n as u64,
                _ => return Err(invalid("size", value, "is less than the minimum of 1")),
            },
            None if source.size > 0 => source.size,
            None => {
                return Err(Refusal::bad(
                    "Invalid input received: Volume size 'None' must be an integer and greater \
                     than 0",
                ));
            }
        };
        if size < source.size {
            return Err(Refusal::bad(source.too_small(size)));
        }
        let kind = self.wanted_type(who, body, source.type_id.as_deref())?;
        if let Some(zone) = text(body, "availability_zone")
            && zone != "nova"
        {
            return Err(Refusal::bad(format!("Availability zone '{zone}' is invalid.")));
        }
        self.quota_room(&who.project_id, 1, size)?;
        let mut volume = self.blank_volume((&who.project_id, &who.user_id), name, kind.as_ref());
        volume.description =
            text(body, "description").or_else(|| text(body, "display_description"));
        volume.size = size;
        volume.metadata = metadata;
        volume.bootable = source.bootable;
        volume.image_metadata = source.image_metadata;
        volume.snapshot_id = source.snapshot_id;
        volume.source_volid = source.volume_id;
        let id = volume.id.clone();
        self.st.cinder.volumes.insert(id.clone(), volume);
        let after = self.draw(self.inner.profile.volume_manage_ms, &format!("create/{id}"));
        self.volume_later(after, Job::Create { volume: id.clone(), content: source.content });
        Ok(id)
    }

    fn wanted_type(
        &self,
        who: &Who,
        body: &Map<String, Value>,
        source: Option<&str>,
    ) -> Result<Option<VolumeType>, Refusal> {
        match text(body, "volume_type").filter(|t| !t.is_empty()) {
            Some(wanted) => self.find_type(who, &wanted).map(Some).ok_or_else(|| {
                Refusal::absent(format!("Volume type with name {wanted} could not be found."))
            }),
            None => Ok(self.volume_type(source.or(self.st.cinder.default_type.as_deref()))),
        }
    }

    fn source(&self, who: &Who, body: &Map<String, Value>) -> Result<Source, Refusal> {
        let of = |key: &str| text(body, key).filter(|v| !v.is_empty());
        if let Some(id) = of("snapshot_id") {
            let snapshot = self.find_snapshot(who, &id)?;
            if snapshot.status != "available" {
                return Err(Refusal::bad(
                    "Invalid snapshot: Originating snapshot status must be one of 'available' values",
                ));
            }
            let origin = self.st.cinder.volumes.get(&snapshot.volume_id);
            return Ok(Source {
                size: snapshot.size,
                kind: "snapshot",
                content: Content::CloneOf(snapshot.array_name.clone()),
                type_id: origin.and_then(|v| v.type_id.clone()),
                bootable: origin.is_some_and(|v| v.bootable),
                image_metadata: origin.map(|v| v.image_metadata.clone()).unwrap_or_default(),
                snapshot_id: Some(id),
                ..Source::default()
            });
        }
        if let Some(id) = of("source_volid") {
            let origin = self.find_volume(who, &id)?;
            if !matches!(origin.status.as_str(), "available" | "in-use") {
                return Err(Refusal::bad(
                    "Invalid volume: Originating volume status must be one of 'available', 'in-use' values",
                ));
            }
            return Ok(Source {
                size: origin.size,
                kind: "source volume",
                content: Content::CloneOf(origin.array_name()),
                type_id: origin.type_id.clone(),
                bootable: origin.bootable,
                image_metadata: origin.image_metadata.clone(),
                volume_id: Some(id),
                ..Source::default()
            });
        }
        match of("imageRef").or_else(|| of("image_id")) {
            Some(image) => self.image_source(who, &image),
            None => Ok(Source::default()),
        }
    }

    fn image_source(&self, who: &Who, id: &str) -> Result<Source, Refusal> {
        let image = self.image_facts(who, id).ok_or_else(|| {
            Refusal::bad("Invalid image identifier or unable to access requested image.")
        })?;
        if image.status != "active" {
            return Err(Refusal::bad(format!(
                "Invalid input received: Invalid image provided. Image {id} is not active."
            )));
        }
        Ok(Source {
            size: 0,
            least: image.min_disk.max(image.size.div_ceil(1 << 30)),
            kind: "image",
            content: Content::Image(id.to_owned()),
            bootable: true,
            image_metadata: image.metadata,
            ..Source::default()
        }
        .with_floor())
    }

    /// Delete and unmanage share their conditions.
    pub(crate) fn delete_volume(
        &mut self,
        id: &str,
        force: bool,
        cascade: bool,
        unmanage: bool,
    ) -> Result<(), Refusal> {
        let volume = self.volume_record(id)?.clone();
        if volume.host.is_none() && volume.status == "error" && !unmanage {
            // The scheduler found no backend: only the record exists.
            self.forget_volume(id);
            return Ok(());
        }
        if unmanage && volume.encrypted {
            return Err(Refusal::bad("Unmanaging encrypted volumes is not supported."));
        }
        let status_fits = force
            || matches!(
                volume.status.as_str(),
                "available" | "error" | "error_restoring" | "error_extending" | "error_managing"
            );
        let snapshots: Vec<String> = self
            .st
            .cinder
            .snapshots
            .values()
            .filter(|s| s.volume_id == id)
            .map(|s| s.id.clone())
            .collect();
        let fits = status_fits
            && volume.attach_status != "attached"
            && volume.migration_status.is_none()
            && volume.group_id.is_none()
            && (snapshots.is_empty() || cascade);
        if !fits {
            let status = if force {
                ""
            } else {
                "status must be available or error or error_restoring or error_extending or \
                 error_managing and "
            };
            return Err(Refusal::bad(format!(
                "Invalid volume: Volume {status}must not be migrating, attached, belong to a group, \
                 have snapshots, awaiting a transfer, or be disassociated from snapshots after \
                 volume transfer."
            )));
        }
        for snapshot in &snapshots {
            self.begin_delete_snapshot(snapshot);
        }
        let status = match (volume.status.as_str(), unmanage) {
            ("error_managing", _) => "error_managing_deleting",
            (_, true) => "unmanaging",
            _ => "deleting",
        };
        self.edit_volume(id, |v| v.status = status.to_owned());
        let after = self.draw(self.inner.profile.volume_action_ms, &format!("delete/{id}"));
        let job = if status == "unmanaging" {
            Job::Unmanage { volume: id.to_owned() }
        } else {
            Job::Delete { volume: id.to_owned() }
        };
        self.volume_later(after, job);
        Ok(())
    }
}

/// What a volume is made from.
struct Source {
    size: u64,
    least: u64,
    kind: &'static str,
    content: Content,
    type_id: Option<String>,
    bootable: bool,
    image_metadata: BTreeMap<String, String>,
    snapshot_id: Option<String>,
    volume_id: Option<String>,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            size: 0,
            least: 0,
            kind: "",
            content: Content::Empty,
            type_id: None,
            bootable: false,
            image_metadata: BTreeMap::new(),
            snapshot_id: None,
            volume_id: None,
        }
    }
}

impl Source {
    fn with_floor(mut self) -> Self {
        self.size = self.size.max(self.least);
        self
    }

    fn too_small(&self, size: u64) -> String {
        match self.kind {
            "image" => format!(
                "Invalid input received: Volume size {size}GB cannot be smaller than the image \
                 minDisk size {}GB.",
                self.size
            ),
            "snapshot" => format!(
                "Invalid input received: Volume size '{size}'GB cannot be smaller than the snapshot \
                 size {}GB. They must be >= original snapshot size.",
                self.size
            ),
            _ => format!(
                "Invalid input received: Volume size '{size}'GB cannot be smaller than original \
                 volume size  {}GB. They must be >= original volume size.",
                self.size
            ),
        }
    }
}

fn wanted(call: &Call, v: &Volume) -> bool {
    let is = |key: &str, actual: Option<&str>| call.q(key).is_none_or(|w| actual == Some(w));
    let like = |key: &str, actual: Option<&str>| {
        !call.who.since(34) || call.q(key).is_none_or(|w| actual.is_some_and(|a| a.contains(w)))
    };
    is("name", v.name.as_deref())
        && is("display_name", v.name.as_deref())
        && like("name~", v.name.as_deref())
        && is("status", Some(&v.status))
        && is("id", Some(&v.id))
        && is("availability_zone", Some(&v.availability_zone))
        && is("group_id", v.group_id.as_deref())
        && (!call.who.admin() || is("project_id", Some(&v.project_id)))
        && (!call.who.admin() || is("host", v.host.as_deref()))
        && call.q("bootable").is_none_or(|b| b.eq_ignore_ascii_case(&v.bootable.to_string()))
        && call.q("metadata").is_none_or(|m| has_metadata(&v.metadata, m))
}

/// The filter is a Python or JSON dictionary.
pub(crate) fn has_metadata(metadata: &BTreeMap<String, String>, filter: &str) -> bool {
    let json = filter.replace('\'', "\"").replace("u\"", "\"");
    let Ok(Value::Object(wanted)) = serde_json::from_str(&json) else { return false };
    wanted.iter().all(|(k, v)| metadata.get(k).map(String::as_str) == v.as_str())
}

/// Newest first, unless `sort` (or `sort_key`, `sort_dir`) says otherwise.
fn sort_volumes(rows: &mut [&Volume], call: &Call) {
    let (key, direction) = match call.q("sort") {
        Some(sort) => {
            let first = sort.split(',').next().unwrap_or("");
            first.split_once(':').unwrap_or((first, "desc"))
        }
        None => (call.q("sort_key").unwrap_or("created_at"), call.q("sort_dir").unwrap_or("desc")),
    };
    rows.sort_by(|a, b| {
        let order = match key {
            "name" | "display_name" => a.name.cmp(&b.name),
            "status" => a.status.cmp(&b.status),
            "size" => a.size.cmp(&b.size),
            "id" => a.id.cmp(&b.id),
            "updated_at" => a.updated_at.cmp(&b.updated_at),
            _ => std::cmp::Ordering::Equal,
        };
        let order = order.then(a.order.cmp(&b.order));
        if direction == "asc" { order } else { order.reverse() }
    });
}
