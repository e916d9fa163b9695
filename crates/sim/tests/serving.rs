//! A whole world over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{sync::Arc, time::Duration};

use chrono::{TimeZone, Utc};
use common::{password, word};
use protector_sim::{
    faults::{Effect, Partition, Rule},
    world::{ServeOptions, Served, World, WorldConfig},
};
use protector_types::ManualClock;
use serde_json::{Value, json};

async fn world() -> (World, Served, ManualClock) {
    let clock = ManualClock::new(Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap());
    let world = World::new(WorldConfig::new(3, Arc::new(clock.clone())));
    let served =
        world.serve(ServeOptions { array_plain: true, ..ServeOptions::default() }).await.unwrap();
    (world, served, clock)
}

fn client(ca: &str) -> reqwest::Client {
    // Another crate of the tests may have installed it already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let ca = reqwest::Certificate::from_pem(ca.as_bytes()).unwrap();
    reqwest::Client::builder().tls_certs_only([ca]).timeout(Duration::from_secs(5)).build().unwrap()
}

async fn login(client: &reqwest::Client, url: &str) -> reqwest::Result<(String, Value)> {
    let body = password("app-user", &word("app-user"), "app");
    let response = client.post(format!("{url}/identity/v3/auth/tokens")).json(&body).send().await?;
    assert_eq!(response.status(), 201);
    let token = response.headers()["x-subject-token"].to_str().unwrap().to_owned();
    Ok((token, response.json().await?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn catalogs_point_to_the_ports_and_arrays_speak_tls() {
    let (world, served, _clock) = world().await;
    let client = client(&served.ca_pem);
    for (site, running) in world.sites().iter().zip(&served.sites) {
        let url = running.cloud.url();
        let (_, body) = login(&client, &url).await.unwrap();
        let network = body["token"]["catalog"]
            .as_array()
            .unwrap()
            .iter()
            .find(|s| s["type"] == "network")
            .unwrap();
        assert_eq!(network["endpoints"][0]["url"], format!("{url}/network"));
        for array in [running.array.url(), running.array_plain.as_ref().unwrap().url()] {
            let versions: Value = client
                .get(format!("{array}/api/api_version"))
                .send()
                .await
                .unwrap()
                .json()
                .await
                .unwrap();
            assert!(versions["version"].as_array().is_some_and(|v| !v.is_empty()));
        }
        let dump: Value = client
            .get(format!("{}/_sim/dump", running.array.url()))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert!(dump.is_object());
        assert_eq!(site.cloud.base_url(), url);
    }
    let dump = world.dump();
    assert!(dump["clouds"]["site-a"]["network"]["networks"].as_array().unwrap().len() >= 3);
    assert!(dump["arrays"]["array-b"].is_object());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_calls_close_the_socket() {
    let (world, served, _clock) = world().await;
    let client = client(&served.ca_pem);
    let url = served.sites[0].cloud.url();
    let id = world.faults().add(Rule::new(Effect::Refuse).site("site-a"));
    let error = login(&client, &url).await.unwrap_err();
    assert!(error.is_request() && !error.is_timeout() && error.status().is_none(), "{error:?}");
    assert!(login(&client, &served.sites[1].cloud.url()).await.is_ok());
    world.faults().remove(id);
    assert!(login(&client, &url).await.is_ok());
    world.partition("site-a", Some(Partition::Refuse));
    assert!(login(&client, &url).await.is_err());
    let array = served.sites[0].array.url();
    assert!(client.get(format!("{array}/api/api_version")).send().await.is_err());
    world.partition("site-a", None);
    assert!(login(&client, &url).await.is_ok());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_site_is_gone_and_comes_back_with_its_state() {
    let (world, served, _clock) = world().await;
    let client = client(&served.ca_pem);
    let url = served.sites[0].cloud.url();
    let (token, _) = login(&client, &url).await.unwrap();
    let networks = format!("{url}/network/v2.0/networks");
    let make = |name: &str| {
        client
            .post(&networks)
            .header("x-auth-token", &token)
            .json(&json!({"network": {"name": name}}))
            .send()
    };
    assert_eq!(make("kept").await.unwrap().status(), 201);
    // Under way when the power goes: never answered, never done.
    world.faults().add(Rule::new(Effect::Slow { ms: 1_000_000 }).body("lost").times(1));
    let under_way = tokio::spawn(make("lost"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    served.sites[0].kill().await;
    assert!(under_way.await.unwrap().is_err());
    let error = make("refused").await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    served.sites[0].restart().await.unwrap();
    assert_eq!(served.sites[0].cloud.url(), url);
    let listed: Value = client
        .get(&networks)
        .header("x-auth-token", &token)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let names: Vec<&str> = listed["networks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"kept") && !names.contains(&"lost"), "{names:?}");
    served.stop().await;
    assert!(login(&client, &url).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clouds_speak_tls_if_wished_and_say_so_in_the_catalog() {
    let clock = ManualClock::new(Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap());
    let world = World::new(WorldConfig::new(3, Arc::new(clock)));
    let options = ServeOptions { cloud_tls: true, ..ServeOptions::default() };
    let served = world.serve(options).await.unwrap();
    let url = served.sites[1].cloud.url();
    assert!(url.starts_with("https://"));
    let (_, body) = login(&client(&served.ca_pem), &url).await.unwrap();
    let catalog = body["token"]["catalog"].as_array().unwrap();
    assert!(catalog.iter().all(|s| s["endpoints"][0]["url"].as_str().unwrap().starts_with(&url)));
    let clock = ManualClock::new(Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap());
    let stranger = World::new(WorldConfig::new(3, Arc::new(clock)));
    let other = stranger.serve(ServeOptions::default()).await.unwrap();
    assert!(login(&client(&other.ca_pem), &url).await.is_err(), "another authority is not trusted");
    served.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn hosts_are_routed_in_process() {
    let clock = ManualClock::new(Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap());
    let world = World::new(WorldConfig::new(3, Arc::new(clock)));
    for host in ["site-a", "site-b.sim", "array-a.sim", "array-b"] {
        let router = world.route(host).unwrap();
        let dump = common::send(&router, "GET", "/_sim/dump", &[], None).await;
        assert!(dump.body.is_object(), "{host}");
    }
    assert!(world.route("nowhere").is_none());
    let array = world.route("array-a").unwrap();
    world.faults().add(
        Rule::new(Effect::Status { code: 429, message: None, retry_after: Some(1) })
            .service("array"),
    );
    let busy = common::send(&array, "GET", "/api/api_version", &[], None).await;
    assert_eq!((busy.status.as_u16(), busy.body["message"].is_string()), (429, true));
}
