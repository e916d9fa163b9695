//! Serves a world and writes addresses and credentials to a file:
//! `world --env-file PATH [--seed N] [--ip ADDR] [--cloud-port-a N] [--cloud-port-b N] [--cloud-tls]`.
//! Ends on SIGTERM or Ctrl-C.

// Here the machine's own clock comes in.
#![allow(clippy::disallowed_methods)]

use std::{
    collections::HashMap, error::Error, net::IpAddr, path::PathBuf, sync::Arc, time::Duration,
};

use chrono::{DateTime, Utc};
use protector_sim::world::{ServeOptions, World, WorldConfig};
use protector_types::{BoxFuture, Clock};

/// The machine's own time.
#[derive(Debug)]
struct RealClock(std::time::Instant);

impl Clock for RealClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

fn arguments() -> HashMap<String, String> {
    let mut out = HashMap::new();
    let mut words = std::env::args().skip(1).peekable();
    while let Some(word) = words.next() {
        let Some(name) = word.strip_prefix("--") else { continue };
        let value = words.next_if(|next| !next.starts_with("--")).unwrap_or_default();
        out.insert(name.to_owned(), value);
    }
    out
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let given = arguments();
    let number = |name: &str| given.get(name).map_or(Ok(0), |v| v.parse::<u16>());
    let seed = given.get("seed").map_or(Ok(1), |v| v.parse::<u64>())?;
    let mut config = WorldConfig::new(seed, Arc::new(RealClock(std::time::Instant::now())));
    config.flavors = true;
    for (site, letter) in config.sites.iter_mut().zip(['A', 'B']) {
        // Another life of tokens, for tests of expiry.
        if let Some(seconds) = given.get("token-seconds") {
            site.accounts.token_life = chrono::Duration::seconds(seconds.parse()?);
        }
        println!("site {letter}: {}", site.name);
    }
    let world = World::new(config.clone());
    let options = ServeOptions {
        ip: given.get("ip").map_or(Ok(IpAddr::from([127, 0, 0, 1])), |v| v.parse())?,
        cloud_ports: [number("cloud-port-a")?, number("cloud-port-b")?],
        array_ports: [number("array-port-a")?, number("array-port-b")?],
        cloud_tls: given.contains_key("cloud-tls"),
        array_plain: given.contains_key("array-plain"),
    };
    let served = world.serve(options).await?;
    if let Some(path) = given.get("env-file").map(PathBuf::from) {
        let ca = path.with_extension("ca.pem");
        std::fs::write(&ca, &served.ca_pem)?;
        let mut lines: Vec<String> =
            served.env(&world, &config).into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        lines.push(format!("SIM_CA_FILE={}", ca.display()));
        // Written beside and renamed, so that nobody reads half of it.
        let partial = path.with_extension("partial");
        std::fs::write(&partial, lines.join("\n") + "\n")?;
        std::fs::rename(&partial, &path)?;
    }
    for site in &served.sites {
        println!("{} {}", site.cloud.url(), site.array.url());
    }
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    served.stop().await;
    Ok(())
}
