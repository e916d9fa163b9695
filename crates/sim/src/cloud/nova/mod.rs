//! Simulated Nova, with a libvirt-like compute host under each server: what it attaches is connected
//! on the array, and it does not start what the array does not connect.

mod actions;
mod admin;
mod attachments;
mod build;
mod create;
mod discovery;
mod flavors;
mod groups;
mod interfaces;
mod keypairs;
mod lifecycle;
mod list;
mod model;
mod neighbours;
mod quotas;
mod request;
mod seed;
mod servers;
mod sub;
mod view;
pub(crate) mod work;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    routing::{any, get, post, put},
};

use super::{
    Cloud, Microversion, Service,
    cinder::kit::{self, Timeline},
};

pub use model::{Action, Disk, Fault, Flavor, Keypair, Nic, Server, ServerGroup};
pub use seed::{FlavorSeed, GuestError};

/// The oldest and the newest microversion.
const VERSIONS: (Microversion, Microversion) = (Microversion(2, 1), Microversion(2, 100));

/// Its objects.
#[derive(Clone, Default)]
pub struct State {
    /// By id; deleted ones stay, marked.
    pub servers: BTreeMap<String, Server>,
    /// By id.
    pub flavors: BTreeMap<String, Flavor>,
    /// By (user id, name).
    pub keypairs: BTreeMap<(String, String), Keypair>,
    /// By id.
    pub groups: BTreeMap<String, ServerGroup>,
    /// Names of compute hosts; none: four hosts named after the site.
    pub computes: Vec<String>,
    /// Builds of servers of these names end in ERROR with this message.
    pub failing_builds: HashMap<String, String>,
    /// Builds that wait for a free slot.
    pub(crate) waiting: VecDeque<String>,
    /// Builds that run.
    pub(crate) building: HashSet<String>,
    /// Work that has not fallen due yet.
    pub(crate) work: Timeline<work::Job>,
    /// Numbers servers in the order of their making.
    pub(crate) order: u64,
}

fn resources() -> Router<Cloud> {
    Router::new()
        .route("/servers", get(list::list).post(servers::create))
        .route("/servers/detail", get(list::detail))
        .route("/servers/{id}", get(servers::show).put(servers::update).delete(servers::delete))
        .route("/servers/{id}/action", post(actions::act))
        .route(
            "/servers/{id}/os-volume_attachments",
            get(attachments::list).post(attachments::create),
        )
        .route(
            "/servers/{id}/os-volume_attachments/{volume}",
            get(attachments::show).put(attachments::update).delete(attachments::delete),
        )
        .route("/servers/{id}/os-interface", get(interfaces::list).post(interfaces::create))
        .route(
            "/servers/{id}/os-interface/{port}",
            get(interfaces::show).delete(interfaces::delete),
        )
        .route(
            "/servers/{id}/metadata",
            get(sub::metadata).post(sub::merge_metadata).put(sub::replace_metadata),
        )
        .route(
            "/servers/{id}/metadata/{key}",
            get(sub::meta).put(sub::set_meta).delete(sub::drop_meta),
        )
        .route("/servers/{id}/tags", get(sub::tags).put(sub::set_tags).delete(sub::clear_tags))
        .route(
            "/servers/{id}/tags/{tag}",
            get(sub::has_tag).put(sub::add_tag).delete(sub::drop_tag),
        )
        .route("/servers/{id}/ips", get(sub::addresses))
        .route("/servers/{id}/os-security-groups", get(sub::security_groups))
        .route("/servers/{id}/os-instance-actions", get(sub::actions))
        .route("/servers/{id}/os-instance-actions/{request}", get(sub::action))
        .route("/flavors", get(flavors::list).post(flavors::create))
        .route("/flavors/detail", get(flavors::detail))
        .route("/flavors/{id}", get(flavors::show).delete(flavors::delete))
        .route("/flavors/{id}/os-extra_specs", get(flavors::specs).post(flavors::add_specs))
        .route("/flavors/{id}/os-extra_specs/{key}", get(flavors::spec))
        .route("/os-keypairs", get(keypairs::list).post(keypairs::create))
        .route("/os-keypairs/{name}", get(keypairs::show).delete(keypairs::delete))
        .route("/os-server-groups", get(groups::list).post(groups::create))
        .route("/os-server-groups/{id}", get(groups::show).delete(groups::delete))
        .route("/limits", get(quotas::limits))
        .route("/os-quota-sets/{id}", get(quotas::show).put(quotas::update).delete(quotas::reset))
        .route("/os-quota-sets/{id}/defaults", get(quotas::defaults))
        .route("/os-quota-sets/{id}/detail", get(quotas::detail))
        .route("/os-availability-zone", get(admin::zones))
        .route("/os-availability-zone/detail", get(admin::zones))
        .route("/os-hypervisors", get(admin::hypervisors))
        .route("/os-hypervisors/detail", get(admin::hypervisors))
        .route("/os-hypervisors/statistics", get(admin::statistics))
        .route("/os-hypervisors/{id}", get(admin::hypervisor))
        .route("/os-services", get(admin::services))
        .route("/os-services/{id}", put(admin::set_service))
        .route("/os-aggregates", get(admin::aggregates))
        .route("/extensions", get(admin::extensions))
}

/// Everything below `/compute/v2.1`.
pub fn router() -> Router<Cloud> {
    let versioned = resources().layer(middleware::from_fn(|request: Request, next: Next| {
        kit::microversion(Service::Nova, VERSIONS, request, next)
    }));
    Router::new().route("/", any(discovery::v21)).merge(versioned)
}

/// The list of versions at `/compute`.
pub fn versions() -> Router<Cloud> {
    Router::new().route("/", any(discovery::all))
}
