//! The group document: all that the other site needs to rebuild a group without asking this one
//! (3-workflows.md section 6). Pushed to the peer on each change.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    GroupId, GroupStatus, KeptCopy, Mapping, MemberId, OperationId, ProjectId, ReplicationStatus,
    ReplicationType, SiteId,
};

/// A per-group counter of changes of primary with the site that raised it: the fencing token.
/// The same number raised twice is a conflict, whatever the versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Epoch {
    /// Counts changes of primary.
    pub number: u64,
    /// Who raised it.
    pub raised_by: SiteId,
    /// In which operation; `None` for the first. A site whose database was restored from an old copy may raise a
    /// number twice: this tells the two apart.
    #[serde(default)]
    pub raised_in: Option<OperationId>,
}

/// So many earlier epochs a document carries: two copies that went apart are told for as long.
const EPOCHS_KEPT: usize = 32;

/// The five mappings that a group may carry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mappings {
    /// Networks.
    pub network: Mapping,
    /// Flavors.
    pub flavor: Mapping,
    /// Images.
    pub image: Mapping,
    /// Security groups.
    pub security_group: Mapping,
    /// Keypairs.
    pub keypair: Mapping,
}

/// A named set of servers of one project that fail over together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectionGroup {
    /// The same on both sites.
    pub id: GroupId,
    /// Unique in the project.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Immutable.
    pub replication_type: ReplicationType,
    /// Where it was created; a role, never changed by a failover.
    pub primary_site_id: SiteId,
    /// The other site.
    pub secondary_site_id: SiteId,
    /// The project at each site.
    pub projects: BTreeMap<SiteId, ProjectId>,
    /// The replicated volume type at each site, by id.
    pub volume_types: BTreeMap<SiteId, VolumeTypeRef>,
    /// Type for the clones of a drill, by site, if one was chosen.
    #[serde(default)]
    pub test_volume_types: BTreeMap<SiteId, VolumeTypeRef>,
    /// Standing mappings, primary -> secondary.
    pub mappings: Mappings,
    /// See the state table.
    pub status: GroupStatus,
    /// Where it runs now.
    pub current_primary_site_id: SiteId,
    /// As last observed.
    pub replication_status: ReplicationStatus,
    /// Completed failovers and failbacks.
    pub failover_count: u64,
    /// Source time of the newest usable point at the other site.
    pub last_replication_at: Option<DateTime<Utc>>,
    /// Counts metadata changes.
    pub version: u64,
    /// The fencing token.
    pub epoch: Epoch,
    /// The epochs that it went through, oldest first.
    #[serde(default)]
    pub epochs_before: Vec<Epoch>,
    /// The operation that holds the group.
    pub current_operation_id: Option<OperationId>,
    /// The open drill.
    pub active_test_operation_id: Option<OperationId>,
    /// Why the group is read-only at this site. A fact of the site, not of the document: it does not travel.
    #[serde(skip)]
    pub quarantine: Option<String>,
    /// Copies that are kept on purpose, until the retention passes.
    #[serde(default)]
    pub kept: Vec<KeptCopy>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When its metadata last changed.
    pub updated_at: DateTime<Utc>,
    /// What the arrays call its protection group, where that is more than its own name (synchronous replication: inside
    /// the pod of the volumes). Found when the policy is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array_group: Option<String>,
}

impl ProtectionGroup {
    /// The array's protection group of this group: owned by Protector (1-product.md section 5).
    pub fn array_group_name(&self) -> String {
        self.array_group.clone().unwrap_or_else(|| self.own_array_group_name())
    }

    /// The same without the place that a synchronous one is in.
    pub fn own_array_group_name(&self) -> String {
        format!("protector-{}", self.id)
    }

    /// True if every write is at both arrays before it is acknowledged.
    pub fn is_synchronous(&self) -> bool {
        self.replication_type == ReplicationType::Sync
    }

    /// The site that is not `site`.
    pub fn other_site(&self, site: SiteId) -> SiteId {
        if site == self.primary_site_id { self.secondary_site_id } else { self.primary_site_id }
    }

