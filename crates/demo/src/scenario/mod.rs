//! What the demo can show: each scenario acts as a person would (over the API and the clouds' own APIs) and ends with the
//! record of its last operation, or with what was not as it should be.

mod both_forced;
mod dead_site_midway;
mod drill;
mod failback;
mod partial;
mod partition;
mod planned;
mod restored_backup;
mod returning_site;
mod sync_replication;
mod truth;
mod unplanned;

use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};

pub(crate) use crate::protect::failover_body;
use crate::{
    DemoOptions, Protected, Stage, follow,
    options::Scenario,
    progress::Display,
    rest::text,
    stage::{FLAVORS, NETWORKS},
    tenant::AppServer,
};

/// How long to wait for what happens by itself (reconcilers), in simulated time.
const PATIENCE: Duration = Duration::from_secs(300);

impl Scenario {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Unplanned => "unplanned",
            Self::Drill => "drill",
            Self::Failback => "failback",
            Self::Roundtrip => "roundtrip",
            Self::SyncReplication => "sync-replication",
            Self::Partial => "partial",
            Self::Partition => "partition",
            Self::ReturningSite => "returning-site",
            Self::BothForced => "both-forced",
            Self::RestoredBackup => "restored-backup",
            Self::DeadSiteMidway => "dead-site-midway",
        }
    }
}

/// A stage with the application under protection, and what was asked for.
pub struct Play<'a> {
    /// The two sites.
    pub stage: Stage,
    /// How to show it.
    pub options: &'a DemoOptions,
    /// Sites, projects, group.
    pub protected: Protected,
    /// The application at site A.
    pub servers: Vec<AppServer>,
}

/// Plays the scenario; gives the record of its last operation.
///
/// # Errors
/// What was not as it should be.
pub async fn run(play: &mut Play<'_>) -> anyhow::Result<Value> {
    match play.options.scenario {
        Scenario::Planned => planned::play(play).await,
        Scenario::Unplanned => unplanned::play(play).await,
        Scenario::Drill => drill::play(play).await,
        Scenario::Failback => failback::once(play).await,
        Scenario::Roundtrip => failback::twice(play).await,
        Scenario::SyncReplication => sync_replication::play(play).await,
        Scenario::Partial => partial::play(play).await,
        Scenario::Partition => partition::play(play).await,
        Scenario::ReturningSite => returning_site::play(play).await,
        Scenario::BothForced => both_forced::play(play).await,
        Scenario::RestoredBackup => restored_backup::play(play).await,
        Scenario::DeadSiteMidway => dead_site_midway::play(play).await,
    }
}

/// Brings the world to where the scenario's operation would be asked for, and leaves that to the person.
///
/// # Errors
/// What was not as it should be.
pub async fn set_the_scene(play: &mut Play<'_>) -> anyhow::Result<()> {
    match play.options.scenario {
        Scenario::Unplanned => unplanned::disaster(play).await,
        _ => Ok(()),
    }
}

/// The mappings of a failover (Example 1) from the site to the other one.
pub fn mappings(from: usize) -> Value {
    let to = 1 - from;
    json!({
        "network_mapping": {NETWORKS[from][0]: NETWORKS[to][0], NETWORKS[from][1]: NETWORKS[to][1]},
        "flavor_mapping": {FLAVORS[from]: FLAVORS[to]},
    })
}

/// The mappings with one more parameter.
pub fn with(mut body: Value, key: &str, value: impl Into<Value>) -> Value {
    body[key] = value.into();
    body
}

