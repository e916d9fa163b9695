//! All checks that need no running program, one after the other, each with its time.

use std::{path::Path, process::Command, time::Instant};

use anyhow::{Context, Result};

use crate::{deps, licenses, metadata, shown, tidy};

/// Runs them all, also after a failure. True if all passed.
pub fn run(root: &Path) -> Result<bool> {
    let cargo = |words: &[&str]| {
        let status = Command::new(crate::cargo()).args(words).current_dir(root).status();
        status.map(|status| status.success()).with_context(|| format!("running cargo {}", words[0]))
    };
    let clippy =
        ["clippy", "--release", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    let mut failed = Vec::new();
    let mut section = |name: &'static str, passed: &dyn Fn() -> Result<bool>| -> Result<()> {
        #[expect(clippy::disallowed_methods, reason = "a tool that measures itself")]
        let start = Instant::now();
        let passed = passed()?;
        let word = if passed { "passed" } else { "FAILED" };
        println!("== {name}: {word} in {:.1} s", start.elapsed().as_secs_f64());
        if !passed {
            failed.push(name);
        }
        Ok(())
    };
    section("fmt", &|| cargo(&["fmt", "--all", "--", "--check"]))?;
    section("deps", &|| Ok(shown("deps", &deps::check(&metadata::load(root)?, root)?)))?;
    section("licenses", &|| Ok(shown("licenses", &licenses::check(&metadata::load(root)?))))?;
    section("tidy", &|| Ok(shown("tidy", &tidy::check(root)?)))?;
    section("clippy", &|| cargo(&clippy))?;
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
    }
    Ok(failed.is_empty())
}
