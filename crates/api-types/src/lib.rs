//! The words on the wire: request and response bodies per resource, the microversion table, and the
//! conversions between versions. Transport-free: no HTTP type, no I/O. `api` speaks these to clients,
//! `client` speaks them to `api`.
//!
//! - Requests refuse unknown fields by name and check every value ([`read_body`], [`Checked`]).
//! - Responses are plain structs; a field of a later microversion is `None` and left out below it
//!   ([`since`] is the one table that says which).

pub mod action;
pub mod body;
pub mod check;
pub mod consistency_group;
pub mod errors;
pub mod event;
pub mod group;
pub mod health;
pub mod member;
pub mod operation;
pub mod page;
pub mod peer;
pub mod plan;
pub mod policy;
pub mod recovery_point;
pub mod since;
pub mod site;
pub mod sync_status;
pub mod tenant_mapping;
pub mod time;
pub mod version;
pub mod version_document;

pub use action::*;
pub use body::{Checked, read_body, read_optional_body, read_value};
pub use check::FieldErrors;
pub use consistency_group::*;
pub use errors::{ErrorBody, ErrorEntry, HelpLink, help_link};
pub use event::*;
pub use group::*;
pub use health::*;
pub use member::*;
pub use operation::*;
pub use page::PageLink;
pub use peer::*;
pub use plan::*;
pub use policy::*;
pub use recovery_point::*;
pub use site::*;
pub use sync_status::*;
pub use tenant_mapping::*;
pub use version::{Microversion, Negotiated, VersionError, negotiate};
pub use version_document::*;
