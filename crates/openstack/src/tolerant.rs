//! Reading what clouds really send.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// `null` as the default. For fields with `#[serde(default)]`, which alone only covers missing ones.
pub fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Loose {
    Bool(bool),
    Number(f64),
    Text(String),
    Other(serde::de::IgnoredAny),
}

/// A truth value as a boolean, as `"true"`, or as 1.
pub fn loose_bool<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(match Option::<Loose>::deserialize(deserializer)? {
        Some(Loose::Bool(value)) => value,
        Some(Loose::Number(value)) => value != 0.0,
        Some(Loose::Text(text)) => {
            matches!(text.to_ascii_lowercase().as_str(), "true" | "1" | "yes")
        }
        Some(Loose::Other(_)) | None => false,
    })
}

/// A number that may come as text, or empty (Nova's `swap: ""`), or negative for "unlimited".
pub fn loose_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    Ok(match Option::<Loose>::deserialize(deserializer)? {
        Some(Loose::Number(value)) => value as i64,
        Some(Loose::Text(text)) => text.trim().parse().unwrap_or(0),
        _ => 0,
    })
}

/// A map of texts whose values may be other scalars.
pub fn loose_map<'de, D>(
    deserializer: D,
) -> Result<std::collections::BTreeMap<String, String>, D::Error>
where
    D: Deserializer<'de>,
{
    let map = Option::<std::collections::BTreeMap<String, Value>>::deserialize(deserializer)?;
    Ok(map
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(key, value)| match value {
            Value::String(text) => Some((key, text)),
            Value::Null => None,
            other => Some((key, other.to_string())),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Strange {
        #[serde(deserialize_with = "null_default")]
        text: String,
        #[serde(deserialize_with = "loose_bool")]
        flag: bool,
        #[serde(deserialize_with = "loose_number")]
        number: i64,
        #[serde(deserialize_with = "loose_map")]
        map: BTreeMap<String, String>,
    }

    fn read(text: &str) -> Strange {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn missing_and_null_fields_are_the_same() {
        assert_eq!(read("{}"), Strange::default());
        assert_eq!(
            read(r#"{"text": null, "flag": null, "number": null, "map": null}"#),
            Strange::default()
        );
    }

    #[test]
    fn booleans_and_numbers_may_be_texts() {
        for yes in ["true", r#""true""#, r#""True""#, "1"] {
            assert!(read(&format!(r#"{{"flag": {yes}}}"#)).flag, "{yes}");
        }
        for no in ["false", r#""false""#, r#""""#, "0", "{}"] {
            assert!(!read(&format!(r#"{{"flag": {no}}}"#)).flag, "{no}");
        }
        assert_eq!(read(r#"{"number": "512"}"#).number, 512);
        assert_eq!(read(r#"{"number": ""}"#).number, 0);
        assert_eq!(read(r#"{"number": -1}"#).number, -1);
    }

    #[test]
    fn values_of_maps_become_texts() {
        let map = read(r#"{"map": {"a": "x", "b": 1, "c": true, "d": null}}"#).map;
        let expected =
            [("a", "x"), ("b", "1"), ("c", "true")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(map, BTreeMap::from(expected));
    }
}
