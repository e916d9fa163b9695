//! Reads a server with everything that a rebuild elsewhere needs, and says why it cannot be protected.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use protector_ports::{
    Cloud, NetworkPort, PortFilter, PortResult, ReplicationArray, Server, ServerFilter, Volume,
    VolumeKey, VolumeType, absent_as_none,
};
use protector_types::{
    Code, FixedIp, FlavorSpec, GroupId, Member, MemberId, MemberVolume, PortSpec, ProtectionGroup,
    Reason, Refusal, ServerGroupSpec, ServerSpec, SiteId, VolumePlacement, VolumeTypeRef,
};

mod security;

/// Metadata keys that Cinder's Pure driver writes.
const DRIVER_KEYS: [&str; 2] = ["array_volume_name", "array_name"];

/// What is needed to look at one server.
pub struct Observation<'a> {
    /// The cloud where it runs, in the tenant's project.
    pub cloud: &'a dyn Cloud,
    /// The same as an administrator: user data and other users' keypairs are not a member's to read.
    pub admin: &'a dyn Cloud,
    /// The array behind it, once the group has a policy.
    pub array: Option<&'a dyn ReplicationArray>,
    /// Where that is.
    pub site: SiteId,
    /// The group's volume type there.
    pub volume_type: &'a VolumeTypeRef,
    /// The group.
    pub group_id: GroupId,
    /// How its volumes replicate.
    pub mirror: Mirror,
}

/// What is asked of a volume's place on the array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mirror {
    /// On the array itself: replication is asynchronous.
    None,
    /// In the pod of the Cinder driver.
    Needed,
    /// Either, and under any type: the group has failed over and is not protected again yet.
    Open,
}

impl Mirror {
    /// What a group asks of its volumes at a site.
    pub fn of(group: &ProtectionGroup, site: SiteId) -> Self {
        match group.is_synchronous() {
            false => Self::None,
            true if site == group.primary_site_id => Self::Needed,
            true => Self::Open,
        }
    }
}

/// Finds a server by id or by unique name.
///
/// # Errors
/// NotFound, or an ambiguous name with its candidates.
pub async fn find_server(cloud: &dyn Cloud, reference: &str) -> Result<Server, Refusal> {
    let upstream = |error| Refusal::new(Code::SiteError, format!("cannot read servers: {error}"));
    if let Some(server) =
        absent_as_none(cloud.compute().server(reference).await).map_err(upstream)?
    {
        return Ok(server);
    }
    let filter = ServerFilter { name: Some(reference.to_owned()), ..ServerFilter::default() };
    let mut named = cloud.compute().servers(&filter).await.map_err(upstream)?;
    match named.len() {
        1 => Ok(named.remove(0)),
        0 => Err(Refusal::new(
            Code::NotFound,
            format!("server {reference:?} does not exist in this project"),
        )),
        _ => {
            let ids: Vec<_> = named.iter().map(|s| s.id.as_str()).collect();
            Err(Refusal::new(
                Code::RequestInvalidValue,
                format!("server name {reference:?} is ambiguous; use an id of: {}", ids.join(", ")),
            ))
        }
    }
}

