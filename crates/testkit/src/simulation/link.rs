//! The way between two Protectors, with faults on it.

pub use protector_demo::way::Way as Link;
use protector_sim::faults::{Effect, FaultPlan, Rule, When};

/// Faults on a way, each with this probability.
pub fn disturb(plan: &FaultPlan, name: &str, probability: f64) {
    let effects = [
        Effect::Refuse,
        Effect::TimeoutBefore { hang_ms: 2_000 },
        Effect::TimeoutAfter { hang_ms: 2_000 },
        Effect::LateEffect { secs: 4, hang_ms: 2_000 },
        Effect::Status { code: 503, message: None, retry_after: None },
        Effect::Slow { ms: 3_000 },
    ];
    for effect in effects {
        plan.add(Rule {
            site: Some(name.to_owned()),
            service: None,
            method: None,
            path: None,
            body: None,
            when: When::Probability(probability),
            times: None,
            effect,
        });
    }
}