    /// The current primary is accepted as primary: the roles change places, and with them the direction of the standing
    /// mappings. Where two things were mapped to one, the first by name comes back.
    pub fn swap_roles(&mut self) {
        std::mem::swap(&mut self.primary_site_id, &mut self.secondary_site_id);
        let mappings = &mut self.mappings;
        for mapping in [
            &mut mappings.network,
            &mut mappings.flavor,
            &mut mappings.image,
            &mut mappings.security_group,
            &mut mappings.keypair,
        ] {
            let mut turned = Mapping::new();
            for (from, to) in std::mem::take(mapping) {
                turned.entry(to).or_insert(from);
            }
            *mapping = turned;
        }
    }

    /// Names the primary under a new epoch.
    pub fn raise_epoch(&mut self, primary: SiteId, raised_by: SiteId, raised_in: OperationId) {
        self.epochs_before.push(self.epoch);
        let surplus = self.epochs_before.len().saturating_sub(EPOCHS_KEPT);
        self.epochs_before.drain(..surplus);
        self.epoch = Epoch { number: self.epoch.number + 1, raised_by, raised_in: Some(raised_in) };
        self.current_primary_site_id = primary;
    }

    /// The site that a failover would move to.
    pub fn current_secondary_site_id(&self) -> SiteId {
        self.other_site(self.current_primary_site_id)
    }
}

/// A volume type at one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeTypeRef {
    /// Its id.
    pub id: String,
    /// Its name when it was looked up.
    pub name: String,
}

/// One server in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The same on both sites.
    pub id: MemberId,
    /// Its group.
    pub group_id: GroupId,
    /// Server id at each site where one exists or existed.
    pub servers: BTreeMap<SiteId, String>,
    /// What is needed to rebuild it.
    pub spec: ServerSpec,
    /// In device order; the first is the root disk.
    pub volumes: Vec<MemberVolume>,
    /// When spec and volumes were last read from the cloud.
    pub observed_at: DateTime<Utc>,
    /// A person gave it up after a partial failover: it is not waited for any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abandoned: Option<Abandoned>,
}

/// Who gave a member up, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abandoned {
    /// The failover that could not rebuild it.
    pub operation_id: OperationId,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// All metadata of a server that a rebuild elsewhere needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerSpec {
    /// Server name.
    pub name: String,
    /// Description, if it has one.
    pub description: Option<String>,
    /// Owner.
    pub user_id: String,
    /// Flavor by content: Nova shows no flavor id from 2.47 on.
    pub flavor: FlavorSpec,
    /// Keypair name.
    pub key_name: Option<String>,
    /// Its public half, so that it can be imported elsewhere.
    pub public_key: Option<String>,
    /// Base64, as Nova gives it.
    pub user_data: Option<String>,
    /// Whether it had a config drive.
    pub config_drive: bool,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Availability zone it was in.
    pub availability_zone: Option<String>,
    /// Name and policy of its server group.
    pub server_group: Option<ServerGroupSpec>,
    /// Ports in interface order.
    pub ports: Vec<PortSpec>,
    /// The project's security groups that the ports use, and those which these refer to; never `default`.
    pub security_groups: Vec<SecurityGroupSpec>,
    /// It was SHUTOFF when it was last read: a forced failover, which cannot ask, leaves it off.
    pub was_off: bool,
}

/// A security group, so that it can be made elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecurityGroupSpec {
    /// Name: by it a group is matched at the other site.
    pub name: String,
    /// Description.
    pub description: String,
    /// Rules.
    pub rules: Vec<SecurityGroupRule>,
    /// Rules that mean nothing elsewhere (another project's group, an address group), for a person.
    pub not_portable: Vec<String>,
}

/// A rule of a security group, as Neutron has it, but with the remote group by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct SecurityGroupRule {
    /// `ingress` or `egress`.
    pub direction: String,
    /// `IPv4` or `IPv6`.
    pub ethertype: String,
    /// `tcp` ...; `None`: any.
    pub protocol: Option<String>,
    /// First port, or ICMP type.
    pub port_range_min: Option<i64>,
    /// Last port, or ICMP code.
    pub port_range_max: Option<i64>,
    /// From or to these addresses.
    pub remote_ip_prefix: Option<String>,
    /// From or to members of this group of the same project, by name; its own name: itself.
    pub remote_group: Option<String>,
    /// Description.
    pub description: String,
}

