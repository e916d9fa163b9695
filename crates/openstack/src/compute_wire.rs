//! Nova's JSON, as far as we read it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use protector_ports::{AttachedVolume, Flavor, Keypair, Quota, Server, ServerGroup};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    rest::page,
    tolerant::{loose_bool, loose_map, loose_number, null_default},
};

/// Metadata key that holds the tags of a server where Nova cannot take tags at its creation (before 2.52).
pub(crate) const TAGS_KEY: &str = "protector_tags";

page!(ServerPage, ServerWire, "servers", "servers_links", |server| &server.id);
page!(ServerIdPage, IdWire, "servers", "servers_links", |server| &server.id);
page!(FlavorPage, FlavorWire, "flavors", "flavors_links", |flavor| &flavor.id);
page!(KeypairPage, KeypairEntry, "keypairs", "keypairs_links", |entry| &entry.keypair.name);

/// An item of a list without details.
#[derive(Deserialize)]
pub(crate) struct IdWire {
    pub id: String,
}

#[derive(Deserialize)]
pub(crate) struct ServerAnswer {
    pub server: ServerWire,
}

#[derive(Deserialize)]
pub(crate) struct CreatedServer {
    pub server: Created,
}

#[derive(Deserialize)]
pub(crate) struct Created {
    pub id: String,
}

#[derive(Deserialize)]
pub(crate) struct ServerWire {
    pub id: String,
    #[serde(default, deserialize_with = "null_default")]
    name: String,
    #[serde(default, deserialize_with = "null_default")]
    status: String,
    #[serde(rename = "OS-EXT-STS:task_state")]
    task_state: Option<String>,
    #[serde(default, deserialize_with = "null_default")]
    tenant_id: String,
    #[serde(default, deserialize_with = "null_default")]
    user_id: String,
    #[serde(default, deserialize_with = "loose_bool")]
    locked: bool,
    description: Option<String>,
    #[serde(default, deserialize_with = "null_default")]
    pub flavor: FlavorWire,
    key_name: Option<String>,
    #[serde(rename = "OS-EXT-SRV-ATTR:user_data")]
    user_data: Option<String>,
    #[serde(default, deserialize_with = "loose_bool")]
    config_drive: bool,
    #[serde(default, deserialize_with = "loose_map")]
    metadata: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_default")]
    tags: Vec<String>,
    #[serde(rename = "OS-EXT-AZ:availability_zone")]
    availability_zone: Option<String>,
    #[serde(default, deserialize_with = "null_default")]
    server_groups: Vec<String>,
    #[serde(
        rename = "os-extended-volumes:volumes_attached",
        default,
        deserialize_with = "null_default"
    )]
    volumes: Vec<AttachedWire>,
    #[serde(default)]
    image: Value,
    fault: Option<Fault>,
    created: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct AttachedWire {
    id: String,
    #[serde(default, deserialize_with = "loose_bool")]
    delete_on_termination: bool,
}

#[derive(Deserialize)]
struct Fault {
    message: Option<String>,
}

impl ServerWire {
    /// The server; its flavor as embedded (from 2.47), else with nothing but its id.
    pub fn into_port(mut self) -> Server {
        let mut tags = self.tags;
        if let Some(packed) = self.metadata.remove(TAGS_KEY) {
            tags.extend(packed.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned));
        }
        let image_id = self.image.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
        Server {
            image_id: image_id.map(str::to_owned),
            id: self.id,
            name: self.name,
            status: self.status.to_ascii_uppercase(),
            task_state: self.task_state.filter(|state| !state.is_empty()),
            project_id: self.tenant_id,
            user_id: self.user_id,
            locked: self.locked,
            description: self.description.filter(|text| !text.is_empty()),
            flavor: self.flavor.into_port(),
            key_name: self.key_name.filter(|name| !name.is_empty()),
            user_data: self.user_data.filter(|data| !data.is_empty()),
            config_drive: self.config_drive,
            metadata: self.metadata,
            tags,
            availability_zone: self.availability_zone.filter(|zone| !zone.is_empty()),
            server_groups: self.server_groups,
            volumes: self
                .volumes
                .into_iter()
                .map(|volume| AttachedVolume {
                    volume_id: volume.id,
                    device: None,
                    delete_on_termination: volume.delete_on_termination,
                })
                .collect(),
            fault: self.fault.and_then(|fault| fault.message),
            created: self.created,
        }
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FlavorWire {
    #[serde(deserialize_with = "null_default")]
    pub id: String,
    #[serde(deserialize_with = "null_default")]
    name: String,
    original_name: Option<String>,
    #[serde(deserialize_with = "loose_number")]
    vcpus: i64,
    #[serde(deserialize_with = "loose_number")]
    ram: i64,
    #[serde(deserialize_with = "loose_number")]
    disk: i64,
    #[serde(deserialize_with = "loose_number")]
    ephemeral: i64,
    #[serde(rename = "OS-FLV-EXT-DATA:ephemeral", deserialize_with = "loose_number")]
    ephemeral_ext: i64,
    #[serde(deserialize_with = "loose_number")]
    swap: i64,
    #[serde(deserialize_with = "loose_map")]
    extra_specs: BTreeMap<String, String>,
}

impl FlavorWire {
    /// True where Nova shows only a reference (before 2.47).
    pub fn is_reference(&self) -> bool {
        self.original_name.is_none() && self.vcpus == 0 && !self.id.is_empty()
    }

