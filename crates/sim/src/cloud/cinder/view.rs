//! Cinder's objects as clients see them.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{
    kit::{Call, Who, World, micros},
    model::{Attachment, Snapshot, Volume, VolumeType},
};

/// Extra specs that everybody may read.
const USER_VISIBLE: [&str; 3] = ["RESKEY:availability_zones", "multiattach", "replication_enabled"];

/// The public status.
pub(crate) fn public_status(status: &str) -> &str {
    match status {
        "managing" => "creating",
        "error_managing" => "error",
        "error_managing_deleting" => "deleting",
        other => other,
    }
}

/// Attachments by volume, for views of many volumes.
pub(crate) type ByVolume<'a> = HashMap<&'a str, Vec<&'a Attachment>>;

impl World<'_> {
    /// `http://…/volume/v3/<project>/<rest>`.
    pub(crate) fn volume_url(&self, call: &Call, rest: &str) -> String {
        format!("{}/volume/v3/{}/{rest}", self.inner.base_url.read(), call.who.project_id)
    }

    fn links(&self, call: &Call, rest: &str) -> Value {
        let base = self.inner.base_url.read();
        let project = &call.who.project_id;
        json!([
            {"rel": "self", "href": format!("{base}/volume/v3/{project}/{rest}")},
            {"rel": "bookmark", "href": format!("{base}/volume/{project}/{rest}")},
        ])
    }

    pub(crate) fn attachments_by_volume(&self) -> ByVolume<'_> {
        let mut index: ByVolume<'_> = HashMap::new();
        for attachment in self.st.cinder.attachments.values() {
            index.entry(attachment.volume_id.as_str()).or_default().push(attachment);
        }
        index
    }

    pub(crate) fn volume_summary(&self, call: &Call, volume: &Volume) -> Value {
        json!({
            "id": volume.id, "name": volume.name,
            "links": self.links(call, &format!("volumes/{}", volume.id)),
        })
    }

    /// What create and manage answer: no field of later microversions.
    pub(crate) fn volume_legacy(
        &self,
        call: &Call,
        volume: &Volume,
        index: &ByVolume<'_>,
    ) -> Value {
        let kind = volume.type_id.as_ref().and_then(|id| self.st.cinder.types.get(id));
        let attachments: Vec<Value> = index
            .get(volume.id.as_str())
            .into_iter()
            .flatten()
            .filter(|a| a.status == "attached")
            .map(|a| attached(&call.who, a))
            .collect();
        let mut view = json!({
            "id": volume.id,
            "status": public_status(&volume.status),
            "size": volume.size,
            "availability_zone": volume.availability_zone,
            "created_at": micros(volume.created_at),
            "updated_at": volume.updated_at.map(micros),
            "name": volume.name,
            "description": volume.description,
            "volume_type": kind.map(|k| &k.name),
            "snapshot_id": volume.snapshot_id,
            "source_volid": volume.source_volid,
            "metadata": volume.metadata,
            "links": self.links(call, &format!("volumes/{}", volume.id)),
            "user_id": volume.user_id,
            "bootable": volume.bootable.to_string(),
            "encrypted": volume.encrypted,
            "replication_status": volume.replication_status,
            "consistencygroup_id": null,
            "multiattach": volume.multiattach,
            "attachments": attachments,
        });
        if call.who.admin() {
            view["migration_status"] = json!(volume.migration_status);
        }
        view
    }

    /// Show and list in detail.
    pub(crate) fn volume_detail(
        &self,
        call: &Call,
        volume: &Volume,
        index: &ByVolume<'_>,
    ) -> Value {
        let who = &call.who;
        let mut view = self.volume_legacy(call, volume, index);
        view["os-vol-tenant-attr:tenant_id"] = json!(volume.project_id);
        if who.admin() {
            view["os-vol-host-attr:host"] = json!(volume.host);
            view["os-vol-mig-status-attr:migstat"] = json!(volume.migration_status);
            view["os-vol-mig-status-attr:name_id"] = Value::Null;
        }
        if !volume.image_metadata.is_empty() {
            view["volume_image_metadata"] = json!(volume.image_metadata);
        }
        if who.since(13) {
            view["group_id"] = json!(volume.group_id);
        }
        if who.since(21) && who.admin() {
            view["provider_id"] = json!(volume.provider_id);
        }
        if who.since(48) {
            view["shared_targets"] = json!(false);
            view["service_uuid"] = json!(volume.service_uuid);
        }
        if who.since(61) && who.admin() {
            view["cluster_name"] = Value::Null;
        }
        if who.since(63) {
            view["volume_type_id"] = json!(volume.type_id);
        }
        if who.since(65) {
            view["consumes_quota"] = json!(true);
        }
        view
    }

    pub(crate) fn type_view(&self, who: &Who, kind: &VolumeType) -> Value {
        let mut view = json!({
            "id": kind.id, "name": kind.name, "description": kind.description,
            "is_public": kind.is_public,
        });
        view["extra_specs"] = json!(self.readable_specs(who, kind));
        if who.admin() {
            view["qos_specs_id"] = Value::Null;
        }
        view["os-volume-type-access:is_public"] = json!(kind.is_public);
        view
    }

    /// All extra specs for admins (policy
    /// `volume_extension:types_extra_specs:read_sensitive`), else the user-visible ones.
    pub(crate) fn readable_specs<'k>(
        &self,
        who: &Who,
        kind: &'k VolumeType,
    ) -> HashMap<&'k str, &'k str> {
        let rule =
            self.st.policy("volume_extension:types_extra_specs:read_sensitive", "rule:admin_api");
        let all = who.allows(rule, None);
        kind.extra_specs
            .iter()
            .filter(|(key, _)| all || USER_VISIBLE.contains(&key.as_str()))
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect()
    }

    pub(crate) fn snapshot_view(&self, call: &Call, snapshot: &Snapshot, detail: bool) -> Value {
        let mut view = json!({
            "id": snapshot.id,
            "name": snapshot.name,
            "description": snapshot.description,
            "status": snapshot.status,
            "volume_id": snapshot.volume_id,
            "size": snapshot.size,
            "metadata": snapshot.metadata,
            "created_at": micros(snapshot.created_at),
            "updated_at": snapshot.updated_at.map(micros),
        });
        if detail {
            view["os-extended-snapshot-attributes:project_id"] = json!(snapshot.project_id);
            view["os-extended-snapshot-attributes:progress"] =
                json!(if snapshot.status == "available" { "100%" } else { "0%" });
        }
        if call.who.since(14) {
            view["group_snapshot_id"] = Value::Null;
        }
        if call.who.since(41) {
            view["user_id"] = json!(snapshot.user_id);
        }
        if call.who.since(65) {
            view["consumes_quota"] = json!(true);
        }
        view
    }
}

fn attached(who: &Who, a: &Attachment) -> Value {
    let host =
        if who.admin() || who.has_role("service") { json!(a.attached_host) } else { Value::Null };
    json!({
        "id": a.volume_id, "attachment_id": a.id, "volume_id": a.volume_id,
        "server_id": a.server_id, "host_name": host, "device": a.mountpoint,
        "attached_at": a.attached_at.map(micros),
    })
}

/// An attachment, short or in full.
pub(crate) fn attachment_view(a: &Attachment, detail: bool) -> Value {
    let mut view =
        json!({"id": a.id, "status": a.status, "instance": a.server_id, "volume_id": a.volume_id});
    if detail {
        view["attached_at"] = json!(a.attached_at.map(micros).unwrap_or_default());
        view["detached_at"] = json!("");
        view["attach_mode"] = json!(a.mode);
        view["connection_info"] = a.connection_info.clone().unwrap_or_else(|| json!({}));
    }
    view
}
