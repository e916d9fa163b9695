//! Seeded simulation of two whole Protectors on two simulated sites: faults on every way, two operators who do as the seed
//! says, then quiet, then the invariants. Faults are drawn from (seed, site, identity of the call, attempt). Both
//! Protectors run on real sockets and real threads, so a seed replays what happens to each call, not the order of two
//! calls that race.

mod checks;
mod link;

use std::{fmt, time::Duration};

use anyhow::Context as _;
use protector_demo::protect;
use protector_server::Roles;
use protector_sim::faults::{FaultPlan, Partition};
use protector_types::{Clock as _, Rng as _, SplitMix};
use protector_workflow::SystemClock;
use serde_json::{Value, json};

use self::{checks::Watcher, link::Link};
use crate::TwoSites;

/// Simulated seconds per real second.
const SPEED: f64 = 30.0;
/// What operators do in one run.
const ACTS: u64 = 6;
/// How long a run may take to come to rest, in real time.
const PATIENCE: Duration = Duration::from_secs(90);

/// What one seed came to.
#[derive(Debug)]
pub struct Outcome {
    /// Which.
    pub seed: u64,
    /// What happened, in order.
    pub trace: Vec<String>,
    /// Faults injected, by kind.
    pub faults: Vec<(String, u64)>,
    /// What must not be and was.
    pub problems: Vec<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: u64 = self.faults.iter().map(|(_, n)| n).sum();
        write!(f, "seed {}: {} acts, {faults} faults", self.seed, self.trace.len())?;
        if self.problems.is_empty() {
            return f.write_str(", all invariants hold");
        }
        writeln!(f, "; PROBLEMS:")?;
        for problem in &self.problems {
            writeln!(f, "  {problem}")?;
        }
        writeln!(f, "  faults: {:?}", self.faults)?;
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

struct Run {
    two: TwoSites,
    plan: FaultPlan,
    links: Vec<Link>,
    real: SystemClock,
    trace: Vec<String>,
}

/// Runs one seed.
///
/// # Errors
/// When the stage itself cannot be brought up or asked.
pub async fn run(seed: u64) -> anyhow::Result<Outcome> {
    let two = TwoSites::start_with(seed, SPEED, Roles { api: true, engine: true }).await?;
    let plan = FaultPlan::new(seed);
    let mut links = Vec::new();
    for at in 0..2 {
        let name = format!("way-to-{}", two.stage.sites[at].name);
        let to = two.stage.sites[at].api_url.clone();
        links.push(Link::open(&name, &to, &plan, two.stage.clock.clone()).await?);
    }
    let mut run = Run { two, plan, links, real: SystemClock::new(), trace: Vec::new() };
    run.lead_over_links().await?;
    let watcher = Watcher::start(&run.two).await?;
    for link in &run.links {
        link::disturb(&run.plan, &link.name, 0.02);
    }
    run.disturb_clouds();
    let mut chance = SplitMix::keyed(seed, "acts");
    for _ in 0..ACTS {
        run.act(&mut chance).await?;
    }
    run.quiet();
    let mut problems = run.come_to_rest().await?;
    problems.extend(watcher.stop().await);
    problems.extend(checks::at_rest(&run.two).await?);
    let mut faults: Vec<_> = run.plan.counts(None).into_iter().collect();
    faults.extend(run.two.stage.world.faults().counts(None));
    if !problems.is_empty() {
        run.two.keep();
        run.trace.push(format!("databases are kept in {}", run.two.folder().display()));
    }
    for link in &run.links {
        link.close().await;
    }
    run.two.stop().await;
    Ok(Outcome { seed, trace: run.trace, faults, problems })
}

impl Run {
    fn note(&mut self, what: String) {
        let at = self.real.monotonic().as_millis();
        self.trace.push(format!("{at:>6} ms  {what}"));
    }

    /// From here on each Protector reaches the other over its link.
    async fn lead_over_links(&mut self) -> anyhow::Result<()> {
        for at in 0..2 {
            let admin = self.two.stage.admin(at).await?;
            let api = &self.two.stage.sites[at].api_url;
            let url = format!("{api}/v1/admin/sites/{}", self.two.protected.site_ids[1 - at]);
            let body = json!({"site": {"protector_url": self.links[1 - at].url()}});
            admin.call("PATCH", &url, Some(&body)).await.context("the peer's address")?;
        }
        Ok(())
    }

    /// Both clouds and arrays now and then answer what busy services answer.
    fn disturb_clouds(&self) {
        use protector_sim::faults::{Effect, Rule, When};
        let faults = self.two.stage.world.faults();
        for effect in [
            Effect::Status { code: 503, message: None, retry_after: None },
            Effect::TimeoutAfter { hang_ms: 1_000 },
            Effect::Slow { ms: 2_000 },
        ] {
            faults.add(Rule {
                site: None,
                service: None,
                method: None,
                path: None,
                body: None,
                when: When::Probability(0.004),
                times: None,
                effect,
            });
        }
    }

