//! What a reviewer would otherwise have to say again and again.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::{report::Report, source::Source};

mod error_codes;
mod evidence;
mod leftovers;
mod lengths;
mod machine_paths;
mod modules;
mod panics;

/// A text file of the repository.
#[derive(Debug)]
pub struct TextFile {
    /// From the root, with slashes.
    pub path: String,
    /// What it holds.
    pub text: String,
}

/// A Rust file, taken apart.
#[derive(Debug)]
pub struct RustFile {
    /// From the root, with slashes.
    pub path: String,
    /// Its parts.
    pub source: Source,
    /// All of it is only compiled for tests.
    pub is_test: bool,
}

impl RustFile {
    /// True if this offset is compiled for tests only.
    pub fn is_test_at(&self, offset: usize) -> bool {
        self.is_test || self.source.test_parts().iter().any(|part| part.contains(&offset))
    }

    /// `path:line` of an offset.
    pub fn place(&self, offset: usize) -> String {
        format!("{}:{}", self.path, self.source.line_of(offset))
    }
}

/// Runs every check over the tree.
pub fn check(root: &Path) -> Result<Report> {
    let mut texts = Vec::new();
    collect(root, "", &mut texts)?;
    texts.sort_by(|a, b| a.path.cmp(&b.path));
    let mut report = Report::default();
    let rust = modules::read(&texts, &mut report);
    lengths::check(&texts, &rust, &mut report);
    panics::check(&rust, &mut report);
    leftovers::check(&texts, &rust, &mut report);
    evidence::check(&rust, &mut report);
    error_codes::check(&texts, &mut report);
    machine_paths::check(&texts, &mut report);
    Ok(report)
}

/// Folders that hold nothing of ours.
const SKIPPED: &[&str] = &[
    "target",
    ".git",
    "node_modules",
    "__pycache__",
    ".venv",
    ".pytest_cache",
    ".tox",
    "build",
    "dist",
];

/// Files beyond this are data.
const MAX_BYTES: u64 = 4 << 20;

fn collect(root: &Path, folder: &str, files: &mut Vec<TextFile>) -> Result<()> {
    let here = root.join(folder);
    for entry in fs::read_dir(&here).with_context(|| here.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() && !SKIPPED.contains(&name.as_str()) && !name.ends_with(".egg-info") {
            collect(root, &path, files)?;
        } else if kind.is_file() && entry.metadata()?.len() <= MAX_BYTES {
            // What is no UTF-8 is no text.
            if let Ok(text) = fs::read_to_string(entry.path()) {
                files.push(TextFile { path, text });
            }
        }
    }
    Ok(())
}

/// Written by a program, so not measured.
fn is_generated(file: &TextFile) -> bool {
    file.path.contains("/generated/")
        || file.text.lines().take(3).any(|line| line.contains("@generated"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A tree with these files; answers what `check` says of it, without what it says of missing pages.
    fn check_tree(files: &[(&str, &str)]) -> Report {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        check(root.path()).unwrap()
    }

    #[test]
    fn a_clean_tree_passes_and_build_folders_are_not_looked_at() {
        let report = check_tree(&[
            ("crates/a/src/lib.rs", "//! A.\nmod b;\n"),
            (
                "crates/a/src/b.rs",
                "fn b() {}\n#[cfg(test)]\nmod tests { fn t() { x.unwrap(); } }\n",
            ),
            ("target/x/src/lib.rs", "fn a() { todo!() }"),
        ]);
        assert_eq!(report, Report::default());
    }

    #[test]
    fn every_planted_violation_is_found_in_its_file_and_line() {
        let long = format!("fn long() {{\n{}}}\n", "    x();\n".repeat(90));
        let machine = concat!("see /wo", "rk/main/x\n");
        let report = check_tree(&[
            (
                "crates/a/src/lib.rs",
                "fn a() {\n    b().unwrap();\n    todo!()\n}\n// FIXME: later\n",
            ),
            ("crates/a/src/orphan.rs", "fn o() {}\n"),
            ("crates/b/src/lib.rs", &long),
            ("crates/c/src/lib.rs", "fn c() { Evidence::from_journal(x, y, z); }\n"),
            ("crates/d/src/lib.rs", &"\n".repeat(601)),
            ("crates/types/src/error.rs", "    A = \"a.b\", Internal, \"A\";\n"),
            ("crates/types/src/lib.rs", "mod error;\n"),
            ("docs/x.md", machine),
        ]);
        let found = report.errors().join("\n");
        for wanted in [
            "crates/a/src/lib.rs:2: .unwrap()",
            "crates/a/src/lib.rs:3: todo!",
            "crates/a/src/lib.rs:5: FIXME",
            "crates/a/src/orphan.rs: no mod",
            "crates/b/src/lib.rs:1: function long",
            "crates/c/src/lib.rs:1: Evidence::from_journal",
            "crates/d/src/lib.rs: 601 lines",
            "docs/errors/a.b.md: missing",
            "docs/x.md:1: names a path",
        ] {
            assert!(found.contains(wanted), "{wanted} is not in:\n{found}");
        }
        assert_eq!(report.errors().len(), 9, "{found}");
    }
}
