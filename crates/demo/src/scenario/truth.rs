//! What the scenarios of two sites and one truth ask and expect, beside the words that all scenarios share.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use protector_server::SystemClock;
use protector_types::Clock as _;
use serde_json::{Value, json};

use super::{PATIENCE, Play, mappings, with};
use crate::rest::{Reply, Rest};

/// The documentation's sentence.
const SENTENCE: &str = "Cannot modify protection group — remote site unreachable";
/// Within so much real time a change is refused.
const REFUSED_WITHIN: Duration = Duration::from_secs(3);
/// A site that was driving something must have been silent for a minute; its last renewal may be some seconds older than
/// its end.
const TAKEN_OVER_AFTER: Duration = Duration::from_secs(50);
/// Between two looks, in simulated time.
const LOOK: Duration = Duration::from_secs(1);

impl Play<'_> {
    fn site(&self, at: usize) -> &str {
        &self.stage.sites[at].name
    }

    /// One call of the tenant at a site, whatever its answer.
    ///
    /// # Errors
    /// When there is none.
    pub async fn ask(
        &self,
        at: usize,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Reply> {
        let (tenant, _) = self.stage.tenant(at).await?;
        self.ask_as(&tenant, at, method, path, body).await
    }

    /// The same as somebody else.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn ask_as(
        &self,
        caller: &Rest,
        at: usize,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Reply> {
        let headers = [("OpenStack-API-Version", "protector 1.3")];
        let body = body.map(|body| serde_json::to_vec(&body)).transpose()?;
        let url = format!("{}{path}", self.group_url(at));
        caller.call_with(method, &url, &headers, body).await
    }

    /// A small change of the group.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn describe(&self, at: usize, text: &str) -> anyhow::Result<Reply> {
        let body = json!({"protection_group": {"description": text}});
        self.ask(at, "PATCH", "", Some(body)).await
    }

    /// The same, and it must be taken.
    ///
    /// # Errors
    /// When it is not.
    pub async fn must_change(&self, at: usize, text: &str) -> anyhow::Result<()> {
        self.describe(at, text).await?.ok().map(drop).context("a change")
    }

    /// The change is refused with this code.
    ///
    /// # Errors
    /// When it is not.
    pub async fn must_not_change(&self, at: usize, code: &str) -> anyhow::Result<String> {
        refused(&self.describe(at, "not to be").await?, code)
    }

    /// Every kind of change is refused with the documentation's sentence, at once, and reads work.
    ///
    /// # Errors
    /// Naming what was accepted, or what it took.
    pub async fn expect_peer_unreachable(&self, at: usize) -> anyhow::Result<()> {
        let before = self.group(at).await?;
        let action = |body: Value| ("POST", "/action", Some(body));
        let changes = [
            ("PATCH", "", Some(json!({"protection_group": {"description": "x"}}))),
            ("POST", "/members", Some(json!({"member": {"server": "nobody"}}))),
            action(json!({"failover": super::mappings(0)})),
            action(json!({"sync_volumes": {}})),
            ("DELETE", "", None),
        ];
        for (method, path, body) in changes {
            self.expect_refused_at_once(at, method, path, body).await?;
        }
        let after = self.group(at).await?;
        ensure!(before == after, "{} shows a change: {before} / {after}", self.site(at));
        self.expect_sync(at, "UNREACHABLE").await?;
        self.say(&format!("{} refuses every change, and reads work.", self.site(at)));
        Ok(())
    }

    /// One change is refused with the documentation's sentence, at once.
    ///
    /// # Errors
    /// When it is not.
    pub async fn expect_refused_at_once(
        &self,
        at: usize,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<()> {
        let clock = SystemClock::new();
        let began = clock.monotonic();
        let reply = self.ask(at, method, path, body).await?;
        let took = clock.monotonic() - began;
        let what = format!("{method} {path} at {}", self.site(at));
        let detail = refused(&reply, "protection_group.peer_unreachable").context(what.clone())?;
        ensure!(detail == SENTENCE, "{what} is refused with {detail:?}");
        ensure!(took < REFUSED_WITHIN, "{what} took {took:?}");
        Ok(())
    }

    /// The word on the two copies, with its reason.
    ///
    /// # Errors
    /// What the API answered.
    pub async fn sync_status(&self, at: usize) -> anyhow::Result<Value> {
        let mut body = self.ask(at, "GET", "/sync-status", None).await?.ok()?;
        Ok(body["sync_status"].take())
    }

    /// A site says this word of the two copies, sooner or later.
    ///
    /// # Errors
    /// When it goes on saying another one.
    pub async fn expect_sync(&self, at: usize, word: &str) -> anyhow::Result<Value> {
        let give_up = self.stage.clock.monotonic() + PATIENCE;
        loop {
            let sync = self.sync_status(at).await?;
            if sync["status"] == word {
                return Ok(sync);
            }
            ensure!(
                self.stage.clock.monotonic() < give_up,
                "sync-status at {} is {sync}, not {word}",
                self.site(at)
            );
            self.stage.clock.sleep(LOOK).await;
        }
    }

    /// `sync-force`, asked at a site; after it both sites are in sync and none is quarantined.
    ///
    /// # Errors
    /// When it is refused, or something is left.
    pub async fn sync_force(&self, at: usize, from: Option<usize>) -> anyhow::Result<()> {
        let from = from.map(|from| &self.protected.site_ids[from]);
        let body = from.map_or_else(|| json!({}), |from| json!({"from": from}));
        self.say(&format!("\nsync-force, asked at {}: {body}", self.site(at)));
        self.ask(at, "POST", "/sync-force", Some(body)).await?.ok().context("sync-force")?;
        for site in 0..2 {
            self.expect_free(site).await?;
            self.expect_sync(site, "IN SYNC").await?;
        }
        Ok(())
    }

    /// A group's record at a site that fits, sooner or later.
    ///
    /// # Errors
    /// With the record that does not fit.
    pub async fn await_group(
        &self,
        at: usize,
        what: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let give_up = self.stage.clock.monotonic() + PATIENCE;
        loop {
            let group = self.group(at).await?;
            if fits(&group) {
                return Ok(group);
            }
            let is_late = self.stage.clock.monotonic() >= give_up;
            ensure!(!is_late, "{} does not show {what}: {group}", self.site(at));
            self.stage.clock.sleep(LOOK).await;
        }
    }

    /// No quarantine at a site, sooner or later.
    ///
    /// # Errors
    /// When it stays.
    pub async fn expect_free(&self, at: usize) -> anyhow::Result<()> {
        self.await_group(at, "the end of its quarantine", |g| g["quarantine"].is_null()).await?;
        Ok(())
    }

    /// The site is quarantined, and what ran there is safe; changes are refused there.
    ///
    /// # Errors
    /// When it is not.
    pub async fn expect_quarantine(&self, at: usize) -> anyhow::Result<()> {
        let is_safe = |group: &Value| {
            group["quarantine"].as_str().is_some_and(|why| why.contains("sync-force releases"))
        };
        let group = self.await_group(at, "a safe quarantine", is_safe).await?;
        self.expect_safe(at).await?;
        self.must_not_change(at, "protection_group.quarantined").await?;
        self.say(&format!("{} is quarantined: {}", self.site(at), group["quarantine"]));
        Ok(())
    }

    /// Nothing writes at a site: its servers are stopped and locked, its array connects no volume and ships nothing.
    ///
    /// # Errors
    /// Naming what may still write.
    pub async fn expect_safe(&self, at: usize) -> anyhow::Result<()> {
        let servers = self.nova(at).await?;
        ensure!(servers.len() == self.count(), "{} has {} servers", self.site(at), servers.len());
        for server in &servers {
            ensure!(
                server["status"] == "SHUTOFF" && server["locked"] == true,
                "{} at {} is {}, locked: {}",
                server["name"],
                self.site(at),
                server["status"],
                server["locked"]
            );
        }
        let array = self.stage.world.array(at).dump();
        let connections = array["connections"].as_array().cloned().unwrap_or_default();
        ensure!(connections.is_empty(), "the array of {} connects {connections:?}", self.site(at));
        for (name, group) in array["groups"].as_object().into_iter().flatten() {
            // A name with a colon is the other array's group, seen from here.
            ensure!(
                name.contains(':') || group["replication_schedule"]["enabled"] != true,
                "the array of {} still ships {name}",
                self.site(at)
            );
        }
        Ok(())
    }

    /// Each server of the application runs exactly once, at this site, and can write.
    ///
    /// # Errors
    /// Naming the one that does not.
    pub async fn expect_one_primary(&self, at: usize) -> anyhow::Result<()> {
        let running = |servers: Vec<Value>| -> Vec<String> {
            let mut names: Vec<String> = servers
                .iter()
                .filter(|server| server["status"] == "ACTIVE")
                .map(|server| server["name"].as_str().unwrap_or_default().to_owned())
                .collect();
            names.sort();
            names
        };
        let (here, there) = (running(self.nova(at).await?), running(self.nova(1 - at).await?));
        let mut wanted: Vec<String> = self.servers.iter().map(|s| s.name.clone()).collect();
        wanted.sort();
        ensure!(here == wanted, "{} runs {here:?}, not {wanted:?}", self.site(at));
        ensure!(there.is_empty(), "{} runs {there:?}, too", self.site(1 - at));
        self.say(&format!("One primary: {} runs all {} servers.", self.site(at), here.len()));
        Ok(())
    }

    /// Every volume at a site that this site's guests can write to took the stamp.
    ///
    /// # Errors
    /// When some did not.
    pub async fn must_write(&self, at: usize, stamp: &str) -> anyhow::Result<()> {
        let (written, volumes) = (self.write(at, stamp).await?, self.volumes());
        ensure!(
            written == volumes,
            "{written} of {volumes} volumes at {} took {stamp:?}",
            self.site(at)
        );
        Ok(())
    }

    /// Volumes of the application.
    pub fn volumes(&self) -> usize {
        self.servers.iter().map(|server| server.volumes.len()).sum()
    }

    /// An operation's record at a site; null while its journal has not come there.
    ///
    /// # Errors
    /// What the API answered.
    pub async fn operation(&self, at: usize, id: &str) -> anyhow::Result<Value> {
        let (tenant, project) = self.stage.tenant(at).await?;
        let url = format!("{}/v1/{project}/operations/{id}", self.stage.sites[at].api_url);
        let headers = [("OpenStack-API-Version", "protector 1.3")];
        let reply = tenant.call_with("GET", &url, &headers, None).await?;
        match reply.status.as_u16() {
            404 => Ok(Value::Null),
            _ => Ok(reply.ok()?["operation"].take()),
        }
    }

    /// An operation's record at a site that fits, sooner or later.
    ///
    /// # Errors
    /// With the record that does not fit.
    pub async fn await_operation(
        &self,
        at: usize,
        id: &str,
        what: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let give_up = self.stage.clock.monotonic() + PATIENCE;
        loop {
            let record = self.operation(at, id).await?;
            if fits(&record) {
                return Ok(record);
            }
            let is_late = self.stage.clock.monotonic() >= give_up;
            ensure!(!is_late, "{} does not show {what}: {record}", self.site(at));
            self.stage.clock.sleep(LOOK / 4).await;
        }
    }

    /// The operation has come so far at the site that drives it, and runs.
    ///
    /// # Errors
    /// When it ended before.
    pub async fn await_progress(&self, at: usize, id: &str, percent: u64) -> anyhow::Result<()> {
        let far = |record: &Value| record["progress"].as_u64() >= Some(percent);
        let record = self.await_operation(at, id, "progress", far).await?;
        ensure!(record["status"] == "running", "the operation is {}", record["status"]);
        Ok(())
    }

    /// Failback from B with replication restored: every original serves again with what was written last, at one
    /// primary, and both sites agree.
    ///
    /// # Errors
    /// When it is not so.
    pub async fn come_home(&self, last: &str) -> anyhow::Result<Value> {
        let params = with(mappings(1), "reverse_replication", true);
        let record = self.complete(1, "failback", params).await?;
        self.expect_group(&[0, 1], "active", 0).await?;
        self.expect_one_primary(0).await?;
        self.expect_stamp(0, last).await?;
        let servers = self.nova(0).await?;
        for original in &self.servers {
            let server = servers.iter().find(|server| server["id"] == *original.id);
            ensure!(
                server.is_some_and(|server| server["locked"] == false),
                "{} is not its original again: {}",
                original.name,
                record["result_data"]["rebuilt"]
            );
        }
        for at in 0..2 {
            self.expect_sync(at, "IN SYNC").await?;
        }
        Ok(record)
    }

    /// `takeover` of what the other site was driving, asked for until that site has been silent for long enough.
    ///
    /// # Errors
    /// When it is refused for another reason, or granted too early.
    pub async fn take_over(&self, at: usize) -> anyhow::Result<Value> {
        let began = self.stage.clock.monotonic();
        let give_up = began + PATIENCE;
        let body = json!({"takeover": {"force": true}});
        loop {
            let mut reply = self.ask(at, "POST", "/action", Some(body.clone())).await?;
            if reply.status.is_success() {
                let silent = self.stage.clock.monotonic() - began;
                ensure!(silent > TAKEN_OVER_AFTER, "takeover was granted after {silent:?}");
                self.say(&format!(
                    "\n{} takes over what {} was driving.",
                    self.site(at),
                    self.site(1 - at)
                ));
                return Ok(reply.body["operation"].take());
            }
            refused(&reply, "protection_group.busy").context("takeover")?;
            ensure!(self.stage.clock.monotonic() < give_up, "takeover: {}", reply.body);
            self.stage.clock.sleep(LOOK * 2).await;
        }
    }
}

/// The words of a refusal with this code.
///
/// # Errors
/// When it is none, or another one.
pub fn refused(reply: &Reply, code: &str) -> anyhow::Result<String> {
    let error = &reply.body["errors"][0];
    ensure!(
        reply.status == 409 && error["code"] == code,
        "the answer is {} {}, not 409 {code}",
        reply.status,
        reply.body
    );
    Ok(error["detail"].as_str().unwrap_or_default().to_owned())
}
