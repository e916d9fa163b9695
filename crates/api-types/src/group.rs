//! `/v1/{tenant_id}/protection-groups`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use protector_types::{
    GroupId, GroupStatus, Member, OperationId, ProjectId, ProtectionGroup, ReplicationStatus,
    ReplicationType, SiteId,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Checked, FieldErrors, PageLink, time};

/// Body of `POST /v1/{tenant_id}/protection-groups`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupCreateBody {
    /// The new group.
    pub protection_group: GroupCreate,
}

/// A group to be created. Mapping keys and values are ids or names.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupCreate {
    /// Unique in the project.
    #[schema(example = "prod-web-app")]
    pub name: String,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// `async` if left out; cannot be changed later.
    #[serde(default = "default_replication_type")]
    pub replication_type: ReplicationType,
    /// Where it runs; left out: the site that is asked.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub primary_site_id: Option<SiteId>,
    /// The other; left out: the site that the project is mapped to.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub secondary_site_id: Option<SiteId>,
    /// Replicated type at the primary site, by id or name; left out: matched by extra specs.
    pub primary_volume_type: Option<String>,
    /// Replicated type at the secondary site, by id or name; left out: matched by extra specs.
    pub secondary_volume_type: Option<String>,
    /// Primary -> secondary.
    #[serde(default)]
    pub network_mapping: BTreeMap<String, String>,
    /// Primary -> secondary.
    #[serde(default)]
    pub flavor_mapping: BTreeMap<String, String>,
    /// Primary -> secondary.
    #[serde(default)]
    pub image_mapping: BTreeMap<String, String>,
    /// Primary -> secondary.
    #[serde(default)]
    pub security_group_mapping: BTreeMap<String, String>,
    /// Primary -> secondary.
    #[serde(default)]
    pub keypair_mapping: BTreeMap<String, String>,
}

fn default_replication_type() -> ReplicationType {
    ReplicationType::Async
}

impl Checked for GroupCreateBody {
    const RESOURCE: (&'static str, Option<&'static str>) =
        ("protection_group", Some("protection_group"));

    fn check(&self, errors: &mut FieldErrors) {
        let group = &self.protection_group;
        errors.name("protection_group.name", &group.name);
        errors.text("protection_group.description", &group.description);
        if group.primary_site_id.is_some() && group.primary_site_id == group.secondary_site_id {
            errors.wrong("protection_group.secondary_site_id", "must not be the primary site");
        }
        for (field, value) in [
            ("protection_group.primary_volume_type", &group.primary_volume_type),
            ("protection_group.secondary_volume_type", &group.secondary_volume_type),
        ] {
            errors.optional(field, value.as_deref(), FieldErrors::name);
        }
        for (field, mapping) in [
            ("protection_group.network_mapping", &group.network_mapping),
            ("protection_group.flavor_mapping", &group.flavor_mapping),
            ("protection_group.image_mapping", &group.image_mapping),
            ("protection_group.security_group_mapping", &group.security_group_mapping),
            ("protection_group.keypair_mapping", &group.keypair_mapping),
        ] {
            errors.mapping(field, mapping);
        }
    }
}

/// Body of `PATCH .../{pg_id}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupUpdateBody {
    /// What changes.
    pub protection_group: GroupUpdate,
}

/// What is left out stays; a mapping replaces the stored one as a whole.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GroupUpdate {
    /// New name.
    pub name: Option<String>,
    /// New text.
    pub description: Option<String>,
    /// New mapping.
    pub network_mapping: Option<BTreeMap<String, String>>,
    /// New mapping.
    pub flavor_mapping: Option<BTreeMap<String, String>>,
    /// New mapping.
    pub image_mapping: Option<BTreeMap<String, String>>,
    /// New mapping.
    pub security_group_mapping: Option<BTreeMap<String, String>>,
    /// New mapping.
    pub keypair_mapping: Option<BTreeMap<String, String>>,
}

impl Checked for GroupUpdateBody {
    const RESOURCE: (&'static str, Option<&'static str>) =
        ("protection_group", Some("protection_group"));

    fn check(&self, errors: &mut FieldErrors) {
        let group = &self.protection_group;
        errors.optional("protection_group.name", group.name.as_deref(), FieldErrors::name);
        let text = group.description.as_deref();
        errors.optional("protection_group.description", text, FieldErrors::text);
        for (field, mapping) in [
            ("protection_group.network_mapping", &group.network_mapping),
            ("protection_group.flavor_mapping", &group.flavor_mapping),
            ("protection_group.image_mapping", &group.image_mapping),
            ("protection_group.security_group_mapping", &group.security_group_mapping),
            ("protection_group.keypair_mapping", &group.keypair_mapping),
        ] {
            errors.optional(field, mapping.as_ref(), FieldErrors::mapping);
        }
    }
}

