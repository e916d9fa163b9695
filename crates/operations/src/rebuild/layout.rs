//! Lays out how members come up at a site from a recovery point: clone -> manage -> dress per volume, ports, keypairs,
//! server groups, then the server. Failover, drill and failback use it alike. Pure.

use std::collections::BTreeMap;

use protector_ports::NewServer;
use protector_types::{Member, OperationId, SiteId};
use protector_workflow::OnFailure;

use super::{CopiedGroup, ReadyMember};
use crate::{
    deps::{ArrayPlace, Place},
    sketch::{Sketch, with_source},
    steps::{
        self,
        fill_security_group::{PlannedRule, Remote},
        late_writes::Keeps,
    },
};

/// Metadata that the driver writes itself; never copied.
const DRIVER_METADATA: [&str; 2] = ["array_volume_name", "array_name"];

/// Indices of the plan's stages.
#[derive(Debug, Clone, Copy)]
pub struct Stages {
    /// Clones on the array.
    pub clone: usize,
    /// Volumes in Cinder.
    pub manage: usize,
    /// Ports and servers.
    pub servers: usize,
}

/// Where and from what.
pub struct Rebuild<'a> {
    /// Part of every name.
    pub operation: OperationId,
    /// The site whose array volumes the point holds.
    pub source_site: SiteId,
    /// Where the members come up.
    pub target: &'a Place,
    /// Its array.
    pub array: ArrayPlace,
    /// `host@backend#pool`.
    pub cinder_host: &'a str,
    /// Type of the managed volumes, by id.
    pub volume_type: &'a str,
    /// The step that gives the recovery point.
    pub point_from: &'a str,
    /// Where the steps belong.
    pub stages: Stages,
    /// What must be done before anything is made at the target.
    pub after: Vec<String>,
    /// Appended to the names of servers and volumes (drills).
    pub name_suffix: &'a str,
    /// Seconds for which the writes of a server that is undone are kept; `None`: they are nothing worth (drills).
    pub keeps_writes: Option<i64>,
    /// A volume that could not be used leaves its clone on the array: who tries again has the same point.
    pub keeps_clones: bool,
}

/// The steps that keypairs (by owner and name), server groups and security groups (by name) come from.
#[derive(Debug, Default)]
pub struct Shared {
    keypairs: BTreeMap<(Option<String>, String), String>,
    server_groups: BTreeMap<String, String>,
    security_groups: BTreeMap<String, GroupSteps>,
}

/// The steps of a security group that is copied.
#[derive(Debug, Clone)]
struct GroupSteps {
    made_by: String,
    filled_by: String,
}

/// The steps of one member.
#[derive(Debug, Clone)]
pub struct ServerSteps {
    /// The last step of the member.
    pub last: String,
    /// The step that made the server.
    pub made_by: String,
    /// Manage steps by position.
    pub volumes: BTreeMap<u32, String>,
}

/// A volume's steps.
#[derive(Debug, Clone)]
pub struct VolumeSteps {
    /// Position in device order.
    pub position: u32,
    /// The step that managed it.
    pub managed_by: String,
    /// Its last step.
    pub last: String,
}

/// The short text in names of what an operation makes.
pub fn suffix(operation: OperationId) -> String {
    format!("ptr-{}", operation.short())
}

