//! Two sites, one truth: what two real Protectors on two simulated sites do when they cannot talk, come back, or disagree.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use protector_demo::{protect, rest::Reply};
use protector_server::{Protector, Roles};
use protector_testkit::{TwoSites, two_sites::SPEED};
use protector_types::{Clock as _, GroupDocument, GroupId, OperationId, SiteId};
use protector_workflow::SystemClock;
use serde_json::{Value, json};

/// How long the sites may take to come to rest, in real time.
const PATIENCE: Duration = Duration::from_secs(60);
const BOTH: Roles = Roles { api: true, engine: true };
const SENTENCE: &str = "Cannot modify protection group — remote site unreachable";

async fn call(two: &TwoSites, at: usize, method: &str, url: &str, body: Option<Value>) -> Reply {
    let headers = [("OpenStack-API-Version", "protector 1.3")];
    let body = body.map(|body| serde_json::to_vec(&body).unwrap());
    two.tenants[at].call_with(method, url, &headers, body).await.unwrap()
}

fn error(reply: &Reply) -> (u16, String, String) {
    let text = |key: &str| reply.body["errors"][0][key].as_str().unwrap_or_default().to_owned();
    (reply.status.as_u16(), text("code"), text("detail"))
}

async fn rename(two: &TwoSites, at: usize, to: &str) -> Reply {
    let body = json!({"protection_group": {"description": to}});
    call(two, at, "PATCH", &two.group_url(at), Some(body)).await
}

async fn sync_status(two: &TwoSites, at: usize) -> Value {
    let url = format!("{}/sync-status", two.group_url(at));
    call(two, at, "GET", &url, None).await.body["sync_status"].take()
}

async fn sync_force(two: &TwoSites, at: usize, body: Value) -> Reply {
    call(two, at, "POST", &format!("{}/sync-force", two.group_url(at)), Some(body)).await
}

