//! What is left of an open drill when the real thing comes: counted as free, and removed first.

use std::collections::BTreeSet;

use protector_core::PlanRequest;
use protector_ports::{NetworkPort, PortResult, Quota, Server, Volume};
use protector_workflow::OnFailure;

use super::record::DrillRecord;
use crate::{
    deps::{ArrayPlace, Deps, Place},
    facts::{Places, TargetFacts},
    rebuild::ReadyMember,
    sketch::Sketch,
    steps::{
        manage_volume::MARKER_KEY,
        sweep::{self, What},
    },
};

/// How long the removal of one kind may take before the failover goes on without it.
const PATIENCE_SEC: u64 = 300;

/// What is there of a drill.
pub struct Remains {
    record: DrillRecord,
    place: Place,
    array: ArrayPlace,
    servers: Vec<Server>,
    ports: Vec<NetworkPort>,
    volumes: Vec<Volume>,
}

/// The steps after which it is gone.
#[derive(Debug, Clone, Default)]
pub struct Gone {
    /// Servers and ports.
    pub ports: Option<String>,
    /// Volumes.
    pub volumes: Option<String>,
}

impl Gone {
    /// Volumes are managed once those of the drill have made room.
    pub fn before_managing(&self, sketch: &mut Sketch) {
        let Some(gone) = &self.volumes else { return };
        for step in sketch.steps_mut().filter(|step| step.kind == "manage_volume") {
            step.after.push(gone.clone());
        }
    }
}

impl Remains {
    /// Looks for it at the target. `None`: no drill is open.
    ///
    /// # Errors
    /// The first call that failed.
    pub async fn of(
        deps: &Deps,
        request: &PlanRequest,
        places: &Places,
    ) -> PortResult<Option<Self>> {
        let Some(drill) = &request.drill else { return Ok(None) };
        let record = DrillRecord::of(drill);
        let prefix = format!("ptr-{}-", record.id.short());
        let cloud = places.target.cloud(deps).await?;
        let (server_filter, port_filter) = (Default::default(), Default::default());
        let (mut servers, mut ports, mut volumes) = futures::try_join!(
            cloud.compute().servers(&server_filter),
            cloud.networking().ports(&port_filter),
            cloud.block_storage().volumes(),
        )?;
        let known = &record.known;
        servers.retain(|s| known.contains(&s.id) || s.tags.iter().any(|t| t.starts_with(&prefix)));
        ports.retain(|p| known.contains(&p.id) || p.name.starts_with(&prefix));
        volumes.retain(|v| {
            let marker = v.metadata.get(MARKER_KEY);
            known.contains(&v.id) || marker.is_some_and(|marker| marker.starts_with(&prefix))
        });
        let (place, array) = (places.target.clone(), places.target_array);
        Ok(Some(Self { record, place, array, servers, ports, volumes }))
    }

    /// Its quota is free and its ports are gone by the time they are needed.
    pub fn count_as_free(&self, target: &mut TargetFacts) {
        let free = |quota: &mut Quota, by: u64| quota.used = quota.used.saturating_sub(by);
        let sum = |what: fn(&Server) -> u64| self.servers.iter().map(what).sum();
        let compute = &mut target.compute_quota;
        free(&mut compute.instances, self.servers.len() as u64);
        free(&mut compute.cores, sum(|s| u64::from(s.flavor.vcpus)));
        free(&mut compute.ram_mib, sum(|s| s.flavor.ram_mib));
        free(&mut target.storage_quota.volumes, self.volumes.len() as u64);
        free(&mut target.storage_quota.gigabytes, self.volumes.iter().map(|v| v.size_gib).sum());
        free(&mut target.network_quota.ports, self.ports.len() as u64);
        let ours: BTreeSet<&str> = self.ports.iter().map(|p| p.id.as_str()).collect();
        target.ports.retain(|port| !ours.contains(port.id.as_str()));
    }

    /// What the drill has stopped ran, and is to run again.
    pub fn recall_power(&self, members: &mut [ReadyMember<'_>]) {
        for member in members.iter_mut().filter(|m| self.record.has_stopped(&m.source_server_id)) {
            member.was_active = true;
        }
    }

    /// It has stopped this server of the primary, which ran.
    pub fn has_stopped(&self, server_id: &str) -> bool {
        self.record.has_stopped(server_id)
    }

    /// For the record.
    pub fn warning(&self) -> String {
        format!(
            "The drill {} is still open: its servers, ports and volumes at the target are removed first; test_cleanup \
             removes the rest",
            self.record.id
        )
    }

    /// Servers -> ports and volumes; a failure is a warning.
    pub fn lay_out(&self, sketch: &mut Sketch, stage: usize, after: Vec<String>) -> Gone {
        let mut sweep = |id: &str, what: What, after: Vec<String>| {
            let input = sweep::Input {
                operation: self.record.id,
                place: self.place.clone(),
                array: self.array,
                what: BTreeSet::from([what]),
                known: self.record.known.clone(),
            };
            let step = sketch.add(id, "sweep", stage, after, input);
            (step.on_failure, step.deadline_sec) = (OnFailure::Warn, PATIENCE_SEC);
            id.to_owned()
        };
        let servers = sweep("drill.servers", What::Servers, after);
        let ports = sweep("drill.ports", What::Ports, vec![servers.clone()]);
        let volumes = sweep("drill.volumes", What::Volumes, vec![servers]);
        Gone { ports: Some(ports), volumes: Some(volumes) }
    }
}
