//! Microversions: `OpenStack-API-Version: protector X.Y`.

use std::{fmt, str::FromStr};

/// The word before the version in the header. The service type of the catalog is understood as well, because
/// that is what keystoneauth1 sends by itself.
pub const SERVICE_NAMES: [&str; 2] = ["protector", "disaster-recovery"];

/// A version of the API. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Microversion {
    /// Changes when clients must be rewritten; so far 1.
    pub major: u16,
    /// Counts additions.
    pub minor: u16,
}

impl Microversion {
    /// The base, and what a request without a header gets.
    pub const V1_0: Self = Self { major: 1, minor: 0 };
    /// `result_data`.
    pub const V1_1: Self = Self { major: 1, minor: 1 };
    /// Health detail.
    pub const V1_2: Self = Self { major: 1, minor: 2 };
    /// Everything beyond the founding document.
    pub const V1_3: Self = Self { major: 1, minor: 3 };
    /// Oldest that we speak.
    pub const MIN: Self = Self::V1_0;
    /// Newest that we speak; `latest`.
    pub const MAX: Self = Self::V1_3;
    /// All, oldest first.
    pub const ALL: [Self; 4] = [Self::V1_0, Self::V1_1, Self::V1_2, Self::V1_3];
}

impl fmt::Display for Microversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Why a requested version cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Not `X.Y` and not `latest`.
    #[error(
        "OpenStack-API-Version {text:?} is not a version: send \"protector X.Y\" or \"protector latest\", with X.Y from {min} to {max}",
        min = Microversion::MIN, max = Microversion::MAX
    )]
    Malformed {
        /// What was sent.
        text: String,
    },
    /// We do not speak it.
    #[error(
        "Version {wanted} is not supported by the API. Minimum is {min} and maximum is {max}.",
        min = Microversion::MIN, max = Microversion::MAX
    )]
    OutOfRange {
        /// What was asked for.
        wanted: Microversion,
    },
}

impl FromStr for Microversion {
    type Err = VersionError;

    /// Reads `X.Y` without leading zeros, as the microversion specification has it; any range.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let malformed = || VersionError::Malformed { text: text.to_owned() };
        let (major, minor) = text.split_once('.').ok_or_else(malformed)?;
        let number = |digits: &str| -> Option<u16> {
            let plain = digits.bytes().all(|b| b.is_ascii_digit())
                && (digits == "0" || !digits.starts_with('0'));
            if plain { digits.parse().ok() } else { None }
        };
        match (number(major), number(minor)) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(malformed()),
        }
    }
}

/// What a request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated {
    /// The version in force.
    pub version: Microversion,
    /// The name that the client used for us, for the answer's header.
    pub service: &'static str,
}

/// Chooses the version from the values of all `OpenStack-API-Version` headers. Entries for other services are
/// passed over; without one for us it is 1.0.
///
/// # Errors
/// [`VersionError`]: malformed (400) or out of range (406).
pub fn negotiate<'a>(
    headers: impl IntoIterator<Item = &'a str>,
) -> Result<Negotiated, VersionError> {
    let entries = headers.into_iter().flat_map(|header| header.split(','));
    for entry in entries {
        let mut words = entry.split_ascii_whitespace();
        let Some(name) = words.next() else { continue };
        let Some(service) = SERVICE_NAMES.into_iter().find(|s| s.eq_ignore_ascii_case(name)) else {
            continue;
        };
        let version = match (words.next(), words.next()) {
            (Some(word), None) if word.eq_ignore_ascii_case("latest") => Microversion::MAX,
            (Some(word), None) => word.parse()?,
            _ => return Err(VersionError::Malformed { text: entry.trim().to_owned() }),
        };
        if version < Microversion::MIN || version > Microversion::MAX {
            return Err(VersionError::OutOfRange { wanted: version });
        }
        return Ok(Negotiated { version, service });
    }
    Ok(Negotiated { version: Microversion::MIN, service: SERVICE_NAMES[0] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_headers() {
        let ok = |header: &str| negotiate([header]).map(|n| n.version);
        assert_eq!(negotiate([]).map(|n| n.version), Ok(Microversion::V1_0));
        assert_eq!(ok("protector 1.1"), Ok(Microversion::V1_1));
        assert_eq!(ok("disaster-recovery 1.2"), Ok(Microversion::V1_2));
        assert_eq!(ok("protector latest"), Ok(Microversion::MAX));
        assert_eq!(ok("compute 2.95, protector 1.3"), Ok(Microversion::V1_3));
        assert_eq!(ok("compute 2.95"), Ok(Microversion::V1_0));
        for (header, wanted) in
            [("protector 1.4", (1, 4)), ("protector 2.0", (2, 0)), ("protector 0.9", (0, 9))]
        {
            let wanted = Microversion { major: wanted.0, minor: wanted.1 };
            assert_eq!(ok(header), Err(VersionError::OutOfRange { wanted }), "{header}");
        }
        for header in [
            "protector",
            "protector x",
            "protector 1",
            "protector 1.01",
            "protector 1.1 2",
            "protector -1.0",
        ] {
            assert!(matches!(ok(header), Err(VersionError::Malformed { .. })), "{header}");
        }
    }
}