    pub fn into_port(self) -> Flavor {
        Flavor {
            id: self.id,
            name: self.original_name.unwrap_or(self.name),
            vcpus: u32::try_from(self.vcpus).unwrap_or_default(),
            ram_mib: count(self.ram),
            disk_gib: count(self.disk),
            ephemeral_gib: count(self.ephemeral.max(self.ephemeral_ext)),
            swap_mib: count(self.swap),
            extra_specs: self.extra_specs,
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct FlavorAnswer {
    pub flavor: FlavorWire,
}

#[derive(Deserialize)]
pub(crate) struct Attachments {
    #[serde(rename = "volumeAttachments")]
    items: Vec<AttachmentWire>,
}

#[derive(Deserialize)]
struct AttachmentWire {
    #[serde(rename = "volumeId")]
    volume_id: String,
    device: Option<String>,
    #[serde(default, deserialize_with = "loose_bool")]
    delete_on_termination: bool,
}

impl Attachments {
    pub fn into_port(self) -> Vec<AttachedVolume> {
        self.items
            .into_iter()
            .map(|item| AttachedVolume {
                volume_id: item.volume_id,
                device: item.device.filter(|device| !device.is_empty()),
                delete_on_termination: item.delete_on_termination,
            })
            .collect()
    }
}

#[derive(Deserialize)]
pub(crate) struct KeypairEntry {
    pub keypair: KeypairWire,
}

#[derive(Deserialize)]
pub(crate) struct KeypairWire {
    name: String,
    #[serde(default, deserialize_with = "null_default")]
    public_key: String,
}

impl KeypairWire {
    pub fn into_port(self) -> Keypair {
        Keypair { name: self.name, public_key: self.public_key }
    }
}

#[derive(Deserialize)]
pub(crate) struct ServerGroupPage {
    pub server_groups: Vec<ServerGroupWire>,
}

#[derive(Deserialize)]
pub(crate) struct ServerGroupAnswer {
    pub server_group: ServerGroupWire,
}

#[derive(Deserialize)]
pub(crate) struct ServerGroupWire {
    pub id: String,
    #[serde(default, deserialize_with = "null_default")]
    name: String,
    policy: Option<String>,
    #[serde(default, deserialize_with = "null_default")]
    policies: Vec<String>,
    #[serde(default, deserialize_with = "null_default")]
    members: Vec<String>,
}

impl ServerGroupWire {
    pub fn into_port(self) -> ServerGroup {
        let policy = self.policy.or_else(|| self.policies.into_iter().next()).unwrap_or_default();
        ServerGroup { id: self.id, name: self.name, policy, members: self.members }
    }
}

#[derive(Deserialize)]
pub(crate) struct LimitsAnswer {
    pub limits: Limits,
}

#[derive(Deserialize)]
pub(crate) struct Limits {
    pub absolute: BTreeMap<String, Value>,
}

impl Limits {
    /// A pair of Nova's or Cinder's absolute limits. One that is not there is unlimited.
    pub fn quota(&self, limit: &str, used: &str) -> Quota {
        let number = |key: &str| self.absolute.get(key).and_then(Value::as_i64);
        Quota {
            limit: number(limit).and_then(|limit| u64::try_from(limit).ok()),
            used: number(used).map(count).unwrap_or_default(),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Zones {
    #[serde(rename = "availabilityZoneInfo")]
    items: Vec<ZoneWire>,
}

#[derive(Deserialize)]
struct ZoneWire {
    #[serde(rename = "zoneName")]
    name: String,
    #[serde(rename = "zoneState", default, deserialize_with = "null_default")]
    state: ZoneState,
}

#[derive(Deserialize)]
#[serde(default)]
struct ZoneState {
    #[serde(deserialize_with = "loose_bool")]
    available: bool,
}

impl Default for ZoneState {
    fn default() -> Self {
        Self { available: true }
    }
}

impl Zones {
    pub fn up(self) -> Vec<String> {
        self.items.into_iter().filter(|zone| zone.state.available).map(|zone| zone.name).collect()
    }
}

/// Counts are never negative; where a service says -1 it means "none".
pub(crate) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::Page;

    #[test]
    fn a_server_may_have_almost_nothing() {
        let server: ServerWire = serde_json::from_str(
            r#"{"id": "s", "name": null, "flavor": null, "metadata": null, "tags": null, "image": "", "surprise": [1]}"#,
        )
        .unwrap();
        let server = server.into_port();
        assert_eq!((server.id.as_str(), server.image_id, server.user_data), ("s", None, None));
    }

    #[test]
    fn a_server_of_today() {
        let server: ServerWire = serde_json::from_str(
            r#"{"id": "s", "status": "active", "OS-EXT-STS:task_state": "powering-off", "config_drive": "True",
            "flavor": {"original_name": "m1", "vcpus": 2, "ram": 512, "disk": 1, "ephemeral": 0, "swap": 0, "extra_specs": {"a": "b"}},
            "image": {"id": "i"}, "tags": ["x"], "metadata": {"k": "v"}, "created": "2026-01-02T03:04:05Z",
            "os-extended-volumes:volumes_attached": [{"id": "v1", "delete_on_termination": true}, {"id": "v2"}],
            "server_groups": ["g"], "fault": {"code": 500, "message": "No valid host"}}"#,
        )
        .unwrap();
        assert!(!server.flavor.is_reference());
        let server = server.into_port();
        assert_eq!(server.status, "ACTIVE");
        assert!(
            server.config_drive
                && server.volumes[0].delete_on_termination
                && !server.volumes[1].delete_on_termination
        );
        assert_eq!(server.flavor.name, "m1");
        assert_eq!(server.image_id.as_deref(), Some("i"));
        assert_eq!(server.fault.as_deref(), Some("No valid host"));
    }

    #[test]
    fn tags_come_back_out_of_metadata_where_nova_is_old() {
        let server: ServerWire = serde_json::from_str(
            r#"{"id": "s", "metadata": {"protector_tags": "a,b", "k": "v"}, "flavor": {"id": "7", "links": []}}"#,
        )
        .unwrap();
        assert!(server.flavor.is_reference());
        let server = server.into_port();
        assert_eq!(server.tags, ["a", "b"]);
        assert_eq!(server.metadata.len(), 1);
    }

    #[test]
    fn an_answer_without_its_list_is_no_empty_list() {
        assert!(serde_json::from_str::<ServerPage>(r#"{"message": "hello"}"#).is_err());
        assert!(
            serde_json::from_str::<ServerPage>(r#"{"servers": [{"name": "without id"}]}"#).is_err()
        );
        let page: ServerPage = serde_json::from_str(
            r#"{"servers": [], "servers_links": [{"rel": "next", "href": "x"}]}"#,
        )
        .unwrap();
        assert!(page.split().1);
    }

    #[test]
    fn minus_one_is_unlimited() {
        let limits: LimitsAnswer = serde_json::from_str(
            r#"{"limits": {"rate": [], "absolute": {"maxTotalInstances": -1, "totalInstancesUsed": 3, "maxTotalCores": 20}}}"#,
        )
        .unwrap();
        let quota = limits.limits.quota("maxTotalInstances", "totalInstancesUsed");
        assert_eq!((quota.limit, quota.used), (None, 3));
        assert_eq!(limits.limits.quota("maxTotalCores", "x").free(), Some(20));
    }
}