/// The group's volumes in short; `GET .../consistency-group` shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsistencyGroupRef {
    /// The array's protection group: `protector-<pg id>`.
    pub name: String,
    /// Servers.
    pub member_count: usize,
    /// Volumes of all members.
    pub volume_count: usize,
}

/// A group as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupView {
    /// Id, equal on both sites.
    pub id: GroupId,
    /// Name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Project at the site that is asked.
    pub project_id: ProjectId,
    /// Status.
    pub status: GroupStatus,
    /// How its volumes are replicated.
    pub replication_type: ReplicationType,
    /// Role, never changed by a failover.
    pub primary_site_id: SiteId,
    /// Role, never changed by a failover.
    pub secondary_site_id: SiteId,
    /// Where it runs now.
    pub current_primary_site_id: SiteId,
    /// Name of the replicated type there.
    pub primary_volume_type: Option<String>,
    /// Name of the replicated type there.
    pub secondary_volume_type: Option<String>,
    /// Primary -> secondary.
    pub network_mapping: BTreeMap<String, String>,
    /// Primary -> secondary.
    pub flavor_mapping: BTreeMap<String, String>,
    /// Primary -> secondary.
    pub image_mapping: BTreeMap<String, String>,
    /// Primary -> secondary.
    pub security_group_mapping: BTreeMap<String, String>,
    /// Primary -> secondary.
    pub keypair_mapping: BTreeMap<String, String>,
    /// As last observed.
    pub replication_status: ReplicationStatus,
    /// Source time of the newest usable point at the other site.
    #[serde(with = "time::optional")]
    pub last_replication_at: Option<DateTime<Utc>>,
    /// Completed failovers and failbacks.
    pub failover_count: u64,
    /// Counts metadata changes; also the ETag.
    pub version: u64,
    /// Counts changes of primary.
    pub epoch: u64,
    /// The volumes in short.
    pub consistency_group: ConsistencyGroupRef,
    /// The operation that holds the group.
    pub current_operation_id: Option<OperationId>,
    /// The open drill.
    pub active_test_operation_id: Option<OperationId>,
    /// Why it is read-only at this site.
    pub quarantine: Option<String>,
    /// When it was created.
    #[serde(with = "time")]
    pub created_at: DateTime<Utc>,
    /// When its metadata last changed.
    #[serde(with = "time")]
    pub updated_at: DateTime<Utc>,
}

impl GroupView {
    /// The record as the tenant `project` sees it.
    pub fn new(group: ProtectionGroup, members: &[Member], project: ProjectId) -> Self {
        let volume_type = |site: SiteId| group.volume_types.get(&site).map(|t| t.name.clone());
        Self {
            id: group.id,
            project_id: project,
            status: group.status,
            replication_type: group.replication_type,
            primary_site_id: group.primary_site_id,
            secondary_site_id: group.secondary_site_id,
            current_primary_site_id: group.current_primary_site_id,
            primary_volume_type: volume_type(group.primary_site_id),
            secondary_volume_type: volume_type(group.secondary_site_id),
            consistency_group: ConsistencyGroupRef {
                name: group.array_group_name(),
                member_count: members.len(),
                volume_count: members.iter().map(|m| m.volumes.len()).sum(),
            },
            name: group.name,
            description: group.description,
            network_mapping: group.mappings.network,
            flavor_mapping: group.mappings.flavor,
            image_mapping: group.mappings.image,
            security_group_mapping: group.mappings.security_group,
            keypair_mapping: group.mappings.keypair,
            replication_status: group.replication_status,
            last_replication_at: group.last_replication_at,
            failover_count: group.failover_count,
            version: group.version,
            epoch: group.epoch.number,
            current_operation_id: group.current_operation_id,
            active_test_operation_id: group.active_test_operation_id,
            quarantine: group.quarantine,
            created_at: group.created_at,
            updated_at: group.updated_at,
        }
    }
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupBody {
    /// The group.
    pub protection_group: GroupView,
}

/// A page of groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupsBody {
    /// The page.
    pub protection_groups: Vec<GroupView>,
    /// `next`, if there is more.
    pub protection_groups_links: Vec<PageLink>,
}
