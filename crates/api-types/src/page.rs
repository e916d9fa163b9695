//! Lists come in pages.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An entry of `<things>_links`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PageLink {
    /// `next`.
    pub rel: String,
    /// The next page, with all filters of this one.
    pub href: String,
}

impl PageLink {
    /// The link to the next page.
    pub fn next(href: String) -> Self {
        Self { rel: "next".into(), href }
    }
}
