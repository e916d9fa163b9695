//! What can go wrong. No message holds a secret, a key or a sealed text.

use crate::sealed::KeyId;

/// Why a secret cannot be sealed or opened, or the keys cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// The folder or a file of it cannot be read or written.
    #[error("key repository {path}: {action} failed: {reason}")]
    Io {
        /// Folder or file.
        path: String,
        /// What was tried.
        action: &'static str,
        /// The system's words.
        reason: String,
    },
    /// The folder has no key, and was not asked to make one.
    #[error(
        "key repository {path} holds no key; restore the keys that the database was encrypted with, or start \
         with an empty database"
    )]
    NoKeys {
        /// The folder.
        path: String,
    },
    /// Others than the owner may read a key.
    #[error(
        "{path} has mode {mode:03o}, so that others may read the keys; run chmod {wanted:03o} on it"
    )]
    LooseMode {
        /// Folder or file.
        path: String,
        /// The mode found.
        mode: u32,
        /// The mode that is right.
        wanted: u32,
    },
    /// A key file that does not hold 32 bytes in base64.
    #[error("key file {path} does not hold 32 bytes in base64; restore it from the backup")]
    BadKeyFile {
        /// The file.
        path: String,
    },
    /// The text was sealed under a key that is not in the repository.
    #[error(
        "no key {key} in the repository; copy key file {key} from the host that made it or from the backup"
    )]
    UnknownKey {
        /// The key that the text names.
        key: KeyId,
    },
    /// Not a sealed text, or of a form that this version does not know.
    #[error("the value of {place} is not a sealed text of a known form; enter the secret again")]
    Malformed {
        /// Where it stands.
        place: String,
    },
    /// The text was changed, cut, or belongs to another place, or the key is not the one it names.
    #[error(
        "the value of {place} does not open under key {key}: it was changed, moved from another row, or the key \
         file was replaced; enter the secret again or restore the key"
    )]
    Refused {
        /// Where it stands.
        place: String,
        /// The key that was tried.
        key: KeyId,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes: {reason}")]
    NoRandom {
        /// The system's words.
        reason: String,
    },
}
