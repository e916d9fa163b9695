//! The product does not panic on purpose.

use crate::{report::Report, tidy::RustFile};

/// What is looked for in code outside tests. The quote keeps methods of our own called `expect` out.
const PANICS: &[&str] =
    &[".unwrap()", ".unwrap_err()", ".expect(\"", ".expect(&format!(", ".expect_err(\""];
/// Switching the lint off is the same thing.
const SWITCHES: &[&str] = &["clippy::unwrap_used", "clippy::expect_used"];

/// Checks everything but tests.
pub fn check(rust: &[RustFile], report: &mut Report) {
    for file in rust.iter().filter(|file| !file.is_test) {
        for what in PANICS.iter().chain(SWITCHES) {
            for (at, _) in file.source.code.match_indices(what) {
                if !file.is_test_at(at) {
                    let what =
                        format!("{what} outside tests; answer an error that says what to do");
                    report.error(file.place(at), what);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    fn errors(text: &str, is_test: bool) -> Vec<String> {
        let file = RustFile { path: "a.rs".into(), source: Source::read(text), is_test };
        let mut report = Report::default();
        check(&[file], &mut report);
        report.errors().to_vec()
    }

    #[test]
    fn panics_are_found_outside_tests_only() {
        let text = "fn a() { x.expect(\"why\"); y.unwrap_or(1); self.expect(Word::Or); }\n\
                    // .unwrap()\nconst S: &str = \".unwrap()\";\n\
                    #[cfg(test)]\nmod tests {\n    #![allow(clippy::unwrap_used)]\n    fn t() { x.unwrap(); }\n}\n\
                    #[allow(clippy::expect_used)]\nfn b() { z\n  .unwrap() }\n";
        let found: Vec<_> = errors(text, false).iter().map(|e| e[..7].to_owned()).collect();
        assert_eq!(found, ["a.rs:11", "a.rs:1:", "a.rs:9:"]);
        assert_eq!(errors(text, true), [""; 0]);
    }
}
