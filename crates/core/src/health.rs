//! Health, consistency group and recovery points: partial data, never an error, when a part is down.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use protector_ports::RecoveryPoint;
use protector_store::Scope;
use protector_types::{
    Code, GroupDocument, GroupId, GroupStatus, ProjectId, Refusal, SiteId, SiteStatus, SyncState,
};

use crate::{
    ComponentHealth, ConsistencyGroupDetail, ConsistencyVolume, Core, GroupHealth,
    RecoveryPointDetail, errors, members,
};

/// Patience with one part, in real time.
const PART_PATIENCE: Duration = Duration::from_secs(5);

impl Core {
    /// Group-consistent points on the array of the site that a failover would move to, newest first.
    ///
    /// # Errors
    /// NotFound, PolicyMissing, ArrayError.
    pub async fn recovery_points(
        &self,
        project: &ProjectId,
        id: GroupId,
    ) -> Result<Vec<RecoveryPointDetail>, Refusal> {
        let document = self
            .store
            .group_document(&Scope::Project(project.clone()), id)
            .await
            .map_err(errors::store)?;
        let mut points = self.points(&document).await?;
        points.sort_by_key(|point| std::cmp::Reverse(point.created));
        let now = self.clock.now();
        Ok(points.into_iter().map(|point| describe_point(point, &document, now)).collect())
    }

    async fn points(&self, document: &GroupDocument) -> Result<Vec<RecoveryPoint>, Refusal> {
        let group = &document.group;
        let policy = document.policy.as_ref().ok_or_else(|| {
            Refusal::new(Code::PolicyMissing, "The group has no replication policy")
        })?;
        let (source, target) = (group.current_primary_site_id, group.current_secondary_site_id());
        let source_array = policy.array_names.get(&source).cloned().unwrap_or_default();
        let look = async {
            let array = self.fabric.array(group.id, target).await?;
            array.recovery_points(&source_array, &group.array_group_name()).await
        };
        let points = match tokio::time::timeout(PART_PATIENCE, look).await {
            Ok(Ok(points)) => points,
            Ok(Err(error)) if error.is_absent() => Vec::new(),
            Ok(Err(error)) => return Err(Refusal::new(Code::ArrayError, error.to_string())),
            Err(_) => {
                return Err(Refusal::new(
                    Code::ArrayError,
                    "The target array did not answer in time",
                ));
            }
        };
        Ok(points)
    }

    /// The consistency group with array names on both sites and the newest usable point.
    ///
    /// # Errors
    /// NotFound.
    pub async fn consistency_group(
        &self,
        project: &ProjectId,
        id: GroupId,
    ) -> Result<ConsistencyGroupDetail, Refusal> {
        let document = self
            .store
            .group_document(&Scope::Project(project.clone()), id)
            .await
            .map_err(errors::store)?;
        let (newest_point, reason) = self.newest_usable(&document).await;
        let volumes = document
            .members
            .iter()
            .flat_map(|member| {
                member.volumes.iter().map(|volume| ConsistencyVolume {
                    member: member.spec.name.clone(),
                    device: volume.device.clone(),
                    size_gib: volume.size_gib,
                    volume_ids: volume
                        .placements
                        .iter()
                        .map(|(s, p)| (*s, p.volume_id.clone()))
                        .collect(),
                    array_volumes: volume
                        .placements
                        .iter()
                        .map(|(s, p)| (*s, p.array_volume.clone()))
                        .collect(),
                })
            })
            .collect();
        Ok(ConsistencyGroupDetail {
            group_id: id,
            array_group: document.group.array_group_name(),
            arrays: document.policy.as_ref().map(|p| p.array_names.clone()).unwrap_or_default(),
            volumes,
            newest_point: newest_point.map(|p| (p.name, p.created)),
            observed_at: Some(self.clock.now()),
            reason,
        })
    }

