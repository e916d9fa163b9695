//! Plans that cannot work.

use protector_demo::stage::{FLAVORS, NETWORKS};
use protector_sim::cloud::Service;
use serde_json::{Value, json};

use super::{
    VALUE,
    support::{Case, Theatre},
};

/// Plans that cannot work: every reason is listed.
// tidy: allow long function: a table
pub async fn plans(t: &Theatre) {
    let url = format!("{}/action", t.group_url(0));
    let post = |networks: Value, flavors: Value, status, code, words: &[&str]| {
        Case::new(
            "POST",
            &url,
            json!({"failover": {"network_mapping": networks, "flavor_mapping": flavors}}),
            status,
            code,
            words,
        )
    };
    let [web, db] = NETWORKS[0];
    let [web_b, db_b] = NETWORKS[1];
    let networks = json!({web: web_b, db: db_b});
    let flavors = json!({FLAVORS[0]: FLAVORS[1]});
    let twins = t
        .stage
        .world
        .cloud(1)
        .lock()
        .neutron
        .networks
        .values()
        .filter(|n| n.common.name == "twin-net")
        .map(|n| n.common.id.clone())
        .collect::<Vec<_>>();
    assert_eq!(twins.len(), 2);
    let missing = "mapping.missing";
    post(json!({web: web_b}), flavors.clone(), 409, missing, &["db-1", db, "network_mapping"])
        .check(t)
        .await;
    post(
        json!({web: web_b}),
        json!({}),
        409,
        missing,
        &["web-1", "web-2", "db-1", db, "m1.large", "flavor_mapping", "m2.large"],
    )
    .check(t)
    .await;
    post(
        json!({web: "bbb-nothing", db: db_b}),
        flavors.clone(),
        400,
        "mapping.invalid",
        &["network_mapping", "target site", "bbb-nothing", web_b],
    )
    .check(t)
    .await;
    post(
        json!({"aaa-nothing": web_b, web: web_b, db: db_b}),
        flavors.clone(),
        400,
        "mapping.invalid",
        &["network_mapping", "source site", "aaa-nothing", web],
    )
    .check(t)
    .await;
    post(
        json!({web: "twin-net", db: db_b}),
        flavors.clone(),
        400,
        "mapping.invalid",
        &["twin-net", "ambiguous", &twins[0], &twins[1]],
    )
    .check(t)
    .await;
    post(
        networks.clone(),
        json!({"m1.large": "m9.huge"}),
        400,
        "mapping.invalid",
        &["flavor_mapping", "m9.huge", "m2.large"],
    )
    .check(t)
    .await;

    let quota = |service, what, limit| {
        let project = t.protected.projects[1].clone();
        t.stage.world.cloud(1).lock().quotas.set(service, &project, what, limit);
    };
    quota(Service::Nova, "instances", 2);
    post(
        networks.clone(),
        flavors.clone(),
        409,
        "target.quota",
        &["instances", "3 needed", "2 free of 2", "administrator"],
    )
    .check(t)
    .await;
    quota(Service::Cinder, "gigabytes", 10);
    quota(Service::Cinder, "volumes", 4);
    quota(Service::Neutron, "port", 1);
    let all = ["instances", "gigabytes", "volumes", "ports", "db-1", db];
    post(json!({web: web_b}), flavors.clone(), 409, "target.quota", &all).check(t).await;
    for (service, what, limit) in [
        (Service::Nova, "instances", 10),
        (Service::Cinder, "gigabytes", 1000),
        (Service::Cinder, "volumes", 20),
        (Service::Neutron, "port", 100),
    ] {
        quota(service, what, limit);
    }
    // The documentation's own body has its part in this, too: an old name, one letter away from working.
    post(
        json!({web: web_b, db: db_b}),
        json!({"m1.large ": "m2.large"}),
        400,
        VALUE,
        &["flavor_mapping", "white space"],
    )
    .check(t)
    .await;
}
