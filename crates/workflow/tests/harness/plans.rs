//! The plans that the fake world is tried with.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use protector_workflow::{OnFailure, Plan, PlannedStep, Stage};
use serde_json::{Value, json};

use super::{
    Case,
    fake::{FakeDefinition, FakeWorld, SOURCES},
};

/// One step of a plan in the making.
#[derive(Debug, Clone)]
pub struct Sketch {
    /// Id.
    pub id: String,
    /// Kind.
    pub kind: &'static str,
    /// Ids of what it needs.
    pub after: Vec<String>,
    /// Failure is a warning.
    pub warn: bool,
    /// No way back.
    pub no_return: bool,
    /// Its failure ends only the branch of this subject.
    pub alone: Option<&'static str>,
}

/// `step("a", "make", &[])`.
pub fn step(id: &str, kind: &'static str, after: &[&str]) -> Sketch {
    let after = after.iter().map(|a| (*a).to_owned()).collect();
    Sketch { id: id.into(), kind, after, warn: false, no_return: false, alone: None }
}

impl Sketch {
    fn warns(mut self) -> Self {
        self.warn = true;
        self
    }

    fn alone(mut self, subject: &'static str) -> Self {
        self.alone = Some(subject);
        self
    }

    fn seals(mut self) -> Self {
        self.no_return = true;
        self
    }
}

/// The plan of these steps, in three stages by depth.
pub fn case(name: &str, sketches: &[Sketch]) -> Case<FakeWorld> {
    let mut depth: BTreeMap<&str, usize> = BTreeMap::new();
    for sketch in sketches {
        let deepest = sketch.after.iter().map(|a| depth[a.as_str()] + 1).max().unwrap_or(0);
        depth.insert(&sketch.id, deepest);
    }
    let levels = depth.values().max().copied().unwrap_or(0) + 1;
    let mut sources = 0;
    let mut things_of = BTreeMap::new();
    let steps = sketches
        .iter()
        .map(|sketch| {
            let thing = match sketch.kind {
                "set" => {
                    sources += 1;
                    assert!(sources <= SOURCES, "more `set` steps than sources");
                    format!("source-{}", sources - 1)
                }
                _ => format!("thing-{}", sketch.id),
            };
            things_of.insert(sketch.id.clone(), vec![thing.clone()]);
            PlannedStep {
                id: sketch.id.clone(),
                kind: sketch.kind.into(),
                stage: depth[sketch.id.as_str()] * 3 / levels,
                after: sketch.after.clone(),
                input: json!({ "name": thing, "parents": sketch.after }),
                subject: sketch.alone.map(str::to_owned),
                deadline_sec: 60,
                no_return: sketch.no_return,
                on_failure: match (sketch.warn, sketch.alone) {
                    (true, _) => OnFailure::Warn,
                    (false, Some(_)) => OnFailure::Isolate,
                    (false, None) => OnFailure::Rollback,
                },
            }
        })
        .collect();
    let stage = |name: &str, from, to| Stage { name: name.into(), from, to };
    let plan = Plan {
        definition: "fake".into(),
        version: 1,
        stages: vec![stage("prepare", 0, 20), stage("build", 20, 60), stage("finish", 60, 100)],
        steps,
        facts: Value::Null,
    };
    plan.validate().unwrap();
    Case {
        name: name.into(),
        plan: Arc::new(plan),
        definition: |world| Arc::new(FakeDefinition(world)),
        things_of,
    }
}

/// One after the other.
pub fn chain() -> Case<FakeWorld> {
    case(
        "chain",
        &[
            step("check", "wait", &[]),
            step("fence", "set", &["check"]),
            step("clone", "make", &["fence"]),
            step("server", "grow", &["clone"]),
            step("tag", "make", &["server"]),
            step("end", "wait", &["tag"]),
        ],
    )
}

