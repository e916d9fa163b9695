//! Group snapshots, and which of them can be recovered from at the target.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use protector_http::CallKind;
use protector_ports::{PortError, PortResult, RecoveryPoint};
use serde_json::json;

use crate::{
    encode::Query,
    group::name_at_target,
    pod::pod_of,
    rest::Rest,
    wire::{SnapshotWire, TransferWire},
};

const SNAPSHOTS: &str = "/protection-group-snapshots";
const TRANSFERS: &str = "/protection-group-snapshots/transfer";

impl Rest {
    pub(crate) async fn snapshot_group(&self, group: &str, suffix: &str) -> PortResult<()> {
        // Without apply_retention the snapshot would stay for ever on both sides.
        let mut query = Query::new().names("source_names", &[group]);
        if pod_of(group).is_none() {
            query = query.with("replicate_now", "true");
        }
        let query = query.with("apply_retention", "true");
        self.change(Method::POST, CallKind::Effect, SNAPSHOTS, &query, &json!({"suffix": suffix}))
            .await
            .map(drop)
    }

    pub(crate) async fn has_group_snapshot(&self, group: &str, suffix: &str) -> PortResult<bool> {
        Ok(self.snapshot(&format!("{group}.{suffix}")).await?.is_some())
    }

    async fn snapshot(&self, name: &str) -> PortResult<Option<SnapshotWire>> {
        let query = Query::new().names("names", &[name]).live();
        let snapshots = none_if_absent(self.all::<SnapshotWire>(SNAPSHOTS, query).await)?;
        Ok(snapshots.into_iter().find(|s| s.name.eq_ignore_ascii_case(name) && !s.destroyed))
    }

    pub(crate) async fn recovery_point(
        &self,
        source_array: &str,
        group: &str,
        suffix: &str,
    ) -> PortResult<Option<RecoveryPoint>> {
        let group = name_at_target(source_array, group);
        let name = format!("{group}.{suffix}");
        let Some(snapshot) = self.snapshot(&name).await? else { return Ok(None) };
        let query = Query::new().names("names", &[&name]).live();
        let transfers = none_if_absent(self.all::<TransferWire>(TRANSFERS, query).await)?;
        let transfer = transfers.into_iter().find(|t| t.name.eq_ignore_ascii_case(&name));
        let mut point = self.point(&snapshot, transfer.as_ref(), &group)?;
        // What is on its way has no volumes that anyone could use.
        if is_complete(&point) {
            let held = self.held_volumes(&name, &group).await?;
            point.volumes = held.into_iter().next().map(|(_, volumes)| volumes).unwrap_or_default();
        }
        Ok(Some(point))
    }

    pub(crate) async fn recovery_points(
        &self,
        source_array: &str,
        group: &str,
    ) -> PortResult<Vec<RecoveryPoint>> {
        let group = name_at_target(source_array, group);
        // 1. What has arrived. The server's filter on a fraction is not trusted.
        let query = Query::new().names("source_names", &[&group]).live().with("sort", "started-");
        let transfers: BTreeMap<String, TransferWire> =
            none_if_absent(self.all::<TransferWire>(TRANSFERS, query).await)?
                .into_iter()
                .filter(|transfer| !transfer.destroyed)
                .map(|transfer| (transfer.name.clone(), transfer))
                .collect();
        // 2. When each was taken at the source: an old one can have been sent again later.
        let query = Query::new().names("source_names", &[&group]).live();
        let snapshots = none_if_absent(self.all::<SnapshotWire>(SNAPSHOTS, query).await)?;
        let mut points = Vec::with_capacity(snapshots.len());
        for snapshot in snapshots.iter().filter(|snapshot| !snapshot.destroyed) {
            points.push(self.point(snapshot, transfers.get(&snapshot.name), &group)?);
        }
        // 3. Which volumes each holds: those that joined later are missing.
        if points.iter().any(is_complete) {
            let mut held = self.held_volumes(&group, &group).await?;
            for point in points.iter_mut().filter(|point| is_complete(point)) {
                point.volumes = held.remove(&point.name).unwrap_or_default();
            }
        }
        points.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| b.name.cmp(&a.name)));
        Ok(points)
    }

    /// The volumes of every group snapshot whose volume snapshots are called `prefix.*`, by the group
    /// snapshot's name.
    async fn held_volumes(
        &self,
        prefix: &str,
        group: &str,
    ) -> PortResult<BTreeMap<String, BTreeSet<String>>> {
        let filter = format!("name={}", self.quoted(&format!("{prefix}.*"))?);
        let query = Query::new().with("filter", &filter).live();
        let snapshots = self.all::<SnapshotWire>("/volume-snapshots", query).await?;
        let mut held: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for snapshot in snapshots.iter().filter(|snapshot| !snapshot.destroyed) {
            if let Some((point, volume)) = split(&snapshot.name, group) {
                let volume = match pod_of(group) {
                    Some(pod) => format!("{pod}::{volume}"),
                    None => volume.to_owned(),
                };
                held.entry(point.to_owned()).or_default().insert(volume);
            }
        }
        Ok(held)
    }

    fn point(
        &self,
        snapshot: &SnapshotWire,
        transfer: Option<&TransferWire>,
        group: &str,
    ) -> PortResult<RecoveryPoint> {
        let created = snapshot.created().ok_or_else(|| {
            self.unknown(format!("snapshot {} has no time of creation", snapshot.name))
        })?;
        if pod_of(group).is_some() {
            // What a pod's group takes is on both arrays as soon as it is taken.
            return Ok(RecoveryPoint {
                name: snapshot.name.clone(),
                created,
                completed: Some(created),
                progress_milli: 1000,
                volumes: BTreeSet::new(),
            });
        }
        Ok(RecoveryPoint {
            name: snapshot.name.clone(),
            created,
            completed: transfer.and_then(TransferWire::completed),
            progress_milli: transfer.map(TransferWire::progress_milli).unwrap_or_default(),
            volumes: BTreeSet::new(),
        })
    }
}

fn is_complete(point: &RecoveryPoint) -> bool {
    point.completed.is_some() && point.progress_milli >= 1000
}

/// `group.suffix.volume` -> (`group.suffix`, `volume`). No part has a dot of its own.
fn split<'a>(name: &'a str, group: &str) -> Option<(&'a str, &'a str)> {
    let suffix = name.get(..group.len()).filter(|head| head.eq_ignore_ascii_case(group))?.len() + 1;
    if !name[group.len()..].starts_with('.') {
        return None;
    }
    let dot = suffix + name[suffix..].find('.')?;
    Some((&name[..dot], &name[dot + 1..]))
}

fn none_if_absent<T>(result: PortResult<Vec<T>>) -> PortResult<Vec<T>> {
    match result {
        Err(PortError::Absent { .. }) => Ok(Vec::new()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_snapshots_name_has_three_parts() {
        assert_eq!(split("a:g.7.v", "a:g"), Some(("a:g.7", "v")));
        assert_eq!(split("a:g.sfx.vg/v", "a:g"), Some(("a:g.sfx", "vg/v")));
        assert_eq!(split("a:g.7", "a:g"), None);
        assert_eq!(split("a:g2.7.v", "a:g"), None);
        assert_eq!(split("b:g.7.v", "a:g"), None);
    }
}