impl Rebuild<'_> {
    /// Keypairs, server groups and security groups that have to be made, each once.
    pub fn shared<'m, 'b: 'm>(
        &self,
        sketch: &mut Sketch,
        members: impl IntoIterator<Item = &'m ReadyMember<'b>>,
    ) -> Shared {
        let members: Vec<_> = members.into_iter().collect();
        Shared {
            keypairs: self.keypairs(sketch, &members),
            server_groups: self.server_groups(sketch, &members),
            security_groups: self.security_groups(sketch, &members),
        }
    }

    /// All groups are made before any is filled: rules may refer to each other in a circle.
    fn security_groups(
        &self,
        sketch: &mut Sketch,
        members: &[&ReadyMember<'_>],
    ) -> BTreeMap<String, GroupSteps> {
        let (mut made, mut copies) = (BTreeMap::new(), Vec::new());
        for copy in members.iter().flat_map(|m| &m.security_groups) {
            let name = &copy.spec.name;
            if made.contains_key(name) {
                continue;
            }
            let n = made.len();
            let steps = GroupSteps {
                made_by: format!("secgroup{n}"),
                filled_by: format!("secgroup{n}.fill"),
            };
            let input = steps::create_security_group::Input {
                place: self.target.clone(),
                name: name.clone(),
            };
            let (stage, after) = (self.stages.servers, self.after.clone());
            sketch.add(&steps.made_by, "create_security_group", stage, after, input);
            copies.push(copy);
            made.insert(name.clone(), steps);
        }
        for copy in copies {
            self.fill_security_group(sketch, copy, &made);
        }
        made
    }

    fn fill_security_group(
        &self,
        sketch: &mut Sketch,
        copy: &CopiedGroup,
        made: &BTreeMap<String, GroupSteps>,
    ) {
        let Some(own) = made.get(&copy.spec.name) else { return };
        let mut after = vec![own.made_by.clone()];
        let rules = copy.spec.rules.iter().map(|rule| {
            let remote = rule.remote_group.as_ref().and_then(|name| {
                let there = copy.remotes.get(name).cloned();
                there.map(Remote::Id).or_else(|| {
                    let step = made.get(name)?.made_by.clone();
                    if !after.contains(&step) {
                        after.push(step.clone());
                    }
                    Some(Remote::From(step))
                })
            });
            PlannedRule { rule: rule.clone(), remote }
        });
        let input = steps::fill_security_group::Planned {
            place: self.target.clone(),
            group_from: own.made_by.clone(),
            description: copy.spec.description.clone(),
            rules: rules.collect(),
        };
        sketch.add(&own.filled_by, "fill_security_group", self.stages.servers, after, input);
    }

    fn keypairs(
        &self,
        sketch: &mut Sketch,
        members: &[&ReadyMember<'_>],
    ) -> BTreeMap<(Option<String>, String), String> {
        let mut made = BTreeMap::new();
        for member in members {
            let (Some(name), Some(public_key)) = (&member.key_name, &member.import_key) else {
                continue;
            };
            let key = (member.owner.clone(), name.clone());
            if made.contains_key(&key) {
                continue;
            }
            let id = format!("key{}", made.len());
            let input = steps::import_keypair::Input {
                place: self.target.clone(),
                owner: member.owner.clone(),
                name: name.clone(),
                public_key: public_key.clone(),
            };
            let (stage, after) = (self.stages.servers, self.after.clone());
            // A server without its key is better than none; what it lacks stands in `not_preserved`.
            sketch.add(&id, "import_keypair", stage, after, input).on_failure = OnFailure::Warn;
            made.insert(key, id);
        }
        made
    }

    fn server_groups(
        &self,
        sketch: &mut Sketch,
        members: &[&ReadyMember<'_>],
    ) -> BTreeMap<String, String> {
        let mut made = BTreeMap::new();
        for member in members.iter().filter(|m| m.server_group_id.is_none()) {
            let Some(group) = &member.member.spec.server_group else { continue };
            if made.contains_key(&group.name) {
                continue;
            }
            let id = format!("sg{}", made.len());
            let input = steps::create_server_group::Input {
                place: self.target.clone(),
                name: group.name.clone(),
                policy: group.policy.clone(),
            };
            sketch.add(&id, "create_server_group", self.stages.servers, self.after.clone(), input);
            made.insert(group.name.clone(), id);
        }
        made
    }

    /// The ports of a member, in interface order. They need nothing of the source.
    pub fn ports(
        &self,
        sketch: &mut Sketch,
        m: usize,
        member: &ReadyMember<'_>,
        shared: &Shared,
    ) -> Vec<String> {
        let name = member.member.spec.name.as_str();
        let mut ids = Vec::new();
        for (p, ready) in member.ports.iter().enumerate() {
            let id = format!("m{m}.port{p}");
            let groups = ready.copied_groups.iter().filter_map(|g| shared.security_groups.get(g));
            let mut after = self.after.clone();
            after.extend(groups.clone().map(|steps| steps.filled_by.clone()));
            let input = steps::create_port::Planned {
                input: steps::create_port::Input {
                    place: self.target.clone(),
                    port: ready.port.clone(),
                    source_port_id: ready.source_id.clone(),
                },
                security_groups_from: groups.map(|steps| steps.made_by.clone()).collect(),
            };
            sketch.add_for(name, &id, "create_port", self.stages.servers, after, input);
            ids.push(id);
        }
        ids
    }

    /// A clone of each of a member's volumes, by position.
    pub fn clones(&self, sketch: &mut Sketch, m: usize, member: &Member) -> BTreeMap<u32, String> {
        let mut made = BTreeMap::new();
        for volume in &member.volumes {
            let Some(source) = volume.placements.get(&self.source_site) else { continue };
            let v = volume.position;
            let id = format!("m{m}.clone{v}");
            let input = steps::clone_volume::Planned {
                array: self.array,
                point_from: self.point_from.to_owned(),
                source_volume: source.array_volume.clone(),
                name: format!("{}-m{m}v{v}", suffix(self.operation)),
            };
            let after = vec![self.point_from.to_owned()];
            let (name, stage) = (member.spec.name.as_str(), self.stages.clone);
            sketch.add_for(name, &id, "clone_volume", stage, after, input);
            made.insert(v, id);
        }
        made
    }

    /// clone -> manage -> dress, per volume of a member.
    pub fn volumes(
        &self,
        sketch: &mut Sketch,
        m: usize,
        member: &ReadyMember<'_>,
    ) -> Vec<VolumeSteps> {
        let name = member.member.spec.name.as_str();
        let clones = self.clones(sketch, m, member.member);
        let mut made = Vec::new();
        for volume in &member.member.volumes {
            let Some(source) = volume.placements.get(&self.source_site) else { continue };
            let v = volume.position;
            let Some(clone) = clones.get(&v).cloned() else { continue };
            let (manage, dress) = (format!("m{m}.manage{v}"), format!("m{m}.dress{v}"));
            let input = steps::manage_volume::Planned {
                place: self.target.clone(),
                array: self.array,
                clone_from: clone.clone(),
                host: self.cinder_host.to_owned(),
                volume_type: self.volume_type.to_owned(),
                name: format!("{}{}", volume.name, self.name_suffix),
                description: volume.description.clone(),
                bootable: volume.bootable,
                keeps_clone: self.keeps_clones,
            };
            let input = with_source(&input, &source.volume_id);
            let stage = self.stages.manage;
            sketch.add_for(name, &manage, "manage_volume", stage, vec![clone], input);
            let mut metadata = volume.metadata.clone();
            metadata.retain(|key, _| !DRIVER_METADATA.contains(&key.as_str()));
            let mut last = manage.clone();
            if !metadata.is_empty() || !volume.image_metadata.is_empty() {
                let input = steps::dress_volume::Planned {
                    place: self.target.clone(),
                    managed_by: manage.clone(),
                    metadata,
                    image_metadata: volume.image_metadata.clone(),
                };
                sketch.add_for(name, &dress, "dress_volume", stage, vec![manage.clone()], input);
                last = dress;
            }
            made.push(VolumeSteps { position: v, managed_by: manage, last });
        }
        made
    }

    /// The server of a member, as soon as its own ports and volumes are ready.
    pub fn server(
        &self,
        sketch: &mut Sketch,
        m: usize,
        member: &ReadyMember<'_>,
        ports: Vec<String>,
        volumes: Vec<VolumeSteps>,
        shared: &Shared,
    ) -> ServerSteps {
        let spec = &member.member.spec;
        let create = format!("m{m}.create");
        let group = spec.server_group.as_ref().filter(|_| member.server_group_id.is_none());
        let server_group_from = group.and_then(|g| shared.server_groups.get(&g.name)).cloned();
        let mut after = ports.clone();
        after.extend(volumes.iter().map(|v| v.last.clone()));
        let key = member.key_name.clone().map(|name| (member.owner.clone(), name));
        let key_from = key.and_then(|key| shared.keypairs.get(&key)).cloned();
        after.extend(key_from.clone());
        after.extend(server_group_from.clone());
        let attach = |v: &VolumeSteps| {
            let volume = member.member.volumes.iter().find(|known| known.position == v.position)?;
            Some(steps::create_server::PlannedVolume {
                managed_by: v.managed_by.clone(),
                boot_index: volume.boot_index,
                device: None,
                delete_on_termination: volume.delete_on_termination,
            })
        };
        let planned = steps::create_server::Planned {
            place: self.target.clone(),
            owner: member.owner.clone(),
            public_key: spec.public_key.clone(),
            key_from,
            server: self.new_server(member),
            ports_from: ports.clone(),
            volumes: volumes.iter().filter_map(attach).collect(),
            server_group_from,
            keeps: self.keeps_writes.map(|keep_sec| Keeps {
                group_id: self.array.group,
                member_id: member.member.id,
                m,
                array: self.array,
                keep_sec,
            }),
        };
        let input = with_source(&planned, &member.source_server_id);
        let stage = self.stages.servers;
        let step = sketch.add_for(&spec.name, &create, "create_server", stage, after, input);
        step.deadline_sec = 3600;
        let mut last = create.clone();
        if !member.was_active {
            last = format!("m{m}.power");
            let input = steps::settle_power::Planned {
                place: self.target.clone(),
                server_from: create.clone(),
            };
            let after = vec![create.clone()];
            sketch.add_for(&spec.name, &last, "settle_power", stage, after, input);
        }
        let last = self.finish(sketch, m, member, &create, &ports, last);
        let volumes = volumes.into_iter().map(|v| (v.position, v.managed_by)).collect();
        ServerSteps { last, made_by: create, volumes }
    }

    /// The last step of a member: what only we need goes. It may fail without harm.
    fn finish(
        &self,
        sketch: &mut Sketch,
        m: usize,
        member: &ReadyMember<'_>,
        create: &str,
        ports: &[String],
        last: String,
    ) -> String {
        let id = format!("m{m}.finish");
        let named = ports.iter().zip(&member.ports).map(|(step, ready)| {
            steps::finish_server::NamedPort { port: step.clone(), name: ready.name.clone() }
        });
        let input = steps::finish_server::Planned {
            keeps_marker: !self.name_suffix.is_empty(),
            place: self.target.clone(),
            server_from: create.to_owned(),
            ports: named.collect(),
            owner: member.owner.clone(),
            key_name: member.key_name.clone(),
        };
        let (name, stage) = (&member.member.spec.name, self.stages.servers);
        let step = sketch.add_for(name, &id, "finish_server", stage, vec![last], input);
        (step.on_failure, step.deadline_sec) = (OnFailure::Warn, 120);
        id
    }

    fn new_server(&self, member: &ReadyMember<'_>) -> NewServer {
        let spec = &member.member.spec;
        NewServer {
            name: format!("{}{}", spec.name, self.name_suffix),
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
        }
    }
}
