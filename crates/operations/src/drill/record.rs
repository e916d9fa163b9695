//! What is known of an earlier drill: from its plan and journal, or, where the peer drove it, from its record alone.

use std::collections::BTreeSet;

use protector_core::EarlierOperation;
use protector_types::{OperationId, SiteId};
use serde::{Deserialize, Serialize};

use super::plan::Facts;

/// How the primary was when a drill began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrimaryThen {
    /// The current primary.
    pub site_id: SiteId,
    /// The group's epoch.
    pub epoch: u64,
    /// Nova ids of its servers that ran and that the drill stops.
    pub stopped: Vec<String>,
}

/// An earlier drill.
#[derive(Debug, Clone)]
pub struct DrillRecord {
    /// Its id: part of the marker of everything that it made.
    pub id: OperationId,
    /// Ids of what it made, as far as they are known.
    pub known: BTreeSet<String>,
    /// The primary when it began, if that is known.
    pub primary: Option<PrimaryThen>,
}

impl DrillRecord {
    /// Everything that plan, journal and record tell.
    pub fn of(drill: &EarlierOperation) -> Self {
        let mut known = BTreeSet::new();
        for step in drill.plan.iter().flat_map(|plan| &plan.steps) {
            let Some(output) = drill.outputs.get(&step.id) else { continue };
            let id = match step.kind.as_str() {
                "create_server" | "create_network" | "create_server_group" => output.as_str(),
                "create_port" => output["port_id"].as_str(),
                "create_security_group" if output["made"] == true => output["id"].as_str(),
                "manage_volume" => output["volume_id"].as_str(),
                _ => None,
            };
            known.extend(id.map(str::to_owned));
        }
        let lists = [
            "test_instances",
            "test_volumes",
            "test_ports",
            "test_networks",
            "test_server_groups",
            "test_security_groups",
        ];
        for thing in lists.iter().filter_map(|list| drill.result_data[*list].as_array()).flatten() {
            known.extend(thing.as_str().or_else(|| thing["id"].as_str()).map(str::to_owned));
        }
        let facts: Option<Facts> =
            drill.plan.as_ref().and_then(|p| serde_json::from_value(p.facts.clone()).ok());
        let told = || serde_json::from_value(drill.result_data["primary"].clone()).ok();
        Self { id: drill.id, known, primary: facts.map(|f| f.primary).or_else(told) }
    }

    /// True if it had stopped this server, which ran.
    pub fn has_stopped(&self, server_id: &str) -> bool {
        self.primary.as_ref().is_some_and(|p| p.stopped.iter().any(|id| id == server_id))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_record_alone_is_enough() {
        let site = SiteId::generate();
        let mut drill = EarlierOperation::unknown(OperationId::generate());
        drill.result_data = json!({
            "test_instances": [{"id": "s1", "member": "web-1"}],
            "test_volumes": [{"id": "v1", "serial": "X"}],
            "test_ports": ["p1"],
            "primary": {"site_id": site, "epoch": 3, "stopped": ["a1"]},
        });
        let record = DrillRecord::of(&drill);
        assert_eq!(record.known, ["p1", "s1", "v1"].map(str::to_owned).into());
        assert!(record.has_stopped("a1") && !record.has_stopped("a2"));
        assert_eq!(record.primary.map(|p| (p.site_id, p.epoch)), Some((site, 3)));
    }

    #[test]
    fn of_a_drill_that_is_only_a_number_nothing_is_made_up() {
        let record = DrillRecord::of(&EarlierOperation::unknown(OperationId::generate()));
        assert!(record.known.is_empty() && record.primary.is_none());
        assert!(!record.has_stopped(""));
        assert_eq!(Value::Null, EarlierOperation::unknown(record.id).result_data);
    }
}
