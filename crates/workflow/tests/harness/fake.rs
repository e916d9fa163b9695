//! A world of named things with markers, and steps over it: good ones and four planted bad ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use protector_types::{DomainEffect, GroupStatus, OperationStatus};
use protector_workflow::{
    Definition, Done, DynStep, Erased, Found, Outcome, Outputs, Plan, State, Step, StepCx,
    StepError, Undo,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Inventory, World};

/// How many things of others there are before the operation; `set` changes them.
pub const SOURCES: usize = 8;

#[derive(Debug, Clone)]
struct Thing {
    name: String,
    marker: Option<String>,
    value: String,
    parents: Vec<u64>,
    /// Looks until it is ready.
    looks: u32,
}

#[derive(Default)]
struct Things {
    all: BTreeMap<u64, Thing>,
    next: u64,
}

/// The world. Names are not unique, as in Nova; a thing with children cannot be deleted, as in Cinder.
pub struct FakeWorld(Mutex<Things>);

impl FakeWorld {
    fn lock(&self) -> MutexGuard<'_, Things> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn create(&self, thing: Thing) -> Result<u64, StepError> {
        let mut things = self.lock();
        if let Some(missing) = thing.parents.iter().find(|p| !things.all.contains_key(p)) {
            return Err(StepError::new(format!("{} needs {missing}, which is gone", thing.name)));
        }
        things.next += 1;
        let id = things.next;
        things.all.insert(id, thing);
        Ok(id)
    }

    fn marked(&self, marker: &str) -> Vec<u64> {
        let things = self.lock();
        let mine = things.all.iter().filter(|(_, t)| t.marker.as_deref() == Some(marker));
        mine.map(|(id, _)| *id).collect()
    }

    /// Looks at it once: true when it is ready.
    fn look(&self, id: u64) -> bool {
        let mut things = self.lock();
        let Some(thing) = things.all.get_mut(&id) else { return false };
        let ready = thing.looks == 0;
        thing.looks = thing.looks.saturating_sub(1);
        ready
    }

    fn delete(&self, id: u64) -> Result<(), StepError> {
        let mut things = self.lock();
        if let Some(child) = things.all.values().find(|t| t.parents.contains(&id)) {
            return Err(StepError::new(format!("{id} is in use by {}", child.name)));
        }
        things.all.remove(&id);
        Ok(())
    }

    fn find_source(&self, name: &str) -> Option<(u64, Thing)> {
        let things = self.lock();
        things.all.iter().find(|(_, t)| t.name == name).map(|(id, t)| (*id, t.clone()))
    }

    fn set(&self, id: u64, value: &str, marker: Option<String>) {
        if let Some(thing) = self.lock().all.get_mut(&id) {
            value.clone_into(&mut thing.value);
            thing.marker = marker;
        }
    }
}

impl World for FakeWorld {
    fn fresh() -> Self {
        let world = Self(Mutex::default());
        for number in 0..SOURCES {
            let source = Thing {
                name: format!("source-{number}"),
                marker: None,
                value: "on".into(),
                parents: vec![],
                looks: 0,
            };
            world.create(source).unwrap();
        }
        world
    }

    fn inventory(&self) -> Inventory {
        let mut inventory = Inventory::new();
        for thing in self.lock().all.values() {
            inventory.entry(thing.name.clone()).or_default().push(thing.value.clone());
        }
        inventory
    }

    fn markers(&self) -> BTreeSet<String> {
        self.lock().all.values().filter_map(|t| t.marker.clone()).collect()
    }
}

/// What the planner writes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// The thing's name.
    pub name: String,
    /// Steps whose things it hangs on.
    pub parents: Vec<String>,
}

/// With the ids of the parents that exist.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    name: String,
    parents: Vec<u64>,
}

/// Which thing it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Output {
    id: Option<u64>,
}

/// Creates at once.
pub const MAKE: u8 = 0;
/// Creates, and takes its time.
pub const GROW: u8 = 1;
/// Changes a thing that was there before.
pub const SET: u8 = 2;
/// Has no effect.
pub const WAIT: u8 = 3;
/// Bad: never finds what it made.
pub const BLIND: u8 = 4;
/// Bad: puts no marker on what it makes.
pub const UNMARKED: u8 = 5;
/// Bad: its undo leaves the thing.
pub const LEAKY: u8 = 6;
/// Bad: says "absent" at once, though the call may still land.
pub const HASTY: u8 = 7;

/// A step over the fake world; `KIND` says what it does.
pub struct Fake<const KIND: u8>(Arc<FakeWorld>);

impl<const KIND: u8> Fake<KIND> {
    fn done(cx: &StepCx, id: Option<u64>) -> Done<Output> {
        Done { output: Output { id }, effects: vec![effect(cx.step_id())] }
    }

