//! `.../{pg_id}/policy`. Array tokens are write-only and shown as `***`.

use chrono::{DateTime, Utc};
use protector_types::{GroupId, ProtectionGroup, ReplicationPolicy, Retention, Secret};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Checked, FieldErrors, Microversion, body::optional_secret, since::shown, time};

/// What a token is shown as. Sent back in a request it means "keep the stored one".
pub const MASK: &str = "***";
/// Bounds of `replication_interval` in seconds: the array's floor, and a year.
pub const INTERVAL: std::ops::RangeInclusive<u64> = 300..=31_536_000;
/// Bounds of `rpo_minutes`: up to a year.
pub const RPO: std::ops::RangeInclusive<u64> = 1..=525_600;

/// Body of `POST .../policy`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySetBody {
    /// The policy; replaces the stored one.
    pub policy: PolicySet,
}

/// Arrays, interval and RPO target of a group.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySet {
    /// Array of the group's primary site.
    #[schema(example = "https://flasharray-a.example.com")]
    pub primary_fa_url: String,
    /// Its API token. Write-only; left out or `***`: the stored one stays.
    #[serde(default, deserialize_with = "optional_secret")]
    #[schema(value_type = Option<String>, write_only)]
    pub primary_fa_api_token: Option<Secret>,
    /// Array of the group's secondary site.
    #[schema(example = "https://flasharray-b.example.com")]
    pub secondary_fa_url: String,
    /// Its API token. Write-only; left out or `***`: the stored one stays.
    #[serde(default, deserialize_with = "optional_secret")]
    #[schema(value_type = Option<String>, write_only)]
    pub secondary_fa_api_token: Option<Secret>,
    /// Seconds between scheduled snapshots.
    #[serde(default = "default_interval")]
    #[schema(minimum = 300, default = 300)]
    pub replication_interval: u64,
    /// RPO target in minutes.
    #[schema(minimum = 1)]
    pub rpo_minutes: Option<u64>,
    /// Kept on the target array; left out: what the Cinder driver uses.
    pub retention: Option<RetentionBody>,
}

fn default_interval() -> u64 {
    *INTERVAL.start()
}

/// How long snapshots are kept on the target array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionBody {
    /// Seconds for which all are kept.
    pub all_for_sec: u64,
    /// After that, how many a day.
    pub per_day: u32,
    /// For how many days.
    pub days: u32,
}

impl From<Retention> for RetentionBody {
    fn from(it: Retention) -> Self {
        Self { all_for_sec: it.all_for_sec, per_day: it.per_day, days: it.days }
    }
}

impl From<RetentionBody> for Retention {
    fn from(it: RetentionBody) -> Self {
        Self { all_for_sec: it.all_for_sec, per_day: it.per_day, days: it.days }
    }
}

impl Checked for PolicySetBody {
    const RESOURCE: (&'static str, Option<&'static str>) = ("policy", Some("policy"));

    fn check(&self, errors: &mut FieldErrors) {
        let policy = &self.policy;
        errors.url("policy.primary_fa_url", &policy.primary_fa_url);
        errors.url("policy.secondary_fa_url", &policy.secondary_fa_url);
        for (field, token) in [
            ("policy.primary_fa_api_token", &policy.primary_fa_api_token),
            ("policy.secondary_fa_api_token", &policy.secondary_fa_api_token),
        ] {
            errors.optional(field, token.as_ref(), FieldErrors::secret);
        }
        let range = |errors: &mut FieldErrors,
                     field: &str,
                     value: u64,
                     range: &std::ops::RangeInclusive<u64>| {
            if !range.contains(&value) {
                errors.wrong(field, format!("must be from {} to {}", range.start(), range.end()));
            }
        };
        range(errors, "policy.replication_interval", policy.replication_interval, &INTERVAL);
        if let Some(minutes) = policy.rpo_minutes {
            range(errors, "policy.rpo_minutes", minutes, &RPO);
        }
        if let Some(retention) = policy.retention {
            range(errors, "policy.retention.all_for_sec", retention.all_for_sec, &(1..=34_560_000));
            range(errors, "policy.retention.per_day", retention.per_day.into(), &(0..=1440));
            range(errors, "policy.retention.days", retention.days.into(), &(0..=4000));
        }
    }
}

impl PolicySet {
    /// A token as sent, unless it is the mask.
    pub fn unmasked(token: Option<Secret>) -> Option<Secret> {
        token.filter(|token| token.expose() != MASK)
    }
}

/// A policy as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyView {
    /// Of this group.
    pub protection_group_id: GroupId,
    /// Array of the group's primary site.
    pub primary_fa_url: Option<String>,
    /// Always `***`.
    #[schema(example = "***")]
    pub primary_fa_api_token: String,
    /// Array of the group's secondary site.
    pub secondary_fa_url: Option<String>,
    /// Always `***`.
    #[schema(example = "***")]
    pub secondary_fa_api_token: String,
    /// Seconds between scheduled snapshots.
    pub replication_interval: u64,
    /// RPO target in minutes.
    pub rpo_minutes: Option<u64>,
    /// Kept on the target array.
    pub retention: RetentionBody,
    /// When it was last set.
    #[serde(with = "time")]
    pub updated_at: DateTime<Utc>,
    /// Name of the array as found at the last login (1.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_fa_name: Option<String>,
    /// Name of the array as found at the last login (1.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary_fa_name: Option<String>,
}

impl PolicyView {
    /// The policy of `group` as this version shows it.
    pub fn new(policy: ReplicationPolicy, group: &ProtectionGroup, version: Microversion) -> Self {
        let (primary, secondary) = (&group.primary_site_id, &group.secondary_site_id);
        let name = |field: &str, site| {
            shown(version, "policy", field, policy.array_names.get(site).cloned()).flatten()
        };
        Self {
            protection_group_id: group.id,
            primary_fa_url: policy.array_urls.get(primary).cloned(),
            primary_fa_api_token: MASK.into(),
            secondary_fa_url: policy.array_urls.get(secondary).cloned(),
            secondary_fa_api_token: MASK.into(),
            replication_interval: policy.replication_interval,
            rpo_minutes: policy.rpo_minutes,
            retention: policy.retention.into(),
            updated_at: policy.updated_at,
            primary_fa_name: name("primary_fa_name", primary),
            secondary_fa_name: name("secondary_fa_name", secondary),
        }
    }
}

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyBody {
    /// The policy.
    pub policy: PolicyView,
}
