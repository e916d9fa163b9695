//! Checks the two-site protocol exhaustively: `cargo run --release -p protector-model -- [small|large] [part of a name]`.

use std::process::ExitCode;

use protector_model::{Budget, Protocol, Rules, check};
use protector_types::Clock as _;
use protector_workflow::SystemClock;

fn main() -> ExitCode {
    let large = std::env::args().any(|word| word == "large");
    let budgets = if large { Budget::large() } else { Budget::small() };
    let mut failed = false;
    let only = std::env::args().nth(2);
    for (name, budget) in budgets {
        if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let clock = SystemClock::new();
        let report = check(&Protocol { rules: Rules::default(), budget });
        println!("{name} ({:.1} s): {report}", clock.monotonic().as_secs_f64());
        failed |= report.failure().is_some();
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
