//! Two linked arrays served on their own, with somebody else's certificate.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use chrono::{TimeZone, Utc};
use protector_sim::pair::{Pair, PairEnd};
use protector_types::{Clock, ManualClock};
use serde_json::{Value, json};

fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::new(Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap()))
}

fn end(name: &str, listen: &str) -> PairEnd {
    PairEnd {
        name: name.into(),
        listen: listen.parse().unwrap(),
        token: format!("token-of-{name}"),
    }
}

async fn get(client: &reqwest::Client, base: &str, token: &str, path: &str) -> Value {
    let login = client
        .post(format!("{base}/api/2.36/login"))
        .header("api-token", token)
        .send()
        .await
        .unwrap();
    let session = login.headers()["x-auth-token"].clone();
    let answer =
        client.get(format!("{base}/api/2.36/{path}")).header("x-auth-token", session).send();
    serde_json::from_str(&answer.await.unwrap().text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn both_arrays_answer_under_their_names_and_know_each_other() {
    // Whichever test came first installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (params.self_signed(&key).unwrap().pem(), key.serialize_pem());
    let ends = [end("fa-a", "127.0.0.1:0"), end("fa-b", "127.0.0.1:0")];
    let pair = Pair::serve(ends, &cert, &key, clock(), 1).await.unwrap();

    let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap();
    for (at, (own, peer)) in [("fa-a", "fa-b"), ("fa-b", "fa-a")].into_iter().enumerate() {
        let (url, token) = (pair.servers()[at].url(), format!("token-of-{own}"));
        assert_eq!(get(&client, &url, &token, "arrays").await["items"][0]["name"], json!(own));
        let links = get(&client, &url, &token, "array-connections").await;
        assert_eq!(links["items"][0]["name"], json!(peer));
    }

    let taken = pair.servers()[0].addr().to_string();
    // The first array loses power and gets it back; the second one answers all the time and sees the wire go and come.
    let urls = [0, 1].map(|at: usize| pair.servers()[at].url());
    let links = || get(&client, &urls[1], "token-of-fa-b", "array-connections");
    for (state, wire) in [("off", "connecting"), ("on", "connected")] {
        let power = client.post(format!("{}/_sim/peer-power?state={state}", urls[1]));
        assert_eq!(power.send().await.unwrap().status(), 204);
        let reached = client.get(format!("{}/api/api_version", urls[0])).send().await;
        assert_eq!(reached.is_ok(), state == "on");
        assert_eq!(links().await["items"][0]["status"], json!(wire));
    }
    let none = client.post(format!("{}/_sim/peer-power?state=half", urls[1])).send().await;
    assert_eq!(none.unwrap().status(), 400);

    let again = [end("fa-a", &taken), end("fa-b", "127.0.0.1:0")];
    let error = Pair::serve(again, &cert, &key, clock(), 1).await.err().unwrap();
    assert!(error.is_in_use(), "{error}");
    pair.stop().await;
}
