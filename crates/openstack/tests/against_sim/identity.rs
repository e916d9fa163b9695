//! Keystone, and sessions that die.

use protector_openstack::{AuthMethod, Scope, Site};
use protector_ports::{Cloud as _, Identity};
use protector_sim::faults::{Effect, Rule};
use protector_types::{ProjectId, Secret};
use serde_json::json;

use crate::lab::*;

#[tokio::test]
async fn tokens_of_tenants_are_read_and_dead_ones_are_absent() {
    let lab = lab().await;
    let identity = lab.site.identity();
    let (token, _) = lab.log_in("app-user", "app").await;
    let info = identity.validate_token(&token).await.unwrap();
    assert_eq!((info.user_name.as_str(), info.project_name.as_deref()), ("app-user", Some("app")));
    assert_eq!(info.project_id.as_ref(), Some(&lab.project));
    assert_eq!(
        (info.user_domain_id.as_str(), info.project_domain_id.as_deref()),
        ("default", Some("default"))
    );
    assert!(info.roles.contains(&"member".to_owned()) && !info.from_application_credential);
    assert!(info.expires_at > lab.cloud().now());
    for dead in ["gAAAA-nonsense", "", "two\nlines"] {
        assert!(is_absent(identity.validate_token(&Secret::from(dead)).await), "{dead:?}");
    }
}

#[tokio::test]
async fn we_know_who_we_are_and_where_things_live() {
    let lab = lab().await;
    let identity = lab.site.identity();
    let me = identity.whoami().await.unwrap();
    assert_eq!((me.user_name.as_str(), me.project_name.as_deref()), ("protector", Some("service")));
    assert!(me.roles.contains(&"service".to_owned()));
    assert_eq!(identity.endpoint("compute").await.unwrap(), "http://site-a.sim/compute/v2.1");
    assert!(
        identity.endpoint("volumev3").await.unwrap().starts_with("http://site-a.sim/volume/v3")
    );
    assert!(is_absent(identity.endpoint("key-manager").await));
    let skew = identity.clock_skew_ms().await.unwrap();
    assert!(skew.abs() < 2000, "{skew}");
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_measured() {
    use std::{sync::Arc, time::Duration};

    use chrono::{DateTime, Utc};
    use protector_types::{BoxFuture, Clock};

    #[derive(Debug)]
    struct Ahead(Arc<dyn Clock>);
    impl Clock for Ahead {
        fn now(&self) -> DateTime<Utc> {
            self.0.now() + chrono::Duration::seconds(90)
        }
        fn monotonic(&self) -> Duration {
            self.0.monotonic()
        }
        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            self.0.sleep(duration)
        }
    }

    let lab =
        lab_with(|config| config.clocks[0] = Some(Arc::new(Ahead(config.clock.clone())))).await;
    let skew = lab.site.identity().clock_skew_ms().await.unwrap();
    assert!((88_000..92_000).contains(&skew), "{skew}");
    // Sessions do not care: they count by our own clock.
    assert!(lab.app.image().images().await.is_ok());
}

#[tokio::test]
async fn projects_are_found_and_roles_granted() {
    let lab = lab().await;
    let identity = lab.site.identity();
    let project = identity.project(&lab.project).await.unwrap();
    assert_eq!((project.name.as_str(), project.enabled), ("app", true));
    assert!(is_absent(identity.project(&ProjectId::from(NO_ID)).await));
    assert!(identity.find_project("nobody", "Default").await.unwrap().is_empty());
    assert!(identity.find_project("app", "Nowhere").await.unwrap().is_empty());
    assert!(is_absent(identity.grant_own_role(&lab.project, "no-such-role").await));
    let token = lab.app.session().token().await.unwrap();
    assert!(
        ["member", "protector"].iter().all(|role| token.info.roles.contains(&(*role).to_owned()))
    );
}

