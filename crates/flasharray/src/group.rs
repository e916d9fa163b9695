//! Protection groups: ours, and only ours, are changed.

use std::collections::BTreeSet;

use http::Method;
use protector_http::CallKind;
use protector_ports::{ArrayGroup, ArrayGroupSpec, DestroyPermit, PortError, PortResult};
use serde_json::{Map, Value, json};

use crate::{
    encode::{Query, chunks},
    pod::pod_of,
    rest::{Rest, gone},
    wire::{GroupWire, MemberWire, RetentionWire},
};

/// Begins the name of every group that belongs to Protector.
const OURS: &str = "protector-";

const GROUPS: &str = "/protection-groups";
const MEMBERS: &str = "/protection-groups/volumes";
const TARGETS: &str = "/protection-groups/targets";

/// The name under which a target array lists a group: `array:group`. A pod's group is on both arrays itself: ours in a pod
/// are never replicated on (that would be `pod:group`).
pub(crate) fn name_at_target(source_array: &str, group: &str) -> String {
    match pod_of(group) {
        Some(_) => group.to_owned(),
        None => format!("{source_array}:{group}"),
    }
}

impl Rest {
    pub(crate) async fn group(&self, name: &str) -> PortResult<ArrayGroup> {
        let group = self.live_group(name).await?;
        let targets = match pod_of(name) {
            Some(pod) => self.pod_targets(pod).await?,
            None => self.targets(name).await?,
        };
        let schedule = match pod_of(name) {
            Some(_) => &group.snapshot_schedule,
            None => &group.replication_schedule,
        };
        Ok(ArrayGroup {
            volumes: self.members(name).await?,
            targets,
            schedule_enabled: schedule.enabled,
            interval_sec: schedule.frequency / 1000,
            name: group.name,
        })
    }

    async fn live_group(&self, name: &str) -> PortResult<GroupWire> {
        let query = Query::new().names("names", &[name]).live();
        let groups = self.all::<GroupWire>(GROUPS, query).await?;
        let found = groups
            .into_iter()
            .find(|group| group.name.eq_ignore_ascii_case(name) && !group.destroyed);
        found.ok_or_else(|| self.absent(format!("there is no protection group {name}")))
    }

    async fn targets(&self, group: &str) -> PortResult<Vec<(String, bool)>> {
        let rows =
            self.all::<MemberWire>(TARGETS, Query::new().names("group_names", &[group])).await?;
        Ok(rows.into_iter().filter_map(|row| Some((row.member.name?, row.allowed))).collect())
    }

    async fn members(&self, group: &str) -> PortResult<BTreeSet<String>> {
        let rows =
            self.all::<MemberWire>(MEMBERS, Query::new().names("group_names", &[group])).await?;
        Ok(rows
            .into_iter()
            .filter(|row| row.member.destroyed != Some(true))
            .filter_map(|row| row.member.name)
            .collect())
    }

    async fn patch_group(&self, name: &str, body: &Value) -> PortResult<()> {
        let query = Query::new().names("names", &[name]);
        self.change(Method::PATCH, CallKind::Ensure, GROUPS, &query, body).await.map(drop)
    }

    pub(crate) async fn ensure_group(&self, spec: &ArrayGroupSpec) -> PortResult<()> {
        self.check_ours(&spec.name)?;
        let group = match self.live_group(&spec.name).await {
            Err(PortError::Absent { .. }) => self.make_group(&spec.name).await?,
            other => other?,
        };
        let retention = RetentionWire {
            all_for_sec: spec.retention.all_for_sec,
            per_day: spec.retention.per_day.into(),
            days: spec.retention.days.into(),
        };
        let frequency = spec.interval_sec.saturating_mul(1000);
        // In a pod there is nothing to send: its schedule takes the points, and what it takes is at both arrays.
        let synchronous = pod_of(&spec.name).is_some();
        let (kept, schedule, had, keeps) = match synchronous {
            true => (
                "source_retention",
                "snapshot_schedule",
                group.snapshot_schedule,
                group.source_retention,
            ),
            false => (
                "target_retention",
                "replication_schedule",
                group.replication_schedule,
                group.target_retention,
            ),
        };
        let mut change = Map::new();
        if keeps != retention {
            change.insert(kept.into(), json!(retention));
        }
        if had.frequency != frequency {
            change.insert(schedule.into(), json!({"frequency": frequency}));
        }
        if !change.is_empty() {
            self.patch_group(&spec.name, &change.into()).await?;
        }
        if synchronous { Ok(()) } else { self.ensure_target(&spec.name, &spec.target).await }
    }

