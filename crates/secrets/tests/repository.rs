//! The key repository as the store and the operator use it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use protector_secrets::{KeyId, KeyRepository, Place, SecretsError};
use protector_types::Secret;

const TOKEN: Place<'static> = Place { table: "policies", row: "r1", column: "array_token" };

fn key(text: &str) -> KeyId {
    text.parse().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A folder inside a temporary one, not yet made.
fn folder() -> (tempfile::TempDir, std::path::PathBuf) {
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("etc/keys");
    (outer, inner)
}

#[test]
fn the_first_start_makes_a_key_that_only_the_owner_reads() {
    let (_outer, folder) = folder();
    let keys = KeyRepository::open_or_create(&folder).unwrap();
    assert_eq!(keys.key_ids(), [key("1")]);
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("1")), 0o600);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no draft is left");
    let text = keys.seal(&TOKEN, &"hunter2".into()).unwrap();
    let second_start = KeyRepository::open_or_create(&folder).unwrap();
    assert_eq!(second_start.unseal(&TOKEN, &text).unwrap(), Secret::new("hunter2"));
}

#[test]
fn services_that_start_at_once_agree_on_one_key() {
    let (_outer, folder) = folder();
    let texts: Vec<String> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let keys = KeyRepository::open_or_create(&folder).unwrap();
                    keys.seal(&TOKEN, &"same".into()).unwrap()
                })
            })
            .collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    let keys = KeyRepository::open(&folder).unwrap();
    assert_eq!(keys.key_ids().len(), 1);
    for text in texts {
        assert_eq!(keys.unseal(&TOKEN, &text).unwrap(), Secret::new("same"));
    }
}

#[test]
fn two_sealings_of_one_secret_differ() {
    let keys = KeyRepository::in_memory().unwrap();
    let seal = || keys.seal(&TOKEN, &"x".into()).unwrap();
    let (one, other) = (seal(), seal());
    assert_ne!(one, other);
    assert!(one.starts_with("v1:1:"));
    let empty = keys.seal(&TOKEN, &"".into()).unwrap();
    assert!(keys.unseal(&TOKEN, &empty).unwrap().is_empty());
}

#[test]
fn a_text_moved_to_another_place_does_not_open() {
    let keys = KeyRepository::in_memory().unwrap();
    let text = keys.seal(&TOKEN, &"hunter2".into()).unwrap();
    for moved in [
        Place { row: "r2", ..TOKEN },
        Place { table: "sites", ..TOKEN },
        Place { column: "password", ..TOKEN },
        // The same characters, cut elsewhere.
        Place { table: "policiesr", row: "1", ..TOKEN },
        Place { row: "r1:11:array", column: "_token", ..TOKEN },
    ] {
        let refused = keys.unseal(&moved, &text).unwrap_err();
        assert!(matches!(refused, SecretsError::Refused { .. }), "{moved}: {refused}");
    }
}

#[test]
fn every_changed_character_is_noticed() {
    let keys = KeyRepository::in_memory().unwrap();
    let text = keys.seal(&TOKEN, &"hunter2".into()).unwrap();
    for at in 0..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(keys.unseal(&TOKEN, &changed).is_err(), "character {at}");
    }
    for cut in ["", "v1", "v1:1", "v1:1:", "v1:1:AAAA", "v2:1:AAAA", "v1:01:AAAA", "hunter2"] {
        let error = keys.unseal(&TOKEN, cut).unwrap_err();
        assert!(matches!(error, SecretsError::Malformed { .. }), "{cut}: {error}");
    }
}

#[test]
fn rotation_seals_with_the_new_key_and_still_opens_the_old() {
    let (_outer, folder) = folder();
    let keys = KeyRepository::open_or_create(&folder).unwrap();
    let old = keys.seal(&TOKEN, &"hunter2".into()).unwrap();
    assert!(!keys.needs_rotation(&old));
    assert_eq!(keys.reseal(&TOKEN, &old).unwrap(), None);

    assert_eq!(keys.rotate().unwrap(), key("2"));
    assert_eq!(mode(&folder.join("2")), 0o600);
    assert!(keys.needs_rotation(&old));
    assert_eq!(keys.unseal(&TOKEN, &old).unwrap(), Secret::new("hunter2"));
    let new = keys.reseal(&TOKEN, &old).unwrap().unwrap();
    assert!(new.starts_with("v1:2:") && !keys.needs_rotation(&new));

    fs::remove_file(folder.join("1")).unwrap();
    keys.reload().unwrap();
    assert_eq!(keys.unseal(&TOKEN, &new).unwrap(), Secret::new("hunter2"));
    assert_eq!(keys.unseal(&TOKEN, &old).unwrap_err(), SecretsError::UnknownKey { key: key("1") });
}

