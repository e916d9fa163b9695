//! Acting as a tenant through a trust, and going on when the trust has ended.

use std::{sync::Arc, time::Duration};

use protector_openstack::{OpenStackCloud, Scope};
use protector_ports::{Cloud as _, Identity, Keypair};
use protector_types::Secret;
use serde_json::{Value, json};

use crate::lab::*;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdlbmVyYXRlZGZvcnRoZXByb3RlY3RvcmRlbW8wMDAw tenant@example";

/// A trust of `app-user`, and a session in it that goes on as our own user.
async fn delegated(lab: &Lab) -> (Secret, Arc<OpenStackCloud>) {
    let (token, _) = lab.log_in("app-user", "app").await;
    let identity = lab.site.identity();
    let user = lab.user_id("app-user");
    let trust = identity.make_trust(&token, &user, &lab.project).await.unwrap();
    let known = identity.trusts_to_us(&token, &user, &lab.project).await.unwrap();
    assert_eq!(known, std::slice::from_ref(&trust));
    let otherwise = Some(lab.project.clone());
    let cloud = lab.site.cloud(Scope::Trust { id: trust.expose().into(), otherwise });
    let actor = cloud.actor().await.unwrap();
    assert_eq!((actor.user_name.as_str(), actor.delegated, actor.reason), ("app-user", true, None));
    (trust, cloud)
}

