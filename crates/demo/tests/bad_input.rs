//! Bad input against two running Protectors over real HTTP: the documented 4xx, with a reason that a person can act
//! on, and an unchanged world: both clouds, both arrays, both databases.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use protector_demo::{
    Rest,
    protect::failover_body,
    rest::text,
    stage::{FLAVORS, NETWORKS},
    tenant,
};
use protector_sim::cloud::{Service, cinder::VolumeSeed, keystone::Assignment, keystone::Target, nova::FlavorSeed};
use serde_json::{Value, json};
use support::{Case, Theatre, difference};

const MALFORMED: &str = "request.malformed";
const UNKNOWN: &str = "request.unknown_field";
const VALUE: &str = "request.invalid_value";
const NOT_FOUND: &str = "resource.not_found";
const UNREACHABLE: &str = "Cannot modify protection group — remote site unreachable";

/// What the body alone says.
fn bodies(t: &Theatre) -> Vec<Case> {
    let group = t.group_url(0);
    let action = |body: &str, code, words: &[&str]| Case::new("POST", &format!("{group}/action"), body, 400, code, words);
    let groups = |body: &str, code, words: &[&str]| {
        Case::new("POST", &format!("{}/protection-groups", t.project_url(0)), body, 400, code, words)
    };
    let member = |body: &str, code, words: &[&str]| Case::new("POST", &format!("{group}/members"), body, 400, code, words);
    vec![
        action("", MALFORMED, &["empty"]),
        action(r#"{"failover": {"#, MALFORMED, &["not valid JSON", "line 1"]),
        action("failover=1", MALFORMED, &["not valid JSON"]),
        action("[]", MALFORMED, &["JSON object", "a list"]),
        action("{}", MALFORMED, &["exactly one key", "failover", "test_cleanup"]),
        action(r#"{"failover": {}, "failback": {}}"#, MALFORMED, &["exactly one key", "failback, failover"]),
        action(r#"{"failover": {}, "failover": {}}"#, MALFORMED, &["\"failover\" occurs twice"]),
        action(r#"{"explode": {}}"#, UNKNOWN, &["explode", "Allowed: failover, failback"]),
        action(r#"{"failover": {"netwrok_mapping": {}}}"#, UNKNOWN, &["failover.netwrok_mapping", "network_mapping"]),
        action(r#"{"failover": {"force": "yes"}}"#, VALUE, &["failover.force", "boolean"]),
        action(r#"{"failover": {"network_mapping": ["a"]}}"#, VALUE, &["failover.network_mapping", "map"]),
        action(r#"{"failover": {"flavor_mapping": {"m1.large": 2}}}"#, VALUE, &["failover.flavor_mapping.m1.large", "string"]),
        action(r#"{"failover": []}"#, VALUE, &["failover", "must be an object"]),
        action(r#"{"failover": {"force": true, "retain_primary": true}}"#, VALUE, &["failover.force", "drill"]),
        action(r#"{"failback": {"force": true}}"#, VALUE, &["failback.force", "cannot be forced"]),
        action(r#"{"sync_volumes": {"retain_primary": true}}"#, UNKNOWN, &["sync_volumes.retain_primary"]),
        action(r#"{"cancel": {}}"#, UNKNOWN, &["cancel", "1.3", "1.2"]).with("OpenStack-API-Version", "protector 1.2"),
        groups("{", MALFORMED, &["not valid JSON"]),
        groups(r#"{"name": "x"}"#, UNKNOWN, &["name", "protection_group"]),
        groups(r#"{"protection_group": {}}"#, VALUE, &["protection_group.name", "missing"]),
        groups(r#"{"protection_group": {"name": 7}}"#, VALUE, &["protection_group.name", "string"]),
        groups(r#"{"protection_group": {"name": "x", "status": "active"}}"#, UNKNOWN, &["protection_group.status"]),
        groups(r#"{"protection_group": {"name": "x", "replication_type": "fast"}}"#, VALUE, &["replication_type", "async"]),
        groups(r#"{"protection_group": {"name": "x", "primary_volume_type": "plain"}}"#, VALUE, &["primary_volume_type", "plain", "replicated"]),
        groups(r#"{"protection_group": {"name": "x", "secondary_volume_type": "nope"}}"#, VALUE, &["secondary_volume_type", "nope", "site-b", "does not exist"]),
        groups(r#"{"protection_group": {"name": "x", "secondary_site_id": "here"}}"#, VALUE, &["protection_group.secondary_site_id"]),
        member("{}", VALUE, &["member", "missing"]),
        member(r#"{"member": {"server": ""}}"#, VALUE, &["member.server", "empty"]),
        member(r#"{"member": {"server": "web-1", "name": "x"}}"#, UNKNOWN, &["member.name"]),
        Case::new("PATCH", &group, r#"{"protection_group": {"replication_type": "sync"}}"#, 400, UNKNOWN, &["replication_type"]),
        Case::new("PATCH", &group, r#"{"protection_group": {"network_mapping": {"a": ""}}}"#, 400, VALUE, &["network_mapping.a", "empty"]),
    ]
}

/// What path, query and headers say.
fn envelopes(t: &Theatre) -> Vec<Case> {
    let (group, all) = (t.group_url(0), t.project_url(0));
    let get = |url: String, status, code, words: &[&str]| Case::new("GET", &url, "", status, code, words);
    let nobody = "pg-00000000-0000-0000-0000-000000000000";
    vec![
        get(format!("{all}/protection-groups/{nobody}"), 404, NOT_FOUND, &["does not exist"]),
        get(format!("{all}/protection-groups/not-an-id"), 404, NOT_FOUND, &["not-an-id"]),
        get(format!("{all}/operations/op-1"), 404, NOT_FOUND, &["op-1"]),
        get(format!("{all}/nothing"), 404, NOT_FOUND, &["openapi.json"]),
        get(format!("{all}/operations?limit=0"), 400, VALUE, &["limit", "1 to 1000"]),
        get(format!("{all}/operations?limit=1001"), 400, VALUE, &["limit", "1 to 1000"]),
        get(format!("{all}/operations?sort_dir=up"), 400, VALUE, &["sort_dir", "asc or desc"]),
        get(format!("{all}/operations?sort_key=colour"), 400, VALUE, &["colour"]),
        get(format!("{all}/operations?marker=op-nothing"), 400, VALUE, &["marker"]),
        get(format!("{all}/operations?operation_type=explode"), 400, VALUE, &["operation_type", "explode"]),
        get(format!("{all}/operations?colour=red"), 400, "request.unknown_parameter", &["colour", "operation_type"]),
        get(group.clone(), 406, "request.version_not_supported", &["1.0", "1.3", "9.9"]).with("OpenStack-API-Version", "protector 9.9"),
        get(group.clone(), 400, VALUE, &["OpenStack-API-Version"]).with("OpenStack-API-Version", "protector one"),
        Case::new("PUT", &group, "{}", 405, "request.method_not_allowed", &["Allow"]),
        Case::new("POST", &format!("{group}/action"), "a: b", 415, "request.unsupported_media_type", &["application/json"]).with("Content-Type", "text/yaml"),
        Case::new("POST", &format!("{group}/action"), " ".repeat((1 << 20) + 1), 413, "request.too_large", &["1 MiB"]),
        Case::new("PATCH", &group, r#"{"protection_group": {"name": "y"}}"#, 412, "resource.version_mismatch", &["version", "99999", "read it again"]).with("If-Match", "\"99999\""),
        Case::new("DELETE", &group, "", 412, "resource.version_mismatch", &["99999"]).with("If-Match", "\"99999\""),
        Case::new("PATCH", &group, r#"{"protection_group": {"name": "y"}}"#, 400, VALUE, &["If-Match", "ETag"]).with("If-Match", "\"yesterday\""),
        Case::new("POST", &format!("{group}/action"), r#"{"failover": {}}"#, 400, VALUE, &["Idempotency-Key", "255"]).with("Idempotency-Key", &"k".repeat(256)),
    ]
}

/// Who may not.
async fn strangers(t: &Theatre) -> Vec<Case> {
    let site = &t.stage.sites[0];
    let (group, all) = (t.group_url(0), t.project_url(0));
    let action = format!("{group}/action");
    let failover = failover_body();
    let login = |user: &'static str, project: &'static str| async move {
        t.stage.rest.login(&site.auth_url, user, &format!("{}-password", user.split('-').next().unwrap()), project).await.unwrap()
    };
    let (other, other_project) = login("other-user", "other").await;
    let theirs = format!("{}/v1/{other_project}/protection-groups/{}", site.api_url, t.protected.group_id);
    let (reader, _) = login("reader", "app").await;
    let expired = expired_token(t).await;
    let nobody = &t.stage.rest;
    let unauthenticated = "auth.unauthenticated";
    let site_body = json!({"site": {"name": "x", "auth_url": "http://x", "username": "u", "password": "p", "project_name": "p"}});
    vec![
        Case::new("GET", &group, "", 404, NOT_FOUND, &["Project", "does not exist"]).by(&other),
        Case::new("POST", &action, &failover, 404, NOT_FOUND, &["Project", "does not exist"]).by(&other),
        Case::new("POST", &format!("{theirs}/action"), &failover, 404, NOT_FOUND, &[&t.protected.group_id]).by(&other),
        Case::new("DELETE", &theirs, "", 404, NOT_FOUND, &[&t.protected.group_id]).by(&other),
        Case::new("GET", &format!("{all}/operations"), "", 404, NOT_FOUND, &["does not exist"]).by(&other),
        Case::new("POST", &action, &failover, 401, unauthenticated, &["X-Auth-Token"]).by(nobody),
        Case::new("POST", &action, &failover, 401, unauthenticated, &["get a new one from Keystone"]).by(&nobody.with_token("gAAAAAnot-a-token")),
        Case::new("POST", &action, &failover, 401, unauthenticated, &["expired", "get a new one from Keystone"]).by(&expired),
        Case::new("GET", &group, "", 401, unauthenticated, &["expired"]).by(&expired),
        Case::new("POST", &action, &failover, 403, "auth.forbidden", &["protector:", "failover"]).by(&reader),
        Case::new("DELETE", &group, "", 403, "auth.forbidden", &["protector:protection_groups:delete"]).by(&reader),
        Case::new("POST", &format!("{}/v1/admin/sites", site.api_url), site_body, 403, "auth.forbidden", &["protector:sites:create"]),
        Case::new("GET", &format!("{}/v1/admin/sites", site.api_url), "", 403, "auth.forbidden", &["protector:sites:"]),
        Case::new("GET", &format!("{}/v1/peer/info", site.api_url), "", 403, "auth.forbidden", &["protector:peer"]),
    ]
}

/// A token that was good until a moment ago.
async fn expired_token(t: &Theatre) -> Rest {
    let keystone = |seconds: i64| t.stage.world.cloud(0).lock().keystone.token_life = Some(chrono::Duration::seconds(seconds));
    keystone(5);
    let (short, _) = t.stage.tenant(0).await.unwrap();
    keystone(3600);
    // Once while it is good, so that it is remembered.
    assert!(short.get(&t.group_url(0)).await.is_ok());
    t.stage.clock.sleep(Duration::from_secs(6)).await;
    short
}

/// The reader of the tenant's project, in Keystone's own records.
fn add_reader(t: &Theatre) {
    let mut state = t.stage.world.cloud(0).lock();
    let keystone = &mut state.keystone;
    let project = keystone.project_named("app", "default").unwrap().id.clone();
    let role = keystone.role_named("reader").unwrap().id.clone();
    let mut user = keystone.user_named("other-user", "default").unwrap().clone();
    user.id = "0123456789abcdef0123456789abcdef".into();
    user.name = "reader".into();
    user.password = "reader-password".into();
    let user_id = user.id.clone();
    keystone.users.insert(user_id.clone(), user);
    keystone.assignments.insert(Assignment { role_id: role, user_id, target: Target::Project(project) });
}

/// Group, policy and members as they are.
async fn states(t: &Theatre, second: &str) -> Vec<Case> {
    let group = t.group_url(0);
    let second_url = format!("{}/protection-groups/{second}", t.project_url(0));
    let action = |url: &str, body: Value, status, code, words: &[&str]| Case::new("POST", &format!("{url}/action"), body, status, code, words);
    let add = |url: &str, server: &str, status, code, words: &[&str]| {
        Case::new("POST", &format!("{url}/members"), json!({"member": {"server": server}}), status, code, words)
    };
    let groups = format!("{}/protection-groups", t.project_url(0));
    let eligible = "member.not_eligible";
    let exists = "resource.already_exists";
    let db = t.servers[2].id.as_str();
    vec![
        action(&group, json!({"failback": {}}), 409, "protection_group.wrong_state", &["Protection Group is not in failed_over state", "active"]),
        action(&second_url, failover_body(), 409, "protection_group.policy_missing", &["replication policy", "POST"]),
        add(&group, "web-1", 409, exists, &["web-1", "this one"]),
        add(&second_url, db, 409, exists, &["db-1", &t.protected.group_id, "one group only"]),
        add(&second_url, "nobody", 404, NOT_FOUND, &["nobody", "does not exist in this project"]),
        add(&group, "odd-type", 409, eligible, &["odd-type", "volume odd-type-root", "plain", "replicated"]),
        add(&group, "odd-image", 409, eligible, &["odd-image", "boot from a volume"]),
        add(&group, "odd-ephemeral", 409, eligible, &["odd-ephemeral", "ephemeral disk", "swap disk"]),
        add(&group, "twin", 400, VALUE, &["twin", "ambiguous", "use an id of"]),
        Case::new("POST", &groups, json!({"protection_group": {"name": "prod-web-app"}}), 409, exists, &["prod-web-app"]),
        Case::new("DELETE", &format!("{group}/members/{second}"), "", 404, NOT_FOUND, &["does not exist"]),
    ]
}

/// Policies that do not work.
fn policies(t: &Theatre, second: &str) -> Vec<Case> {
    let url = format!("{}/policy", t.group_url(0));
    let second = format!("{}/protection-groups/{second}/policy", t.project_url(0));
    let (a, b) = (&t.stage.sites[0], &t.stage.sites[1]);
    let good = json!({
        "primary_fa_url": a.array_url, "primary_fa_api_token": a.array_token,
        "secondary_fa_url": b.array_url, "secondary_fa_api_token": b.array_token,
    });
    let but = |change: Value| {
        let mut policy = good.clone();
        policy.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({"policy": policy})
    };
    let post = |url: &str, change: Value, status, code, words: &[&str]| Case::new("POST", url, but(change), status, code, words);
    let wrong = "11111111-1111-1111-1111-111111111111";
    vec![
        post(&url, json!({"secondary_fa_api_token": wrong}), 409, "array.error", &["secondary array", &b.array_url, "API token"]),
        post(&second, json!({"primary_fa_api_token": wrong}), 409, "array.error", &["primary array", &a.array_url, "API token"]),
        post(&url, json!({"secondary_fa_url": "https://127.0.0.1:9"}), 409, "array.error", &["secondary array", "https://127.0.0.1:9", "address"]),
        post(&url, json!({"replication_interval": 299}), 400, VALUE, &["replication_interval", "300"]),
        post(&url, json!({"replication_interval": "5m"}), 400, VALUE, &["replication_interval"]),
        post(&url, json!({"rpo_minutes": 0}), 400, VALUE, &["rpo_minutes", "1"]),
        post(&url, json!({"secondary_fa_url": a.array_url}), 400, VALUE, &["secondary_fa_url", "another array"]),
        post(&url, json!({"secondary_fa_url": "array-b"}), 400, VALUE, &["secondary_fa_url", "URL"]),
        post(&url, json!({"primary_token": "x"}), 400, UNKNOWN, &["primary_token"]),
        post(&second, json!({"secondary_fa_api_token": null}), 400, VALUE, &["secondary_fa_api_token", "needed"]),
    ]
}

/// Plans that cannot work: every reason is listed.
async fn plans(t: &Theatre) {
    let url = format!("{}/action", t.group_url(0));
    let post = |networks: Value, flavors: Value, status, code, words: &[&str]| {
        Case::new("POST", &url, json!({"failover": {"network_mapping": networks, "flavor_mapping": flavors}}), status, code, words)
    };
    let [web, db] = NETWORKS[0];
    let [web_b, db_b] = NETWORKS[1];
    let networks = json!({web: web_b, db: db_b});
    let flavors = json!({FLAVORS[0]: FLAVORS[1]});
    let twins = t.stage.world.cloud(1).lock().neutron.networks.values().filter(|n| n.name == "twin-net").map(|n| n.id.clone()).collect::<Vec<_>>();
    assert_eq!(twins.len(), 2);
    let missing = "mapping.missing";
    post(json!({web: web_b}), flavors.clone(), 409, missing, &["db-1", db, "network_mapping"]).check(t).await;
    post(json!({web: web_b}), json!({}), 409, missing, &["web-1", "web-2", "db-1", db, "m1.large", "flavor_mapping", "m2.large"]).check(t).await;
    post(json!({web: "bbb-nothing", db: db_b}), flavors.clone(), 400, "mapping.invalid", &["network_mapping", "target site", "bbb-nothing", web_b]).check(t).await;
    post(json!({"aaa-nothing": web_b, web: web_b, db: db_b}), flavors.clone(), 400, "mapping.invalid", &["network_mapping", "source site", "aaa-nothing", web]).check(t).await;
    post(json!({web: "twin-net", db: db_b}), flavors.clone(), 400, "mapping.invalid", &["twin-net", "ambiguous", &twins[0], &twins[1]]).check(t).await;
    post(networks.clone(), json!({"m1.large": "m9.huge"}), 400, "mapping.invalid", &["flavor_mapping", "m9.huge", "m2.large"]).check(t).await;

    let quota = |service, what, limit| {
        let project = t.protected.projects[1].clone();
        t.stage.world.cloud(1).lock().quotas.set(service, &project, what, limit);
    };
    quota(Service::Nova, "instances", 2);
    post(networks.clone(), flavors.clone(), 409, "target.quota", &["instances", "3 needed", "2 free of 2", "administrator"]).check(t).await;
    quota(Service::Cinder, "gigabytes", 10);
    quota(Service::Cinder, "volumes", 4);
    quota(Service::Neutron, "port", 1);
    let all = ["instances", "gigabytes", "volumes", "ports", "db-1", db];
    post(json!({web: web_b}), flavors.clone(), 409, "target.quota", &all).check(t).await;
    for (service, what, limit) in [(Service::Nova, "instances", 10), (Service::Cinder, "gigabytes", 1000), (Service::Cinder, "volumes", 20), (Service::Neutron, "port", 100)] {
        quota(service, what, limit);
    }
    // The documentation's own body has its part in this, too: an old name, one letter away from working.
    post(json!({web: web_b, db: db_b}), json!({"m1.large ": "m2.large"}), 400, VALUE, &["flavor_mapping", "white space"]).check(t).await;
}

/// Servers that cannot be protected, and names that are taken twice.
async fn furnish(t: &Theatre) {
    let cloud = t.stage.world.cloud(0);
    let url = format!("{}/compute/v2.1", t.stage.sites[0].cloud_url);
    let seed = |id: &str, disk| FlavorSeed { id: id.into(), name: id.into(), vcpus: 1, ram: 512, disk, extra_specs: Default::default() };
    cloud.add_flavor(seed("with-disk", 10));
    let admin = t.stage.admin(0).await.unwrap();
    let flavor = json!({"flavor": {"id": "with-ephemeral", "name": "with-ephemeral", "vcpus": 1, "ram": 512, "disk": 0, "OS-FLV-EXT-DATA:ephemeral": 5, "swap": 512}});
    admin.post(&format!("{url}/flavors"), &flavor).await.unwrap();
    let image = t.tenants[0].get(&format!("{}/image/v2/images", t.stage.sites[0].cloud_url)).await.unwrap();
    let image = text(&image, "/images/0/id").unwrap();
    let make = async |name: &str, flavor: &str, source: Value| {
        let mut server = json!({"name": name, "flavorRef": flavor, "networks": "none"});
        server.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        let made = t.tenants[0].post(&format!("{url}/servers"), &json!({"server": server})).await.unwrap();
        let id = text(&made, "/server/id").unwrap();
        tenant::await_status(&t.stage, &t.tenants[0], 0, &id, "ACTIVE").await.unwrap();
    };
    let root = |volume: String| json!({"block_device_mapping_v2": [{"uuid": volume, "source_type": "volume", "destination_type": "volume", "boot_index": 0}]});
    make("odd-type", "m1.large-id", root(add_volume(t, "odd-type-root", "plain"))).await;
    make("odd-image", "with-disk", json!({"imageRef": image})).await;
    make("odd-ephemeral", "with-ephemeral", root(add_volume(t, "odd-ephemeral-root", "replicated"))).await;
    make("twin", "m1.large-id", root(add_volume(t, "twin-1-root", "replicated"))).await;
    make("twin", "m1.large-id", root(add_volume(t, "twin-2-root", "replicated"))).await;
    for _ in 0..2 {
        let url = format!("{}/network/v2.0/networks", t.stage.sites[1].cloud_url);
        t.tenants[1].post(&url, &json!({"network": {"name": "twin-net"}})).await.unwrap();
    }
}

fn add_volume(t: &Theatre, name: &str, volume_type: &str) -> String {
    let cloud = t.stage.world.cloud(0);
    let user_id = cloud.lock().keystone.user_named("app-user", "default").unwrap().id.clone();
    let seed = VolumeSeed {
        name: name.into(),
        size: 5,
        volume_type: Some(volume_type.into()),
        project_id: t.protected.projects[0].clone(),
        user_id,
        bootable: true,
    };
    cloud.add_volume(seed).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_names_its_reason_and_changes_nothing() {
    let t = Theatre::open().await;
    furnish(&t).await;
    add_reader(&t);
    let second = json!({"protection_group": {"name": "second"}});
    let second = t.call("POST", &format!("{}/protection-groups", t.project_url(0)), Some(&second)).await;
    let second = text(&second.body, "/protection_group/id").unwrap();
    // The second group has no policy yet.
    let mut cases = bodies(&t);
    cases.extend(envelopes(&t));
    cases.extend(strangers(&t).await);
    cases.extend(states(&t, &second).await);
    cases.extend(policies(&t, &second));
    for case in &cases {
        case.check(&t).await;
    }
    plans(&t).await;
    t.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_server_is_refused_until_its_member_is_refreshed() {
    let t = Theatre::open().await;
    let url = format!("{}/compute/v2.1/servers/{}", t.stage.sites[0].cloud_url, t.servers[0].id);
    let extra = add_volume(&t, "web-1-data-2", "replicated");
    let attach = json!({"volumeAttachment": {"volumeId": extra}});
    t.tenants[0].post(&format!("{url}/os-volume_attachments"), &attach).await.unwrap();
    t.stage.clock.sleep(Duration::from_secs(2)).await;

    let action = format!("{}/action", t.group_url(0));
    let words = ["web-1", extra.as_str(), "not protected", "refresh the member"];
    Case::new("POST", &action, failover_body(), 409, "member.not_ready", &words).check(&t).await;

    let members = t.get(0, &format!("{}/members", t.group_url(0))).await;
    let member = members["members"].as_array().unwrap().iter().find(|m| m["name"] == "web-1").unwrap();
    assert_eq!(member["volumes"].as_array().unwrap().len(), 2);
    let refresh = format!("{}/members/{}/refresh", t.group_url(0), member["id"].as_str().unwrap());
    let fresh = t.call("POST", &refresh, None).await;
    assert!(fresh.status.is_success(), "{:?}", fresh);
    let volumes = fresh.body["member"]["volumes"].as_array().unwrap().clone();
    assert_eq!(volumes.len(), 3, "{volumes:?}");

    let started = t.call("POST", &action, Some(&failover_body())).await;
    assert_eq!(started.status, 202, "{}", started.body);
    let record = t.finish(started.body["operation"]["id"].as_str().unwrap()).await;
    assert_eq!(record["status"], "completed", "{record}");
    assert_eq!(record["result_data"]["volumes_managed"], 6, "{record}");
    t.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_group_names_its_operation_and_an_idempotency_key_starts_only_one() {
    let t = Theatre::open().await;
    let group = t.group_url(0);
    let action = format!("{group}/action");
    let body = failover_body().to_string();
    let keyed = |body: &str, key: &str| {
        let headers = [("OpenStack-API-Version", "protector 1.3"), ("Idempotency-Key", key)];
        let (rest, body) = (t.tenants[0].clone(), body.as_bytes().to_vec());
        let (action, headers) = (action.clone(), headers.map(|(k, v)| (k, v.to_owned())));
        async move {
            let headers: Vec<_> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
            rest.call_with("POST", &action, &headers, Some(body)).await.unwrap()
        }
    };
    let first = keyed(&body, "monday").await;
    assert_eq!(first.status, 202, "{}", first.body);
    let id = text(&first.body, "/operation/id").unwrap();

    let busy = "protection_group.busy";
    let mapping = json!({"protection_group": {"description": "now"}});
    for case in [
        Case::new("POST", &action, &body, 409, busy, &[&id, "wait"]),
        Case::new("POST", &action, json!({"sync_volumes": {}}), 409, busy, &[&id]),
        Case::new("PATCH", &group, &mapping, 409, busy, &[&id]),
        Case::new("DELETE", &group, "", 409, busy, &[&id]),
        Case::new("POST", &format!("{group}/members"), json!({"member": {"server": "web-1"}}), 409, busy, &[&id]),
        Case::new("POST", &action, json!({"failover": {}}), 409, "request.idempotency_mismatch", &[&id, "another body"]).with("Idempotency-Key", "monday"),
    ] {
        case.answer(&t).await;
    }
    // The same body in other words is the same body.
    let again = keyed(&serde_json::to_string_pretty(&failover_body()).unwrap(), "monday").await;
    assert_eq!((again.status.as_u16(), &again.body["operation"]["id"]), (202, &json!(id)));

    let record = t.finish(&id).await;
    assert_eq!(record["status"], "completed", "{record}");
    let before = t.world().await;
    let replayed = keyed(&body, "monday").await;
    assert_eq!(replayed.status, 202, "{}", replayed.body);
    assert_eq!(replayed.body["operation"]["id"], json!(id));
    assert_eq!(replayed.body["operation"]["status"], "completed");
    let operations = t.get(0, &format!("{}/operations", t.project_url(0))).await;
    assert_eq!(operations["operations"].as_array().unwrap().len(), 1, "{operations}");
    // What worked once is the wrong thing in the state that it led to.
    let words = ["Protection Group is not in active state", "failed_over", "failback"];
    Case::new("POST", &action, &body, 409, "protection_group.wrong_state", &words).check(&t).await;
    assert_eq!(difference(&before, &t.world().await, ""), None);
    t.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_peer_a_group_can_be_read_but_not_changed() {
    let mut t = Theatre::open().await;
    let before = (t.simulators(), t.records(0).await);
    t.stop(1).await;
    refused_without_peer(&t, "refused connections").await;
    // A host that accepts and says nothing is the worse case.
    let address = t.stage.sites[1].api_url.trim_start_matches("http://").to_owned();
    let silent = tokio::net::TcpListener::bind(&address).await.unwrap();
    let silence = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = silent.accept().await {
            held.push(socket);
        }
    });
    refused_without_peer(&t, "silence").await;
    silence.abort();
    let _ = silence.await;
    assert_eq!(difference(&before.0, &t.simulators(), ""), None);
    assert_eq!(difference(&before.1, &t.records(0).await, ""), None);

    t.start(1).await;
    let change = json!({"protection_group": {"description": "again"}});
    let changed = t.call("PATCH", &t.group_url(0), Some(&change)).await;
    assert!(changed.status.is_success(), "{:?}", changed);
    assert_eq!(t.get(1, &t.group_url(1)).await["protection_group"]["description"], "again");
    t.close().await;
}

async fn refused_without_peer(t: &Theatre, how: &str) {
    let group = t.group_url(0);
    let member = json!({"member": {"server": t.servers[0].id}});
    let changes = [
        ("POST", format!("{group}/action"), failover_body()),
        ("POST", format!("{group}/action"), json!({"sync_volumes": {}})),
        ("POST", format!("{group}/members"), member),
        ("PATCH", group.clone(), json!({"protection_group": {"description": "now"}})),
        ("DELETE", group.clone(), Value::Null),
        ("POST", format!("{}/protection-groups", t.project_url(0)), json!({"protection_group": {"name": "third"}})),
    ];
    for (method, url, body) in changes {
        let begun = Instant::now();
        let reply = t.call(method, &url, Some(&body)).await;
        let took = begun.elapsed();
        let what = format!("{how}: {method} {url} answered {} {} after {took:?}", reply.status, reply.body);
        assert_eq!(reply.status, 409, "{what}");
        assert_eq!(reply.body["errors"][0]["code"], "protection_group.peer_unreachable", "{what}");
        assert_eq!(reply.body["errors"][0]["detail"], UNREACHABLE, "{what}");
        assert!(took < Duration::from_millis(3000), "{what}");
    }
    for path in ["", "/members", "/policy", "/consistency-group", "/health"] {
        let reply = t.call("GET", &format!("{group}{path}"), None).await;
        assert!(reply.status.is_success(), "{how}: GET {path}: {:?}", reply);
    }
    let sync = t.get(0, &format!("{group}/sync-status")).await;
    assert_eq!(sync["sync_status"]["status"], "UNREACHABLE", "{how}: {sync}");
    assert!(t.call("GET", &format!("{}/operations", t.project_url(0)), None).await.status.is_success());
}
