//! Creating servers: what is made, what is refused.

use std::collections::BTreeSet;

use protector_sim::cloud::Service;
use serde_json::{Value, json};

use crate::support::{Lab, boot};

// tidy: allow long function: one server, looked at from every side
#[tokio::test]
async fn a_server_boots_from_a_volume_on_a_given_port() {
    let lab = Lab::new();
    let user = lab.member().await;
    let volume = lab.volume(&user, "root", "replicated", true).await;
    let data = lab.volume(&user, "data", "replicated", false).await;
    let port = lab.port(&user).await;
    lab.cloud().add_keypair(
        &user.id,
        "k",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me",
    );
    let mut body = boot("Web Server 1", &volume, json!([{"port": port}]));
    let server = &mut body["server"];
    server["block_device_mapping_v2"].as_array_mut().unwrap().push(json!({
        "uuid": data, "source_type": "volume", "destination_type": "volume", "boot_index": -1,
        "device_name": "/dev/vdx", "tag": "database"}));
    server["key_name"] = json!("k");
    server["user_data"] = json!("IyEvYmluL3NoCg==");
    server["config_drive"] = json!(true);
    server["metadata"] = json!({"a": "b"});
    server["tags"] = json!(["x", "y"]);
    server["description"] = json!("words");
    let answer = user.compute("POST", "servers", 96, Some(body)).await;
    assert!(answer.headers.contains_key("location"));
    let made = answer.expect(202);
    let id = made["server"]["id"].as_str().unwrap().to_owned();
    let seen = user.server(&id).await;
    assert_eq!(
        (seen["status"].as_str(), seen["OS-EXT-STS:vm_state"].as_str()),
        (Some("BUILD"), Some("building"))
    );
    assert_eq!(user.volume(&volume).await["status"], "reserved");
    lab.tick();
    let seen = user.server(&id).await;
    assert_eq!(seen["status"], "ACTIVE", "{seen}");
    assert_eq!(seen["OS-EXT-STS:power_state"], 1);
    assert_eq!(seen["flavor"]["original_name"], "m1.lab");
    assert_eq!(seen["flavor"]["extra_specs"]["hw:cpu_policy"], "shared");
    assert_eq!(seen["config_drive"], "True");
    assert_eq!(seen["tags"], json!(["x", "y"]));
    assert_eq!(seen["description"], "words");
    assert_eq!(seen["image"], "");
    assert_eq!(seen["OS-EXT-SRV-ATTR:hostname"], "web-server-1");
    assert_eq!(seen["addresses"]["app-net"][0]["OS-EXT-IPS:type"], "fixed");
    assert_eq!(seen["security_groups"][0]["name"], "default");
    assert!(seen.get("OS-EXT-SRV-ATTR:user_data").is_none(), "user data is for admins");
    let admin = lab.admin().await;
    let full = admin.server(&id).await;
    assert_eq!(full["OS-EXT-SRV-ATTR:user_data"], "IyEvYmluL3NoCg==");
    assert_eq!(full["OS-EXT-SRV-ATTR:root_device_name"], "/dev/vda");
    let host = full["OS-EXT-SRV-ATTR:host"].as_str().unwrap();
    assert!(host.starts_with("site-a-compute-"), "{host}");
    let port = user.network("GET", &format!("ports/{port}"), None).await.expect(200)["port"].take();
    assert_eq!(
        (port["status"].as_str(), port["device_id"].as_str()),
        (Some("ACTIVE"), Some(id.as_str()))
    );
    assert_eq!(port["device_owner"], "compute:nova");
    for volume in [&volume, &data] {
        let seen = user.volume(volume).await;
        assert_eq!(seen["status"], "in-use");
        assert_eq!(seen["attachments"][0]["server_id"], id);
        let array_host = lab.cloud().array_host_of(&id).unwrap();
        assert!(lab.array().is_connected(&array_host, &format!("volume-{volume}-cinder")));
    }
    let list = user
        .compute("GET", &format!("servers/{id}/os-volume_attachments"), 89, None)
        .await
        .expect(200);
    let row = &list["volumeAttachments"][1];
    assert_eq!(
        (row["device"].as_str(), row["tag"].as_str()),
        (Some("/dev/vdb"), Some("database")),
        "libvirt ignores device names"
    );
    assert!(
        row["attachment_id"].is_string() && row["bdm_uuid"].is_string() && row.get("id").is_none()
    );
    let old =
        user.compute("GET", &format!("servers/{id}"), 1, None).await.expect(200)["server"].take();
    assert_eq!(old["flavor"]["id"], "f1");
    assert!(
        old.get("tags").is_none()
            && old.get("locked").is_none()
            && old.get("description").is_none()
    );
}

