//! Lays out the graph of steps of a planned failover. Pure.

use std::collections::BTreeMap;

use protector_core::PlanRequest;
use protector_ports::NewServer;
use protector_types::GroupStatus;
use protector_workflow::{OnFailure, Plan, PlannedStep};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    NAME, VERSION,
    plan::{Ready, ReadyMember},
    stages,
};
use crate::{deps::Place, steps};

/// Metadata that the driver writes itself; never copied.
const DRIVER_METADATA: [&str; 2] = ["array_volume_name", "array_name"];

struct Layout<'a> {
    request: &'a PlanRequest,
    ready: &'a Ready<'a>,
    steps: Vec<PlannedStep>,
}

/// The plan.
pub fn lay_out(request: &PlanRequest, ready: &Ready<'_>) -> Plan {
    let mut layout = Layout { request, ready, steps: Vec::new() };
    layout.recheck();
    let fences: Vec<String> = (0..ready.members.len()).map(|m| layout.fence(m)).collect();
    layout.snapshot(fences);
    let keys = layout.keypairs();
    let groups = layout.server_groups();
    // Ports need nothing of the source: they are made while the source is being fenced.
    let ports: Vec<Vec<String>> = (0..ready.members.len()).map(|m| layout.ports(m)).collect();
    let mut servers = Vec::new();
    for (m, ports) in ports.into_iter().enumerate() {
        let volumes = layout.volumes(m);
        servers.push(layout.server(m, ports, volumes, &keys, &groups));
    }
    layout.finalization(servers);
    Plan {
        definition: NAME.into(),
        version: VERSION,
        stages: stages(),
        steps: layout.steps,
        facts: serde_json::to_value(&ready.facts).unwrap_or_default(),
    }
}

/// What a member's servers part consists of.
struct ServerSteps {
    /// The last step of the member.
    last: String,
    /// The step that made the server.
    made_by: String,
    /// Manage steps by position.
    volumes: BTreeMap<u32, String>,
}