impl Observation<'_> {
    /// Reads the server, its volumes, ports and what else a rebuild needs.
    ///
    /// # Errors
    /// A refusal with every reason why it cannot be protected.
    pub async fn member(
        &self,
        id: MemberId,
        server: &Server,
        now: DateTime<Utc>,
    ) -> Result<Member, Refusal> {
        let look = |error| {
            Refusal::new(Code::SiteError, format!("cannot read server {}: {error}", server.name))
        };
        let ((volumes, types), (ports, networks, subnets, groups), spec_parts) =
            futures::try_join!(
                self.volumes(server),
                self.networking(server),
                self.spec_parts(server)
            )
            .map_err(look)?;
        let mut reasons = server_reasons(server);
        for volume in &volumes {
            reasons.extend(volume_reasons(volume, self.volume_type, &types, self.mirror));
        }
        let placements = self.placements(&volumes, &mut reasons).await?;
        if !reasons.is_empty() {
            let detail = format!("Server {} cannot be protected", server.name);
            return Err(Refusal { code: Code::MemberNotEligible, detail, reasons });
        }
        let (public_key, server_group) = spec_parts;
        let names: BTreeMap<_, _> =
            networks.iter().map(|n| (n.id.as_str(), n.name.as_str())).collect();
        let cidrs: BTreeMap<_, _> =
            subnets.iter().map(|s| (s.id.as_str(), s.cidr.as_str())).collect();
        let group_names: BTreeMap<_, _> =
            groups.iter().map(|g| (g.id.as_str(), g.name.as_str())).collect();
        let port_specs = ports.iter().map(|p| port_spec(p, &names, &cidrs, &group_names)).collect();
        let used = ports.iter().flat_map(|p| &p.security_groups).map(String::as_str);
        let security_groups = security::specs(used, &groups);
        Ok(Member {
            id,
            group_id: self.group_id,
            servers: BTreeMap::from([(self.site, server.id.clone())]),
            spec: ServerSpec {
                security_groups,
                ..server_spec(server, public_key, server_group, port_specs)
            },
            volumes: member_volumes(server, &volumes, self.site, placements),
            observed_at: now,
            abandoned: None,
        })
    }

    /// The server's volumes in device order, and all volume types.
    async fn volumes(&self, server: &Server) -> PortResult<(Vec<Volume>, Vec<VolumeType>)> {
        let attachments = self.cloud.compute().attachments(&server.id).await?;
        let reads = attachments.iter().map(|a| self.cloud.block_storage().volume(&a.volume_id));
        let (volumes, types) = futures::join!(
            futures::future::try_join_all(reads),
            self.cloud.block_storage().volume_types()
        );
        let mut volumes = volumes?;
        let device = |volume: &Volume| {
            attachments
                .iter()
                .find(|a| a.volume_id == volume.id)
                .and_then(|a| a.device.clone())
                .unwrap_or_default()
        };
        volumes.sort_by_key(|v| device_order(&device(v)));
        Ok((volumes, types?))
    }

    #[allow(clippy::type_complexity, reason = "four lists, named where they are taken apart")]
    async fn networking(
        &self,
        server: &Server,
    ) -> PortResult<(
        Vec<NetworkPort>,
        Vec<protector_ports::Network>,
        Vec<protector_ports::Subnet>,
        Vec<protector_ports::SecurityGroup>,
    )> {
        let filter = PortFilter { device_id: Some(server.id.clone()), ..PortFilter::default() };
        let neutron = self.cloud.networking();
        futures::try_join!(
            neutron.ports(&filter),
            neutron.networks(),
            neutron.subnets(),
            neutron.security_groups()
        )
    }

    /// Public key and server group; what we may not see is left out, and a failover reports it as not preserved.
    async fn spec_parts(
        &self,
        server: &Server,
    ) -> PortResult<(Option<String>, Option<ServerGroupSpec>)> {
        let nova = self.cloud.compute();
        let admin = self.admin.compute();
        let key = async {
            match &server.key_name {
                Some(name) => {
                    Ok(admin.keypair_of(&server.user_id, name).await.ok().map(|k| k.public_key))
                }
                None => Ok(None),
            }
        };
        let group = async {
            let Some(id) = server.server_groups.first() else { return Ok(None) };
            let groups = nova.server_groups().await?;
            Ok(groups
                .into_iter()
                .find(|g| g.id == *id)
                .map(|g| ServerGroupSpec { name: g.name, policy: g.policy }))
        };
        futures::try_join!(key, group)
    }

    async fn placements(
        &self,
        volumes: &[Volume],
        reasons: &mut Vec<Reason>,
    ) -> Result<Vec<VolumePlacement>, Refusal> {
        let mut placements = Vec::with_capacity(volumes.len());
        for volume in volumes {
            // Never constructed where the driver says it: after a migration the name differs from the id.
            let name = volume
                .metadata
                .get("array_volume_name")
                .cloned()
                .unwrap_or_else(|| format!("volume-{}-cinder", volume.id));
            let mut placement = VolumePlacement {
                volume_id: volume.id.clone(),
                array_volume: name.clone(),
                array_volume_id: None,
                serial: String::new(),
            };
            if let Some(array) = self.array {
                match absent_as_none(array.volume(&VolumeKey::Name(name.clone())).await) {
                    Ok(Some(found)) => {
                        placement.array_volume_id = found.id;
                        placement.serial = found.serial;
                    }
                    Ok(None) => reasons.push(volume_reason(
                        volume,
                        format!("is not on the policy's array as {name}: another backend than the group's"),
                    )),
                    Err(error) => {
                        return Err(Refusal::new(Code::ArrayError, format!("cannot look for volume {name}: {error}")));
                    }
                }
            }
            placements.push(placement);
        }
        Ok(placements)
    }
}

