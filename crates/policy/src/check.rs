//! A parsed check and its evaluation.

use std::fmt;

use crate::{
    credentials::{Credentials, Target, printed},
    policy::Policy,
};

/// One parsed rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// `@`, `True`, an empty text.
    Always,
    /// `!`, `False`.
    Never,
    /// `role:x`: the caller has the role.
    Role(Template),
    /// `rule:x`: whatever rule x says.
    Reference(String),
    /// `project_id:%(project_id)s`: an attribute of the caller equals a text made from the target.
    Attribute {
        /// Where in the credentials.
        path: Vec<String>,
        /// What it must be.
        wanted: Template,
    },
    /// `'x':%(y)s`: a fixed value equals a text made from the target.
    Literal {
        /// The value, as it prints.
        value: String,
        /// What it must be.
        wanted: Template,
    },
    /// `not a`.
    Not(Box<Check>),
    /// `a and b and ...`.
    All(Vec<Check>),
    /// `a or b or ...`.
    Any(Vec<Check>),
}

impl Check {
    /// Answers the check; `policy` resolves references. A reference to nothing is *no*.
    pub(crate) fn allows(&self, policy: &Policy, caller: &Credentials, target: &Target) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Role(role) => role.fill(target).is_some_and(|role| caller.has_role(&role)),
            Self::Reference(name) => {
                policy.get(name).is_some_and(|check| check.allows(policy, caller, target))
            }
            Self::Attribute { path, wanted } => {
                wanted.fill(target).is_some_and(|wanted| caller.has(path, &wanted))
            }
            Self::Literal { value, wanted } => {
                wanted.fill(target).is_some_and(|wanted| wanted == *value)
            }
            Self::Not(inner) => !inner.allows(policy, caller, target),
            Self::All(checks) => checks.iter().all(|c| c.allows(policy, caller, target)),
            Self::Any(checks) => checks.iter().any(|c| c.allows(policy, caller, target)),
        }
    }

    /// The names of all rules that this check refers to.
    pub(crate) fn references(&self) -> Vec<&str> {
        match self {
            Self::Reference(name) => vec![name],
            Self::Not(inner) => inner.references(),
            Self::All(checks) | Self::Any(checks) => {
                checks.iter().flat_map(Self::references).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("@"),
            Self::Never => f.write_str("!"),
            Self::Role(role) => write!(f, "role:{role}"),
            Self::Reference(name) => write!(f, "rule:{name}"),
            Self::Attribute { path, wanted } => write!(f, "{}:{wanted}", path.join(".")),
            Self::Literal { value, wanted } => write!(f, "'{value}':{wanted}"),
            Self::Not(inner) => write!(f, "not {inner}"),
            Self::All(checks) => write_list(f, checks, " and "),
            Self::Any(checks) => write_list(f, checks, " or "),
        }
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, checks: &[Check], word: &str) -> fmt::Result {
    let texts: Vec<_> = checks.iter().map(Check::to_string).collect();
    write!(f, "({})", texts.join(word))
}

/// A text with places `%(name)s` that the target fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Place(String),
}

impl Template {
    /// Reads a template; `%%` is a percent sign.
    ///
    /// # Errors
    /// The offset in characters and what is wrong there.
    pub(crate) fn read(text: &str) -> Result<Self, (usize, String)> {
        let chars: Vec<char> = text.chars().collect();
        let (mut pieces, mut plain, mut at) = (Vec::new(), String::new(), 0);
        while at < chars.len() {
            match (chars[at], chars.get(at + 1)) {
                ('%', Some('%')) => {
                    plain.push('%');
                    at += 2;
                }
                ('%', Some('(')) => {
                    let (name, next) = place(&chars, at)?;
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::Place(name));
                    at = next;
                }
                ('%', _) => {
                    return Err((at, "a percent sign starts %(name)s or is written %%".into()));
                }
                (other, _) => {
                    plain.push(other);
                    at += 1;
                }
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    /// The text for this target; `None` if it lacks an attribute.
    fn fill(&self, target: &Target) -> Option<String> {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => Some(text.clone()),
                Piece::Place(name) => target.get(name),
            })
            .collect()
    }

    /// True for a template without any character.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads `%(name)s` at `at`; answers the name and the offset behind it.
fn place(chars: &[char], at: usize) -> Result<(String, usize), (usize, String)> {
    let name: String = chars[at + 2..].iter().take_while(|c| **c != ')').collect();
    let close = at + 2 + name.chars().count();
    if chars.get(close) != Some(&')') || chars.get(close + 1) != Some(&'s') {
        return Err((at, "a place of the target is written %(name)s".into()));
    }
    if name.is_empty() {
        return Err((at, "%()s names no attribute".into()));
    }
    Ok((name, close + 2))
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => f.write_str(&text.replace('%', "%%"))?,
                Piece::Place(name) => write!(f, "%({name})s")?,
            }
        }
        Ok(())
    }
}

/// The printed form of a constant on the left of a colon: a quoted text, a number, `True`, `False`, `None`.
pub(crate) fn literal(left: &str) -> Option<String> {
    for quote in ['\'', '"'] {
        if let Some(inner) = left.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return Some(inner.to_owned());
        }
    }
    match left {
        "True" | "False" | "None" => Some(left.to_owned()),
        number => serde_json::from_str::<serde_json::Number>(number)
            .ok()
            .map(|number| printed(&number.into())),
    }
}
