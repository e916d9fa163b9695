//! Mapping values: keys and values are ids or names, on both sites (1-product.md section 5).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Source id or name -> target id or name.
pub type Mapping = BTreeMap<String, String>;

/// Something a mapping can name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its id.
    pub id: String,
    /// Its name; need not be unique.
    pub name: String,
}

/// Why a reference does not resolve. The message lists the candidates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// Nothing has this id or name.
    #[error("{kind} {reference:?} does not exist; there are: {}", list(candidates))]
    Unknown {
        /// "network", "flavor" ...
        kind: &'static str,
        /// What the caller wrote.
        reference: String,
        /// What there is.
        candidates: Vec<Candidate>,
    },
    /// Several have this name.
    #[error("{kind} {reference:?} is ambiguous; use an id of: {}", list(candidates))]
    Ambiguous {
        /// "network", "flavor" ...
        kind: &'static str,
        /// What the caller wrote.
        reference: String,
        /// Those that match.
        candidates: Vec<Candidate>,
    },
}

fn list(candidates: &[Candidate]) -> String {
    if candidates.is_empty() {
        return "none".into();
    }
    let shown: Vec<_> =
        candidates.iter().take(20).map(|c| format!("{} ({})", c.name, c.id)).collect();
    let more = candidates.len().saturating_sub(shown.len());
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{tail}", shown.join(", "))
}

/// Resolves an id or a name among candidates; an id wins over a name.
///
/// # Errors
/// [`MappingError`] when nothing or more than one matches.
pub fn resolve_reference<'a>(
    kind: &'static str,
    reference: &str,
    candidates: &'a [Candidate],
) -> Result<&'a Candidate, MappingError> {
    if let Some(found) = candidates.iter().find(|c| c.id == reference) {
        return Ok(found);
    }
    let named: Vec<_> = candidates.iter().filter(|c| c.name == reference).collect();
    match named.as_slice() {
        [only] => Ok(only),
        [] => Err(MappingError::Unknown {
            kind,
            reference: reference.into(),
            candidates: candidates.to_vec(),
        }),
        many => Err(MappingError::Ambiguous {
            kind,
            reference: reference.into(),
            candidates: many.iter().map(|c| (*c).clone()).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates() -> Vec<Candidate> {
        [("1", "web"), ("2", "db"), ("3", "db"), ("4", "1")]
            .map(|(id, name)| Candidate { id: id.into(), name: name.into() })
            .to_vec()
    }

    #[test]
    fn an_id_wins_over_a_name() {
        assert_eq!(
            resolve_reference("network", "1", &candidates()).map(|c| c.name.as_str()),
            Ok("web")
        );
    }

    #[test]
    fn ambiguous_and_unknown_list_the_candidates() {
        let ambiguous = resolve_reference("network", "db", &candidates()).map(|_| ()).unwrap_err();
        assert!(ambiguous.to_string().contains("db (2), db (3)"), "{ambiguous}");
        let unknown = resolve_reference("network", "nope", &candidates()).map(|_| ()).unwrap_err();
        assert!(unknown.to_string().contains("web (1)"), "{unknown}");
    }
}
