//! Every rule that exists, with its default: the one table that API, sample and docs are made of.

/// One API call that asks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiOperation {
    /// `GET`, `POST` ...
    pub method: &'static str,
    /// The path as the OpenAPI document spells it.
    pub path: &'static str,
}

/// A rule with its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// `protector:sites:index`, or a short name for a building block.
    pub name: &'static str,
    /// The default check.
    pub check: &'static str,
    /// What it permits, for the operator.
    pub description: &'static str,
    /// The API calls that ask it; none for a building block.
    pub operations: &'static [ApiOperation],
}

const ADMIN: &str = "role:admin";
const OWNER: &str = "rule:admin_or_owner";
const READER: &str = "rule:admin_or_reader";

macro_rules! rules {
    (
        blocks { $($block:literal = $block_check:literal, $block_text:literal;)+ }
        permissions {
            $($variant:ident = $name:literal, $check:expr, $text:literal, [$($method:ident $path:literal),+];)+
        }
    ) => {
        /// A permission. The API names these and nothing else, so a rule cannot be misspelt.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule {
            $(#[doc = $text] $variant),+
        }

        impl Rule {
            /// Every permission.
            pub const ALL: &'static [Rule] = &[$(Rule::$variant),+];

            /// The name in `policy.yaml`.
            pub const fn name(self) -> &'static str {
                match self { $(Rule::$variant => $name),+ }
            }

            /// The API calls that ask it.
            pub const fn operations(self) -> &'static [ApiOperation] {
                match self {
                    $(Rule::$variant => &[$(ApiOperation { method: stringify!($method), path: $path }),+]),+
                }
            }
        }

        const REGISTERED: &[Registered] = &[
            $(Registered {
                name: $block, check: $block_check, description: $block_text, operations: &[],
            },)+
            $(Registered {
                name: $name,
                check: $check,
                description: $text,
                operations: Rule::$variant.operations(),
            },)+
        ];
    };
}