/// `/dev/vdb` after `/dev/vda`, and `/dev/vdaa` after `/dev/vdz`.
fn device_order(device: &str) -> (usize, String) {
    (device.len(), device.to_owned())
}

fn volume_reason(volume: &Volume, message: String) -> Reason {
    let name = if volume.name.is_empty() { &volume.id } else { &volume.name };
    Reason { code: Code::MemberNotEligible, subject: Some(format!("volume {name}")), message }
}

/// Why this server cannot be protected, as far as Nova shows it (3-workflows.md section 2). Pure.
pub fn server_reasons(server: &Server) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut add = |message: &str| {
        reasons.push(Reason {
            code: Code::MemberNotEligible,
            subject: Some(format!("server {}", server.name)),
            message: message.into(),
        });
    };
    if server.volumes.is_empty() {
        add("has no Cinder volume; only servers that boot from a volume can be protected");
    } else if server.image_id.is_some() {
        add(
            "boots from an image on local disk; only servers that boot from a volume can be protected",
        );
    }
    if server.flavor.ephemeral_gib > 0 {
        add("has an ephemeral disk, which is not replicated");
    }
    if server.flavor.swap_mib > 0 {
        add("has a swap disk, which is not replicated");
    }
    if server.flavor.extra_specs.contains_key("hw:tpm_version") {
        add("has a virtual TPM, whose state is not replicated");
    }
    if matches!(server.status.as_str(), "ERROR" | "BUILD" | "DELETED" | "SOFT_DELETED") {
        add(&format!("is {}; it must be ACTIVE or SHUTOFF", server.status));
    }
    reasons
}

/// Why this volume cannot be protected. Pure.
pub fn volume_reasons(
    volume: &Volume,
    wanted: &VolumeTypeRef,
    types: &[VolumeType],
    mirror: Mirror,
) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let its_type = volume.volume_type.as_deref().unwrap_or("none");
    if its_type != wanted.name && its_type != wanted.id && mirror != Mirror::Open {
        reasons.push(volume_reason(
            volume,
            format!("has type {its_type}; the group's type is {}", wanted.name),
        ));
    }
    let type_encrypted = types.iter().any(|t| t.name == its_type && t.encrypted);
    if volume.encrypted || type_encrypted {
        reasons
            .push(volume_reason(volume, "is encrypted; Cinder refuses to manage its copy".into()));
    }
    if volume.multiattach || volume.attachments.len() > 1 {
        reasons.push(volume_reason(
            volume,
            "is multi-attach; it may be written by a server outside the group".into(),
        ));
    }
    if volume.group_id.is_some() {
        reasons.push(volume_reason(
            volume,
            "is in a Cinder group; its copies could not be unmanaged".into(),
        ));
    }
    let array_name = volume.metadata.get("array_volume_name").map_or("", String::as_str);
    if mirror == Mirror::Needed && !array_name.is_empty() && !array_name.contains("::") {
        reasons.push(volume_reason(
            volume,
            format!("is on one array only ({array_name}), not in the Cinder driver's pod"),
        ));
    }
    if array_name.contains("::") && mirror == Mirror::None {
        reasons.push(volume_reason(volume, format!("is in a pod of its own ({array_name})")));
    } else if array_name.contains('/') {
        reasons.push(volume_reason(
            volume,
            format!("is in a volume group of the array ({array_name})"),
        ));
    }
    reasons
}

