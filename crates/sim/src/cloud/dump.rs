//! The whole state as JSON, for tests to compare.

use serde_json::{Value, json};

use super::{Cloud, State, cinder, glance, keystone, neutron, nova};

/// Everything, after all work that is due.
pub(super) fn dump(cloud: &Cloud) -> Value {
    cloud.settle();
    let (compute, volume, policies, quotas) = {
        let state = cloud.lock();
        (compute(&state), volume(&state), json!(state.policies), quotas(&state))
    };
    json!({
        "name": cloud.name,
        "region": cloud.region,
        "now": cloud.now(),
        "identity": keystone::dump(cloud),
        "compute": compute,
        "volume": volume,
        "network": neutron::dump(cloud),
        "image": glance::dump(cloud),
        "policies": policies,
        "quotas": quotas,
    })
}

fn quotas(state: &State) -> Value {
    let entry = |((service, project, resource), limit): (&(String, String, String), &i64)| json!({"service": service, "project_id": project, "resource": resource, "limit": limit});
    state.quotas.0.iter().map(entry).collect()
}

fn server(server: &nova::Server) -> Value {
    let disks: Vec<Value> = server
        .volumes
        .iter()
        .map(|d| {
            json!({
                "volume_id": d.volume_id, "attachment_id": d.attachment_id, "boot_index": d.boot_index,
                "device": d.device, "delete_on_termination": d.delete_on_termination,
            })
        })
        .collect();
    let nics: Vec<Value> = server
        .nics
        .iter()
        .map(|n| json!({"port_id": n.port_id, "network_id": n.network_id, "ours": n.ours}))
        .collect();
    json!({
        "id": server.id, "name": server.name, "description": server.description, "status": server.status(),
        "vm_state": server.vm_state, "task_state": server.task_state, "power_state": server.power_state,
        "project_id": server.project_id, "user_id": server.user_id, "host": server.host,
        "flavor": server.flavor.name, "image_id": server.image_id, "key_name": server.key_name,
        "metadata": server.metadata, "tags": server.tags, "locked": server.locked_by.is_some(),
        "group_id": server.group_id, "config_drive": server.config_drive,
        "fault": server.fault.as_ref().map(|f| f.message.clone()), "disks": disks, "nics": nics,
    })
}

/// Servers that are not deleted, flavors, keypairs, server groups.
fn compute(state: &State) -> Value {
    let n = &state.nova;
    json!({
        "servers": n.servers.values().filter(|s| !s.deleted).map(server).collect::<Vec<_>>(),
        "flavors": n.flavors.values().map(|f| json!({
            "id": f.id, "name": f.name, "vcpus": f.vcpus, "ram": f.ram, "disk": f.disk, "extra_specs": f.extra_specs,
        })).collect::<Vec<_>>(),
        "keypairs": n.keypairs.values().map(|k| json!({"name": k.name, "user_id": k.user_id, "fingerprint": k.fingerprint})).collect::<Vec<_>>(),
        "server_groups": n.groups.values().map(|g| json!({
            "id": g.id, "name": g.name, "policy": g.policy, "members": g.members, "project_id": g.project_id,
        })).collect::<Vec<_>>(),
    })
}

fn volume_json(v: &cinder::Volume) -> Value {
    json!({
        "id": v.id, "name": v.name, "description": v.description, "status": v.status,
        "attach_status": v.attach_status, "size": v.size, "type_id": v.type_id, "project_id": v.project_id,
        "user_id": v.user_id, "host": v.host, "metadata": v.metadata, "image_metadata": v.image_metadata,
        "bootable": v.bootable, "multiattach": v.multiattach, "replication_status": v.replication_status,
        "group_id": v.group_id, "array_name": v.array_name(),
    })
}

/// Volumes, types, snapshots, attachments.
fn volume(state: &State) -> Value {
    let c = &state.cinder;
    json!({
        "volumes": c.volumes.values().map(volume_json).collect::<Vec<_>>(),
        "types": c.types.values().map(|t| json!({"id": t.id, "name": t.name, "extra_specs": t.extra_specs})).collect::<Vec<_>>(),
        "snapshots": c.snapshots.values().map(|s| json!({
            "id": s.id, "name": s.name, "status": s.status, "volume_id": s.volume_id, "size": s.size,
            "project_id": s.project_id, "array_name": s.array_name,
        })).collect::<Vec<_>>(),
        "attachments": c.attachments.values().map(|a| json!({
            "id": a.id, "volume_id": a.volume_id, "server_id": a.server_id, "status": a.status, "mode": a.mode,
            "mountpoint": a.mountpoint, "attached_host": a.attached_host, "array_host": a.array_host,
        })).collect::<Vec<_>>(),
    })
}
