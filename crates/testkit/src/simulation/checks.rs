//! What must hold: while everything happens, and when it is over.

use std::time::Duration;

use protector_server::Protector;
use protector_types::{GroupId, SiteId};
use serde_json::Value;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{Inventory, TwoSites};

/// Between two looks at both databases, in real time.
const LOOK: Duration = Duration::from_millis(60);

/// Looks all the time.
pub(super) struct Watcher {
    stop: CancellationToken,
    task: AbortOnDropHandle<Vec<String>>,
}

/// What is watched.
struct Watched {
    databases: [Protector; 2],
    group: GroupId,
    sites: [SiteId; 2],
}

/// A site's copy: epoch, version, whether it works as the primary.
#[derive(Clone, Copy, PartialEq)]
struct Copy {
    epoch: protector_types::Epoch,
    version: u64,
    is_primary: bool,
}

impl Watcher {
    /// Begins.
    pub(super) async fn start(two: &TwoSites) -> anyhow::Result<Self> {
        let watched = Watched {
            databases: [two.beside(0).await?, two.beside(1).await?],
            group: two.protected.group_id.parse()?,
            sites: [two.protected.site_ids[0].parse()?, two.protected.site_ids[1].parse()?],
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(watched.watch(stop.clone()));
        Ok(Self { stop, task: AbortOnDropHandle::new(task) })
    }

    /// Ends, and tells what was seen that must not be.
    pub(super) async fn stop(self) -> Vec<String> {
        self.stop.cancel();
        self.task.await.unwrap_or_else(|error| vec![format!("the watcher died: {error}")])
    }
}

impl Watched {
    async fn watch(self, stop: CancellationToken) -> Vec<String> {
        let mut problems = Vec::new();
        let mut last: [Option<Copy>; 2] = [None, None];
        while !stop.is_cancelled() {
            tokio::time::sleep(LOOK).await;
            let now = [self.copy(0).await, self.copy(1).await];
            if let [Some(a), Some(b)] = now
                && a.is_primary
                && b.is_primary
                && a.epoch == b.epoch
            {
                problems.push(format!("two primaries in epoch {:?}", a.epoch));
            }
            for at in 0..2 {
                if let (Some(before), Some(now)) = (last[at], now[at]) {
                    let older = now.epoch.number < before.epoch.number
                        || (now.epoch == before.epoch && now.version < before.version);
                    if older {
                        problems.push(format!(
                            "site {at} went back from epoch {} version {} to epoch {} version {}",
                            before.epoch.number, before.version, now.epoch.number, now.version
                        ));
                    }
                }
                last[at] = now[at].or(last[at]);
            }
            if problems.len() > 5 {
                break;
            }
        }
        problems
    }

    async fn copy(&self, at: usize) -> Option<Copy> {
        let group = self.databases[at].core().group_document(self.group).await.ok()?.group;
        Some(Copy {
            epoch: group.epoch,
            version: group.version,
            is_primary: group.current_primary_site_id == self.sites[at]
                && group.quarantine.is_none(),
        })
    }
}

/// Why there is no rest yet; `None`: there is.
pub(super) async fn rest(two: &TwoSites) -> anyhow::Result<Option<String>> {
    let groups = [two.group(0).await?, two.group(1).await?];
    for (at, group) in groups.iter().enumerate() {
        if !group["quarantine"].is_null() {
            return Ok(Some(format!("site {at} is quarantined: {}", group["quarantine"])));
        }
        if let Some(operation) = group["current_operation_id"].as_str() {
            let status = of_operation(two, at, operation).await?;
            return Ok(Some(format!("site {at}: {operation} is {status}")));
        }
    }
    let url = format!("{}/sync-status", two.group_url(0));
    let sync = two.tenants[0].get(&url).await?["sync_status"].take();
    if sync["status"] != "IN SYNC" {
        return Ok(Some(format!("{}: {}", sync["status"], sync["reason"])));
    }
    Ok(None)
}

async fn of_operation(two: &TwoSites, at: usize, operation: &str) -> anyhow::Result<String> {
    let url = format!(
        "{}/v1/{}/operations/{operation}",
        two.stage.sites[at].api_url, two.protected.projects[at]
    );
    let record = two.tenants[at].get(&url).await?;
    Ok(record["operation"]["status"].as_str().unwrap_or("unknown").to_owned())
}

/// What must hold at rest.
pub(super) async fn at_rest(two: &TwoSites) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    let group = two.group(0).await?;
    let primary =
        usize::from(group["current_primary_site_id"] != two.protected.site_ids[0].as_str());
    let inventory = Inventory::take(&two.stage.world);
    for server in &two.servers {
        let running = |at: usize| {
            inventory.sites[at]
                .servers
                .values()
                .filter(|seen| seen.name == server.name && seen.status == "ACTIVE")
                .count()
        };
        let (here, there) = (running(primary), running(1 - primary));
        if (here, there) != (1, 0) {
            problems.push(format!(
                "{}: {here} running at the primary (site {primary}), {there} at the other site; the group is {}",
                server.name, group["status"]
            ));
        }
    }
    for at in 0..2 {
        let claims = two.beside(at).await?.core().store().group_claims().await?;
        // What is left of a lost release dies by itself.
        if claims.len() > 1 {
            problems.push(format!("site {at} has claims left: {claims:?}"));
        }
    }
    problems.extend(unended(two).await?);
    Ok(problems)
}

async fn unended(two: &TwoSites) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    for at in 0..2 {
        let url = format!(
            "{}/v1/{}/operations?limit=1000",
            two.stage.sites[at].api_url, two.protected.projects[at]
        );
        let list = two.tenants[at].get(&url).await?;
        for operation in list["operations"].as_array().into_iter().flatten() {
            let status = operation["status"].as_str().unwrap_or_default();
            if !matches!(status, "completed" | "failed" | "cancelled") {
                let id: &Value = &operation["id"];
                problems.push(format!("site {at}: {id} is {status}, and nothing holds it"));
            }
        }
    }
    Ok(problems)
}
