//! An array's refusals on the wire.

use serde_json::{Value, json};

/// What an operation gives when the array refuses it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refused {
    /// Nearly always 400: that is how these arrays say "does not exist" as well.
    pub status: u16,
    /// (context, message), one per object.
    pub errors: Vec<(Option<String>, String)>,
}

/// What every operation gives.
pub(crate) type Outcome<T> = Result<T, Refused>;

impl Refused {
    /// A 400 about one object.
    pub(crate) fn of(context: &str, message: impl Into<String>) -> Self {
        Self { status: 400, errors: vec![(Some(context.to_owned()), message.into())] }
    }

    /// A 400 about the request itself.
    pub(crate) fn request(message: impl Into<String>) -> Self {
        Self { status: 400, errors: vec![(None, message.into())] }
    }

    /// A path or version that is not there.
    pub(crate) fn not_found() -> Self {
        Self { status: 404, errors: vec![(None, "Requested path not found.".into())] }
    }

    /// The body of the answer.
    pub(crate) fn body(&self) -> Value {
        if self.status == 403 || self.status == 429 {
            let message = self.errors.first().map_or("", |(_, m)| m.as_str());
            return json!({ "message": message });
        }
        let errors: Vec<Value> = self
            .errors
            .iter()
            .map(|(context, message)| match context {
                Some(context) => json!({"context": context, "message": message}),
                None => json!({ "message": message }),
            })
            .collect();
        json!({ "errors": errors })
    }

    /// One line, for whoever uses the handle instead of the wire.
    pub(crate) fn line(&self) -> String {
        let parts: Vec<String> = self
            .errors
            .iter()
            .map(|(context, message)| match context {
                Some(context) => format!("{context}: {message}"),
                None => message.clone(),
            })
            .collect();
        parts.join("; ")
    }
}
