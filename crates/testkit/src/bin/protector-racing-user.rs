//! One of two users who start an operation at the same instant: a process of its own, so that neither shares a runtime
//! with the other or with a Protector.
//!
//! First line of the input: a [`Race`]. Each further line is an instant (microseconds of Unix time) to start at; each
//! answer is one line of JSON, a [`protector_testkit::race::Outcome`].

use std::{io::BufRead as _, process::ExitCode, time::Duration};

use anyhow::Context as _;
use protector_demo::Rest;
use protector_testkit::race::{Outcome, Race, unix_now};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("racing user: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut lines = std::io::stdin().lock().lines();
    let race = lines.next().context("the race is missing")??;
    let race: Race = serde_json::from_str(&race).context("the race")?;
    let user = Rest::new(None)?.with_token(&race.token);
    let body = serde_json::to_vec(&race.body)?;
    for line in lines {
        let at = Duration::from_micros(line?.trim().parse().context("the instant")?);
        std::thread::sleep(at.saturating_sub(unix_now()));
        let started = unix_now();
        let headers = [("OpenStack-API-Version", "protector 1.3")];
        let reply =
            runtime.block_on(user.call_with("POST", &race.url, &headers, Some(body.clone())))?;
        let outcome = Outcome {
            status: reply.status.as_u16(),
            body: reply.body,
            from_us: started.as_micros() as u64,
            to_us: unix_now().as_micros() as u64,
        };
        println!("{}", serde_json::to_string(&outcome)?);
    }
    Ok(())
}