impl Layout<'_> {
    fn add(
        &mut self,
        id: &str,
        kind: &str,
        stage: usize,
        after: Vec<String>,
        input: impl Serialize,
    ) -> &mut PlannedStep {
        self.steps.push(PlannedStep {
            id: id.to_owned(),
            kind: kind.to_owned(),
            stage,
            after,
            input: serde_json::to_value(input).unwrap_or_default(),
            subject: None,
            deadline_sec: 900,
            no_return: false,
            on_failure: OnFailure::Rollback,
        });
        let last = self.steps.len() - 1;
        &mut self.steps[last]
    }

    fn source_volumes(&self, member: &ReadyMember<'_>) -> Vec<String> {
        let site = self.ready.places.source.site;
        member
            .member
            .volumes
            .iter()
            .filter_map(|v| v.placements.get(&site))
            .map(|p| p.array_volume.clone())
            .collect()
    }

    fn all_source_volumes(&self) -> Vec<String> {
        self.ready.members.iter().flat_map(|m| self.source_volumes(m)).collect()
    }

    fn suffix(&self) -> String {
        format!("ptr-{}", self.request.operation_id.short())
    }

    fn recheck(&mut self) {
        let input = steps::recheck::Input {
            source: self.ready.places.source_array,
            target: self.ready.places.target_array,
            array_group: self.request.group.array_group_name(),
            volumes: self.all_source_volumes(),
        };
        self.add("recheck", "recheck", 0, vec![], input);
    }

    /// stop -> lock -> record -> disconnect; gives the last step's id.
    fn fence(&mut self, m: usize) -> String {
        let member = &self.ready.members[m];
        let subject = Some(member.member.spec.name.clone());
        let place = self.ready.places.source.clone();
        let array = self.ready.places.source_array;
        let (stop, lock) = (format!("m{m}.stop"), format!("m{m}.lock"));
        let (record, fence) = (format!("m{m}.record"), format!("m{m}.fence"));
        let server_id = member.server.id.clone();
        let input = steps::stop_server::Input {
            place: place.clone(),
            server_id: server_id.clone(),
            was_active: member.server.status == "ACTIVE",
        };
        let was_locked = member.server.locked;
        let volumes = self.source_volumes(member);
        let reason = format!("fenced by Protector operation {}", self.request.operation_id);
        self.add(&stop, "stop_server", 0, vec!["recheck".into()], input)
            .subject
            .clone_from(&subject);
        let input = steps::lock_server::Input { place, server_id, was_locked, reason };
        self.add(&lock, "lock_server", 0, vec![stop], input).subject.clone_from(&subject);
        let input = steps::record_connections::Input { array, volumes };
        self.add(&record, "record_connections", 0, vec![lock], input).subject.clone_from(&subject);
        let input = steps::disconnect_volumes::Planned { array, recorded_by: record.clone() };
        self.add(&fence, "disconnect_volumes", 0, vec![record], input).subject = subject;
        fence
    }

    fn snapshot(&mut self, fences: Vec<String>) {
        let array_group = self.request.group.array_group_name();
        let input = steps::snapshot_group::Input {
            array: self.ready.places.source_array,
            array_group: array_group.clone(),
            suffix: self.suffix(),
        };
        self.add("snapshot", "snapshot_group", 1, fences, input);
        let input = steps::await_replication::Input {
            array: self.ready.places.target_array,
            source_array: self.ready.source_array.clone(),
            array_group,
            suffix: self.suffix(),
            volumes: self.all_source_volumes(),
        };
        // A final delta over a slow link may take hours; it is the tenant who cancels.
        self.add("point", "await_replication", 1, vec!["snapshot".into()], input).deadline_sec =
            6 * 3600;
    }

    fn keypairs(&mut self) -> BTreeMap<String, String> {
        let mut made = BTreeMap::new();
        let ready = self.ready;
        for member in &ready.members {
            let (Some(name), Some(public_key)) = (&member.key_name, &member.import_key) else {
                continue;
            };
            if made.contains_key(name) {
                continue;
            }
            let id = format!("key{}", made.len());
            let input = steps::import_keypair::Input {
                place: ready.places.target.clone(),
                name: name.clone(),
                public_key: public_key.clone(),
            };
            self.add(&id, "import_keypair", 4, vec!["recheck".into()], input);
            made.insert(name.clone(), id);
        }
        made
    }

    fn server_groups(&mut self) -> BTreeMap<String, String> {
        let mut made = BTreeMap::new();
        let ready = self.ready;
        for member in ready.members.iter().filter(|m| m.server_group_id.is_none()) {
            let Some(group) = &member.member.spec.server_group else { continue };
            if made.contains_key(&group.name) {
                continue;
            }
            let id = format!("sg{}", made.len());
            let input = steps::create_server_group::Input {
                place: ready.places.target.clone(),
                name: group.name.clone(),
                policy: group.policy.clone(),
            };
            self.add(&id, "create_server_group", 4, vec!["recheck".into()], input);
            made.insert(group.name.clone(), id);
        }
        made
    }

    fn ports(&mut self, m: usize) -> Vec<String> {
        let ready = self.ready;
        let member = &ready.members[m];
        let subject = Some(member.member.spec.name.clone());
        let mut ids = Vec::new();
        for (p, (source_port_id, port)) in member.ports.iter().enumerate() {
            let id = format!("m{m}.port{p}");
            let input = steps::create_port::Input {
                place: ready.places.target.clone(),
                port: port.clone(),
                source_port_id: source_port_id.clone(),
            };
            self.add(&id, "create_port", 4, vec!["recheck".into()], input)
                .subject
                .clone_from(&subject);
            ids.push(id);
        }
        ids
    }

    /// clone -> manage -> dress, per volume. Gives (position, manage step, last step).
    fn volumes(&mut self, m: usize) -> Vec<(u32, String, String)> {
        let ready = self.ready;
        let member = &ready.members[m];
        let subject = Some(member.member.spec.name.clone());
        let mut made = Vec::new();
        for volume in &member.member.volumes {
            let Some(source) = volume.placements.get(&ready.places.source.site) else { continue };
            let v = volume.position;
            let (clone, manage, dress) =
                (format!("m{m}.clone{v}"), format!("m{m}.manage{v}"), format!("m{m}.dress{v}"));
            let input = steps::clone_volume::Planned {
                array: ready.places.target_array,
                point_from: "point".into(),
                source_volume: source.array_volume.clone(),
                name: format!("{}-m{m}v{v}", self.suffix()),
            };
            self.add(&clone, "clone_volume", 2, vec!["point".into()], input)
                .subject
                .clone_from(&subject);
            let input = steps::manage_volume::Planned {
                place: ready.places.target.clone(),
                array: ready.places.target_array,
                clone_from: clone.clone(),
                host: ready.cinder_host.clone(),
                volume_type: ready.volume_type.clone(),
                name: volume.name.clone(),
                description: volume.description.clone(),
                bootable: volume.bootable,
            };
            self.add(
                &manage,
                "manage_volume",
                3,
                vec![clone],
                with_source(&input, &source.volume_id),
            )
            .subject
            .clone_from(&subject);
            let mut metadata = volume.metadata.clone();
            metadata.retain(|key, _| !DRIVER_METADATA.contains(&key.as_str()));
            let mut last = manage.clone();
            if !metadata.is_empty() || !volume.image_metadata.is_empty() {
                let input = steps::dress_volume::Planned {
                    place: ready.places.target.clone(),
                    managed_by: manage.clone(),
                    metadata,
                    image_metadata: volume.image_metadata.clone(),
                };
                self.add(&dress, "dress_volume", 3, vec![manage.clone()], input)
                    .subject
                    .clone_from(&subject);
                last = dress;
            }
            made.push((v, manage, last));
        }
        made
    }

    fn server(
        &mut self,
        m: usize,
        ports: Vec<String>,
        volumes: Vec<(u32, String, String)>,
        keys: &BTreeMap<String, String>,
        groups: &BTreeMap<String, String>,
    ) -> ServerSteps {
        let ready = self.ready;
        let member = &ready.members[m];
        let spec = &member.member.spec;
        let create = format!("m{m}.create");
        let mut after = ports.clone();
        after.extend(volumes.iter().map(|(_, _, last)| last.clone()));
        after.extend(member.key_name.as_ref().and_then(|name| keys.get(name)).cloned());
        let group_name = spec.server_group.as_ref().map(|g| g.name.clone());
        let server_group_from = match member.server_group_id {
            Some(_) => None,
            None => group_name.and_then(|name| groups.get(&name).cloned()),
        };
        after.extend(server_group_from.clone());
        let planned_volumes = member
            .member
            .volumes
            .iter()
            .zip(&volumes)
            .map(|(volume, (_, managed_by, _))| steps::create_server::PlannedVolume {
                managed_by: managed_by.clone(),
                boot_index: volume.boot_index,
                device: None,
                delete_on_termination: volume.delete_on_termination,
            })
            .collect();
        let planned = steps::create_server::Planned {
            place: ready.places.target.clone(),
            server: NewServer {
                name: spec.name.clone(),
                description: spec.description.clone(),
                flavor_id: member.flavor_id.clone(),
                key_name: member.key_name.clone(),
                user_data: spec.user_data.clone(),
                config_drive: spec.config_drive,
                metadata: spec.metadata.clone(),
                tags: spec.tags.clone(),
                availability_zone: member.availability_zone.clone(),
                server_group_id: member.server_group_id.clone(),
                ..NewServer::default()
            },
            ports_from: ports,
            volumes: planned_volumes,
            server_group_from,
        };
        let subject = Some(spec.name.clone());
        let step =
            self.add(&create, "create_server", 4, after, with_source(&planned, &member.server.id));
        step.subject.clone_from(&subject);
        step.deadline_sec = 3600;
        let last = if member.server.status == "ACTIVE" {
            create.clone()
        } else {
            self.settle_power(m, &create, ready.places.target.clone(), subject)
        };
        ServerSteps {
            last,
            made_by: create,
            volumes: volumes.into_iter().map(|(v, manage, _)| (v, manage)).collect(),
        }
    }

    fn settle_power(
        &mut self,
        m: usize,
        create: &str,
        place: Place,
        subject: Option<String>,
    ) -> String {
        let id = format!("m{m}.power");
        let input = steps::settle_power::Planned { place, server_from: create.to_owned() };
        self.add(&id, "settle_power", 4, vec![create.to_owned()], input).subject = subject;
        id
    }

    fn finalization(&mut self, servers: Vec<ServerSteps>) {
        let ready = self.ready;
        let all_up: Vec<String> = servers.iter().map(|s| s.last.clone()).collect();
        let mut verified = Vec::new();
        // One barrier instead of members x members edges.
        self.add("up", "barrier", 4, all_up, Value::Null);
        for (m, member) in ready.members.iter().enumerate() {
            let id = format!("m{m}.verify");
            let input = steps::verify_source::Input {
                place: ready.places.source.clone(),
                server_id: member.server.id.clone(),
                array: ready.places.source_array,
                volumes: self.source_volumes(member),
            };
            let step = self.add(&id, "verify_source", 5, vec!["up".into()], input);
            step.subject = Some(member.member.spec.name.clone());
            step.deadline_sec = 300;
            verified.push(id);
        }
        let input = steps::swap_primary::Planned {
            group_id: self.request.group.id,
            new_primary: ready.places.target.site,
            raised_by: self.request.local_site,
            status: GroupStatus::FailedOver,
            members: ready
                .members
                .iter()
                .zip(servers)
                .map(|(member, steps)| steps::swap_primary::PlannedMember {
                    member_id: member.member.id,
                    server_from: steps.made_by,
                    volumes_from: steps.volumes,
                })
                .collect(),
        };
        self.add("swap", "swap_primary", 5, verified, input).no_return = true;
        let input = steps::stop_schedule::Input {
            array: ready.places.source_array,
            array_group: self.request.group.array_group_name(),
        };
        let step = self.add("schedule", "stop_schedule", 5, vec!["swap".into()], input);
        (step.on_failure, step.deadline_sec) = (OnFailure::Warn, 120);
        let input = steps::push_group::Input { group_id: self.request.group.id };
        let step = self.add("push", "push_group", 5, vec!["swap".into()], input);
        (step.on_failure, step.deadline_sec) = (OnFailure::Warn, 60);
    }
}

/// The source's id beside the step's own input, for the old -> new maps of `result_data`.
fn with_source(input: &impl Serialize, source_id: &str) -> Value {
    let mut value = serde_json::to_value(input).unwrap_or_default();
    value["source_id"] = json!(source_id);
    value
}
