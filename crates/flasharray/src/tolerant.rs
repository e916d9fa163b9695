//! Reading what arrays of different releases send.

use serde::{Deserialize, Deserializer};

/// `null` as the default. For fields with `#[serde(default)]`, which alone only covers missing ones.
pub fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
