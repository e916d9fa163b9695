use std::time::Duration;

use crate::{
    fake::{OTHER_PROJECT, PROJECT},
    support::Api,
};

fn groups() -> String {
    format!("/v1/{PROJECT}/protection-groups")
}

#[tokio::test]
async fn without_a_good_token_it_is_401_and_names_keystone() {
    let api = Api::new();
    let long = "x".repeat(9000);
    for token in [None, Some(""), Some("wrong"), Some("expired"), Some(long.as_str())] {
        let headers: Vec<_> = token.map(|t| ("x-auth-token", t)).into_iter().collect();
        let answer = api.send("GET", &groups(), &headers, "").await;
        assert_eq!(answer.status, 401, "{token:?}");
        assert_eq!(answer.codes(), ["auth.unauthenticated"], "{token:?}");
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge, "Keystone uri=\"http://keystone.site-a:5000/v3\"", "{token:?}");
        assert!(!answer.text.contains("wrong"), "{}", answer.text);
    }
}

#[tokio::test]
async fn keystone_down_is_503_and_not_401() {
    let api = Api::new();
    let answer = api.get("keystone-down", &groups()).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.codes(), ["service.unavailable"]);
    assert_eq!(answer.header("retry-after"), "5");
}

#[tokio::test]
async fn a_token_is_remembered_for_at_most_a_minute() {
    let api = Api::new();
    for _ in 0..3 {
        assert_eq!(api.get("member", &groups()).await.status, 200);
    }
    assert_eq!(api.core.seen.lock().authenticated, 1);

    *api.core.revoked.lock() = Some("user-1".into());
    api.clock.advance(Duration::from_secs(59));
    assert_eq!(api.get("member", &groups()).await.status, 200);
    api.clock.advance(Duration::from_secs(1));
    assert_eq!(api.get("member", &groups()).await.status, 401);
    assert_eq!(api.core.seen.lock().authenticated, 2);
}

#[tokio::test]
async fn a_token_is_never_remembered_past_its_expiry() {
    let api = Api::new();
    assert_eq!(api.get("brief", &groups()).await.status, 200);
    api.clock.advance(Duration::from_secs(29));
    assert_eq!(api.get("brief", &groups()).await.status, 200);
    api.clock.advance(Duration::from_secs(1));
    assert_eq!(api.get("brief", &groups()).await.status, 401);
}

#[tokio::test]
async fn many_requests_with_one_new_token_ask_keystone_once() {
    let api = Api::new();
    let path = groups();
    let calls = (0..20).map(|_| api.get("member", &path));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.status, 200);
    }
    assert_eq!(api.core.seen.lock().authenticated, 1);
}

#[tokio::test]
async fn a_foreign_project_is_404_for_tenants_and_open_to_administrators() {
    let api = Api::new();
    for who in ["foreign", "unscoped", "service"] {
        let answer = api.get(who, &groups()).await;
        assert_eq!(answer.status, 404, "{who}");
        assert_eq!(answer.codes(), ["resource.not_found"], "{who}");
    }
    assert_eq!(api.get("admin", &groups()).await.status, 200);
    // The own project, but another's group: as if it were not there.
    let other = format!("/v1/{OTHER_PROJECT}/protection-groups/{}", crate::fake::group_id());
    assert_eq!(api.get("foreign", &other).await.status, 404);
}

#[tokio::test]
async fn roles_decide_what_one_may_do_in_the_own_project() {
    let api = Api::new();
    let group = format!("{}/{}", groups(), crate::fake::group_id());
    let action = format!("{group}/action");
    let body = r#"{"sync_volumes": {}}"#;
    for (who, read, write) in [("member", 200, 202), ("reader", 200, 403), ("nobody", 403, 403)] {
        assert_eq!(api.get(who, &group).await.status, read, "{who}");
        let answer = api.post(who, &action, body).await;
        assert_eq!(answer.status, write, "{who}");
        if write == 403 {
            assert!(
                answer.details().contains("protector:action:sync_volumes"),
                "{}",
                answer.details()
            );
        }
    }
    assert_eq!(api.get("member", "/v1/admin/sites").await.status, 403);
}

/// A trust may be made on a change that is allowed, in the token's own project, and never on a read.
#[tokio::test]
async fn who_may_change_something_lets_us_act_in_his_name() {
    let api = Api::new();
    let callers = || std::mem::take(&mut api.core.seen.lock().callers);
    let group = format!("{}/{}", groups(), crate::fake::group_id());
    api.get("member", &group).await;
    api.call("reader", "DELETE", &group, "").await;
    api.call("foreign", "DELETE", &group, "").await;
    api.call("admin", "DELETE", &group, "").await;
    assert!(callers().is_empty());
    for (method, path, body) in [
        ("PATCH", group.clone(), r#"{"protection_group": {"name": "n"}}"#),
        ("POST", format!("{group}/action"), r#"{"failover": {}}"#),
        ("POST", groups(), r#"{"protection_group": {"name": "n"}}"#),
    ] {
        let answer = api.call("member", method, &path, body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        let noted = ("user-1".to_owned(), PROJECT.into(), "member".to_owned(), false);
        assert_eq!(callers(), [noted], "{path}");
    }
}
