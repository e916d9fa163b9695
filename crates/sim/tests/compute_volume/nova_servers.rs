//! Power, locks, deletion.

use serde_json::json;

use crate::support::Lab;

#[tokio::test]
async fn stop_and_start_take_time_and_refuse_wrong_states() {
    let lab = Lab::new();
    let user = lab.member().await;
    let (id, volume, _) = lab.server(&user, "s").await;
    assert_eq!(
        user.act(&id, json!({"os-start": null})).await.refused(409),
        format!("Cannot 'start' instance {id} while it is in vm_state active")
    );
    user.act(&id, json!({"os-stop": null})).await.expect(202);
    let seen = user.server(&id).await;
    assert_eq!(
        (seen["status"].as_str(), seen["OS-EXT-STS:task_state"].as_str()),
        (Some("ACTIVE"), Some("powering-off"))
    );
    assert_eq!(
        user.act(&id, json!({"os-stop": null})).await.refused(409),
        format!("Cannot 'stop' instance {id} while it is in task_state powering-off")
    );
    lab.tick();
    let seen = user.server(&id).await;
    assert_eq!(
        (seen["status"].as_str(), seen["OS-EXT-STS:power_state"].as_u64()),
        (Some("SHUTOFF"), Some(4))
    );
    assert_eq!(user.volume(&volume).await["status"], "in-use");
    let host = lab.cloud().array_host_of(&id).unwrap();
    assert!(
        lab.array().is_connected(&host, &format!("volume-{volume}-cinder")),
        "stop keeps the connection"
    );
    assert_eq!(
        user.act(&id, json!({"os-stop": null})).await.refused(409),
        format!("Cannot 'stop' instance {id} while it is in vm_state stopped")
    );
    user.act(&id, json!({"os-start": null})).await.expect(202);
    lab.tick();
    assert_eq!(user.server(&id).await["status"], "ACTIVE");
    user.act(&id, json!({"reboot": {"type": "SOFT"}})).await.expect(202);
    assert_eq!(user.server(&id).await["status"], "REBOOT");
    lab.tick();
    user.act(&id, json!({"reboot": {"type": "HARD"}})).await.expect(202);
    assert_eq!(user.server(&id).await["status"], "HARD_REBOOT");
    lab.tick();
    assert_eq!(user.server(&id).await["status"], "ACTIVE");
    user.act(&id, json!({"reboot": {"type": "odd"}})).await.expect(400);
    user.act(&id, json!({"nonsense": null})).await.expect(400);
    let history = user
        .compute("GET", &format!("servers/{id}/os-instance-actions"), 60, None)
        .await
        .expect(200);
    let actions: Vec<_> = history["instanceActions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["action"].clone())
        .collect();
    assert_eq!(actions, ["reboot", "reboot", "start", "stop", "create"]);
}

#[tokio::test]
async fn a_lock_holds_against_everybody_but_admins() {
    let lab = Lab::new();
    let (user, admin) = (lab.member().await, lab.admin().await);
    let (id, _, _) = lab.server(&user, "s").await;
    user.act(&id, json!({"lock": {"locked_reason": "mine"}})).await.expect(202);
    let seen = user.server(&id).await;
    assert_eq!(
        (seen["locked"].as_bool(), seen["locked_reason"].as_str()),
        (Some(true), Some("mine"))
    );
    for action in [json!({"os-stop": null}), json!({"reboot": {"type": "SOFT"}})] {
        assert_eq!(user.act(&id, action).await.refused(409), format!("Instance {id} is locked"));
    }
    let refused = user.compute("DELETE", &format!("servers/{id}"), 60, None).await.refused(409);
    assert_eq!(refused, format!("Instance {id} is locked"));
    admin.act(&id, json!({"os-stop": null})).await.expect(202);
    lab.tick();
    user.act(&id, json!({"unlock": null})).await.expect(202);
    assert_eq!(user.server(&id).await["locked"], false);
    admin.act(&id, json!({"lock": null})).await.expect(202);
    let refused = user.act(&id, json!({"unlock": null})).await.refused(403);
    assert!(refused.contains("unlock_override"), "{refused}");
    assert_eq!(
        user.act(&id, json!({"os-start": null})).await.refused(409),
        format!("Instance {id} is locked")
    );
    admin.act(&id, json!({"unlock": null})).await.expect(202);
    user.act(&id, json!({"os-start": null})).await.expect(202);
}

#[tokio::test]
async fn delete_keeps_passed_in_ports_and_volumes() {
    let lab = Lab::new();
    let user = lab.member().await;
    let (id, volume, port) = lab.server(&user, "s").await;
    user.compute("DELETE", &format!("servers/{id}"), 60, None).await.expect(204);
    assert_eq!(user.server(&id).await["OS-EXT-STS:task_state"], "deleting");
    lab.tick();
    assert_eq!(
        user.compute("GET", &format!("servers/{id}"), 60, None).await.refused(404),
        format!("Instance {id} could not be found.")
    );
    let seen = user.volume(&volume).await;
    assert_eq!(
        (seen["status"].as_str(), seen["attachments"].as_array().unwrap().len()),
        (Some("available"), 0)
    );
    assert_eq!(lab.array().volume(&format!("volume-{volume}-cinder")).unwrap().connection_count, 0);
    let port = user.network("GET", &format!("ports/{port}"), None).await.expect(200)["port"].take();
    assert_eq!((port["status"].as_str(), port["device_id"].as_str()), (Some("DOWN"), Some("")));
}

#[tokio::test]
async fn reset_state_and_other_projects() {
    let lab = Lab::new();
    let (user, other, admin) = (lab.member().await, lab.other().await, lab.admin().await);
    let (id, _, _) = lab.server(&user, "s").await;
    other.act(&id, json!({"os-stop": null})).await.expect(404);
    other.compute("DELETE", &format!("servers/{id}"), 60, None).await.expect(404);
    user.act(&id, json!({"os-resetState": {"state": "error"}})).await.expect(403);
    admin.act(&id, json!({"os-resetState": {"state": "error"}})).await.expect(202);
    assert_eq!(user.server(&id).await["status"], "ERROR");
    admin.act(&id, json!({"os-resetState": {"state": "paused"}})).await.expect(400);
    admin.act(&id, json!({"os-resetState": {"state": "active"}})).await.expect(202);
    assert_eq!(user.server(&id).await["status"], "ACTIVE");
    let output = user.act(&id, json!({"os-getConsoleOutput": {}})).await.expect(200);
    assert!(output["output"].as_str().unwrap().contains("login"));
}
