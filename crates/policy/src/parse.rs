//! The oslo.policy language: `not` binds closest, then `and`, then `or`; parentheses group.

use serde_yaml_ng::Value;

use crate::{
    check::{Check, Template, literal},
    error::PolicyError,
};

/// Deeper nesting than any person writes; keeps a hostile file from exhausting the stack.
const MAX_DEPTH: usize = 64;

/// Parses the check of one rule. `rule` is only for the message.
///
/// # Errors
/// [`PolicyError::Syntax`] with the column.
pub fn parse(rule: &str, text: &str) -> Result<Check, PolicyError> {
    parse_inner(text).map_err(|(column, reason)| PolicyError::Syntax {
        rule: rule.to_owned(),
        text: text.to_owned(),
        column: column + 1,
        reason,
    })
}

/// Parses a rule's value as it stands in the file: a text, a truth value, or the old form, a list of lists
/// of checks (one inner list must hold as a whole).
///
/// # Errors
/// [`PolicyError::Syntax`] or [`PolicyError::BadValue`].
pub(crate) fn parse_value(rule: &str, value: &Value) -> Result<Check, PolicyError> {
    match value {
        Value::String(text) => parse(rule, text),
        Value::Bool(true) => Ok(Check::Always),
        Value::Bool(false) => Ok(Check::Never),
        Value::Sequence(alternatives) => parse_lists(rule, alternatives),
        Value::Null => {
            Err(bad(rule, "has no value; write \"@\" to allow everyone, \"!\" to allow nobody"))
        }
        Value::Tagged(_) => {
            Err(bad(rule, "YAML reads a bare ! as a tag; write it in quotes: \"!\""))
        }
        Value::Number(_) | Value::Mapping(_) => Err(bad(rule, "its value must be a text")),
    }
}

fn bad(rule: &str, reason: &str) -> PolicyError {
    PolicyError::BadValue { rule: rule.to_owned(), reason: reason.to_owned() }
}

fn parse_lists(rule: &str, alternatives: &[Value]) -> Result<Check, PolicyError> {
    if alternatives.is_empty() {
        return Ok(Check::Always);
    }
    let parsed = alternatives.iter().map(|alternative| match alternative {
        Value::String(text) => parse(rule, text),
        Value::Sequence(all) if all.is_empty() => {
            Err(bad(rule, "an inner list is empty; write \"@\" to allow everyone"))
        }
        Value::Sequence(all) => {
            let checks = all.iter().map(|one| match one {
                Value::String(text) => parse(rule, text),
                _ => Err(bad(rule, "an inner list holds something else than texts")),
            });
            Ok(joined(checks.collect::<Result<_, _>>()?, Check::All))
        }
        _ => Err(bad(rule, "the list form is a list of lists of texts")),
    });
    Ok(joined(parsed.collect::<Result<_, _>>()?, Check::Any))
}

/// One check stays itself.
fn joined(mut checks: Vec<Check>, join: fn(Vec<Check>) -> Check) -> Check {
    match checks.len() {
        1 => checks.remove(0),
        _ => join(checks),
    }
}

type Fault = (usize, String);

#[derive(Debug, Clone, PartialEq)]
enum Word {
    Open,
    Close,
    And,
    Or,
    Not,
    Check(String),
}

fn parse_inner(text: &str) -> Result<Check, Fault> {
    let words = split(text)?;
    if words.is_empty() {
        return Ok(Check::Always);
    }
    let mut parser = Parser { words: &words, at: 0, end: text.chars().count(), depth: 0 };
    let check = parser.any()?;
    match parser.words.get(parser.at) {
        None => Ok(check),
        Some((column, Word::Close)) => Err((*column, "this ) closes nothing".into())),
        Some((column, _)) => Err((*column, "expected \"and\" or \"or\" here".into())),
    }
}

