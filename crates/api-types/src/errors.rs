//! Errors in the API-SIG form.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Every unsuccessful answer has this body: one entry per reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// At least one.
    pub errors: Vec<ErrorEntry>,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorEntry {
    /// The call: also in `X-OpenStack-Request-Id` and in our log.
    pub request_id: String,
    /// Stable dotted word for programs.
    #[schema(example = "protection_group.wrong_state")]
    pub code: String,
    /// HTTP status that this reason stands for.
    #[schema(example = 409)]
    pub status: u16,
    /// Short, for people.
    pub title: String,
    /// What happened, to which resource, what to do next.
    pub detail: String,
    /// Where to read more.
    pub links: Vec<HelpLink>,
    /// With 406: oldest version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_version: Option<String>,
    /// With 406: newest version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_version: Option<String>,
}

/// A link of an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HelpLink {
    /// `help`.
    pub rel: String,
    /// The page.
    pub href: String,
}

/// The page that explains a code.
pub fn help_link(code: &str) -> HelpLink {
    let base = "https://github.com/protector-dr/protector/blob/main/docs/errors";
    HelpLink { rel: "help".into(), href: format!("{base}/{code}.md") }
}
