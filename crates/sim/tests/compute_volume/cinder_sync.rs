//! Synchronous types: volumes in the driver's stretched pod, and the retype that is a copy.

use protector_sim::array::{Array, LinkStatus};
use serde_json::{Value, json};

use crate::support::{Lab, User};

const SYNC: &str = "replicated-sync";
const GIB: u64 = 1 << 30;

/// Both backends share the pod, and it is in sync.
fn lab() -> Lab {
    let lab = Lab::new();
    for (at, partner) in [(0, "array-b"), (1, "array-a")] {
        lab.world.cloud(at).set_sync_target(partner).unwrap();
    }
    for _ in 0..20 {
        lab.tick();
    }
    lab
}

fn retype(policy: Option<&str>) -> Value {
    match policy {
        Some(policy) => json!({"os-retype": {"new_type": SYNC, "migration_policy": policy}}),
        None => json!({"os-retype": {"new_type": SYNC}}),
    }
}

async fn array_name(user: &User, id: &str) -> String {
    user.volume(id).await["metadata"]["array_volume_name"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_volume_of_a_synchronous_type_is_on_both_arrays_in_the_pod() {
    let lab = lab();
    let user = lab.member().await;
    let id = lab.volume(&user, "v", SYNC, false).await;
    let volume = user.volume(&id).await;
    assert_eq!(
        (&volume["status"], &volume["replication_status"]),
        (&json!("available"), &json!("enabled"))
    );
    let name = array_name(&user, &id).await;
    assert_eq!(name, format!("cinder-pod::volume-{id}-cinder"));
    let [here, there] = [0, 1].map(|at| lab.world.array(at).volume(&name).unwrap());
    assert_eq!((here.serial, here.in_stretched_pod), (there.serial, true));
    assert!(here.protection_groups.is_empty(), "no group of the driver replicates it");
}

#[tokio::test]
async fn into_the_pod_leads_a_copy_only_and_only_if_it_was_allowed() {
    let lab = lab();
    let user = lab.member().await;
    let (server, id, _) = lab.server(&user, "s").await;
    lab.cloud().guest_write(&server, &id, "before").unwrap();
    let old = array_name(&user, &id).await;
    let serial = lab.array().volume(&old).unwrap().serial;
    user.post(&format!("volumes/{id}/action"), retype(None)).await.expect(202);
    lab.tick();
    let volume = user.volume(&id).await;
    assert_eq!(volume["status"], "in-use");
    assert_ne!(
        volume["volume_type"], SYNC,
        "without a migration nothing moves into a stretched pod"
    );
    assert_eq!(array_name(&user, &id).await, old);

    user.post(&format!("volumes/{id}/action"), retype(Some("on-demand"))).await.expect(202);
    assert_eq!(user.volume(&id).await["status"], "retyping");
    lab.tick();
    let volume = user.volume(&id).await;
    assert_eq!((&volume["status"], &volume["volume_type"]), (&json!("in-use"), &json!(SYNC)));
    let new = array_name(&user, &id).await;
    assert_eq!(new, format!("cinder-pod::volume-{id}-cinder"));
    assert_ne!(lab.array().volume(&new).unwrap().serial, serial, "another array volume");
    assert!(lab.array().volume(&old).unwrap().destroyed);
    lab.cloud().guest_write(&server, &id, "after").unwrap();
    assert_eq!(lab.world.array(1).content(&new).unwrap(), ["before", "after"]);
}

#[tokio::test]
async fn nothing_comes_into_a_pod_of_which_one_array_is_away() {
    let lab = lab();
    lab.policy("volume_extension:volume_manage", "rule:admin_or_owner");
    let user = lab.member().await;
    let id = lab.volume(&user, "v", "plain", false).await;
    Array::set_link(lab.world.array(0), lab.world.array(1), LinkStatus::Broken);
    user.post(&format!("volumes/{id}/action"), retype(Some("on-demand"))).await.expect(202);
    lab.tick();
    let volume = user.volume(&id).await;
    assert_eq!((&volume["status"], &volume["volume_type"]), (&json!("available"), &json!("plain")));
    // To manage one never ends in the driver.
    lab.array().create_volume("found", GIB).unwrap();
    let body = json!({"volume": {
        "host": "site-a@pure#pure", "ref": {"source-name": "found"}, "volume_type": SYNC,
    }});
    let made = user.post("os-volume-manage", body).await.expect(202);
    for _ in 0..20 {
        lab.tick();
    }
    let managed = user.volume(made["volume"]["id"].as_str().unwrap()).await;
    assert_eq!(managed["status"], "creating", "managing is shown as creating");
    assert!(lab.array().volume("found").is_some());
}