#[test]
fn key_ten_is_newer_than_key_nine() {
    let (_outer, folder) = folder();
    let keys = KeyRepository::open_or_create(&folder).unwrap();
    let last = (0..10).map(|_| keys.rotate().unwrap()).last().unwrap();
    assert_eq!((last, keys.primary()), (key("11"), key("11")));
}

#[test]
fn a_process_learns_of_a_key_that_another_made() {
    let (_outer, folder) = folder();
    let here = KeyRepository::open_or_create(&folder).unwrap();
    let there = KeyRepository::open(&folder).unwrap();
    there.rotate().unwrap();
    let text = there.seal(&TOKEN, &"hunter2".into()).unwrap();
    assert_eq!(here.primary(), key("1"));
    assert_eq!(here.unseal(&TOKEN, &text).unwrap(), Secret::new("hunter2"));
    assert_eq!(here.primary(), key("2"));
}

#[test]
fn keys_in_memory_rotate_too() {
    let keys = KeyRepository::in_memory().unwrap();
    let old = keys.seal(&TOKEN, &"hunter2".into()).unwrap();
    keys.rotate().unwrap();
    assert!(keys.needs_rotation(&old));
    assert_eq!(keys.unseal(&TOKEN, &old).unwrap(), Secret::new("hunter2"));
    let stranger = KeyRepository::in_memory().unwrap();
    assert!(matches!(stranger.unseal(&TOKEN, &old), Err(SecretsError::Refused { .. })));
}

#[test]
fn an_empty_folder_is_an_error_where_keys_are_expected() {
    let outer = tempfile::tempdir().unwrap();
    set_mode(outer.path(), 0o700);
    fs::write(outer.path().join("README"), "not a key").unwrap();
    let error = KeyRepository::open(outer.path()).unwrap_err();
    assert!(matches!(error, SecretsError::NoKeys { .. }), "{error}");
    let error = KeyRepository::open(outer.path().join("nowhere")).unwrap_err();
    assert!(matches!(error, SecretsError::Io { .. }), "{error}");
}

#[test]
fn keys_that_others_may_read_are_refused() {
    let (_outer, folder) = folder();
    KeyRepository::open_or_create(&folder).unwrap();
    set_mode(&folder.join("1"), 0o640);
    let error = KeyRepository::open(&folder).unwrap_err();
    assert!(error.to_string().contains("chmod 600"), "{error}");
    set_mode(&folder.join("1"), 0o600);
    set_mode(&folder, 0o755);
    let error = KeyRepository::open(&folder).unwrap_err();
    assert!(error.to_string().contains("chmod 700"), "{error}");
    set_mode(&folder, 0o750);
    assert!(KeyRepository::open(&folder).is_ok(), "a package's group may enter");
}

#[test]
fn a_damaged_key_file_is_named_and_the_old_keys_stay() {
    let (_outer, folder) = folder();
    let keys = KeyRepository::open_or_create(&folder).unwrap();
    let text = keys.seal(&TOKEN, &"hunter2".into()).unwrap();
    fs::write(folder.join("1"), "c2hvcnQ=\n").unwrap();
    let error = keys.reload().unwrap_err();
    assert!(matches!(&error, SecretsError::BadKeyFile { path } if path.ends_with("/1")), "{error}");
    assert!(keys.unseal(&TOKEN, &text).is_ok());
}

#[test]
fn nothing_printed_holds_a_key_or_a_secret() {
    let (_outer, folder) = folder();
    let keys = KeyRepository::open_or_create(&folder).unwrap();
    let file = fs::read_to_string(folder.join("1")).unwrap();
    let shown = format!("{keys:?}");
    assert!(shown.contains("primary") && !shown.contains(file.trim()), "{shown}");
    let text = keys.seal(&TOKEN, &"hunter2".into()).unwrap();
    let error = keys.unseal(&Place { row: "r2", ..TOKEN }, &text).unwrap_err();
    let printed = format!("{error} {error:?}");
    assert!(!printed.contains("hunter2") && !printed.contains(&text), "{printed}");
}
