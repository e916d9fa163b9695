//! Files and functions that one can read in one go.

use crate::{
    report::Report,
    source::Source,
    tidy::{RustFile, TextFile, is_generated},
};

const FILE_WARN: usize = 500;
const FILE_MAX: usize = 600;
const FUNCTION_MAX: usize = 80;
/// Stands in the comments right above a function that may be longer, with the reason.
const ALLOWED: &str = "tidy: allow long function:";

/// Checks Rust and Python.
pub fn check(texts: &[TextFile], rust: &[RustFile], report: &mut Report) {
    let sources =
        texts.iter().filter(|file| file.path.ends_with(".rs") || file.path.ends_with(".py"));
    for file in sources.filter(|file| !is_generated(file)) {
        check_file(file, report);
        if file.path.ends_with(".py") {
            check_python(file, report);
        }
    }
    let generated = |path: &str| texts.iter().any(|file| file.path == path && is_generated(file));
    for file in rust.iter().filter(|file| !generated(&file.path)) {
        for function in file.source.functions() {
            let long = function.lines > FUNCTION_MAX;
            if long && !is_allowed(&file.source, function.line) {
                too_long(&file.path, function.line, &function.name, function.lines, report);
            }
        }
    }
}

fn check_file(file: &TextFile, report: &mut Report) {
    let lines = file.text.lines().count();
    let what = format!("{lines} lines; split it by subject");
    if lines > FILE_MAX {
        report.error(&file.path, format!("{what} (at most {FILE_MAX})"));
    } else if lines > FILE_WARN {
        report.warning(&file.path, what);
    }
}

fn too_long(path: &str, line: usize, name: &str, lines: usize, report: &mut Report) {
    let what = format!(
        "function {name} has {lines} lines (at most {FUNCTION_MAX}); split it, or say above it \
         `{ALLOWED} <reason>`"
    );
    report.error(format!("{path}:{line}"), what);
}

/// Looks through comments and attributes right above the function.
fn is_allowed(source: &Source, line: usize) -> bool {
    let above: Vec<&str> = source.text.lines().take(line - 1).collect();
    above
        .iter()
        .rev()
        .map(|line| line.trim())
        .take_while(|line| line.starts_with("//") || line.starts_with('#'))
        .any(has_reason)
}

fn has_reason(line: &str) -> bool {
    line.split_once(ALLOWED).is_some_and(|(_, reason)| !reason.trim().is_empty())
}

/// A function reaches from its `def` to the last line that is indented deeper.
fn check_python(file: &TextFile, report: &mut Report) {
    let lines: Vec<&str> = file.text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    for (at, line) in lines.iter().enumerate() {
        let rest = line.trim_start();
        let rest = rest.strip_prefix("async ").unwrap_or(rest);
        let Some(rest) = rest.strip_prefix("def ") else { continue };
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let inside = lines[at + 1..].iter().take_while(|next| {
            // The closing parenthesis of a long head stands as deep as the def.
            next.trim().is_empty()
                || indent(next) > indent(line)
                || next.trim_start().starts_with(')')
        });
        let body: Vec<_> = inside.collect();
        let blank = body.iter().rev().take_while(|line| line.trim().is_empty()).count();
        let length = 1 + body.len() - blank;
        let allowed = at > 0 && has_reason(lines[at - 1]);
        if length > FUNCTION_MAX && !allowed {
            too_long(&file.path, at + 1, &name, length, report);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(path: &str, text: &str) -> Report {
        let file = TextFile { path: path.into(), text: text.into() };
        let rust = RustFile { path: path.into(), source: Source::read(text), is_test: false };
        let mut report = Report::default();
        let rust = if path.ends_with(".rs") { vec![rust] } else { Vec::new() };
        check(&[file], &rust, &mut report);
        report
    }

    #[test]
    fn files_are_measured_by_lines() {
        assert_eq!(errors("a.rs", &"\n".repeat(500)), Report::default());
        assert_eq!(errors("a.rs", &"\n".repeat(501)).warnings().len(), 1);
        assert!(errors("a.rs", &"\n".repeat(600)).is_clean());
        assert_eq!(errors("a.py", &"\n".repeat(601)).errors().len(), 1);
        assert_eq!(errors("a.md", &"\n".repeat(601)), Report::default());
        assert_eq!(errors("a/generated/b.rs", &"\n".repeat(601)), Report::default());
        assert_eq!(
            errors("a.rs", &format!("// @generated\n{}", "\n".repeat(601))),
            Report::default()
        );
    }

    #[test]
    fn functions_are_measured_and_a_reason_is_accepted() {
        let body = |lines: usize| format!("fn f() {{\n{}}}\n", "    x();\n".repeat(lines));
        assert_eq!(errors("a.rs", &body(78)), Report::default());
        assert_eq!(errors("a.rs", &body(79)).errors().len(), 1);
        let why = "// tidy: allow long function: a table\n#[inline]\n";
        assert_eq!(errors("a.rs", &format!("{why}{}", body(79))), Report::default());
        let no_reason = "// tidy: allow long function:\n";
        assert_eq!(errors("a.rs", &format!("{no_reason}{}", body(79))).errors().len(), 1);
    }

    #[test]
    fn python_functions_are_measured() {
        let body =
            |lines: usize| format!("def f(\n    x,\n):\n{}\n\ny = 1\n", "    x()\n".repeat(lines));
        assert_eq!(errors("a.py", &body(77)), Report::default());
        let found = errors("a.py", &body(78));
        assert!(found.errors()[0].starts_with("a.py:1: function f has 81 lines"), "{found}");
    }
}
