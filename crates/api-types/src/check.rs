//! Checks of values, with one reason per field.

use std::collections::BTreeMap;

use protector_types::{Code, Reason, Refusal};

/// Longest name.
pub const MAX_NAME: usize = 255;
/// Longest free text.
pub const MAX_TEXT: usize = 4096;
/// Longest URL.
pub const MAX_URL: usize = 2048;
/// Longest password, token or PEM bundle.
pub const MAX_SECRET: usize = 65_536;
/// Most entries of a mapping.
pub const MAX_ENTRIES: usize = 1000;

/// What is wrong with a body, field by field.
#[derive(Debug, Default)]
pub struct FieldErrors {
    reasons: Vec<Reason>,
}

impl FieldErrors {
    /// Notes a wrong value.
    pub fn wrong(&mut self, field: &str, message: impl Into<String>) {
        self.add(Code::RequestInvalidValue, field, message);
    }

    /// Notes a field that is not known here.
    pub fn unknown(&mut self, field: &str, message: impl Into<String>) {
        self.add(Code::RequestUnknownField, field, message);
    }

    fn add(&mut self, code: Code, field: &str, message: impl Into<String>) {
        self.reasons.push(Reason {
            code,
            subject: Some(field.to_owned()),
            message: message.into(),
        });
    }

    /// A name: not empty, not too long, no control characters, no white space around it.
    pub fn name(&mut self, field: &str, value: &str) {
        if value.trim().is_empty() {
            self.wrong(field, "must not be empty");
        } else if value.trim() != value {
            self.wrong(field, "must not begin or end with white space");
        } else if value.chars().count() > MAX_NAME {
            self.wrong(field, format!("must not be longer than {MAX_NAME} characters"));
        } else if value.chars().any(char::is_control) {
            self.wrong(field, "must not contain control characters");
        }
    }

    /// Free text of at most [`MAX_TEXT`] characters; line breaks and tabs are fine.
    pub fn text(&mut self, field: &str, value: &str) {
        if value.chars().count() > MAX_TEXT {
            self.wrong(field, format!("must not be longer than {MAX_TEXT} characters"));
        } else if value.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            self.wrong(field, "must not contain control characters");
        }
    }

    /// An absolute http or https URL without credentials in it.
    pub fn url(&mut self, field: &str, value: &str) {
        if value.len() > MAX_URL {
            return self.wrong(field, format!("must not be longer than {MAX_URL} characters"));
        }
        match url::Url::parse(value) {
            Ok(url) if !matches!(url.scheme(), "http" | "https") || !url.has_host() => {
                self.wrong(field, "must be an http or https URL with a host");
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                self.wrong(field, "must not carry a user name or password");
            }
            Ok(_) => {}
            Err(error) => self.wrong(field, format!("is not a URL: {error}")),
        }
    }

    /// A secret: not empty, of a sane length. Never quoted in the message.
    pub fn secret(&mut self, field: &str, value: &protector_types::Secret) {
        if value.is_empty() {
            self.wrong(field, "must not be empty");
        } else if value.expose().len() > MAX_SECRET {
            self.wrong(field, format!("must not be longer than {MAX_SECRET} bytes"));
        } else if value.expose().contains('\0') {
            self.wrong(field, "must not contain NUL");
        }
    }

    /// A mapping: not too many entries, each key and value a name.
    pub fn mapping(&mut self, field: &str, mapping: &BTreeMap<String, String>) {
        if mapping.len() > MAX_ENTRIES {
            return self.wrong(field, format!("must not have more than {MAX_ENTRIES} entries"));
        }
        for (source, target) in mapping {
            self.name(&format!("{field} (a key)"), source);
            self.name(&format!("{field}.{source}"), target);
        }
    }

    /// Applies a check to a value that may be missing.
    pub fn optional<T: ?Sized>(
        &mut self,
        field: &str,
        value: Option<&T>,
        check: impl FnOnce(&mut Self, &str, &T),
    ) {
        if let Some(value) = value {
            check(self, field, value);
        }
    }

    /// The result of all checks.
    ///
    /// # Errors
    /// A refusal with every reason.
    pub fn finish(self) -> Result<(), Refusal> {
        match self.reasons.first() {
            None => Ok(()),
            Some(first) => Err(Refusal {
                code: first.code,
                detail: "The request is not valid".into(),
                reasons: self.reasons,
            }),
        }
    }
}
