//! Gives a security group that this operation made (Neutron, target) the rules and the description of its original; rules
//! that every new group has and the original lacks go. A repeat compares. Undo has nothing to do: the group itself goes.

use async_trait::async_trait;
use protector_ports::{DestroyPermit, SecurityGroup};
use protector_types::SecurityGroupRule;
use protector_workflow::{Found, Outcome, Outputs, Step, StepCx, StepError, Undo};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::create_security_group;
use crate::{
    attempt,
    deps::{Deps, Place},
    outcome,
};

/// Makes the step.
pub struct FillSecurityGroup(pub Deps);

/// Where a rule's remote group is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remote {
    /// At the target already, by id.
    Id(String),
    /// Made by this step.
    From(String),
}

/// A rule and its remote group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlannedRule {
    /// The rule; its remote group is replaced.
    pub rule: SecurityGroupRule,
    /// The remote group, if the rule has one.
    pub remote: Option<Remote>,
}

/// The planned part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// Where.
    pub place: Place,
    /// The step that made the group.
    pub group_from: String,
    /// The original's.
    pub description: String,
    /// The original's.
    pub rules: Vec<PlannedRule>,
}

/// With ids.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Where.
    pub place: Place,
    /// The group; `None`: it was there, and stays as it is.
    pub group_id: Option<String>,
    /// The original's.
    pub description: String,
    /// With ids as remote groups.
    pub rules: Vec<SecurityGroupRule>,
}

#[async_trait]
impl Step for FillSecurityGroup {
    const KIND: &'static str = "fill_security_group";
    type Planned = Planned;
    type Input = Input;
    type Output = ();

    fn resolve(&self, planned: Planned, outputs: &Outputs) -> Result<Input, StepError> {
        let group: create_security_group::Output = outputs.get(&planned.group_from)?;
        let mut rules = Vec::with_capacity(planned.rules.len());
        for PlannedRule { mut rule, remote } in planned.rules {
            rule.remote_group = match remote {
                None => None,
                Some(Remote::Id(id)) => Some(id),
                Some(Remote::From(step)) => {
                    Some(outputs.get::<create_security_group::Output>(&step)?.id)
                }
            };
            rules.push(rule);
        }
        Ok(Input {
            place: planned.place,
            group_id: group.made.then_some(group.id),
            description: planned.description,
            rules,
        })
    }

    async fn run(&self, cx: &StepCx, input: &Input) -> Outcome<()> {
        let Some(id) = &input.group_id else { return Outcome::done(()) };
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::outcome);
        let neutron = cloud.networking();
        let groups = attempt!(neutron.security_groups().await, outcome::outcome);
        let Some(group) = groups.into_iter().find(|g| g.id == *id) else {
            return Outcome::Failed(StepError::new(format!(
                "security group {id} is gone from the target"
            )));
        };
        let permit = DestroyPermit::made_by(cx.evidence());
        for (rule_id, _) in rules_of(&group).iter().filter(|(_, has)| !holds(&input.rules, has)) {
            let gone = neutron.delete_security_group_rule(rule_id, &permit).await;
            attempt!(gone, outcome::outcome);
        }
        let known: Vec<_> = rules_of(&group).into_iter().map(|(_, rule)| rule).collect();
        for rule in input.rules.iter().filter(|wanted| !holds(&known, wanted)) {
            attempt!(neutron.add_security_group_rule(id, rule).await, outcome::outcome);
        }
        // Last: until now it was the marker.
        attempt!(neutron.describe_security_group(id, &input.description).await, outcome::outcome);
        Outcome::done(())
    }

    async fn find(&self, _cx: &StepCx, input: &Input) -> Found<()> {
        let Some(id) = &input.group_id else { return Found::present(()) };
        let cloud = attempt!(input.place.cloud(&self.0).await, outcome::found);
        let groups = attempt!(cloud.networking().security_groups().await, outcome::found);
        let Some(group) = groups.into_iter().find(|g| g.id == *id) else {
            return Found::Broken(StepError::new(format!(
                "security group {id} is gone from the target"
            )));
        };
        let known: Vec<_> = rules_of(&group).into_iter().map(|(_, rule)| rule).collect();
        let same = known.len() == input.rules.len()
            && input.rules.iter().all(|wanted| holds(&known, wanted))
            && group.description == input.description;
        if same { Found::present(()) } else { Found::Absent }
    }

    async fn undo(&self, _cx: &StepCx, _input: &Input, _output: Option<()>) -> Undo {
        Undo::Done(None)
    }
}

/// Rules with their ids.
fn rules_of(group: &SecurityGroup) -> Vec<(String, SecurityGroupRule)> {
    let text = |rule: &Value, key: &str| {
        rule[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let rules = group.rules.iter().map(|rule| {
        let known = SecurityGroupRule {
            direction: text(rule, "direction").unwrap_or_default(),
            ethertype: text(rule, "ethertype").unwrap_or_default(),
            protocol: text(rule, "protocol"),
            port_range_min: rule["port_range_min"].as_i64(),
            port_range_max: rule["port_range_max"].as_i64(),
            remote_ip_prefix: text(rule, "remote_ip_prefix"),
            remote_group: text(rule, "remote_group_id"),
            description: text(rule, "description").unwrap_or_default(),
        };
        (text(rule, "id").unwrap_or_default(), known)
    });
    rules.collect()
}

/// The same rule is among them, whatever its description: Neutron allows no two.
fn holds(rules: &[SecurityGroupRule], wanted: &SecurityGroupRule) -> bool {
    let bare =
        |rule: &SecurityGroupRule| SecurityGroupRule { description: String::new(), ..rule.clone() };
    rules.iter().any(|rule| bare(rule) == bare(wanted))
}