    fn change(&self, cx: &StepCx, name: &str) -> Outcome<Output> {
        match self.0.find_source(name) {
            Some((id, _)) => {
                self.0.set(id, "off", Some(cx.marker()));
                Outcome::Done(Self::done(cx, Some(id)))
            }
            None => Outcome::Failed(StepError::new(format!("there is no {name}"))),
        }
    }
}

#[async_trait]
impl<const KIND: u8> Step for Fake<KIND> {
    const KIND: &'static str =
        ["make", "grow", "set", "wait", "blind", "unmarked", "leaky", "hasty"][KIND as usize];
    type Planned = Planned;
    type Input = Input;
    type Output = Output;

    fn resolve(&self, planned: Planned, outputs: &Outputs) -> Result<Input, StepError> {
        let mut parents = Vec::new();
        for parent in planned.parents.iter().filter(|p| outputs.has(p)) {
            parents.extend(outputs.get::<Output>(parent)?.id);
        }
        Ok(Input { name: planned.name, parents })
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<Output> {
        match KIND {
            WAIT => return Outcome::Done(Self::done(cx, None)),
            SET => return self.change(cx, &input.name),
            _ => {}
        }
        let thing = Thing {
            name: input.name.clone(),
            marker: (KIND != UNMARKED).then(|| cx.marker()),
            value: "made".into(),
            parents: input.parents.clone(),
            looks: if KIND == GROW { 3 } else { 0 },
        };
        match self.0.create(thing) {
            Ok(_) if KIND == GROW => Outcome::Pending("growing".into()),
            Ok(id) => Outcome::Done(Self::done(cx, Some(id))),
            Err(error) => Outcome::Failed(error),
        }
    }

    async fn find(&self, cx: &StepCx, input: &Input) -> Found<Output> {
        match KIND {
            WAIT => return Found::Present(Self::done(cx, None)),
            BLIND => return Found::Absent,
            SET => {
                let source = self.0.find_source(&input.name);
                return match source {
                    Some((id, thing)) if thing.marker == Some(cx.marker()) => {
                        Found::Present(Self::done(cx, Some(id)))
                    }
                    _ => Found::Absent,
                };
            }
            _ => {}
        }
        match self.0.marked(&cx.marker()).first() {
            Some(id) if self.0.look(*id) => Found::Present(Self::done(cx, Some(*id))),
            Some(_) => Found::Pending("growing".into()),
            None => Found::Absent,
        }
    }

    async fn undo(&self, cx: &StepCx, input: &Input, output: Option<Output>) -> Undo {
        match KIND {
            WAIT => return Undo::Done(None),
            LEAKY => return Undo::Done(None),
            SET => {
                if let Some((id, thing)) = self.0.find_source(&input.name)
                    && thing.marker == Some(cx.marker())
                {
                    self.0.set(id, "on", None);
                }
                return Undo::Done(None);
            }
            _ => {}
        }
        let mut ids = self.0.marked(&cx.marker());
        ids.extend(output.and_then(|o| o.id));
        for id in ids {
            if let Err(error) = self.0.delete(id) {
                return Undo::Failed(error);
            }
        }
        Undo::Done(None)
    }

    fn settle(&self) -> Duration {
        if KIND == HASTY { Duration::ZERO } else { Duration::from_secs(5) }
    }
}

/// The row that changes when a step is done: one per step, so that a change applied twice shows.
pub fn effect(step: &str) -> DomainEffect {
    let number = step.bytes().fold(7u64, |h, b| h.wrapping_mul(1_000_003) ^ u64::from(b));
    let group_id = format!("00000000-0000-7000-8000-{:012x}", number & 0xffff_ffff_ffff);
    DomainEffect::SetStatus { group_id: group_id.parse().unwrap(), status: GroupStatus::ALL[0] }
}

/// Knows all kinds.
pub struct FakeDefinition(pub Arc<FakeWorld>);

impl Definition for FakeDefinition {
    fn name(&self) -> &str {
        "fake"
    }

    fn version(&self) -> u32 {
        1
    }

    fn step(&self, kind: &str) -> Option<Arc<dyn DynStep>> {
        let world = self.0.clone();
        Some(match kind {
            "make" => Arc::new(Erased(Fake::<MAKE>(world))),
            "grow" => Arc::new(Erased(Fake::<GROW>(world))),
            "set" => Arc::new(Erased(Fake::<SET>(world))),
            "wait" => Arc::new(Erased(Fake::<WAIT>(world))),
            "blind" => Arc::new(Erased(Fake::<BLIND>(world))),
            "unmarked" => Arc::new(Erased(Fake::<UNMARKED>(world))),
            "leaky" => Arc::new(Erased(Fake::<LEAKY>(world))),
            "hasty" => Arc::new(Erased(Fake::<HASTY>(world))),
            _ => return None,
        })
    }

    fn on_end(&self, _: &Plan, status: OperationStatus, unwound: bool) -> Vec<DomainEffect> {
        vec![effect(&format!("end {status:?} {unwound}"))]
    }

    fn result_data(&self, state: &State) -> Value {
        json!({ "stages": state.stages_completed() })
    }
}