rules! {
    blocks {
        "context_is_admin" = "role:admin", "Who counts as administrator, in every project.";
        "project_member" = "(role:member or role:manager) and project_id:%(project_id)s",
            "Who may change things in the project of the path.";
        "project_reader" = "role:reader and project_id:%(project_id)s",
            "Who may look at things in the project of the path.";
        "admin_or_owner" = "rule:context_is_admin or rule:project_member",
            "The default of what changes something.";
        "admin_or_reader" = "rule:context_is_admin or rule:project_reader or rule:project_member",
            "The default of what only reads.";
    }
    permissions {
        SitesIndex = "protector:sites:index", ADMIN, "List the registered sites.",
            [GET "/v1/admin/sites"];
        SitesShow = "protector:sites:show", ADMIN, "Show one site.",
            [GET "/v1/admin/sites/{site_id}"];
        SitesCreate = "protector:sites:create", ADMIN, "Register a site.",
            [POST "/v1/admin/sites"];
        SitesUpdate = "protector:sites:update", ADMIN, "Change a site's record or credentials.",
            [PATCH "/v1/admin/sites/{site_id}"];
        SitesDelete = "protector:sites:delete", ADMIN, "Remove a site.",
            [DELETE "/v1/admin/sites/{site_id}"];
        SitesValidate = "protector:sites:validate", ADMIN,
            "Prove by harmless calls that a site can be used.",
            [POST "/v1/admin/sites/{site_id}/validate"];
        SitesVolumeTypes = "protector:sites:volume_types", ADMIN,
            "List a site's replication-enabled volume types.",
            [GET "/v1/admin/sites/{site_id}/volume-types"];
        SitesFailover = "protector:sites:failover", "role:dr_site_admin or role:admin",
            "Fail over every group of a site, whatever project it belongs to.",
            [POST "/v1/admin/sites/{site_id}/action"];
        TenantMappingsIndex = "protector:tenant_mappings:index", ADMIN, "List the tenant mappings.",
            [GET "/v1/admin/tenant-mappings"];
        TenantMappingsShow = "protector:tenant_mappings:show", ADMIN, "Show one tenant mapping.",
            [GET "/v1/admin/tenant-mappings/{mapping_id}"];
        TenantMappingsCreate = "protector:tenant_mappings:create", ADMIN,
            "Pair a project of one site with a project of the other.",
            [POST "/v1/admin/tenant-mappings"];
        TenantMappingsDelete = "protector:tenant_mappings:delete", ADMIN, "Remove a tenant mapping.",
            [DELETE "/v1/admin/tenant-mappings/{mapping_id}"];
        GroupsIndex = "protector:protection_groups:index", READER, "List the protection groups.",
            [GET "/v1/{tenant_id}/protection-groups"];
        GroupsShow = "protector:protection_groups:show", READER, "Show one protection group.",
            [GET "/v1/{tenant_id}/protection-groups/{pg_id}"];
        GroupsCreate = "protector:protection_groups:create", OWNER, "Create a protection group.",
            [POST "/v1/{tenant_id}/protection-groups"];
        GroupsUpdate = "protector:protection_groups:update", OWNER,
            "Change a protection group's name, description or mappings.",
            [PATCH "/v1/{tenant_id}/protection-groups/{pg_id}"];
        GroupsDelete = "protector:protection_groups:delete", OWNER,
            "Delete a protection group. Never a volume or a server.",
            [DELETE "/v1/{tenant_id}/protection-groups/{pg_id}"];
        GroupsForceDelete = "protector:protection_groups:force_delete", ADMIN,
            "Delete a protection group with force, also when the other site is gone for good.",
            [DELETE "/v1/{tenant_id}/protection-groups/{pg_id}"];
        MembersIndex = "protector:members:index", READER, "List a group's members.",
            [GET "/v1/{tenant_id}/protection-groups/{pg_id}/members"];
        MembersShow = "protector:members:show", READER, "Show one member.",
            [GET "/v1/{tenant_id}/protection-groups/{pg_id}/members/{member_id}"];
        MembersCreate = "protector:members:create", OWNER, "Put a server into a group.",
            [POST "/v1/{tenant_id}/protection-groups/{pg_id}/members"];
        MembersDelete = "protector:members:delete", OWNER, "Take a server out of a group.",
            [DELETE "/v1/{tenant_id}/protection-groups/{pg_id}/members/{member_id}"];
        MembersRefresh = "protector:members:refresh", OWNER,
            "Read a member's server again and store what changed.",
            [POST "/v1/{tenant_id}/protection-groups/{pg_id}/members/{member_id}/refresh"];
        PolicyShow = "protector:policy:show", READER,
            "Show a group's replication policy; tokens are never shown.",
            [GET "/v1/{tenant_id}/protection-groups/{pg_id}/policy"];
        PolicyCreate = "protector:policy:create", OWNER,
            "Set or replace a group's replication policy, array tokens included.",
            [POST "/v1/{tenant_id}/protection-groups/{pg_id}/policy"];
        ConsistencyGroupShow = "protector:consistency_group:show", READER,
            "Show a group's consistency group.",
            [GET "/v1/{tenant_id}/protection-groups/{pg_id}/consistency-group"];
        ConsistencyGroupSync = "protector:consistency_group:sync", OWNER,
            "Replicate the consistency group now; the same operation as the action sync_volumes.",
            [POST "/v1/{tenant_id}/protection-groups/{pg_id}/consistency-group/sync"];
        OperationsIndex = "protector:operations:index", READER, "List the operations.",
            [GET "/v1/{tenant_id}/operations"];
        OperationsShow = "protector:operations:show", READER, "Show one operation.",
            [GET "/v1/{tenant_id}/operations/{op_id}"];
        OperationsEvents = "protector:operations:events", READER, "Read or follow an operation's journal.",
            [GET "/v1/{tenant_id}/operations/{op_id}/events"];
        SyncStatusShow = "protector:sync_status:show", READER,
            "Show whether both sites hold the same metadata.",
            [GET "/v1/{tenant_id}/protection-groups/{pg_id}/sync-status"];
        SyncStatusForce = "protector:sync_status:force", OWNER,
            "Push the group's metadata to the other site, or choose a side after a conflict.",
            [POST "/v1/{tenant_id}/protection-groups/{pg_id}/sync-force"];
        RecoveryPointsIndex = "protector:recovery_points:index", READER,
            "List the group-consistent points on the target array.",
            [GET "/v1/{tenant_id}/protection-groups/{pg_id}/recovery-points"];
        PlanCreate = "protector:plan:create", READER,
            "Compute the plan of an action. Touches nothing, so a reader may; the action itself has its own rule.",
            [POST "/v1/{tenant_id}/protection-groups/{pg_id}/plan"];
        HealthShow = "protector:health:show", READER, "Show the health of a group, or of this site.",
            [GET "/v1/{tenant_id}/protection-groups/{pg_id}/health", GET "/v1/health"];
        ActionFailover = "protector:action:failover", OWNER, "Fail a group over.",
            [POST "/v1/{tenant_id}/protection-groups/{pg_id}/action"];
        ActionFailback = "protector:action:failback", OWNER, "Fail a group back.",
            [POST "/v1/{tenant_id}/protection-groups/{pg_id}/action"];
        ActionTestFailover = "protector:action:test_failover", OWNER,
            "Run a drill; also asked for a failover with retain_primary.",
            [POST "/v1/{tenant_id}/protection-groups/{pg_id}/action"];
        ActionTestCleanup = "protector:action:test_cleanup", OWNER, "Remove what a drill made.",
            [POST "/v1/{tenant_id}/protection-groups/{pg_id}/action"];
        ActionSyncVolumes = "protector:action:sync_volumes", OWNER, "Replicate the volumes now.",
            [POST "/v1/{tenant_id}/protection-groups/{pg_id}/action"];
        ActionCancel = "protector:action:cancel", OWNER, "Cancel the running operation.",
            [POST "/v1/{tenant_id}/protection-groups/{pg_id}/action"];
        ActionRetry = "protector:action:retry", OWNER, "Run a failed or parked operation again.",
            [POST "/v1/{tenant_id}/protection-groups/{pg_id}/action"];
        ActionSkip = "protector:action:skip", OWNER, "Leave one step of a parked operation out.",
            [POST "/v1/{tenant_id}/protection-groups/{pg_id}/action"];
        ActionAbandon = "protector:action:abandon", OWNER,
            "Give up the rest of a parked operation, with a reason.",
            [POST "/v1/{tenant_id}/protection-groups/{pg_id}/action"];
        ActionReprotect = "protector:action:reprotect", OWNER,
            "Accept the current site as primary and replicate the other way.",
            [POST "/v1/{tenant_id}/protection-groups/{pg_id}/action"];
        ActionTakeover = "protector:action:takeover", OWNER,
            "Finish or undo an operation of a site that is dead.",
            [POST "/v1/{tenant_id}/protection-groups/{pg_id}/action"];
        ActionReleaseQuarantine = "protector:action:release_quarantine", OWNER,
            "Make a quarantined group usable again.",
            [POST "/v1/{tenant_id}/protection-groups/{pg_id}/action"];
        ActionResetStatus = "protector:action:reset_status", ADMIN,
            "Set a group in error to the state that a fresh look proves.",
            [POST "/v1/{tenant_id}/protection-groups/{pg_id}/action"];
        PeerCall = "protector:peer:call", "role:admin or role:service",
            "Calls from the other site's Protector; never a tenant's token.",
            [ANY "/v1/peer/*"];
    }
}

