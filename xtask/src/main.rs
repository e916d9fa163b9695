//! The house's own checks: `cargo xtask <check>`. Each prints what is wrong, where, and what to do.

use std::{env, ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

mod ci;
mod deps;
mod licenses;
mod manifest;
mod metadata;
mod openapi;
mod report;
mod source;
mod spdx;
mod tidy;

use report::Report;

/// Checks of the workspace.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    check: Check,
}

#[derive(Debug, Subcommand)]
enum Check {
    /// Who may use whom among our crates, and who alone may name sea-orm and reqwest.
    Deps,
    /// Licences of everything that is shipped or used to build, and crates that are banned.
    Licenses,
    /// Lengths, panics, leftovers, undocumented error codes, dead files.
    Tidy,
    /// Writes openapi/protector-v1.json from the code.
    Openapi {
        /// Compare only, and fail if it differs.
        #[arg(long)]
        check: bool,
    },
    /// Seeded simulation of two Protectors on two simulated sites under faults.
    Sim {
        /// One seed, or the first and the last: `1..20`.
        #[arg(long, default_value = "1..8")]
        seeds: String,
    },
    /// Formatting, clippy, deps, licenses and tidy, with the time each took.
    Ci,
}

fn main() -> ExitCode {
    match run(&Arguments::parse().check) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// True if all is well.
fn run(check: &Check) -> Result<bool> {
    let root = root()?;
    match check {
        Check::Deps => Ok(shown("deps", &deps::check(&metadata::load(&root)?, &root)?)),
        Check::Licenses => Ok(shown("licenses", &licenses::check(&metadata::load(&root)?))),
        Check::Tidy => Ok(shown("tidy", &tidy::check(&root)?)),
        Check::Openapi { check } => openapi::run(&root, *check),
        Check::Sim { seeds } => {
            // No package is named: another choice of packages would compile the dependencies anew.
            let words = ["run", "--release", "--bin", "protector-simulate", "--"];
            let status = std::process::Command::new(cargo())
                .args(words)
                .args(["--seeds", seeds])
                .current_dir(&root)
                .status()
                .context("running the simulation")?;
            Ok(status.success())
        }
        Check::Ci => ci::run(&root),
    }
}

/// Prints a report; true if it has no error.
fn shown(name: &str, report: &Report) -> bool {
    print!("{report}");
    println!("{name}: {}", report.summary());
    report.is_clean()
}

/// The cargo that runs this.
fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The workspace's folder: the one above this crate's.
fn root() -> Result<PathBuf> {
    let manifest = env::var("CARGO_MANIFEST_DIR").context("run this as `cargo xtask ...`")?;
    let parent = PathBuf::from(&manifest).parent().map(PathBuf::from);
    parent.with_context(|| format!("{manifest} has no parent"))
}
