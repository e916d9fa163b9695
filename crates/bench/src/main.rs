//! Benchmarks. `failover`: how close a planned failover comes to what its reference graph allows, and what it costs.

// Setting the stage is one deep future.
#![recursion_limit = "256"]

mod clock;
mod engine;
mod failover;
mod reference;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "bench")]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A planned failover between two simulated data centres, with the engine as a process of its own.
    Failover(failover::Options),
}

fn main() -> anyhow::Result<()> {
    let Command::Failover(options) = CommandLine::parse().command;
    protector_server::install_crypto_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(failover::run(&options))
}
