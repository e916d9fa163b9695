//! The live display: stages, steps, a line per server, an ETA.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

/// More servers than this share one line.
const SERVER_LINES: usize = 12;

/// Draws an operation on standard error; says nothing where there is no terminal.
pub struct Display {
    all: MultiProgress,
    overall: ProgressBar,
    stages: BTreeMap<String, ProgressBar>,
    servers: BTreeMap<String, (ProgressBar, String)>,
    started: Instant,
    plain: bool,
    last_stage: usize,
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file; a test renders them.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

impl Display {
    /// `silent`: draw nothing at all.
    #[expect(clippy::disallowed_methods, reason = "the person at the terminal waits in real time")]
    pub fn new(title: &str, silent: bool) -> Self {
        let all = MultiProgress::new();
        if silent {
            all.set_draw_target(ProgressDrawTarget::hidden());
        }
        let plain = !silent && all.is_hidden();
        let overall = all.add(ProgressBar::new(100));
        overall.set_style(style(
            "{prefix:.bold} [{bar:40.cyan}] {percent:>3}%  {elapsed_precise}  {msg}",
        ));
        overall.set_prefix(title.to_owned());
        Self {
            all,
            overall,
            stages: BTreeMap::new(),
            servers: BTreeMap::new(),
            started: Instant::now(),
            plain,
            last_stage: 0,
        }
    }

    /// One look at the operation.
    pub fn show(&mut self, record: &Value, events: &[Value]) {
        let progress = record["progress"].as_u64().unwrap_or(0);
        self.overall.set_position(progress);
        self.overall.set_message(match eta(self.started.elapsed(), progress) {
            Some(eta) if progress < 100 => format!("about {} s left", eta.as_secs() + 1),
            _ => record["status"].as_str().unwrap_or_default().to_owned(),
        });
        for stage in record["stages"].as_array().into_iter().flatten() {
            self.show_stage(stage);
        }
        for event in events {
            self.show_server(event);
        }
        if self.plain {
            self.say_stages(record);
        }
    }

    fn show_stage(&mut self, stage: &Value) {
        let name = stage["name"].as_str().unwrap_or_default().to_owned();
        let (all, total) = (&self.all, stage["total"].as_u64().unwrap_or(0));
        let bar = self.stages.entry(name.clone()).or_insert_with(|| {
            let bar = all.add(ProgressBar::new(total));
            bar.set_style(style("  {prefix:<32} [{bar:24}] {pos:>4}/{len:<4} {msg}"));
            bar.set_prefix(name);
            bar
        });
        bar.set_length(total);
        bar.set_position(stage["done"].as_u64().unwrap_or(0));
        let running = stage["running"].as_u64().unwrap_or(0);
        bar.set_message(if running > 0 { format!("{running} running") } else { String::new() });
    }

    fn show_server(&mut self, event: &Value) {
        let Some(member) = event["member"].as_str() else { return };
        let key = if self.servers.len() >= SERVER_LINES && !self.servers.contains_key(member) {
            "more servers"
        } else {
            member
        };
        let (all, name) = (&self.all, key.to_owned());
        let (bar, _) = self.servers.entry(name.clone()).or_insert_with(|| {
            let bar = all.add(ProgressBar::new_spinner());
            bar.set_style(style("    {spinner} {prefix:<20} {msg}"));
            bar.set_prefix(name);
            (bar, String::new())
        });
        bar.set_message(phrase(event));
        bar.tick();
    }

    /// Without a terminal: one line per finished stage.
    fn say_stages(&mut self, record: &Value) {
        let done = record["steps_completed"].as_array().cloned().unwrap_or_default();
        for stage in done.iter().skip(self.last_stage) {
            let after = self.started.elapsed().as_secs_f64();
            eprintln!("  {after:6.1} s  {}", stage.as_str().unwrap_or_default());
        }
        self.last_stage = done.len();
    }

    /// Leaves the last picture standing.
    pub fn finish(&self) {
        for bar in self.stages.values().chain(self.servers.values().map(|(bar, _)| bar)) {
            bar.abandon();
        }
        self.overall.abandon();
    }
}

fn phrase(event: &Value) -> String {
    let step = event["step"].as_str().unwrap_or_default();
    let kind =
        step.rsplit('.').next().unwrap_or(step).trim_end_matches(|c: char| c.is_ascii_digit());
    let what = match kind {
        "stop" => "stop source server",
        "lock" => "lock source server",
        "record" => "record array connections",
        "fence" => "disconnect volumes",
        "clone" => "clone volume",
        "manage" => "manage volume into Cinder",
        "dress" => "volume metadata",
        "port" => "create port",
        "create" => "create server",
        "power" => "restore power state",
        "verify" => "verify the source",
        other => other,
    };
    match event["event"].as_str().unwrap_or_default() {
        "started" => format!("{what} ..."),
        "done" => format!("{what}: done"),
        other => format!("{what}: {other} {}", event["message"].as_str().unwrap_or_default()),
    }
}

/// From what is done so far; nothing before there is something to go by.
fn eta(elapsed: Duration, progress: u64) -> Option<Duration> {
    (progress >= 5).then(|| elapsed.mul_f64((100 - progress.min(100)) as f64 / progress as f64))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_eta_follows_the_pace() {
        assert_eq!(eta(Duration::from_secs(10), 0), None);
        assert_eq!(eta(Duration::from_secs(10), 50), Some(Duration::from_secs(10)));
        assert_eq!(eta(Duration::from_secs(10), 100), Some(Duration::ZERO));
    }

    #[test]
    fn a_record_with_events_can_be_shown() {
        let mut display = Display::new("failover", true);
        let stages = json!([{"name": "validate_target_site", "done": 1, "total": 3, "running": 1}]);
        let record =
            json!({"progress": 10, "status": "running", "stages": stages, "steps_completed": []});
        display
            .show(&record, &[json!({"member": "web-1", "step": "m0.clone1", "event": "started"})]);
        assert_eq!(display.stages.len(), 1);
        assert_eq!(display.servers["web-1"].0.message(), "clone volume ...");
    }
}
