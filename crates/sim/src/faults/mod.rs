//! Faults on the wire: a seeded plan of rules that every call to a cloud or an array passes through.
//!
//! A draw depends on (seed, site, rule, identity of the call, attempt number of that identity) and
//! never on the order in which things happen, so a plan replays exactly.

mod gate;
mod plan;
mod stale;

pub use gate::{Call, Gate, dropped, refused};
pub use plan::{FaultPlan, Partition};

pub use protector_http::transport::{Dropped, Refused};
use serde::{Deserialize, Serialize};

/// Which of the matching calls are hit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// All of them.
    Always,
    /// The first, second ... call that the rule matches, counted from 1.
    Nth(Vec<u64>),
    /// Each with this probability (0.0 to 1.0), drawn by call identity and attempt number.
    Probability(f64),
}

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Effect {
    /// The connection closes before anything happened.
    Refuse,
    /// Hangs, then closes; nothing happened.
    TimeoutBefore {
        /// World's milliseconds until the connection closes.
        #[serde(default = "default_hang")]
        hang_ms: u64,
    },
    /// It happens, but the answer never comes: hangs, then closes.
    TimeoutAfter {
        /// World's milliseconds until the connection closes.
        #[serde(default = "default_hang")]
        hang_ms: u64,
    },
    /// The call seems lost; it happens some time after it came in, whoever may have given up.
    LateEffect {
        /// World's seconds until it happens.
        secs: u64,
        /// World's milliseconds until the connection closes.
        #[serde(default)]
        hang_ms: u64,
    },
    /// The service answers this status in its own words; nothing happened.
    Status {
        /// 401, 403, 409, 429, 500, 503 ...
        code: u16,
        /// Instead of the usual words.
        #[serde(default)]
        message: Option<String>,
        /// `Retry-After`, in seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// A read answers as it would have some time ago. Writes pass.
    Stale {
        /// World's milliseconds.
        ms: u64,
    },
    /// It takes so much longer.
    Slow {
        /// World's milliseconds.
        ms: u64,
    },
}

fn default_hang() -> u64 {
    60_000
}

impl Effect {
    /// The name under which it is counted.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::TimeoutBefore { .. } => "timeout_before",
            Self::TimeoutAfter { .. } => "timeout_after",
            Self::LateEffect { .. } => "late_effect",
            Self::Status { .. } => "status",
            Self::Stale { .. } => "stale",
            Self::Slow { .. } => "slow",
        }
    }
}

/// One rule. What is `None` matches everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Cloud or array name.
    #[serde(default)]
    pub site: Option<String>,
    /// `identity`, `compute`, `volume`, `network`, `image` or `array`.
    #[serde(default)]
    pub service: Option<String>,
    /// `GET` ...
    #[serde(default)]
    pub method: Option<String>,
    /// A part of path and query; with `*` in it, the whole of them (`*` is any text).
    #[serde(default)]
    pub path: Option<String>,
    /// A part of the body.
    #[serde(default)]
    pub body: Option<String>,
    /// Which of the matching calls.
    #[serde(default = "always")]
    pub when: When,
    /// At most so many hits.
    #[serde(default)]
    pub times: Option<u64>,
    /// What happens to them.
    pub effect: Effect,
}

fn always() -> When {
    When::Always
}

impl Rule {
    /// A rule that hits every call of every site.
    pub fn new(effect: Effect) -> Self {
        Self {
            site: None,
            service: None,
            method: None,
            path: None,
            body: None,
            when: When::Always,
            times: None,
            effect,
        }
    }

    /// Only this cloud or array.
    pub fn site(mut self, name: &str) -> Self {
        self.site = Some(name.to_owned());
        self
    }

    /// Only this service.
    pub fn service(mut self, name: &str) -> Self {
        self.service = Some(name.to_owned());
        self
    }

    /// Only this method.
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only paths with this part, or of this pattern.
    pub fn path(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// Only bodies with this part.
    pub fn body(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self
    }

    /// Which of the matching calls.
    pub fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    /// At most so many hits.
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// The rule is about this call.
    pub fn matches(&self, site: &str, call: &Call) -> bool {
        let is = |wanted: &Option<String>, have: &str| {
            wanted.as_ref().is_none_or(|w| w.eq_ignore_ascii_case(have))
        };
        is(&self.site, site)
            && is(&self.service, &call.service)
            && is(&self.method, &call.method)
            && self.path.as_ref().is_none_or(|p| glob(p, &call.path))
            && self.body.as_ref().is_none_or(|b| call.body.contains(b.as_str()))
    }
}

/// Without `*`: is a part of. With: matches the whole.
fn glob(pattern: &str, text: &str) -> bool {
    if !pattern.contains('*') {
        return text.contains(pattern);
    }
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// A bit of everything on every call: each kind of fault with probability `rate`, times counted in the
/// world's time. Answers to reads may be stale by up to two seconds.
pub fn chaos(rate: f64) -> Vec<Rule> {
    let status = |code| Effect::Status {
        code,
        message: None,
        retry_after: (code == 429 || code == 503).then_some(1),
    };
    let effects = [
        Effect::Refuse,
        Effect::TimeoutBefore { hang_ms: 60_000 },
        Effect::TimeoutAfter { hang_ms: 60_000 },
        Effect::LateEffect { secs: 5, hang_ms: 0 },
        Effect::LateEffect { secs: 45, hang_ms: 60_000 },
        status(429),
        status(500),
        status(503),
        Effect::Stale { ms: 2_000 },
        Effect::Slow { ms: 3_000 },
    ];
    effects.into_iter().map(|effect| Rule::new(effect).when(When::Probability(rate))).collect()
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn a_pattern_without_a_star_is_a_part() {
        assert!(glob("/servers", "/compute/v2.1/servers/detail"));
        assert!(!glob("/volumes", "/compute/v2.1/servers/detail"));
    }

    #[test]
    fn a_pattern_with_a_star_is_the_whole() {
        assert!(glob("*/servers", "/compute/v2.1/servers"));
        assert!(!glob("*/servers", "/compute/v2.1/servers/detail"));
        assert!(glob("/compute/*/servers/*/action", "/compute/v2.1/servers/1/action"));
        assert!(!glob("/compute/*/action", "/volume/v3/volumes/1/action"));
        assert!(glob("*", ""));
    }
}
