//! OpenStack behind `ports`: a Keystone session per project, and Nova, Cinder, Neutron and Glance as far as the
//! product needs them. The wire types are tolerant: every field may be missing or null, and unknown ones are
//! ignored, since clouds differ more than their documentation says.
//!
//! [`Site`] is the entrance: one per registered site; it gives a [`OpenStackCloud`] per mapped project and the
//! [`KeystoneIdentity`] of our service user.

pub mod catalog;
pub mod cloud;
pub mod compute;
mod compute_wire;
pub mod config;
pub mod error;
pub mod identity;
pub mod image;
pub mod network;
mod network_wire;
mod rest;
pub mod session;
pub mod site;
mod tolerant;
mod version;
pub mod volume;
mod volume_wire;

pub use cloud::OpenStackCloud;
pub use config::{AuthMethod, Credentials, Scope};
pub use identity::KeystoneIdentity;
pub use session::Session;
pub use site::Site;
