//! A stage whose Protectors can be stopped one by one, and an oracle that says whether anything has changed.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{sync::Arc, time::Duration};

use protector_core::Core;
use protector_demo::{
    Protected, Rest, Stage, StageOptions, protect,
    rest::{Reply, text},
    tenant::{self, AppServer, AppShape},
};
use protector_server::{EngineConfig, Protector, Roles, hooks::CrashAt, listen::Listening};
use protector_server::{ScaledClock, SystemClock};
use protector_sim::cloud::Profile;
use protector_types::Clock;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Simulated seconds per real second: fast, while a deadline of some seconds still holds on a busy machine.
pub const SPEED: f64 = 10.0;
/// What changes with time alone.
const VOLATILE: [&str; 3] = ["now", "live_tokens", "time_remaining"];

/// One Protector that runs in this process.
struct Running {
    core: Core,
    shutdown: CancellationToken,
    handle: JoinHandle<anyhow::Result<()>>,
}

/// Two sites with the documentation's application, protected.
pub struct Theatre {
    /// The stage.
    pub stage: Stage,
    /// The application at site A.
    pub servers: Vec<AppServer>,
    /// Sites, projects, group.
    pub protected: Protected,
    /// The tenant at both sites.
    pub tenants: [Rest; 2],
    running: [Option<Running>; 2],
    folder: tempfile::TempDir,
}

impl Theatre {
    /// Three servers with five volumes at site A, protected; both clouds at test speed.
    pub async fn open() -> Self {
        Self::open_prepared(|_, _| {}).await
    }

    /// The same with volumes that are on both arrays at once.
    pub async fn open_synchronous() -> Self {
        Self::open_as(true, |_, _| {}).await
    }

    /// The same; `prepare` may touch the application before it is protected.
    pub async fn open_prepared(prepare: impl FnOnce(&Stage, &[AppServer])) -> Self {
        Self::open_as(false, prepare).await
    }

