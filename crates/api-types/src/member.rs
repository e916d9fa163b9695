//! `.../{pg_id}/members`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use protector_types::{GroupId, Member, MemberId, OperationId, SiteId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Checked, FieldErrors, Microversion, PageLink, since, time};

/// Body of `POST .../members`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberCreateBody {
    /// The server to be added.
    pub member: MemberCreate,
}

/// A server by id or name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberCreate {
    /// Id or name of a server of the project.
    #[schema(example = "web-1")]
    pub server: String,
}

impl Checked for MemberCreateBody {
    const RESOURCE: (&'static str, Option<&'static str>) = ("member", Some("member"));

    fn check(&self, errors: &mut FieldErrors) {
        errors.name("member.server", &self.member.server);
    }
}

/// A member as shown. User data is not: it may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberView {
    /// Id, equal on both sites.
    pub id: MemberId,
    /// Its group.
    pub protection_group_id: GroupId,
    /// Server name.
    pub name: String,
    /// Its server at the group's current primary site.
    pub server_id: Option<String>,
    /// Server id at each site where one exists or existed.
    #[schema(value_type = BTreeMap<String, String>)]
    pub servers: BTreeMap<SiteId, String>,
    /// Flavor name.
    pub flavor: String,
    /// Keypair name.
    pub key_name: Option<String>,
    /// In device order; the first is the root disk.
    pub volumes: Vec<MemberVolumeView>,
    /// In interface order.
    pub ports: Vec<MemberPortView>,
    /// When all this was last read from the cloud.
    #[serde(with = "time")]
    pub observed_at: DateTime<Utc>,
    /// Given up after a partial failover: by whom, and why (1.3); left out otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abandoned: Option<AbandonedView>,
}

/// Who gave a member up, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AbandonedView {
    /// The failover that could not rebuild it.
    pub operation_id: OperationId,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    #[serde(with = "time")]
    pub at: DateTime<Utc>,
}

/// A volume of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberVolumeView {
    /// `/dev/vda`.
    pub device: String,
    /// Name.
    pub name: String,
    /// GiB.
    pub size_gib: u64,
    /// Bootable.
    pub bootable: bool,
    /// Cinder id at each site where it exists.
    #[schema(value_type = BTreeMap<String, String>)]
    pub volume_ids: BTreeMap<SiteId, String>,
}

/// A port of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberPortView {
    /// Network at the source.
    pub network_id: String,
    /// Its name.
    pub network_name: String,
    /// MAC address.
    pub mac_address: String,
    /// Fixed addresses.
    pub ip_addresses: Vec<String>,
    /// Names of its security groups.
    pub security_groups: Vec<String>,
}

impl MemberView {
    /// The record, with its server at `current_primary`.
    pub fn new(member: Member, current_primary: SiteId) -> Self {
        Self {
            id: member.id,
            protection_group_id: member.group_id,
            server_id: member.servers.get(&current_primary).cloned(),
            servers: member.servers,
            name: member.spec.name,
            flavor: member.spec.flavor.name,
            key_name: member.spec.key_name,
            volumes: member
                .volumes
                .into_iter()
                .map(|volume| MemberVolumeView {
                    device: volume.device,
                    name: volume.name,
                    size_gib: volume.size_gib,
                    bootable: volume.bootable,
                    volume_ids: volume
                        .placements
                        .into_iter()
                        .map(|(site, placement)| (site, placement.volume_id))
                        .collect(),
                })
                .collect(),
            ports: member
                .spec
                .ports
                .into_iter()
                .map(|port| MemberPortView {
                    network_id: port.network_id,
                    network_name: port.network_name,
                    mac_address: port.mac_address,
                    ip_addresses: port.fixed_ips.into_iter().map(|ip| ip.ip_address).collect(),
                    security_groups: port.security_groups,
                })
                .collect(),
            observed_at: member.observed_at,
            abandoned: member.abandoned.map(|it| AbandonedView {
                operation_id: it.operation_id,
                by: it.by,
                reason: it.reason,
                at: it.at,
            }),
        }
    }

    /// The record as `version` shows it.
    #[must_use]
    pub fn for_version(mut self, version: Microversion) -> Self {
        let since = since::field_since("member", "abandoned");
        self.abandoned = self.abandoned.filter(|_| version >= since);
        self
    }
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberBody {
    /// The member.
    pub member: MemberView,
}

/// A page of members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MembersBody {
    /// The page.
    pub members: Vec<MemberView>,
    /// `next`, if there is more.
    pub members_links: Vec<PageLink>,
}
