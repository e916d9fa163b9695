//! Cinder.

use std::collections::BTreeMap;

use protector_ports::{Cloud as _, ManageVolume, PortError};
use protector_sim::{
    cloud::Service,
    faults::{Effect, Rule},
};

use crate::{common::permit, lab::*};

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

impl Lab {
    /// Lets the role `protector` manage, as an operator would.
    fn allow_managing(&self) {
        let mut state = self.cloud().lock();
        for rule in [MANAGE, UNMANAGE] {
            state.policies.insert(rule.into(), "rule:admin_api or role:protector".into());
        }
    }

    async fn manage(&self, array_volume: &str) -> ManageVolume {
        let pools = self.own.block_storage().backend_pools().await.unwrap();
        ManageVolume {
            host: pools[0].name.clone(),
            source_name: array_volume.into(),
            name: "managed".into(),
            description: "by protector".into(),
            volume_type: "replicated".into(),
            bootable: true,
            metadata: map(&[("protector_operation", "op-1")]),
        }
    }

    async fn volume_in(&self, id: &str, status: &str) -> protector_ports::Volume {
        until(|| async {
            let volume = self.app.block_storage().volume(id).await.unwrap();
            (volume.status == status).then_some(volume)
        })
        .await
    }
}

#[tokio::test]
async fn volumes_are_listed_with_what_the_driver_says() {
    let lab = lab().await;
    let ids: Vec<String> = (0..3).map(|n| lab.volume(&format!("v{n}"))).collect();
    let volumes = lab.app.block_storage().volumes().await.unwrap();
    assert_eq!(volumes.len(), 3);
    let volume = lab.app.block_storage().volume(&ids[1]).await.unwrap();
    assert!(volumes.contains(&volume));
    assert_eq!(
        (volume.name.as_str(), volume.status.as_str(), volume.size_gib),
        ("v1", "available", 1)
    );
    assert!(volume.bootable && !volume.encrypted && volume.group_id.is_none());
    assert_eq!(volume.volume_type.as_deref(), Some("replicated"));
    assert_eq!(volume.metadata["array_name"], "array-a");
    assert_eq!(volume.metadata["array_volume_name"], format!("volume-{}-cinder", ids[1]));
    assert!(is_absent(lab.app.block_storage().volume(NO_ID).await));
    assert!(
        lab.own.block_storage().volumes().await.unwrap().is_empty(),
        "only the session's project"
    );
}

#[tokio::test]
async fn more_volumes_than_a_page_are_all_listed() {
    let lab = lab().await;
    for n in 0..1005 {
        lab.volume(&format!("v{n}"));
    }
    assert_eq!(lab.app.block_storage().volumes().await.unwrap().len(), 1005);
}

#[tokio::test]
async fn a_clone_is_managed_described_and_given_back() {
    let lab = lab().await;
    let storage = lab.app.block_storage();
    lab.world.array(0).create_volume("ptr-1-0", 1 << 30).unwrap();
    let serial = lab.world.array(0).volume("ptr-1-0").unwrap().serial;
    let request = lab.manage("ptr-1-0").await;
    assert!(is_denied(storage.manage_volume(&request).await));
    assert!(is_denied(storage.prove_manage_right().await));
    lab.allow_managing();
    storage.prove_manage_right().await.unwrap();
    assert!(storage.volumes().await.unwrap().is_empty(), "the proof leaves nothing");

    let id = storage.manage_volume(&request).await.unwrap();
    let accepted = storage.volume(&id).await.unwrap();
    assert!(
        accepted.status == "available" || accepted.metadata["protector_operation"] == "op-1",
        "{accepted:?}"
    );
    let volume = lab.volume_in(&id, "available").await;
    assert_eq!(storage.volume_ids("available").await.unwrap(), [id.as_str()]);
    assert!(storage.volume_ids("managing").await.unwrap().is_empty());
    assert_eq!((volume.name.as_str(), volume.size_gib, volume.bootable), ("managed", 1, true));
    let renamed = lab.world.array(0).volume(&format!("volume-{id}-cinder")).unwrap();
    assert_eq!(renamed.serial, serial);

    storage.set_metadata(&id, &map(&[("app", "web"), ("tier", "1")])).await.unwrap();
    storage.set_metadata(&id, &map(&[("tier", "2")])).await.unwrap();
    storage.set_metadata(&id, &BTreeMap::new()).await.unwrap();
    storage.set_image_metadata(&id, &map(&[("hw_firmware_type", "uefi")])).await.unwrap();
    storage.set_image_metadata(&id, &BTreeMap::new()).await.unwrap();
    storage.set_bootable(&id, false).await.unwrap();
    let volume = storage.volume(&id).await.unwrap();
    assert_eq!((volume.metadata["app"].as_str(), volume.metadata["tier"].as_str()), ("web", "2"));
    assert_eq!(volume.metadata["array_name"], "array-a", "the driver's own keys stay");
    assert_eq!(volume.image_metadata["hw_firmware_type"], "uefi");
    assert!(!volume.bootable);
    storage.set_bootable(&id, true).await.unwrap();
    assert!(storage.volume(&id).await.unwrap().bootable);

    storage.unmanage_volume(&id, &permit()).await.unwrap();
    until(|| async { is_absent(storage.volume(&id).await).then_some(()) }).await;
    storage.unmanage_volume(&id, &permit()).await.unwrap();
    let left: Vec<_> =
        lab.world.array(0).volumes().into_iter().filter(|v| v.serial == serial).collect();
    assert!(!left[0].destroyed && left[0].name.ends_with("-unmanaged"), "{left:?}");
}

