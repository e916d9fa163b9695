//! Policies, types, services, attachments and the rules of CVE-2023-2088.

use serde_json::json;

use crate::support::Lab;

#[tokio::test]
async fn members_see_three_extra_specs_unless_policy_says_more() {
    let lab = Lab::new();
    let (user, admin) = (lab.member().await, lab.admin().await);
    let spec = |list: &serde_json::Value| {
        let rows = list["volume_types"].as_array().unwrap().clone();
        rows.into_iter().find(|t| t["name"] == "replicated").unwrap()["extra_specs"].clone()
    };
    let seen = user.get("types").await.expect(200);
    assert_eq!(spec(&seen), json!({"replication_enabled": "<is> True"}));
    let seen = admin.get("types").await.expect(200);
    assert_eq!(spec(&seen)["replication_type"], "<in> async");
    lab.policy("volume_extension:types_extra_specs:read_sensitive", "role:member");
    let seen = user.get("types").await.expect(200);
    assert_eq!(spec(&seen)["volume_backend_name"], "pure");
}

#[tokio::test]
async fn types_are_made_by_admins() {
    let lab = Lab::new();
    let (user, admin) = (lab.member().await, lab.admin().await);
    let body = json!({"volume_type": {"name": "new", "os-volume-type-access:is_public": false}});
    user.post("types", body.clone()).await.expect(403);
    let made = admin.post("types", body.clone()).await.expect(200);
    admin.post("types", body).await.expect(409);
    let id = made["volume_type"]["id"].as_str().unwrap();
    let specs = json!({"extra_specs": {"a": "b"}});
    admin.post(&format!("types/{id}/extra_specs"), specs).await.expect(200);
    user.get(&format!("types/{id}")).await.expect(404);
    let add = json!({"addProjectAccess": {"project": user.project}});
    admin.post(&format!("types/{id}/action"), add).await.expect(202);
    let seen = user.get(&format!("types/{id}")).await.expect(200);
    assert_eq!(seen["volume_type"]["extra_specs"], json!({}));
    admin.delete(&format!("types/{id}")).await.expect(202);
}

#[tokio::test]
async fn services_and_pools_tell_where_the_backend_is_to_those_who_may_know() {
    let lab = Lab::new();
    let (user, admin) = (lab.member().await, lab.admin().await);
    user.get("os-services").await.expect(403);
    user.get("scheduler-stats/get_pools?detail=True").await.expect(403);
    lab.policy("volume_extension:services:index", "role:member");
    lab.policy("scheduler_extension:scheduler_stats:get_pools", "role:member");
    let list = user.get("os-services?binary=cinder-volume").await.expect(200);
    assert_eq!(list["services"][0]["host"], "site-a@pure");
    assert_eq!(list["services"][0]["state"], "up");
    let pools = user.get("scheduler-stats/get_pools?detail=True").await.expect(200);
    assert_eq!(pools["pools"][0]["name"], "site-a@pure#pure");
    assert_eq!(pools["pools"][0]["capabilities"]["volume_backend_name"], "pure");
    lab.cloud().lock().cinder.backend_down = true;
    let list = admin.get("os-services?binary=cinder-volume").await.expect(200);
    assert_eq!(list["services"][0]["state"], "down");
}

