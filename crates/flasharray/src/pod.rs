//! Stretched pods (ActiveCluster): read only. Cinder's driver makes and stretches its pod; the mediator decides which copy
//! goes on when the arrays lose each other. We look whether the copy that we need is online, and put our protection group
//! beside the volumes.

use std::collections::BTreeSet;

use protector_ports::{PortError, PortResult, SyncCopy, SyncGroup};

use crate::{encode::Query, rest::Rest, wire::PodWire};

const PODS: &str = "/pods";

/// The pod of a name `pod::rest`.
pub(crate) fn pod_of(name: &str) -> Option<&str> {
    name.split_once("::").map(|(pod, _)| pod)
}

/// A name without its pod.
pub(crate) fn without_pod(name: &str) -> &str {
    name.split_once("::").map_or(name, |(_, rest)| rest)
}

/// One volume of a group snapshot: there it stands without its pod.
pub(crate) fn in_point(point: &str, volume: &str) -> String {
    format!("{point}.{}", without_pod(volume))
}

impl Rest {
    pub(crate) async fn sync_group(
        &self,
        group: &str,
        partner: &str,
        volumes: &[String],
    ) -> PortResult<SyncGroup> {
        let pod = match volumes {
            [] => self.pod_towards(partner).await?,
            volumes => {
                let name = self.common_pod(volumes)?;
                self.pod(name).await?
            }
        };
        Ok(SyncGroup {
            name: format!("{}::{group}", pod.name),
            container: format!("pod {}", pod.name),
            copies: copies(&pod),
        })
    }

    fn common_pod<'a>(&self, volumes: &'a [String]) -> PortResult<&'a str> {
        let outside: Vec<&str> =
            volumes.iter().map(String::as_str).filter(|v| pod_of(v).is_none()).collect();
        if !outside.is_empty() {
            return Err(self.invalid(format!(
                "{} are in no pod, so they are on this array only",
                outside.join(", ")
            )));
        }
        let pods: BTreeSet<&str> = volumes.iter().filter_map(|v| pod_of(v)).collect();
        match pods.len() {
            1 => Ok(pods.into_iter().next().unwrap_or_default()),
            _ => Err(self.invalid(format!(
                "the volumes are in several pods ({}), and a protection group is in one",
                pods.into_iter().collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    async fn pod_towards(&self, partner: &str) -> PortResult<PodWire> {
        let pods = self.all::<PodWire>(PODS, Query::new().live()).await?;
        let mut fitting: Vec<PodWire> = pods
            .into_iter()
            .filter(|pod| !pod.destroyed)
            .filter(|pod| pod.arrays.iter().any(|a| a.name.eq_ignore_ascii_case(partner)))
            .collect();
        match fitting.len() {
            1 => Ok(fitting.remove(0)),
            0 => Err(self.invalid(format!(
                "no pod is stretched to array {partner}: Cinder's backend needs a replication_device of type sync"
            ))),
            _ => Err(self.invalid(format!(
                "several pods are stretched to array {partner} ({}); add a server whose volumes say which one first",
                fitting.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    pub(crate) async fn pod(&self, name: &str) -> PortResult<PodWire> {
        let query = Query::new().names("names", &[name]).live();
        let found = match self.all::<PodWire>(PODS, query).await {
            Err(PortError::Absent { .. }) => Vec::new(),
            other => other?,
        };
        let live = |pod: &PodWire| pod.name.eq_ignore_ascii_case(name) && !pod.destroyed;
        found.into_iter().find(live).ok_or_else(|| self.absent(format!("there is no pod {name}")))
    }

    /// The arrays of a pod, and whether each one's copy is online.
    pub(crate) async fn pod_targets(&self, pod: &str) -> PortResult<Vec<(String, bool)>> {
        let pod = self.pod(pod).await?;
        Ok(copies(&pod).into_iter().map(|copy| (copy.array, copy.online)).collect())
    }
}

fn copies(pod: &PodWire) -> Vec<SyncCopy> {
    let copy = |array: &crate::wire::PodArrayWire| SyncCopy {
        array: array.name.clone(),
        online: array.status == "online",
        status: array.status.clone(),
    };
    pod.arrays.iter().map(copy).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_a_group_snapshot_volumes_stand_without_their_pod() {
        assert_eq!(in_point("p::g.7", "p::v"), "p::g.7.v");
        assert_eq!(in_point("a:g.7", "v"), "a:g.7.v");
    }
}
