//! What came with which microversion, as data. A field or verb of a later version is neither accepted nor
//! shown in an earlier one; `docs/api-versions.md` is written from these two tables.

use crate::Microversion;

/// A field of a resource that came after 1.0.
#[derive(Debug, Clone, Copy)]
pub struct FieldSince {
    /// The resource's key in its body: `site`, `operation` ...
    pub resource: &'static str,
    /// The field.
    pub field: &'static str,
    /// First version that has it.
    pub since: Microversion,
}

/// A call that came after 1.0.
#[derive(Debug, Clone, Copy)]
pub struct VerbSince {
    /// `GET` ...
    pub method: &'static str,
    /// The path as the OpenAPI document spells it.
    pub path: &'static str,
    /// First version that has it.
    pub since: Microversion,
}

const fn field(resource: &'static str, field: &'static str, since: Microversion) -> FieldSince {
    FieldSince { resource, field, since }
}

/// Fields after 1.0.
pub const FIELDS: &[FieldSince] = &[
    field("operation", "result_data", Microversion::V1_1),
    field("operation", "project_id", Microversion::V1_3),
    field("operation", "warnings", Microversion::V1_3),
    field("operation", "leaked", Microversion::V1_3),
    field("operation", "stages", Microversion::V1_3),
    field("operation", "user_id", Microversion::V1_3),
    field("operation", "request_id", Microversion::V1_3),
    field("operation", "retry_of", Microversion::V1_3),
    field("member", "abandoned", Microversion::V1_3),
    field("operation.steps_failed", "retries", Microversion::V1_3),
    field("health", "link", Microversion::V1_2),
    field("health", "lag_seconds", Microversion::V1_2),
    field("health", "rpo_compliant", Microversion::V1_2),
    field("health", "reasons", Microversion::V1_2),
    field("health", "delegation", Microversion::V1_3),
    field("health.components", "reason", Microversion::V1_2),
    field("site", "cinder_host", Microversion::V1_3),
    field("site", "status_reason", Microversion::V1_3),
    field("sync_status", "reason", Microversion::V1_3),
    field("sync-force", "from", Microversion::V1_3),
    field("policy", "primary_fa_name", Microversion::V1_3),
    field("policy", "secondary_fa_name", Microversion::V1_3),
];

/// Calls after 1.0.
pub const VERBS: &[VerbSince] = &[
    VerbSince {
        method: "GET",
        path: "/v1/{tenant_id}/protection-groups/{pg_id}/recovery-points",
        since: Microversion::V1_3,
    },
    VerbSince {
        method: "POST",
        path: "/v1/{tenant_id}/protection-groups/{pg_id}/plan",
        since: Microversion::V1_3,
    },
    VerbSince {
        method: "GET",
        path: "/v1/{tenant_id}/operations/{op_id}/events",
        since: Microversion::V1_3,
    },
];

/// Keys of `result_data` that 1.1 shows of any operation; the others are 1.3.
pub const RESULT_DATA_1_1: [&str; 3] =
    ["instances_created", "volumes_managed", "current_primary_site"];

/// Keys that even a drill's `result_data` has only from 1.3 on; its lists of resources are 1.1.
pub const RESULT_DATA_1_3: [&str; 6] = [
    "leaked",
    "not_preserved",
    "warnings",
    "recovery_point",
    "recovery_point_age_seconds",
    "primary",
];

/// First version with this field.
pub fn field_since(resource: &str, field: &str) -> Microversion {
    FIELDS
        .iter()
        .find(|row| row.resource == resource && row.field == field)
        .map_or(Microversion::MIN, |row| row.since)
}

/// First version with this call.
pub fn verb_since(method: &str, path: &str) -> Microversion {
    VERBS
        .iter()
        .find(|row| row.method == method && row.path == path)
        .map_or(Microversion::MIN, |row| row.since)
}

/// The value, if `version` has the field.
pub(crate) fn shown<T>(version: Microversion, resource: &str, field: &str, value: T) -> Option<T> {
    (version >= field_since(resource, field)).then_some(value)
}