/// Waits until a group's record at a site is as wanted.
async fn until(two: &TwoSites, at: usize, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let real = SystemClock::new();
    loop {
        let group = two.group(at).await.unwrap();
        if wanted(&group) {
            return group;
        }
        assert!(real.monotonic() < PATIENCE, "site {at}, waiting for: {what}: {group:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn ids(two: &TwoSites) -> (GroupId, [SiteId; 2]) {
    let site = |at: usize| two.protected.site_ids[at].parse().unwrap();
    (two.protected.group_id.parse().unwrap(), [site(0), site(1)])
}

/// What a forced operation does to the document of the site that drives it, and nothing else of it.
async fn raise(beside: &Protector, id: GroupId, primary: SiteId, by: SiteId) -> GroupDocument {
    let core = beside.core();
    let mut document = core.group_document(id).await.unwrap();
    document.group.raise_epoch(primary, by, OperationId::generate());
    document.group.version += 1;
    core.store().put_document(&document).await.unwrap();
    document
}

/// Site A is safe: every server stopped and locked, no disk connected, no schedule.
fn is_safe(two: &TwoSites) -> bool {
    let now = &two.inventory().sites[0];
    let servers = two.servers.iter().all(|server| {
        let seen = &now.servers[&server.id];
        seen.status == "SHUTOFF" && seen.locked
    });
    let disks = two.servers.iter().flat_map(|server| &server.volumes);
    let free =
        disks.map(|volume| &now.volumes[volume].array_name).all(|name| now.connected(name) == 0);
    servers && free && now.array_groups.values().all(|group| !group.schedule)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_peer_down_every_change_is_refused_at_once_and_reads_still_work() {
    let mut two = TwoSites::start(11, SPEED).await.unwrap();
    two.stage.kill_site(1).await;
    let before = two.group(0).await.unwrap();
    let url = two.group_url(0);
    let changes = [
        ("PATCH", url.clone(), json!({"protection_group": {"description": "x"}})),
        ("POST", format!("{url}/members"), json!({"member": {"server": "nobody"}})),
        ("POST", format!("{url}/action"), protect::failover_body()),
        ("POST", format!("{url}/action"), json!({"sync_volumes": {}})),
        ("DELETE", url.clone(), Value::Null),
    ];
    for (method, url, body) in changes {
        let real = SystemClock::new();
        let body = (!body.is_null()).then_some(body);
        let (status, code, detail) = error(&call(&two, 0, method, &url, body).await);
        assert!(
            real.monotonic() < Duration::from_secs(3),
            "{method} {url} took {:?}",
            real.monotonic()
        );
        assert_eq!(
            (status, code.as_str()),
            (409, "protection_group.peer_unreachable"),
            "{method} {url}: {detail}"
        );
        assert_eq!(detail, SENTENCE);
    }
    assert_eq!(two.group(0).await.unwrap(), before, "nothing was changed");
    let sync = sync_status(&two, 0).await;
    assert_eq!(sync["status"], "UNREACHABLE", "{sync}");
    assert!(sync["reason"].as_str().unwrap().contains("cannot be reached"), "{sync}");
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_returning_site_makes_itself_safe_and_sync_force_releases_it() {
    let mut two = TwoSites::start_with(12, SPEED, BOTH).await.unwrap();
    let (id, [_, b]) = ids(&two);
    two.stage.kill_site(0).await;
    let beside = two.beside(1).await.unwrap();
    raise(&beside, id, b, b).await;
    two.stage.revive_site(0).await.unwrap();

    let safe = |group: &Value| {
        group["quarantine"].as_str().is_some_and(|q| q.contains("sync-force releases"))
    };
    let group = until(&two, 0, "a safe quarantine", safe).await;
    assert_eq!(
        group["current_primary_site_id"], two.protected.site_ids[0],
        "the document waits for sync-force"
    );
    assert!(is_safe(&two), "{:#?}", two.inventory().sites[0].servers);
    let (status, code, _) = error(&rename(&two, 0, "x").await);
    assert_eq!((status, code.as_str()), (409, "protection_group.quarantined"));
    let fences = beside.core().store().fences(id).await.unwrap();
    assert_eq!(fences.len(), two.servers.len(), "the peer has how it was: {fences:?}");
    assert!(fences.iter().all(|fence| fence.was_active && !fence.was_locked));
    assert!(
        fences.iter().flat_map(|fence| &fence.volumes).all(|volume| !volume.connections.is_empty())
    );

    let forced = sync_force(&two, 1, json!({})).await;
    assert_eq!(forced.body["sync_status"]["status"], "IN SYNC", "{}", forced.body);
    let group = until(&two, 0, "the release", |group| group["quarantine"].is_null()).await;
    assert_eq!(group["current_primary_site_id"], two.protected.site_ids[1]);
    assert!(is_safe(&two), "the fence stays");
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarantine_is_taken_back_exactly_when_a_further_epoch_names_the_site_again() {
    let two = TwoSites::start_with(13, SPEED, BOTH).await.unwrap();
    let (id, [a, b]) = ids(&two);
    let before = two.inventory();
    let beside = two.beside(1).await.unwrap();
    raise(&beside, id, b, b).await;
    until(&two, 0, "a safe quarantine", |group| {
        group["quarantine"].as_str().is_some_and(|q| q.contains("sync-force releases"))
    })
    .await;
    assert!(is_safe(&two));
    raise(&beside, id, a, b).await;
    let group =
        until(&two, 0, "the end of the quarantine", |group| group["quarantine"].is_null()).await;
    assert_eq!(group["current_primary_site_id"], two.protected.site_ids[0]);
    let (now, then) = (two.inventory(), before);
    assert_eq!(now.sites[0].servers, then.sites[0].servers, "every server as it was");
    let sorted = |mut connections: Vec<(String, String)>| {
        connections.sort();
        connections
    };
    assert_eq!(sorted(now.sites[0].connections.clone()), sorted(then.sites[0].connections.clone()));
    assert_eq!(now.sites[0].array_groups, then.sites[0].array_groups);
    let sync = sync_status(&two, 0).await;
    assert_eq!(sync["status"], "IN SYNC", "{sync}");
    assert_eq!(rename(&two, 0, "as before").await.status, 200);
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_both_sites_forced_nothing_moves_until_a_person_chooses() {
    let two = TwoSites::start_with(14, SPEED, BOTH).await.unwrap();
    let (id, [a, b]) = ids(&two);
    let (at_a, at_b) = (two.beside(0).await.unwrap(), two.beside(1).await.unwrap());
    // Both at once, so that neither has seen the other's.
    let (_, theirs) = tokio::join!(raise(&at_a, id, a, a), raise(&at_b, id, b, b));
    for at in 0..2 {
        assert_eq!(sync_status(&two, at).await["status"], "CONFLICT");
        let (status, code, detail) = error(&sync_force(&two, at, json!({})).await);
        assert_eq!((status, code.as_str()), (409, "protection_group.out_of_sync"), "{detail}");
        assert!(detail.contains("CONFLICT") && detail.contains("from"), "{detail}");
        assert_eq!(error(&rename(&two, at, "x").await).1, "protection_group.out_of_sync");
    }
    let stranger = sync_force(&two, 0, json!({"from": SiteId::generate()})).await;
    assert_eq!(stranger.status, 400, "{}", stranger.body);
    let chosen = sync_force(&two, 0, json!({"from": b})).await;
    assert_eq!(chosen.status, 200, "{}", chosen.body);
    let group = until(&two, 0, "the loser's quarantine and its end", |group| {
        group["current_primary_site_id"] == two.protected.site_ids[1]
            && group["quarantine"].is_null()
    })
    .await;
    assert_eq!(group["epoch"], json!(theirs.group.epoch.number));
    assert!(is_safe(&two), "the loser was made safe before it was released");
    // Asked for at the loser: the winner learns that its epoch is known there, and pushes again.
    let facts = at_b.core().store().site_facts(id).await.unwrap();
    assert_eq!(facts.agreed_epoch, Some(theirs.group.epoch));
    for at in 0..2 {
        assert_eq!(sync_status(&two, at).await["status"], "IN SYNC");
    }
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_restored_from_an_old_copy_takes_the_newer_document() {
    let two = TwoSites::start_with(15, SPEED, BOTH).await.unwrap();
    let (id, _) = ids(&two);
    let at_a = two.beside(0).await.unwrap();
    let old = at_a.core().group_document(id).await.unwrap();
    assert_eq!(rename(&two, 0, "newer").await.status, 200);
    let newer = two.group(0).await.unwrap();
    at_a.core().store().put_document(&old).await.unwrap();
    let group =
        until(&two, 0, "the newer document", |group| group["version"] == newer["version"]).await;
    assert_eq!(group["description"], "newer");
    assert!(group["quarantine"].is_null(), "the same primary: it is simply taken");
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_with_its_journal_is_seen_at_both_sites_and_survives_the_loss_of_one() {
    let mut two = TwoSites::start_with(16, SPEED, BOTH).await.unwrap();
    let operation = two.start_failover().await.unwrap();
    let real = SystemClock::new();
    while two.operation(&operation).await.unwrap()["status"] != "completed" {
        assert!(real.monotonic() < PATIENCE, "{:#}", two.operation(&operation).await.unwrap());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let url = |two: &TwoSites, at: usize, rest: &str| {
        format!(
            "{}/v1/{}/operations/{operation}{rest}",
            two.stage.sites[at].api_url, two.protected.projects[at]
        )
    };
    let events = |reply: Reply| reply.body["events"].as_array().cloned().unwrap_or_default();
    let ours = events(call(&two, 0, "GET", &url(&two, 0, "/events?limit=1000"), None).await);
    loop {
        let theirs = events(call(&two, 1, "GET", &url(&two, 1, "/events?limit=1000"), None).await);
        if theirs == ours {
            break;
        }
        assert!(real.monotonic() < PATIENCE, "{} of {} events", theirs.len(), ours.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let groups = two.groups_in_sync(PATIENCE).await.unwrap();
    assert!(
        groups.iter().all(|group| group["quarantine"].is_null()),
        "agreed: nobody is quarantined"
    );
    two.stage.kill_site(0).await;
    let record = call(&two, 1, "GET", &url(&two, 1, ""), None).await;
    assert_eq!(record.body["operation"]["status"], "completed", "{}", record.body);
    two.stop().await;
}
