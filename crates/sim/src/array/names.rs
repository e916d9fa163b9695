//! Which names are allowed, and how composed names come apart.

use super::error::{Outcome, Refused};

/// `[pod::][vgroup/]base`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct VolumeName<'a> {
    /// Pod.
    pub pod: Option<&'a str>,
    /// Volume group.
    pub vgroup: Option<&'a str>,
    /// The volume's own part.
    pub base: &'a str,
}

/// Takes a volume's name apart and checks the last part.
pub(crate) fn volume(name: &str) -> Outcome<VolumeName<'_>> {
    let (pod, rest) = split_pod(name);
    let (vgroup, base) = match rest.split_once('/') {
        Some((vgroup, base)) => (Some(vgroup), base),
        None => (None, rest),
    };
    check("Volume", name, base)?;
    Ok(VolumeName { pod, vgroup, base })
}

/// `pod::rest`.
pub(crate) fn split_pod(name: &str) -> (Option<&str>, &str) {
    match name.split_once("::") {
        Some((pod, rest)) => (Some(pod), rest),
        None => (None, name),
    }
}

/// 1 to 63 of letters, digits, `-` and `_`; first and last a letter or digit; not digits only.
pub(crate) fn check(what: &str, whole: &str, base: &str) -> Outcome<()> {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let good = (1..=63).contains(&base.chars().count())
        && base.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        && ends(base.chars().next())
        && ends(base.chars().last())
        && !base.chars().all(|c| c.is_ascii_digit());
    if good {
        return Ok(());
    }
    Err(Refused::of(
        whole,
        format!(
            "{what} name must be between 1 and 63 characters (alphanumeric, '_' and '-') in length \
             and begin and end with a letter or number."
        ),
    ))
}

/// A snapshot's suffix: up to 64, no `-` at the ends; a chosen one is not a plain number.
pub(crate) fn suffix(whole: &str, suffix: &str) -> Outcome<()> {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let good = (1..=64).contains(&suffix.chars().count())
        && suffix.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && ends(suffix.chars().next())
        && ends(suffix.chars().last())
        && !suffix.chars().all(|c| c.is_ascii_digit());
    if good {
        return Ok(());
    }
    Err(Refused::of(
        whole,
        "Snapshot suffix must be between 1 and 64 characters (alphanumeric and '-') in length, begin \
         and end with a letter or number, and include at least one letter or '-'.",
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn volume_names() {
        let parts = volume("pod::vg/vol_1").unwrap();
        assert_eq!((parts.pod, parts.vgroup, parts.base), (Some("pod"), Some("vg"), "vol_1"));
        let long = "a".repeat(63);
        assert!(volume(&format!("pod::{long}")).is_ok());
        for bad in ["", "a.b", "-a", "a-", "123", &"a".repeat(64), "a:b", "a b"] {
            assert!(volume(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn suffixes() {
        assert!(suffix("g", "before-1").is_ok());
        for bad in ["", "7", "-a", "a-", "a.b", "a_b", &"a".repeat(65)] {
            assert!(suffix("g", bad).is_err(), "{bad}");
        }
    }
}
