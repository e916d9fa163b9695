//! Which REST version is spoken.

use std::{fmt, str::FromStr};

/// `2.26`. Ordered as numbers: 2.9 is older than 2.10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

/// From here on a new volume joins the array's default protection groups unless it is told not to.
pub const DEFAULT_PROTECTION: Version = Version(2, 16);

/// The versions that the client was written and tested against. What lies between adds nothing that we use, and
/// an array lists every version up to its newest.
pub const TESTED: &[Version] = &[Version(2, 4), Version(2, 16), Version(2, 26)];

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for Version {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (major, minor) = text.split_once('.').ok_or(())?;
        Ok(Self(major.parse().map_err(|_| ())?, minor.parse().map_err(|_| ())?))
    }
}

/// The newest tested version that the array lists.
pub fn choose(listed: &[String]) -> Option<Version> {
    let listed: Vec<Version> = listed.iter().filter_map(|text| text.parse().ok()).collect();
    TESTED.iter().rev().find(|tested| listed.contains(tested)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(listed: &[&str]) -> Option<String> {
        choose(&listed.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>()).map(|v| v.to_string())
    }

    #[test]
    fn the_newest_common_version_is_chosen_as_a_number() {
        assert_eq!(
            chosen(&["1.0", "1.19", "2.4", "2.9", "2.16", "2.26", "2.36"]).as_deref(),
            Some("2.26")
        );
        assert_eq!(chosen(&["2.4", "2.9", "2.10", "2.16", "2.17"]).as_deref(), Some("2.16"));
        assert_eq!(chosen(&["2.26", "2.4"]).as_deref(), Some("2.26"));
        assert_eq!(chosen(&["1.19", "2.0", "2.3"]), None);
        assert_eq!(chosen(&["odd", "", "2.x"]), None);
    }
}