#[tokio::test]
async fn boot_volumes_must_exist_be_bootable_and_free() {
    let lab = Lab::new();
    let user = lab.member().await;
    let other = lab.other().await;
    let create = async |volume: &str| {
        user.compute("POST", "servers", 60, Some(boot("s", volume, json!("none")))).await
    };
    let plain = lab.volume(&user, "v", "plain", false).await;
    assert_eq!(create(&plain).await.refused(400), format!("Block Device {plain} is not bootable."));
    let theirs = lab.volume(&other, "v", "plain", true).await;
    assert_eq!(
        create(&theirs).await.refused(400),
        format!("Block Device Mapping is Invalid: failed to get volume {theirs}.")
    );
    let (_, used, _) = lab.server(&user, "first").await;
    let refused = create(&used).await.refused(400);
    let reason = format!(
        "Invalid volume: Invalid input received: Invalid volume: Volume {used} status must be \
         available or downloading to reserve, but the current status is in-use. (HTTP 400)"
    );
    assert!(refused.starts_with(&reason), "{refused}");
    let mut body = boot("s", &used, json!("none"));
    body["server"]["block_device_mapping_v2"][0]["boot_index"] = json!(-1);
    let refused = user.compute("POST", "servers", 60, Some(body)).await.refused(400);
    assert!(refused.contains("Boot sequence"), "{refused}");
}

#[tokio::test]
async fn a_refused_create_gives_reserved_volumes_back() {
    let lab = Lab::new();
    let user = lab.member().await;
    let root = lab.volume(&user, "v", "plain", true).await;
    let (_, used, _) = lab.server(&user, "first").await;
    let mut body = boot("s", &root, json!("none"));
    body["server"]["block_device_mapping_v2"].as_array_mut().unwrap().push(json!({
        "uuid": used, "source_type": "volume", "destination_type": "volume", "boot_index": -1}));
    user.compute("POST", "servers", 60, Some(body)).await.expect(400);
    assert_eq!(user.volume(&root).await["status"], "available");
}

#[tokio::test]
async fn image_metadata_of_the_boot_volume_is_checked() {
    let lab = Lab::new();
    let user = lab.member().await;
    let root = lab.volume(&user, "v", "plain", true).await;
    let set = json!({"os-set_image_metadata": {"metadata": {"min_ram": "4096"}}});
    user.post(&format!("volumes/{root}/action"), set).await.expect(200);
    let refused = user
        .compute("POST", "servers", 60, Some(boot("s", &root, json!("none"))))
        .await
        .refused(400);
    assert_eq!(refused, "Flavor's memory is too small for requested image.");
}

#[tokio::test]
async fn ports_must_be_ours_and_free() {
    let lab = Lab::new();
    let user = lab.member().await;
    let (_, _, used) = lab.server(&user, "first").await;
    let root = lab.volume(&user, "v", "plain", true).await;
    let create = async |networks: Value| {
        user.compute("POST", "servers", 60, Some(boot("s", &root, networks))).await
    };
    assert_eq!(
        create(json!([{"port": used}])).await.refused(409),
        format!("Port {used} is still in use.")
    );
    let refused =
        create(json!([{"port": "0f1d8b0a-0000-4000-8000-000000000000"}])).await.refused(400);
    assert!(refused.contains("could not be found"), "{refused}");
    let refused =
        create(json!([{"uuid": "0f1d8b0a-0000-4000-8000-000000000000"}])).await.refused(400);
    assert!(refused.contains("Network"), "{refused}");
    assert_eq!(user.volume(&root).await["status"], "available");
}

