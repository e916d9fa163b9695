//! Who may not: other tenants, nobody, readers, and those whose token has expired.

use std::time::Duration;

use protector_demo::{Rest, protect::failover_body};
use protector_sim::cloud::keystone::{Assignment, Target};
use serde_json::json;

use super::{
    NOT_FOUND,
    support::{Case, Theatre},
};

/// Who may not.
// tidy: allow long function: a table
pub async fn strangers(t: &Theatre) -> Vec<Case> {
    let site = &t.stage.sites[0];
    let (group, all) = (t.group_url(0), t.project_url(0));
    let action = format!("{group}/action");
    let failover = failover_body();
    let login = |user: &'static str, project: &'static str| async move {
        t.stage
            .rest
            .login(
                &site.auth_url,
                user,
                &format!("{}-password", user.split('-').next().unwrap()),
                project,
            )
            .await
            .unwrap()
    };
    let (other, other_project) = login("other-user", "other").await;
    let theirs =
        format!("{}/v1/{other_project}/protection-groups/{}", site.api_url, t.protected.group_id);
    let (reader, _) = login("reader", "app").await;
    let expired = expired_token(t).await;
    let nobody = &t.stage.rest;
    let unauthenticated = "auth.unauthenticated";
    let site_body = json!({"site": {"name": "x", "auth_url": "http://x", "username": "u", "password": "p", "project_name": "p"}});
    vec![
        Case::new("GET", &group, "", 404, NOT_FOUND, &["Project", "does not exist"]).by(&other),
        Case::new("POST", &action, &failover, 404, NOT_FOUND, &["Project", "does not exist"])
            .by(&other),
        Case::new(
            "POST",
            &format!("{theirs}/action"),
            &failover,
            404,
            NOT_FOUND,
            &[&t.protected.group_id],
        )
        .by(&other),
        Case::new("DELETE", &theirs, "", 404, NOT_FOUND, &[&t.protected.group_id]).by(&other),
        Case::new("GET", &format!("{all}/operations"), "", 404, NOT_FOUND, &["does not exist"])
            .by(&other),
        Case::new("POST", &action, &failover, 401, unauthenticated, &["X-Auth-Token"]).by(nobody),
        Case::new(
            "POST",
            &action,
            &failover,
            401,
            unauthenticated,
            &["get a new one from Keystone"],
        )
        .by(&nobody.with_token("gAAAAAnot-a-token")),
        Case::new(
            "POST",
            &action,
            &failover,
            401,
            unauthenticated,
            &["expired", "get a new one from Keystone"],
        )
        .by(&expired),
        Case::new("GET", &group, "", 401, unauthenticated, &["expired"]).by(&expired),
        Case::new("POST", &action, &failover, 403, "auth.forbidden", &["protector:", "failover"])
            .by(&reader),
        Case::new(
            "DELETE",
            &group,
            "",
            403,
            "auth.forbidden",
            &["protector:protection_groups:delete"],
        )
        .by(&reader),
        Case::new(
            "POST",
            &format!("{}/v1/admin/sites", site.api_url),
            site_body,
            403,
            "auth.forbidden",
            &["protector:sites:create"],
        ),
        Case::new(
            "GET",
            &format!("{}/v1/admin/sites", site.api_url),
            "",
            403,
            "auth.forbidden",
            &["protector:sites:"],
        ),
        Case::new(
            "GET",
            &format!("{}/v1/peer/info", site.api_url),
            "",
            403,
            "auth.forbidden",
            &["protector:peer"],
        ),
    ]
}

/// A token that was good until a moment ago.
async fn expired_token(t: &Theatre) -> Rest {
    let keystone = |seconds: i64| {
        t.stage.world.cloud(0).lock().keystone.token_life = Some(chrono::Duration::seconds(seconds))
    };
    keystone(20);
    let (short, _) = t.stage.tenant(0).await.unwrap();
    keystone(3600);
    // Once while it is good, so that it is remembered.
    assert!(short.get(&t.group_url(0)).await.is_ok());
    t.stage.clock.sleep(Duration::from_secs(21)).await;
    short
}

/// The reader of the tenant's project, in Keystone's own records.
pub fn add_reader(t: &Theatre) {
    let mut state = t.stage.world.cloud(0).lock();
    let keystone = &mut state.keystone;
    let project = keystone.project_named("app", "default").unwrap().id.clone();
    let role = keystone.role_named("reader").unwrap().id.clone();
    let mut user = keystone.user_named("other-user", "default").unwrap().clone();
    user.id = "0123456789abcdef0123456789abcdef".into();
    user.name = "reader".into();
    user.password = "reader-password".into();
    let user_id = user.id.clone();
    keystone.users.insert(user_id.clone(), user);
    keystone.assignments.insert(Assignment {
        role_id: role,
        user_id,
        target: Target::Project(project),
    });
}
