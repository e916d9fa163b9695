//! A world on a manual clock and a small client.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use chrono::DateTime;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use protector_sim::{
    array::Array,
    cloud::{Cloud, nova::FlavorSeed},
    world::{World, WorldConfig},
};
use protector_types::ManualClock;
use serde_json::{Value, json};
use tower::ServiceExt;

/// One world; site a is the one under test.
pub struct Lab {
    pub world: World,
    pub clock: ManualClock,
}

/// A logged-in user of site a.
#[derive(Clone)]
pub struct User {
    router: Router,
    token: String,
    service_token: Option<String>,
    pub project: String,
    pub id: String,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
    pub headers: http::HeaderMap,
}

impl Answer {
    /// The body of an answer that must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }

    /// The message of a refusal that must have this status.
    #[track_caller]
    pub fn refused(self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        let fault = self.body.as_object().and_then(|o| o.values().next().cloned());
        fault.unwrap_or_default()["message"].as_str().unwrap_or_default().to_owned()
    }
}

impl Lab {
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    pub fn with(change: impl FnOnce(&mut WorldConfig)) -> Self {
        let clock = ManualClock::new(DateTime::from_timestamp(1_790_000_000, 0).unwrap());
        let mut config = WorldConfig::new(7, Arc::new(clock.clone()));
        change(&mut config);
        let world = World::new(config);
        world.cloud(0).add_flavor(FlavorSeed {
            id: "f1".to_owned(),
            name: "m1.lab".to_owned(),
            vcpus: 2,
            ram: 512,
            disk: 0,
            extra_specs: BTreeMap::from([("hw:cpu_policy".to_owned(), "shared".to_owned())]),
        });
        Self { world, clock }
    }

    pub fn cloud(&self) -> &Cloud {
        self.world.cloud(0)
    }

    pub fn array(&self) -> &Array {
        self.world.array(0)
    }

    /// Lets a second pass: all work of a default profile is done then.
    pub fn tick(&self) {
        self.clock.advance(Duration::from_secs(1));
        self.cloud().settle();
    }

    pub async fn login(&self, user: &str, project: &str) -> User {
        let password = match user {
            "admin" => "admin-password",
            "app-user" => "app-password",
            "other-user" => "other-password",
            _ => "protector-password",
        };
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": user, "password": password, "domain": {"id": "default"}}}},
            "scope": {"project": {"name": project, "domain": {"id": "default"}}},
        }});
        let router = self.cloud().router();
        let answer = send(&router, Method::POST, "/identity/v3/auth/tokens", &[], Some(body)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        let token = answer.headers["x-subject-token"].to_str().unwrap().to_owned();
        User {
            router,
            token,
            service_token: None,
            project: answer.body["token"]["project"]["id"].as_str().unwrap().to_owned(),
            id: answer.body["token"]["user"]["id"].as_str().unwrap().to_owned(),
        }
    }

    pub async fn member(&self) -> User {
        self.login("app-user", "app").await
    }

    pub async fn other(&self) -> User {
        self.login("other-user", "other").await
    }

    pub async fn admin(&self) -> User {
        self.login("admin", "admin").await
    }

    pub fn policy(&self, rule: &str, expression: &str) {
        self.cloud().lock().policies.insert(rule.to_owned(), expression.to_owned());
    }

    /// An available volume of a project.
    pub async fn volume(&self, user: &User, name: &str, kind: &str, bootable: bool) -> String {
        let body = json!({"volume": {"name": name, "size": 1, "volume_type": kind}});
        let made = user.post("volumes", body).await.expect(202);
        let id = made["volume"]["id"].as_str().unwrap().to_owned();
        self.tick();
        if bootable {
            let action = json!({"os-set_bootable": {"bootable": true}});
            user.post(&format!("volumes/{id}/action"), action).await.expect(200);
        }
        id
    }

    pub async fn network(&self, user: &User) -> String {
        let list = user.network("GET", "networks?name=app-net", None).await.expect(200);
        list["networks"][0]["id"].as_str().unwrap().to_owned()
    }

    pub async fn port(&self, user: &User) -> String {
        let network = self.network(user).await;
        let body = json!({"port": {"network_id": network, "name": "p"}});
        let made = user.network("POST", "ports", Some(body)).await.expect(201);
        made["port"]["id"].as_str().unwrap().to_owned()
    }

    /// A server from a fresh boot volume on a fresh port, ACTIVE: (server, volume, port).
    pub async fn server(&self, user: &User, name: &str) -> (String, String, String) {
        let volume = self.volume(user, &format!("{name}-root"), "replicated", true).await;
        let port = self.port(user).await;
        let body = boot(name, &volume, json!([{"port": port}]));
        let made = user.compute("POST", "servers", 100, Some(body)).await.expect(202);
        let id = made["server"]["id"].as_str().unwrap().to_owned();
        self.tick();
        let server = user.server(&id).await;
        assert_eq!(server["status"], "ACTIVE", "{server}");
        (id, volume, port)
    }
}

