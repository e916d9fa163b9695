//! Every kind of fault, in process.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use common::{Answer, Lab, Token};
use protector_sim::{
    cloud::Profile,
    faults::{Effect, Partition, Rule, When},
};
use serde_json::json;

const NETWORKS: &str = "/network/v2.0/networks";

async fn make(token: &Token<'_>, name: &str) -> Answer {
    token.post(NETWORKS, json!({"network": {"name": name}})).await
}

fn exists(lab: &Lab, name: &str) -> bool {
    lab.cloud.lock().neutron.networks.values().any(|n| n.common.name == name)
}

/// Polls a call while the clock moves, until it answers.
async fn moving(lab: &Lab, seconds: u64, call: impl Future<Output = Answer>) -> Answer {
    tokio::pin!(call);
    for _ in 0..=seconds {
        tokio::select! {
            biased;
            answer = &mut call => return answer,
            () = tokio::time::sleep(Duration::from_millis(2)) => lab.advance(1),
        }
    }
    panic!("no answer after {seconds} s");
}

/// Lets spawned work run.
async fn quiet() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

#[tokio::test]
async fn refused_calls_have_no_effect() {
    let lab = Lab::new();
    let app = lab.app().await;
    lab.plan.add(Rule::new(Effect::Refuse).service("network").method("POST"));
    assert!(make(&app, "n").await.refused);
    assert!(!exists(&lab, "n"));
    assert_eq!(app.get(NETWORKS).await.status, 200, "other methods pass");
    assert_eq!(lab.plan.counts(None)["refuse"], 1);
}

#[tokio::test]
async fn a_time_out_before_hangs_without_effect() {
    let lab = Lab::new();
    let app = lab.app().await;
    lab.plan.add(Rule::new(Effect::TimeoutBefore { hang_ms: 30_000 }).path("/networks").times(1));
    let answer = moving(&lab, 40, make(&app, "n")).await;
    assert!(answer.dropped && !exists(&lab, "n"));
    assert!(lab.cloud.now().timestamp() >= 30 + 1_767_225_600);
    assert_eq!(make(&app, "n").await.status, 201, "only once");
}

#[tokio::test]
async fn a_time_out_after_hangs_with_effect() {
    let lab = Lab::new();
    let app = lab.app().await;
    lab.plan.add(Rule::new(Effect::TimeoutAfter { hang_ms: 10_000 }).body("\"n\""));
    let answer = moving(&lab, 20, make(&app, "n")).await;
    assert!(answer.dropped && exists(&lab, "n"));
}

#[tokio::test]
async fn a_late_effect_lands_after_the_call_was_given_up() {
    let lab = Lab::new();
    let app = lab.app().await;
    lab.plan.add(Rule::new(Effect::LateEffect { secs: 5, hang_ms: 0 }).method("POST").times(1));
    assert!(make(&app, "n").await.dropped);
    quiet().await;
    lab.advance(4);
    quiet().await;
    assert!(!exists(&lab, "n"));
    lab.advance(1);
    quiet().await;
    assert!(exists(&lab, "n"));
}