#[tokio::test]
async fn an_attachment_reserves_connects_and_completes() {
    let lab = Lab::new();
    let user = lab.member().await;
    let id = lab.volume(&user, "v", "plain", false).await;
    let body = json!({"attachment": {"volume_uuid": id, "instance_uuid": null}});
    user.volume_at("POST", "attachments", 26, Some(body.clone())).await.expect(404);
    let made = user.volume_at("POST", "attachments", 27, Some(body.clone())).await.expect(200);
    assert_eq!(made["attachment"]["status"], "reserved");
    assert_eq!(user.volume(&id).await["status"], "reserved");
    let refused = user.post("attachments", body).await.refused(400);
    assert!(
        refused.contains(
            "status must be available or downloading to reserve, but the current status is reserved"
        ),
        "{refused}"
    );
    let attachment = made["attachment"]["id"].as_str().unwrap();
    let connector = json!({"attachment": {"connector": {"host": "h1", "initiator": "iqn.x", "mountpoint": "/dev/vdc"}}});
    let path = format!("attachments/{attachment}");
    let told = user.volume_at("PUT", &path, 54, Some(connector)).await.expect(200);
    assert_eq!(told["attachment"]["status"], "attaching");
    assert!(told["attachment"]["connection_info"]["data"]["target_lun"].is_number());
    assert_eq!(lab.array().volume(&format!("volume-{id}-cinder")).unwrap().connection_count, 1);
    user.post(&format!("{path}/action"), json!({"os-complete": {}})).await.expect(204);
    let volume = user.volume(&id).await;
    assert_eq!(volume["status"], "in-use");
    assert_eq!(volume["attachments"][0]["device"], "/dev/vdc");
    user.delete(&path).await.expect(200);
    assert_eq!(user.volume(&id).await["status"], "available");
    assert_eq!(lab.array().volume(&format!("volume-{id}-cinder")).unwrap().connection_count, 0);
}

#[tokio::test]
async fn a_servers_attachment_is_only_for_services_to_remove() {
    let lab = Lab::new();
    let user = lab.member().await;
    let (server, root, _) = lab.server(&user, "s").await;
    let attachment =
        user.volume(&root).await["attachments"][0]["attachment_id"].as_str().unwrap().to_owned();
    let path = format!("attachments/{attachment}");
    let refused = user.delete(&path).await.refused(409);
    assert_eq!(
        refused,
        format!(
            "ConflictNovaUsingAttachment: Detach volume from instance {server} using the Compute API"
        )
    );
    let action = format!("volumes/{root}/action");
    user.post(&action, json!({"os-detach": {}})).await.expect(409);
    user.post(&action, json!({"os-terminate_connection": {"connector": {"host": "x"}}}))
        .await
        .expect(409);
    let admin = lab.admin().await;
    admin.post(&action, json!({"os-force_detach": {"connector": null}})).await.expect(409);
    let service = lab.login("protector", "service").await;
    let name = format!("volume-{root}-cinder");
    let forced = admin
        .vouched_by(&service)
        .post(&action, json!({"os-force_detach": {"connector": null}}))
        .await;
    forced.expect(500);
    assert_eq!(
        lab.array().volume(&name).unwrap().connection_count,
        1,
        "force detach does nothing on the array"
    );
    user.vouched_by(&service).delete(&path).await.expect(200);
    assert_eq!(lab.array().volume(&name).unwrap().connection_count, 0);
}

#[tokio::test]
async fn reset_status_clears_records_but_not_the_array() {
    let lab = Lab::new();
    let (user, admin) = (lab.member().await, lab.admin().await);
    let (_, root, _) = lab.server(&user, "s").await;
    let path = format!("volumes/{root}/action");
    let reset = json!({"os-reset_status": {"status": "available", "attach_status": "detached"}});
    user.post(&path, reset.clone()).await.expect(403);
    admin.post(&path, reset).await.expect(202);
    let volume = user.volume(&root).await;
    assert_eq!(
        (volume["status"].as_str(), volume["attachments"].as_array().unwrap().len()),
        (Some("available"), 0)
    );
    assert_eq!(lab.array().volume(&format!("volume-{root}-cinder")).unwrap().connection_count, 1);
    admin.post(&path, json!({"os-reset_status": {"status": "deleting"}})).await.expect(400);
}

#[tokio::test]
async fn versions_are_told_and_bounded() {
    let lab = Lab::new();
    let user = lab.member().await;
    let v3 = user.raw("GET", "/volume/v3/", None, None).await.expect(200);
    assert_eq!(
        (v3["versions"][0]["min_version"].as_str(), v3["versions"][0]["version"].as_str()),
        (Some("3.0"), Some("3.71"))
    );
    user.raw("GET", "/volume", None, None).await.expect(300);
    let v2 = user.raw("GET", "/compute/v2.1", None, None).await.expect(200);
    assert_eq!(v2["version"]["version"], "2.100");
    user.raw("GET", "/compute/", None, None).await.expect(200);
    user.compute("GET", "servers", 101, None).await.expect(406);
    let answer = user.compute("GET", "servers", 42, None).await;
    assert_eq!(answer.headers["openstack-api-version"], "compute 2.42");
    let latest = user
        .raw("GET", &format!("/volume/v3/{}/volumes", user.project), Some("volume latest"), None)
        .await;
    assert_eq!(latest.headers["openstack-api-version"], "volume 3.71");
}

