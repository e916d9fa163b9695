//! Law 1 by type: proof that a thing may be destroyed comes out of the journal and from nowhere else.

use crate::{report::Report, tidy::RustFile};

/// The one constructor of the proof.
const CONSTRUCTOR: &str = "Evidence::from_journal";
/// Who has journals, and where the type lives.
const ROOMS: &[&str] = &["crates/workflow/", "crates/types/"];

/// Checks everything but tests: a test of an adapter may make a permit for the thing that it made.
pub fn check(rust: &[RustFile], report: &mut Report) {
    for file in rust.iter().filter(|file| !ROOMS.iter().any(|room| file.path.starts_with(room))) {
        let direct = file.source.code.match_indices(CONSTRUCTOR).map(|(at, _)| at);
        for at in direct.filter(|at| !file.is_test_at(*at)) {
            let what = format!(
                "{CONSTRUCTOR} is for crates/workflow alone; take the evidence that the step is given"
            );
            report.error(file.place(at), what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    #[test]
    fn only_the_workflow_and_tests_make_evidence() {
        let text = "fn a() { Evidence::from_journal(o, s, 1); }\n#[cfg(test)]\nmod t { fn b() { Evidence::from_journal(o, s, 1); } }";
        let file =
            |path: &str| RustFile { path: path.into(), source: Source::read(text), is_test: false };
        let mut report = Report::default();
        check(&[file("crates/workflow/src/a.rs"), file("crates/operations/src/b.rs")], &mut report);
        assert_eq!(report.errors().len(), 1);
        assert!(report.errors()[0].starts_with("crates/operations/src/b.rs:1:"), "{report}");
    }
}
