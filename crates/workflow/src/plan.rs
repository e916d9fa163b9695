//! The plan: the exact steps of one operation and what each needs, computed before anything is touched.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a step's definite failure means for the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Undo everything (before a point of no return), or wait for a person (after it).
    Rollback,
    /// Record a warning and go on.
    Warn,
    /// The step's own branch ends here, the rest goes on: what it made is undone at once, what needs it for the same
    /// subject never runs, and what joins branches does not wait for it. The operation ends as failed, without a
    /// rollback.
    Isolate,
}

/// A group of steps under the name that a client sees in `steps_completed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// The public name.
    pub name: String,
    /// Progress when none of its steps is done.
    pub from: u8,
    /// Progress when all are.
    pub to: u8,
}

/// One step: one external effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Unique in the plan, short (it is part of markers): `s3.create`.
    pub id: String,
    /// Which [`crate::Step`] runs it.
    pub kind: String,
    /// Index into the plan's stages.
    pub stage: usize,
    /// Ids of the steps that must be done first.
    pub after: Vec<String>,
    /// The planned part of the input; outputs of earlier steps are added when it starts.
    pub input: Value,
    /// The member it works for, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Seconds from its start to the end of patience.
    pub deadline_sec: u64,
    /// Once done there is no way back: forward only.
    #[serde(default)]
    pub no_return: bool,
    /// What its failure means.
    pub on_failure: OnFailure,
}

/// All steps of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Name of the definition that knows the kinds.
    pub definition: String,
    /// Its version; an engine that does not know it parks the operation.
    pub version: u32,
    /// In the order in which clients see them.
    pub stages: Vec<Stage>,
    /// In preference order: of two ready steps the earlier one starts first.
    pub steps: Vec<PlannedStep>,
    /// What the planner decided on, for re-checks and for `result_data`.
    #[serde(default)]
    pub facts: Value,
}

/// Why a plan is not well formed. Always a bug of the planner, never a user's mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Two steps share an id.
    #[error("two steps have the id {0}")]
    DuplicateId(String),
    /// A dependency that is not in the plan.
    #[error("step {step} waits for {missing}, which is not in the plan")]
    UnknownDependency {
        /// Who waits.
        step: String,
        /// For what.
        missing: String,
    },
    /// A stage index out of range.
    #[error("step {0} is in no stage")]
    UnknownStage(String),
    /// Steps that wait for each other.
    #[error("steps wait for each other in a circle: {0}")]
    Cycle(String),
}

impl Plan {
    /// What a person should know before it runs: the texts under `warnings` of the facts.
    pub fn warnings(&self) -> Vec<String> {
        let told = self.facts.get("warnings").and_then(Value::as_array);
        told.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Checks ids, dependencies, stages and absence of cycles.
    ///
    /// # Errors
    /// The first [`PlanError`] found.
    pub fn validate(&self) -> Result<(), PlanError> {
        let mut index = BTreeMap::new();
        for (position, step) in self.steps.iter().enumerate() {
            if index.insert(step.id.as_str(), position).is_some() {
                return Err(PlanError::DuplicateId(step.id.clone()));
            }
            if step.stage >= self.stages.len() {
                return Err(PlanError::UnknownStage(step.id.clone()));
            }
        }
        let mut waiting: Vec<usize> = Vec::with_capacity(self.steps.len());
        let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); self.steps.len()];
        for (position, step) in self.steps.iter().enumerate() {
            let unique: BTreeSet<_> = step.after.iter().collect();
            waiting.push(unique.len());
            for dependency in unique {
                let Some(&at) = index.get(dependency.as_str()) else {
                    return Err(PlanError::UnknownDependency {
                        step: step.id.clone(),
                        missing: dependency.clone(),
                    });
                };
                dependents[at].push(position);
            }
        }
        let mut ready: Vec<usize> = (0..self.steps.len()).filter(|&s| waiting[s] == 0).collect();
        let mut seen = 0;
        while let Some(step) = ready.pop() {
            seen += 1;
            for &dependent in &dependents[step] {
                waiting[dependent] -= 1;
                if waiting[dependent] == 0 {
                    ready.push(dependent);
                }
            }
        }
        if seen == self.steps.len() {
            return Ok(());
        }
        let stuck: Vec<_> = (0..self.steps.len())
            .filter(|&s| waiting[s] > 0)
            .map(|s| self.steps[s].id.as_str())
            .collect();
        Err(PlanError::Cycle(stuck.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(id: &str, after: &[&str]) -> PlannedStep {
        PlannedStep {
            id: id.into(),
            kind: "k".into(),
            stage: 0,
            after: after.iter().map(|s| (*s).to_owned()).collect(),
            input: Value::Null,
            subject: None,
            deadline_sec: 1,
            no_return: false,
            on_failure: OnFailure::Rollback,
        }
    }

    fn plan(steps: Vec<PlannedStep>) -> Plan {
        Plan {
            definition: "d".into(),
            version: 1,
            stages: vec![Stage { name: "s".into(), from: 0, to: 100 }],
            steps,
            facts: Value::Null,
        }
    }

    #[test]
    fn malformed_plans_are_refused() {
        assert_eq!(plan(vec![step("a", &[]), step("b", &["a"])]).validate(), Ok(()));
        assert!(matches!(
            plan(vec![step("a", &[]), step("a", &[])]).validate(),
            Err(PlanError::DuplicateId(_))
        ));
        assert!(matches!(
            plan(vec![step("a", &["x"])]).validate(),
            Err(PlanError::UnknownDependency { .. })
        ));
        assert_eq!(
            plan(vec![step("a", &["b"]), step("b", &["a"])]).validate(),
            Err(PlanError::Cycle("a, b".into()))
        );
    }
}
