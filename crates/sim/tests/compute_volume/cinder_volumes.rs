//! Volumes, snapshots, types, quotas.

use serde_json::json;

use crate::support::Lab;

fn groups(lab: &Lab, volume: &str) -> Vec<String> {
    let name = lab.cloud().array_volume_name(volume).unwrap();
    let view = lab.array().volume(&name).unwrap();
    view.protection_groups.into_iter().map(|(group, _)| group).collect()
}

#[tokio::test]
async fn a_volume_is_made_on_the_array_and_told_to_its_owner() {
    let lab = Lab::new();
    let user = lab.member().await;
    let body = json!({"volume": {"name": "v", "size": 2, "volume_type": "replicated", "metadata": {"k": "v"}}});
    let made = user.post("volumes", body).await.expect(202);
    assert_eq!(made["volume"]["status"], "creating");
    let id = made["volume"]["id"].as_str().unwrap().to_owned();
    lab.tick();
    let volume = user.volume(&id).await;
    assert_eq!(volume["status"], "available");
    assert_eq!(volume["bootable"], "false");
    assert_eq!(volume["replication_status"], "enabled");
    assert_eq!(volume["metadata"]["array_volume_name"], format!("volume-{id}-cinder"));
    assert_eq!(volume["metadata"]["array_name"], "array-a");
    assert_eq!(volume["metadata"]["k"], "v");
    assert_eq!(volume["os-vol-tenant-attr:tenant_id"], user.project);
    assert!(volume.get("os-vol-host-attr:host").is_none());
    let view = lab.array().volume(&format!("volume-{id}-cinder")).unwrap();
    assert_eq!(view.provisioned, 2 << 30);
    assert_eq!(view.protection_groups, [("cinder-group".to_owned(), true)]);
    let admin = lab.admin().await;
    let seen = admin.volume(&id).await;
    assert_eq!(seen["os-vol-host-attr:host"], "site-a@pure#pure");
    assert_eq!(seen["provider_id"], format!("volume-{id}-cinder"));
}

#[tokio::test]
async fn a_plain_volume_is_in_no_group_and_retype_moves_it() {
    let lab = Lab::new();
    let user = lab.member().await;
    let id = lab.volume(&user, "v", "plain", false).await;
    assert!(groups(&lab, &id).is_empty());
    assert_eq!(user.volume(&id).await["replication_status"], "disabled");
    let to = |kind: &str| json!({"os-retype": {"new_type": kind, "migration_policy": "never"}});
    user.post(&format!("volumes/{id}/action"), to("replicated")).await.expect(202);
    assert_eq!(user.volume(&id).await["status"], "retyping");
    lab.tick();
    assert_eq!(groups(&lab, &id), ["cinder-group"]);
    let volume = user.volume(&id).await;
    assert_eq!(
        (volume["status"].as_str(), volume["volume_type"].as_str()),
        (Some("available"), Some("replicated"))
    );
    user.post(&format!("volumes/{id}/action"), to("replicated")).await.expect(400);
    user.post(&format!("volumes/{id}/action"), to("plain")).await.expect(202);
    lab.tick();
    assert!(groups(&lab, &id).is_empty());
}

#[tokio::test]
async fn types_that_no_backend_serves_end_in_error() {
    let lab = Lab::new();
    lab.cloud().add_volume_type("elsewhere", &[("volume_backend_name", "ceph")]);
    lab.cloud().add_volume_type(
        "sync",
        &[("replication_enabled", "<is> True"), ("replication_type", "<in> sync")],
    );
    let user = lab.member().await;
    for kind in ["elsewhere", "sync"] {
        let id = lab.volume(&user, "v", kind, false).await;
        assert_eq!(user.volume(&id).await["status"], "error", "{kind}");
        assert!(lab.array().volume(&format!("volume-{id}-cinder")).is_none());
        user.delete(&format!("volumes/{id}")).await.expect(202);
        user.get(&format!("volumes/{id}")).await.expect(404);
    }
    let refused = user
        .post("volumes", json!({"volume": {"size": 1, "volume_type": "nonsense"}}))
        .await
        .refused(404);
    assert_eq!(refused, "Volume type with name nonsense could not be found.");
}