/// A flavor by content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlavorSpec {
    /// `original_name`.
    pub name: String,
    /// Cores.
    pub vcpus: u32,
    /// MiB.
    pub ram_mib: u64,
    /// GiB of root disk.
    pub disk_gib: u64,
    /// GiB of ephemeral disk.
    pub ephemeral_gib: u64,
    /// MiB of swap.
    pub swap_mib: u64,
    /// Extra specs, if we may see them.
    pub extra_specs: BTreeMap<String, String>,
}

/// A server group by name and policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerGroupSpec {
    /// Name.
    pub name: String,
    /// `anti-affinity` ...
    pub policy: String,
}

/// A network port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortSpec {
    /// Port id at the source.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Network id at the source.
    pub network_id: String,
    /// Network name at the source.
    pub network_name: String,
    /// MAC address.
    pub mac_address: String,
    /// Fixed addresses.
    pub fixed_ips: Vec<FixedIp>,
    /// Names of its security groups.
    pub security_groups: Vec<String>,
    /// Port security.
    pub port_security_enabled: bool,
    /// Allowed address pairs, as Neutron gives them.
    pub allowed_address_pairs: serde_json::Value,
    /// `normal`, usually.
    pub vnic_type: Option<String>,
}

/// An address with the CIDR of its subnet, by which the target's subnet is found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedIp {
    /// The address.
    pub ip_address: String,
    /// The source subnet's CIDR.
    pub cidr: String,
}

/// A volume of a member, with its incarnation at each site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberVolume {
    /// Position in device order, from 0.
    pub position: u32,
    /// `/dev/vda`.
    pub device: String,
    /// Cinder's boot index (0 = root, -1 = data).
    pub boot_index: i32,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// GiB.
    pub size_gib: u64,
    /// Bootable flag.
    pub bootable: bool,
    /// The tenant's metadata (without the driver's own keys).
    pub metadata: BTreeMap<String, String>,
    /// Image metadata: UEFI, machine type, bus.
    pub image_metadata: BTreeMap<String, String>,
    /// What the server did with it at its deletion.
    pub delete_on_termination: bool,
    /// Where it is, per site.
    pub placements: BTreeMap<SiteId, VolumePlacement>,
}

/// A volume's incarnation at one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumePlacement {
    /// Cinder id.
    pub volume_id: String,
    /// Name on the array when last seen; `manage` renames.
    pub array_volume: String,
    /// The array's own id, where its version shows one: survives renames.
    pub array_volume_id: Option<String>,
    /// The array's serial: survives renames.
    pub serial: String,
}

/// Arrays, interval and RPO target of one group. Tokens are kept apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicationPolicy {
    /// Management URL of the array at each site.
    pub array_urls: BTreeMap<SiteId, String>,
    /// Array names, as found at the last login.
    pub array_names: BTreeMap<SiteId, String>,
    /// Seconds between scheduled snapshots.
    pub replication_interval: u64,
    /// RPO target in minutes.
    pub rpo_minutes: Option<u64>,
    /// Retention on the target.
    pub retention: Retention,
    /// When it was last set.
    pub updated_at: DateTime<Utc>,
}

/// How long snapshots are kept on the target array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retention {
    /// Seconds for which all are kept.
    pub all_for_sec: u64,
    /// After that, how many a day.
    pub per_day: u32,
    /// For how many days.
    pub days: u32,
}

impl Retention {
    /// How long the last of what is kept is kept: safety copies stay as long.
    pub fn span(&self) -> chrono::TimeDelta {
        let seconds = self.all_for_sec.saturating_add(u64::from(self.days) * 86_400);
        chrono::TimeDelta::try_seconds(i64::try_from(seconds).unwrap_or(i64::MAX))
            .unwrap_or(chrono::TimeDelta::MAX)
    }
}

impl Default for Retention {
    /// What the Cinder driver uses.
    fn default() -> Self {
        Self { all_for_sec: 14_400, per_day: 3, days: 7 }
    }
}

/// What is pushed to the peer on every change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDocument {
    /// The group.
    pub group: ProtectionGroup,
    /// Its members.
    pub members: Vec<Member>,
    /// Its policy, without tokens.
    pub policy: Option<ReplicationPolicy>,
}
