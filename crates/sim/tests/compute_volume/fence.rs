//! What a fence on the array does to a server.

use serde_json::json;

use crate::support::Lab;

#[tokio::test]
async fn a_server_does_not_start_without_its_array_connection() {
    let lab = Lab::new();
    let user = lab.member().await;
    let (id, volume, _) = lab.server(&user, "s").await;
    let name = format!("volume-{volume}-cinder");
    let host = lab.cloud().array_host_of(&id).unwrap();
    user.act(&id, json!({"os-stop": null})).await.expect(202);
    lab.tick();
    lab.array().disconnect(&host, &name).unwrap();
    assert_eq!(user.volume(&volume).await["status"], "in-use", "Cinder does not notice");
    user.act(&id, json!({"os-start": null})).await.expect(202);
    lab.tick();
    let seen = user.server(&id).await;
    assert_eq!(
        (seen["status"].as_str(), seen["OS-EXT-STS:task_state"].is_null()),
        (Some("SHUTOFF"), true)
    );
    let history = user
        .compute("GET", &format!("servers/{id}/os-instance-actions"), 84, None)
        .await
        .expect(200);
    assert_eq!(history["instanceActions"][0]["action"], "start");
    assert_eq!(history["instanceActions"][0]["message"], "Error");
    let request = history["instanceActions"][0]["request_id"].as_str().unwrap();
    let action = user
        .compute("GET", &format!("servers/{id}/os-instance-actions/{request}"), 84, None)
        .await
        .expect(200);
    assert_eq!(action["instanceAction"]["events"][0]["result"], "Error");
    lab.array().connect(&host, &name).unwrap();
    user.act(&id, json!({"os-start": null})).await.expect(202);
    lab.tick();
    assert_eq!(user.server(&id).await["status"], "ACTIVE");
}

#[tokio::test]
async fn a_hard_reboot_without_the_connection_ends_in_error() {
    let lab = Lab::new();
    let user = lab.member().await;
    let (id, volume, _) = lab.server(&user, "s").await;
    let host = lab.cloud().array_host_of(&id).unwrap();
    lab.array().disconnect(&host, &format!("volume-{volume}-cinder")).unwrap();
    user.act(&id, json!({"reboot": {"type": "HARD"}})).await.expect(202);
    lab.tick();
    let seen = user.server(&id).await;
    assert_eq!(seen["status"], "ERROR");
    assert!(seen["fault"]["message"].as_str().unwrap().contains(&volume));
}

#[tokio::test]
async fn only_a_running_connected_guest_writes() {
    let lab = Lab::new();
    let user = lab.member().await;
    let (id, volume, _) = lab.server(&user, "s").await;
    let cloud = lab.cloud();
    cloud.guest_write(&id, &volume, "one").unwrap();
    let host = cloud.array_host_of(&id).unwrap();
    let name = format!("volume-{volume}-cinder");
    lab.array().disconnect(&host, &name).unwrap();
    assert!(
        cloud.guest_write(&id, &volume, "fenced").unwrap_err().to_string().contains("I/O error")
    );
    lab.array().connect(&host, &name).unwrap();
    cloud.guest_write(&id, &volume, "two").unwrap();
    let strange = lab.volume(&user, "v", "plain", false).await;
    assert!(
        cloud.guest_write(&id, &strange, "x").unwrap_err().to_string().contains("not attached")
    );
    user.act(&id, json!({"os-stop": null})).await.expect(202);
    lab.tick();
    assert!(
        cloud.guest_write(&id, &volume, "stopped").unwrap_err().to_string().contains("SHUTOFF")
    );
    assert_eq!(cloud.volume_content(&volume).unwrap(), ["one", "two"]);
}

/// With a real clock nobody has to look: the cloud keeps itself up to its time.
#[tokio::test]
async fn work_falls_due_without_anybody_looking() {
    let lab = Lab::new();
    let user = lab.member().await;
    let body = json!({"volume": {"name": "v", "size": 1, "volume_type": "plain"}});
    let made = user.post("volumes", body).await.expect(202);
    let name = format!("volume-{}-cinder", made["volume"]["id"].as_str().unwrap());
    assert!(lab.array().volume(&name).is_none());
    lab.clock.advance(std::time::Duration::from_secs(1));
    for _ in 0..1000 {
        if lab.array().volume(&name).is_some() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the volume was not made");
}
