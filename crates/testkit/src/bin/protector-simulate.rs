//! Runs seeds of the two-site simulation: `cargo xtask sim --seeds 1..20`.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use protector_testkit::simulation;

fn main() -> ExitCode {
    match seeds(std::env::args().skip(1)).and_then(run) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("simulation: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// `--seeds 3`, `--seeds 1..20` (both ends included).
fn seeds(mut words: impl Iterator<Item = String>) -> anyhow::Result<std::ops::RangeInclusive<u64>> {
    match (words.next().as_deref(), words.next()) {
        (None, _) => Ok(1..=8),
        (Some("--seeds"), Some(range)) => {
            let (first, last) = range.split_once("..").unwrap_or((&range, &range));
            let number = |text: &str| {
                text.trim_start_matches('=').parse().with_context(|| format!("{text:?} is no seed"))
            };
            Ok(number(first)?..=number(last)?)
        }
        _ => bail!("usage: protector-simulate --seeds 1..20"),
    }
}

fn run(seeds: std::ops::RangeInclusive<u64>) -> anyhow::Result<bool> {
    protector_server::install_crypto_provider();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (mut failed, mut faults, mut count) = (Vec::new(), 0, 0);
    for seed in seeds {
        let outcome = runtime.block_on(simulation::run(seed))?;
        println!("{outcome}");
        count += 1;
        faults += outcome.faults.iter().map(|(_, n)| n).sum::<u64>();
        if !outcome.problems.is_empty() {
            failed.push(seed);
        }
    }
    println!("{count} seeds, {faults} faults injected, {} failed: {failed:?}", failed.len());
    Ok(failed.is_empty())
}