    /// The newest complete point that holds every volume of the group, or why there is none.
    pub(crate) async fn newest_usable(
        &self,
        document: &GroupDocument,
    ) -> (Option<RecoveryPoint>, Option<String>) {
        let source = document.group.current_primary_site_id;
        let volumes: Vec<String> =
            document.members.iter().flat_map(|m| members::array_volumes(m, source)).collect();
        match self.points(document).await {
            Err(refusal) => (None, Some(refusal.detail)),
            Ok(points) => {
                let usable = points.into_iter().find(|p| p.is_usable_for(&volumes));
                let reason = usable.is_none().then(|| {
                    "no replicated snapshot is complete and holds every volume of the group; run sync_volumes".to_owned()
                });
                (usable, reason)
            }
        }
    }

    /// Health of one group.
    ///
    /// # Errors
    /// NotFound.
    pub async fn group_health(
        &self,
        project: &ProjectId,
        id: GroupId,
    ) -> Result<GroupHealth, Refusal> {
        let document = self
            .store
            .group_document(&Scope::Project(project.clone()), id)
            .await
            .map_err(errors::store)?;
        let (link, (point, point_reason), sync, acting) = futures::join!(
            self.link_health(&document),
            self.newest_usable(&document),
            self.sync_of(&document),
            self.acting(&document)
        );
        let sync = sync?;
        let now = self.clock.now();
        let (lag_seconds, mirror_reason) = match document.group.is_synchronous() {
            true => match self.mirror_is_online(&document).await {
                Ok(()) => (Some(0), None),
                Err(why) => (None, Some(why)),
            },
            false => {
                let age = |p: &RecoveryPoint| (now - p.created).num_seconds();
                (point.as_ref().map(|p| u64::try_from(age(p)).unwrap_or(0)), None)
            }
        };
        // A synchronous group's point is taken when it is needed.
        let point_reason =
            if document.group.is_synchronous() { mirror_reason } else { point_reason };
        let target = document.policy.as_ref().and_then(|p| p.rpo_minutes);
        let rpo_compliant = lag_seconds.zip(target).map(|(lag, minutes)| lag <= minutes * 60);
        let mut reasons = Vec::new();
        if document.group.status != GroupStatus::Active {
            reasons.push(format!("the group is {}", document.group.status));
        }
        if let Some(operation) = document.group.current_operation_id {
            reasons.push(format!("operation {operation} holds the group"));
        }
        if document.members.is_empty() {
            reasons.push("the group has no members".into());
        }
        if link.status != "ok" {
            reasons.push(format!("{}: {}", link.name, link.reason.clone().unwrap_or_default()));
        }
        if sync.status != SyncState::InSync {
            reasons.push(format!(
                "metadata is {}: {}",
                sync.status,
                sync.reason.clone().unwrap_or_default()
            ));
        }
        reasons.extend(point_reason);
        if rpo_compliant == Some(false) {
            reasons.push(format!(
                "the newest usable point is {} s old",
                lag_seconds.unwrap_or_default()
            ));
        }
        Ok(GroupHealth {
            group_id: id,
            link,
            lag_seconds,
            rpo_compliant,
            sync_status: sync.status,
            failover_ready: reasons.is_empty(),
            reasons,
            acting,
            observed_at: now,
        })
    }

    /// Whether the other array holds every write of a synchronous group, by its own account; or why not.
    async fn mirror_is_online(&self, document: &GroupDocument) -> Result<(), String> {
        let group = &document.group;
        let target = group.current_secondary_site_id();
        let names = document.policy.as_ref().map(|policy| &policy.array_names);
        let name = |site| names.and_then(|names| names.get(&site)).cloned().unwrap_or_default();
        let (own, partner) = (name(target), name(group.current_primary_site_id));
        let volumes: Vec<String> = document
            .members
            .iter()
            .flat_map(|m| crate::members::array_volumes(m, group.current_primary_site_id))
            .collect();
        let look = async {
            let array = self.fabric.array(group.id, target).await?;
            array.sync_group(&group.own_array_group_name(), &partner, &volumes).await
        };
        match tokio::time::timeout(PART_PATIENCE, look).await {
            Ok(Ok(found)) => match found.why_unusable(&own) {
                None => Ok(()),
                Some(why) => Err(format!("{} {why}", found.container)),
            },
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the target array did not answer in time".into()),
        }
    }

