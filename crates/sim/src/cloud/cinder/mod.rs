//! Simulated Cinder, with its Pure driver on the cloud's array.
//!
//! A volume's public `status` hides two internal ones, as in the real service: `managing` is shown
//! as `creating`, `error_managing` as `error`.

mod actions;
mod admin;
mod attach;
mod attachments;
mod discovery;
mod driver;
pub(crate) mod kit;
mod manage;
mod metadata;
mod model;
mod quotas;
mod seed;
mod snapshots;
mod types;
mod view;
mod volumes;
pub(crate) mod work;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    routing::{any, delete, get, post, put},
};
use tokio::sync::Notify;

use super::{Cloud, Microversion, Service};

pub use model::{Attachment, Snapshot, Volume, VolumeType};
pub use seed::VolumeSeed;

/// The oldest and the newest microversion.
const VERSIONS: (Microversion, Microversion) = (Microversion(3, 0), Microversion(3, 71));

/// Its objects.
#[derive(Clone, Default)]
pub struct State {
    /// By id.
    pub volumes: BTreeMap<String, Volume>,
    /// By id.
    pub types: BTreeMap<String, VolumeType>,
    /// By id.
    pub snapshots: BTreeMap<String, Snapshot>,
    /// By id.
    pub attachments: BTreeMap<String, Attachment>,
    /// The type of volumes that name none; its id.
    pub default_type: Option<String>,
    /// The array that `cinder-group` replicates to, as this site's array calls it. Without one, types
    /// with replication find no backend.
    pub replication_target: Option<String>,
    /// The stretched pod that holds volumes of synchronous types (`pure_replication_pod_name`). Without one such types
    /// find no backend.
    pub sync_pod: Option<String>,
    /// cinder-volume is stopped: services say `down`, what needs the driver is 503 or stays as it is.
    pub backend_down: bool,
    /// How often each (kind, name) was made; ids are drawn from it.
    pub(crate) made: HashMap<String, u64>,
    /// Work of cinder-volume that has not fallen due yet.
    pub(crate) work: kit::Timeline<work::Job>,
    /// Work that waits for cinder-volume to come back.
    pub(crate) parked: Vec<work::Job>,
    /// Rung when there may be new work.
    pub(crate) bell: Arc<Notify>,
    /// Numbers volumes and snapshots in the order of their making; lists show the newest first.
    pub(crate) order: u64,
}

fn resources() -> Router<Cloud> {
    Router::new()
        .route("/volumes", get(volumes::list).post(volumes::create))
        .route("/volumes/detail", get(volumes::detail))
        .route("/volumes/summary", get(volumes::summary))
        .route("/volumes/{id}", get(volumes::show).put(volumes::update).delete(volumes::delete))
        .route("/volumes/{id}/action", post(actions::act))
        .route(
            "/volumes/{id}/metadata",
            get(metadata::list).post(metadata::merge).put(metadata::replace),
        )
        .route(
            "/volumes/{id}/metadata/{key}",
            get(metadata::show).put(metadata::set).delete(metadata::unset),
        )
        .route("/os-volume-manage", get(manage::list).post(manage::manage))
        .route("/os-volume-manage/detail", get(manage::list))
        .route("/manageable_volumes", get(manage::list).post(manage::manage))
        .route("/manageable_volumes/detail", get(manage::list))
        .route("/attachments", get(attachments::list).post(attachments::create))
        .route("/attachments/detail", get(attachments::detail))
        .route(
            "/attachments/{id}",
            get(attachments::show).put(attachments::update).delete(attachments::delete),
        )
        .route("/attachments/{id}/action", post(attachments::act))
        .route("/types", get(types::list).post(types::create))
        .route("/types/{id}", get(types::show).put(types::update).delete(types::delete))
        .route("/types/{id}/extra_specs", get(types::specs).post(types::add_specs))
        .route(
            "/types/{id}/extra_specs/{key}",
            get(types::spec).put(types::set_spec).delete(types::drop_spec),
        )
        .route("/types/{id}/action", post(types::act))
        .route("/types/{id}/os-volume-type-access", get(types::access))
        .route("/types/{id}/encryption", get(types::encryption))
        .route("/snapshots", get(snapshots::list).post(snapshots::create))
        .route("/snapshots/detail", get(snapshots::list))
        .route(
            "/snapshots/{id}",
            get(snapshots::show).put(snapshots::update).delete(snapshots::delete),
        )
        .route("/snapshots/{id}/action", post(snapshots::act))
        .route("/os-quota-sets/{id}", get(quotas::show).put(quotas::update).delete(quotas::reset))
        .route("/os-quota-sets/{id}/defaults", get(quotas::defaults))
        .route("/limits", get(quotas::limits))
        .route("/os-services", get(admin::services))
        .route("/os-services/{action}", put(admin::set_service))
        .route("/scheduler-stats/get_pools", get(admin::pools))
        .route("/os-availability-zone", get(admin::zones))
        .route("/os-hosts", get(admin::hosts))
        .route("/extensions", get(admin::extensions))
        .route("/groups", get(admin::groups))
        .route("/groups/detail", get(admin::groups))
        .route("/qos-specs", get(admin::qos))
        .route("/os-volume-transfer", get(admin::transfers))
        .route("/volume-transfers", get(admin::transfers))
        .route("/backups", get(admin::backups))
        .route("/backups/detail", get(admin::backups))
        .route("/os-volume-transfer/{id}", delete(admin::absent))
}

/// Everything below `/volume/v3`; the project in the path may be left out (as from 3.67).
pub fn router() -> Router<Cloud> {
    let versioned = Router::new().nest("/{project_id}", resources()).merge(resources()).layer(
        middleware::from_fn(|request: Request, next: Next| {
            kit::microversion(Service::Cinder, VERSIONS, request, next)
        }),
    );
    Router::new().route("/", any(discovery::v3)).merge(versioned)
}

/// The list of versions at `/volume`.
pub fn versions() -> Router<Cloud> {
    Router::new().route("/", any(discovery::all))
}