#[tokio::test]
async fn a_power_cut_takes_late_effects_along() {
    let lab = Lab::new();
    let app = lab.app().await;
    lab.plan.add(Rule::new(Effect::LateEffect { secs: 5, hang_ms: 0 }).method("POST"));
    assert!(make(&app, "n").await.dropped);
    quiet().await;
    lab.cloud.gate().cut_power();
    lab.advance(10);
    quiet().await;
    assert!(!exists(&lab, "n"));
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_stop_the_server() {
    let lab = Lab::with(1, Profile { call_ms: (2_000, 2_000), ..Profile::default() });
    let app = {
        let login = lab.app();
        tokio::pin!(login);
        loop {
            tokio::select! {
                biased;
                app = &mut login => break app,
                () = tokio::time::sleep(Duration::from_millis(2)) => lab.advance(1),
            }
        }
    };
    let gone = tokio::time::timeout(Duration::from_millis(20), make(&app, "n")).await;
    assert!(gone.is_err() && !exists(&lab, "n"));
    lab.advance(2);
    quiet().await;
    assert!(exists(&lab, "n"));
}

#[tokio::test]
async fn statuses_speak_the_services_own_words() {
    let lab = Lab::new();
    let app = lab.app().await;
    let id =
        lab.plan.add(Rule::new(Effect::Status { code: 503, message: None, retry_after: Some(7) }));
    let neutron = app.get(NETWORKS).await;
    assert_eq!(neutron.body["NeutronError"]["type"], "HTTPServiceUnavailable");
    assert_eq!(neutron.headers["retry-after"], "7");
    assert!(neutron.headers.contains_key("x-openstack-request-id"));
    let nova = app.get("/compute/v2.1/servers").await;
    assert_eq!(nova.body["serviceUnavailable"]["code"], 503);
    let keystone = app.get("/identity/v3/auth/projects").await;
    assert_eq!(keystone.body["error"]["code"], 503);
    assert!(lab.plan.remove(id) && !lab.plan.remove(id));
    lab.plan.add(Rule::new(Effect::Status { code: 429, message: None, retry_after: None }));
    assert_eq!(app.get("/volume/v3/volumes").await.body["overLimit"]["code"], 429);
    lab.plan.clear(None);
    lab.plan.add(Rule::new(Effect::Status { code: 401, message: None, retry_after: None }));
    let refused = app.get(NETWORKS).await;
    assert_eq!((refused.status.as_u16(), refused.body["error"]["code"].as_u64()), (401, Some(401)));
}

#[tokio::test]
async fn stale_lists_miss_what_is_young_and_keep_what_is_gone() {
    let lab = Lab::new();
    let app = lab.app().await;
    lab.plan.add(Rule::new(Effect::Stale { ms: 2_000 }).path(NETWORKS));
    let names = |answer: &Answer| -> Vec<String> {
        let list = answer.body["networks"].as_array().unwrap().iter();
        list.map(|n| n["name"].as_str().unwrap().to_owned()).collect()
    };
    let made = make(&app, "n").await;
    assert_eq!(made.status, 201, "writes are not stale");
    assert!(!names(&app.get(NETWORKS).await).contains(&"n".to_owned()));
    lab.advance(3);
    assert!(names(&app.get(NETWORKS).await).contains(&"n".to_owned()));
    lab.advance(1);
    let path = format!("{NETWORKS}/{}", made.body["network"]["id"].as_str().unwrap());
    assert_eq!(app.delete(&path).await.status, 204);
    lab.advance(1);
    assert!(names(&app.get(NETWORKS).await).contains(&"n".to_owned()), "still as it was");
    lab.advance(2);
    assert!(!names(&app.get(NETWORKS).await).contains(&"n".to_owned()));
}

#[tokio::test]
async fn slow_calls_take_their_time_on_the_clock() {
    let lab = Lab::new();
    let app = lab.app().await;
    lab.plan.add(Rule::new(Effect::Slow { ms: 5_000 }).when(When::Nth(vec![2])));
    let before = lab.cloud.now();
    assert_eq!(app.get(NETWORKS).await.status, 200);
    assert_eq!(lab.cloud.now(), before);
    assert_eq!(moving(&lab, 10, app.get(NETWORKS)).await.status, 200);
    assert!((lab.cloud.now() - before).num_seconds() >= 5);
}

#[tokio::test]
async fn partitions_refuse_or_hang_until_they_end() {
    let lab = Lab::new();
    let app = lab.app().await;
    lab.plan.partition("site-b", Some(Partition::Refuse));
    assert_eq!(app.get(NETWORKS).await.status, 200, "another site");
    lab.plan.partition("site-a", Some(Partition::Refuse));
    assert!(app.get(NETWORKS).await.refused);
    let dump = lab.raw("GET", "/_sim/dump", &[], None).await;
    assert_eq!(dump.body["name"], "site-a", "the tests' door stays open");
    lab.plan.partition("site-a", Some(Partition::Hang));
    let hanging = app.get(NETWORKS);
    tokio::pin!(hanging);
    for _ in 0..50 {
        lab.advance(10);
        let early = tokio::time::timeout(Duration::from_millis(1), &mut hanging).await;
        assert!(early.is_err());
    }
    lab.plan.partition("site-a", None);
    assert!(moving(&lab, 5, hanging).await.dropped);
    assert_eq!(app.get(NETWORKS).await.status, 200);
}

#[tokio::test]
async fn a_partition_loses_the_answers_of_calls_under_way() {
    let lab = Lab::new();
    let app = lab.app().await;
    lab.plan.add(Rule::new(Effect::Slow { ms: 5_000 }).method("POST"));
    let call = make(&app, "n");
    tokio::pin!(call);
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut call).await.is_err());
    lab.plan.partition("site-a", Some(Partition::Refuse));
    let answer = moving(&lab, 10, call).await;
    assert!(
        answer.dropped && !answer.refused,
        "nobody may take it for an effect that did not happen"
    );
    assert!(exists(&lab, "n"));
}