#[tokio::test]
async fn without_a_role_in_the_project_there_is_no_session() {
    let lab = lab().await;
    let other = lab.site.identity().find_project("other", "Default").await.unwrap().remove(0).id;
    assert!(is_denied(lab.site.cloud(Scope::Project(other)).compute().flavors().await));
    let mut wrong = credentials(password("protector", "service"));
    if let AuthMethod::Password { password, .. } = &mut wrong.method {
        *password = Secret::from("wrong");
    }
    let site = Site::new(lab.client.clone(), "wrong", wrong);
    assert!(is_denied(site.identity().whoami().await));
}

#[tokio::test]
async fn a_session_survives_401_and_the_end_of_its_token() {
    let lab = lab().await;
    lab.app.compute().flavors().await.unwrap();
    let before = lab.app.session().token().await.unwrap();
    let rule = Effect::Status { code: 401, message: None, retry_after: None };
    lab.world.faults().add(Rule::new(rule).service("compute").times(1));
    lab.app.compute().flavors().await.unwrap();
    let after = lab.app.session().token().await.unwrap();
    assert!(!std::sync::Arc::ptr_eq(&before, &after));

    lab.cloud().lock().keystone.token_life = Some(chrono::Duration::milliseconds(300));
    lab.app.session().renew(Some(&after)).await.unwrap();
    for _ in 0..8 {
        lab.app.compute().flavors().await.unwrap();
        lab.site.identity().whoami().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// One Keystone of several that is behind the others once ended an operation for good.
#[tokio::test]
async fn one_refused_log_in_is_asked_once_more() {
    let lab = lab().await;
    let rule = Effect::Status { code: 401, message: None, retry_after: None };
    let rule = Rule::new(rule).service("identity").method("POST").path("/auth/tokens").times(1);
    lab.world.faults().add(rule);
    lab.app.compute().flavors().await.unwrap();
    assert_eq!(lab.world.faults().counts(None).values().sum::<u64>(), 1, "it was refused once");
}

#[tokio::test]
async fn a_trust_lets_us_act_as_the_tenant() {
    let lab = lab().await;
    let (token, _) = lab.log_in("app-user", "app").await;
    let body = json!({"trust": {
        "trustor_user_id": lab.user_id("app-user"),
        "trustee_user_id": lab.user_id("protector"),
        "project_id": lab.project,
        "impersonation": true,
        "roles": [{"name": "member"}],
    }});
    let made = lab.call(&token, http::Method::POST, "/identity/v3/OS-TRUST/trusts", &body).await;
    let id = made["trust"]["id"].as_str().unwrap().to_owned();
    let cloud = lab.site.cloud(Scope::Trust { id: id.clone(), otherwise: None });
    let token = cloud.session().token().await.unwrap();
    assert_eq!(token.info.user_name, "app-user");
    assert_eq!(token.info.project_id.as_ref(), Some(&lab.project));
    assert!(cloud.compute().servers(&Default::default()).await.unwrap().is_empty());
    let nobodys = Scope::Trust { id: "0".repeat(32), otherwise: None };
    let refused = lab.site.cloud(nobodys).compute().flavors().await;
    assert!(is_denied(refused));
    lab.site.forget(&Scope::Trust { id, otherwise: None });
}

#[tokio::test]
async fn an_application_credential_serves_its_project_and_marks_its_tokens() {
    let lab = lab().await;
    let (token, _) = lab.log_in("app-user", "app").await;
    let path = format!("/identity/v3/users/{}/application_credentials", lab.user_id("app-user"));
    let body = json!({"application_credential": {"name": "robot", "secret": "s3cret"}});
    let made = lab.call(&token, http::Method::POST, &path, &body).await;
    let id = made["application_credential"]["id"].as_str().unwrap().to_owned();
    let method = AuthMethod::ApplicationCredential { id, secret: Secret::from("s3cret") };
    let site = Site::new(lab.client.clone(), "robot", credentials(method));
    let cloud = site.cloud(Scope::Project(lab.project.clone()));
    assert!(cloud.compute().flavors().await.is_ok());
    assert!(cloud.session().token().await.unwrap().info.from_application_credential);
    assert!(is_denied(site.cloud(Scope::Project(NO_ID.into())).compute().flavors().await));
}
