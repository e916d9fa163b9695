//! Servers as clients see them, by microversion.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha224};

use super::model::{Flavor, Server};
use crate::cloud::cinder::kit::{Call, Who, World, seconds};

const ATTRIBUTES: &str = "os_compute_api:os-extended-server-attributes";

impl World<'_> {
    pub(crate) fn compute_url(&self, rest: &str) -> String {
        format!("{}/compute/v2.1/{rest}", self.inner.base_url.read())
    }

    fn compute_links(&self, rest: &str) -> Value {
        let base = self.inner.base_url.read();
        json!([
            {"rel": "self", "href": format!("{base}/compute/v2.1/{rest}")},
            {"rel": "bookmark", "href": format!("{base}/compute/{rest}")},
        ])
    }

    pub(crate) fn server_brief(&self, server: &Server) -> Value {
        json!({
            "id": server.id, "name": server.name,
            "links": self.compute_links(&format!("servers/{}", server.id)),
        })
    }

    /// `full`: also what only show gives, not lists.
    pub(crate) fn server_view(&self, call: &Call, server: &Server, full: bool) -> Value {
        let who = &call.who;
        let status = server.status();
        let mut view = self.server_brief(server);
        let zone = if server.host.is_some() { "nova" } else { "" };
        merge(
            &mut view,
            json!({
                "status": status,
                "tenant_id": server.project_id,
                "user_id": server.user_id,
                "metadata": server.metadata,
                "hostId": host_id(server),
                "image": self.image_of(who, server),
                "flavor": self.flavor_of(who, &server.flavor),
                "created": seconds(server.created_at),
                "updated": seconds(server.updated_at),
                "addresses": self.addresses_of(server),
                "accessIPv4": server.access_ip,
                "accessIPv6": "",
                "OS-DCF:diskConfig": "MANUAL",
                "OS-EXT-AZ:availability_zone": zone,
                "config_drive": if server.config_drive { "True" } else { "" },
                "key_name": server.key_name,
                "OS-SRV-USG:launched_at": server.launched_at.map(|t| t.format("%Y-%m-%dT%H:%M:%S.000000").to_string()),
                "OS-SRV-USG:terminated_at": server.terminated_at.map(|t| t.format("%Y-%m-%dT%H:%M:%S.000000").to_string()),
                "OS-EXT-STS:task_state": server.task_state,
                "OS-EXT-STS:vm_state": server.vm_state,
                "OS-EXT-STS:power_state": server.power_state,
            }),
        );
        let groups: Vec<Value> = self
            .security_groups_of(server)
            .into_iter()
            .map(|name| json!({ "name": name }))
            .collect();
        if !groups.is_empty() {
            view["security_groups"] = json!(groups);
        }
        let attached: Vec<Value> = server
            .volumes
            .iter()
            .filter_map(|d| Some((d.volume_id.as_ref()?, d.delete_on_termination)))
            .map(|(id, delete)| {
                if who.since(3) {
                    json!({"id": id, "delete_on_termination": delete})
                } else {
                    json!({ "id": id })
                }
            })
            .collect();
        view["os-extended-volumes:volumes_attached"] = json!(attached);
        if matches!(status, "ACTIVE" | "BUILD") {
            view["progress"] = json!(if status == "ACTIVE" { 100 } else { 0 });
        }
        if let (true, Some(fault)) = (matches!(status, "ERROR" | "DELETED"), &server.fault) {
            view["fault"] = json!({
                "code": fault.code, "created": seconds(fault.created_at), "message": fault.message,
            });
        }
        self.admin_fields(who, server, &mut view);
        self.versioned_fields(who, server, full, &mut view);
        view
    }

    fn admin_fields(&self, who: &Who, server: &Server, view: &mut Value) {
        let rule = self.st.policy(ATTRIBUTES, "rule:admin_api");
        if who.allows(rule, Some(&server.project_id)) {
            view["OS-EXT-SRV-ATTR:host"] = json!(server.host);
            view["OS-EXT-SRV-ATTR:hypervisor_hostname"] = json!(server.host);
            view["OS-EXT-SRV-ATTR:instance_name"] = json!(format!("instance-{:08x}", server.order));
            if who.since(3) {
                merge(
                    view,
                    json!({
                        "OS-EXT-SRV-ATTR:hostname": server.hostname,
                        "OS-EXT-SRV-ATTR:reservation_id": server.reservation_id,
                        "OS-EXT-SRV-ATTR:launch_index": server.launch_index,
                        "OS-EXT-SRV-ATTR:kernel_id": "",
                        "OS-EXT-SRV-ATTR:ramdisk_id": "",
                        "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda",
                        "OS-EXT-SRV-ATTR:user_data": server.user_data,
                    }),
                );
            }
        }
        if who.since(16) && who.admin() {
            view["host_status"] = json!(if server.host.is_some() { "UP" } else { "" });
        }
    }

    fn versioned_fields(&self, who: &Who, server: &Server, full: bool, view: &mut Value) {
        if who.since(9) {
            view["locked"] = json!(server.locked_by.is_some());
        }
        if who.since(19) {
            view["description"] = json!(server.description);
        }
        if who.since(26) {
            view["tags"] = json!(server.tags);
        }
        if who.since(63) {
            view["trusted_image_certificates"] = Value::Null;
        }
        if who.since(71) && full {
            view["server_groups"] = json!(server.group_id.iter().collect::<Vec<_>>());
        }
        if who.since(73) {
            view["locked_reason"] = json!(server.locked_reason);
        }
        if who.since(90) {
            view["OS-EXT-SRV-ATTR:hostname"] = json!(server.hostname);
        }
        if who.since(96) {
            view["pinned_availability_zone"] = json!(server.pinned_zone);
        }
        if who.since(100) {
            view["scheduler_hints"] = json!(server.hints);
        }
    }

    fn image_of(&self, who: &Who, server: &Server) -> Value {
        let Some(id) = &server.image_id else { return json!("") };
        let base = self.inner.base_url.read();
        let mut image = json!({
            "id": id,
            "links": [{"rel": "bookmark", "href": format!("{base}/compute/images/{id}")}],
        });
        if who.since(98) {
            image["properties"] = json!(server.image_properties);
        }
        image
    }

    fn flavor_of(&self, who: &Who, flavor: &Flavor) -> Value {
        if who.since(47) {
            return json!({
                "vcpus": flavor.vcpus, "ram": flavor.ram, "disk": flavor.disk,
                "ephemeral": flavor.ephemeral, "swap": flavor.swap,
                "original_name": flavor.name, "extra_specs": flavor.extra_specs,
            });
        }
        let base = self.inner.base_url.read();
        json!({
            "id": flavor.id,
            "links": [{"rel": "bookmark", "href": format!("{base}/compute/flavors/{}", flavor.id)}],
        })
    }

    pub(crate) fn flavor_view(&self, who: &Who, flavor: &Flavor) -> Value {
        let mut view = json!({
            "id": flavor.id, "name": flavor.name, "vcpus": flavor.vcpus, "ram": flavor.ram,
            "disk": flavor.disk, "OS-FLV-EXT-DATA:ephemeral": flavor.ephemeral,
            "OS-FLV-DISABLED:disabled": false, "os-flavor-access:is_public": flavor.is_public,
            "rxtx_factor": 1.0,
            "links": self.compute_links(&format!("flavors/{}", flavor.id)),
        });
        view["swap"] =
            if flavor.swap == 0 && !who.since(75) { json!("") } else { json!(flavor.swap) };
        if who.since(55) {
            view["description"] = json!(flavor.description);
        }
        if who.since(61) {
            view["extra_specs"] = json!(flavor.extra_specs);
        }
        view
    }

    pub(crate) fn flavor_brief(&self, who: &Who, flavor: &Flavor) -> Value {
        let mut view = json!({
            "id": flavor.id, "name": flavor.name,
            "links": self.compute_links(&format!("flavors/{}", flavor.id)),
        });
        if who.since(55) {
            view["description"] = json!(flavor.description);
        }
        view
    }
}

/// The opaque host id that tenants see.
fn host_id(server: &Server) -> String {
    let Some(host) = &server.host else { return String::new() };
    let digest = Sha224::digest(format!("{}{host}", server.project_id));
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

/// Adds the fields of one object to another.
pub(crate) fn merge(view: &mut Value, add: Value) {
    if let (Some(view), Value::Object(add)) = (view.as_object_mut(), add) {
        view.extend::<Map<String, Value>>(add);
    }
}
