//! Who may use whom. The table is ARCHITECTURE.md's map, as data; the rules below it are its "must never".
//!
//! Only direct edges count, and only normal and build ones: a crate's tests may use the simulator.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::{
    manifest,
    metadata::{Metadata, Package},
    report::Report,
};

/// A crate of ours and the crates of ours that it may use. `types` stands for everyone and is not repeated.
const ALLOWED: &[(&str, &[&str])] = &[
    // words
    ("protector-types", &[]),
    ("protector-api-types", &[]),
    // mechanisms
    ("protector-workflow", &[]),
    ("protector-ports", &[]),
    ("protector-http", &[]),
    ("protector-secrets", &[]),
    ("protector-policy", &[]),
    // adapters
    ("protector-openstack", &["ports", "http"]),
    ("protector-flasharray", &["ports", "http"]),
    ("protector-store", &["workflow", "secrets"]),
    ("protector-sim", &["http"]),
    // thinking
    ("protector-core", &["ports", "store", "workflow"]),
    ("protector-operations", &["workflow", "ports", "core"]),
    // processes
    ("protector-api", &["api-types", "core", "policy", "ports", "workflow"]),
    ("protector-engine", &["operations", "core", "store", "workflow", "ports"]),
    ("protector-client", &["api-types", "http", "ports"]),
    ("protector-dashboard", &["client", "api-types"]),
    ("protector-server", SHIPPED),
    // outside
    ("protector-demo", &["server", "sim", "client", "api-types", "http"]),
    ("protector", &["server", "demo", "sim", "client", "api-types"]),
    ("protector-model", &["core", "ports", "workflow"]),
    ("protector-testkit", EVERYTHING),
    ("bench", EVERYTHING),
    ("xtask", &[]),
];

/// All that one Protector consists of.
const SHIPPED: &[&str] = &[
    "api-types",
    "workflow",
    "ports",
    "http",
    "secrets",
    "policy",
    "openstack",
    "flasharray",
    "store",
    "core",
    "operations",
    "api",
    "engine",
    "client",
    "dashboard",
];

/// For what is never shipped.
const EVERYTHING: &[&str] = &[
    "api-types",
    "workflow",
    "ports",
    "http",
    "secrets",
    "policy",
    "openstack",
    "flasharray",
    "store",
    "core",
    "operations",
    "api",
    "engine",
    "client",
    "dashboard",
    "server",
    "sim",
    "demo",
    "testkit",
];

/// Other people's crates that only one of ours may name, and why.
const ALONE: &[(&str, &str, &str)] = &[
    ("sea-orm", "protector-store", "SQL stays behind the repositories"),
    ("sea-orm-migration", "protector-store", "SQL stays behind the repositories"),
    ("sqlx", "protector-store", "SQL stays behind the repositories"),
    ("rusqlite", "protector-store", "SQL stays behind the repositories"),
    ("reqwest", "protector-http", "there is one way out, and it can be simulated"),
    ("serde_yaml_ng", "protector-policy", "policy.yaml is our only YAML"),
    ("chacha20poly1305", "protector-secrets", "one cipher, used in one place"),
];

/// Registration at link time: what runs is listed where a reader sees it.
const NOWHERE: &[&str] = &["inventory", "ctor", "dtor", "linkme", "typetag"];

/// Checks every crate of the workspace.
pub fn check(metadata: &Metadata, root: &Path) -> Result<Report> {
    let (mut report, mut crates) = (Report::default(), Vec::new());
    for package in metadata.ours() {
        check_edges(package, metadata, &mut report);
        let path = Path::new(&package.manifest_path);
        let text = fs::read_to_string(path).with_context(|| package.manifest_path.clone())?;
        let place = path.strip_prefix(root).unwrap_or(path).display().to_string();
        manifest::check(&place, &text, &mut report);
        crates.push(text);
    }
    let table = fs::read_to_string(root.join("Cargo.toml")).context("reading Cargo.toml")?;
    let document = fs::read_to_string(root.join("docs/dependencies.md")).unwrap_or_default();
    manifest::check_root(&table, &document, &crates, &mut report);
    Ok(report)
}

