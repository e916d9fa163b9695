//! Lists of servers, flavors, keypairs.

use serde_json::{Value, json};

use crate::support::{Lab, boot};

fn names(list: &Value) -> Vec<&str> {
    list["servers"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn servers_are_paged_and_filtered() {
    let lab = Lab::new();
    let (user, other, admin) = (lab.member().await, lab.other().await, lab.admin().await);
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(lab.server(&user, &format!("web-{n}")).await.0);
    }
    let root = lab.volume(&other, "v", "plain", true).await;
    other
        .compute("POST", "servers", 60, Some(boot("theirs", &root, json!("none"))))
        .await
        .expect(202);
    lab.tick();
    let get = async |query: &str| {
        user.compute("GET", &format!("servers{query}"), 73, None).await.expect(200)
    };
    assert_eq!(names(&get("").await), ["web-3", "web-2", "web-1", "web-0"]);
    let page = get("/detail?limit=3").await;
    let next = page["servers_links"][0]["href"].as_str().unwrap().split_once(".sim").unwrap().1;
    let rest = user.raw("GET", next, Some("compute 2.73"), None).await.expect(200);
    assert_eq!(names(&rest), ["web-0"]);
    assert_eq!(names(&get("?name=web-2").await), ["web-2"]);
    assert_eq!(names(&get("?name=%5Eweb").await).len(), 4);
    user.act(&ids[0], json!({"os-stop": null})).await.expect(202);
    user.act(&ids[1], json!({"lock": null})).await.expect(202);
    lab.tick();
    assert_eq!(names(&get("?status=SHUTOFF").await), ["web-0"]);
    assert_eq!(names(&get("?locked=true").await), ["web-1"]);
    user.compute("GET", "servers?status=ODD", 38, None).await.expect(400);
    user.compute("PUT", &format!("servers/{}/tags", ids[2]), 26, Some(json!({"tags": ["a", "b"]})))
        .await
        .expect(200);
    assert_eq!(names(&get("?tags=a,b").await), ["web-2"]);
    assert_eq!(names(&get("?tags=a,c").await).len(), 0);
    assert_eq!(names(&get("?tags-any=a,c").await), ["web-2"]);
    user.compute("GET", "servers?all_tenants=1", 60, None).await.expect(403);
    let all = admin.compute("GET", "servers/detail?all_tenants=1", 60, None).await.expect(200);
    assert_eq!(names(&all).len(), 5);
    user.compute("GET", "servers?marker=nonsense", 60, None).await.expect(400);
}

#[tokio::test]
async fn changes_since_shows_what_changed_and_what_is_gone() {
    let lab = Lab::new();
    let user = lab.member().await;
    let first = lab.server(&user, "first").await.0;
    let second = lab.server(&user, "second").await.0;
    lab.tick();
    let now = lab.cloud().now().format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let path = format!("servers/detail?changes-since={now}");
    let none = user.compute("GET", &path, 60, None).await.expect(200);
    assert!(names(&none).is_empty());
    user.compute("DELETE", &format!("servers/{first}"), 60, None).await.expect(204);
    user.act(&second, json!({"os-stop": null})).await.expect(202);
    lab.tick();
    let list = user.compute("GET", &path, 60, None).await.expect(200);
    let states: Vec<_> =
        list["servers"].as_array().unwrap().iter().map(|s| s["status"].clone()).collect();
    assert_eq!(states, ["SHUTOFF", "DELETED"]);
    let plain = user.compute("GET", "servers", 60, None).await.expect(200);
    assert_eq!(names(&plain), ["second"]);
}

#[tokio::test]
async fn flavors_show_extra_specs_by_version() {
    let lab = Lab::new();
    let user = lab.member().await;
    let old = user.compute("GET", "flavors/f1", 60, None).await.expect(200);
    assert!(old["flavor"].get("extra_specs").is_none());
    let new = user.compute("GET", "flavors/detail", 61, None).await.expect(200);
    let rows = new["flavors"].as_array().unwrap();
    let row = rows.iter().find(|f| f["id"] == "f1").unwrap();
    assert_eq!(row["extra_specs"]["hw:cpu_policy"], "shared");
    let specs = user.compute("GET", "flavors/f1/os-extra_specs", 1, None).await.expect(200);
    assert_eq!(specs["extra_specs"]["hw:cpu_policy"], "shared");
    user.compute("GET", "flavors/none", 60, None).await.expect(404);
    let body = json!({"flavor": {"name": "x", "ram": 1, "vcpus": 1, "disk": 0}});
    user.compute("POST", "flavors", 60, Some(body.clone())).await.expect(403);
    let admin = lab.admin().await;
    admin.compute("POST", "flavors", 60, Some(body.clone())).await.expect(200);
    admin.compute("POST", "flavors", 60, Some(body)).await.expect(409);
}

#[tokio::test]
async fn keypairs_are_per_user() {
    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me";
    let lab = Lab::new();
    let (user, other, admin) = (lab.member().await, lab.other().await, lab.admin().await);
    let body = json!({"keypair": {"name": "k", "public_key": KEY}});
    let made = user.compute("POST", "os-keypairs", 92, Some(body.clone())).await.expect(201);
    let print = made["keypair"]["fingerprint"].as_str().unwrap();
    assert_eq!(print, "0f:a2:0a:d7:38:3e:65:45:08:6b:63:84:1c:ff:dc:ba");
    user.compute("POST", "os-keypairs", 92, Some(body)).await.expect(409);
    other.compute("GET", "os-keypairs/k", 92, None).await.expect(404);
    other.compute("GET", &format!("os-keypairs?user_id={}", user.id), 92, None).await.expect(403);
    let seen = admin
        .compute("GET", &format!("os-keypairs/k?user_id={}", user.id), 92, None)
        .await
        .expect(200);
    assert_eq!(seen["keypair"]["user_id"], user.id);
    let theirs = json!({"keypair": {"name": "t", "public_key": KEY, "user_id": other.id}});
    user.compute("POST", "os-keypairs", 92, Some(theirs.clone())).await.expect(403);
    admin.compute("POST", "os-keypairs", 92, Some(theirs)).await.expect(201);
    other.compute("GET", "os-keypairs/t", 92, None).await.expect(200);
    let bare = json!({"keypair": {"name": "bare"}});
    user.compute("POST", "os-keypairs", 92, Some(bare.clone())).await.expect(400);
    let made = user.compute("POST", "os-keypairs", 91, Some(bare)).await.expect(201);
    assert!(made["keypair"]["private_key"].as_str().unwrap().contains("PRIVATE KEY"));
    let junk = json!({"keypair": {"name": "junk", "public_key": "ssh-rsa nonsense"}});
    user.compute("POST", "os-keypairs", 92, Some(junk)).await.expect(400);
    user.compute("DELETE", "os-keypairs/k", 92, None).await.expect(204);
    user.compute("GET", "os-keypairs/k", 92, None).await.expect(404);
}

/// The lists stay quick with as many servers as a large site has.
#[tokio::test]
async fn two_thousand_servers_are_built_and_listed() {
    let lab = Lab::with(|config| config.profile.builds_at_once = 50);
    let user = lab.member().await;
    let mut body = boot("big", "0", json!("none"));
    body["server"]["block_device_mapping_v2"] = json!([{
        "source_type": "blank", "destination_type": "volume", "boot_index": 0, "volume_size": 1,
        "delete_on_termination": true}]);
    for _ in 0..20 {
        body["server"]["min_count"] = json!(100);
        user.compute("POST", "servers", 60, Some(body.clone())).await.expect(202);
    }
    for _ in 0..10 {
        lab.tick();
    }
    let mut marker = String::new();
    let mut active = 0;
    loop {
        let path = format!("servers/detail?limit=1000{marker}");
        let page = user.compute("GET", &path, 60, None).await.expect(200);
        let rows = page["servers"].as_array().unwrap();
        active += rows.iter().filter(|s| s["status"] == "ACTIVE").count();
        let Some(last) = rows.last() else { break };
        marker = format!("&marker={}", last["id"].as_str().unwrap());
    }
    assert_eq!(active, 2000);
    let volumes = user.get("volumes/detail").await.expect(200);
    assert_eq!(volumes["volumes"].as_array().unwrap().len(), 1000, "a page is at most 1000");
}
