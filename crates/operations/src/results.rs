//! What an operation made and what it left, from plan and journal: the parts of `result_data` that operations share. Pure.

use protector_workflow::{PlannedStep, State, StepState};
use serde_json::{Map, Value, json};

use crate::steps;

/// Things that exist because of the operation.
#[derive(Debug, Default)]
pub struct Made {
    /// Source server -> new server.
    pub servers: Map<String, Value>,
    /// Source volume -> new volume.
    pub volumes: Map<String, Value>,
    /// Source port -> new port.
    pub ports: Map<String, Value>,
    /// Servers: member and id.
    pub instances: Vec<(String, String)>,
    /// Volumes in Cinder: member, id, serial on the array.
    pub managed: Vec<(String, String, String)>,
    /// Neutron ids.
    pub port_ids: Vec<String>,
    /// Neutron ids.
    pub networks: Vec<String>,
    /// Nova ids.
    pub server_groups: Vec<String>,
    /// What ports could not keep.
    pub not_preserved: Vec<String>,
}

/// The source's id that a step's planned input names.
fn source_of(step: &PlannedStep) -> Option<&str> {
    let input = &step.input;
    input.get("source_id").or_else(|| input.get("source_port_id")).and_then(Value::as_str)
}

/// Everything that is done and not undone.
pub fn made(state: &State) -> Made {
    let mut made = Made::default();
    for (index, step) in state.plan().steps.iter().enumerate() {
        if *state.step(index) == StepState::Done
            && let Ok(output) = state.outputs().get::<Value>(&step.id)
        {
            made.add(step, output);
        }
    }
    made
}

impl Made {
    fn add(&mut self, step: &PlannedStep, output: Value) {
        let member = step.subject.clone().unwrap_or_default();
        let id = || output.as_str().unwrap_or_default().to_owned();
        match step.kind.as_str() {
            "create_server" => {
                if let Some(old) = source_of(step) {
                    self.servers.insert(old.to_owned(), json!(id()));
                }
                self.instances.push((member, id()));
            }
            "create_network" => self.networks.push(id()),
            "create_server_group" => self.server_groups.push(id()),
            "manage_volume" => self.add_volume(step, member, output),
            "create_port" => self.add_port(step, &member, output),
            "recall" if output.get("volume_id").is_some() => self.add_volume(step, member, output),
            "recall" if output.get("port_id").is_some() => self.add_port(step, &member, output),
            _ => {}
        }
    }

    fn add_volume(&mut self, step: &PlannedStep, member: String, output: Value) {
        let Ok(new) = serde_json::from_value::<steps::manage_volume::Output>(output) else {
            return;
        };
        if let Some(old) = source_of(step) {
            self.volumes.insert(old.to_owned(), json!(new.volume_id));
        }
        self.managed.push((member, new.volume_id, new.serial));
    }

    fn add_port(&mut self, step: &PlannedStep, member: &str, output: Value) {
        let Ok(new) = serde_json::from_value::<steps::create_port::Output>(output) else { return };
        self.not_preserved.extend(new.not_preserved.iter().map(|what| format!("{member}: {what}")));
        if let Some(old) = source_of(step) {
            self.ports.insert(old.to_owned(), json!(new.port_id));
        }
        self.port_ids.push(new.port_id);
    }
}

/// What should be gone and is not, in words: undos that failed, and what a person left as it is.
pub fn leaked(state: &State) -> Vec<String> {
    let plan = state.plan();
    let words = |index: usize, why: &str| {
        let step = &plan.steps[index];
        let of = step.subject.as_ref().map(|member| format!(" of {member}")).unwrap_or_default();
        let output = state.outputs().get::<Value>(&step.id).ok();
        let id = output.as_ref().and_then(|output| match output {
            Value::String(id) => Some(id.as_str()),
            other => ["volume_id", "port_id", "name"].iter().find_map(|k| other.get(k)?.as_str()),
        });
        let id = id.map(|id| format!(" ({id})")).unwrap_or_default();
        format!("{} {}{of}{id}: {why}", step.kind, step.id)
    };
    let failed = state.undo_failures().map(|(index, error)| words(index, &error.message));
    let left = (0..plan.steps.len())
        .filter(|index| state.is_left_behind(*index))
        .map(|index| words(index, "left as it is by a person"));
    failed.chain(left).collect()
}

/// What undos kept on purpose: member, and where.
pub fn kept(state: &State) -> Vec<Value> {
    let plan = state.plan();
    let of =
        |(index, note): (usize, &str)| json!({"member": plan.steps[index].subject, "what": note});
    state.notes().filter(|(index, _)| plan.steps[*index].kind == "create_server").map(of).collect()
}
