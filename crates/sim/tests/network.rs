//! Neutron's and Glance's hard rules.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Answer, Lab, Token};
use protector_sim::cloud::{Service, neutron::NewPort};
use serde_json::{Value, json};

async fn network(token: &Token<'_>, name: &str) -> String {
    let answer = token.get(&format!("/network/v2.0/networks?name={name}")).await;
    answer.body["networks"][0]["id"].as_str().unwrap().to_owned()
}

async fn create(token: &Token<'_>, network_id: &str, extra: Value) -> Answer {
    let mut port = json!({"network_id": network_id});
    for (key, value) in extra.as_object().unwrap() {
        port[key] = value.clone();
    }
    token.post("/network/v2.0/ports", json!({"port": port})).await
}

fn error_type(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.body["NeutronError"]["type"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn addresses_come_from_the_pool_and_never_twice() {
    let lab = Lab::new();
    let app = lab.app().await;
    let net = network(&app, "app-net").await;
    let mut seen = std::collections::HashSet::new();
    for _ in 0..5 {
        let port = create(&app, &net, json!({})).await.body["port"].clone();
        let ip = port["fixed_ips"][0]["ip_address"].as_str().unwrap().to_owned();
        assert!(ip.starts_with("10.10.0.") && ip != "10.10.0.1", "{ip}");
        assert!(seen.insert(ip));
        assert!(seen.insert(port["mac_address"].as_str().unwrap().to_owned()));
    }
}

#[tokio::test]
async fn taken_and_impossible_addresses_are_refused() {
    let lab = Lab::new();
    let app = lab.app().await;
    let net = network(&app, "app-net").await;
    let wish =
        json!({"fixed_ips": [{"ip_address": "10.10.0.77"}], "mac_address": "FA:16:3E:00:00:01"});
    let first = create(&app, &net, wish.clone()).await;
    assert_eq!(first.status, 201);
    assert_eq!(first.body["port"]["mac_address"], "fa:16:3e:00:00:01");
    let ip = create(&app, &net, json!({"fixed_ips": [{"ip_address": "10.10.0.77"}]})).await;
    assert_eq!(error_type(&ip), (409, "IpAddressInUse"));
    let mac = create(&app, &net, json!({"mac_address": "fa:16:3e:00:00:01"})).await;
    assert_eq!(error_type(&mac), (409, "MacAddressInUse"));
    let outside = create(&app, &net, json!({"fixed_ips": [{"ip_address": "10.99.0.1"}]})).await;
    assert_eq!(error_type(&outside), (400, "InvalidIpForNetwork"));
    let broadcast = create(&app, &net, json!({"fixed_ips": [{"ip_address": "10.10.0.255"}]})).await;
    assert_eq!(error_type(&broadcast), (400, "InvalidIpForNetwork"));
    let nonsense = create(&app, &net, json!({"mac_address": "zz"})).await;
    assert_eq!(nonsense.status, 400);
    // The same MAC is fine in another network, and the address once the port is gone.
    let admin = lab.admin().await;
    let shared = network(&admin, "shared-net").await;
    assert_eq!(
        create(&admin, &shared, json!({"mac_address": "fa:16:3e:00:00:01"})).await.status,
        201
    );
    let id = first.body["port"]["id"].as_str().unwrap();
    assert_eq!(app.delete(&format!("/network/v2.0/ports/{id}")).await.status, 204);
    assert_eq!(create(&app, &net, wish).await.status, 201);
}

#[tokio::test]
async fn tenants_choose_no_addresses_on_a_shared_network() {
    let lab = Lab::new();
    let app = lab.app().await;
    let net = network(&app, "shared-net").await;
    assert_eq!(create(&app, &net, json!({})).await.status, 201);
    for wish in [
        json!({"mac_address": "fa:16:3e:00:00:02"}),
        json!({"fixed_ips": [{"ip_address": "192.168.100.50"}]}),
        json!({"allowed_address_pairs": [{"ip_address": "192.168.100.60"}]}),
        json!({"port_security_enabled": false}),
        json!({"binding:host_id": "compute-1"}),
    ] {
        let refused = create(&app, &net, wish.clone()).await;
        assert_eq!(error_type(&refused), (403, "PolicyNotAuthorized"), "{wish}");
    }
    let subnet = app.get(&format!("/network/v2.0/subnets?network_id={net}")).await.body["subnets"]
        [0]["id"]
        .clone();
    assert_eq!(create(&app, &net, json!({"fixed_ips": [{"subnet_id": subnet}]})).await.status, 201);
    // The service user may, for the tenant.
    let service = lab.login("protector", "service").await;
    let wish = json!({"project_id": app.project_id(), "mac_address": "fa:16:3e:00:00:03", "fixed_ips": [{"ip_address": "192.168.100.50"}]});
    let made = create(&service, &net, wish).await;
    assert_eq!(
        (made.status.as_u16(), made.body["port"]["project_id"].as_str()),
        (201, Some(app.project_id().as_str()))
    );
}

#[tokio::test]
async fn bindings_are_for_admins_and_profiles_for_services() {
    let lab = Lab::new();
    let (admin, service, app) =
        (lab.admin().await, lab.login("protector", "service").await, lab.app().await);
    let net = network(&app, "app-net").await;
    let profile = json!({"binding:profile": {"pci_slot": "0000:00:01.0"}});
    assert_eq!(error_type(&create(&admin, &net, profile.clone()).await).0, 403);
    assert_eq!(create(&service, &net, profile).await.status, 201);
    let bound = create(&admin, &net, json!({"binding:host_id": "compute-1"})).await;
    assert_eq!(bound.body["port"]["binding:vif_type"], "ovs");
    let id = create(&app, &net, json!({})).await.body["port"]["id"].as_str().unwrap().to_owned();
    let seen = app.get(&format!("/network/v2.0/ports/{id}")).await;
    assert!(seen.body["port"].get("binding:host_id").is_none());
    assert_eq!(seen.body["port"]["binding:vnic_type"], "normal");
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let lab = Lab::new();
    let (app, other) = (lab.app().await, lab.login("other-user", "other").await);
    let net = network(&app, "app-net").await;
    let port = create(&app, &net, json!({})).await.body["port"]["id"].as_str().unwrap().to_owned();
    let path = format!("/network/v2.0/ports/{port}");
    assert_eq!(error_type(&other.get(&path).await), (404, "PortNotFound"));
    assert_eq!(other.delete(&path).await.status, 404);
    assert_eq!(error_type(&create(&other, &net, json!({})).await), (404, "NetworkNotFound"));
    let networks = other.get("/network/v2.0/networks").await;
    let names: Vec<&str> = networks.body["networks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["name"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"other-net")
            && names.contains(&"shared-net")
            && !names.contains(&"app-net")
    );
    let foreign = create(
        &other,
        &network(&other, "other-net").await,
        json!({"project_id": app.project_id()}),
    )
    .await;
    assert_eq!(foreign.status, 403);
}

#[tokio::test]
async fn the_default_group_is_made_on_first_use_and_groups_in_use_stay() {
    let lab = Lab::new();
    let app = lab.app().await;
    let groups = app.get("/network/v2.0/security-groups?name=default").await;
    let default = groups.body["security_groups"][0].clone();
    let rules = default["security_group_rules"].as_array().unwrap();
    assert_eq!(rules.iter().filter(|r| r["remote_group_id"] == default["id"]).count(), 2);
    let made =
        app.post("/network/v2.0/security-groups", json!({"security_group": {"name": "web"}})).await;
    let web = made.body["security_group"]["id"].as_str().unwrap().to_owned();
    let rule = json!({"security_group_rule": {"security_group_id": web, "direction": "ingress", "protocol": "tcp", "port_range_min": 80, "port_range_max": 80, "remote_group_id": web}});
    let path = "/network/v2.0/security-group-rules";
    assert_eq!(app.post(path, rule.clone()).await.status, 201);
    assert_eq!(error_type(&app.post(path, rule).await), (409, "SecurityGroupRuleExists"));
    let both = json!({"security_group_rule": {"security_group_id": web, "direction": "ingress", "remote_group_id": web, "remote_ip_prefix": "10.0.0.0/8"}});
    assert_eq!(app.post(path, both).await.status, 400);
    let net = network(&app, "app-net").await;
    let port = create(&app, &net, json!({"security_groups": [web]})).await;
    assert_eq!(port.body["port"]["security_groups"], json!([web]));
    let group = format!("/network/v2.0/security-groups/{web}");
    assert_eq!(error_type(&app.delete(&group).await), (409, "SecurityGroupInUse"));
    app.delete(&format!("/network/v2.0/ports/{}", port.body["port"]["id"].as_str().unwrap())).await;
    assert_eq!(app.delete(&group).await.status, 204);
    let missing = create(&app, &net, json!({"security_groups": [web]})).await;
    assert_eq!(error_type(&missing), (404, "SecurityGroupNotFound"));
    let protected = app
        .delete(&format!("/network/v2.0/security-groups/{}", default["id"].as_str().unwrap()))
        .await;
    assert_eq!(error_type(&protected), (409, "SecurityGroupCannotRemoveDefault"));
}

#[tokio::test]
async fn port_security_off_means_no_groups() {
    let lab = Lab::new();
    let app = lab.app().await;
    let net = network(&app, "app-net").await;
    let open = create(&app, &net, json!({"port_security_enabled": false})).await;
    assert_eq!(open.body["port"]["security_groups"], json!([]));
    let pairs = json!({"port_security_enabled": false, "allowed_address_pairs": [{"ip_address": "10.10.0.9"}]});
    assert_eq!(
        error_type(&create(&app, &net, pairs).await),
        (409, "AddressPairAndPortSecurityRequired")
    );
}

#[tokio::test]
async fn quotas_stop_the_next_port() {
    let lab = Lab::new();
    let (app, admin) = (lab.app().await, lab.admin().await);
    let path = format!("/network/v2.0/quotas/{}", app.project_id());
    assert_eq!(app.put(&path, json!({"quota": {"port": 2}})).await.status, 403);
    assert_eq!(admin.put(&path, json!({"quota": {"port": 2}})).await.body["quota"]["port"], 2);
    let net = network(&app, "app-net").await;
    create(&app, &net, json!({})).await;
    create(&app, &net, json!({})).await;
    assert_eq!(error_type(&create(&app, &net, json!({})).await), (409, "OverQuota"));
    let details = app.get(&format!("{path}/details")).await;
    assert_eq!(details.body["quota"]["port"], json!({"limit": 2, "used": 2, "reserved": 0}));
    lab.cloud.lock().quotas.set(Service::Neutron, &app.project_id(), "port", -1);
    assert_eq!(create(&app, &net, json!({})).await.status, 201);
}

#[tokio::test]
async fn lists_filter_page_and_pick_fields() {
    let lab = Lab::new();
    let app = lab.app().await;
    let net = network(&app, "app-net").await;
    for n in 0..5 {
        let port = create(
            &app,
            &net,
            json!({"name": format!("p{n}"), "device_id": format!("d{}", n % 2)}),
        )
        .await;
        let id = port.body["port"]["id"].as_str().unwrap().to_owned();
        if n < 2 {
            app.put(
                &format!("/network/v2.0/ports/{id}/tags"),
                json!({"tags": ["blue", format!("n{n}")]}),
            )
            .await;
        }
    }
    let count = |answer: &Answer| answer.body["ports"].as_array().unwrap().len();
    assert_eq!(count(&app.get("/network/v2.0/ports?device_id=d1").await), 2);
    assert_eq!(count(&app.get("/network/v2.0/ports?name=p1&name=p2").await), 2);
    assert_eq!(count(&app.get("/network/v2.0/ports?tags=blue").await), 2);
    assert_eq!(count(&app.get("/network/v2.0/ports?tags=blue,n1").await), 1);
    assert_eq!(count(&app.get("/network/v2.0/ports?not-tags=blue").await), 3);
    let fields = app.get("/network/v2.0/ports?fields=id&fields=name&limit=1").await;
    assert_eq!(fields.body["ports"][0].as_object().unwrap().len(), 2);
    let mut path = "/network/v2.0/ports?limit=2&sort_key=name&sort_dir=desc".to_owned();
    let mut names = Vec::new();
    loop {
        let page = app.get(&path).await;
        names.extend(
            page.body["ports"]
                .as_array()
                .unwrap()
                .iter()
                .map(|p| p["name"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page.body["ports_links"][0]["href"].as_str() else { break };
        path = next.strip_prefix("http://site-a.sim").unwrap().to_owned();
    }
    assert_eq!(names, ["p4", "p3", "p2", "p1", "p0"]);
}

#[tokio::test]
async fn tags_are_set_checked_and_removed_one_by_one() {
    let lab = Lab::new();
    let app = lab.app().await;
    let net = network(&app, "app-net").await;
    let port = create(&app, &net, json!({"tags": ["first"]})).await;
    let path = format!("/network/v2.0/ports/{}/tags", port.body["port"]["id"].as_str().unwrap());
    assert_eq!(app.call("PUT", &format!("{path}/second"), None).await.status, 201);
    assert_eq!(app.get(&path).await.body["tags"], json!(["first", "second"]));
    assert_eq!(app.get(&format!("{path}/second")).await.status, 204);
    assert_eq!(app.delete(&format!("{path}/second")).await.status, 204);
    assert_eq!(error_type(&app.delete(&format!("{path}/second")).await), (404, "TagNotFound"));
    assert_eq!(app.delete(&path).await.status, 204);
    assert_eq!(app.get(&path).await.body["tags"], json!([]));
}

#[tokio::test]
async fn networks_and_subnets_in_use_stay_and_cidrs_do_not_overlap() {
    let lab = Lab::new();
    let app = lab.app().await;
    let net = app.post("/network/v2.0/networks", json!({"network": {"name": "mine"}})).await;
    let net = net.body["network"]["id"].as_str().unwrap().to_owned();
    let subnet = |cidr: &str| json!({"subnet": {"network_id": net, "cidr": cidr, "ip_version": 4, "allocation_pools": [{"start": "172.16.0.2", "end": "172.16.0.3"}]}});
    let made = app.post("/network/v2.0/subnets", subnet("172.16.0.0/29")).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(app.post("/network/v2.0/subnets", subnet("172.16.0.0/28")).await.status, 400);
    create(&app, &net, json!({})).await;
    create(&app, &net, json!({})).await;
    assert_eq!(
        error_type(&create(&app, &net, json!({})).await),
        (409, "IpAddressGenerationFailure")
    );
    // Outside the pool is fine if it is asked for.
    assert_eq!(
        create(&app, &net, json!({"fixed_ips": [{"ip_address": "172.16.0.6"}]})).await.status,
        201
    );
    let path = format!("/network/v2.0/networks/{net}");
    assert_eq!(error_type(&app.delete(&path).await), (409, "NetworkInUse"));
    let sub = format!("/network/v2.0/subnets/{}", made.body["subnet"]["id"].as_str().unwrap());
    assert_eq!(error_type(&app.delete(&sub).await), (409, "SubnetInUse"));
    let ports = app.get(&format!("/network/v2.0/ports?network_id={net}")).await;
    for port in ports.body["ports"].as_array().unwrap() {
        app.delete(&format!("/network/v2.0/ports/{}", port["id"].as_str().unwrap())).await;
    }
    assert_eq!(app.delete(&path).await.status, 204);
    assert_eq!(app.get(&sub).await.status, 404, "subnets go with their network");
    assert_eq!(
        app.post("/network/v2.0/networks", json!({"network": {"shared": true}})).await.status,
        403
    );
}

#[tokio::test]
async fn nova_plugs_and_unplugs_ports() {
    let lab = Lab::new();
    let app = lab.app().await;
    let net = network(&app, "app-net").await;
    let id = {
        let mut state = lab.cloud.lock();
        let new =
            NewPort { network_id: net.clone(), project_id: app.project_id(), ..NewPort::default() };
        let id = state.create_port_for(&lab.cloud, new).unwrap().common.id;
        let bound =
            state.bind_port(&lab.cloud, &id, "server-1", "compute:nova", "compute-1").unwrap();
        assert_eq!(bound.status(), "ACTIVE");
        let taken =
            state.bind_port(&lab.cloud, &id, "server-2", "compute:nova", "compute-1").unwrap_err();
        assert_eq!(taken.status, 409);
        id
    };
    let mac = json!({"port": {"mac_address": "fa:16:3e:00:00:09"}});
    assert_eq!(
        error_type(&app.put(&format!("/network/v2.0/ports/{id}"), mac).await),
        (409, "PortBound")
    );
    let mut guard = lab.cloud.lock();
    guard.unbind_port(&lab.cloud, &id);
    assert_eq!(guard.neutron.ports[&id].status(), "DOWN");
    assert!(guard.delete_port(&id).is_ok());
    assert_eq!(guard.delete_port(&id).unwrap_err().status, 404);
}

#[tokio::test]
async fn images_are_made_filled_patched_and_hidden_from_others() {
    let lab = Lab::new();
    let (app, other) = (lab.app().await, lab.login("other-user", "other").await);
    let body = json!({"name": "golden", "disk_format": "raw", "container_format": "bare", "hw_firmware_type": "uefi"});
    let made = app.post("/image/v2/images", body).await;
    assert_eq!((made.status.as_u16(), made.body["status"].as_str()), (201, Some("queued")));
    let path = format!("/image/v2/images/{}", made.body["id"].as_str().unwrap());
    assert_eq!(app.put(&format!("{path}/file"), json!("bytes")).await.status, 204);
    assert_eq!(app.put(&format!("{path}/file"), json!("bytes")).await.status, 409);
    let shown = app.get(&path).await;
    assert_eq!(
        (shown.body["status"].as_str(), shown.body["size"].as_u64()),
        (Some("active"), Some(7))
    );
    assert_eq!(&app.get(&format!("{path}/file")).await.bytes[..], b"\"bytes\"");
    let patch = json!([{"op": "replace", "path": "/name", "value": "silver"}, {"op": "add", "path": "/os_type", "value": "linux"}, {"op": "remove", "path": "/hw_firmware_type"}]);
    let patched = app.patch(&path, patch).await;
    assert_eq!(
        (patched.body["name"].as_str(), patched.body["os_type"].as_str()),
        (Some("silver"), Some("linux"))
    );
    assert!(patched.body.get("hw_firmware_type").is_none());
    assert_eq!(
        app.patch(&path, json!([{"op": "replace", "path": "/visibility", "value": "public"}]))
            .await
            .status,
        403
    );
    assert_eq!(other.get(&path).await.status, 404);
    assert_eq!(other.get("/image/v2/images").await.body["images"].as_array().unwrap().len(), 1);
    assert_eq!(other.get("/image/v2/images?visibility=private").await.body["images"], json!([]));
    app.patch(&path, json!([{"op": "replace", "path": "/protected", "value": true}])).await;
    assert_eq!(app.delete(&path).await.status, 403);
    app.patch(&path, json!([{"op": "replace", "path": "/protected", "value": false}])).await;
    assert_eq!(app.delete(&path).await.status, 204);
}

#[tokio::test]
async fn glance_says_html_to_those_who_do_not_ask_for_json() {
    let lab = Lab::new();
    let app = lab.app().await;
    let plain =
        lab.raw("GET", "/image/v2/images/none", &[("x-auth-token", &app.secret)], None).await;
    assert_eq!(plain.status, 404);
    assert!(String::from_utf8_lossy(&plain.bytes).contains("<title>404 Not Found</title>"));
    assert_eq!(app.get("/image/v2/images/none").await.body["title"], "Not Found");
}
