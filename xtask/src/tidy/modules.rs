//! Reads the Rust files, following `mod` from each crate's roots: a file that no `mod` reaches is dead.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    report::Report,
    source::Source,
    tidy::{RustFile, TextFile},
};

/// Takes every Rust file apart and says which are tests; reports those that are never compiled.
pub fn read(texts: &[TextFile], report: &mut Report) -> Vec<RustFile> {
    let rust = texts.iter().filter(|file| file.path.ends_with(".rs"));
    let sources: BTreeMap<&str, Source> =
        rust.map(|file| (file.path.as_str(), Source::read(&file.text))).collect();
    let reached = reach(texts, &sources);
    let mut files = Vec::new();
    for (path, source) in sources {
        if crate_of(path).is_some() && !reached.contains_key(path) {
            report
                .error(path, "no mod leads here, so it is never compiled; declare it or remove it");
        }
        let is_test = reached.get(path).copied().unwrap_or(false)
            || source.code.contains("#![cfg(test)]")
            || is_only_for_tests(path);
        files.push(RustFile { path: path.to_owned(), source, is_test });
    }
    files
}

/// By its place: the crate whose whole purpose is to test, and every crate's `tests/`.
fn is_only_for_tests(path: &str) -> bool {
    path.starts_with("crates/testkit/") || path.contains("/tests/")
}

/// The crate's folder, for a file that belongs to a crate.
fn crate_of(path: &str) -> Option<&str> {
    if path.starts_with("xtask/") {
        return Some("xtask");
    }
    let rest = path.strip_prefix("crates/")?;
    let name = rest.split('/').next()?;
    Some(&path[.."crates/".len() + name.len()])
}

/// Every file that cargo compiles, and whether only for tests.
fn reach(texts: &[TextFile], sources: &BTreeMap<&str, Source>) -> BTreeMap<String, bool> {
    let named = named_in_manifests(texts);
    let mut reached: BTreeMap<String, bool> = BTreeMap::new();
    let roots = sources.keys().filter_map(|path| {
        let inner = path.strip_prefix(crate_of(path)?)?.strip_prefix('/')?;
        let is_root = is_root(inner) || named.contains(*path);
        is_root.then(|| (path.to_string(), is_test_folder(inner), true))
    });
    let mut open: Vec<(String, bool, bool)> = roots.collect();
    while let Some((path, is_test, is_root)) = open.pop() {
        let Some(source) = sources.get(path.as_str()) else { continue };
        // A file that tests and product share is the product's.
        match reached.get(&path) {
            Some(before) if !before || is_test => continue,
            _ => reached.insert(path.clone(), is_test),
        };
        for declared in source.declared() {
            let place = resolve(&path, is_root, &declared.path, declared.at.as_deref());
            let found = place.into_iter().filter(|place| sources.contains_key(place.as_str()));
            open.extend(found.map(|place| (place, is_test || declared.is_test, false)));
        }
        for included in included(&source.text) {
            open.push((joined(parent(&path), &included), is_test, false));
        }
    }
    reached
}

fn is_root(inner: &str) -> bool {
    let direct = |folder: &str| {
        let rest = inner.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
        rest.is_some_and(|rest| {
            !rest.contains('/') || rest.split_once('/').is_some_and(|(_, f)| f == "main.rs")
        })
    };
    matches!(inner, "src/lib.rs" | "src/main.rs" | "build.rs")
        || ["src/bin", "tests", "benches", "examples"].into_iter().any(direct)
}

fn is_test_folder(inner: &str) -> bool {
    ["tests/", "benches/", "examples/"].iter().any(|folder| inner.starts_with(folder))
}

/// Files that a manifest names: `path = "src/other.rs"`.
fn named_in_manifests(texts: &[TextFile]) -> BTreeSet<String> {
    let manifests = texts.iter().filter(|file| file.path.ends_with("Cargo.toml"));
    let named = manifests.flat_map(|file| {
        file.text.lines().filter_map(move |line| {
            let value = line.trim().strip_prefix("path")?.trim_start().strip_prefix('=')?.trim();
            let value = value.trim_matches('"');
            value.ends_with(".rs").then(|| joined(parent(&file.path), value))
        })
    });
    named.collect()
}

/// Where the file of a module may be.
fn resolve(path: &str, is_root: bool, names: &[String], at: Option<&str>) -> Vec<String> {
    let folder = parent(path);
    if let Some(at) = at {
        return vec![joined(folder, at)];
    }
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    let base = if is_root || stem == "mod" { folder.to_owned() } else { joined(folder, stem) };
    let inner = joined(&base, &names.join("/"));
    vec![format!("{inner}.rs"), format!("{inner}/mod.rs")]
}

/// Files taken in by `include!("...")`.
fn included(text: &str) -> Vec<String> {
    let parts = text.split("include!(\"").skip(1);
    parts.filter_map(|part| part.split('"').next()).map(str::to_owned).collect()
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Joins, and takes `.` and `..` away.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read_files(files: &[(&str, &str)]) -> (Vec<RustFile>, Report) {
        let texts: Vec<_> = files
            .iter()
            .map(|(path, text)| TextFile { path: (*path).into(), text: (*text).into() })
            .collect();
        let mut report = Report::default();
        let rust = read(&texts, &mut report);
        (rust, report)
    }

    #[test]
    fn every_way_to_a_file_is_followed() {
        let (rust, report) = read_files(&[
            ("crates/a/Cargo.toml", "[[bin]]\npath = \"src/tool.rs\"\n"),
            ("crates/a/src/tool.rs", "mod helper;"),
            ("crates/a/src/helper.rs", ""),
            (
                "crates/a/src/lib.rs",
                "mod x;\nmod y;\n#[path = \"odd/z.rs\"]\nmod z;\n#[cfg(test)]\nmod kit;",
            ),
            ("crates/a/src/x.rs", "mod deep;\nmod inline { mod leaf; }"),
            ("crates/a/src/x/deep.rs", ""),
            ("crates/a/src/x/inline/leaf.rs", ""),
            ("crates/a/src/y/mod.rs", "mod part;\ninclude!(\"../table.rs\");"),
            ("crates/a/src/y/part.rs", ""),
            ("crates/a/src/table.rs", ""),
            ("crates/a/src/odd/z.rs", ""),
            ("crates/a/src/kit.rs", "mod more;"),
            ("crates/a/src/kit/more.rs", ""),
            ("crates/a/tests/all.rs", "mod common;"),
            ("crates/a/tests/common.rs", ""),
            ("crates/a/tests/common/mod.rs", ""),
            ("crates/a/src/bin/b.rs", ""),
            ("lab/x.rs", ""),
        ]);
        assert_eq!(report, Report::default());
        let tests: Vec<_> =
            rust.iter().filter(|file| file.is_test).map(|file| file.path.as_str()).collect();
        let wanted = [
            "crates/a/src/kit.rs",
            "crates/a/src/kit/more.rs",
            "crates/a/tests/all.rs",
            "crates/a/tests/common.rs",
            "crates/a/tests/common/mod.rs",
        ];
        assert_eq!(tests, wanted);
    }

    #[test]
    fn a_file_that_is_not_declared_is_dead_with_all_it_declares() {
        let (_, report) = read_files(&[
            ("crates/a/src/lib.rs", "// mod gone;\nconst X: &str = \"mod gone;\";"),
            ("crates/a/src/gone.rs", "mod child;"),
            ("crates/a/src/gone/child.rs", ""),
        ]);
        assert_eq!(report.errors().len(), 2, "{report}");
    }
}
