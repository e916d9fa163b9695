//! One check of one configuration: the properties by stateright, dead ends by [`explore`].

use std::fmt;

use stateright::{Checker, HasDiscoveries, Model};

use crate::{Act, Budget, Explored, Protocol, explore};

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// The graph.
    pub explored: Explored,
    /// States that stateright visited.
    pub unique_states: usize,
    /// Each property, whether it must hold everywhere (or is to be possible), and whether it does (or was seen).
    pub properties: Vec<(&'static str, bool, bool)>,
    /// The way to the first violation.
    pub violation: Option<(&'static str, Vec<Act>)>,
}

impl Report {
    /// The first property that does not hold, in words.
    pub fn failure(&self) -> Option<String> {
        if let Some((name, way)) = &self.violation {
            return Some(format!("{name}: {way:?}"));
        }
        self.explored
            .dead_end
            .as_ref()
            .map(|(way, world)| format!("no way out: {way:?} leads to {world:#?}"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explored { states, steps, quiet, dead_end } = &self.explored;
        writeln!(
            f,
            "{} states, {states} with {steps} steps walked backwards from {quiet} quiet ones",
            self.unique_states
        )?;
        for (name, everywhere, holds) in &self.properties {
            let word = match (everywhere, holds) {
                (true, true) => "holds ",
                (true, false) => "FAILED",
                (false, true) => "seen  ",
                (false, false) => "      ",
            };
            writeln!(f, "  {word} {name}")?;
        }
        let ways = if dead_end.is_none() { "holds " } else { "FAILED" };
        writeln!(f, "  {ways} no dead end: from every state a quiet one IN SYNC is reachable")?;
        if let Some(failure) = self.failure() {
            writeln!(f, "  {failure}")?;
        }
        Ok(())
    }
}

/// Checks one configuration to its end.
pub fn check(model: &Protocol) -> Report {
    let checker = model.clone().checker().threads(2).spawn_bfs().join();
    let discoveries = checker.discoveries();
    let mut properties = Vec::new();
    let mut violation = None;
    for property in model.properties() {
        let found = discoveries.get(property.name);
        let must_not = property.expectation.discovery_is_failure();
        properties.push((property.name, must_not, found.is_some() != must_not));
        if let (true, Some(path)) = (must_not, found) {
            violation = Some((property.name, path.clone().into_actions()));
        }
    }
    Report {
        unique_states: checker.unique_state_count(),
        properties,
        violation,
        explored: explore(model),
    }
}

/// The first thing that goes wrong in one configuration, if anything does; ends there.
pub fn first_failure(model: &Protocol) -> Option<String> {
    let checker = model
        .clone()
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let discoveries = checker.discoveries();
    for property in model.properties() {
        if let (true, Some(path)) =
            (property.expectation.discovery_is_failure(), discoveries.get(property.name))
        {
            return Some(format!("{}: {:?}", property.name, path.clone().into_actions()));
        }
    }
    explore(model).dead_end.map(|(way, _)| format!("no way out: {way:?}"))
}

impl Budget {
    /// What CI checks, the smallest first.
    pub fn small() -> Vec<(&'static str, Self)> {
        let none = Self {
            starts: 0,
            forces: [0, 0],
            undos: 0,
            duplicates: 0,
            crashes: 0,
            restores: 0,
            network: 2,
            idle_looks: false,
        };
        vec![
            ("force at both sites", Self { forces: [1, 1], undos: 1, ..none }),
            ("forced twice around a restore", Self { forces: [0, 2], restores: 1, ..none }),
            (
                "an operation, a crash, a duplicate",
                Self { starts: 1, crashes: 1, duplicates: 1, ..none },
            ),
            (
                "force against an operation, a crash",
                Self { starts: 1, forces: [0, 1], crashes: 1, ..none },
            ),
            ("two unforced operations", Self { starts: 2, ..none }),
        ]
    }

    /// More at once; takes its time.
    pub fn large() -> Vec<(&'static str, Self)> {
        let none = Self {
            starts: 1,
            forces: [1, 1],
            undos: 1,
            duplicates: 0,
            crashes: 0,
            restores: 0,
            network: 2,
            idle_looks: true,
        };
        vec![
            ("looking all the time", Self { starts: 2, forces: [0, 0], undos: 0, ..none }),
            ("an operation, force at both sites", none),
            (
                "a database restored beside an operation",
                Self { forces: [0, 1], restores: 1, idle_looks: false, ..none },
            ),
            (
                "everything, three messages at a time",
                Self { duplicates: 1, crashes: 1, network: 3, idle_looks: false, ..none },
            ),
        ]
    }
}