/// Cuts the text into words, each with its offset in characters. `(` of `%(name)s` and whatever stands in
/// quotes at the start of a check belong to the check.
fn split(text: &str) -> Result<Vec<(usize, Word)>, Fault> {
    let chars: Vec<char> = text.chars().collect();
    let (mut words, mut at) = (Vec::new(), 0);
    while let Some(&c) = chars.get(at) {
        match c {
            c if c.is_whitespace() => at += 1,
            '(' => {
                words.push((at, Word::Open));
                at += 1;
            }
            ')' => {
                words.push((at, Word::Close));
                at += 1;
            }
            _ => {
                let end = end_of_word(&chars, at)?;
                let word: String = chars[at..end].iter().collect();
                words.push((at, keyword(word)));
                at = end;
            }
        }
    }
    Ok(words)
}

fn end_of_word(chars: &[char], start: usize) -> Result<usize, Fault> {
    let mut at = start;
    if let quote @ ('\'' | '"') = chars[start] {
        let length = chars[start + 1..].iter().position(|c| *c == quote);
        at = start + 2 + length.ok_or((start, format!("this {quote} is never closed")))?;
    }
    while let Some(&c) = chars.get(at) {
        if c == '(' && at > start && chars[at - 1] == '%' {
            let length = chars[at..].iter().position(|c| *c == ')');
            at += length.ok_or((at - 1, "this %( is never closed".to_owned()))?;
        } else if c.is_whitespace() || c == '(' || c == ')' {
            break;
        }
        at += 1;
    }
    Ok(at)
}

fn keyword(word: String) -> Word {
    match word.to_lowercase().as_str() {
        "and" => Word::And,
        "or" => Word::Or,
        "not" => Word::Not,
        _ => Word::Check(word),
    }
}

struct Parser<'a> {
    words: &'a [(usize, Word)],
    at: usize,
    end: usize,
    depth: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Check, Fault> {
        let mut checks = vec![self.all()?];
        while self.take(&Word::Or) {
            checks.push(self.all()?);
        }
        Ok(joined(checks, Check::Any))
    }

    fn all(&mut self) -> Result<Check, Fault> {
        let mut checks = vec![self.one()?];
        while self.take(&Word::And) {
            checks.push(self.one()?);
        }
        Ok(joined(checks, Check::All))
    }

    fn one(&mut self) -> Result<Check, Fault> {
        let Some((column, word)) = self.words.get(self.at) else {
            return Err((self.end, "a check is missing here".into()));
        };
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err((*column, format!("nested deeper than {MAX_DEPTH}")));
        }
        self.at += 1;
        let check = match word {
            Word::Not => Check::Not(Box::new(self.one()?)),
            Word::Open => {
                let inner = self.any()?;
                if !self.take(&Word::Close) {
                    return Err((*column, "this ( is never closed".into()));
                }
                inner
            }
            Word::Check(text) => {
                check(text).map_err(|(offset, reason)| (column + offset, reason))?
            }
            Word::And | Word::Or | Word::Close => {
                return Err((*column, "a check is missing before this".into()));
            }
        };
        self.depth -= 1;
        Ok(check)
    }

    fn take(&mut self, wanted: &Word) -> bool {
        let there = self.words.get(self.at).is_some_and(|(_, word)| word == wanted);
        self.at += usize::from(there);
        there
    }
}