#[tokio::test]
async fn networks_are_mandatory_from_2_37() {
    let lab = Lab::new();
    let user = lab.member().await;
    let root = lab.volume(&user, "v", "plain", true).await;
    let mut body = boot("s", &root, Value::Null);
    body["server"].as_object_mut().unwrap().remove("networks");
    let refused = user.compute("POST", "servers", 37, Some(body.clone())).await.refused(400);
    assert!(refused.contains("'networks' is a required property"), "{refused}");
    let made = user.compute("POST", "servers", 36, Some(body)).await.expect(202);
    lab.tick();
    let seen = user.server(made["server"]["id"].as_str().unwrap()).await;
    assert!(seen["addresses"]["app-net"].is_array(), "the only network of the project is taken");
}

#[tokio::test]
async fn keys_belong_to_the_user_and_user_data_is_base64() {
    let lab = Lab::new();
    let (user, other) = (lab.member().await, lab.other().await);
    lab.cloud().add_keypair(
        &other.id,
        "theirs",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f x",
    );
    let root = lab.volume(&user, "v", "plain", true).await;
    let mut body = boot("s", &root, json!("none"));
    body["server"]["key_name"] = json!("theirs");
    assert_eq!(
        user.compute("POST", "servers", 60, Some(body)).await.refused(400),
        "Invalid key_name provided."
    );
    let mut body = boot("s", &root, json!("none"));
    body["server"]["user_data"] = json!("not base64!");
    let refused = user.compute("POST", "servers", 60, Some(body)).await.refused(400);
    assert!(refused.contains("is not a 'base64'"), "{refused}");
    let mut body = boot("s", &root, json!("none"));
    body["server"]["flavorRef"] = json!("nonsense");
    assert_eq!(
        user.compute("POST", "servers", 60, Some(body)).await.refused(400),
        "Flavor nonsense could not be found."
    );
    let mut body = boot("s", &root, json!("none"));
    body["server"]["tags"] = json!(["a"]);
    user.compute("POST", "servers", 51, Some(body)).await.expect(400);
    let mut body = boot(" ", &root, json!("none"));
    body["server"]["name"] = json!(" ");
    user.compute("POST", "servers", 60, Some(body)).await.expect(400);
}

#[tokio::test]
async fn quotas_answer_403_in_novas_words() {
    let lab = Lab::new();
    let (user, admin) = (lab.member().await, lab.admin().await);
    let path = format!("os-quota-sets/{}", user.project);
    let set = json!({"quota_set": {"instances": 1, "cores": 3}});
    user.compute("PUT", &path, 60, Some(set.clone())).await.expect(403);
    admin.compute("PUT", &path, 60, Some(set)).await.expect(200);
    lab.server(&user, "first").await;
    let root = lab.volume(&user, "v", "plain", true).await;
    let refused = user
        .compute("POST", "servers", 60, Some(boot("s", &root, json!("none"))))
        .await
        .refused(403);
    assert_eq!(
        refused,
        "Quota exceeded for cores, instances: Requested 2, 1, but already used 2, 1 of 3, 1 cores, instances"
    );
    let detail = user.compute("GET", &format!("{path}/detail"), 60, None).await.expect(200);
    assert_eq!(detail["quota_set"]["cores"], json!({"limit": 3, "in_use": 2, "reserved": 0}));
    let limits = user.compute("GET", "limits", 60, None).await.expect(200);
    assert_eq!(limits["limits"]["absolute"]["totalRAMUsed"], 512);
    lab.cloud().lock().quotas.set(Service::Nova, &user.project, "instances", -1);
    lab.cloud().lock().quotas.set(Service::Nova, &user.project, "cores", -1);
    user.compute("POST", "servers", 60, Some(boot("s", &root, json!("none")))).await.expect(202);
}