/// Every registered rule, building blocks first, in the order of the sample.
pub fn registered() -> &'static [Registered] {
    REGISTERED
}

impl Rule {
    /// The permission of an action by its key in the body (`failover`, `test_cleanup` ...); `None` for
    /// a key that is no action. Pass the resolved type: a `failover` with `retain_primary` is a `test_failover`.
    pub fn for_action(key: &str) -> Option<Rule> {
        Self::ALL
            .iter()
            .copied()
            .find(|rule| rule.name().strip_prefix("protector:action:") == Some(key))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use protector_types::{ProjectId, UserId};

    use super::*;
    use crate::{Credentials, Policy, Target};

    /// The rules that `role` of project p1 has in project p1, and in project p2.
    fn granted(role: &str) -> (BTreeSet<Rule>, BTreeSet<Rule>) {
        let policy = Policy::defaults().unwrap();
        let caller = Credentials::new(&UserId::from("u"), &ProjectId::from("p1"), [role]);
        let in_project = |project: &str| {
            let target = Target::project(&ProjectId::from(project));
            Rule::ALL.iter().copied().filter(|r| policy.allows(*r, &caller, &target)).collect()
        };
        (in_project("p1"), in_project("p2"))
    }

    fn is_admins(rule: Rule) -> bool {
        use Rule::*;
        matches!(rule, GroupsForceDelete | ActionResetStatus | PeerCall)
            || rule.name().starts_with("protector:sites:")
            || rule.name().starts_with("protector:tenant_mappings:")
    }

    fn is_read(rule: Rule) -> bool {
        rule == Rule::PlanCreate || rule.operations().iter().all(|call| call.method == "GET")
    }

    #[test]
    fn an_admin_may_everything_everywhere() {
        let all: BTreeSet<_> = Rule::ALL.iter().copied().collect();
        assert_eq!(granted("admin"), (all.clone(), all));
    }

    #[test]
    fn a_member_or_manager_may_the_tenants_things_in_the_own_project_only() {
        let tenants: BTreeSet<_> = Rule::ALL.iter().copied().filter(|r| !is_admins(*r)).collect();
        for role in ["member", "manager"] {
            assert_eq!(granted(role), (tenants.clone(), BTreeSet::new()), "{role}");
        }
    }

    #[test]
    fn a_reader_may_only_read_in_the_own_project() {
        let reads: BTreeSet<_> =
            Rule::ALL.iter().copied().filter(|r| is_read(*r) && !is_admins(*r)).collect();
        assert_eq!(granted("reader"), (reads, BTreeSet::new()));
    }

    #[test]
    fn special_roles_have_their_one_right() {
        let one = |rule| BTreeSet::from([rule]);
        assert_eq!(granted("dr_site_admin"), (one(Rule::SitesFailover), one(Rule::SitesFailover)));
        assert_eq!(granted("service"), (one(Rule::PeerCall), one(Rule::PeerCall)));
        assert_eq!(granted("protector"), (BTreeSet::new(), BTreeSet::new()));
    }

    #[test]
    fn names_are_unique_and_every_action_is_found() {
        let names: BTreeSet<_> = registered().iter().map(|rule| rule.name).collect();
        assert_eq!(names.len(), registered().len());
        assert_eq!(Rule::for_action("test_cleanup"), Some(Rule::ActionTestCleanup));
        assert_eq!(Rule::for_action("release_quarantine"), Some(Rule::ActionReleaseQuarantine));
        assert_eq!(Rule::for_action("explode"), None);
        assert_eq!(Rule::ALL.iter().filter(|r| r.name().contains(":action:")).count(), 13);
    }
}
