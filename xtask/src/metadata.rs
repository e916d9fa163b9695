//! The part of `cargo metadata` that the checks read.

use std::{collections::BTreeSet, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// All packages and how they hang together.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// Ours and other people's.
    pub packages: Vec<Package>,
    /// Ids of ours.
    pub workspace_members: Vec<String>,
    /// The graph after features were chosen.
    pub resolve: Resolve,
}

/// One package.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Unique.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// An SPDX expression, if it has one.
    pub license: Option<String>,
    /// What its manifest names.
    pub dependencies: Vec<Dependency>,
    /// Its Cargo.toml.
    pub manifest_path: String,
}

/// One line of a manifest.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// The package's real name, whatever it is renamed to.
    pub name: String,
    /// `None` normal, `dev`, `build`.
    pub kind: Option<String>,
}

/// The resolved graph.
#[derive(Debug, Deserialize)]
pub struct Resolve {
    /// One per package.
    pub nodes: Vec<Node>,
}

/// A package in the graph.
#[derive(Debug, Deserialize)]
pub struct Node {
    /// The package.
    pub id: String,
    /// What it uses.
    pub deps: Vec<Edge>,
    /// Its features that are on.
    pub features: Vec<String>,
}

/// One use.
#[derive(Debug, Deserialize)]
pub struct Edge {
    /// The used package's id.
    pub pkg: String,
    /// In which ways.
    pub dep_kinds: Vec<EdgeKind>,
}

/// A way of using.
#[derive(Debug, Deserialize)]
pub struct EdgeKind {
    /// `None` normal, `dev`, `build`.
    pub kind: Option<String>,
}

impl Metadata {
    /// Our own packages.
    pub fn ours(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// Ids of everything that is shipped or used to build it: what our packages reach over normal and
    /// build edges.
    pub fn shipped(&self) -> BTreeSet<&str> {
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = self.workspace_members.iter().map(String::as_str).collect();
        while let Some(id) = open.pop() {
            if !reached.insert(id) {
                continue;
            }
            let node = self.resolve.nodes.iter().find(|node| node.id == id);
            let edges = node.into_iter().flat_map(|node| &node.deps);
            open.extend(edges.filter(|edge| edge.is_shipped()).map(|edge| edge.pkg.as_str()));
        }
        reached
    }
}

impl Edge {
    fn is_shipped(&self) -> bool {
        self.dep_kinds.iter().any(|way| way.kind.as_deref() != Some("dev"))
    }
}

/// Asks cargo, for this machine's platform only: the rest is never built and need not be there.
pub fn load(root: &Path) -> Result<Metadata> {
    let platform = host()?;
    let output = Command::new(crate::cargo())
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &platform])
        .current_dir(root)
        .output()
        .context("running cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("reading the answer of cargo metadata")
}

fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("running rustc -vV")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).context("rustc -vV names no host")
}
