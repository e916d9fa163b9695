//! The database: entities, migrations, one repository file per aggregate, the journal's tables, leases.
//!
//! - [`Store`] is the one handle; it is cheap to clone and every method is on it.
//! - Every read of tenant data takes a [`Scope`]: a project at this site, or the system.
//! - Every change of a group document (group, members, policy) raises the group's version and writes its
//!   outbox row in the same transaction ([`Store::outbox_due`]).
//! - The journal checks its fence, writes entries, summary and domain effects in one transaction.
//! - Runs on SQLite, PostgreSQL and MariaDB or MySQL, from one source. No transaction outlives a call.

mod convert;
mod db;
mod entity;
mod error;
mod migration;
mod page;
mod repo;
mod scope;
mod vault;

pub use db::Store;
pub use error::{Conflict, StoreError};
pub use page::{Page, PageRequest, whole_list};
pub use repo::{
    claims::GroupClaim,
    documents::FactsChange,
    engines::EngineRow,
    groups::GroupFilter,
    leases::Claimable,
    operations::{Accepted, GroupGate, NewOperation, OperationFilter, OperationRow},
    outbox::OutboxRow,
    requests::{NewRequest, Requested},
    streams::StreamDue,
};
pub use scope::Scope;
pub use vault::{Vault, VaultError};
