//! Two sites whose Protectors run in this process, and what a round trip is judged by: the simulators' own dump.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use protector_demo::{
    Protected, Rest, Stage, StageOptions, protect,
    rest::text,
    stage::{FLAVORS, NETWORKS},
    tenant::{self, AppShape},
};
use protector_server::{ArrayDriver, EngineConfig, ScaledClock, SystemClock};
use protector_sim::cloud::Profile;
use protector_testkit::{Inventory, expect, inventory::SiteInventory};
use protector_types::Clock;
use serde_json::{Value, json};

/// Simulated seconds per real second.
const SPEED: f64 = 20.0;

/// The stage, the application, and its tenant.
pub struct Round {
    pub stage: Stage,
    pub protected: Protected,
    pub tenants: [Rest; 2],
    _folder: tempfile::TempDir,
}

/// By (server name, disk index): digest of all that was written.
pub type Contents = BTreeMap<(String, usize), String>;

impl Round {
    /// Three servers with five volumes at site A, protected.
    pub async fn open() -> Self {
        Box::pin(Self::open_with(Vec::new(), |_| {})).await
    }

    /// The same with these drivers of arrays; `ready` is called before anything is protected.
    pub async fn open_with(drivers: Vec<Arc<dyn ArrayDriver>>, ready: impl FnOnce(&Stage)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ScaledClock::new(SPEED, SystemClock::new().now()));
        let profile = Profile {
            call_ms: (0, 0),
            server_build_ms: (1_000, 3_000),
            server_action_ms: (300, 1_000),
            volume_manage_ms: (300, 1_000),
            volume_action_ms: (100, 300),
            builds_at_once: 20,
        };
        let engine = EngineConfig { kept_interval: Duration::from_secs(5), ..Default::default() };
        let stage = Stage::start(StageOptions {
            seed: 11,
            clock,
            profile,
            array_call_ms: (0, 0),
            transfer_ms: (100, 300),
            state_dir: folder.path().to_owned(),
            documented_port: false,
            protectors: true,
            engine,
            synchronous: false,
            drivers,
            room_for: (3, 2),
        })
        .await
        .unwrap();
        ready(&stage);
        let shape = AppShape { servers: 3, volumes_per_server: None };
        let servers = tenant::build(&stage, shape).await.unwrap();
        let protected = protect::protect(&stage, &servers).await.unwrap();
        let tenants = [stage.tenant(0).await.unwrap().0, stage.tenant(1).await.unwrap().0];
        Self { stage, protected, tenants, _folder: folder }
    }

    pub async fn close(self) {
        self.stage.stop().await;
    }

    pub fn project_url(&self, at: usize) -> String {
        format!("{}/v1/{}", self.stage.sites[at].api_url, self.protected.projects[at])
    }

    pub fn group_url(&self, at: usize) -> String {
        format!("{}/protection-groups/{}", self.project_url(at), self.protected.group_id)
    }

    pub async fn group(&self, at: usize) -> Value {
        self.tenants[at].get(&self.group_url(at)).await.unwrap()["protection_group"].take()
    }

    pub async fn members(&self, at: usize) -> Vec<Value> {
        let url = format!("{}/members", self.group_url(at));
        self.tenants[at].get(&url).await.unwrap()["members"].as_array().unwrap().clone()
    }

    /// A cloud's service, by its path.
    pub fn cloud_url(&self, at: usize, path: &str) -> String {
        format!("{}{path}", self.stage.sites[at].cloud_url)
    }

    /// Starts an action; gives the operation's id.
    pub async fn start(&self, at: usize, body: &Value) -> String {
        let url = format!("{}/action", self.group_url(at));
        // The other site may not have been told yet how the last one ended.
        for _ in 0..100 {
            let body = Some(body.to_string().into_bytes());
            let headers = [("OpenStack-API-Version", "protector 1.3")];
            let reply = self.tenants[at].call_with("POST", &url, &headers, body).await.unwrap();
            if reply.status.is_success() {
                return text(&reply.body, "/operation/id").unwrap();
            }
            let busy = reply.body.to_string();
            assert!(busy.contains("busy") || busy.contains("OUT OF SYNC"), "{busy}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the action was never accepted");
    }

    /// Polls an operation to its end, and both sites until they agree.
    pub async fn finish(&self, at: usize, id: &str) -> Value {
        let record = self.finish_at(at, id).await;
        self.settled().await;
        record
    }

    /// Polls an operation to its end; the other site may be dead.
    pub async fn finish_at(&self, at: usize, id: &str) -> Value {
        let url = format!("{}/operations/{id}", self.project_url(at));
        for _ in 0..1800 {
            let record = self.tenants[at].get(&url).await.unwrap()["operation"].take();
            let status = text(&record, "/status").unwrap();
            if matches!(status.as_str(), "completed" | "failed" | "cancelled" | "needs_attention") {
                return record;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("operation {id} did not end in a minute and a half");
    }

    /// After a forced operation: the other site takes what this one knows.
    pub async fn resync(&self, at: usize) {
        let url = format!("{}/sync-force", self.group_url(at));
        let mut last = Value::Null;
        for _ in 0..200 {
            let headers = [("OpenStack-API-Version", "protector 1.3")];
            let reply = self.tenants[at].call_with("POST", &url, &headers, None).await.unwrap();
            let [a, b] = [self.group(0).await, self.group(1).await];
            // A site that was the primary until then makes its copy safe first.
            let free = a["quarantine"].is_null() && b["quarantine"].is_null();
            if a["version"] == b["version"] && a["epoch"] == b["epoch"] && free {
                return;
            }
            last = reply.body;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{last} {} {}", self.group(0).await, self.group(1).await);
    }

    /// Both sites know the same of the group, and nobody holds it.
    pub async fn settled(&self) -> [Value; 2] {
        for _ in 0..200 {
            let groups = [self.group(0).await, self.group(1).await];
            if groups[0]["version"] == groups[1]["version"] {
                return groups;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the sites do not agree: {} {}", self.group(0).await, self.group(1).await);
    }

    /// An action that completes.
    pub async fn done(&self, at: usize, body: &Value) -> Value {
        let id = self.start(at, body).await;
        let record = self.finish(at, &id).await;
        assert_eq!(record["status"], "completed", "{record:#}");
        record
    }

    pub async fn fail_over(&self) -> Value {
        self.done(0, &protect::failover_body()).await
    }

    pub fn inventory(&self) -> Inventory {
        Inventory::take(&self.stage.world)
    }

    /// Every running guest at a site writes to each of its volumes.
    pub fn write(&self, at: usize, what: &str) {
        let inventory = self.inventory();
        for (id, server) in &inventory.sites[at].servers {
            for (volume, _) in server.disks.iter().filter(|_| server.status == "ACTIVE") {
                let stamp = format!("{what} by {}", server.name);
                self.stage.world.cloud(at).guest_write(id, volume, &stamp).unwrap();
            }
        }
    }

    /// What the volumes of the servers at a site hold.
    pub fn contents(&self, at: usize) -> Contents {
        expect::contents(&self.inventory().sites[at])
    }

    /// Live snapshots of single volumes at a site's array, by name.
    pub fn volume_snapshots(&self, at: usize) -> BTreeSet<String> {
        let dump = self.stage.world.dump();
        let array = self.stage.world.sites()[at].array.name();
        let all = dump["arrays"][array.as_str()]["snapshots"].as_object().unwrap().clone();
        all.into_iter()
            .filter(|(name, s)| s["destroyed"] != true && name.matches('.').count() == 1)
            .map(|(name, _)| name)
            .collect()
    }

    /// Sets the policy again with a retention of so many seconds.
    pub async fn retain(&self, seconds: u64) {
        let sites = &self.stage.sites;
        let policy = json!({"policy": {
            "primary_fa_url": sites[0].array_url, "primary_fa_api_token": sites[0].array_token,
            "secondary_fa_url": sites[1].array_url, "secondary_fa_api_token": sites[1].array_token,
            "replication_interval": 300, "rpo_minutes": 15,
            "retention": {"all_for_sec": seconds, "per_day": 0, "days": 0},
        }});
        self.tenants[0].post(&format!("{}/policy", self.group_url(0)), &policy).await.unwrap();
        self.settled().await;
    }
}

/// Example 2, with the database's network too.
pub fn forced_body() -> Value {
    json!({"failover": {
        "network_mapping": {NETWORKS[0][0]: NETWORKS[1][0], NETWORKS[0][1]: NETWORKS[1][1]},
        "flavor_mapping": {FLAVORS[0]: FLAVORS[1]},
        "force": true,
    }})
}

/// Example 4.
pub fn failback_body(reverse: bool) -> Value {
    json!({"failback": {
        "network_mapping": {NETWORKS[1][0]: NETWORKS[0][0], NETWORKS[1][1]: NETWORKS[0][1]},
        "flavor_mapping": {FLAVORS[1]: FLAVORS[0]},
        "reverse_replication": reverse,
        "force": false,
    }})
}

/// Servers of a site by name: (id, status, locked).
pub fn servers(site: &SiteInventory) -> BTreeMap<String, (String, String, bool)> {
    site.servers
        .iter()
        .map(|(id, s)| (s.name.clone(), (id.clone(), s.status.clone(), s.locked)))
        .collect()
}