    async fn make_group(&self, name: &str) -> PortResult<GroupWire> {
        let query = Query::new().names("names", &[name]);
        match self.send(Method::POST, CallKind::Effect, GROUPS, &query, None).await {
            Ok(_) => self.live_group(name).await,
            Err(PortError::Conflict { .. } | PortError::Absent { .. }) => {
                match self.live_group(name).await {
                    // A destroyed group keeps its name. It is ours: bring it back as it would be new.
                    Err(PortError::Absent { .. }) => self.recover_group(name).await,
                    other => other,
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn recover_group(&self, name: &str) -> PortResult<GroupWire> {
        tracing::info!(
            service = self.label(),
            group = name,
            "recover the destroyed protection group"
        );
        self.patch_group(name, &json!({"destroyed": false})).await?;
        self.set_group_schedule(name, false).await?;
        let left: Vec<String> = self.members(name).await?.into_iter().collect();
        self.remove_from_group(name, &left).await?;
        self.live_group(name).await
    }

    async fn ensure_target(&self, group: &str, target: &str) -> PortResult<()> {
        if self.targets(group).await?.iter().any(|(name, _)| name.eq_ignore_ascii_case(target)) {
            return Ok(());
        }
        let query = Query::new().names("group_names", &[group]).names("member_names", &[target]);
        match self.send(Method::POST, CallKind::Ensure, TARGETS, &query, None).await {
            Ok(_) | Err(PortError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn allow_group(
        &self,
        source_array: &str,
        group: &str,
        allowed: bool,
    ) -> PortResult<()> {
        if pod_of(group).is_some() {
            // One group on both arrays: neither asks the other.
            return Ok(());
        }
        let name = name_at_target(source_array, group);
        if self.is_allowed(&name).await? == Some(allowed) {
            return Ok(());
        }
        let query = Query::new().names("group_names", &[&name]);
        match self
            .change(Method::PATCH, CallKind::Ensure, TARGETS, &query, &json!({"allowed": allowed}))
            .await
        {
            Ok(_) => Ok(()),
            // Somebody else was faster, or it really is not possible.
            Err(error @ (PortError::Conflict { .. } | PortError::Invalid { .. })) => {
                if self.is_allowed(&name).await? == Some(allowed) { Ok(()) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    /// Whether this array lets the group replicate to here; `None` when it does not say. With several targets
    /// the group's rows of the others may be listed too: then only a common value counts.
    async fn is_allowed(&self, name: &str) -> PortResult<Option<bool>> {
        let targets = self.targets(name).await?;
        let first = targets.first().map(|(_, allowed)| *allowed);
        Ok(first.filter(|first| targets.iter().all(|(_, allowed)| allowed == first)))
    }

    pub(crate) async fn set_group_schedule(&self, group: &str, enabled: bool) -> PortResult<()> {
        let schedule = match pod_of(group) {
            Some(_) => "snapshot_schedule",
            None => "replication_schedule",
        };
        self.patch_group(group, &json!({schedule: {"enabled": enabled}})).await
    }

    pub(crate) async fn add_to_group(&self, group: &str, volumes: &[String]) -> PortResult<()> {
        self.set_membership(group, volumes, true).await
    }

    pub(crate) async fn remove_from_group(
        &self,
        group: &str,
        volumes: &[String],
    ) -> PortResult<()> {
        self.check_ours(group)?;
        match self.set_membership(group, volumes, false).await {
            // Without the group nothing is in it.
            Err(PortError::Absent { .. }) => match self.live_group(group).await {
                Err(PortError::Absent { .. }) => Ok(()),
                _ => {
                    Err(self
                        .unknown(format!("the members of {group} changed while they were removed")))
                }
            },
            other => other,
        }
    }

    /// Makes these volumes members, or not, and looks whether the array agrees.
    async fn set_membership(
        &self,
        group: &str,
        volumes: &[String],
        member: bool,
    ) -> PortResult<()> {
        let left = |members: &BTreeSet<String>| -> Vec<String> {
            volumes.iter().filter(|volume| members.contains(*volume) != member).cloned().collect()
        };
        if volumes.is_empty() {
            return Ok(());
        }
        let mut todo = left(&self.members(group).await?);
        // A second round for what somebody else changed between the look and the call.
        for _ in 0..2 {
            if todo.is_empty() {
                return Ok(());
            }
            for portion in chunks(&todo) {
                self.change_membership(group, portion, member).await?;
            }
            todo = left(&self.members(group).await?);
        }
        if todo.is_empty() {
            return Ok(());
        }
        let what = if member { "are not in" } else { "are still in" };
        Err(self.unknown(format!("after the change {} {what} group {group}", todo.join(", "))))
    }

    async fn change_membership(
        &self,
        group: &str,
        volumes: &[String],
        member: bool,
    ) -> PortResult<()> {
        let query = Query::new().names("group_names", &[group]).names("member_names", volumes);
        let method = if member { Method::POST } else { Method::DELETE };
        match self.send(method, CallKind::Ensure, MEMBERS, &query, None).await {
            Ok(_) | Err(PortError::Conflict { .. }) => Ok(()),
            // Some volume is gone, and with it its membership: the look afterwards tells.
            Err(PortError::Absent { .. }) if !member => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn destroy_group(
        &self,
        group: &str,
        permit: &DestroyPermit,
    ) -> PortResult<()> {
        self.check_ours(group)?;
        tracing::info!(service = self.label(), group, reason = permit.reason(), "destroy");
        gone(self.patch_group(group, &json!({"destroyed": true})).await)
    }

    fn check_ours(&self, group: &str) -> PortResult<()> {
        let local = group.rsplit("::").next().unwrap_or(group);
        if local.starts_with(OURS) {
            return Ok(());
        }
        Err(self.invalid(format!(
            "protection group {group} is not Protector's: its name does not begin with {OURS:?}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_its_source_in_its_name_at_the_target() {
        assert_eq!(name_at_target("fa-a", "protector-1"), "fa-a:protector-1");
        assert_eq!(name_at_target("fa-a", "cinder-pod::protector-1"), "cinder-pod::protector-1");
    }
}
