//! The keys of a running process.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use protector_types::Secret;
use zeroize::Zeroizing;

use crate::{
    error::SecretsError,
    files,
    sealed::{Key, KeyId, Place, Sealed, random, seal},
};

/// The keys of one site's Protector. Cheap to ask, safe to share between threads (in an `Arc`).
pub struct KeyRepository {
    /// `None`: keys that live in memory only.
    folder: Option<PathBuf>,
    ring: RwLock<Ring>,
}

/// At least one key.
struct Ring {
    keys: BTreeMap<KeyId, Key>,
    primary: KeyId,
}

impl KeyRepository {
    /// Reads a folder that has keys.
    ///
    /// # Errors
    /// [`SecretsError`]: no folder, no key, a file that is no key or that others may read.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, SecretsError> {
        let folder = folder.into();
        let ring = read_ring(&folder)?;
        Ok(Self { folder: Some(folder), ring: RwLock::new(ring) })
    }

    /// Reads a folder; makes it, with a first key, if it is empty or not there (modes 700 and 600). For the
    /// first start: on an empty folder and a database that already holds sealed texts use [`Self::open`],
    /// whose error says that the keys are lost.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub fn open_or_create(folder: impl Into<PathBuf>) -> Result<Self, SecretsError> {
        let folder = folder.into();
        files::make_folder(&folder)?;
        if files::read_all(&folder)?.is_empty() {
            // False: another service was faster; its key is read below.
            files::create(&folder, KeyId::FIRST)?;
        }
        Self::open(folder)
    }

    /// One random key that is nowhere but in this process: for the simulation, the demo and tests.
    ///
    /// # Errors
    /// [`SecretsError::NoRandom`].
    pub fn in_memory() -> Result<Self, SecretsError> {
        let keys = BTreeMap::from([(KeyId::FIRST, Zeroizing::new(random()?))]);
        Ok(Self { folder: None, ring: RwLock::new(Ring { keys, primary: KeyId::FIRST }) })
    }

    /// Seals a secret for one place under the primary key.
    ///
    /// # Errors
    /// [`SecretsError::NoRandom`].
    pub fn seal(&self, place: &Place<'_>, secret: &Secret) -> Result<String, SecretsError> {
        let ring = self.ring();
        let key =
            ring.keys.get(&ring.primary).ok_or(SecretsError::UnknownKey { key: ring.primary })?;
        seal(ring.primary, key, place, secret)
    }

    /// Opens a sealed text of this place. For a key that is not known yet the folder is read again.
    ///
    /// # Errors
    /// [`SecretsError`]: malformed, changed, moved from another place, or sealed under a missing key.
    pub fn unseal(&self, place: &Place<'_>, text: &str) -> Result<Secret, SecretsError> {
        let sealed = Sealed::read(place, text)?;
        if !self.ring().keys.contains_key(&sealed.key) {
            self.reload()?;
        }
        match self.ring().keys.get(&sealed.key) {
            Some(key) => sealed.open(key, place),
            None => Err(SecretsError::UnknownKey { key: sealed.key }),
        }
    }

    /// True if the text was sealed under an older key than the primary, or has an older form.
    pub fn needs_rotation(&self, text: &str) -> bool {
        let primary = format!("v1:{}:", self.primary());
        !text.starts_with(&primary)
    }

    /// The text sealed anew under the primary key, or `None` if it already is. For the rotation's sweep.
    ///
    /// # Errors
    /// As [`Self::unseal`] and [`Self::seal`].
    pub fn reseal(&self, place: &Place<'_>, text: &str) -> Result<Option<String>, SecretsError> {
        if !self.needs_rotation(text) {
            return Ok(None);
        }
        let secret = self.unseal(place, text)?;
        self.seal(place, &secret).map(Some)
    }

    /// Makes a new primary key; older keys still open what they sealed.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub fn rotate(&self) -> Result<KeyId, SecretsError> {
        self.reload()?;
        let Some(folder) = &self.folder else { return self.rotate_in_memory() };
        let mut id = self.primary().next();
        while !files::create(folder, id)? {
            id = id.next();
        }
        self.reload()?;
        Ok(id)
    }

    /// Reads the folder again. Keys that have left it are forgotten.
    ///
    /// # Errors
    /// [`SecretsError`]; the keys read before stay in use.
    pub fn reload(&self) -> Result<(), SecretsError> {
        if let Some(folder) = &self.folder {
            let ring = read_ring(folder)?;
            *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        }
        Ok(())
    }

    /// The key that seals.
    pub fn primary(&self) -> KeyId {
        self.ring().primary
    }

    /// Every key, oldest first.
    pub fn key_ids(&self) -> Vec<KeyId> {
        self.ring().keys.keys().copied().collect()
    }

    fn ring(&self) -> RwLockReadGuard<'_, Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn rotate_in_memory(&self) -> Result<KeyId, SecretsError> {
        let key = Zeroizing::new(random()?);
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let id = ring.primary.next();
        ring.keys.insert(id, key);
        ring.primary = id;
        Ok(id)
    }
}

fn read_ring(folder: &Path) -> Result<Ring, SecretsError> {
    let keys = files::read_all(folder)?;
    match keys.keys().next_back().copied() {
        Some(primary) => Ok(Ring { keys, primary }),
        None => Err(SecretsError::NoKeys { path: folder.display().to_string() }),
    }
}

impl fmt::Debug for KeyRepository {
    /// Numbers of keys, never keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRepository")
            .field("folder", &self.folder)
            .field("keys", &self.key_ids())
            .field("primary", &self.primary())
            .finish()
    }
}
