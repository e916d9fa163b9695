//! A FlashArray (REST 2.x) behind [`protector_ports::ReplicationArray`].
//!
//! Written against the published OpenAPI files of 2.4, 2.16 and 2.26; whatever behaviour those do not state is
//! checked after the effect instead of trusted. There is no function that eradicates anything.

mod encode;
mod error;
mod group;
mod pod;
mod point;
mod rest;
mod safety;
mod session;
mod tolerant;
pub mod version;
mod volume;
mod wire;

use async_trait::async_trait;
use protector_http::Client;
use protector_ports::{
    ArrayConnection, ArrayGroup, ArrayGroupSpec, ArrayInfo, ArrayLink, ArrayVolume, DestroyPermit,
    PortResult, RecoveryPoint, ReplicationArray, SyncGroup, VolumeKey,
};
use protector_types::Secret;

pub use encode::base_url;

/// Namespace of our tags: nobody else's, and no reserved prefix.
pub const TAG_NAMESPACE: &str = "protector.dr";

/// One array, with one API token. Clones share the session.
#[derive(Clone)]
pub struct FlashArray {
    rest: rest::Rest,
}

impl FlashArray {
    /// An array by its management URL and API token; nobody is called until the first use. `site` is for messages
    /// and counters. Share one per (URL, token): it holds the session.
    pub fn new(client: &Client, site: &str, url: &str, token: Secret) -> Self {
        Self { rest: rest::Rest::new(client, site, url, token) }
    }

    /// The REST version in use; asks the array the first time.
    ///
    /// # Errors
    /// As any read; Invalid when there is no common version.
    pub async fn rest_version(&self) -> PortResult<version::Version> {
        Ok(self.rest.session().await?.version)
    }
}

#[async_trait]
impl ReplicationArray for FlashArray {
    async fn identify(&self) -> PortResult<ArrayInfo> {
        self.rest.identify().await
    }

    async fn links(&self) -> PortResult<Vec<ArrayLink>> {
        self.rest.links().await
    }

    async fn sync_group(
        &self,
        group: &str,
        partner: &str,
        volumes: &[String],
    ) -> PortResult<SyncGroup> {
        self.rest.sync_group(group, partner, volumes).await
    }

    async fn volume(&self, key: &VolumeKey) -> PortResult<ArrayVolume> {
        self.rest.volume(key).await
    }

    async fn volumes_named(&self, names: &[String]) -> PortResult<Vec<ArrayVolume>> {
        self.rest.volumes_named(names).await
    }

    async fn clone_from_point(
        &self,
        point: &str,
        source_volume: &str,
        new_name: &str,
    ) -> PortResult<ArrayVolume> {
        self.rest.clone_from_point(point, source_volume, new_name).await
    }

    async fn destroy_volume(&self, key: &VolumeKey, permit: &DestroyPermit) -> PortResult<()> {
        self.rest.destroy_volume(key, permit).await
    }

    async fn tag_volume(&self, name: &str, tags: &[(String, String)]) -> PortResult<()> {
        self.rest.tag_volume(name, tags).await
    }

    async fn volumes_tagged(&self, key: &str, value: &str) -> PortResult<Vec<ArrayVolume>> {
        self.rest.volumes_tagged(key, value).await
    }

    async fn connections(&self, volume: &str) -> PortResult<Vec<ArrayConnection>> {
        self.rest.connections(volume).await
    }

    async fn disconnect(
        &self,
        volume: &str,
        connection: &ArrayConnection,
        permit: &DestroyPermit,
    ) -> PortResult<()> {
        self.rest.disconnect(volume, connection, permit).await
    }

    async fn connect(&self, volume: &str, connection: &ArrayConnection) -> PortResult<()> {
        self.rest.connect(volume, connection).await
    }

    async fn group(&self, name: &str) -> PortResult<ArrayGroup> {
        self.rest.group(name).await
    }

    async fn ensure_group(&self, spec: &ArrayGroupSpec) -> PortResult<()> {
        self.rest.ensure_group(spec).await
    }

    async fn allow_group(&self, source_array: &str, group: &str, allowed: bool) -> PortResult<()> {
        self.rest.allow_group(source_array, group, allowed).await
    }

    async fn set_group_schedule(&self, group: &str, enabled: bool) -> PortResult<()> {
        self.rest.set_group_schedule(group, enabled).await
    }

    async fn add_to_group(&self, group: &str, volumes: &[String]) -> PortResult<()> {
        self.rest.add_to_group(group, volumes).await
    }

    async fn remove_from_group(&self, group: &str, volumes: &[String]) -> PortResult<()> {
        self.rest.remove_from_group(group, volumes).await
    }

    async fn destroy_group(&self, group: &str, permit: &DestroyPermit) -> PortResult<()> {
        self.rest.destroy_group(group, permit).await
    }

    async fn snapshot_volume(&self, volume: &str, suffix: &str) -> PortResult<()> {
        self.rest.snapshot_volume(volume, suffix).await
    }

    async fn has_volume_snapshot(&self, name: &str) -> PortResult<bool> {
        self.rest.has_volume_snapshot(name).await
    }

    async fn destroy_volume_snapshot(&self, name: &str, permit: &DestroyPermit) -> PortResult<()> {
        self.rest.destroy_volume_snapshot(name, permit).await
    }

    async fn overwrite_volume(
        &self,
        volume: &str,
        snapshot: &str,
        permit: &DestroyPermit,
    ) -> PortResult<()> {
        self.rest.overwrite_volume(volume, snapshot, permit).await
    }

    async fn overwrite_from_point(
        &self,
        volume: &str,
        point: &str,
        source_volume: &str,
        permit: &DestroyPermit,
    ) -> PortResult<()> {
        let snapshot = pod::in_point(point, source_volume);
        self.rest.overwrite_volume(volume, &snapshot, permit).await
    }

    async fn snapshot_group(&self, group: &str, suffix: &str) -> PortResult<()> {
        self.rest.snapshot_group(group, suffix).await
    }

    async fn has_group_snapshot(&self, group: &str, suffix: &str) -> PortResult<bool> {
        self.rest.has_group_snapshot(group, suffix).await
    }

    async fn recovery_point(
        &self,
        source_array: &str,
        group: &str,
        suffix: &str,
    ) -> PortResult<Option<RecoveryPoint>> {
        self.rest.recovery_point(source_array, group, suffix).await
    }

    async fn recovery_points(
        &self,
        source_array: &str,
        group: &str,
    ) -> PortResult<Vec<RecoveryPoint>> {
        self.rest.recovery_points(source_array, group).await
    }
}
