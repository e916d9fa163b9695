//! Query strings: every parameter is taken by name; what is left over is refused by name.

use std::str::FromStr;

use protector_core::PageRequest;
use protector_types::{Code, Reason, Refusal};

/// Longest page.
pub const MAX_LIMIT: u64 = 1000;

/// The parameters of one request.
#[derive(Debug)]
pub struct Query {
    pairs: Vec<(String, String)>,
    taken: Vec<&'static str>,
}

impl Query {
    /// Reads the raw query string.
    pub fn new(raw: Option<&str>) -> Self {
        let raw = raw.unwrap_or_default().as_bytes();
        Self { pairs: url::form_urlencoded::parse(raw).into_owned().collect(), taken: Vec::new() }
    }

    /// The text of a parameter.
    ///
    /// # Errors
    /// It is given twice.
    pub fn text(&mut self, name: &'static str) -> Result<Option<String>, Refusal> {
        self.taken.push(name);
        let mut values = self.pairs.iter().filter(|(key, _)| key == name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(invalid(name, "is given twice".into())),
            (value, None) => Ok(value.map(|(_, text)| text.clone())),
        }
    }

    /// A parameter of a type with a text form.
    ///
    /// # Errors
    /// It is given twice, or has no value of that type.
    pub fn parsed<T: FromStr>(&mut self, name: &'static str) -> Result<Option<T>, Refusal>
    where
        T::Err: std::fmt::Display,
    {
        match self.text(name)? {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|e: T::Err| invalid(name, e.to_string())),
        }
    }

    /// `limit`, `marker`, `sort_key` (the core knows each list's keys) and `sort_dir`; a list without
    /// `sort_dir` begins with the newest or last if `descending`.
    ///
    /// # Errors
    /// A value out of range.
    pub fn page(&mut self, descending: bool) -> Result<PageRequest, Refusal> {
        let limit = self.limit()?;
        let marker = self.text("marker")?.filter(|marker| !marker.is_empty());
        let sort_key = self.text("sort_key")?;
        let descending = match self.text("sort_dir")?.as_deref() {
            None => descending,
            Some("asc") => false,
            Some("desc") => true,
            Some(_) => return Err(invalid("sort_dir", "must be asc or desc".into())),
        };
        Ok(PageRequest { limit, marker, sort_key, descending })
    }

    /// `limit`: 1 to [`MAX_LIMIT`], 100 if left out.
    ///
    /// # Errors
    /// A value out of range.
    pub fn limit(&mut self) -> Result<u64, Refusal> {
        match self.text("limit")? {
            None => Ok(PageRequest::default().limit),
            Some(text) => match text.parse() {
                Ok(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
                _ => Err(invalid("limit", format!("must be a number from 1 to {MAX_LIMIT}"))),
            },
        }
    }

    /// To be called when all known parameters were taken.
    ///
    /// # Errors
    /// `request.unknown_parameter`, one reason per parameter that is left.
    pub fn finish(self) -> Result<(), Refusal> {
        let known = if self.taken.is_empty() { "none".to_owned() } else { self.taken.join(", ") };
        let mut reasons = Vec::new();
        for (name, _) in &self.pairs {
            if !self.taken.contains(&name.as_str()) {
                reasons.push(Reason {
                    code: Code::RequestUnknownParameter,
                    subject: Some(name.clone()),
                    message: format!("unknown query parameter; known here: {known}"),
                });
            }
        }
        if reasons.is_empty() {
            return Ok(());
        }
        Err(Refusal {
            code: Code::RequestUnknownParameter,
            detail: "The request is not valid".into(),
            reasons,
        })
    }
}

/// A parameter with a wrong value.
pub fn invalid(name: &str, message: String) -> Refusal {
    Refusal {
        code: Code::RequestInvalidValue,
        detail: "The request is not valid".into(),
        reasons: vec![Reason {
            code: Code::RequestInvalidValue,
            subject: Some(name.to_owned()),
            message,
        }],
    }
}
