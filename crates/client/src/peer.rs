//! The other site's Protector.

use std::sync::Arc;

use async_trait::async_trait;
use protector_api_types::{
    GroupStampBody, GroupStampView, PeerDelegationsBody, PeerFencesBody, PeerGroupBody,
    PeerInfoBody, PeerOperationBody, PeerTenantMappingBody,
};
use protector_http::Service;
use protector_ports::{
    DelegationHandover, GroupStamp, PeerInfo, PeerSite, PortError, PortResult, SiteHandover,
};
use protector_types::{Fence, GroupDocument, GroupId, ProjectId, Secret, SiteId, TenantMapping};
use serde_json::{Value, json};

use crate::{
    client::{ProtectorClient, segment},
    token::TokenSource,
};

/// A client whose token is that of the peer site's service user. Every call but the reads is idempotent, so a
/// lost answer is simply asked for again.
#[derive(Clone)]
pub struct PeerClient {
    client: ProtectorClient,
}

impl PeerClient {
    /// The API at `url`, over this service, with these tokens.
    pub fn new(service: Service, url: &str, tokens: Arc<dyn TokenSource>) -> Self {
        Self { client: ProtectorClient::new(service, url, tokens) }
    }

    /// The client, for calls that are not site to site.
    pub fn client(&self) -> &ProtectorClient {
        &self.client
    }
}

fn stamp(view: GroupStampView) -> GroupStamp {
    GroupStamp {
        epoch: view.epoch,
        raised_by: view.raised_by,
        version: view.version,
        digest: view.digest,
    }
}

#[async_trait]
impl PeerSite for PeerClient {
    async fn info(&self) -> PortResult<PeerInfo> {
        let body: PeerInfoBody = self.client.get("/v1/peer/info").await?;
        let peer = body.peer;
        Ok(PeerInfo { site_id: peer.site_id, site_name: peer.site_name, version: peer.version })
    }

    async fn put_site(&self, handover: &SiteHandover) -> PortResult<()> {
        let path = format!("/v1/peer/sites/{}", handover.site.id);
        let body = json!({"site": handover.site, "password": handover.password.expose()});
        Ok(self.client.put(&path, &body).await.map(drop)?)
    }

    async fn put_tenant_mapping(&self, mapping: &TenantMapping) -> PortResult<()> {
        let path = format!("/v1/peer/tenant-mappings/{}", mapping.id);
        let body = PeerTenantMappingBody { tenant_mapping: mapping.clone() };
        Ok(self.client.put(&path, &body).await.map(drop)?)
    }

    async fn delete_tenant_mapping(&self, mapping: &TenantMapping) -> PortResult<()> {
        let path = format!("/v1/peer/tenant-mappings/{}", mapping.id);
        gone(self.client.delete(&path).await.map_err(PortError::from))
    }

    async fn put_group(&self, document: &GroupDocument) -> PortResult<GroupStamp> {
        let path = format!("/v1/peer/groups/{}", document.group.id);
        let body = PeerGroupBody { document: document.clone() };
        let answer = self.client.put(&path, &body).await?;
        let body: GroupStampBody = self.client.read(&answer)?;
        Ok(stamp(body.stamp))
    }

    async fn delegations(&self, project: &ProjectId) -> PortResult<Vec<DelegationHandover>> {
        let path = format!("/v1/peer/projects/{}/delegations", segment(project.as_str()));
        let body: PeerDelegationsBody = self.client.get(&path).await?;
        let handed = body.delegations.into_iter();
        Ok(handed
            .map(|it| DelegationHandover {
                delegation: it.delegation,
                trust: Secret::new(it.trust),
            })
            .collect())
    }

    async fn group_stamp(&self, group: GroupId) -> PortResult<GroupStamp> {
        let body: GroupStampBody = self.client.get(&format!("/v1/peer/groups/{group}")).await?;
        Ok(stamp(body.stamp))
    }

    async fn delete_group(&self, group: GroupId) -> PortResult<()> {
        gone(self.client.delete(&format!("/v1/peer/groups/{group}")).await.map_err(PortError::from))
    }

    async fn put_array_token(
        &self,
        group: GroupId,
        site: SiteId,
        token: &Secret,
    ) -> PortResult<()> {
        let path = format!("/v1/peer/groups/{group}/array-tokens/{site}");
        Ok(self.client.put(&path, &json!({"token": token.expose()})).await.map(drop)?)
    }

    async fn put_fences(&self, group: GroupId, fences: &[Fence]) -> PortResult<()> {
        let path = format!("/v1/peer/groups/{group}/fences");
        let body = PeerFencesBody { fences: fences.to_vec() };
        Ok(self.client.put(&path, &body).await.map(drop)?)
    }

    async fn put_operation(&self, project: &ProjectId, record: &Value) -> PortResult<()> {
        let id = record.get("id").and_then(Value::as_str).unwrap_or_default();
        let path = format!("/v1/peer/operations/{}", segment(id));
        let body = PeerOperationBody { project_id: project.clone(), record: record.clone() };
        Ok(self.client.put(&path, &body).await.map(drop)?)
    }
}

/// What is not there needs no deletion.
fn gone(result: PortResult<()>) -> PortResult<()> {
    match result {
        Err(error) if error.is_absent() => Ok(()),
        other => other,
    }
}