fn check_edges(package: &Package, metadata: &Metadata, report: &mut Report) {
    let name = package.name.as_str();
    let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
        report.error(name, "not in the table of xtask/src/deps.rs; say there whom it may use");
        return;
    };
    for dependency in &package.dependencies {
        let used = dependency.name.as_str();
        if NOWHERE.contains(&used) {
            report.error(name, format!("names {used}: nothing is registered at link time here"));
        }
        if dependency.kind.as_deref() == Some("dev") {
            continue;
        }
        let alone = ALONE.iter().find(|(other, owner, _)| *other == used && *owner != name);
        if let Some((_, owner, why)) = alone {
            report.error(name, format!("names {used}, which only {owner} may: {why}"));
        }
        let is_ours = metadata.ours().any(|other| other.name == used);
        let short = used.strip_prefix("protector-").unwrap_or(used);
        if is_ours && used != "protector-types" && !allowed.contains(&short) {
            report.error(name, format!("uses {used}; it may use {}", list(allowed)));
        }
    }
}

fn list(allowed: &[&str]) -> String {
    if allowed.is_empty() { "types only".into() } else { format!("types, {}", allowed.join(", ")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    /// Name, and dependencies as (name, kind).
    type Crate<'a> = (&'a str, &'a [(&'a str, Option<&'a str>)]);

    /// A workspace of these crates, each with its dependencies as (name, kind).
    fn workspace(crates: &[Crate<'_>]) -> Metadata {
        let packages: Vec<_> = crates
            .iter()
            .map(|(name, dependencies)| {
                let dependencies: Vec<_> = dependencies
                    .iter()
                    .map(|(name, kind)| json!({"name": name, "kind": kind}))
                    .collect();
                json!({"id": name, "name": name, "version": "0.1.0", "license": null,
                       "dependencies": dependencies, "manifest_path": ""})
            })
            .collect();
        let members: Vec<_> = crates.iter().map(|(name, _)| name).collect();
        let value =
            json!({"packages": packages, "workspace_members": members, "resolve": {"nodes": []}});
        serde_json::from_value(value).unwrap()
    }

    fn errors(crates: &[Crate<'_>]) -> Vec<String> {
        let metadata = workspace(crates);
        let mut report = Report::default();
        for package in metadata.ours() {
            check_edges(package, &metadata, &mut report);
        }
        report.errors().to_vec()
    }

    #[test]
    fn allowed_edges_pass() {
        let types: Crate<'_> = ("protector-types", &[("serde", None)]);
        assert_eq!(
            errors(&[
                types,
                ("protector-ports", &[("protector-types", None)]),
                ("protector-store", &[("sea-orm", None)]),
                ("protector-core", &[("protector-ports", None), ("protector-store", None)]),
                ("protector-sim", &[]),
                ("protector-openstack", &[("protector-sim", Some("dev"))]),
            ]),
            [""; 0]
        );
    }

    #[test]
    fn planted_edges_are_found() {
        let store: Crate<'_> = ("protector-store", &[]);
        let found = errors(&[store, ("protector-operations", &[("protector-store", None)])]);
        assert_eq!(
            found,
            ["protector-operations: uses protector-store; it may use types, workflow, ports, core"]
        );
        let sim: Crate<'_> = ("protector-sim", &[]);
        assert_eq!(errors(&[sim, ("protector-server", &[("protector-sim", None)])]).len(), 1);
        assert_eq!(
            errors(&[sim, ("protector-server", &[("protector-sim", Some("build"))])]).len(),
            1
        );
        assert_eq!(errors(&[("protector-core", &[("sea-orm", None)])]).len(), 1);
        assert_eq!(errors(&[("protector-flasharray", &[("reqwest", None)])]).len(), 1);
        assert_eq!(errors(&[("protector-types", &[("inventory", Some("dev"))])]).len(), 1);
        assert_eq!(errors(&[("protector-surprise", &[])]).len(), 1);
    }

    #[test]
    fn the_table_names_only_crates_it_lists() {
        for (name, allowed) in ALLOWED {
            for used in *allowed {
                let known =
                    ALLOWED.iter().any(|(other, _)| other.strip_prefix("protector-") == Some(used));
                assert!(known, "{name} may use {used}, which is no crate");
            }
        }
    }
}
