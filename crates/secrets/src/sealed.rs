//! The sealed text and its cipher.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use protector_types::Secret;
use rand::{TryRngCore, rngs::OsRng};
use zeroize::Zeroizing;

use crate::error::SecretsError;

pub(crate) const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const FORM: &str = "v1";

/// A key, wiped when dropped.
pub(crate) type Key = Zeroizing<[u8; KEY_BYTES]>;

/// The number of a key: its file's name, 1 or more. The highest is the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u32);

impl KeyId {
    pub(crate) const FIRST: KeyId = KeyId(1);

    /// The one after this; stays at the end of the numbers, which no rotation reaches.
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for KeyId {
    type Err = ();

    /// Only the canonical spelling: `7`, never `07` or `+7`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let number: u32 = text.parse().map_err(|_| ())?;
        if number == 0 || number.to_string() != text { Err(()) } else { Ok(Self(number)) }
    }
}

/// Where a secret stands in the database; part of what is authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The table.
    pub table: &'a str,
    /// The row's id.
    pub row: &'a str,
    /// The column.
    pub column: &'a str,
}

impl Place<'_> {
    /// Lengths go in, so that no two places can spell the same bytes.
    fn authenticated(&self, key: KeyId) -> Vec<u8> {
        let Place { table, row, column } = self;
        format!(
            "{FORM}:{key}:{}:{table}:{}:{row}:{}:{column}",
            table.len(),
            row.len(),
            column.len()
        )
        .into_bytes()
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}].{}", self.table, self.row, self.column)
    }
}

/// Fills a buffer with bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], SecretsError> {
    let mut bytes = [0; N];
    OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| SecretsError::NoRandom { reason: error.to_string() })?;
    Ok(bytes)
}

/// Encrypts for one place.
pub(crate) fn seal(
    id: KeyId,
    key: &Key,
    place: &Place<'_>,
    secret: &Secret,
) -> Result<String, SecretsError> {
    let nonce: [u8; NONCE_BYTES] = random()?;
    let aad = place.authenticated(id);
    let payload = Payload { msg: secret.expose().as_bytes(), aad: &aad };
    let sealed = XChaCha20Poly1305::new(key.as_slice().into())
        .encrypt(XNonce::from_slice(&nonce), payload)
        // The cipher refuses only messages of 256 GiB and more.
        .map_err(|_| SecretsError::Refused { place: place.to_string(), key: id })?;
    let bytes = [nonce.as_slice(), &sealed].concat();
    Ok(format!("{FORM}:{id}:{}", STANDARD.encode(bytes)))
}

/// A sealed text, taken apart but not opened.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) key: KeyId,
    bytes: Vec<u8>,
}

impl Sealed {
    pub(crate) fn read(place: &Place<'_>, text: &str) -> Result<Self, SecretsError> {
        let parts: Vec<_> = text.split(':').collect();
        let read = match parts.as_slice() {
            [FORM, key, body] => key.parse().ok().zip(STANDARD.decode(body).ok()),
            _ => None,
        };
        match read {
            Some((key, bytes)) if bytes.len() >= NONCE_BYTES => Ok(Self { key, bytes }),
            _ => Err(SecretsError::Malformed { place: place.to_string() }),
        }
    }

    pub(crate) fn open(&self, key: &Key, place: &Place<'_>) -> Result<Secret, SecretsError> {
        let refused = || SecretsError::Refused { place: place.to_string(), key: self.key };
        let (nonce, sealed) = self.bytes.split_at(NONCE_BYTES);
        let aad = place.authenticated(self.key);
        let plain = XChaCha20Poly1305::new(key.as_slice().into())
            .decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: &aad })
            .map(Zeroizing::new)
            .map_err(|_| refused())?;
        std::str::from_utf8(&plain).map(Secret::from).map_err(|_| refused())
    }
}
