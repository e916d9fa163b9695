//! Version discovery, in the form that OpenStack clients read.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Microversion;

/// `GET /`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionsBody {
    /// One per major version.
    pub versions: Vec<VersionEntry>,
}

/// `GET /v1/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionBody {
    /// The one.
    pub version: VersionEntry,
}

/// A major version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionEntry {
    /// `v1`.
    #[schema(example = "v1")]
    pub id: String,
    /// `CURRENT`.
    #[schema(example = "CURRENT")]
    pub status: String,
    /// Oldest microversion.
    #[schema(example = "1.0")]
    pub min_version: String,
    /// Newest microversion.
    #[schema(example = "1.3")]
    pub version: String,
    /// `self`.
    pub links: Vec<VersionLink>,
}

/// A link of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionLink {
    /// `self`.
    pub rel: String,
    /// Absolute.
    pub href: String,
}

impl VersionEntry {
    /// Version 1 at this base URL (`http://host:8788`, no slash at the end).
    pub fn v1(base: &str) -> Self {
        Self {
            id: "v1".into(),
            status: "CURRENT".into(),
            min_version: Microversion::MIN.to_string(),
            version: Microversion::MAX.to_string(),
            links: vec![VersionLink { rel: "self".into(), href: format!("{base}/v1/") }],
        }
    }
}