#[tokio::test]
async fn builds_wait_for_a_free_slot() {
    let lab = Lab::with(|config| {
        config.profile.builds_at_once = 2;
        config.profile.server_build_ms = (100, 100);
    });
    let user = lab.member().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let root = lab.volume(&user, "v", "plain", true).await;
        let made = user
            .compute("POST", "servers", 60, Some(boot(&format!("s{n}"), &root, json!("none"))))
            .await
            .expect(202);
        ids.push(made["server"]["id"].as_str().unwrap().to_owned());
        // Making the next volume must not let this build finish.
        if n < 4 {
            continue;
        }
    }
    let states = async || {
        let list = user.compute("GET", "servers/detail?sort_dir=asc", 60, None).await.expect(200);
        list["servers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["status"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    // The volumes took a second each: all but the last are built.
    assert_eq!(states().await, ["ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE", "BUILD"]);
    lab.tick();
    let mut roots = Vec::new();
    for _ in 0..5 {
        roots.push(lab.volume(&user, "v", "plain", true).await);
    }
    for (n, root) in roots.iter().enumerate() {
        user.compute("POST", "servers", 60, Some(boot(&format!("t{n}"), root, json!("none"))))
            .await
            .expect(202);
    }
    let tasks = async || {
        let list =
            user.compute("GET", "servers/detail?name=t&sort_dir=asc", 60, None).await.expect(200);
        let rows = list["servers"].as_array().unwrap().clone();
        rows.iter()
            .filter(|s| s["status"] == "BUILD")
            .map(|s| s["OS-EXT-STS:task_state"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(tasks().await, ["spawning", "spawning", "scheduling", "scheduling", "scheduling"]);
    lab.clock.advance(std::time::Duration::from_millis(150));
    assert_eq!(tasks().await, ["spawning", "spawning", "scheduling"]);
    lab.clock.advance(std::time::Duration::from_millis(100));
    assert_eq!(tasks().await, ["spawning"]);
    lab.tick();
    assert!(tasks().await.is_empty());
}

#[tokio::test]
async fn affinity_is_honoured_and_a_full_group_is_an_error() {
    let lab = Lab::new();
    lab.cloud().set_compute_hosts(&["c1", "c2"]);
    let (user, admin) = (lab.member().await, lab.admin().await);
    let hosts = async |policy: &str, count: usize| {
        let body = json!({"server_group": {"name": policy, "policy": policy}});
        let group = user.compute("POST", "os-server-groups", 64, Some(body)).await.expect(200);
        let group = group["server_group"]["id"].as_str().unwrap().to_owned();
        let mut hosts = Vec::new();
        for _ in 0..count {
            let root = lab.volume(&user, "v", "plain", true).await;
            let mut body = boot("s", &root, json!("none"));
            body["os:scheduler_hints"] = json!({"group": group});
            let made = user.compute("POST", "servers", 71, Some(body)).await.expect(202);
            let id = made["server"]["id"].as_str().unwrap();
            lab.tick();
            let seen = admin.server(id).await;
            assert_eq!(seen["server_groups"], json!([group]));
            assert_eq!(seen["scheduler_hints"]["group"], json!(group));
            hosts.push((
                seen["status"].as_str().unwrap().to_owned(),
                seen["OS-EXT-SRV-ATTR:host"].clone(),
                seen["fault"]["message"].clone(),
            ));
        }
        let shown =
            user.compute("GET", &format!("os-server-groups/{group}"), 64, None).await.expect(200);
        assert_eq!(shown["server_group"]["members"].as_array().unwrap().len(), count);
        hosts
    };
    let apart = hosts("anti-affinity", 3).await;
    let used: BTreeSet<String> =
        apart.iter().take(2).map(|(_, host, _)| host.to_string()).collect();
    assert_eq!(used.len(), 2);
    assert_eq!(apart[2].0, "ERROR");
    assert!(apart[2].2.as_str().unwrap().contains("No valid host was found"));
    let together = hosts("affinity", 2).await;
    assert_eq!(together[0].1, together[1].1);
    let soft = hosts("soft-anti-affinity", 3).await;
    assert!(soft.iter().all(|(status, _, _)| status == "ACTIVE"));
    let mut body = boot("s", "0", json!("none"));
    body["os:scheduler_hints"] = json!({"group": "nonsense"});
    user.compute("POST", "servers", 71, Some(body)).await.expect(400);
    let old = user.compute("GET", "os-server-groups", 63, None).await.expect(200);
    assert!(old["server_groups"][0]["policies"].is_array());
}

#[tokio::test]
async fn a_failed_build_is_an_error_with_a_fault_and_gives_the_volume_back() {
    let lab = Lab::new();
    let user = lab.member().await;
    lab.cloud().fail_builds_of("doomed", Some("Build of instance aborted: no luck"));
    let root = lab.volume(&user, "v", "plain", true).await;
    let port = lab.port(&user).await;
    let made = user
        .compute("POST", "servers", 60, Some(boot("doomed", &root, json!([{"port": port}]))))
        .await
        .expect(202);
    let id = made["server"]["id"].as_str().unwrap();
    lab.tick();
    let seen = user.server(id).await;
    assert_eq!(
        (seen["status"].as_str(), seen["fault"]["message"].as_str()),
        (Some("ERROR"), Some("Build of instance aborted: no luck"))
    );
    assert_eq!(user.volume(&root).await["status"], "available");
    let refused = user.act(id, json!({"os-start": null})).await.refused(409);
    assert_eq!(refused, format!("Cannot 'start' instance {id} while it is in vm_state error"));
    user.compute("DELETE", &format!("servers/{id}"), 60, None).await.expect(204);
    lab.tick();
    user.compute("GET", &format!("servers/{id}"), 60, None).await.expect(404);
    let port = user.network("GET", &format!("ports/{port}"), None).await.expect(200);
    assert_eq!(port["port"]["device_id"], "");
}

#[tokio::test]
async fn nova_makes_volumes_of_images_and_of_nothing_and_ports_of_networks() {
    let lab = Lab::new();
    let user = lab.member().await;
    let network = lab.network(&user).await;
    let images = user.raw("GET", "/image/v2/images?name=cirros", None, None).await.expect(200);
    let image = images["images"][0]["id"].as_str().unwrap();
    let body = json!({"server": {
    "name": "s", "flavorRef": "f1", "networks": [{"uuid": network, "fixed_ip": "10.10.0.77"}],
    "block_device_mapping_v2": [
        {"uuid": image, "source_type": "image", "destination_type": "volume", "boot_index": 0,
         "volume_size": 2, "delete_on_termination": true},
        {"source_type": "blank", "destination_type": "volume", "boot_index": -1, "volume_size": 3,
         "delete_on_termination": false},
    ]}});
    let made = user.compute("POST", "servers", 60, Some(body)).await.expect(202);
    let id = made["server"]["id"].as_str().unwrap().to_owned();
    lab.tick();
    let seen = user.server(&id).await;
    assert_eq!(seen["status"], "ACTIVE", "{seen}");
    assert_eq!(seen["addresses"]["app-net"][0]["addr"], "10.10.0.77");
    let volumes: Vec<String> = seen["os-extended-volumes:volumes_attached"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(user.volume(&volumes[0]).await["volume_image_metadata"]["image_id"], image);
    assert_eq!(user.volume(&volumes[1]).await["size"], 3);
    let ports = user.network("GET", &format!("ports?device_id={id}"), None).await.expect(200);
    assert_eq!(ports["ports"].as_array().unwrap().len(), 1);
    user.compute("DELETE", &format!("servers/{id}"), 60, None).await.expect(204);
    lab.tick();
    let ports = user.network("GET", &format!("ports?device_id={id}"), None).await.expect(200);
    assert!(ports["ports"].as_array().unwrap().is_empty(), "ports that Nova made go");
    lab.tick();
    user.get(&format!("volumes/{}", volumes[0])).await.expect(404);
    assert_eq!(user.volume(&volumes[1]).await["status"], "available");
}

#[tokio::test]
async fn several_servers_get_numbered_names_and_no_given_volume_or_port() {
    let lab = Lab::new();
    let user = lab.member().await;
    let port = lab.port(&user).await;
    let root = lab.volume(&user, "v", "plain", true).await;
    let mut body = boot("s", &root, json!("none"));
    body["server"]["min_count"] = json!(2);
    assert_eq!(
        user.compute("POST", "servers", 60, Some(body)).await.refused(400),
        "Cannot attach one or more volumes to multiple instances"
    );
    let blank = json!([{"uuid": null, "source_type": "blank", "destination_type": "volume", "boot_index": 0, "volume_size": 1}]);
    let mut body = boot("s", &root, json!([{"port": port}]));
    body["server"]["block_device_mapping_v2"] = blank;
    body["server"]["max_count"] = json!(2);
    user.compute("POST", "servers", 60, Some(body.clone())).await.expect(400);
    body["server"]["networks"] = json!("none");
    user.compute("POST", "servers", 60, Some(body)).await.expect(202);
    let list = user.compute("GET", "servers?sort_dir=asc", 60, None).await.expect(200);
    let names: Vec<_> =
        list["servers"].as_array().unwrap().iter().map(|s| s["name"].clone()).collect();
    assert_eq!(names, ["s-1", "s-2"]);
}
