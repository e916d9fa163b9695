//! The checked-in OpenAPI document.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};

const FILE: &str = "openapi/protector-v1.json";

/// Writes the document, or compares only. True if the file is (now) what the code says.
pub fn run(root: &Path, compare_only: bool) -> Result<bool> {
    let fresh = generate(root)?;
    let path = root.join(FILE);
    let stored = fs::read_to_string(&path).unwrap_or_default();
    if stored == fresh {
        println!("openapi: ok");
        return Ok(true);
    }
    if compare_only {
        let line = first_difference(&stored, &fresh);
        println!("error: {FILE}:{line}: is not what the code says; run `cargo xtask openapi`");
        return Ok(false);
    }
    fs::create_dir_all(root.join("openapi")).context("making openapi/")?;
    fs::write(&path, &fresh).with_context(|| format!("writing {FILE}"))?;
    println!("openapi: {FILE} written");
    Ok(true)
}

/// Asks the program for its document.
fn generate(root: &Path) -> Result<String> {
    let output = Command::new(crate::cargo())
        .args(["run", "--release", "--quiet", "--package", "protector", "--", "openapi"])
        .current_dir(root)
        .output()
        .context("running protector openapi")?;
    if !output.status.success() {
        bail!("protector openapi failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8(output.stdout).context("protector openapi printed no UTF-8")?;
    let document: serde_json::Value =
        serde_json::from_str(&text).context("protector openapi printed no JSON")?;
    if document.get("openapi").is_none() {
        bail!("what protector openapi printed is no OpenAPI document");
    }
    Ok(format!("{}\n", text.trim_end()))
}

/// The number of the first line that differs.
fn first_difference(stored: &str, fresh: &str) -> usize {
    stored.lines().zip(fresh.lines()).take_while(|(one, other)| one == other).count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named() {
        assert_eq!(first_difference("a\nb\nc\n", "a\nx\nc\n"), 2);
        assert_eq!(first_difference("", "a\n"), 1);
        assert_eq!(first_difference("a\n", "a\nb\n"), 2);
    }
}
