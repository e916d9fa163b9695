//! Every error code has a page that says what to do, and every page has a code.

use std::collections::BTreeSet;

use crate::{report::Report, tidy::TextFile};

const CODES: &str = "crates/types/src/error.rs";
const PAGES: &str = "docs/errors/";
/// The parts of a page.
const PARTS: &[&str] = &["## Meaning", "## Cause", "## Fix"];

/// Compares the table of codes with the folder of pages.
pub fn check(texts: &[TextFile], report: &mut Report) {
    let Some(table) = texts.iter().find(|file| file.path == CODES) else { return };
    let codes: BTreeSet<String> = table.text.lines().filter_map(code).collect();
    if codes.is_empty() {
        report.error(CODES, "no error code found; has the form of the table changed?");
    }
    for code in &codes {
        let path = format!("{PAGES}{code}.md");
        match texts.iter().find(|file| file.path == path) {
            None => report
                .error(&path, format!("missing; say what {code} means, its cause and its fix")),
            Some(page) => check_page(page, code, report),
        }
    }
    for page in texts.iter().filter(|file| file.path.starts_with(PAGES)) {
        let name = page.path[PAGES.len()..].trim_end_matches(".md");
        if name != "README" && !codes.contains(name) {
            report.error(&page.path, "no error code has this name; rename or remove the page");
        }
    }
}

/// The word of a line `Variant = "some.word", Kind, "Title";`.
fn code(line: &str) -> Option<String> {
    let (variant, rest) = line.trim().split_once(" = \"")?;
    let (word, rest) = rest.split_once("\", ")?;
    let (kind, title) = rest.split_once(", \"")?;
    let is_name = |text: &str| !text.is_empty() && text.chars().all(char::is_alphanumeric);
    (is_name(variant) && is_name(kind) && title.ends_with("\";")).then(|| word.to_owned())
}

fn check_page(page: &TextFile, code: &str, report: &mut Report) {
    if !page.text.starts_with(&format!("# {code}\n")) {
        report.error(&page.path, format!("its first line must be \"# {code}\""));
    }
    for part in PARTS {
        let body = page.text.split_once(&format!("{part}\n")).map(|(_, rest)| rest);
        let first = body.and_then(|rest| rest.lines().find(|line| !line.trim().is_empty()));
        if first.is_none_or(|line| line.starts_with('#')) {
            report.error(&page.path, format!("\"{part}\" is missing or empty"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile { path: path.into(), text: text.into() }
    }

    const TABLE: &str =
        "/// Doc with \"quotes\", twice.\n    GroupBusy = \"group.busy\", Conflict, \"Busy\";\n";
    const PAGE: &str =
        "# group.busy\n\n## Meaning\nBusy.\n\n## Cause\nAn operation.\n\n## Fix\nWait.\n";

    fn errors(pages: &[(&str, &str)]) -> Vec<String> {
        let mut texts = vec![file(CODES, TABLE)];
        texts.extend(pages.iter().map(|(path, text)| file(path, text)));
        let mut report = Report::default();
        check(&texts, &mut report);
        report.errors().to_vec()
    }

    #[test]
    fn a_full_page_passes() {
        assert_eq!(
            errors(&[("docs/errors/group.busy.md", PAGE), ("docs/errors/README.md", "")]),
            [""; 0]
        );
    }

    #[test]
    fn missing_empty_and_stale_pages_are_found() {
        assert!(errors(&[])[0].contains("group.busy.md: missing"));
        let empty = PAGE.replace("An operation.\n", "");
        assert!(errors(&[("docs/errors/group.busy.md", &empty)])[0].contains("## Cause"));
        let wrong = PAGE.replace("# group.busy", "# group.idle");
        assert!(errors(&[("docs/errors/group.busy.md", &wrong)])[0].contains("first line"));
        let stale = [("docs/errors/group.busy.md", PAGE), ("docs/errors/group.gone.md", PAGE)];
        assert!(errors(&stale)[0].contains("no error code has this name"));
    }
}
