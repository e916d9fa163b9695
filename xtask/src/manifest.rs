//! House rules for the Cargo.toml of each crate.

use crate::report::Report;

/// Lints come from the workspace, and so does every dependency's version and source.
pub fn check(place: &str, text: &str, report: &mut Report) {
    let mut section = "";
    let mut lints = false;
    for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
            if let Some(name) = inline_table(name) {
                report.error(
                    format!("{place}:{number}"),
                    format!("write {name} on one line, with workspace = true"),
                );
            }
            continue;
        }
        let empty = line.is_empty() || line.starts_with('#');
        if section == "lints" && line.replace(' ', "") == "workspace=true" {
            lints = true;
        }
        if !empty && section.ends_with("dependencies") && !is_inherited(line) {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            let what = format!(
                "dependency {name}: name version and source in the root Cargo.toml, here only {name}.workspace = true"
            );
            report.error(format!("{place}:{number}"), what);
        }
    }
    if !lints {
        report.error(place, "add [lints] with workspace = true");
    }
}

/// Every crate in the root's table is used by somebody (a warning if not) and has its line in the document.
pub fn check_root(root: &str, document: &str, crates: &[String], report: &mut Report) {
    let table = root.split_once("[workspace.dependencies]\n").map_or("", |(_, rest)| rest);
    let lines = table.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.trim());
    for name in names.filter(|name| !name.starts_with("protector-") && !name.starts_with('#')) {
        if !document.contains(&format!("| `{name}`")) {
            report.error("docs/dependencies.md", format!("does not say why we use `{name}`"));
        }
        let uses = |text: &String| {
            let starts = |line: &str| {
                line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
            };
            text.lines().any(starts)
        };
        if !crates.iter().any(uses) {
            report.warning("Cargo.toml", format!("nobody uses {name}; remove it"));
        }
    }
}

/// `[dependencies.x]`: the name of x.
fn inline_table(section: &str) -> Option<&str> {
    let (before, name) = section.rsplit_once("dependencies.")?;
    (!before.starts_with("workspace")).then_some(name)
}

fn is_inherited(line: &str) -> bool {
    let tight = line.replace(' ', "");
    tight.contains(".workspace=true")
        || tight.contains("workspace=true,")
        || tight.contains("workspace=true}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        let mut report = Report::default();
        check("c/Cargo.toml", text, &mut report);
        report.errors().to_vec()
    }

    const LINTS: &str = "[lints]\nworkspace = true\n";

    #[test]
    fn inherited_dependencies_are_fine() {
        let text = "[dependencies]\n# why\na.workspace = true\nb = { workspace = true, features = [\"x\"] }\n";
        assert_eq!(errors(&format!("{LINTS}{text}")), [""; 0]);
    }

    #[test]
    fn a_version_of_ones_own_is_found() {
        for planted in ["a = \"1\"", "a = { path = \"../a\" }", "a = { version = \"1\" }"] {
            let found = errors(&format!("{LINTS}[dev-dependencies]\n{planted}\n"));
            assert!(found[0].starts_with("c/Cargo.toml:4: dependency a:"), "{planted}: {found:?}");
        }
        assert_eq!(errors(&format!("{LINTS}[dependencies.a]\nversion = \"1\"\n")).len(), 1);
    }

    #[test]
    fn the_root_table_is_documented_and_used() {
        let root = "[workspace.dependencies]\n# c = 1\nprotector-x = { path = \"x\" }\na = \"1\"\nb = \"1\"\n[other]\nd = 1\n";
        let mut report = Report::default();
        let document = "| crate | why |\n| `a` | because |\n";
        check_root(
            root,
            document,
            &["b.workspace = true\nab.workspace = true\n".into()],
            &mut report,
        );
        assert_eq!(report.errors(), ["docs/dependencies.md: does not say why we use `b`"]);
        assert_eq!(report.warnings(), ["Cargo.toml: nobody uses a; remove it"]);
    }

    #[test]
    fn missing_lints_are_found() {
        assert_eq!(errors("[dependencies]\n"), ["c/Cargo.toml: add [lints] with workspace = true"]);
    }
}
