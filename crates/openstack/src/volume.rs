//! Cinder.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use protector_http::CallKind;
use protector_ports::{
    BackendPool, BlockStorage, DestroyPermit, ManageVolume, PortError, PortResult, StorageQuota,
    Volume, VolumeType,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::{
    compute_wire::LimitsAnswer,
    rest::{Api, Ask, Page, part},
    version::{Microversion, Negotiation},
    volume_wire::{
        Encryption, PoolWire, Pools, ServiceWire, Services, TypePage, TypeWire, VolumeAnswer,
        VolumeIdPage, VolumePage, VolumeWire,
    },
};

/// A host that no Cinder has: its request gets through the policy and no further.
const NO_HOST: &str = "protector-right-check@none#none";
const NO_SOURCE: &str = "protector-right-check";

/// Cinder at one site, in one project.
pub struct Cinder {
    api: Api,
    version: Arc<Negotiation>,
}

impl Cinder {
    pub(crate) fn new(api: Api, version: Arc<Negotiation>) -> Self {
        Self { api, version }
    }

    async fn version(&self) -> PortResult<Microversion> {
        let token = self.api.session.token().await?;
        let base = self.api.base(&token)?;
        let root = base.strip_suffix(token.project()).unwrap_or(&base).trim_end_matches('/');
        self.version.agree(&self.api, root).await
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

    async fn action(&self, id: &str, kind: CallKind, body: &Value) -> PortResult<()> {
        self.send(Ask::post(kind, format!("/volumes/{}/action", part(id))).json(body)).await
    }

    /// Whether a type encrypts; `None` when we may not know.
    async fn is_encrypted(&self, type_id: &str) -> PortResult<Option<bool>> {
        match self
            .json::<Encryption>(Ask::get(format!("/types/{}/encryption", part(type_id))))
            .await
        {
            Ok(encryption) => Ok(Some(encryption.is_set())),
            Err(PortError::Denied { .. } | PortError::Absent { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn service_hosts(&self) -> PortResult<Vec<BackendPool>> {
        let services =
            self.json::<Services>(Ask::get("/os-services?binary=cinder-volume")).await?.services;
        Ok(services.into_iter().filter_map(ServiceWire::into_pool).collect())
    }

    fn service(&self) -> String {
        self.api.service.label().to_owned()
    }
}

fn absent_is_success(result: PortResult<()>) -> PortResult<()> {
    match result {
        Err(PortError::Absent { .. }) => Ok(()),
        other => other,
    }
}

fn manage_body(request: &ManageVolume) -> Value {
    let mut volume = Map::new();
    volume.insert("host".into(), json!(request.host));
    volume.insert("ref".into(), json!({"source-name": request.source_name}));
    volume.insert("name".into(), json!(request.name));
    volume.insert("description".into(), json!(request.description));
    volume.insert("bootable".into(), json!(request.bootable));
    if !request.volume_type.is_empty() {
        volume.insert("volume_type".into(), json!(request.volume_type));
    }
    if !request.metadata.is_empty() {
        volume.insert("metadata".into(), json!(request.metadata));
    }
    json!({"volume": volume})
}

/// A refusal that comes from the form of the request is no proof: Cinder checks that before the policy.
fn is_about_form(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    [
        "invalid input for field",
        "additional properties",
        "is a required property",
        "malformed request",
    ]
    .iter()
    .any(|words| message.contains(words))
}

#[async_trait]
impl BlockStorage for Cinder {
    async fn volumes(&self) -> PortResult<Vec<Volume>> {
        let volumes = self.list::<VolumePage>("/volumes/detail").await?;
        Ok(volumes.into_iter().map(VolumeWire::into_port).collect())
    }

    async fn volume(&self, id: &str) -> PortResult<Volume> {
        let answer: VolumeAnswer = self.json(Ask::get(format!("/volumes/{}", part(id)))).await?;
        Ok(answer.volume.into_port())
    }

    async fn volume_ids(&self, status: &str) -> PortResult<Vec<String>> {
        let path = format!("/volumes?status={}", part(status));
        let volumes = self.list::<VolumeIdPage>(&path).await?;
        Ok(volumes.into_iter().map(|volume| volume.id).collect())
    }

    async fn manage_volume(&self, request: &ManageVolume) -> PortResult<String> {
        let ask = Ask::post(CallKind::Effect, "/os-volume-manage").json(&manage_body(request));
        Ok(self.json::<VolumeAnswer>(ask).await?.volume.id)
    }

    async fn unmanage_volume(&self, id: &str, permit: &DestroyPermit) -> PortResult<()> {
        tracing::info!(
            service = self.api.service.label(),
            volume = id,
            reason = permit.reason(),
            "unmanage"
        );
        absent_is_success(self.action(id, CallKind::Effect, &json!({"os-unmanage": {}})).await)
    }

    async fn delete_volume(&self, id: &str, permit: &DestroyPermit) -> PortResult<()> {
        tracing::info!(
            service = self.api.service.label(),
            volume = id,
            reason = permit.reason(),
            "delete"
        );
        absent_is_success(self.send(Ask::delete(format!("/volumes/{}", part(id)))).await)
    }

    async fn set_metadata(&self, id: &str, metadata: &BTreeMap<String, String>) -> PortResult<()> {
        if metadata.is_empty() {
            return Ok(());
        }
        let path = format!("/volumes/{}/metadata", part(id));
        self.send(Ask::post(CallKind::Ensure, path).json(&json!({"metadata": metadata}))).await
    }

    async fn set_image_metadata(
        &self,
        id: &str,
        metadata: &BTreeMap<String, String>,
    ) -> PortResult<()> {
        if metadata.is_empty() {
            return Ok(());
        }
        self.action(id, CallKind::Ensure, &json!({"os-set_image_metadata": {"metadata": metadata}}))
            .await
    }

    async fn retype_volume(&self, id: &str, volume_type: &str) -> PortResult<()> {
        let body = json!({"os-retype": {"new_type": volume_type, "migration_policy": "on-demand"}});
        self.action(id, CallKind::Effect, &body).await
    }

    async fn set_bootable(&self, id: &str, bootable: bool) -> PortResult<()> {
        self.action(id, CallKind::Ensure, &json!({"os-set_bootable": {"bootable": bootable}})).await
    }

    async fn volume_types(&self) -> PortResult<Vec<VolumeType>> {
        // Without rights the parameter is ignored, and public types come with those that the project may use.
        let types = self.list::<TypePage>("/types?is_public=None").await?;
        let mut types: Vec<VolumeType> = types.into_iter().map(TypeWire::into_port).collect();
        for kind in &mut types {
            match self.is_encrypted(&kind.id).await? {
                Some(encrypted) => kind.encrypted = encrypted,
                // Not for us: nor will it be for the next one.
                None => break,
            }
        }
        Ok(types)
    }

    async fn backend_pools(&self) -> PortResult<Vec<BackendPool>> {
        match self.json::<Pools>(Ask::get("/scheduler-stats/get_pools?detail=True")).await {
            Ok(answer) => Ok(answer.pools.into_iter().map(PoolWire::into_port).collect()),
            // The services may be shown where the statistics are not. If neither is, say why the first was not.
            Err(denied @ (PortError::Denied { .. } | PortError::Absent { .. })) => {
                match self.service_hosts().await {
                    Err(PortError::Denied { .. } | PortError::Absent { .. }) => Err(denied),
                    other => other,
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn quota(&self) -> PortResult<StorageQuota> {
        let limits = self.json::<LimitsAnswer>(Ask::get("/limits")).await?.limits;
        Ok(StorageQuota {
            volumes: limits.quota("maxTotalVolumes", "totalVolumesUsed"),
            gigabytes: limits.quota("maxTotalVolumeGigabytes", "totalGigabytesUsed"),
        })
    }

    async fn prove_manage_right(&self) -> PortResult<()> {
        let body = json!({"volume": {"host": NO_HOST, "ref": {"source-name": NO_SOURCE}}});
        let ask = Ask::post(CallKind::Effect, "/os-volume-manage").json(&body);
        match self.json::<VolumeAnswer>(ask).await {
            Err(PortError::Invalid { message, .. }) if !is_about_form(&message) => Ok(()),
            Err(PortError::Absent { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(answer) => Err(PortError::Conflict {
                service: self.service(),
                message: format!(
                    "accepted a volume of a host that does not exist; remove volume {} by hand",
                    answer.volume.id
                ),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manage_request_has_only_keys_that_every_cinder_knows() {
        let body = manage_body(&ManageVolume {
            host: "h@b#p".into(),
            source_name: "v".into(),
            ..Default::default()
        });
        let keys: Vec<_> = body["volume"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["bootable", "description", "host", "name", "ref"]);
        assert_eq!(body["volume"]["ref"], json!({"source-name": "v"}));
    }

    #[test]
    fn a_refusal_of_the_form_proves_nothing() {
        assert!(is_about_form(
            "Invalid input for field/attribute volume. Value: {}. 'ref' is a required property"
        ));
        assert!(!is_about_form("Host 'protector-right-check@none#none' not found"));
    }
}
