//! The folder of key files, in the manner of Keystone's Fernet repository.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{
    error::SecretsError,
    sealed::{KEY_BYTES, Key, KeyId, random},
};

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

fn io(path: &Path, action: &'static str) -> impl Fn(std::io::Error) -> SecretsError {
    move |error| SecretsError::Io {
        path: path.display().to_string(),
        action,
        reason: error.to_string(),
    }
}

/// Makes the folder if it is not there. One that is there is left as it is, and checked when it is read.
pub(crate) fn make_folder(folder: &Path) -> Result<(), SecretsError> {
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(folder)
        .map_err(io(folder, "making the folder"))
}

/// Reads every file whose name is a number; other files are none of ours.
pub(crate) fn read_all(folder: &Path) -> Result<BTreeMap<KeyId, Key>, SecretsError> {
    check_mode(folder, FOLDER_MODE)?;
    let mut keys = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(io(folder, "listing"))? {
        let entry = entry.map_err(io(folder, "listing"))?;
        let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(id) = id {
            keys.insert(id, read_one(&entry.path())?);
        }
    }
    Ok(keys)
}

fn read_one(path: &Path) -> Result<Key, SecretsError> {
    check_mode(path, FILE_MODE)?;
    let bad = || SecretsError::BadKeyFile { path: path.display().to_string() };
    let text = Zeroizing::new(fs::read_to_string(path).map_err(io(path, "reading"))?);
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| bad())?);
    let key: [u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| bad())?;
    Ok(Zeroizing::new(key))
}

/// Others may have no right at all; the folder may be entered by the group, as packages set it up.
fn check_mode(path: &Path, wanted: u32) -> Result<(), SecretsError> {
    let mode =
        fs::metadata(path).map_err(io(path, "reading the mode"))?.permissions().mode() & 0o777;
    let forbidden = if wanted == FOLDER_MODE { 0o027 } else { 0o077 };
    if mode & forbidden == 0 {
        return Ok(());
    }
    Err(SecretsError::LooseMode { path: path.display().to_string(), mode, wanted })
}

/// Writes a new random key as file `id`. False if another process made that file first.
///
/// The file appears complete or not at all: it is written under another name and linked to its own, which
/// fails where one exists. So two services that start at once on an empty folder agree on one key.
pub(crate) fn create(folder: &Path, id: KeyId) -> Result<bool, SecretsError> {
    let key: Key = Zeroizing::new(random()?);
    let text = Zeroizing::new(format!("{}\n", STANDARD.encode(key.as_slice())));
    let draft = folder.join(format!(".draft-{:016x}", u64::from_be_bytes(random()?)));
    let path = folder.join(id.to_string());
    write_draft(&draft, text.as_bytes()).map_err(io(&draft, "writing"))?;
    let linked = fs::hard_link(&draft, &path);
    let removed = fs::remove_file(&draft).map_err(io(&draft, "removing"));
    match linked {
        Ok(()) => {
            removed?;
            File::open(folder).and_then(|f| f.sync_all()).map_err(io(folder, "syncing"))?;
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(io(&path, "making the key file")(error)),
    }
}

fn write_draft(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}
