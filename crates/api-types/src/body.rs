//! From bytes to a checked request.

use std::fmt;

use protector_types::{Code, Reason, Refusal, Secret};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::{Microversion, check::FieldErrors, since};

/// A request body.
pub trait Checked: DeserializeOwned {
    /// Where the fields of a later version are looked for: `(resource, key that wraps it)`. The key is `None`
    /// for a body without a wrapping key.
    const RESOURCE: (&'static str, Option<&'static str>);

    /// Notes every wrong value.
    fn check(&self, errors: &mut FieldErrors);
}

/// Reads and checks a body.
///
/// # Errors
/// A refusal that names the field and the reason.
pub fn read_body<T: Checked>(bytes: &[u8], version: Microversion) -> Result<T, Refusal> {
    let value = read_value(bytes)?;
    refuse_later_fields::<T>(&value, version)?;
    let body: T = from_value(value)?;
    let mut errors = FieldErrors::default();
    body.check(&mut errors);
    errors.finish()?;
    Ok(body)
}

/// The same, for a body that may be missing: an empty one is `{}`.
///
/// # Errors
/// As [`read_body`].
pub fn read_optional_body<T: Checked>(bytes: &[u8], version: Microversion) -> Result<T, Refusal> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        read_body(b"{}", version)
    } else {
        read_body(bytes, version)
    }
}

/// Reads a JSON object, in which no key may occur twice.
///
/// # Errors
/// `request.malformed`.
pub fn read_value(bytes: &[u8]) -> Result<Value, Refusal> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(malformed("The body is empty; send a JSON object".into()));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| malformed(format!("The body is not valid JSON: {error}")))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(malformed(format!("The body must be a JSON object, not {}", kind_of(&value))))
    }
}

/// Reads a typed value; the path to a wrong field is in the refusal.
///
/// # Errors
/// `request.unknown_field` or `request.invalid_value`.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().to_string();
        let (code, subject) = match quoted_after(&message, "unknown field `") {
            Some(name) => (Code::RequestUnknownField, join(&path, name)),
            None => match quoted_after(&message, "missing field `") {
                Some(name) => (Code::RequestInvalidValue, join(&path, name)),
                None => (Code::RequestInvalidValue, path),
            },
        };
        let subject = (subject != "." && !subject.is_empty()).then_some(subject);
        Refusal {
            code,
            detail: "The request is not valid".into(),
            reasons: vec![Reason { code, subject, message }],
        }
    })
}

/// The field's full path; the path to an unknown field may end in it already.
fn join(path: &str, name: &str) -> String {
    match path {
        "." | "" => name.to_owned(),
        _ if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        _ => format!("{path}.{name}"),
    }
}

fn quoted_after<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    message.strip_prefix(before)?.split('`').next()
}

fn refuse_later_fields<T: Checked>(value: &Value, version: Microversion) -> Result<(), Refusal> {
    let (resource, wrapper) = T::RESOURCE;
    let fields = match wrapper {
        Some(key) => value.get(key).and_then(Value::as_object),
        None => value.as_object(),
    };
    let mut errors = FieldErrors::default();
    for field in fields.into_iter().flat_map(Map::keys) {
        let since = since::field_since(resource, field);
        if since > version {
            let path = wrapper.map_or_else(|| field.clone(), |key| format!("{key}.{field}"));
            errors.unknown(
                &path,
                format!("unknown field `{field}` in version {version}: it needs {since}"),
            );
        }
    }
    errors.finish()
}

fn malformed(detail: String) -> Refusal {
    Refusal::new(Code::RequestMalformed, detail)
}

/// A word for the kind of a JSON value.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Reads a secret; what was sent instead is never quoted.
pub(crate) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(Secret::new(text)),
        other => Err(D::Error::custom(format!("must be a string, not {}", kind_of(&other)))),
    }
}

/// The same for one that may be missing.
pub(crate) fn optional_secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Secret>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(Secret::new(text))),
        other => Err(D::Error::custom(format!("must be a string, not {}", kind_of(&other)))),
    }
}

/// A JSON value whose objects have no key twice (serde_json keeps the last silently).
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Strict)?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("the key \"{key}\" occurs twice")));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
