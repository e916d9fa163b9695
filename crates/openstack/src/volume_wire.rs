//! Cinder's JSON, as far as we read it.

use std::collections::BTreeMap;

use protector_ports::{BackendPool, Volume, VolumeAttachment, VolumeType};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    compute_wire::{IdWire, count},
    rest::page,
    tolerant::{loose_bool, loose_map, loose_number, null_default},
};

page!(VolumePage, VolumeWire, "volumes", "volumes_links", |volume| &volume.id);
page!(VolumeIdPage, IdWire, "volumes", "volumes_links", |volume| &volume.id);
page!(TypePage, TypeWire, "volume_types", "volume_type_links", |kind| &kind.id);

#[derive(Deserialize)]
pub(crate) struct VolumeAnswer {
    pub volume: VolumeWire,
}

#[derive(Deserialize)]
pub(crate) struct VolumeWire {
    pub id: String,
    #[serde(default, deserialize_with = "null_default")]
    name: String,
    #[serde(default, deserialize_with = "null_default")]
    description: String,
    #[serde(default, deserialize_with = "null_default")]
    status: String,
    #[serde(default, deserialize_with = "loose_number")]
    size: i64,
    volume_type: Option<String>,
    #[serde(default, deserialize_with = "loose_bool")]
    bootable: bool,
    #[serde(default, deserialize_with = "loose_bool")]
    encrypted: bool,
    #[serde(default, deserialize_with = "loose_bool")]
    multiattach: bool,
    group_id: Option<String>,
    #[serde(rename = "os-vol-host-attr:host")]
    host: Option<String>,
    #[serde(rename = "os-vol-tenant-attr:tenant_id")]
    tenant_id: Option<String>,
    #[serde(default, deserialize_with = "loose_map")]
    metadata: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "loose_map")]
    volume_image_metadata: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_default")]
    attachments: Vec<AttachmentWire>,
}

#[derive(Deserialize)]
struct AttachmentWire {
    server_id: Option<String>,
    device: Option<String>,
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

impl VolumeWire {
    pub fn into_port(self) -> Volume {
        Volume {
            id: self.id,
            name: self.name,
            description: self.description,
            status: self.status,
            size_gib: count(self.size),
            volume_type: filled(self.volume_type),
            bootable: self.bootable,
            encrypted: self.encrypted,
            multiattach: self.multiattach,
            group_id: filled(self.group_id),
            host: filled(self.host),
            project_id: filled(self.tenant_id),
            metadata: self.metadata,
            image_metadata: self.volume_image_metadata,
            attachments: self
                .attachments
                .into_iter()
                .filter_map(|a| {
                    Some(VolumeAttachment {
                        server_id: filled(a.server_id)?,
                        device: filled(a.device),
                    })
                })
                .collect(),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct TypeWire {
    pub id: String,
    #[serde(default, deserialize_with = "null_default")]
    name: String,
    #[serde(default, deserialize_with = "loose_map")]
    extra_specs: BTreeMap<String, String>,
}

impl TypeWire {
    pub fn into_port(self) -> VolumeType {
        VolumeType { id: self.id, name: self.name, extra_specs: self.extra_specs, encrypted: false }
    }
}

/// `GET /types/{id}/encryption`: empty where there is none.
#[derive(Deserialize)]
pub(crate) struct Encryption {
    #[serde(default)]
    encryption_id: Option<String>,
    #[serde(default)]
    provider: Option<String>,
}

impl Encryption {
    pub fn is_set(&self) -> bool {
        self.encryption_id.is_some() || self.provider.is_some()
    }
}

#[derive(Deserialize)]
pub(crate) struct Pools {
    pub pools: Vec<PoolWire>,
}

#[derive(Deserialize)]
pub(crate) struct PoolWire {
    name: String,
    #[serde(default)]
    capabilities: Value,
}

impl PoolWire {
    pub fn into_port(self) -> BackendPool {
        let text =
            |key: &str| self.capabilities.get(key).and_then(Value::as_str).map(str::to_owned);
        BackendPool {
            backend_name: text("volume_backend_name"),
            // Only pools that report are listed; newer releases say so.
            up: text("backend_state").is_none_or(|state| state == "up"),
            name: self.name,
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Services {
    pub services: Vec<ServiceWire>,
}

#[derive(Deserialize)]
pub(crate) struct ServiceWire {
    #[serde(default, deserialize_with = "null_default")]
    binary: String,
    #[serde(default, deserialize_with = "null_default")]
    host: String,
    #[serde(default, deserialize_with = "null_default")]
    state: String,
    #[serde(default, deserialize_with = "null_default")]
    status: String,
}

impl ServiceWire {
    /// A backend's service; others are none of ours.
    pub fn into_pool(self) -> Option<BackendPool> {
        (self.binary == "cinder-volume" && !self.host.is_empty()).then(|| BackendPool {
            up: self.state == "up" && self.status != "disabled",
            name: self.host,
            backend_name: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_with_texts_for_booleans_and_nulls() {
        let volume: VolumeWire = serde_json::from_str(
            r#"{"id": "v", "name": null, "description": null, "size": 5, "bootable": "true", "encrypted": false,
            "metadata": {"array_volume_name": "volume-v-cinder"}, "group_id": null, "consumes_quota": true,
            "attachments": [{"server_id": "s", "device": "/dev/vda", "id": "v"}, {"server_id": null}]}"#,
        )
        .unwrap();
        let volume = volume.into_port();
        assert!(volume.bootable && !volume.encrypted);
        assert_eq!(volume.size_gib, 5);
        assert_eq!(volume.attachments.len(), 1);
    }

    #[test]
    fn pools_and_services() {
        let pools: Pools = serde_json::from_str(
            r#"{"pools": [{"name": "h@b#p", "capabilities": {"volume_backend_name": "b", "backend_state": "down"}}, {"name": "h@c#p"}]}"#,
        )
        .unwrap();
        let pools: Vec<_> = pools.pools.into_iter().map(PoolWire::into_port).collect();
        assert_eq!((pools[0].up, pools[1].up), (false, true));
        let services: Services = serde_json::from_str(
            r#"{"services": [{"binary": "cinder-scheduler", "host": "h"}, {"binary": "cinder-volume", "host": "h@b", "state": "up", "status": "enabled"}]}"#,
        )
        .unwrap();
        let pools: Vec<_> =
            services.services.into_iter().filter_map(ServiceWire::into_pool).collect();
        assert_eq!(pools, [BackendPool { name: "h@b".into(), backend_name: None, up: true }]);
    }
}
