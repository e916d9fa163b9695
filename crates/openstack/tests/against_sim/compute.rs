//! Nova.

use protector_ports::{Cloud as _, Keypair, NewServer, ServerFilter};
use protector_sim::{
    cloud::Service,
    faults::{Effect, Rule},
};

use crate::{common::permit, lab::*};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f test";

fn tagged(tag: &str) -> ServerFilter {
    ServerFilter { name: None, tag: Some(tag.into()) }
}

#[tokio::test]
async fn a_server_is_built_from_what_was_prepared() {
    let lab = lab().await;
    let compute = lab.app.compute();
    let group = compute.create_server_group("spread", "anti-affinity").await.unwrap();
    let zone = compute.availability_zones().await.unwrap().remove(0);
    let new = NewServer {
        description: Some("the web server".into()),
        user_data: Some("IyEvYmluL3NoCg==".into()),
        config_drive: true,
        metadata: [("role".to_owned(), "web".to_owned())].into(),
        availability_zone: Some(zone.clone()),
        server_group_id: Some(group.clone()),
        ..lab.new_server("web").await
    };
    let id = compute.create_server(&new).await.unwrap();
    let server = lab.server_in(&id, "ACTIVE").await;
    assert_eq!((server.name.as_str(), server.project_id.as_str()), ("web", lab.project.as_str()));
    assert_eq!(server.user_id, lab.user_id("protector"));
    assert_eq!(server.description.as_deref(), Some("the web server"));
    assert_eq!((server.flavor.name.as_str(), server.flavor.ram_mib), ("m1.tiny", 512));
    assert!(server.config_drive && !server.locked && server.image_id.is_none());
    assert_eq!(server.metadata["role"], "web");
    assert_eq!(server.tags, ["protector-web"]);
    assert_eq!(server.availability_zone.as_deref(), Some(zone.as_str()));
    assert_eq!(server.server_groups, std::slice::from_ref(&group));
    assert!(server.created.is_some());
    let wanted: Vec<_> = new.volumes.iter().map(|v| v.volume_id.clone()).collect();
    let attached = compute.attachments(&id).await.unwrap();
    assert_eq!(attached.iter().map(|a| a.volume_id.clone()).collect::<Vec<_>>(), wanted);
    assert!(
        attached.iter().all(|a| a.device.as_deref().is_some_and(|d| d.starts_with("/dev/"))),
        "{attached:?}"
    );
    assert_eq!(server.volumes.len(), 2);
    let volume = lab.app.block_storage().volume(&wanted[0]).await.unwrap();
    assert_eq!(
        (volume.status.as_str(), volume.attachments[0].server_id.as_str()),
        ("in-use", id.as_str())
    );
    let port = lab.app.networking().port(&new.port_ids[0]).await.unwrap();
    assert_eq!(port.device_id, id);

    let groups = compute.server_groups().await.unwrap();
    assert_eq!((groups[0].name.as_str(), groups[0].policy.as_str()), ("spread", "anti-affinity"));
    assert_eq!(groups[0].members, std::slice::from_ref(&id));
    compute.delete_server(&id, &permit()).await.unwrap();
    until(|| async { is_absent(compute.server(&id).await).then_some(()) }).await;
    compute.delete_server(&id, &permit()).await.unwrap();
    compute.delete_server_group(&group, &permit()).await.unwrap();
    compute.delete_server_group(&group, &permit()).await.unwrap();
    assert!(compute.server_groups().await.unwrap().is_empty());
    assert!(
        lab.app.networking().port(&new.port_ids[0]).await.is_ok(),
        "what we made ourselves stays"
    );
}

