//! What the checks found.

use std::fmt;

/// Findings of one check.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Report {
    /// Something that must be mended. `place` is a file, a file with its line, or a crate.
    pub fn error(&mut self, place: impl fmt::Display, what: impl fmt::Display) {
        self.errors.push(format!("{place}: {what}"));
    }

    /// Something to look at soon.
    pub fn warning(&mut self, place: impl fmt::Display, what: impl fmt::Display) {
        self.warnings.push(format!("{place}: {what}"));
    }

    /// True without errors.
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    /// One line for the end.
    pub fn summary(&self) -> String {
        match (self.errors.len(), self.warnings.len()) {
            (0, 0) => "ok".into(),
            (0, warnings) => format!("ok, warnings: {warnings}"),
            (errors, warnings) => format!("errors: {errors}, warnings: {warnings}"),
        }
    }

    /// The errors, for tests.
    #[cfg(test)]
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    /// The warnings, for tests.
    #[cfg(test)]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        for error in &self.errors {
            writeln!(f, "error: {error}")?;
        }
        Ok(())
    }
}