/// A create request that boots from a volume.
pub fn boot(name: &str, volume: &str, networks: Value) -> Value {
    json!({"server": {
        "name": name, "flavorRef": "f1", "networks": networks,
        "block_device_mapping_v2": [{
            "uuid": volume, "source_type": "volume", "destination_type": "volume",
            "boot_index": 0, "delete_on_termination": false,
        }],
    }})
}

impl User {
    /// Lets calls carry this user's own token as a service token.
    pub fn vouched_by(&self, service: &User) -> User {
        User { service_token: Some(service.token.clone()), ..self.clone() }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        version: Option<String>,
        body: Option<Value>,
    ) -> Answer {
        let mut headers = vec![("x-auth-token", self.token.clone())];
        headers.extend(self.service_token.iter().map(|t| ("x-service-token", t.clone())));
        headers.extend(version.map(|v| ("openstack-api-version", v)));
        send(&self.router, method.parse().unwrap(), path, &headers, body).await
    }

    /// A call to Cinder below the project, at 3.<minor>.
    pub async fn volume_at(
        &self,
        method: &str,
        path: &str,
        minor: u16,
        body: Option<Value>,
    ) -> Answer {
        let path = format!("/volume/v3/{}/{path}", self.project);
        self.send(method, &path, Some(format!("volume 3.{minor}")), body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.volume_at("GET", path, 71, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.volume_at("POST", path, 71, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.volume_at("DELETE", path, 71, None).await
    }

    /// A call to Nova at 2.<minor>.
    pub async fn compute(
        &self,
        method: &str,
        path: &str,
        minor: u16,
        body: Option<Value>,
    ) -> Answer {
        let path = format!("/compute/v2.1/{path}");
        self.send(method, &path, Some(format!("compute 2.{minor}")), body).await
    }

    /// A server's action at 2.100.
    pub async fn act(&self, server: &str, action: Value) -> Answer {
        self.compute("POST", &format!("servers/{server}/action"), 100, Some(action)).await
    }

    pub async fn server(&self, id: &str) -> Value {
        self.compute("GET", &format!("servers/{id}"), 100, None).await.expect(200)["server"].take()
    }

    pub async fn volume(&self, id: &str) -> Value {
        self.get(&format!("volumes/{id}")).await.expect(200)["volume"].take()
    }

    pub async fn network(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.send(method, &format!("/network/v2.0/{path}"), None, body).await
    }

    /// Any path.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        version: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        self.send(method, path, version.map(str::to_owned), body).await
    }
}

async fn send(
    router: &Router,
    method: Method,
    path: &str,
    headers: &[(&str, String)],
    body: Option<Value>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let body = match body {
        Some(body) => {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    let response = router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Answer { status: parts.status, body, headers: parts.headers }
}

/// A call to the array's REST API with a fresh session, which must succeed.
pub async fn array_call(array: &Array, method: &str, path: &str, body: Option<Value>) -> Value {
    let router = array.router();
    let token = array.config().admin_token().to_owned();
    let login = send(&router, Method::POST, "/api/2.26/login", &[("api-token", token)], None).await;
    let session = login.headers["x-auth-token"].to_str().unwrap().to_owned();
    let path = format!("/api/2.26/{path}");
    let headers = [("x-auth-token", session)];
    let answer = send(&router, method.parse().unwrap(), &path, &headers, body).await;
    assert!(answer.status.is_success(), "{method} {path}: {} {}", answer.status, answer.body);
    answer.body
}