#[tokio::test]
async fn servers_are_found_by_tag_and_name_and_only_in_the_project() {
    let lab = lab().await;
    let compute = lab.app.compute();
    let web = lab.active_server("web").await;
    lab.active_server("web-2").await;
    let ids = |servers: Vec<protector_ports::Server>| {
        servers.into_iter().map(|s| s.id).collect::<Vec<_>>()
    };
    assert_eq!(compute.servers(&ServerFilter::default()).await.unwrap().len(), 2);
    assert_eq!(
        ids(compute.servers(&tagged("protector-web")).await.unwrap()),
        std::slice::from_ref(&web.id)
    );
    assert_eq!(compute.server_ids("ACTIVE").await.unwrap().len(), 2);
    assert!(compute.server_ids("BUILD").await.unwrap().is_empty());
    let named = ServerFilter { name: Some("web".into()), tag: None };
    assert_eq!(ids(compute.servers(&named).await.unwrap()), [web.id]);
    assert!(compute.servers(&tagged("nobody")).await.unwrap().is_empty());
    assert!(lab.own.compute().servers(&ServerFilter::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn stop_start_lock_and_unlock() {
    let lab = lab().await;
    let compute = lab.app.compute();
    let id = lab.active_server("web").await.id;
    assert!(is_conflict(compute.start_server(&id).await), "it runs");
    compute.stop_server(&id).await.unwrap();
    lab.server_in(&id, "SHUTOFF").await;
    assert!(is_conflict(compute.stop_server(&id).await), "it is stopped");
    compute.lock_server(&id, "failover op-1 is running").await.unwrap();
    compute.lock_server(&id, "failover op-1 is running").await.unwrap();
    assert!(compute.server(&id).await.unwrap().locked);
    let reason = lab.cloud().lock().nova.servers[&id].locked_reason.clone();
    assert_eq!(reason.as_deref(), Some("failover op-1 is running"), "the tenant sees why");
    compute.unlock_server(&id).await.unwrap();
    compute.unlock_server(&id).await.unwrap();
    assert!(!compute.server(&id).await.unwrap().locked);
    compute.start_server(&id).await.unwrap();
    lab.server_in(&id, "ACTIVE").await;
    for result in [
        compute.stop_server(NO_ID).await,
        compute.start_server(NO_ID).await,
        compute.lock_server(NO_ID, "x").await,
        compute.unlock_server(NO_ID).await,
        compute.attachments(NO_ID).await.map(drop),
        compute.server(NO_ID).await.map(drop),
    ] {
        assert!(is_absent(result));
    }
}

#[tokio::test]
async fn a_build_that_fails_says_why() {
    let lab = lab().await;
    lab.cloud().fail_builds_of("web", Some("No valid host was found."));
    let id = lab.app.compute().create_server(&lab.new_server("web").await).await.unwrap();
    let server = lab.server_in(&id, "ERROR").await;
    assert!(server.fault.unwrap().contains("No valid host"));
    let bad = NewServer { flavor_id: "no-such-flavor".into(), ..lab.new_server("db").await };
    assert!(lab.app.compute().create_server(&bad).await.is_err());
}

#[tokio::test]
async fn flavors_zones_and_quota() {
    let lab = lab().await;
    let compute = lab.app.compute();
    let flavors = compute.flavors().await.unwrap();
    let small = flavors.iter().find(|f| f.name == "m1.medium").unwrap();
    assert_eq!((small.id.as_str(), small.vcpus, small.ram_mib, small.disk_gib), ("3", 2, 4096, 0));
    assert!(!compute.availability_zones().await.unwrap().is_empty());

    let before = compute.quota().await.unwrap();
    lab.active_server("web").await;
    let after = compute.quota().await.unwrap();
    assert_eq!(after.instances.used, before.instances.used + 1);
    assert_eq!(after.cores.used, before.cores.used + 1);
    assert_eq!(after.ram_mib.used, before.ram_mib.used + 512);
    lab.cloud().lock().quotas.set(Service::Nova, lab.project.as_str(), "instances", 1);
    assert_eq!(compute.quota().await.unwrap().instances.free(), Some(0));
    let new = lab.new_server("db").await;
    assert!(is_invalid(compute.create_server(&new).await), "over quota: a repeat cannot help");
    lab.cloud().lock().quotas.set(Service::Nova, lab.project.as_str(), "instances", -1);
    assert_eq!(compute.quota().await.unwrap().instances.free(), None);
}

#[tokio::test]
async fn keypairs_are_each_users_own() {
    let lab = lab().await;
    let compute = lab.app.compute();
    assert!(compute.keypairs().await.unwrap().is_empty());
    let keypair = Keypair { name: "robot key".into(), public_key: KEY.into() };
    compute.import_keypair(&keypair).await.unwrap();
    assert!(is_conflict(compute.import_keypair(&keypair).await));
    assert_eq!(compute.keypairs().await.unwrap(), std::slice::from_ref(&keypair));
    assert!(lab.cloud().add_keypair(&lab.user_id("app-user"), "tenant key", KEY));
    let tenant = lab.user_id("app-user");
    assert!(is_denied(compute.keypair_of(&tenant, "tenant key").await), "a member may not");
    let found = lab.own.compute().keypair_of(&tenant, "tenant key").await.unwrap();
    assert_eq!(found, Keypair { name: "tenant key".into(), public_key: KEY.into() });
    assert!(is_absent(lab.own.compute().keypair_of(&tenant, "nobody").await));
    let with_key = NewServer { key_name: Some("robot key".into()), ..lab.new_server("web").await };
    let id = compute.create_server(&with_key).await.unwrap();
    assert_eq!(lab.server_in(&id, "ACTIVE").await.key_name.as_deref(), Some("robot key"));
    let foreign = NewServer { key_name: Some("tenant key".into()), ..lab.new_server("db").await };
    assert!(is_invalid(compute.create_server(&foreign).await));
}

#[tokio::test]
async fn server_groups_of_a_bad_policy_are_refused() {
    let lab = lab().await;
    assert!(is_invalid(lab.app.compute().create_server_group("g", "closest-friends").await));
}

#[tokio::test]
async fn after_a_lost_answer_the_server_is_found_by_its_tag() {
    let lab = lab().await;
    let compute = lab.app.compute();
    let new = lab.new_server("web").await;
    let rule =
        |effect| Rule::new(effect).service("compute").method("POST").path("/servers").times(1);
    lab.world.faults().add(rule(Effect::TimeoutAfter { hang_ms: 5 }));
    assert!(is_unknown(compute.create_server(&new).await));
    let found = compute.servers(&tagged("protector-web")).await.unwrap();
    assert_eq!(found.len(), 1);
    // A lost answer is said, not repeated: who asked looks first, and asks again.
    lab.server_in(&found[0].id, "ACTIVE").await;
    lab.world.faults().add(rule(Effect::TimeoutBefore { hang_ms: 5 }));
    assert!(is_unknown(compute.stop_server(&found[0].id).await));
    compute.stop_server(&found[0].id).await.unwrap();
    lab.server_in(&found[0].id, "SHUTOFF").await;
    for code in [429, 500, 503] {
        let effect = Effect::Status { code, message: None, retry_after: None };
        lab.world.faults().add(Rule::new(effect).service("compute").method("GET").times(1));
        assert!(compute.server(&found[0].id).await.is_ok(), "{code}");
    }
}