    async fn open_as(synchronous: bool, prepare: impl FnOnce(&Stage, &[AppServer])) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ScaledClock::new(SPEED, SystemClock::new().now()));
        let stage = Stage::start(StageOptions {
            seed: 7,
            clock,
            profile: Profile::default(),
            array_call_ms: (0, 0),
            transfer_ms: (50, 50),
            state_dir: folder.path().to_owned(),
            documented_port: false,
            protectors: false,
            engine: EngineConfig::default(),
            synchronous,
            drivers: Vec::new(),
            room_for: (3, 2),
        })
        .await
        .unwrap();
        let running = [Some(run(&stage, 0, BOTH).await), Some(run(&stage, 1, BOTH).await)];
        let shape = AppShape { servers: 3, volumes_per_server: None };
        let servers = tenant::build(&stage, shape).await.unwrap();
        prepare(&stage, &servers);
        let protected = protect::protect(&stage, &servers).await.unwrap();
        let tenants = [stage.tenant(0).await.unwrap().0, stage.tenant(1).await.unwrap().0];
        for (at, tenant) in tenants.iter().enumerate() {
            // Neutron makes a project's default group when it is first asked for the list.
            let url = format!("{}/network/v2.0/security-groups", stage.sites[at].cloud_url);
            tenant.get(&url).await.unwrap();
        }
        Self { stage, servers, protected, tenants, running, folder }
    }

    /// Stops a site's Protector; its cloud and array run on.
    pub async fn stop(&mut self, at: usize) {
        if let Some(Running { shutdown, handle, .. }) = self.running[at].take() {
            shutdown.cancel();
            let _ = tokio::time::timeout(Duration::from_secs(20), handle).await;
        }
    }

    /// Starts a site's Protector again, at the same address on the same database.
    pub async fn start(&mut self, at: usize) {
        self.running[at] = Some(run(&self.stage, at, BOTH).await);
    }

    /// The same without an engine: what is asked stays as it is.
    pub async fn start_api(&mut self, at: usize) {
        let roles = Roles { api: true, engine: false };
        self.running[at] = Some(run(&self.stage, at, roles).await);
    }

    /// The product of a site that runs, with its database.
    pub fn core(&self, at: usize) -> Core {
        self.running[at].as_ref().unwrap().core.clone()
    }

    /// Everything goes down.
    pub async fn close(mut self) {
        self.stop(0).await;
        self.stop(1).await;
        self.stage.stop().await;
    }

    /// `http://host:port/v1/<project>` of a site.
    pub fn project_url(&self, at: usize) -> String {
        format!("{}/v1/{}", self.stage.sites[at].api_url, self.protected.projects[at])
    }

    /// The group's URL at a site.
    pub fn group_url(&self, at: usize) -> String {
        format!("{}/protection-groups/{}", self.project_url(at), self.protected.group_id)
    }

    /// One call of the tenant at site A.
    pub async fn call(&self, method: &str, url: &str, body: Option<&Value>) -> Reply {
        let body = body.map(|b| serde_json::to_vec(b).unwrap());
        let headers = [("OpenStack-API-Version", "protector 1.3")];
        self.tenants[0].call_with(method, url, &headers, body).await.unwrap()
    }

    /// The document that a GET of the tenant gives at a site.
    pub async fn get(&self, at: usize, url: &str) -> Value {
        self.tenants[at].get(url).await.unwrap()
    }

    /// Both clouds, both arrays, and what both Protectors say of the group: all that a refused request must not
    /// change. Without what time alone changes.
    pub async fn world(&self) -> Value {
        json!({"simulators": self.simulators(), "site-a": self.records(0).await, "site-b": self.records(1).await})
    }

    /// Both clouds and both arrays.
    pub fn simulators(&self) -> Value {
        let mut dump = self.stage.world.dump();
        settle(&mut dump);
        dump
    }

    /// What a Protector says of the tenant's resources.
    pub async fn records(&self, at: usize) -> Value {
        let group = self.group_url(at);
        let all = self.project_url(at);
        json!({
            "groups": self.get(at, &format!("{all}/protection-groups")).await,
            "group": self.get(at, &group).await,
            "policy": self.get(at, &format!("{group}/policy")).await,
            "members": self.get(at, &format!("{group}/members")).await,
            "operations": self.get(at, &format!("{all}/operations")).await,
        })
    }

    /// A planned failover from site A to its end; gives its record as the newest microversion shows it.
    pub async fn fail_over(&self) -> Value {
        let url = format!("{}/action", self.group_url(0));
        let started = self.call("POST", &url, Some(&protect::failover_body())).await;
        assert_eq!(started.status.as_u16(), 202, "{}", started.body);
        let id = text(&started.body, "/operation/id").unwrap();
        self.finish(&id).await;
        let url = format!("{}/operations/{id}", self.project_url(0));
        self.call("GET", &url, None).await.body["operation"].take()
    }

    /// Polls an operation at site A to its end.
    pub async fn finish(&self, operation: &str) -> Value {
        let url = format!("{}/operations/{operation}", self.project_url(0));
        for _ in 0..1200 {
            let record = self.get(0, &url).await["operation"].take();
            let status = text(&record, "/status").unwrap();
            if matches!(status.as_str(), "completed" | "failed" | "cancelled" | "needs_attention") {
                return record;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("operation {operation} did not end in a minute");
    }
}

/// API and engine.
const BOTH: Roles = Roles { api: true, engine: true };

async fn run(stage: &Stage, at: usize, roles: Roles) -> Running {
    let config = stage.sites[at].config.clone();
    let mut listening = Listening::bind(&config.bind).await;
    for _ in 0..100 {
        if listening.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        listening = Listening::bind(&config.bind).await;
    }
    let hook = Arc::new(CrashAt::from_env());
    let protector = Protector::assemble(config, stage.clock.clone(), hook).await.unwrap();
    let shutdown = CancellationToken::new();
    let core = protector.core().clone();
    let handle = tokio::spawn(protector.run(roles, Some(listening.unwrap()), shutdown.clone()));
    Running { core, shutdown, handle }
}

/// Removes what changes with time alone, the snapshots of the arrays' schedules among it.
fn settle(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !VOLATILE.contains(&key.as_str()) && !is_scheduled(key));
            map.values_mut().for_each(settle);
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        _ => {}
    }
}

/// `protector-<id>.17` or `protector-<id>.17.volume-...`: the arrays number scheduled snapshots; ours carry words.
fn is_scheduled(name: &str) -> bool {
    name.split('.').nth(1).is_some_and(|s| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit()))
}

