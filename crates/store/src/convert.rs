//! Between columns and domain values. Everything that is read is validated here.

use std::{fmt::Display, str::FromStr};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, de::DeserializeOwned};

use crate::StoreError;

/// Characters that a name or an id may have.
pub(crate) const WORD_LENGTH: usize = 255;

/// A row while it is being read: names itself in errors.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) table: &'static str,
    pub(crate) id: &'a str,
}

impl Row<'_> {
    pub(crate) fn corrupt(&self, column: &str, reason: impl Display) -> StoreError {
        StoreError::Corrupt {
            table: self.table,
            id: self.id.to_owned(),
            reason: format!("{column}: {reason}"),
        }
    }

    pub(crate) fn parse<T: FromStr<Err: Display>>(
        &self,
        column: &str,
        text: &str,
    ) -> Result<T, StoreError> {
        text.parse().map_err(|error| self.corrupt(column, error))
    }

    pub(crate) fn parse_some<T: FromStr<Err: Display>>(
        &self,
        column: &str,
        text: Option<&str>,
    ) -> Result<Option<T>, StoreError> {
        text.map(|text| self.parse(column, text)).transpose()
    }

    pub(crate) fn time(&self, column: &str, text: &str) -> Result<DateTime<Utc>, StoreError> {
        DateTime::parse_from_rfc3339(text)
            .map(|time| time.with_timezone(&Utc))
            .map_err(|error| self.corrupt(column, error))
    }

    pub(crate) fn time_some(
        &self,
        column: &str,
        text: Option<&str>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        text.map(|text| self.time(column, text)).transpose()
    }

    pub(crate) fn json<T: DeserializeOwned>(
        &self,
        column: &str,
        text: &str,
    ) -> Result<T, StoreError> {
        serde_json::from_str(text).map_err(|error| self.corrupt(column, error))
    }

    pub(crate) fn json_some<T: DeserializeOwned>(
        &self,
        column: &str,
        text: Option<&str>,
    ) -> Result<Option<T>, StoreError> {
        text.map(|text| self.json(column, text)).transpose()
    }

    pub(crate) fn count(&self, column: &str, number: i64) -> Result<u64, StoreError> {
        u64::try_from(number).map_err(|error| self.corrupt(column, error))
    }
}

/// Times are text of fixed width: sortable, lossless, and the same in all three databases.
pub(crate) fn time_text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

/// JSON for a column.
pub(crate) fn json_text<T: Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::invalid(what, error.to_string()))
}

/// A name or id for a column: what fits into every database.
pub(crate) fn word(what: &'static str, text: &str) -> Result<String, StoreError> {
    if text.chars().count() > WORD_LENGTH || text.contains('\0') {
        let reason = format!("must have at most {WORD_LENGTH} characters and none of them NUL");
        return Err(StoreError::invalid(what, reason));
    }
    Ok(text.to_owned())
}

/// Free text from elsewhere: PostgreSQL takes no NUL, and no record may fail for that.
pub(crate) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A counter for a column.
pub(crate) fn number(what: &'static str, count: u64) -> Result<i64, StoreError> {
    i64::try_from(count).map_err(|_| StoreError::invalid(what, format!("{count} is too large")))
}
