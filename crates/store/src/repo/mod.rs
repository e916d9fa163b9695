//! One file per aggregate.

pub(crate) mod array_tokens;
pub(crate) mod claims;
pub(crate) mod delegations;
pub(crate) mod documents;
pub(crate) mod effects;
pub(crate) mod engines;
pub(crate) mod fences;
pub(crate) mod groups;
pub(crate) mod identity;
pub(crate) mod journal;
pub(crate) mod kept;
pub(crate) mod keys;
pub(crate) mod leases;
pub(crate) mod members;
pub(crate) mod operation_list;
pub(crate) mod operations;
pub(crate) mod outbox;
pub(crate) mod policies;
pub(crate) mod requests;
pub(crate) mod site_facts;
pub(crate) mod sites;
pub(crate) mod streams;
pub(crate) mod tenant_mappings;
