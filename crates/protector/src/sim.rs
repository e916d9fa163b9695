//! `protector sim`: the simulators as processes of their own.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use clap::Subcommand;
use protector_server::SystemClock;
use protector_sim::{
    pair::{Pair, PairEnd},
    world::{ServeOptions, World, WorldConfig},
};
use protector_types::Clock;

use crate::commands::stop_signal;

/// How often the process that only waits looks whether the arrays are still served.
const LOOK: Duration = Duration::from_secs(1);
/// So many looks in a row must fail before the arrays are taken for gone.
const MISSES: u32 = 5;

/// Which simulators.
#[derive(Debug, Subcommand)]
pub enum Sim {
    /// Two clouds and their two linked arrays.
    World(WorldOptions),
    /// One array of a linked pair, for a real cloud. The first process of the pair serves both arrays; the second one
    /// lives as long as the first. The state is in memory: it ends with the process that serves.
    Array(ArrayOptions),
}

/// Where a world is served.
#[derive(Debug, clap::Args)]
pub struct WorldOptions {
    /// Write addresses and credentials to this file once all of them answer.
    #[arg(long)]
    env_file: Option<PathBuf>,
    /// Everything that is drawn is keyed by it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    ip: IpAddr,
    /// Port of site A's cloud; 0: any free one.
    #[arg(long, default_value_t = 0)]
    cloud_port_a: u16,
    /// Port of site B's cloud.
    #[arg(long, default_value_t = 0)]
    cloud_port_b: u16,
    /// Port of site A's array.
    #[arg(long, default_value_t = 0)]
    array_port_a: u16,
    /// Port of site B's array.
    #[arg(long, default_value_t = 0)]
    array_port_b: u16,
    /// Life of Keystone's tokens in seconds; without it as Keystone has it.
    #[arg(long)]
    token_seconds: Option<i64>,
    /// The clouds over TLS, too.
    #[arg(long)]
    cloud_tls: bool,
    /// The arrays also over plain HTTP, on a free port each.
    #[arg(long)]
    array_plain: bool,
}

/// One array and its peer.
#[derive(Debug, clap::Args)]
pub struct ArrayOptions {
    /// Name of the array.
    #[arg(long, env = "ARRAY_NAME")]
    name: String,
    /// Where it listens, over TLS.
    #[arg(long, env = "ARRAY_LISTEN")]
    listen: SocketAddr,
    /// API token of its administrator.
    #[arg(long, env = "ARRAY_TOKEN", hide_env_values = true)]
    token: String,
    /// PEM file of the certificate that both arrays show.
    #[arg(long, env = "ARRAY_TLS_CERT")]
    tls_cert: PathBuf,
    /// PEM file of its key.
    #[arg(long, env = "ARRAY_TLS_KEY")]
    tls_key: PathBuf,
    /// Name of the array that it replicates to and from.
    #[arg(long, env = "ARRAY_PEER_NAME")]
    peer_name: String,
    /// Where that one listens.
    #[arg(long, env = "ARRAY_PEER_ADDRESS")]
    peer_address: SocketAddr,
    /// API token of its administrator.
    #[arg(long, env = "ARRAY_PEER_TOKEN", hide_env_values = true)]
    peer_token: String,
    /// Serials and timings are drawn from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Serves until SIGTERM or SIGINT; gives the exit code.
///
/// # Errors
/// When something cannot be read or cannot listen.
pub async fn run(sim: Sim) -> anyhow::Result<i32> {
    match sim {
        Sim::World(options) => world(options).await,
        Sim::Array(options) => array(options).await,
    }
}

async fn world(options: WorldOptions) -> anyhow::Result<i32> {
    let mut config = WorldConfig::new(options.seed, clock());
    config.flavors = true;
    if let Some(seconds) = options.token_seconds {
        for site in &mut config.sites {
            site.accounts.token_life = chrono::Duration::seconds(seconds);
        }
    }
    let world = World::new(config.clone());
    let served = world
        .serve(ServeOptions {
            ip: options.ip,
            cloud_ports: [options.cloud_port_a, options.cloud_port_b],
            array_ports: [options.array_port_a, options.array_port_b],
            cloud_tls: options.cloud_tls,
            array_plain: options.array_plain,
        })
        .await?;
    for site in &served.sites {
        println!("{} {}", site.cloud.url(), site.array.url());
    }
    if let Some(path) = &options.env_file {
        write_env(path, &served.ca_pem, served.env(&world, &config))?;
    }
    stop_signal()?.await;
    served.stop().await;
    Ok(0)
}

/// Addresses and credentials as `KEY=value`, and the authority beside.
fn write_env(path: &Path, ca_pem: &str, pairs: Vec<(String, String)>) -> anyhow::Result<()> {
    let failed = || format!("{} could not be written", path.display());
    let ca = path.with_extension("ca.pem");
    std::fs::write(&ca, ca_pem).with_context(failed)?;
    let mut text: String =
        pairs.into_iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    text.push_str(&format!("SIM_CA_FILE={}\n", ca.display()));
    // Written beside and renamed, so that nobody reads half of it.
    let partial = path.with_extension("partial");
    std::fs::write(&partial, text).with_context(failed)?;
    std::fs::rename(&partial, path).with_context(failed)
}

async fn array(options: ArrayOptions) -> anyhow::Result<i32> {
    let read =
        |path: &PathBuf| std::fs::read_to_string(path).with_context(|| path.display().to_string());
    let (certificate, key) = (read(&options.tls_cert)?, read(&options.tls_key)?);
    let own = PairEnd { name: options.name, listen: options.listen, token: options.token };
    let peer = PairEnd {
        name: options.peer_name,
        listen: options.peer_address,
        token: options.peer_token,
    };
    match Pair::serve(in_order(own.clone(), peer), &certificate, &key, clock(), options.seed).await
    {
        Ok(pair) => {
            for (array, server) in pair.arrays().iter().zip(pair.servers()) {
                println!("array {} on {}", array.name(), server.url());
            }
            stop_signal()?.await;
            pair.stop().await;
            Ok(0)
        }
        Err(error) if error.is_in_use() => {
            println!("array {} on {} is served by the process of its peer", own.name, own.listen);
            tokio::select! {
                () = stop_signal()? => Ok(0),
                () = until_gone(own.listen) => anyhow::bail!(
                    "nothing serves array {} on {} any more; start both arrays again", own.name, own.listen
                ),
            }
        }
        Err(error) => Err(error.into()),
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

/// The same order whichever end asks, so that of two processes that start at once exactly one gets both addresses.
fn in_order(own: PairEnd, peer: PairEnd) -> [PairEnd; 2] {
    if own.listen <= peer.listen { [own, peer] } else { [peer, own] }
}

async fn until_gone(listen: SocketAddr) {
    let mut missed = 0;
    while missed < MISSES {
        missed = if tokio::net::TcpStream::connect(listen).await.is_ok() { 0 } else { missed + 1 };
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn end(name: &str, listen: &str) -> PairEnd {
        PairEnd { name: name.into(), listen: listen.parse().unwrap(), token: "t".into() }
    }

    #[test]
    fn both_ends_bind_in_the_same_order() {
        let (a, b) = (end("a", "127.0.1.1:18443"), end("b", "127.0.2.1:28443"));
        assert_eq!(in_order(a.clone(), b.clone()), in_order(b, a));
    }
}