/// Reads one `kind:match`.
fn check(text: &str) -> Result<Check, Fault> {
    match text {
        "@" | "True" => return Ok(Check::Always),
        "!" | "False" => return Ok(Check::Never),
        _ => {}
    }
    // A quoted constant may hold a colon of its own.
    let quoted = match text.chars().next() {
        Some(quote @ ('\'' | '"')) => text[1..].find(quote).map_or(0, |end| end + 2),
        _ => 0,
    };
    let Some(colon) = text[quoted..].find(':').map(|at| at + quoted) else {
        return Err((0, "a check is written kind:value, for example role:member".into()));
    };
    let (kind, value) = (&text[..colon], &text[colon + 1..]);
    let offset = kind.chars().count() + 1;
    let template = Template::read(value).map_err(|(at, reason)| (offset + at, reason))?;
    if template.is_empty() {
        return Err((offset, "nothing stands after the colon".into()));
    }
    match kind {
        "" => Err((0, "nothing stands before the colon".into())),
        "role" => Ok(Check::Role(template)),
        "rule" => Ok(Check::Reference(value.to_owned())),
        "http" | "https" => {
            Err((0, "checks by an HTTP call are not supported; express the rule with roles".into()))
        }
        _ => match literal(kind) {
            Some(value) => Ok(Check::Literal { value, wanted: template }),
            None => Ok(Check::Attribute {
                path: kind.split('.').map(str::to_owned).collect(),
                wanted: template,
            }),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shown(text: &str) -> String {
        parse("r", text).unwrap().to_string()
    }

    fn fault(text: &str) -> (usize, String) {
        match parse("r", text).unwrap_err() {
            PolicyError::Syntax { column, reason, .. } => (column, reason),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn and_binds_closer_than_or_and_not_closest() {
        assert_eq!(shown("role:a or role:b and role:c"), "(role:a or (role:b and role:c))");
        assert_eq!(shown("role:a and role:b or role:c"), "((role:a and role:b) or role:c)");
        assert_eq!(shown("not role:a and role:b"), "(not role:a and role:b)");
        assert_eq!(shown("(role:a OR role:b) And role:c"), "((role:a or role:b) and role:c)");
        assert_eq!(shown("not (role:a or role:b)"), "not (role:a or role:b)");
    }

    #[test]
    fn every_form_of_a_check_is_read() {
        assert_eq!(shown(""), "@");
        assert_eq!(shown("@"), "@");
        assert_eq!(shown("True"), "@");
        assert_eq!(shown("False"), "!");
        assert_eq!(shown("not !"), "not !");
        assert_eq!(shown("rule:protector:sites:index"), "rule:protector:sites:index");
        assert_eq!(shown("(project_id:%(project_id)s)"), "project_id:%(project_id)s");
        assert_eq!(shown("token.user.id:%(user_id)s"), "token.user.id:%(user_id)s");
        assert_eq!(shown("'a b:c':%(kind)s"), "'a b:c':%(kind)s");
        assert_eq!(shown("None:%(owner)s"), "'None':%(owner)s");
        assert_eq!(shown("1:%(n)s"), "'1':%(n)s");
        assert_eq!(shown("is_admin:True"), "is_admin:True");
        assert_eq!(shown("role:100%%"), "role:100%%");
    }

    #[test]
    fn faults_name_the_column() {
        assert_eq!(fault("role:a role:b").0, 8);
        assert_eq!(fault("role:a or").0, 10);
        assert_eq!(fault("(role:a").0, 1);
        assert_eq!(fault("role:a)").0, 7);
        assert_eq!(fault("and role:a").0, 1);
        assert_eq!(fault("role:a or member").0, 11);
        assert_eq!(fault("role:").0, 6);
        assert_eq!(fault(":x").0, 1);
        assert_eq!(fault("project_id:%(project_id)d").0, 12);
        assert_eq!(fault("project_id:%(project_id").0, 12);
        assert_eq!(fault("x:100%").0, 6);
        assert_eq!(fault("'x:%(y)s").0, 1);
        assert!(fault("http://decide.example/%(x)s").1.contains("not supported"));
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = format!("{}role:a{}", "(".repeat(1000), ")".repeat(1000));
        assert!(fault(&deep).1.contains("nested deeper"));
        let wide = vec!["(role:a)"; 1000].join(" or ");
        assert!(parse("r", &wide).is_ok());
    }

    #[test]
    fn the_old_list_form_is_an_or_of_ands() {
        let yaml = serde_yaml_ng::from_str("[[\"role:a\", \"role:b\"], [\"role:c\"], \"role:d\"]")
            .unwrap();
        let check = parse_value("r", &yaml).unwrap();
        assert_eq!(check.to_string(), "((role:a and role:b) or role:c or role:d)");
        assert_eq!(
            parse_value("r", &serde_yaml_ng::from_str("[]").unwrap()).unwrap(),
            Check::Always
        );
        for wrong in ["[[]]", "[[1]]", "[{}]", "3", "{}", "null", "!x y"] {
            assert!(parse_value("r", &serde_yaml_ng::from_str(wrong).unwrap()).is_err(), "{wrong}");
        }
    }
}