#[tokio::test]
async fn volumes_are_cloned_from_volumes_snapshots_and_images_with_their_content() {
    let lab = Lab::new();
    let user = lab.member().await;
    let (server, source, _) = lab.server(&user, "s").await;
    lab.cloud().guest_write(&server, &source, "one").unwrap();
    let refused = user.post("snapshots", json!({"snapshot": {"volume_id": source}})).await;
    assert_eq!(refused.status, 202, "3.66 and later need no force");
    let refused = user
        .volume_at("POST", "snapshots", 60, Some(json!({"snapshot": {"volume_id": source}})))
        .await;
    assert!(refused.refused(400).contains("status must be available"));
    lab.tick();
    lab.cloud().guest_write(&server, &source, "two").unwrap();
    let list = user.get("snapshots/detail").await.expect(200);
    let snapshot = list["snapshots"][0]["id"].as_str().unwrap();
    assert_eq!(list["snapshots"][0]["status"], "available");
    let images = user.raw("GET", "/image/v2/images?name=cirros", None, None).await.expect(200);
    let image = images["images"][0]["id"].as_str().unwrap();
    let mut ids = Vec::new();
    for body in [
        json!({"volume": {"snapshot_id": snapshot}}),
        json!({"volume": {"source_volid": source, "size": 3}}),
        json!({"volume": {"imageRef": image, "size": 1}}),
    ] {
        let made = user.post("volumes", body).await.expect(202);
        ids.push(made["volume"]["id"].as_str().unwrap().to_owned());
    }
    lab.tick();
    let content = |id: &str| lab.cloud().volume_content(id).unwrap();
    assert_eq!(content(&ids[0]), ["one"]);
    assert_eq!(content(&ids[1]), ["one", "two"]);
    assert_eq!(content(&ids[2]), [format!("image:{image}")]);
    assert_eq!(user.volume(&ids[0]).await["bootable"], "true");
    assert_eq!(user.volume(&ids[1]).await["size"], 3);
    let from_image = user.volume(&ids[2]).await;
    assert_eq!(from_image["bootable"], "true");
    assert_eq!(from_image["volume_image_metadata"]["image_id"], image);
    let small = json!({"volume": {"source_volid": ids[1], "size": 1}});
    assert!(user.post("volumes", small).await.refused(400).contains("cannot be smaller"));
}

#[tokio::test]
async fn extend_grows_the_array_volume_and_refuses_the_rest() {
    let lab = Lab::new();
    let user = lab.member().await;
    let id = lab.volume(&user, "v", "plain", false).await;
    let path = format!("volumes/{id}/action");
    let to = |size: u64| json!({"os-extend": {"new_size": size}});
    let refused = user.post(&path, to(1)).await.refused(400);
    assert!(refused.contains("New size for extend must be greater than current size"), "{refused}");
    user.post(&path, to(4)).await.expect(202);
    assert!(user.post(&path, to(5)).await.refused(400).contains("currently extending"));
    lab.tick();
    assert_eq!(user.volume(&id).await["size"], 4);
    assert_eq!(lab.array().volume(&format!("volume-{id}-cinder")).unwrap().provisioned, 4 << 30);
}

#[tokio::test]
async fn quotas_answer_413_in_cinders_words_and_can_be_set_by_the_admin_only() {
    let lab = Lab::new();
    let (user, admin) = (lab.member().await, lab.admin().await);
    lab.volume(&user, "v", "plain", false).await;
    let path = format!("os-quota-sets/{}", user.project);
    let set = json!({"quota_set": {"volumes": 2, "gigabytes": 4}});
    user.volume_at("PUT", &path, 71, Some(set.clone())).await.expect(403);
    admin.volume_at("PUT", &path, 71, Some(set)).await.expect(200);
    let quota = user.get(&format!("{path}?usage=True")).await.expect(200);
    assert_eq!(quota["quota_set"]["volumes"], json!({"limit": 2, "in_use": 1, "reserved": 0}));
    assert_eq!(quota["quota_set"]["gigabytes_plain"]["in_use"], 1);
    let volume = |size: u64| json!({"volume": {"size": size, "volume_type": "plain"}});
    let refused = user.post("volumes", volume(4)).await;
    assert_eq!(refused.headers["retry-after"], "0");
    assert_eq!(
        refused.refused(413),
        "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes \
         quota. Requested 4G, quota is 4G and 1G has been consumed."
    );
    user.post("volumes", volume(1)).await.expect(202);
    assert_eq!(
        user.post("volumes", volume(1)).await.refused(413),
        "VolumeLimitExceeded: Maximum number of volumes allowed (2) exceeded for quota 'volumes'."
    );
    let limits = user.get("limits").await.expect(200);
    assert_eq!(limits["limits"]["absolute"]["totalVolumesUsed"], 2);
    assert_eq!(limits["limits"]["absolute"]["maxTotalVolumeGigabytes"], 4);
    let less = json!({"quota_set": {"volumes": 1}});
    assert!(
        admin
            .volume_at("PUT", &path, 71, Some(less))
            .await
            .refused(400)
            .contains("Current usage is 2")
    );
}