/// Two ways from one to one.
pub fn diamond() -> Case<FakeWorld> {
    case(
        "diamond",
        &[
            step("top", "make", &[]),
            step("left", "grow", &["top"]),
            step("right", "set", &["top"]),
            step("bottom", "make", &["left", "right"]),
        ],
    )
}

/// Fifty members of two steps each, then a barrier, then the end.
pub fn fan_out() -> Case<FakeWorld> {
    let mut sketches = vec![step("fence", "set", &[])];
    for member in 0..50 {
        let (volume, server) = (format!("v{member}"), format!("s{member}"));
        sketches.push(step(&volume, "make", &["fence"]));
        sketches.push(step(&server, "grow", &[&volume]));
    }
    let servers: Vec<String> = (0..50).map(|m| format!("s{m}")).collect();
    let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
    sketches.push(step("barrier", "wait", &servers));
    sketches.push(step("end", "make", &["barrier"]));
    case("fan-out", &sketches)
}

/// Two members, each of which ends in a point of no return, and a side branch.
pub fn no_return() -> Case<FakeWorld> {
    case(
        "no return",
        &[
            step("fence", "set", &[]),
            step("v1", "make", &["fence"]),
            step("v2", "make", &["fence"]),
            step("s1", "grow", &["v1"]).seals(),
            step("s2", "make", &["v2"]).seals(),
            step("side", "grow", &["fence"]),
            step("side2", "make", &["side"]),
            step("swap", "wait", &["s1", "s2", "side2"]).seals(),
            step("old", "set", &["swap"]),
            step("new", "make", &["swap"]),
        ],
    )
}

/// Two members, each of which may fail by itself, and what joins them.
pub fn isolation() -> Case<FakeWorld> {
    case(
        "isolation",
        &[
            step("fence", "set", &[]),
            step("v1", "make", &["fence"]).alone("m1"),
            step("v2", "make", &["fence"]).alone("m2"),
            step("cloned", "wait", &["v1", "v2"]),
            step("s1", "grow", &["v1", "cloned"]).alone("m1"),
            step("s2", "grow", &["v2", "cloned"]).alone("m2"),
            step("t1", "make", &["s1"]).alone("m1"),
            step("end", "wait", &["t1", "s2"]),
        ],
    )
}

/// Steps whose failure is only a warning, at the start, inside and at the end.
pub fn warnings() -> Case<FakeWorld> {
    case(
        "warnings",
        &[
            step("hint", "set", &[]).warns(),
            step("base", "make", &["hint"]),
            step("w1", "make", &["base"]).warns(),
            step("w2", "grow", &["base"]).warns(),
            step("w3", "make", &["w2"]),
            step("end", "make", &["w1", "w3"]),
            step("bye", "wait", &["end"]).warns(),
        ],
    )
}

/// A random plan of 2 to 12 steps.
pub fn any_plan() -> impl Strategy<Value = Vec<Sketch>> {
    let kinds = prop::sample::select(vec!["make", "grow", "set", "wait"]);
    let one = (kinds, any::<u64>(), 0..10u8, 0..14u8);
    prop::collection::vec(one, 2..12).prop_map(|drawn| {
        let mut sets = 0;
        let mut sketches: Vec<Sketch> = Vec::new();
        for (number, (kind, edges, warn, seal)) in drawn.into_iter().enumerate() {
            sets += usize::from(kind == "set");
            let kind = if kind == "set" && sets > SOURCES { "make" } else { kind };
            let after = (0..number)
                .filter(|bit| edges >> (2 * bit) & 3 == 3)
                .map(|earlier| format!("n{earlier}"))
                .collect();
            let (warn, no_return) = (warn == 0, seal == 0 && warn != 0);
            let alone = (edges % 7 == 0).then_some(["m1", "m2"][number % 2]);
            let id = format!("n{number}");
            sketches.push(Sketch { id, kind, after, warn, no_return, alone });
        }
        sketches
    })
}