    async fn act(&mut self, chance: &mut SplitMix) -> anyhow::Result<()> {
        let at = (chance.next_u64() % 2) as usize;
        match chance.next_u64() % 8 {
            0 | 1 => {
                // Both operators at once.
                let (a, b) = tokio::join!(self.rename(0, chance), self.rename(1, chance));
                self.note(format!("both rename: {a} / {b}"));
            }
            2 => {
                let answer = self.rename(at, chance).await;
                self.note(format!("site {at} renames: {answer}"));
            }
            3 | 4 => {
                let (a, b) = tokio::join!(self.fail_over(0), self.fail_over(1));
                self.note(format!("both start a failover: {a} / {b}"));
            }
            5 => {
                let partition = if at == 0 { Partition::Hang } else { Partition::Refuse };
                let name = self.links[at].name.clone();
                self.plan.partition(&name, Some(partition));
                self.note(format!("{name} is cut ({partition:?})"));
                self.pause(chance, 4_000).await;
                self.plan.partition(&name, None);
                self.note(format!("{name} is whole again"));
            }
            6 => {
                self.note(format!("site {at} loses its power"));
                self.two.stage.kill_site(at).await;
                self.pause(chance, 3_000).await;
                self.two.stage.revive_site(at).await?;
                self.note(format!("site {at} is back"));
            }
            _ => {
                let answer = self.force(at).await;
                self.note(format!("site {at} forces: {answer}"));
            }
        }
        self.pause(chance, 1_500).await;
        Ok(())
    }

    async fn pause(&self, chance: &mut SplitMix, most_ms: u64) {
        tokio::time::sleep(Duration::from_millis(chance.next_u64() % most_ms)).await;
    }

    async fn ask(&self, at: usize, method: &str, url: &str, body: Value) -> String {
        let headers = [("OpenStack-API-Version", "protector 1.3")];
        let body = serde_json::to_vec(&body).unwrap_or_default();
        match self.two.tenants[at].call_with(method, url, &headers, Some(body)).await {
            Err(_) => "no answer".into(),
            Ok(reply) => {
                let code = reply.body["errors"][0]["code"].as_str().unwrap_or_default();
                format!("{} {code}", reply.status.as_u16())
            }
        }
    }

    async fn rename(&self, at: usize, chance: &SplitMix) -> String {
        let name = format!("as site {at} calls it, {:x}", chance.0);
        let body = json!({"protection_group": {"description": name}});
        self.ask(at, "PATCH", &self.two.group_url(at), body).await
    }

    async fn fail_over(&self, at: usize) -> String {
        let url = format!("{}/action", self.two.group_url(at));
        self.ask(at, "POST", &url, protect::failover_body()).await
    }

    async fn force(&self, at: usize) -> String {
        let url = format!("{}/action", self.two.group_url(at));
        let mut body = protect::failover_body();
        body["failover"]["force"] = true.into();
        self.ask(at, "POST", &url, body).await
    }

    /// No more faults; who was cut off is back.
    fn quiet(&mut self) {
        self.plan.clear(None);
        self.two.stage.world.faults().clear(None);
        for link in &self.links {
            self.plan.partition(&link.name, None);
        }
        self.note("quiet".into());
    }

    /// Waits until both sites hold the same and nothing runs, doing what a person would do who reads the status.
    async fn come_to_rest(&mut self) -> anyhow::Result<Vec<String>> {
        let began = self.real.monotonic();
        let mut last = String::new();
        while self.real.monotonic() - began < PATIENCE {
            tokio::time::sleep(Duration::from_millis(500)).await;
            match checks::rest(&self.two).await {
                Ok(None) => return Ok(Vec::new()),
                Ok(Some(why)) => {
                    if why != last {
                        self.note(format!("waiting: {why}"));
                        last.clone_from(&why);
                    }
                    self.help(&why).await;
                }
                Err(error) => last = format!("{error:#}"),
            }
        }
        Ok(vec![format!("no rest within {} s of quiet: {last}", PATIENCE.as_secs())])
    }

    /// What a person does: synchronises, and says what becomes of a parked operation.
    async fn help(&mut self, why: &str) {
        if self.real.monotonic().as_millis() % 4 != 0 {
            return;
        }
        let url = format!("{}/sync-force", self.two.group_url(0));
        if why.contains("CONFLICT") {
            let from = self.two.protected.site_ids[1].clone();
            let answer = self.ask(0, "POST", &url, json!({"from": from})).await;
            self.note(format!("sync-force from site 1: {answer}"));
        } else if why.contains("OUT OF SYNC") || why.contains("quarantined") {
            let answer = self.ask(0, "POST", &url, json!({})).await;
            self.note(format!("sync-force: {answer}"));
        }
        if why.contains("needs_attention") {
            for at in 0..2 {
                let url = format!("{}/action", self.two.group_url(at));
                let answer = self.ask(at, "POST", &url, json!({"retry": {}})).await;
                self.note(format!("site {at} retries: {answer}"));
            }
        }
    }
}