impl Play<'_> {
    /// Says a sentence to a person.
    pub fn say(&self, text: &str) {
        if !self.options.json {
            println!("{text}");
        }
    }

    /// Starts an action at a site, shows its progress and waits for its end.
    ///
    /// # Errors
    /// What the API answered.
    pub async fn act(&self, at: usize, action: &str, params: Value) -> anyhow::Result<Value> {
        let id = self.begin(at, action, params).await?;
        self.watch(at, action, &id).await
    }

    /// Starts an action at a site; gives the operation's id.
    ///
    /// # Errors
    /// What the API answered.
    pub async fn begin(&self, at: usize, action: &str, params: Value) -> anyhow::Result<String> {
        let (tenant, _) = self.stage.tenant(at).await?;
        let body = json!({action: params});
        self.say(&format!(
            "\n{action} of prod-web-app, asked at {} ({}x real time):\n",
            self.stage.sites[at].name, self.options.speed
        ));
        let started = follow::start_at(&self.stage, at, &tenant, &self.protected, &body).await?;
        text(&started, "/id")
    }

    /// Shows the progress of an operation at a site and waits for its end.
    ///
    /// # Errors
    /// What the API answered.
    pub async fn watch(&self, at: usize, action: &str, id: &str) -> anyhow::Result<Value> {
        let (tenant, project) = self.stage.tenant(at).await?;
        let mut display = Display::new(action, self.options.json);
        let record = follow::follow(&self.stage, at, &tenant, &project, id, |record, events| {
            display.show(record, events);
        })
        .await?;
        display.finish();
        Ok(record)
    }

    /// The same, and it must complete.
    ///
    /// # Errors
    /// When it ends otherwise, with its words.
    pub async fn complete(&self, at: usize, action: &str, params: Value) -> anyhow::Result<Value> {
        let record = self.act(at, action, params).await?;
        ensure!(
            record["status"] == "completed",
            "{action} ended {}: {} {}",
            record["status"],
            record["error_message"],
            record["steps_failed"]
        );
        Ok(record)
    }

    /// The group as a site shows it.
    ///
    /// # Errors
    /// What the API answered.
    pub async fn group(&self, at: usize) -> anyhow::Result<Value> {
        let (tenant, _) = self.stage.tenant(at).await?;
        Ok(tenant.get(&self.group_url(at)).await?["protection_group"].take())
    }

    /// Address of the group at a site.
    pub fn group_url(&self, at: usize) -> String {
        format!(
            "{}/v1/{}/protection-groups/{}",
            self.stage.sites[at].api_url, self.protected.projects[at], self.protected.group_id
        )
    }

    /// A group with this status and this current primary, at these sites.
    ///
    /// # Errors
    /// When one shows something else, after patience for what is on its way.
    pub async fn expect_group(
        &self,
        sites: &[usize],
        status: &str,
        primary: usize,
    ) -> anyhow::Result<()> {
        for &at in sites {
            let want = &self.protected.site_ids[primary];
            let fits = |group: &Value| {
                group["status"] == status && group["current_primary_site_id"] == **want
            };
            let give_up = self.stage.clock.monotonic() + PATIENCE;
            loop {
                let group = self.group(at).await?;
                if fits(&group) {
                    break;
                }
                ensure!(
                    self.stage.clock.monotonic() < give_up,
                    "{} shows the group as {} with primary {}, not {status} at {}",
                    self.stage.sites[at].name,
                    group["status"],
                    group["current_primary_site_id"],
                    self.stage.sites[primary].name
                );
                self.stage.clock.sleep(Duration::from_secs(1)).await;
            }
        }
        Ok(())
    }

    /// What Nova of a site lists for the tenant.
    ///
    /// # Errors
    /// What Nova answered.
    pub async fn nova(&self, at: usize) -> anyhow::Result<Vec<Value>> {
        let (tenant, _) = self.stage.tenant(at).await?;
        let url = format!("{}/compute/v2.1/servers/detail", self.stage.sites[at].cloud_url);
        Ok(tenant.get(&url).await?["servers"].as_array().cloned().unwrap_or_default())
    }

    /// So many of the tenant's servers of a site are ACTIVE; they are listed for a person.
    ///
    /// # Errors
    /// When it is another number.
    pub async fn expect_active(&self, at: usize, expected: usize) -> anyhow::Result<()> {
        let servers = self.nova(at).await?;
        let active = servers.iter().filter(|s| s["status"] == "ACTIVE").count();
        self.say(&format!("\nNova of {} lists:", self.stage.sites[at].name));
        for server in servers.iter().take(20) {
            let volumes =
                server["os-extended-volumes:volumes_attached"].as_array().map_or(0, Vec::len);
            self.say(&format!(
                "  {:<16} {:<8} {volumes} volumes",
                server["name"].as_str().unwrap_or_default(),
                server["status"].as_str().unwrap_or_default()
            ));
        }
        ensure!(
            active == expected,
            "{} has {active} ACTIVE servers, not {expected}",
            self.stage.sites[at].name
        );
        Ok(())
    }

    /// Every running guest of a site writes a stamp to each of its volumes; gives how many volumes took it.
    ///
    /// # Errors
    /// What Nova answered.
    pub async fn write(&self, at: usize, stamp: &str) -> anyhow::Result<usize> {
        let mut written = 0;
        for server in self.nova(at).await? {
            let id = text(&server, "/id")?;
            for volume in
                server["os-extended-volumes:volumes_attached"].as_array().into_iter().flatten()
            {
                let volume = text(volume, "/id")?;
                let cloud = self.stage.world.cloud(at);
                written += usize::from(cloud.guest_write(&id, &volume, stamp).is_ok());
            }
        }
        Ok(written)
    }

    /// Every volume of the tenant's ACTIVE servers at a site ends with this stamp: one point, and the right one.
    ///
    /// # Errors
    /// Naming the volume that holds something else.
    pub async fn expect_stamp(&self, at: usize, stamp: &str) -> anyhow::Result<()> {
        let cloud = self.stage.world.cloud(at);
        let mut read = 0;
        for server in self.nova(at).await? {
            if server["status"] != "ACTIVE" {
                continue;
            }
            for volume in
                server["os-extended-volumes:volumes_attached"].as_array().into_iter().flatten()
            {
                let volume = text(volume, "/id")?;
                let log = cloud
                    .volume_content(&volume)
                    .map_err(|e| anyhow::anyhow!("volume {volume}: {e}"))?;
                ensure!(
                    log.last().is_some_and(|last| last == stamp),
                    "volume {volume} of {} ends with {:?}, not {stamp:?}",
                    server["name"],
                    log.last()
                );
                read += 1;
            }
        }
        self.say(&format!(
            "{read} volumes at {} hold {stamp:?} as their last write.",
            self.stage.sites[at].name
        ));
        ensure!(read > 0, "no volume was read");
        Ok(())
    }

    /// Servers of the application.
    pub fn count(&self) -> usize {
        self.servers.len()
    }
}
