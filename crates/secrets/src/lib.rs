//! Secrets at rest: a folder of key files, and encryption that binds a text to its place in the database.
//!
//! - [`KeyRepository`]: numbered key files, the highest is the primary and seals, all others only open.
//! - [`Place`]: table, row and column. A sealed text that is copied to another place does not open there.
//! - Sealed texts look like `v1:<key id>:<base64>`; XChaCha20-Poly1305 with a random nonce of 24 bytes.
//!
//! Several hosts that share one database need the same folder. To rotate: [`KeyRepository::rotate`] on one,
//! copy the new file to the others, then restart or reload. In between nothing fails where the new file
//! has arrived: a process that meets a key it does not know looks into its folder once more.

mod error;
mod files;
mod repository;
mod sealed;

pub use error::SecretsError;
pub use repository::KeyRepository;
pub use sealed::{KeyId, Place};