    async fn link_health(&self, document: &GroupDocument) -> ComponentHealth {
        let observed_at = self.clock.now();
        let part = |status: &str, reason: Option<String>| ComponentHealth {
            name: "replication_link".into(),
            status: status.into(),
            reason,
            observed_at,
        };
        let Some(policy) = &document.policy else {
            return part("unknown", Some("the group has no replication policy".into()));
        };
        let source = document.group.current_primary_site_id;
        let remote =
            policy.array_names.get(&document.group.other_site(source)).cloned().unwrap_or_default();
        let look = async { self.fabric.array(document.group.id, source).await?.links().await };
        match tokio::time::timeout(PART_PATIENCE, look).await {
            Err(_) => part("unknown", Some("the source array did not answer in time".into())),
            Ok(Err(error)) => part("unknown", Some(error.to_string())),
            Ok(Ok(links)) => match links.iter().find(|l| l.remote == remote) {
                Some(link) if link.is_usable() => part("ok", None),
                Some(link) => {
                    part("down", Some(format!("the link to {remote} is {}", link.status)))
                }
                None => part("down", Some(format!("there is no link to {remote}"))),
            },
        }
    }

    /// Health of this Protector's parts.
    ///
    /// # Errors
    /// None today; the database's trouble is a component's status.
    pub async fn service_health(&self) -> Result<Vec<ComponentHealth>, Refusal> {
        let now = self.clock.now();
        let part = |name: String, status: &str, reason: Option<String>| ComponentHealth {
            name,
            status: status.into(),
            reason,
            observed_at: now,
        };
        let mut parts = vec![part("protector-api".into(), "ok", None)];
        match self.store.ping().await {
            Ok(()) => parts.push(part("database".into(), "ok", None)),
            Err(error) => {
                parts.push(part("database".into(), "down", Some(error.to_string())));
                return Ok(parts);
            }
        }
        let engines = self.store.engines().await.unwrap_or_default();
        let fresh =
            engines.iter().filter(|e| now - e.seen_at < chrono::Duration::seconds(30)).count();
        parts.push(match fresh {
            0 => part(
                "protector-engine".into(),
                "down",
                Some("no engine has reported for 30 s; start one".into()),
            ),
            n => part("protector-engine".into(), "ok", Some(format!("{n} engines"))),
        });
        for site in self.store.all_sites().await.unwrap_or_default() {
            let status = match site.status {
                SiteStatus::Active => "ok",
                SiteStatus::Registering => "unknown",
                SiteStatus::Unreachable | SiteStatus::Error => "down",
            };
            parts.push(ComponentHealth {
                observed_at: site.status_observed_at.unwrap_or(now),
                ..part(format!("site:{}", site.name), status, site.status_reason)
            });
        }
        Ok(parts)
    }
}

/// What a point is good for. Volumes that joined the group after it are not in it.
fn describe_point(
    point: RecoveryPoint,
    document: &GroupDocument,
    now: DateTime<Utc>,
) -> RecoveryPointDetail {
    let source = document.group.current_primary_site_id;
    let (mut missing, mut size_gib) = (Vec::new(), 0);
    for member in &document.members {
        for volume in &member.volumes {
            match volume.placements.get(&source) {
                Some(placement) if point.volumes.contains(&placement.array_volume) => {
                    size_gib += volume.size_gib;
                }
                _ => missing.push(format!("{} {}", member.spec.name, volume.device)),
            }
        }
    }
    let unusable = if point.completed.is_none() || point.progress_milli < 1000 {
        Some("its transfer to the target array is not complete".to_owned())
    } else if missing.is_empty() {
        None
    } else {
        Some(format!("it does not hold every volume of the group: {} missing", missing.join(", ")))
    };
    let age_seconds = u64::try_from((now - point.created).num_seconds()).unwrap_or(0);
    RecoveryPointDetail { point, unusable, age_seconds, size_gib }
}

/// Names of sites, for messages.
pub(crate) fn site_names(sites: &[protector_types::Site]) -> BTreeMap<SiteId, String> {
    sites.iter().map(|s| (s.id, s.name.clone())).collect()
}
