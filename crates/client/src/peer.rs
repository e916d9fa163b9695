//! The other site's Protector.

use std::sync::Arc;

use async_trait::async_trait;
use protector_api_types::{
    ClaimBody, GroupStampBody, GroupStampView, GroupStampsBody, PeerClaimBody, PeerDelegationsBody,
    PeerFencesBody, PeerForcedGroupBody, PeerGroupBody, PeerInfoBody, PeerJournalBody,
    PeerOperationBody, PeerTenantMappingBody,
};
use protector_http::Service;
use protector_ports::{
    ClaimAnswer, ClaimRequest, DelegationHandover, GroupStamp, OperationPiece, PeerInfo, PeerSite,
    PortError, PortResult, SiteHandover, SiteSeen,
};
use protector_types::{
    Fence, GroupDocument, GroupId, OperationId, ProjectId, Secret, SiteId, TenantMapping,
};
use serde_json::json;

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

fn view(stamp: GroupStamp) -> GroupStampView {
    GroupStampView {
        epoch: stamp.epoch,
        epochs_before: stamp.epochs_before,
        version: stamp.version,
        primary: stamp.primary,
        digest: stamp.digest,
    }
}

fn stamp(view: GroupStampView) -> GroupStamp {
    GroupStamp {
        epoch: view.epoch,
        epochs_before: view.epochs_before,
        version: view.version,
        primary: view.primary,
        digest: view.digest,
    }
}

#[async_trait]
impl PeerSite for PeerClient {
    async fn info(&self) -> PortResult<PeerInfo> {
        let body: PeerInfoBody = self.client.get("/v1/peer/info").await?;
        let peer = body.peer;
        let sees = peer.sees.into_iter().map(|it| SiteSeen {
            site_id: it.site_id,
            status: it.status,
            reason: it.reason,
            observed_at: it.observed_at,
        });
        Ok(PeerInfo {
            site_id: peer.site_id,
            site_name: peer.site_name,
            version: peer.version,
            now: peer.now,
            sees: sees.collect(),
        })
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

    async fn document(&self, group: GroupId) -> PortResult<GroupDocument> {
        let path = format!("/v1/peer/groups/{group}/document");
        let body: PeerGroupBody = self.client.get(&path).await?;
        Ok(body.document)
    }

    async fn group_stamps(&self, with: SiteId) -> PortResult<Vec<(GroupId, GroupStamp)>> {
        let body: GroupStampsBody =
            self.client.get(&format!("/v1/peer/sites/{with}/groups")).await?;
        Ok(body.stamps.into_iter().map(|it| (it.group_id, stamp(it.stamp))).collect())
    }

    async fn force_group(
        &self,
        document: &GroupDocument,
        instead_of: Option<&GroupStamp>,
    ) -> PortResult<GroupStamp> {
        let path = format!("/v1/peer/groups/{}/forced", document.group.id);
        let instead_of = instead_of.cloned().map(view);
        let body = PeerForcedGroupBody { document: document.clone(), instead_of };
        let answer = self.client.put(&path, &body).await?;
        let body: GroupStampBody = self.client.read(&answer)?;
        Ok(stamp(body.stamp))
    }

    async fn claim(&self, group: GroupId, request: &ClaimRequest) -> PortResult<ClaimAnswer> {
        let path = format!("/v1/peer/groups/{group}/claim/{}", request.operation_id);
        let body = PeerClaimBody { holder_site_id: request.holder_site_id };
        let answer = self.client.put(&path, &body).await?;
        let ClaimBody { claim } = self.client.read(&answer)?;
        Ok(ClaimAnswer {
            granted: claim.granted,
            operation_id: claim.operation_id,
            holder_site_id: claim.holder_site_id,
            reason: claim.reason,
            stamp: claim.stamp.map(stamp),
        })
    }

    async fn release_claim(&self, group: GroupId, operation: OperationId) -> PortResult<()> {
        let path = format!("/v1/peer/groups/{group}/claim/{operation}");
        gone(self.client.delete(&path).await.map_err(PortError::from))
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

    async fn put_operation(
        &self,
        operation: OperationId,
        piece: &OperationPiece,
    ) -> PortResult<u64> {
        let body = PeerOperationBody {
            project_id: piece.project_id.clone(),
            record: piece.record.clone(),
            plan: piece.plan.clone(),
            entries: piece.entries.clone(),
        };
        let answer = self.client.put(&format!("/v1/peer/operations/{operation}"), &body).await?;
        let body: PeerJournalBody = self.client.read(&answer)?;
        Ok(body.last_seq)
    }
}

/// What is not there needs no deletion.
fn gone(result: PortResult<()>) -> PortResult<()> {
    match result {
        Err(error) if error.is_absent() => Ok(()),
        other => other,
    }
}