#[tokio::test]
async fn servers_and_keypairs_that_a_trust_makes_are_the_tenants() {
    let lab = lab().await;
    let (_, cloud) = delegated(&lab).await;
    let key = Keypair { name: "k".into(), public_key: KEY.into() };
    cloud.compute().import_keypair(&key).await.unwrap();
    let mut new = lab.new_server("web").await;
    new.key_name = Some("k".into());
    let id = cloud.compute().create_server(&new).await.unwrap();
    let server = lab.server_in(&id, "ACTIVE").await;
    assert_eq!((server.user_id, server.key_name.as_deref()), (lab.user_id("app-user"), Some("k")));
    assert!(lab.app.compute().keypairs().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_trust_outlives_its_tokens() {
    let lab = lab().await;
    lab.cloud().lock().keystone.token_life = Some(chrono::Duration::milliseconds(300));
    let (_, cloud) = delegated(&lab).await;
    for _ in 0..8 {
        cloud.compute().flavors().await.unwrap();
        assert!(cloud.actor().await.unwrap().delegated);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // And a token that dies before its time is replaced once.
    for token in lab.cloud().lock().keystone.tokens.values_mut() {
        token.revoked = true;
    }
    cloud.compute().flavors().await.unwrap();
    assert!(cloud.actor().await.unwrap().delegated);
}

/// What ends a trust: done to the cloud, given the trust.
type Departure = fn(&Lab, &Secret);

/// Each way in which a person leaves, in the middle of our work.
#[tokio::test]
async fn when_the_person_is_gone_our_own_user_goes_on() {
    let ways: [(&str, Departure); 4] = [
        ("the user is disabled", |lab, _| {
            let user = lab.user_id("app-user");
            lab.cloud().lock().keystone.users.get_mut(&user).unwrap().enabled = false;
        }),
        ("the user is deleted", |lab, _| {
            let user = lab.user_id("app-user");
            lab.cloud().lock().keystone.users.remove(&user);
        }),
        ("the user lost the role", |lab, _| {
            let user = lab.user_id("app-user");
            lab.cloud().lock().keystone.assignments.retain(|a| a.user_id != user);
        }),
        ("the trust was revoked", |lab, trust| {
            lab.cloud().lock().keystone.trusts.remove(trust.expose());
        }),
    ];
    for (what, leave) in ways {
        let lab = lab().await;
        let (trust, cloud) = delegated(&lab).await;
        cloud.compute().flavors().await.unwrap();
        leave(&lab, &trust);
        // Whether or not Keystone takes the living token back at once: it is gone now.
        lab.cloud().lock().keystone.tokens.clear();
        let flavors = cloud.compute().flavors().await;
        assert!(flavors.is_ok(), "{what}: {flavors:?}");
        let actor = cloud.actor().await.unwrap();
        assert_eq!((actor.user_name.as_str(), actor.delegated), ("protector", false), "{what}");
        let reason = actor.reason.unwrap();
        assert!(!reason.contains(trust.expose()), "{what}: {reason}");
        assert!(cloud.session().trust_ended().is_some(), "{what}");
    }
}

#[tokio::test]
async fn our_own_wrong_password_is_not_the_tenants_fault() {
    let lab = lab().await;
    let (_, cloud) = delegated(&lab).await;
    let us = lab.user_id("protector");
    lab.cloud().lock().keystone.users.get_mut(&us).unwrap().password = "changed".into();
    lab.cloud().lock().keystone.tokens.clear();
    assert!(is_denied(cloud.compute().flavors().await));
    assert_eq!(cloud.session().trust_ended(), None);
    lab.cloud().lock().keystone.users.get_mut(&us).unwrap().password = "protector-password".into();
    cloud.compute().flavors().await.unwrap();
    assert!(cloud.actor().await.unwrap().delegated);
}

#[tokio::test]
async fn who_may_not_make_trusts_is_told_so() {
    let lab = lab().await;
    let identity = lab.site.identity();
    let (token, _) = lab.log_in("app-user", "app").await;
    let user = lab.user_id("app-user");
    // Of an application credential.
    let path = format!("/identity/v3/users/{user}/application_credentials");
    let body = json!({"application_credential": {"name": "robot", "secret": "s3cret"}});
    let made = lab.call(&token, http::Method::POST, &path, &body).await;
    let id = made["application_credential"]["id"].as_str().unwrap();
    let robot = application_token(&lab, id).await;
    assert!(is_denied(identity.make_trust(&robot, &user, &lab.project).await));
    assert!(is_denied(identity.trusts_to_us(&robot, &user, &lab.project).await));
    // In somebody else's name.
    let other = lab.user_id("other-user");
    assert!(is_denied(identity.make_trust(&token, &other, &lab.project).await));
    // Without the role.
    lab.cloud().lock().keystone.assignments.retain(|a| a.user_id != user);
    assert!(identity.make_trust(&token, &user, &lab.project).await.is_err());
}

async fn application_token(lab: &Lab, id: &str) -> Secret {
    let body = json!({"auth": {"identity": {
        "methods": ["application_credential"],
        "application_credential": {"id": id, "secret": "s3cret"},
    }}});
    let url = "http://site-a.sim/identity/v3/auth/tokens";
    let call = protector_http::Call::new(http::Method::POST, url, protector_http::CallKind::Ensure);
    let answer = lab.client.service("tenant", "site-a").send(call.json(&body)).await.unwrap();
    let _: Value = answer.json().unwrap();
    Secret::new(answer.headers["x-subject-token"].to_str().unwrap())
}

#[tokio::test]
async fn a_plain_members_token_can_be_had_and_holds_nothing_more() {
    let lab = lab().await;
    let identity = lab.site.identity();
    let life = chrono::Duration::minutes(5);
    let session = lab.app.session();
    let trust = identity.trust_to_ourselves(session, &lab.project, life).await.unwrap();
    let scope = Scope::Trust { id: trust.expose().into(), otherwise: None };
    let token = lab.site.session(scope.clone()).token().await.unwrap();
    assert_eq!(token.info.project_id.as_ref(), Some(&lab.project));
    assert!(token.info.roles.iter().all(|r| r == "member" || r == "reader"), "{:?}", token.info);
    lab.site.forget(&scope);
    identity.drop_trust(&trust).await.unwrap();
    identity.drop_trust(&trust).await.unwrap();
    assert!(lab.site.cloud(scope).compute().flavors().await.is_err());
}
