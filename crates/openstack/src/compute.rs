//! Nova.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use http::Method;
use protector_http::CallKind;
use protector_ports::{
    AttachedVolume, Compute, ComputeQuota, DestroyPermit, Flavor, Keypair, NewServer, PortError,
    PortResult, Server, ServerFilter, ServerGroup,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::{
    compute_wire::{
        Attachments, CreatedServer, FlavorAnswer, FlavorPage, KeypairEntry, KeypairPage,
        LimitsAnswer, ServerAnswer, ServerGroupAnswer, ServerGroupPage, ServerIdPage, ServerPage,
        ServerWire, TAGS_KEY, Zones,
    },
    rest::{Api, Ask, PAGE, Page, part},
    version::{Microversion, Negotiation},
};

/// User id of another's keypair.
const V_KEYPAIR_OF: Microversion = Microversion(2, 10);
const V_DESCRIPTION: Microversion = Microversion(2, 19);

const V_KEYPAIR_PAGES: Microversion = Microversion(2, 35);
/// From here on `networks` is mandatory, and `none` a word.
const V_NETWORKS: Microversion = Microversion(2, 37);
const V_TAGS_AT_CREATION: Microversion = Microversion(2, 52);
const V_GROUP_POLICY: Microversion = Microversion(2, 64);
const V_LOCK_REASON: Microversion = Microversion(2, 73);
/// From here on `delete_on_termination` of an attached volume can be changed.
const V_KEEP_VOLUME: Microversion = Microversion(2, 85);

/// Nova at one site, in one project.
pub struct Nova {
    api: Api,
    version: Arc<Negotiation>,
}

impl Nova {
    pub(crate) fn new(api: Api, version: Arc<Negotiation>) -> Self {
        Self { api, version }
    }

    async fn version(&self) -> PortResult<Microversion> {
        let token = self.api.session.token().await?;
        let base = self.api.base(&token)?;
        self.version.agree(&self.api, &base).await
    }

    async fn json<T: DeserializeOwned>(&self, ask: Ask<'_>) -> PortResult<T> {
        let version = self.version().await?;
        self.api.json(ask.version(self.version.header(version))).await
    }

    async fn send(&self, ask: Ask<'_>) -> PortResult<()> {
        let version = self.version().await?;
        self.api.send(ask.version(self.version.header(version))).await.map(drop)
    }

    async fn list<P: Page>(&self, path: &str) -> PortResult<Vec<P::Item>> {
        let version = self.version().await?;
        self.api.list::<P>(path, self.version.header(version)).await
    }

    /// Harmless to repeat, but not repeated here after a lost answer: the first one could land after whatever takes
    /// the second one back (a lock after its unlock). Who asked looks again once that time is over.
    async fn action(&self, id: &str, body: &Value) -> PortResult<()> {
        let path = format!("/servers/{}/action", part(id));
        self.send(Ask::post(CallKind::Effect, path).json(body)).await
    }

    /// Absent is success.
    async fn destroy(&self, path: String, permit: &DestroyPermit) -> PortResult<()> {
        tracing::info!(
            service = self.api.service.label(),
            path,
            reason = permit.reason(),
            "delete"
        );
        match self.send(Ask::delete(path)).await {
            Err(PortError::Absent { .. }) => Ok(()),
            other => other,
        }
    }

    /// Before 2.47 a server shows only its flavor's id.
    async fn resolve_flavors(&self, servers: Vec<ServerWire>) -> PortResult<Vec<Server>> {
        let mut known: HashMap<String, Flavor> = HashMap::new();
        let mut resolved = Vec::with_capacity(servers.len());
        for wire in servers {
            let reference = wire.flavor.is_reference().then(|| wire.flavor.id.clone());
            let mut server = wire.into_port();
            if let Some(id) = reference {
                if !known.contains_key(&id) {
                    known.insert(id.clone(), self.flavor(&id).await?);
                }
                if let Some(flavor) = known.get(&id) {
                    server.flavor = flavor.clone();
                }
            }
            resolved.push(server);
        }
        Ok(resolved)
    }

    /// A flavor may have been deleted while servers still use it.
    async fn flavor(&self, id: &str) -> PortResult<Flavor> {
        match self.json::<FlavorAnswer>(Ask::get(format!("/flavors/{}", part(id)))).await {
            Ok(answer) => Ok(answer.flavor.into_port()),
            Err(PortError::Absent { .. }) => Ok(Flavor { id: id.to_owned(), ..Flavor::default() }),
            Err(error) => Err(error),
        }
    }
}

fn new_server_body(new: &NewServer, version: Microversion) -> Value {
    let mut server = Map::new();
    server.insert("name".into(), json!(new.name));
    server.insert("flavorRef".into(), json!(new.flavor_id));
    if !new.port_ids.is_empty() {
        let ports: Vec<Value> = new.port_ids.iter().map(|id| json!({"port": id})).collect();
        server.insert("networks".into(), ports.into());
    } else if version >= V_NETWORKS {
        server.insert("networks".into(), json!("none"));
    }
    let devices: Vec<Value> = new
        .volumes
        .iter()
        .map(|volume| {
            let mut device = json!({
                "uuid": volume.volume_id,
                "source_type": "volume",
                "destination_type": "volume",
                "boot_index": volume.boot_index,
                "delete_on_termination": volume.delete_on_termination,
            });
            if let Some(name) = &volume.device {
                device["device_name"] = json!(name);
            }
            device
        })
        .collect();
    server.insert("block_device_mapping_v2".into(), devices.into());
    let mut metadata = new.metadata.clone();
    if !new.tags.is_empty() {
        if version >= V_TAGS_AT_CREATION {
            server.insert("tags".into(), json!(new.tags));
        } else {
            metadata.insert(TAGS_KEY.into(), new.tags.join(","));
        }
    }
    if !metadata.is_empty() {
        server.insert("metadata".into(), json!(metadata));
    }
    if version >= V_DESCRIPTION
        && let Some(description) = &new.description
    {
        server.insert("description".into(), json!(description));
    }
    for (key, value) in [
        ("key_name", &new.key_name),
        ("user_data", &new.user_data),
        ("availability_zone", &new.availability_zone),
    ] {
        if let Some(value) = value {
            server.insert(key.into(), json!(value));
        }
    }
    if new.config_drive {
        server.insert("config_drive".into(), json!(true));
    }
    let mut body = json!({"server": server});
    if let Some(group) = &new.server_group_id {
        body["os:scheduler_hints"] = json!({"group": group});
    }
    body
}

/// Nova reads the name filter as a pattern: it only narrows the list, and only where it cannot be misread.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[async_trait]
impl Compute for Nova {
    async fn servers(&self, filter: &ServerFilter) -> PortResult<Vec<Server>> {
        let version = self.version().await?;
        let mut path = String::from("/servers/detail");
        let mut separator = '?';
        let mut add = |key: &str, value: &str| {
            path.push_str(&format!("{separator}{key}={}", part(value)));
            separator = '&';
        };
        if let Some(name) = filter.name.as_deref().filter(|name| is_plain(name)) {
            add("name", name);
        }
        if let Some(tag) = &filter.tag
            && version >= V_TAGS_AT_CREATION
        {
            // Whoever made it, a tag can only be on a server itself from then on.
            add("tags", tag);
        }
        let servers = self.resolve_flavors(self.list::<ServerPage>(&path).await?).await?;
        // A server list may be wider than asked: an administrator sees every deleted or foreign thing.
        let project = self.api.session.token().await?.info.project_id.clone();
        let fits = |server: &Server| {
            filter.name.as_ref().is_none_or(|name| server.name == *name)
                && filter.tag.as_ref().is_none_or(|tag| server.tags.contains(tag))
                && project
                    .as_ref()
                    .is_none_or(|p| server.project_id.is_empty() || server.project_id == p.as_str())
        };
        Ok(servers.into_iter().filter(fits).collect())
    }

    async fn server(&self, id: &str) -> PortResult<Server> {
        let answer: ServerAnswer = self.json(Ask::get(format!("/servers/{}", part(id)))).await?;
        let server = self.resolve_flavors(vec![answer.server]).await?.pop();
        server.ok_or_else(|| self.api.invalid("no server in the answer"))
    }

    async fn server_ids(&self, status: &str) -> PortResult<Vec<String>> {
        let path = format!("/servers?status={}", part(status));
        let servers = self.list::<ServerIdPage>(&path).await?;
        Ok(servers.into_iter().map(|server| server.id).collect())
    }

    async fn attachments(&self, server_id: &str) -> PortResult<Vec<AttachedVolume>> {
        let path = format!("/servers/{}/os-volume_attachments", part(server_id));
        Ok(self.json::<Attachments>(Ask::get(path)).await?.into_port())
    }

    async fn create_server(&self, new: &NewServer) -> PortResult<String> {
        let body = new_server_body(new, self.version().await?);
        let ask = Ask::post(CallKind::Effect, "/servers").json(&body);
        Ok(self.json::<CreatedServer>(ask).await?.server.id)
    }

    async fn stop_server(&self, id: &str) -> PortResult<()> {
        self.action(id, &json!({"os-stop": null})).await
    }

    async fn start_server(&self, id: &str) -> PortResult<()> {
        self.action(id, &json!({"os-start": null})).await
    }

    async fn lock_server(&self, id: &str, reason: &str) -> PortResult<()> {
        let version = self.version().await?;
        let lock =
            if version >= V_LOCK_REASON { json!({"locked_reason": reason}) } else { Value::Null };
        self.action(id, &json!({"lock": lock})).await
    }

    async fn unlock_server(&self, id: &str) -> PortResult<()> {
        self.action(id, &json!({"unlock": null})).await
    }

    async fn keep_volume(&self, server_id: &str, volume_id: &str) -> PortResult<()> {
        if self.version().await? < V_KEEP_VOLUME {
            return Err(self.api.invalid(format!(
                "this Nova (before 2.85) cannot let volume {volume_id} outlive server {server_id}; detach it by hand"
            )));
        }
        let path =
            format!("/servers/{}/os-volume_attachments/{}", part(server_id), part(volume_id));
        let body =
            json!({"volumeAttachment": {"volumeId": volume_id, "delete_on_termination": false}});
        self.send(Ask::new(Method::PUT, CallKind::Ensure, path).json(&body)).await
    }

    async fn detach_port(
        &self,
        server_id: &str,
        port_id: &str,
        permit: &DestroyPermit,
    ) -> PortResult<()> {
        self.destroy(format!("/servers/{}/os-interface/{}", part(server_id), part(port_id)), permit)
            .await
    }

    async fn attach_port(&self, server_id: &str, port_id: &str) -> PortResult<()> {
        let path = format!("/servers/{}/os-interface", part(server_id));
        let body = json!({"interfaceAttachment": {"port_id": port_id}});
        self.send(Ask::post(CallKind::Ensure, path).json(&body)).await
    }

    async fn delete_server(&self, id: &str, permit: &DestroyPermit) -> PortResult<()> {
        self.destroy(format!("/servers/{}", part(id)), permit).await
    }

    async fn flavors(&self) -> PortResult<Vec<Flavor>> {
        let flavors = self.list::<FlavorPage>("/flavors/detail").await?;
        Ok(flavors.into_iter().map(|flavor| flavor.into_port()).collect())
    }

    async fn keypairs(&self) -> PortResult<Vec<Keypair>> {
        let entries = if self.version().await? >= V_KEYPAIR_PAGES {
            self.list::<KeypairPage>("/os-keypairs").await?
        } else {
            self.json::<KeypairPage>(Ask::get("/os-keypairs")).await?.split().0
        };
        Ok(entries.into_iter().map(|entry| entry.keypair.into_port()).collect())
    }

    async fn keypair_of(&self, user_id: &str, name: &str) -> PortResult<Keypair> {
        if self.version().await? < V_KEYPAIR_OF {
            return Err(PortError::Denied {
                service: self.api.service.label().to_owned(),
                message: "this Nova shows nobody another user's keypairs".into(),
            });
        }
        let path = format!("/os-keypairs/{}?user_id={}", part(name), part(user_id));
        Ok(self.json::<KeypairEntry>(Ask::get(path)).await?.keypair.into_port())
    }

    async fn import_keypair(&self, keypair: &Keypair) -> PortResult<()> {
        let body = json!({"keypair": {"name": keypair.name, "public_key": keypair.public_key}});
        self.send(Ask::post(CallKind::Effect, "/os-keypairs").json(&body)).await
    }

    async fn server_groups(&self) -> PortResult<Vec<ServerGroup>> {
        let mut all: Vec<ServerGroup> = Vec::new();
        // Paged by offset, not by marker, and without links.
        loop {
            let path = format!("/os-server-groups?limit={PAGE}&offset={}", all.len());
            let page = self.json::<ServerGroupPage>(Ask::get(path)).await?.server_groups;
            let known =
                page.first().is_some_and(|first| all.iter().any(|group| group.id == first.id));
            if page.is_empty() || known {
                return Ok(all);
            }
            all.extend(page.into_iter().map(|group| group.into_port()));
        }
    }

    async fn create_server_group(&self, name: &str, policy: &str) -> PortResult<String> {
        let body = if self.version().await? >= V_GROUP_POLICY {
            json!({"server_group": {"name": name, "policy": policy}})
        } else {
            json!({"server_group": {"name": name, "policies": [policy]}})
        };
        let ask = Ask::post(CallKind::Effect, "/os-server-groups").json(&body);
        Ok(self.json::<ServerGroupAnswer>(ask).await?.server_group.id)
    }

    async fn delete_server_group(&self, id: &str, permit: &DestroyPermit) -> PortResult<()> {
        self.destroy(format!("/os-server-groups/{}", part(id)), permit).await
    }

    async fn quota(&self) -> PortResult<ComputeQuota> {
        let limits = self
            .json::<LimitsAnswer>(Ask::new(Method::GET, CallKind::Read, "/limits"))
            .await?
            .limits;
        Ok(ComputeQuota {
            instances: limits.quota("maxTotalInstances", "totalInstancesUsed"),
            cores: limits.quota("maxTotalCores", "totalCoresUsed"),
            ram_mib: limits.quota("maxTotalRAMSize", "totalRAMUsed"),
        })
    }

    async fn availability_zones(&self) -> PortResult<Vec<String>> {
        Ok(self.json::<Zones>(Ask::get("/os-availability-zone")).await?.up())
    }
}

#[cfg(test)]
mod tests {
    use protector_ports::NewServerVolume;

    use super::*;

    fn new_server() -> NewServer {
        NewServer {
            name: "web".into(),
            description: Some("d".into()),
            flavor_id: "f".into(),
            port_ids: vec!["p1".into()],
            volumes: vec![NewServerVolume {
                volume_id: "v".into(),
                boot_index: 0,
                ..Default::default()
            }],
            tags: vec!["t1".into(), "t2".into()],
            server_group_id: Some("g".into()),
            ..NewServer::default()
        }
    }

    #[test]
    fn a_new_server_for_a_nova_of_today() {
        let body = new_server_body(&new_server(), Microversion(2, 96));
        assert_eq!(body["server"]["tags"], json!(["t1", "t2"]));
        assert_eq!(body["server"]["description"], "d");
        assert_eq!(body["server"]["networks"], json!([{"port": "p1"}]));
        assert_eq!(body["server"]["block_device_mapping_v2"][0]["delete_on_termination"], false);
        assert_eq!(body["os:scheduler_hints"]["group"], "g");
        assert!(
            body["server"].get("metadata").is_none() && body["server"].get("imageRef").is_none()
        );
    }

    #[test]
    fn a_new_server_for_an_old_nova_keeps_its_tags_in_metadata() {
        let body = new_server_body(&new_server(), Microversion(2, 1));
        assert_eq!(body["server"]["metadata"][TAGS_KEY], "t1,t2");
        assert!(
            body["server"].get("tags").is_none() && body["server"].get("description").is_none()
        );
    }

    #[test]
    fn without_ports_nova_must_not_choose_a_network() {
        let new = NewServer { port_ids: vec![], ..new_server() };
        assert_eq!(new_server_body(&new, Microversion(2, 96))["server"]["networks"], "none");
        assert!(new_server_body(&new, Microversion(2, 36))["server"].get("networks").is_none());
    }
}
