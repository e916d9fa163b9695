//! Microversions: the newest that both sides know.

use std::fmt;

use http::{HeaderName, HeaderValue};
use protector_ports::{PortError, PortResult};
use serde::Deserialize;
use tokio::sync::OnceCell;

use crate::rest::{Api, Ask};

/// `2.96`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Microversion(pub u32, pub u32);

impl Microversion {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().trim_start_matches('v').split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl fmt::Display for Microversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// What a service and we have in common, asked for once per site.
pub(crate) struct Negotiation {
    /// "compute", "volume": the word in the header.
    word: &'static str,
    lowest: Microversion,
    newest: Microversion,
    agreed: OnceCell<Microversion>,
}

impl Negotiation {
    /// Nova: fields that we use came until 2.73; 2.96 is the newest that was tried.
    pub fn compute() -> Self {
        Self::new("compute", Microversion(2, 1), Microversion(2, 96))
    }

    /// Cinder: 3.59 is the newest whose answers have the form that we read.
    pub fn volume() -> Self {
        Self::new("volume", Microversion(3, 0), Microversion(3, 59))
    }

    fn new(word: &'static str, lowest: Microversion, newest: Microversion) -> Self {
        Self { word, lowest, newest, agreed: OnceCell::new() }
    }

    /// The version to use; asks the service the first time. A service without microversions gets its lowest.
    /// `root` is the URL of its version document, without a trailing slash.
    pub async fn agree(&self, api: &Api, root: &str) -> PortResult<Microversion> {
        self.agreed.get_or_try_init(|| self.ask(api, root)).await.copied()
    }

    async fn ask(&self, api: &Api, root: &str) -> PortResult<Microversion> {
        // Without the slash some servers redirect, and slowly.
        for url in [format!("{root}/"), root.to_owned()] {
            match api.json::<Document>(Ask::get(url)).await {
                Ok(document) => return Ok(self.choose(&document)),
                Err(error @ (PortError::Transient { .. } | PortError::Denied { .. })) => {
                    return Err(error);
                }
                Err(error) => {
                    tracing::debug!(service = api.service.label(), %error, "no version document")
                }
            }
        }
        tracing::warn!(
            service = api.service.label(), version = %self.lowest, "no version document: using the lowest version"
        );
        Ok(self.lowest)
    }

    fn choose(&self, document: &Document) -> Microversion {
        document
            .all()
            .filter_map(|version| Microversion::parse(version.version.as_deref()?))
            .filter(|version| version.0 == self.lowest.0)
            .max()
            .map_or(self.lowest, |newest| newest.min(self.newest))
    }

    /// The header that asks for a version; `None` for the lowest, which needs none.
    pub fn header(&self, version: Microversion) -> Option<(HeaderName, HeaderValue)> {
        if version == self.lowest {
            return None;
        }
        // Before 2.27 Nova only knows its own header.
        let (name, text) = if self.word == "compute" && version < Microversion(2, 27) {
            (HeaderName::from_static("x-openstack-nova-api-version"), version.to_string())
        } else {
            (HeaderName::from_static("openstack-api-version"), format!("{} {version}", self.word))
        };
        Some((name, HeaderValue::from_str(&text).ok()?))
    }
}

/// Nova answers `version`, Cinder `versions`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    version: Option<Version>,
    versions: Option<Vec<Version>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Version {
    version: Option<String>,
}

impl Document {
    fn all(&self) -> impl Iterator<Item = &Version> {
        self.version.iter().chain(self.versions.iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(negotiation: &Negotiation, text: &str) -> Microversion {
        negotiation.choose(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn the_newest_common_version_is_chosen() {
        let compute = Negotiation::compute();
        assert_eq!(
            chosen(&compute, r#"{"version": {"id": "v2.1", "version": "2.103"}}"#),
            Microversion(2, 96)
        );
        assert_eq!(
            chosen(&compute, r#"{"version": {"version": "2.53", "min_version": "2.1"}}"#),
            Microversion(2, 53)
        );
        assert_eq!(chosen(&compute, r#"{"version": {"version": ""}}"#), Microversion(2, 1));
        let volume = Negotiation::volume();
        let document = r#"{"versions": [{"version": ""}, {"version": "3.9"}, {"version": "3.50"}, {"version": null}]}"#;
        assert_eq!(chosen(&volume, document), Microversion(3, 50));
    }

    #[test]
    fn the_header_is_the_one_that_the_version_knows() {
        let compute = Negotiation::compute();
        let header = |minor| {
            compute
                .header(Microversion(2, minor))
                .map(|(n, v)| format!("{n}: {}", v.to_str().unwrap()))
        };
        assert_eq!(header(96).as_deref(), Some("openstack-api-version: compute 2.96"));
        assert_eq!(header(12).as_deref(), Some("x-openstack-nova-api-version: 2.12"));
        assert_eq!(header(1), None);
    }
}