fn port_spec(
    port: &NetworkPort,
    networks: &BTreeMap<&str, &str>,
    cidrs: &BTreeMap<&str, &str>,
    groups: &BTreeMap<&str, &str>,
) -> PortSpec {
    let fixed_ips = port
        .fixed_ips
        .iter()
        .filter_map(|a| {
            a.ip_address.as_ref().map(|ip| FixedIp {
                ip_address: ip.clone(),
                cidr: cidrs.get(a.subnet_id.as_str()).map(|c| (*c).to_owned()).unwrap_or_default(),
            })
        })
        .collect();
    PortSpec {
        id: port.id.clone(),
        // The marker of an operation that did not come to give the name back is not the tenant's.
        name: if port.name.starts_with("ptr-") { String::new() } else { port.name.clone() },
        network_id: port.network_id.clone(),
        network_name: networks
            .get(port.network_id.as_str())
            .map(|n| (*n).to_owned())
            .unwrap_or_default(),
        mac_address: port.mac_address.clone(),
        fixed_ips,
        security_groups: port
            .security_groups
            .iter()
            .map(|id| groups.get(id.as_str()).map_or_else(|| id.clone(), |name| (*name).to_owned()))
            .collect(),
        port_security_enabled: port.port_security_enabled,
        allowed_address_pairs: port.allowed_address_pairs.clone(),
        vnic_type: port.vnic_type.clone(),
    }
}

fn server_spec(
    server: &Server,
    public_key: Option<String>,
    server_group: Option<ServerGroupSpec>,
    ports: Vec<PortSpec>,
) -> ServerSpec {
    ServerSpec {
        name: server.name.clone(),
        description: server.description.clone(),
        user_id: server.user_id.clone(),
        flavor: FlavorSpec {
            name: server.flavor.name.clone(),
            vcpus: server.flavor.vcpus,
            ram_mib: server.flavor.ram_mib,
            disk_gib: server.flavor.disk_gib,
            ephemeral_gib: server.flavor.ephemeral_gib,
            swap_mib: server.flavor.swap_mib,
            extra_specs: server.flavor.extra_specs.clone(),
        },
        key_name: server.key_name.clone(),
        public_key,
        user_data: server.user_data.clone(),
        config_drive: server.config_drive,
        metadata: server.metadata.clone(),
        // Markers of earlier operations are not the tenant's.
        tags: server.tags.iter().filter(|t| !t.starts_with("ptr-")).cloned().collect(),
        availability_zone: server.availability_zone.clone(),
        server_group,
        ports,
        security_groups: Vec::new(),
        was_off: server.status == "SHUTOFF",
    }
}

fn member_volumes(
    server: &Server,
    volumes: &[Volume],
    site: SiteId,
    placements: Vec<VolumePlacement>,
) -> Vec<MemberVolume> {
    volumes
        .iter()
        .zip(placements)
        .enumerate()
        .map(|(position, (volume, placement))| {
            let attachment = volume.attachments.iter().find(|a| a.server_id == server.id);
            let mut metadata = volume.metadata.clone();
            metadata.retain(|key, _| !DRIVER_KEYS.contains(&key.as_str()));
            MemberVolume {
                position: u32::try_from(position).unwrap_or(u32::MAX),
                device: attachment.and_then(|a| a.device.clone()).unwrap_or_default(),
                boot_index: if position == 0 { 0 } else { -1 },
                name: volume.name.clone(),
                description: volume.description.clone(),
                size_gib: volume.size_gib,
                bootable: volume.bootable,
                metadata,
                image_metadata: volume.image_metadata.clone(),
                delete_on_termination: server
                    .volumes
                    .iter()
                    .find(|v| v.volume_id == volume.id)
                    .is_some_and(|v| v.delete_on_termination),
                placements: BTreeMap::from([(site, placement)]),
            }
        })
        .collect()
}