#[tokio::test]
async fn managing_what_is_not_there_ends_in_error() {
    let lab = lab().await;
    lab.allow_managing();
    let storage = lab.app.block_storage();
    let request = lab.manage("nobody").await;
    let id = storage.manage_volume(&request).await.unwrap();
    // As Cinder shows `error_managing` to clients.
    lab.volume_in(&id, "error").await;
    storage.unmanage_volume(&id, &permit()).await.unwrap();
    let bad_host = ManageVolume { host: "nobody@none#none".into(), ..request.clone() };
    let refused = storage.manage_volume(&bad_host).await;
    assert!(is_invalid(refused));
    lab.cloud().lock().cinder.backend_down = true;
    // Cinder's answer is a 400 then, as for a wrong request; but it passes.
    let refused = storage.manage_volume(&request).await;
    assert!(matches!(refused, Err(PortError::Transient { .. })), "{refused:?}");
    lab.cloud().lock().cinder.backend_down = false;
    let bad_type = ManageVolume { volume_type: "no-such-type".into(), ..request };
    let refused = storage.manage_volume(&bad_type).await;
    assert!(matches!(&refused, Err(e) if e.is_absent()) || is_invalid(refused));
}

#[tokio::test]
async fn volumes_are_deleted_for_good() {
    let lab = lab().await;
    let storage = lab.app.block_storage();
    let id = lab.volume("v");
    storage.delete_volume(&id, &permit()).await.unwrap();
    until(|| async { is_absent(storage.volume(&id).await).then_some(()) }).await;
    storage.delete_volume(&id, &permit()).await.unwrap();
    for result in [
        storage.set_metadata(NO_ID, &map(&[("a", "b")])).await,
        storage.set_image_metadata(NO_ID, &map(&[("a", "b")])).await,
        storage.set_bootable(NO_ID, true).await,
    ] {
        assert!(is_absent(result));
    }
    let server = lab.active_server("web").await;
    let refused = storage.delete_volume(&server.volumes[0].volume_id, &permit()).await;
    assert!(is_invalid(refused), "in use");
}

#[tokio::test]
async fn types_pools_and_quota() {
    let lab = lab().await;
    let own = lab.own.block_storage();
    let types = own.volume_types().await.unwrap();
    let replicated = types.iter().find(|t| t.name == "replicated").unwrap();
    assert_eq!(replicated.extra_specs["replication_enabled"], "<is> True");
    assert_eq!(replicated.extra_specs["replication_type"], "<in> async");
    assert!(!replicated.encrypted);
    let shown: Vec<_> =
        lab.app.block_storage().volume_types().await.unwrap().into_iter().map(|t| t.id).collect();
    assert!(shown.contains(&replicated.id));

    let pools = own.backend_pools().await.unwrap();
    assert!(
        pools.iter().any(|pool| pool.up && pool.name.contains('@') && pool.name.contains('#')),
        "{pools:?}"
    );
    assert!(is_denied(lab.app.block_storage().backend_pools().await));
    lab.cloud()
        .lock()
        .policies
        .insert("volume_extension:services:index".into(), "role:protector".into());
    let hosts = lab.app.block_storage().backend_pools().await.unwrap();
    assert!(hosts.iter().any(|host| host.up && host.name.contains('@')), "{hosts:?}");

    let before = lab.app.block_storage().quota().await.unwrap();
    lab.volume("v");
    let after = lab.app.block_storage().quota().await.unwrap();
    assert_eq!(
        (after.volumes.used, after.gigabytes.used),
        (before.volumes.used + 1, before.gigabytes.used + 1)
    );
    lab.cloud().lock().quotas.set(Service::Cinder, lab.project.as_str(), "volumes", 7);
    assert_eq!(lab.app.block_storage().quota().await.unwrap().volumes.limit, Some(7));
    lab.cloud().lock().quotas.set(Service::Cinder, lab.project.as_str(), "gigabytes", -1);
    assert_eq!(lab.app.block_storage().quota().await.unwrap().gigabytes.limit, None);
}

#[tokio::test]
async fn a_lost_answer_to_manage_is_unknown_and_a_busy_cinder_is_asked_again() {
    let lab = lab().await;
    lab.allow_managing();
    lab.world.array(0).create_volume("ptr-1-0", 1 << 30).unwrap();
    let request = lab.manage("ptr-1-0").await;
    let rule = |effect| {
        Rule::new(effect).service("volume").method("POST").path("os-volume-manage").times(1)
    };
    lab.world.faults().add(rule(Effect::TimeoutAfter { hang_ms: 5 }));
    assert!(is_unknown(lab.app.block_storage().manage_volume(&request).await));
    assert_eq!(lab.app.block_storage().volumes().await.unwrap().len(), 1);
    for code in [429, 503] {
        lab.world.faults().add(rule(Effect::Status { code, message: None, retry_after: None }));
        lab.app.block_storage().prove_manage_right().await.unwrap();
    }
}