/// Where two documents differ first; `None` if they are equal.
pub fn difference(before: &Value, after: &Value, path: &str) -> Option<String> {
    match (before, after) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<_> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            keys.into_iter().find_map(|key| {
                let null = &Value::Null;
                let (a, b) = (a.get(key).unwrap_or(null), b.get(key).unwrap_or(null));
                difference(a, b, &format!("{path}/{key}"))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(at, (a, b))| difference(a, b, &format!("{path}/{at}"))),
        _ if before == after => None,
        _ => Some(format!("{path}: {before} -> {after}")),
    }
}

/// A request that must be refused.
pub struct Case {
    /// For messages.
    pub what: String,
    /// Method.
    pub method: &'static str,
    /// URL.
    pub url: String,
    /// `OpenStack-API-Version`, `If-Match` ...
    pub headers: Vec<(&'static str, String)>,
    /// As sent.
    pub body: Vec<u8>,
    /// Who asks; `None`: the tenant at site A.
    pub who: Option<Rest>,
    /// HTTP status.
    pub status: u16,
    /// One of the answer's codes.
    pub code: &'static str,
    /// What the answer's details must name.
    pub words: Vec<String>,
}

impl Case {
    /// A case with a body; asked for in the newest version by the tenant.
    pub fn new(
        method: &'static str,
        url: &str,
        body: impl ToString,
        status: u16,
        code: &'static str,
        words: &[&str],
    ) -> Self {
        let body = body.to_string().into_bytes();
        Self {
            what: format!(
                "{method} {url} {}",
                String::from_utf8_lossy(&body[..body.len().min(200)])
            ),
            method,
            url: url.to_owned(),
            headers: vec![("OpenStack-API-Version", "protector 1.3".to_owned())],
            body,
            who: None,
            status,
            code,
            words: words.iter().map(|w| (*w).to_owned()).collect(),
        }
    }

    /// Asked by somebody else.
    pub fn by(mut self, who: &Rest) -> Self {
        self.who = Some(who.clone());
        self
    }

    /// With a header, instead of one of that name.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Sends it and checks the answer, and that nothing has changed.
    pub async fn check(&self, theatre: &Theatre) {
        if let Err(complaint) = self.verify(theatre).await {
            panic!("{complaint}");
        }
    }

    /// The same; gives what is wrong.
    pub async fn verify(&self, theatre: &Theatre) -> Result<(), String> {
        let before = theatre.world().await;
        self.answer(theatre).await?;
        let after = theatre.world().await;
        match difference(&before, &after, "") {
            None => Ok(()),
            Some(difference) => Err(format!("{}\nchanged the world: {difference}", self.what)),
        }
    }

    /// Sends it and checks the answer alone; gives what is wrong.
    pub async fn answer(&self, theatre: &Theatre) -> Result<(), String> {
        let headers: Vec<_> = self.headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let who = self.who.as_ref().unwrap_or(&theatre.tenants[0]);
        let body = Some(self.body.clone());
        let reply = who.call_with(self.method, &self.url, &headers, body).await.unwrap();
        let complain = |what: String| {
            Err(format!("{what}\n{}\nanswered {} {}", self.what, reply.status, reply.body))
        };
        if reply.status.as_u16() != self.status {
            return complain(format!("not {}", self.status));
        }
        let errors = reply.body["errors"].as_array().cloned().unwrap_or_default();
        if !errors.iter().any(|e| e["code"] == self.code) {
            return complain(format!("{} is not among the codes", self.code));
        }
        let mut details = String::new();
        for error in &errors {
            for key in ["request_id", "code", "status", "title", "detail", "links"] {
                if error[key].is_null() {
                    return complain(format!("no {key}"));
                }
            }
            let detail = error["detail"].as_str().unwrap_or_default();
            // A reason that a person can act on is a sentence.
            if detail.split_whitespace().count() < 3 {
                return complain(format!("{detail:?} is no reason"));
            }
            details.push_str(detail);
            details.push('\n');
        }
        if let Some(word) = self.words.iter().find(|w| !details.contains(w.as_str())) {
            return complain(format!("{word:?} is not named"));
        }
        let secrets = theatre.stage.sites.iter().any(|s| details.contains(&s.array_token));
        if secrets { complain("a secret is shown".into()) } else { Ok(()) }
    }
}
