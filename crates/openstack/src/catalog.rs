//! The service catalog: which URL serves which type.

use serde::Deserialize;

use crate::tolerant::null_default;

/// One type of service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct CatalogEntry {
    /// `compute`, `volumev3` ...
    #[serde(rename = "type", deserialize_with = "null_default")]
    pub service_type: String,
    /// Its endpoints.
    #[serde(deserialize_with = "null_default")]
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    /// `public` ...
    #[serde(deserialize_with = "null_default")]
    pub interface: String,
    /// Region id.
    pub region_id: Option<String>,
    /// The same in older catalogs.
    pub region: Option<String>,
    /// URL.
    #[serde(deserialize_with = "null_default")]
    pub url: String,
}

impl Endpoint {
    fn region(&self) -> &str {
        self.region_id.as_deref().or(self.region.as_deref()).unwrap_or_default()
    }
}

/// The catalog of one token.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    entries: Vec<CatalogEntry>,
}

/// Names under which clouds list the same service, best first.
const ALIASES: &[&[&str]] = &[
    &["block-storage", "volumev3", "block-store", "volume"],
    &["compute"],
    &["network"],
    &["image"],
    &["identity", "identityv3"],
];

/// Why a service has no URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// No such type, interface or region.
    #[error(
        "the catalog has no {interface} endpoint of type {service_type:?}{}; add the endpoint, or correct the site's region_name",
        region.as_ref().map(|r| format!(" in region {r:?}")).unwrap_or_default()
    )]
    Missing {
        /// What was looked for.
        service_type: String,
        /// In which interface.
        interface: String,
        /// In which region, if one is set.
        region: Option<String>,
    },
    /// The site names no region and there are several.
    #[error("service type {service_type:?} has endpoints in the regions {}; set the site's region_name", regions.join(", "))]
    Ambiguous {
        /// What was looked for.
        service_type: String,
        /// Where it is.
        regions: Vec<String>,
    },
}

impl Catalog {
    /// A catalog of these entries.
    pub fn new(entries: Vec<CatalogEntry>) -> Self {
        Self { entries }
    }

    /// The URL of a service, without a trailing slash.
    ///
    /// # Errors
    /// [`CatalogError`] when there is none, or several with no region to choose by.
    pub fn url(
        &self,
        service_type: &str,
        interface: &str,
        region: Option<&str>,
    ) -> Result<String, CatalogError> {
        let single = [service_type];
        let names =
            ALIASES.iter().find(|names| names.contains(&service_type)).copied().unwrap_or(&single);
        // The very name that was asked for wins over its aliases.
        let ordered = std::iter::once(&service_type)
            .chain(names.iter().filter(|name| **name != service_type));
        for name in ordered {
            let fitting: Vec<&Endpoint> = self
                .entries
                .iter()
                .filter(|entry| entry.service_type == *name)
                .flat_map(|entry| &entry.endpoints)
                .filter(|endpoint| endpoint.interface == interface && !endpoint.url.is_empty())
                .filter(|endpoint| region.is_none_or(|region| endpoint.region() == region))
                .collect();
            let Some(first) = fitting.first() else { continue };
            let mut regions: Vec<String> = fitting.iter().map(|e| e.region().to_owned()).collect();
            regions.sort_unstable();
            regions.dedup();
            if regions.len() > 1 {
                return Err(CatalogError::Ambiguous { service_type: service_type.into(), regions });
            }
            return Ok(first.url.trim_end_matches('/').to_owned());
        }
        Err(CatalogError::Missing {
            service_type: service_type.into(),
            interface: interface.into(),
            region: region.map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let entries = serde_json::from_str(
            r#"[
            {"type": "volumev2", "name": "old", "endpoints": [{"interface": "public", "region_id": "A", "url": "http://v2"}]},
            {"type": "volumev3", "endpoints": [
                {"interface": "internal", "region_id": "A", "url": "http://internal"},
                {"interface": "public", "region_id": "A", "url": "http://a/v3/p/"},
                {"interface": "public", "region": "B", "url": "http://b/v3/p", "id": null}]},
            {"type": "compute", "endpoints": [{"interface": "public", "region_id": "A", "region": "A", "url": "http://c/v2.1", "odd": {}}]},
            {"type": "odd", "endpoints": null}
        ]"#,
        );
        Catalog::new(entries.unwrap())
    }

    #[test]
    fn block_storage_is_found_under_its_old_names_but_never_as_v2() {
        for name in ["block-storage", "volumev3", "volume"] {
            assert_eq!(catalog().url(name, "public", Some("A")).as_deref(), Ok("http://a/v3/p"));
        }
    }

    #[test]
    fn region_and_interface_decide() {
        assert_eq!(catalog().url("volumev3", "public", Some("B")).as_deref(), Ok("http://b/v3/p"));
        assert_eq!(
            catalog().url("volumev3", "internal", Some("A")).as_deref(),
            Ok("http://internal")
        );
        assert!(matches!(
            catalog().url("compute", "public", Some("B")),
            Err(CatalogError::Missing { .. })
        ));
    }

    #[test]
    fn several_regions_without_a_choice_are_refused_by_name() {
        let error = catalog().url("volumev3", "public", None).unwrap_err();
        assert!(error.to_string().contains("A, B"), "{error}");
        assert_eq!(catalog().url("compute", "public", None).as_deref(), Ok("http://c/v2.1"));
    }
}
