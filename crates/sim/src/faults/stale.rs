//! What a read would have answered some time ago: earlier answers where there are any, and today's
//! without the objects born since.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use axum::body::Bytes;
use parking_lot::Mutex;
use serde_json::Value;

const KEPT_PER_READ: usize = 64;

#[derive(Debug, Clone)]
struct Answer {
    at: Duration,
    body: Bytes,
}

/// What a gate remembers while there are rules that make answers stale.
#[derive(Debug, Default)]
pub(super) struct Past {
    answers: Mutex<HashMap<String, VecDeque<Answer>>>,
    born: Mutex<HashMap<String, Duration>>,
}

impl Past {
    /// Notes the ids of what a write made.
    pub(super) fn note_birth(&self, body: &[u8], now: Duration) {
        let Ok(value) = serde_json::from_slice::<Value>(body) else { return };
        let mut ids = Vec::new();
        let objects = match &value {
            Value::Object(map) => map.values().collect::<Vec<_>>(),
            _ => return,
        };
        for object in objects {
            let items = object.as_array().map_or_else(|| vec![object], |a| a.iter().collect());
            ids.extend(items.into_iter().filter_map(|i| i.get("id").and_then(Value::as_str)));
        }
        let mut born = self.born.lock();
        for id in ids {
            born.entry(id.to_owned()).or_insert(now);
        }
    }

    /// Notes what a read answered.
    pub(super) fn note_answer(&self, key: &str, body: &Bytes, now: Duration) {
        let mut answers = self.answers.lock();
        let kept = answers.entry(key.to_owned()).or_default();
        kept.push_back(Answer { at: now, body: body.clone() });
        if kept.len() > KEPT_PER_READ {
            kept.pop_front();
        }
    }

    /// The body that a read would have given `age` before `now`, from today's body.
    pub(super) fn before(&self, key: &str, today: &Bytes, now: Duration, age: Duration) -> Bytes {
        let answers = self.answers.lock();
        let earlier = answers.get(key).and_then(|a| a.iter().rev().find(|a| a.at + age <= now));
        if let Some(earlier) = earlier {
            return earlier.body.clone();
        }
        drop(answers);
        self.without_the_young(today, now, age)
    }

    fn without_the_young(&self, today: &Bytes, now: Duration, age: Duration) -> Bytes {
        let Ok(mut value) = serde_json::from_slice::<Value>(today) else { return today.clone() };
        let born = self.born.lock();
        let Some(map) = value.as_object_mut() else { return today.clone() };
        let mut changed = false;
        for list in map.values_mut().filter_map(Value::as_array_mut) {
            let before = list.len();
            list.retain(|item| {
                let id = item.get("id").and_then(Value::as_str);
                id.and_then(|id| born.get(id)).is_none_or(|at| *at + age <= now)
            });
            changed |= before != list.len();
        }
        if changed { Bytes::from(value.to_string()) } else { today.clone() }
    }
}
