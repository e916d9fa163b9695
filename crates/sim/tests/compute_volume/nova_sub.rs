//! Volumes and ports of a server, its metadata and tags, hosts and services.

use serde_json::{Value, json};

use crate::support::Lab;

#[tokio::test]
async fn volumes_come_and_go_but_the_root_stays() {
    let lab = Lab::new();
    let user = lab.member().await;
    let (id, root, _) = lab.server(&user, "s").await;
    let data = lab.volume(&user, "data", "plain", false).await;
    let path = format!("servers/{id}/os-volume_attachments");
    let body =
        json!({"volumeAttachment": {"volumeId": data, "tag": "db", "delete_on_termination": true}});
    let made = user.compute("POST", &path, 89, Some(body.clone())).await.expect(200);
    assert_eq!(made["volumeAttachment"]["device"], "/dev/vdb");
    assert_eq!(user.volume(&data).await["status"], "reserved");
    lab.tick();
    assert_eq!(user.volume(&data).await["status"], "in-use");
    let refused = user.compute("POST", &path, 89, Some(body)).await.refused(400);
    assert!(refused.contains("already attached"), "{refused}");
    let shown = user.compute("GET", &format!("{path}/{data}"), 89, None).await.expect(200);
    assert_eq!(shown["volumeAttachment"]["delete_on_termination"], true);
    let keep = json!({"volumeAttachment": {"volumeId": data, "delete_on_termination": false}});
    user.compute("PUT", &format!("{path}/{data}"), 85, Some(keep)).await.expect(202);
    let refused = user.compute("DELETE", &format!("{path}/{root}"), 60, None).await.refused(400);
    assert_eq!(refused, "Cannot detach a root device volume");
    user.compute("DELETE", &format!("{path}/{data}"), 60, None).await.expect(202);
    assert_eq!(user.volume(&data).await["status"], "detaching");
    lab.tick();
    assert_eq!(user.volume(&data).await["status"], "available");
    assert_eq!(lab.array().volume(&format!("volume-{data}-cinder")).unwrap().connection_count, 0);
    let refused = user.compute("DELETE", &format!("{path}/{data}"), 60, None).await.refused(404);
    assert_eq!(refused, format!("Instance {id} is not attached to volume {data}"));
    let list = user.compute("GET", &path, 60, None).await.expect(200);
    assert_eq!(list["volumeAttachments"].as_array().unwrap().len(), 1);
    user.act(&id, json!({"lock": null})).await.expect(202);
    let body = json!({"volumeAttachment": {"volumeId": data}});
    assert_eq!(
        user.compute("POST", &path, 60, Some(body)).await.refused(409),
        format!("Instance {id} is locked")
    );
}

#[tokio::test]
async fn ports_come_and_go() {
    let lab = Lab::new();
    let user = lab.member().await;
    let (id, _, first) = lab.server(&user, "s").await;
    let path = format!("servers/{id}/os-interface");
    let port = lab.port(&user).await;
    let body = json!({"interfaceAttachment": {"port_id": port}});
    let made = user.compute("POST", &path, 60, Some(body.clone())).await.expect(200);
    assert_eq!(made["interfaceAttachment"]["port_state"], "ACTIVE");
    let refused = user.compute("POST", &path, 60, Some(body)).await.refused(409);
    assert_eq!(refused, format!("Port {port} is still in use."));
    let nowhere = json!({"interfaceAttachment": {"port_id": "none"}});
    user.compute("POST", &path, 60, Some(nowhere)).await.expect(404);
    let network = lab.network(&user).await;
    let own = user
        .compute("POST", &path, 60, Some(json!({"interfaceAttachment": {"net_id": network}})))
        .await
        .expect(200);
    let own = own["interfaceAttachment"]["port_id"].as_str().unwrap().to_owned();
    let list = user.compute("GET", &path, 60, None).await.expect(200);
    assert_eq!(list["interfaceAttachments"].as_array().unwrap().len(), 3);
    for gone in [&port, &own] {
        user.compute("DELETE", &format!("{path}/{gone}"), 60, None).await.expect(202);
        lab.tick();
    }
    user.network("GET", &format!("ports/{own}"), None).await.expect(404);
    let kept = user.network("GET", &format!("ports/{port}"), None).await.expect(200);
    assert_eq!(kept["port"]["device_id"], "");
    let list = user.compute("GET", &path, 60, None).await.expect(200);
    assert_eq!(list["interfaceAttachments"][0]["port_id"], json!(first));
    // The API passes it on whatever the compute host then finds.
    user.compute("DELETE", &format!("{path}/{port}"), 60, None).await.expect(202);
    lab.tick();
    let list = user.compute("GET", &path, 60, None).await.expect(200);
    assert_eq!(list["interfaceAttachments"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn metadata_and_tags() {
    let lab = Lab::new();
    let user = lab.member().await;
    let (id, _, _) = lab.server(&user, "s").await;
    let at = |rest: &str| format!("servers/{id}/{rest}");
    user.compute("POST", &at("metadata"), 60, Some(json!({"metadata": {"a": "1", "b": "2"}})))
        .await
        .expect(200);
    user.compute("PUT", &at("metadata/a"), 60, Some(json!({"meta": {"a": "3"}}))).await.expect(200);
    user.compute("DELETE", &at("metadata/b"), 60, None).await.expect(204);
    user.compute("DELETE", &at("metadata/b"), 60, None).await.expect(404);
    assert_eq!(user.server(&id).await["metadata"], json!({"a": "3"}));
    user.compute("POST", &at("metadata"), 60, Some(json!({"metadata": {"a": 1}})))
        .await
        .expect(400);
    user.compute("GET", &at("tags"), 25, None).await.expect(404);
    user.compute("PUT", &at("tags/one"), 26, None).await.expect(201);
    user.compute("PUT", &at("tags/one"), 26, None).await.expect(204);
    user.compute("PUT", &at("tags/a,b"), 26, None).await.expect(400);
    user.compute("GET", &at("tags/one"), 26, None).await.expect(204);
    user.compute("DELETE", &at("tags/one"), 26, None).await.expect(204);
    user.compute("GET", &at("tags/one"), 26, None).await.expect(404);
    let renamed = json!({"server": {"name": "new", "description": "d", "hostname": "h"}});
    let seen = user.compute("PUT", &format!("servers/{id}"), 90, Some(renamed)).await.expect(200);
    assert_eq!(
        (seen["server"]["name"].as_str(), seen["server"]["OS-EXT-SRV-ATTR:hostname"].as_str()),
        (Some("new"), Some("h"))
    );
}

#[tokio::test]
async fn hosts_services_and_zones() {
    let lab = Lab::new();
    let (user, admin) = (lab.member().await, lab.admin().await);
    user.compute("GET", "os-hypervisors", 60, None).await.expect(403);
    user.compute("GET", "os-services", 60, None).await.expect(403);
    let hosts = admin.compute("GET", "os-hypervisors/detail", 60, None).await.expect(200);
    assert_eq!(hosts["hypervisors"].as_array().unwrap().len(), 4);
    let services =
        admin.compute("GET", "os-services?binary=nova-compute", 60, None).await.expect(200);
    assert_eq!(services["services"][0]["state"], "up");
    let zones = user.compute("GET", "os-availability-zone", 60, None).await.expect(200);
    assert_eq!(zones["availabilityZoneInfo"][0]["zoneName"], "nova");
    let none: Value = user.compute("GET", "os-server-groups/none", 64, None).await.expect(404);
    assert!(none["itemNotFound"].is_object());
}
