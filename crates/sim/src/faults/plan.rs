//! The plan that all sites of a world share, changeable while it runs.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::Mutex;
use protector_types::{Rng, SplitMix};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Call, Effect, Rule, When};

/// A site that nobody reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Partition {
    /// Connections close at once.
    Refuse,
    /// Connections hang until the partition ends, and close then.
    Hang,
}

#[derive(Debug, Default)]
struct Active {
    rules: BTreeMap<u64, Entry>,
    next_id: u64,
    partitions: BTreeMap<String, Partition>,
    attempts: HashMap<(String, u64), u64>,
    counts: BTreeMap<(String, String), u64>,
}

#[derive(Debug)]
struct Entry {
    rule: Rule,
    matched: u64,
    hits: u64,
}

/// A handle on the plan; clones share it.
#[derive(Debug, Clone)]
pub struct FaultPlan {
    seed: u64,
    active: Arc<Mutex<Active>>,
}

impl FaultPlan {
    /// A plan without rules.
    pub fn new(seed: u64) -> Self {
        Self { seed, active: Arc::default() }
    }

    /// Every draw is keyed by it.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Adds a rule; gives its id. The first rule that hits decides.
    pub fn add(&self, rule: Rule) -> u64 {
        let mut active = self.active.lock();
        active.next_id += 1;
        let id = active.next_id;
        active.rules.insert(id, Entry { rule, matched: 0, hits: 0 });
        id
    }

    /// Removes a rule; false if there is none of that id.
    pub fn remove(&self, id: u64) -> bool {
        self.active.lock().rules.remove(&id).is_some()
    }

    /// Removes all rules, or those that can hit one site.
    pub fn clear(&self, site: Option<&str>) {
        let keeps =
            |rule: &Rule| site.is_some_and(|s| rule.site.as_deref().is_some_and(|r| r != s));
        self.active.lock().rules.retain(|_, e| keeps(&e.rule));
    }

    /// Cuts a site (cloud or array) off, or lets it back.
    pub fn partition(&self, site: &str, partition: Option<Partition>) {
        let mut active = self.active.lock();
        match partition {
            Some(partition) => active.partitions.insert(site.to_owned(), partition),
            None => active.partitions.remove(site),
        };
    }

    /// Whether and how a site is cut off.
    pub fn partitioned(&self, site: &str) -> Option<Partition> {
        self.active.lock().partitions.get(site).copied()
    }

    /// How often each kind of fault was injected, at one site or at all.
    pub fn counts(&self, site: Option<&str>) -> BTreeMap<String, u64> {
        let mut out = BTreeMap::new();
        for ((at, kind), n) in &self.active.lock().counts {
            if site.is_none_or(|s| s == at) {
                *out.entry(kind.clone()).or_default() += n;
            }
        }
        out
    }

    /// Rules with their ids and hits, partitions and counts.
    pub fn describe(&self, site: Option<&str>) -> Value {
        let counts = self.counts(site);
        let active = self.active.lock();
        let rules: Vec<Value> = active
            .rules
            .iter()
            .filter(|(_, e)| site.is_none_or(|s| e.rule.site.as_deref().is_none_or(|r| r == s)))
            .map(|(id, e)| json!({"id": id, "rule": e.rule, "matched": e.matched, "hits": e.hits}))
            .collect();
        json!({"rules": rules, "partitions": active.partitions, "counts": counts})
    }

    pub(super) fn count(&self, site: &str, kind: &str) {
        *self.active.lock().counts.entry((site.to_owned(), kind.to_owned())).or_default() += 1;
    }

    /// Numbers the attempts of a call identity at a site, from 1.
    pub(super) fn attempt(&self, site: &str, identity: u64) -> u64 {
        let mut active = self.active.lock();
        let n = active.attempts.entry((site.to_owned(), identity)).or_default();
        *n += 1;
        *n
    }

    /// True if a rule could make an answer to this call stale, now or later.
    pub(super) fn may_be_stale(&self, site: &str, call: &Call) -> bool {
        let active = self.active.lock();
        active
            .rules
            .values()
            .any(|e| matches!(e.rule.effect, Effect::Stale { .. }) && e.rule.matches(site, call))
    }

    /// True if any rule makes answers stale.
    pub(super) fn has_stale_rules(&self) -> bool {
        self.active.lock().rules.values().any(|e| matches!(e.rule.effect, Effect::Stale { .. }))
    }

    /// What happens to a call, if anything.
    pub(super) fn decide(&self, site: &str, call: &Call, attempt: u64) -> Option<Effect> {
        let mut active = self.active.lock();
        for (id, entry) in &mut active.rules {
            // Writes are never stale; let them fall through to the other rules.
            let inapplicable =
                matches!(entry.rule.effect, Effect::Stale { .. }) && call.method != "GET";
            let spent = entry.rule.times.is_some_and(|t| entry.hits >= t);
            if inapplicable || spent || !entry.rule.matches(site, call) {
                continue;
            }
            entry.matched += 1;
            let hit = match &entry.rule.when {
                When::Always => true,
                When::Nth(numbers) => numbers.contains(&entry.matched),
                When::Probability(p) => {
                    let key = format!("fault/{site}/{id}/{:016x}/{attempt}", call.identity);
                    SplitMix::keyed(self.seed, &key).next_f64() < *p
                }
            };
            if hit {
                entry.hits += 1;
                let effect = entry.rule.effect.clone();
                *active.counts.entry((site.to_owned(), effect.name().to_owned())).or_default() += 1;
                return Some(effect);
            }
        }
        None
    }
}
