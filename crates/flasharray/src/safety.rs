//! Snapshots of single volumes, and putting one back into a volume: what a failback secures before it overwrites.

use http::Method;
use protector_http::CallKind;
use protector_ports::{DestroyPermit, PortError, PortResult, VolumeKey};
use serde_json::json;

use crate::{
    encode::Query,
    rest::{Rest, gone},
    wire::SnapshotWire,
};

const SNAPSHOTS: &str = "/volume-snapshots";

impl Rest {
    pub(crate) async fn snapshot_volume(&self, volume: &str, suffix: &str) -> PortResult<()> {
        let query = Query::new().names("source_names", &[volume]);
        self.change(Method::POST, CallKind::Effect, SNAPSHOTS, &query, &json!({"suffix": suffix}))
            .await
            .map(drop)
    }

    pub(crate) async fn has_volume_snapshot(&self, name: &str) -> PortResult<bool> {
        let query = Query::new().names("names", &[name]).live();
        match self.all::<SnapshotWire>(SNAPSHOTS, query).await {
            Ok(found) => {
                Ok(found.iter().any(|s| s.name.eq_ignore_ascii_case(name) && !s.destroyed))
            }
            Err(PortError::Absent { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn destroy_volume_snapshot(
        &self,
        name: &str,
        permit: &DestroyPermit,
    ) -> PortResult<()> {
        tracing::info!(
            service = self.label(),
            snapshot = name,
            reason = permit.reason(),
            "destroy"
        );
        let query = Query::new().names("names", &[name]);
        let body = json!({"destroyed": true});
        gone(self.change(Method::PATCH, CallKind::Ensure, SNAPSHOTS, &query, &body).await)
    }

    pub(crate) async fn overwrite_volume(
        &self,
        volume: &str,
        snapshot: &str,
        permit: &DestroyPermit,
    ) -> PortResult<()> {
        // A volume that is not there would be made, with the array's default protection.
        self.volume(&VolumeKey::Name(volume.to_owned())).await?;
        tracing::info!(
            service = self.label(),
            volume,
            snapshot,
            reason = permit.reason(),
            "overwrite"
        );
        // Nothing else may go with it: together with a word about protection the array refuses.
        let query = Query::new().names("names", &[volume]).with("overwrite", "true");
        let body = json!({"source": {"name": snapshot}});
        self.change(Method::POST, CallKind::Effect, "/volumes", &query, &body).await.map(drop)
    }
}
