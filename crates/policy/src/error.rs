//! What can be wrong with a policy, and the answer *no*.

/// Why a policy text or file cannot be used. Nothing of it is in force then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The file is there but cannot be read.
    #[error("policy file {path} cannot be read: {reason}; check its owner and mode")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// The file was there and is gone.
    #[error(
        "policy file {path} has vanished; the rules read from it stay in force: put it back, or restart to go \
         back to the defaults"
    )]
    Vanished {
        /// The file.
        path: String,
    },
    /// Not YAML, or not a mapping of rule names to checks.
    #[error("the policy is not a YAML mapping of rule names to checks: {reason}")]
    NotAMapping {
        /// What the YAML reader says.
        reason: String,
    },
    /// One rule's check does not follow the language.
    #[error("policy rule {rule:?}: {reason} (column {column} of {text:?})")]
    Syntax {
        /// The rule.
        rule: String,
        /// Its text.
        text: String,
        /// Where, counted in characters from 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A rule's value is neither a text, a truth value nor the old list form.
    #[error("policy rule {rule:?}: {reason}")]
    BadValue {
        /// The rule.
        rule: String,
        /// What is wrong.
        reason: String,
    },
    /// `rule:x`, and there is no x.
    #[error("policy rule {rule:?} refers to rule {missing:?}, which is defined nowhere")]
    UnknownReference {
        /// Where it is named.
        rule: String,
        /// What is not there.
        missing: String,
    },
    /// Rules that refer to each other in a circle.
    #[error("policy rules refer to each other in a circle: {}", path.join(" -> "))]
    Cycle {
        /// The circle, first name repeated at its end.
        path: Vec<String>,
    },
}

/// Something in a policy file that has no effect and probably was meant to have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The rule's name in the file.
    pub rule: String,
    /// The registered name that looks most like it.
    pub did_you_mean: Option<&'static str>,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "policy rule {:?} has no effect: it is not registered and no rule refers to it",
            self.rule
        )?;
        match self.did_you_mean {
            Some(name) => write!(f, "; did you mean {name:?}?"),
            None => Ok(()),
        }
    }
}

/// The answer *no*.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy rule {rule} does not allow this request")]
pub struct Denied {
    /// The rule that was asked.
    pub rule: String,
}
