//! A world whose tenant `app` is mapped: our service user holds `member` and `protector` there.

use std::{future::Future, sync::Arc, time::Duration};

use axum::{middleware::map_response, response::Response};
use protector_http::{Call, CallKind, Client, Dropped, RouterTransport};
use protector_openstack::{AuthMethod, Credentials, OpenStackCloud, Scope, Site};
use protector_ports::{
    Cloud as _, Identity, NewPort, NewServer, NewServerVolume, PortError, PortResult, Server,
};
use protector_sim::{
    cloud::{Cloud, cinder::VolumeSeed},
    world::{World, WorldConfig},
};
use protector_types::{ProjectId, Secret};
use serde_json::{Value, json};

use crate::common::RealClock;

pub const MANAGE: &str = "volume_extension:volume_manage";
pub const UNMANAGE: &str = "volume_extension:volume_unmanage";

pub struct Lab {
    pub world: World,
    pub client: Client,
    pub site: Site,
    /// Our service user in the tenant's project.
    pub app: Arc<OpenStackCloud>,
    /// Our service user in its own project, where it is an administrator.
    pub own: Arc<OpenStackCloud>,
    pub project: ProjectId,
}

/// The simulator's word for a closed connection, in ours.
async fn mark_dropped(mut response: Response) -> Response {
    if response.extensions().get::<protector_sim::faults::Dropped>().is_some() {
        response.extensions_mut().insert(Dropped);
    }
    response
}

pub fn password(user: &str, project: &str) -> AuthMethod {
    AuthMethod::Password {
        user: user.into(),
        user_domain: "Default".into(),
        password: Secret::new(format!("{}-password", user.trim_end_matches("-user"))),
        project: project.into(),
        project_domain: "Default".into(),
    }
}

pub fn credentials(method: AuthMethod) -> Credentials {
    Credentials::password("http://site-a.sim/identity", Some("RegionA"), method)
}

pub async fn lab() -> Lab {
    lab_with(|_| {}).await
}

pub async fn lab_with(change: impl FnOnce(&mut WorldConfig)) -> Lab {
    let clock = RealClock::shared();
    let mut config = WorldConfig::new(11, clock.clone());
    change(&mut config);
    let world = World::new(config);
    world.cloud(0).add_usual_flavors();
    let transport = RouterTransport::new(clock.clone());
    let router = world.route("site-a").unwrap().layer(map_response(mark_dropped));
    transport.route("site-a.sim", router);
    let client = Client::new(Arc::new(transport), clock);
    let site = Site::new(client.clone(), "site-a", credentials(password("protector", "service")));
    let identity = site.identity();
    let project = identity.find_project("app", "Default").await.unwrap().remove(0).id;
    for role in ["member", "protector"] {
        identity.grant_own_role(&project, role).await.unwrap();
        identity.grant_own_role(&project, role).await.unwrap();
    }
    let app = site.cloud(Scope::Project(project.clone()));
    let own = site.cloud(Scope::Own);
    Lab { world, client, site, app, own, project }
}

impl Lab {
    pub fn cloud(&self) -> &Cloud {
        self.world.cloud(0)
    }

    /// A token as a tenant has it, with the whole answer.
    pub async fn log_in(&self, user: &str, project: &str) -> (Secret, Value) {
        let AuthMethod::Password { password, .. } = password(user, project) else { unreachable!() };
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": user, "domain": {"name": "Default"}, "password": password.expose()}}},
            "scope": {"project": {"name": project, "domain": {"name": "Default"}}},
        }});
        let call = Call::new(
            http::Method::POST,
            "http://site-a.sim/identity/v3/auth/tokens",
            CallKind::Ensure,
        );
        let answer = self.client.service("tenant", "site-a").send(call.json(&body)).await.unwrap();
        let token = answer.headers["x-subject-token"].to_str().unwrap().to_owned();
        (Secret::new(token), answer.json().unwrap())
    }

    /// Any call with a token.
    pub async fn call(
        &self,
        token: &Secret,
        method: http::Method,
        path: &str,
        body: &Value,
    ) -> Value {
        let call = Call::new(method, format!("http://site-a.sim{path}"), CallKind::Ensure)
            .header(http::HeaderName::from_static("x-auth-token"), token.expose())
            .json(body);
        let answer = self.client.service("tenant", "site-a").send(call).await.unwrap();
        answer.json().unwrap_or_default()
    }

    pub fn user_id(&self, name: &str) -> String {
        self.cloud().lock().keystone.user_named(name, "default").unwrap().id.clone()
    }

    /// A bootable, replicated volume of the tenant.
    pub fn volume(&self, name: &str) -> String {
        let seed = VolumeSeed {
            name: name.into(),
            size: 1,
            volume_type: Some("replicated".into()),
            project_id: self.project.as_str().into(),
            user_id: self.user_id("app-user"),
            bootable: true,
        };
        self.cloud().add_volume(seed).unwrap()
    }

    pub async fn network(&self, name: &str) -> String {
        let networks = self.app.networking().networks().await.unwrap();
        networks.into_iter().find(|network| network.name == name).unwrap().id
    }

    pub async fn port(&self, name: &str) -> String {
        let new = NewPort {
            name: name.into(),
            network_id: self.network("app-net").await,
            ..NewPort::default()
        };
        self.app.networking().create_port(&new).await.unwrap().id
    }

    /// What a server needs, made.
    pub async fn new_server(&self, name: &str) -> NewServer {
        let volume = |at: i32| NewServerVolume {
            volume_id: self.volume(&format!("{name}-{at}")),
            boot_index: if at == 0 { 0 } else { -1 },
            device: None,
            delete_on_termination: false,
        };
        NewServer {
            name: name.into(),
            flavor_id: "1".into(),
            port_ids: vec![self.port(name).await],
            volumes: vec![volume(0), volume(1)],
            tags: vec![format!("protector-{name}")],
            ..NewServer::default()
        }
    }

    pub async fn active_server(&self, name: &str) -> Server {
        let id = self.app.compute().create_server(&self.new_server(name).await).await.unwrap();
        self.server_in(&id, "ACTIVE").await
    }

    pub async fn server_in(&self, id: &str, status: &str) -> Server {
        until(|| async {
            let server = self.app.compute().server(id).await.unwrap();
            assert!(server.status != "ERROR" || status == "ERROR", "{:?}", server.fault);
            (server.status == status && server.task_state.is_none()).then_some(server)
        })
        .await
    }
}

pub async fn until<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> T {
    for _ in 0..400 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen within four seconds");
}

pub fn is_absent<T>(result: PortResult<T>) -> bool {
    matches!(result, Err(PortError::Absent { .. }))
}

pub fn is_conflict<T>(result: PortResult<T>) -> bool {
    matches!(result, Err(PortError::Conflict { .. }))
}

pub fn is_denied<T>(result: PortResult<T>) -> bool {
    matches!(result, Err(PortError::Denied { .. }))
}

pub fn is_invalid<T>(result: PortResult<T>) -> bool {
    matches!(result, Err(PortError::Invalid { .. }))
}

pub fn is_unknown<T>(result: PortResult<T>) -> bool {
    matches!(result, Err(PortError::Unknown { .. }))
}

pub const NO_ID: &str = "00000000-0000-4000-8000-000000000000";
