//! From every reachable state a quiet one, in sync, must be reachable without anything further going wrong. A checker of
//! traces cannot say so: the whole graph is built, and walked backwards from the quiet states.

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

use stateright::Model;

use crate::{Act, Protocol, World};

/// What was found.
#[derive(Debug)]
pub struct Explored {
    /// States that can be reached.
    pub states: usize,
    /// Steps between them.
    pub steps: usize,
    /// Quiet ones, in sync.
    pub quiet: usize,
    /// The way to one from which no quiet state can be reached, and that state.
    pub dead_end: Option<(Vec<Act>, Box<World>)>,
}

/// States by fingerprint: they are too many to be kept.
#[derive(Default)]
struct Graph {
    index: HashMap<u128, u32>,
    came: Vec<Option<(u32, Act)>>,
    back: Vec<Vec<u32>>,
    quiet: Vec<bool>,
    steps: usize,
}

impl Graph {
    /// The number of a state, and whether it is new.
    fn number(&mut self, world: &World, came: Option<(u32, Act)>) -> (u32, bool) {
        let next = u32::try_from(self.came.len()).unwrap_or(u32::MAX);
        let known = *self.index.entry(fingerprint(world)).or_insert(next);
        if known == next {
            self.came.push(came);
            self.back.push(Vec::new());
            self.quiet.push(world.is_quiet_and_in_sync() || world.broken.is_some());
        }
        (known, known == next)
    }

    fn way_to(&self, state: u32) -> Vec<Act> {
        let (mut way, mut at) = (Vec::new(), state);
        while let Some((before, act)) = self.came[at as usize] {
            way.push(act);
            at = before;
        }
        way.reverse();
        way
    }

    /// The first state from which no quiet one can be reached.
    fn dead_end(&self) -> Option<u32> {
        let mut leads_out = self.quiet.clone();
        let mut queue: VecDeque<u32> =
            (0..).take(leads_out.len()).filter(|&s: &u32| leads_out[s as usize]).collect();
        while let Some(state) = queue.pop_front() {
            for &before in &self.back[state as usize] {
                if !std::mem::replace(&mut leads_out[before as usize], true) {
                    queue.push_back(before);
                }
            }
        }
        let dead = leads_out.iter().position(|leads| !leads)?;
        u32::try_from(dead).ok()
    }
}

fn fingerprint(world: &World) -> u128 {
    let half = |salt: u64| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        world.hash(&mut hasher);
        hasher.finish()
    };
    (u128::from(half(1)) << 64) | u128::from(half(2))
}

/// Builds the graph and looks for dead ends.
pub fn explore(model: &Protocol) -> Explored {
    let mut graph = Graph::default();
    let mut queue = VecDeque::new();
    for world in model.init_states() {
        let (number, _) = graph.number(&world, None);
        queue.push_back((number, world));
    }
    let mut acts = Vec::new();
    while let Some((from, world)) = queue.pop_front() {
        acts.clear();
        model.actions(&world, &mut acts);
        for &act in &acts {
            let Some(next) = model.next_state(&world, act) else { continue };
            graph.steps += 1;
            let (to, is_new) = graph.number(&next, Some((from, act)));
            if !act.is_disturbance() {
                graph.back[to as usize].push(from);
            }
            if is_new {
                queue.push_back((to, next));
            }
        }
    }
    let dead_end = graph.dead_end().map(|state| {
        let way = graph.way_to(state);
        let world = replay(model, &way);
        (way, Box::new(world))
    });
    Explored {
        states: graph.came.len(),
        steps: graph.steps,
        quiet: graph.quiet.iter().filter(|quiet| **quiet).count(),
        dead_end,
    }
}

fn replay(model: &Protocol, way: &[Act]) -> World {
    let start = model.init_states().swap_remove(0);
    way.iter().fold(start, |world, &act| model.next_state(&world, act).unwrap_or(world))
}