/// Outcomes of the same calls in another order.
async fn outcomes(seed: u64, backwards: bool) -> Vec<bool> {
    let lab = Lab::with(seed, Profile::default());
    let app = lab.app().await;
    lab.plan.add(Rule::new(Effect::Refuse).when(When::Probability(0.5)).method("GET"));
    let mut paths: Vec<String> = (0..40).map(|n| format!("{NETWORKS}?name=n{}", n % 20)).collect();
    if backwards {
        paths.reverse();
    }
    let mut out = std::collections::BTreeMap::<String, Vec<bool>>::new();
    for path in paths {
        let refused = app.get(&path).await.refused;
        out.entry(path).or_default().push(refused);
    }
    out.into_values().flatten().collect()
}

#[tokio::test]
async fn draws_depend_on_the_seed_and_the_call_and_not_on_order() {
    let first = outcomes(7, false).await;
    assert_eq!(first, outcomes(7, true).await);
    assert_ne!(first, outcomes(8, false).await);
    let hits = first.iter().filter(|d| **d).count();
    assert!((8..=32).contains(&hits), "{hits} of 40");
    assert!(first.chunks(2).any(|c| c[0] != c[1]), "attempts of one call differ");
}

#[tokio::test]
async fn rules_come_and_go_over_http() {
    let lab = Lab::new();
    let app = lab.app().await;
    let rule = json!({"service": "network", "when": {"nth": [1]}, "effect": {"kind": "status", "code": 500}});
    let added =
        lab.raw("POST", "/_sim/faults", &[("content-type", "application/json")], Some(rule)).await;
    assert_eq!((added.status.as_u16(), &added.body), (201, &json!({"ids": [1]})));
    assert_eq!(app.get(NETWORKS).await.status, 500);
    assert_eq!(app.get(NETWORKS).await.status, 200);
    let listed = lab.raw("GET", "/_sim/faults", &[], None).await;
    assert_eq!(
        (listed.body["rules"][0]["hits"].as_u64(), listed.body["counts"]["status"].as_u64()),
        (Some(1), Some(1))
    );
    assert_eq!(listed.body["rules"][0]["rule"]["site"], "site-a");
    assert_eq!(lab.raw("DELETE", "/_sim/faults?id=9", &[], None).await.status, 404);
    assert_eq!(lab.raw("DELETE", "/_sim/faults", &[], None).await.status, 204);
    let bad = lab
        .raw(
            "POST",
            "/_sim/faults",
            &[("content-type", "application/json")],
            Some(json!({"effect": {"kind": "x"}})),
        )
        .await;
    assert_eq!(bad.status, 400);
    let quota = json!({"service": "network", "resource": "network", "limit": 1});
    lab.raw("POST", "/_sim/quota", &[("content-type", "application/json")], Some(quota)).await;
    assert_eq!(make(&app, "n").await.body["NeutronError"]["type"], "OverQuota");
    let policy = json!({"volume_extension:volume_manage": "role:protector"});
    lab.raw("POST", "/_sim/policy", &[("content-type", "application/json")], Some(policy)).await;
    assert_eq!(
        lab.cloud.lock().policy("volume_extension:volume_manage", "rule:admin_api"),
        "role:protector"
    );
}
