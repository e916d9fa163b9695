//! What a target server wrote before it was undone.

use protector_demo::rest::text;
use protector_sim::faults::{Effect, Rule};
use serde_json::json;

use super::{act, ask, finish, group, holdings, mapped, servers, statuses};
use crate::support::Theatre;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_of_an_undone_server_are_kept_under_a_name() {
    let t = Theatre::open().await;
    // The database is never built, so that there is time before the point of no return.
    let effect = Effect::Status { code: 503, message: None, retry_after: None };
    let rule = Rule::new(effect).site("site-b").service("compute").method("POST").body("\"db-1\"");
    t.stage.world.faults().add(rule);
    let started = ask(&t, 0, "failover", mapped(json!({}))).await;
    assert_eq!(started.status, 202, "{}", started.body);
    let id = text(&started.body, "/operation/id").unwrap();
    let up = loop {
        let up = servers(&t, 1).await;
        if statuses(&up) == [("web-1", "ACTIVE"), ("web-2", "ACTIVE")] {
            break up;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    for server in up.values() {
        let server_id = text(server, "/id").unwrap();
        for volume in server["os-extended-volumes:volumes_attached"].as_array().unwrap() {
            let volume = text(volume, "/id").unwrap();
            t.stage.world.cloud(1).guest_write(&server_id, &volume, "acknowledged").unwrap();
        }
    }
    let cancelled = ask(&t, 0, "cancel", json!({})).await;
    assert_eq!(cancelled.status, 202, "{}", cancelled.body);
    let record = finish(&t, 0, &id).await;
    assert_eq!(record["status"], "cancelled", "{record}");
    assert_eq!(group(&t, 0).await["status"], "active");
    // The primary runs again; nothing of the target's servers is left but what they wrote.
    assert!(servers(&t, 0).await.values().all(|s| s["status"] == "ACTIVE"));
    assert!(servers(&t, 1).await.is_empty());
    let kept: Vec<String> = holdings(&t, 1)["array_volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kept.len(), 4, "{kept:?}");
    for name in &kept {
        assert!(name.ends_with("-late"), "{name}");
        let content = t.stage.world.array(1).content(name).unwrap();
        assert_eq!(content.last().map(String::as_str), Some("acknowledged"), "{name}");
        let snapshot = t.stage.world.array(1).snapshot_content(&format!("{name}.late-writes"));
        assert_eq!(snapshot.unwrap(), content, "{name}");
    }
    let told = record["result_data"]["kept"].as_array().unwrap();
    assert_eq!(told.len(), 2, "{record}");
    assert!(
        kept.iter().all(|name| record["result_data"]["kept"].to_string().contains(name.as_str()))
    );
    // And a failover works after that.
    t.stage.world.faults().clear(None);
    let again = act(&t, 0, "failover", mapped(json!({}))).await;
    assert_eq!(again["status"], "completed", "{again}");
    t.close().await;
}
