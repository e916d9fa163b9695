//! Manage and unmanage, with the Pure driver's side effects.

use serde_json::{Value, json};

use crate::support::{Lab, User, array_call};

const HOST: &str = "site-a@pure#pure";
const GIB: u64 = 1 << 30;

fn request(name: &str, kind: &str) -> Value {
    json!({"volume": {
        "host": HOST, "ref": {"source-name": name}, "name": "managed", "volume_type": kind,
        "bootable": true, "metadata": {"mine": "lost"},
    }})
}

fn open(lab: &Lab) {
    lab.policy("volume_extension:volume_manage", "rule:admin_or_owner");
    lab.policy("volume_extension:volume_unmanage", "rule:admin_or_owner");
}

async fn manage(user: &User, body: Value) -> String {
    let made = user.post("os-volume-manage", body).await.expect(202);
    assert_eq!(made["volume"]["status"], "creating", "managing is shown as creating");
    made["volume"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn manage_renames_replaces_metadata_and_makes_the_caller_the_owner() {
    let lab = Lab::new();
    open(&lab);
    let user = lab.member().await;
    let before = lab.array().create_volume("recovered-1", 3 * GIB - 512).unwrap();
    let id = manage(&user, request("recovered-1", "replicated")).await;
    assert!(lab.array().volume("recovered-1").is_some(), "nothing happens before its time");
    lab.tick();
    let volume = user.volume(&id).await;
    assert_eq!(volume["status"], "available");
    assert_eq!(volume["size"], 3, "rounded up");
    assert_eq!(volume["bootable"], "true");
    assert_eq!(volume["user_id"], user.id);
    assert_eq!(volume["os-vol-tenant-attr:tenant_id"], user.project);
    assert_eq!(volume["replication_status"], "enabled");
    assert_eq!(volume["service_uuid"], Value::Null);
    let name = format!("volume-{id}-cinder");
    assert_eq!(volume["metadata"], json!({"array_volume_name": name, "array_name": "array-a"}));
    assert!(volume.get("volume_image_metadata").is_none());
    let after = lab.array().volume(&name).unwrap();
    assert_eq!((after.id, after.serial), (before.id, before.serial));
    assert_eq!(after.protection_groups, [("cinder-group".to_owned(), true)]);
    assert!(lab.array().volume("recovered-1").is_none());
}

#[tokio::test]
async fn a_type_that_is_not_async_strips_the_volume_from_every_replicated_group() {
    let lab = Lab::new();
    open(&lab);
    let user = lab.member().await;
    let array = lab.array();
    for name in ["x1", "x2"] {
        array.create_volume(name, GIB).unwrap();
        array.ensure_protection_group("protector-pg", "array-b").unwrap();
        array.join_protection_group("protector-pg", name).unwrap();
    }
    let plain = manage(&user, request("x1", "plain")).await;
    let replicated = manage(&user, request("x2", "replicated")).await;
    lab.tick();
    let groups = |id: &str| array.volume(&format!("volume-{id}-cinder")).unwrap().protection_groups;
    assert!(groups(&plain).is_empty());
    let mut kept = groups(&replicated);
    kept.sort();
    assert_eq!(kept, [("cinder-group".to_owned(), true), ("protector-pg".to_owned(), true)]);
}

#[tokio::test]
async fn what_the_driver_refuses_ends_in_error_and_leaves_the_array_alone() {
    let lab = Lab::new();
    open(&lab);
    lab.cloud().add_volume_type("elsewhere", &[("volume_backend_name", "ceph")]);
    let user = lab.member().await;
    let array = lab.array();
    for name in ["connected", "locked", "fine", "big"] {
        array.create_volume(name, GIB).unwrap();
    }
    array.extend_volume("big", 40 * GIB).unwrap();
    array.connect("some-host", "connected").unwrap();
    array.ensure_protection_group("safe", "array-b").unwrap();
    array.join_protection_group("safe", "locked").unwrap();
    let ratchet = json!({"retention_lock": "ratcheted"});
    array_call(array, "PATCH", "protection-groups?names=safe", Some(ratchet)).await;
    let by_name =
        json!({"volume": {"host": HOST, "ref": {"name": "fine"}, "volume_type": "plain"}});
    let mut ids = vec![("by name", manage(&user, by_name).await)];
    for (source, kind) in
        [("absent", "plain"), ("connected", "plain"), ("locked", "plain"), ("fine", "elsewhere")]
    {
        ids.push((source, manage(&user, request(source, kind)).await));
    }
    lab.cloud().lock().quotas.set(
        protector_sim::cloud::Service::Cinder,
        &user.project,
        "gigabytes",
        10,
    );
    ids.push(("quota", manage(&user, request("big", "plain")).await));
    lab.tick();
    for (why, id) in ids {
        let volume = user.volume(&id).await;
        assert_eq!(volume["status"], "error", "{why}");
        let inside = lab.cloud().dump();
        let row = inside["volume"]["volumes"]
            .as_array()
            .unwrap()
            .iter()
            .find(|v| v["id"] == json!(id))
            .cloned()
            .unwrap();
        assert_eq!(row["status"], "error_managing", "{why}");
        user.delete(&format!("volumes/{id}")).await.expect(202);
        lab.tick();
        user.get(&format!("volumes/{id}")).await.expect(404);
    }
    for name in ["connected", "locked", "fine", "big"] {
        let view = array.volume(name).unwrap();
        assert!(!view.destroyed, "deleting a volume that was never managed must not touch {name}");
    }
    assert_eq!(array.volume("connected").unwrap().connection_count, 1);
}

#[tokio::test]
async fn a_volume_in_a_stretched_pod_cannot_be_managed() {
    let lab = Lab::new();
    open(&lab);
    let user = lab.member().await;
    let array = lab.array();
    array_call(array, "POST", "pods?names=pod1", Some(json!({}))).await;
    array_call(array, "POST", "volumes?names=pod1::v", Some(json!({"provisioned": GIB}))).await;
    array_call(array, "POST", "pods/arrays?group_names=pod1&member_names=array-b", None).await;
    let id = manage(&user, request("pod1::v", "plain")).await;
    lab.tick();
    assert_eq!(user.volume(&id).await["status"], "error");
}

#[tokio::test]
async fn what_the_api_refuses_at_once() {
    let lab = Lab::new();
    let (user, admin) = (lab.member().await, lab.admin().await);
    lab.array().create_volume("x", GIB).unwrap();
    let refused = user.post("os-volume-manage", request("x", "plain")).await.refused(403);
    assert_eq!(refused, "Policy doesn't allow volume_extension:volume_manage to be performed.");
    lab.policy("volume_extension:volume_manage", "role:protector");
    user.post("os-volume-manage", request("x", "plain")).await.expect(403);
    open(&lab);
    let mut extra = request("x", "plain");
    extra["volume"]["size"] = json!(1);
    assert!(
        user.post("os-volume-manage", extra).await.refused(400).contains("Additional properties")
    );
    let mut nowhere = request("x", "plain");
    nowhere["volume"]["host"] = json!("site-a@other#pool");
    assert!(user.post("manageable_volumes", nowhere).await.refused(400).contains("not found"));
    let refused = user.post("os-volume-manage", request("x", "nonsense")).await.refused(400);
    assert!(refused.contains("Cannot find requested 'nonsense' volume type"), "{refused}");
    let id = lab.volume(&user, "v", "plain", false).await;
    let managed = request(&format!("volume-{id}"), "plain");
    let refused = user.post("os-volume-manage", managed).await.refused(400);
    assert!(refused.contains("already managed"), "{refused}");
    admin.volume_at("POST", "manageable_volumes", 8, Some(request("x", "plain"))).await.expect(202);
}

/// Nothing stops a second manage of the same array volume, as in the real service.
#[tokio::test]
async fn the_drivers_own_names_pass_the_check_for_managed_volumes() {
    let lab = Lab::new();
    open(&lab);
    let (user, other) = (lab.member().await, lab.other().await);
    let id = lab.volume(&user, "v", "plain", false).await;
    let stolen = manage(&other, request(&format!("volume-{id}-cinder"), "plain")).await;
    lab.tick();
    assert_eq!(other.volume(&stolen).await["status"], "available");
    assert!(lab.array().volume(&format!("volume-{id}-cinder")).is_none());
}

#[tokio::test]
async fn unmanage_renames_keeps_the_groups_and_can_be_managed_again() {
    let lab = Lab::new();
    let user = lab.member().await;
    let id = lab.volume(&user, "v", "replicated", false).await;
    let path = format!("volumes/{id}/action");
    let action = json!({"os-unmanage": {}});
    user.post(&path, action.clone()).await.expect(403);
    open(&lab);
    user.post("snapshots", json!({"snapshot": {"volume_id": id}})).await.expect(202);
    lab.tick();
    assert!(user.post(&path, action.clone()).await.refused(400).contains("have snapshots"));
    let list = user.get("snapshots").await.expect(200);
    user.delete(&format!("snapshots/{}", list["snapshots"][0]["id"].as_str().unwrap()))
        .await
        .expect(202);
    lab.tick();
    let other = lab.other().await;
    other.post(&path, action.clone()).await.expect(404);
    user.post(&path, action).await.expect(202);
    lab.tick();
    user.get(&format!("volumes/{id}")).await.expect(404);
    let name = format!("volume-{id}-cinder-unmanaged");
    let view = lab.array().volume(&name).unwrap();
    assert!(!view.destroyed);
    assert_eq!(
        view.protection_groups,
        [("cinder-group".to_owned(), true)],
        "it goes on replicating"
    );
    let again = manage(&user, request(&name, "replicated")).await;
    lab.tick();
    assert_eq!(user.volume(&again).await["status"], "available");
}

#[tokio::test]
async fn unmanage_refuses_a_volume_in_use() {
    let lab = Lab::new();
    open(&lab);
    let user = lab.member().await;
    let (_, root, _) = lab.server(&user, "s").await;
    let refused =
        user.post(&format!("volumes/{root}/action"), json!({"os-unmanage": {}})).await.refused(400);
    assert!(refused.contains("must not be migrating, attached"), "{refused}");
}

#[tokio::test]
async fn only_admins_list_manageable_volumes_whatever_the_policy() {
    let lab = Lab::new();
    let (user, admin) = (lab.member().await, lab.admin().await);
    lab.array().create_volume("free", 2 * GIB).unwrap();
    lab.array().create_volume("taken", GIB).unwrap();
    lab.array().connect("h", "taken").unwrap();
    let id = lab.volume(&user, "v", "plain", false).await;
    let path = format!("manageable_volumes/detail?host={}", HOST.replace('#', "%23"));
    user.get(&path).await.expect(403);
    lab.policy("volume_extension:list_manageable", "rule:admin_or_owner");
    user.get(&path).await.expect(403);
    let list = admin.get(&path).await.expect(200);
    let rows = list["manageable-volumes"].as_array().unwrap();
    let row = |name: &str| rows.iter().find(|r| r["reference"]["name"] == json!(name)).unwrap();
    assert_eq!(
        (row("free")["safe_to_manage"].as_bool(), row("free")["size"].as_u64()),
        (Some(true), Some(2))
    );
    assert_eq!(row("taken")["safe_to_manage"], false);
    let mine = row(&format!("volume-{id}-cinder"));
    assert_eq!(
        (mine["cinder_id"].as_str(), mine["safe_to_manage"].as_bool()),
        (Some(id.as_str()), Some(false))
    );
}