#[tokio::test]
async fn how_a_type_encrypts_is_the_administrators_to_see() {
    let lab = Lab::new();
    let (user, admin) = (lab.member().await, lab.admin().await);
    let types = user.get("types").await.expect(200);
    let path = format!("types/{}/encryption", types["volume_types"][0]["id"].as_str().unwrap());
    user.get(&path).await.expect(403);
    admin.get(&path).await.expect(200);
}

#[tokio::test]
async fn a_backend_that_is_down_leaves_work_until_it_is_back() {
    let lab = Lab::new();
    let user = lab.member().await;
    let id = lab.volume(&user, "v", "plain", false).await;
    let free = lab.volume(&user, "free", "plain", false).await;
    lab.cloud().lock().cinder.backend_down = true;
    user.delete(&format!("volumes/{id}")).await.expect(202);
    lab.tick();
    assert_eq!(user.volume(&id).await["status"], "deleting");
    lab.policy("volume_extension:volume_manage", "rule:admin_or_owner");
    let manage = json!({"volume": {"host": "site-a@pure", "ref": {"source-name": "x"}, "volume_type": "plain"}});
    user.post("os-volume-manage", manage).await.expect(400);
    let made = user.post("volumes", json!({"volume": {"size": 1}})).await.expect(202);
    let connector = json!({"attachment": {"volume_uuid": free, "connector": {"host": "h"}}});
    user.post("attachments", connector).await.expect(500);
    lab.tick();
    assert_eq!(user.volume(made["volume"]["id"].as_str().unwrap()).await["status"], "error");
    lab.cloud().lock().cinder.backend_down = false;
    lab.tick();
    user.get(&format!("volumes/{id}")).await.expect(404);
}

#[tokio::test]
async fn nova_knows_a_volume_in_use_even_when_cinder_was_told_otherwise() {
    let lab = Lab::new();
    let (user, admin) = (lab.member().await, lab.admin().await);
    let (first, root, _) = lab.server(&user, "one").await;
    let (second, _, _) = lab.server(&user, "two").await;
    let reset = json!({"os-reset_status": {"status": "available", "attach_status": "detached"}});
    admin.post(&format!("volumes/{root}/action"), reset).await.expect(202);
    let body = json!({"volumeAttachment": {"volumeId": root}});
    let path = format!("servers/{second}/os-volume_attachments");
    assert_eq!(
        user.compute("POST", &path, 60, Some(body)).await.refused(400),
        format!("Invalid volume: volume {root} is already attached to instances: {first}")
    );
}

#[tokio::test]
async fn multiattach_needs_2_60() {
    let lab = Lab::new();
    lab.cloud().add_volume_type("shared", &[("multiattach", "<is> True")]);
    let user = lab.member().await;
    let (one, _, _) = lab.server(&user, "one").await;
    let (two, _, _) = lab.server(&user, "two").await;
    let volume = lab.volume(&user, "v", "shared", false).await;
    let body = json!({"volumeAttachment": {"volumeId": volume}});
    let path = |server: &str| format!("servers/{server}/os-volume_attachments");
    let refused = user.compute("POST", &path(&one), 59, Some(body.clone())).await.refused(400);
    assert!(refused.contains("2.60"), "{refused}");
    for server in [&one, &two] {
        user.compute("POST", &path(server), 60, Some(body.clone())).await.expect(200);
        lab.tick();
    }
    let seen = user.volume(&volume).await;
    assert_eq!(seen["attachments"].as_array().unwrap().len(), 2);
    let gone = format!("{}/{volume}", path(&one));
    user.compute("DELETE", &gone, 60, None).await.expect(202);
    lab.tick();
    let seen = user.volume(&volume).await;
    assert_eq!(
        (seen["status"].as_str(), seen["multiattach"].as_bool()),
        (Some("in-use"), Some(true))
    );
}