#[tokio::test]
async fn delete_destroys_and_refuses_what_is_used_or_has_snapshots() {
    let lab = Lab::new();
    let user = lab.member().await;
    let (_, root, _) = lab.server(&user, "s").await;
    let refused = user.delete(&format!("volumes/{root}")).await.refused(400);
    assert!(
        refused.starts_with("Invalid volume: Volume status must be available or error"),
        "{refused}"
    );
    let id = lab.volume(&user, "v", "plain", false).await;
    user.post("snapshots", json!({"snapshot": {"volume_id": id, "name": "s"}})).await.expect(202);
    lab.tick();
    assert!(user.delete(&format!("volumes/{id}")).await.refused(400).contains("have snapshots"));
    let list = user.get(&format!("snapshots?volume_id={id}")).await.expect(200);
    let snapshot = list["snapshots"][0]["id"].as_str().unwrap();
    user.delete(&format!("snapshots/{snapshot}")).await.expect(202);
    lab.tick();
    user.get(&format!("snapshots/{snapshot}")).await.expect(404);
    user.delete(&format!("volumes/{id}")).await.expect(202);
    assert_eq!(user.volume(&id).await["status"], "deleting");
    lab.tick();
    user.get(&format!("volumes/{id}")).await.expect(404);
    let name = format!("volume-{id}-cinder");
    assert!(lab.array().volume(&name).is_none_or(|v| v.destroyed));
}

#[tokio::test]
async fn lists_page_filter_and_keep_projects_apart() {
    let lab = Lab::new();
    let (user, other, admin) = (lab.member().await, lab.other().await, lab.admin().await);
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(lab.volume(&user, &format!("v{n}"), "plain", false).await);
    }
    lab.volume(&other, "theirs", "plain", false).await;
    let page = user.get("volumes?limit=2").await.expect(200);
    assert_eq!(page["volumes"][0]["id"], json!(ids[4]), "the newest comes first");
    let next = page["volumes_links"][0]["href"].as_str().unwrap();
    let next = next.split_once(".sim").unwrap().1;
    let page = user.raw("GET", next, Some("volume 3.71"), None).await.expect(200);
    let names: Vec<_> =
        page["volumes"].as_array().unwrap().iter().map(|v| v["name"].clone()).collect();
    assert_eq!(names, ["v2", "v1"]);
    let all = |v: &serde_json::Value| v["volumes"].as_array().unwrap().len();
    assert_eq!(all(&user.get("volumes/detail").await.expect(200)), 5);
    assert_eq!(all(&user.get("volumes/detail?all_tenants=1").await.expect(200)), 5);
    assert_eq!(all(&admin.get("volumes/detail?all_tenants=1").await.expect(200)), 6);
    assert_eq!(all(&user.get("volumes?name=v3").await.expect(200)), 1);
    assert_eq!(all(&user.get("volumes?status=error").await.expect(200)), 0);
    user.volume_at(
        "POST",
        &format!("volumes/{}/metadata", ids[0]),
        71,
        Some(json!({"metadata": {"a": "b"}})),
    )
    .await
    .expect(200);
    assert_eq!(all(&user.get("volumes?metadata=%7B%27a%27%3A%20%27b%27%7D").await.expect(200)), 1);
    let sorted = user.get("volumes?sort=name:asc").await.expect(200);
    assert_eq!(sorted["volumes"][0]["name"], "v0");
    other.get(&format!("volumes/{}", ids[0])).await.expect(404);
    let path = format!("/volume/v3/{}/volumes", other.project);
    assert_eq!(user.raw("GET", &path, None, None).await.refused(400), "Malformed request url");
    user.raw("GET", "/volume/v3/volumes", Some("volume 3.67"), None).await.expect(200);
}

#[tokio::test]
async fn image_metadata_and_metadata_are_kept() {
    let lab = Lab::new();
    let user = lab.member().await;
    let id = lab.volume(&user, "v", "plain", false).await;
    let path = format!("volumes/{id}/action");
    let set = json!({"os-set_image_metadata": {"metadata": {"hw_firmware_type": "uefi", "min_ram": "64"}}});
    let told = user.post(&path, set).await.expect(200);
    assert_eq!(told["metadata"]["hw_firmware_type"], "uefi");
    user.post(&path, json!({"os-unset_image_metadata": {"key": "min_ram"}})).await.expect(200);
    user.post(&path, json!({"os-unset_image_metadata": {"key": "min_ram"}})).await.expect(404);
    let volume = user.volume(&id).await;
    assert_eq!(volume["volume_image_metadata"], json!({"hw_firmware_type": "uefi"}));
    let put = json!({"metadata": {"only": "this"}});
    user.volume_at("PUT", &format!("volumes/{id}/metadata"), 71, Some(put)).await.expect(200);
    assert_eq!(user.volume(&id).await["metadata"], json!({"only": "this"}));
    user.delete(&format!("volumes/{id}/metadata/none")).await.expect(404);
    user.delete(&format!("volumes/{id}/metadata/only")).await.expect(200);
}
