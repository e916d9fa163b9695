//! The workflow's own suite: the property harness over the plans of a fake world, and the holes that were closed.

// Tests measure their own time by the wall.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, missing_docs)]

#[path = "../harness/mod.rs"]
mod harness;

mod branches;
mod cost;
mod holes;
mod random;
mod requests;
mod skips;
mod stage;
mod sweeps;
mod takeover;
mod threads;

use std::sync::Once;

/// Planned panics need no stack trace on the screen.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&"planned panic") {
                usual(info);
            }
        }));
    });
}
