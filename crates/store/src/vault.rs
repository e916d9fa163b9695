//! How secrets are sealed before they reach a table.

use protector_secrets::{KeyRepository, Place};
use protector_types::Secret;

/// Why a secret could not be sealed or opened. Holds no part of the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{context}: {reason}")]
pub struct VaultError {
    /// Where the secret stands: `table/row/column`.
    pub context: String,
    /// What is wrong and what to do.
    pub reason: String,
}

/// Seals and opens secrets. The context (`table/row/column`) is part of what is authenticated, so that a
/// sealed text that is moved to another row does not open there.
pub trait Vault: Send + Sync {
    /// Seals a secret for one place.
    ///
    /// # Errors
    /// [`VaultError`] if there is no key.
    fn seal(&self, context: &str, secret: &Secret) -> Result<String, VaultError>;

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// [`VaultError`] if it was changed or moved, or if its key is missing.
    fn open(&self, context: &str, sealed: &str) -> Result<Secret, VaultError>;
}

impl Vault for KeyRepository {
    fn seal(&self, context: &str, secret: &Secret) -> Result<String, VaultError> {
        KeyRepository::seal(self, &place(context)?, secret).map_err(|error| failed(context, &error))
    }

    fn open(&self, context: &str, sealed: &str) -> Result<Secret, VaultError> {
        self.unseal(&place(context)?, sealed).map_err(|error| failed(context, &error))
    }
}

fn failed(context: &str, error: &protector_secrets::SecretsError) -> VaultError {
    VaultError { context: context.to_owned(), reason: error.to_string() }
}

fn place(context: &str) -> Result<Place<'_>, VaultError> {
    let parts = context
        .split_once('/')
        .and_then(|(table, rest)| rest.rsplit_once('/').map(|(row, column)| (table, row, column)));
    match parts {
        Some((table, row, column)) => Ok(Place { table, row, column }),
        None => Err(VaultError {
            context: context.to_owned(),
            reason: "a context has the form table/row/column; this is a bug".into(),
        }),
    }
}
