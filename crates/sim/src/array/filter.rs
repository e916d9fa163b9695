//! The query language of `filter=`: `and or not ( )`, `= != < > <= >=`, `contains(f,'x')`,
//! `tags('k','v')`, sub-fields, `f[any]`/`f[all]`, `f=('a','b')`, bare booleans, `*` inside strings.

use serde_json::Value;

/// A parsed filter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    /// At least one.
    Or(Vec<Expr>),
    /// All.
    And(Vec<Expr>),
    /// The contrary.
    Not(Box<Expr>),
    /// A field compared with one of several literals.
    Compare(Path, Op, Vec<String>),
    /// The field contains the text.
    Contains(Path, String),
    /// The resource has the tag, with the value if one is given.
    Tags(String, Option<String>),
    /// A boolean field.
    Bare(Path),
}

/// A field, possibly of a field, possibly of the elements of a list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path {
    /// From outside to inside.
    pub steps: Vec<String>,
    /// `[all]` was written: every element has to match.
    pub all: bool,
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// `=`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Op(Op),
    Open,
    Close,
    Comma,
}

/// What the filter looks at: one item and its tags.
pub(crate) trait Subject {
    /// The item.
    fn value(&self) -> &Value;
    /// The value of a tag of the item, in any namespace.
    fn tag(&self, key: &str) -> Option<String>;
}

/// Parses; the error says where the filter is wrong.
pub(crate) fn parse(text: &str) -> Result<Expr, String> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens, at: 0 };
    let expr = parser.or()?;
    match parser.peek() {
        None => Ok(expr),
        Some(token) => Err(format!("unexpected {token:?} in filter {text:?}")),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut i = 0;
    while let Some(&c) = chars.get(i) {
        let next = chars.get(i + 1).copied();
        i += 1;
        match c {
            c if c.is_whitespace() => {}
            '(' => found.push(Token::Open),
            ')' => found.push(Token::Close),
            ',' => found.push(Token::Comma),
            '=' => found.push(Token::Op(Op::Eq)),
            '!' if next == Some('=') => {
                i += 1;
                found.push(Token::Op(Op::Ne));
            }
            '<' | '>' => {
                let equal = next == Some('=');
                i += usize::from(equal);
                found.push(Token::Op(match (c, equal) {
                    ('<', true) => Op::Le,
                    ('<', false) => Op::Lt,
                    (_, true) => Op::Ge,
                    (_, false) => Op::Gt,
                }));
            }
            '\'' | '"' => {
                let mut word = String::new();
                loop {
                    match chars.get(i) {
                        None => return Err(format!("unterminated string in filter {text:?}")),
                        Some(&q) if q == c => break,
                        Some('\\') => {
                            i += 1;
                            word.extend(chars.get(i));
                        }
                        Some(&other) => word.push(other),
                    }
                    i += 1;
                }
                i += 1;
                found.push(Token::Text(word));
            }
            c if is_word(c) => {
                let mut word = String::from(c);
                while let Some(&c) = chars.get(i).filter(|c| is_word(**c)) {
                    word.push(c);
                    i += 1;
                }
                found.push(Token::Word(word));
            }
            other => return Err(format!("unexpected {other:?} in filter {text:?}")),
        }
    }
    Ok(found)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']' | '*' | ':' | '+')
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn keyword(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, token: &Token) -> Result<(), String> {
        match self.take() {
            Some(found) if found == *token => Ok(()),
            other => Err(format!("expected {token:?} in filter, found {other:?}")),
        }
    }

    fn or(&mut self) -> Result<Expr, String> {
        let mut all = vec![self.and()?];
        while self.keyword("or") {
            all.push(self.and()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expr::Or(all) })
    }

    fn and(&mut self) -> Result<Expr, String> {
        let mut all = vec![self.not()?];
        while self.keyword("and") {
            all.push(self.not()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expr::And(all) })
    }

    fn not(&mut self) -> Result<Expr, String> {
        if self.keyword("not") {
            return Ok(Expr::Not(Box::new(self.not()?)));
        }
        match self.take() {
            Some(Token::Open) => {
                let inner = self.or()?;
                self.expect(&Token::Close)?;
                Ok(inner)
            }
            Some(Token::Word(word)) => self.term(&word),
            other => Err(format!("expected a field in filter, found {other:?}")),
        }
    }

    fn term(&mut self, word: &str) -> Result<Expr, String> {
        if self.peek() == Some(&Token::Open) {
            return self.function(word);
        }
        let path = path(word)?;
        let Some(Token::Op(op)) = self.peek().cloned() else { return Ok(Expr::Bare(path)) };
        self.at += 1;
        match self.take() {
            Some(Token::Text(text) | Token::Word(text)) => Ok(Expr::Compare(path, op, vec![text])),
            Some(Token::Open) => Ok(Expr::Compare(path, op, self.list()?)),
            other => Err(format!("expected a value in filter, found {other:?}")),
        }
    }

    fn function(&mut self, name: &str) -> Result<Expr, String> {
        self.at += 1;
        match name.to_ascii_lowercase().as_str() {
            "contains" => {
                let Some(Token::Word(field)) = self.take() else {
                    return Err("contains() takes a field and a value".into());
                };
                self.expect(&Token::Comma)?;
                let mut values = self.list()?;
                match (values.pop(), values.is_empty()) {
                    (Some(value), true) => Ok(Expr::Contains(path(&field)?, value)),
                    _ => Err("contains() takes a field and one value".into()),
                }
            }
            "tags" => {
                let values = self.list()?;
                match values.as_slice() {
                    [key] => Ok(Expr::Tags(key.clone(), None)),
                    [key, value] => Ok(Expr::Tags(key.clone(), Some(value.clone()))),
                    _ => Err("tags() takes a key and a value".into()),
                }
            }
            other => Err(format!("there is no filter function {other}()")),
        }
    }

    fn list(&mut self) -> Result<Vec<String>, String> {
        let mut values = Vec::new();
        loop {
            match self.take() {
                Some(Token::Text(text) | Token::Word(text)) => values.push(text),
                other => return Err(format!("expected a value in filter, found {other:?}")),
            }
            match self.take() {
                Some(Token::Comma) => {}
                Some(Token::Close) => return Ok(values),
                other => return Err(format!("expected , or ) in filter, found {other:?}")),
            }
        }
    }
}

fn path(word: &str) -> Result<Path, String> {
    let all = word.contains("[all]");
    let plain = word.replace("[all]", "").replace("[any]", "");
    let keyword = ["and", "or", "not"].iter().any(|k| plain.eq_ignore_ascii_case(k));
    if keyword
        || plain.is_empty()
        || !plain.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c))
    {
        return Err(format!("{word:?} is no field"));
    }
    Ok(Path { steps: plain.split('.').map(str::to_owned).collect(), all })
}

impl Expr {
    /// Whether the item is wanted.
    pub(crate) fn matches(&self, subject: &dyn Subject) -> bool {
        match self {
            Self::Or(all) => all.iter().any(|e| e.matches(subject)),
            Self::And(all) => all.iter().all(|e| e.matches(subject)),
            Self::Not(inner) => !inner.matches(subject),
            Self::Compare(path, op, literals) => {
                path.test(subject.value(), &|v| compare(v, *op, literals))
            }
            Self::Contains(path, text) => {
                let wanted = text.to_lowercase();
                path.test(subject.value(), &|v| plain(v).to_lowercase().contains(&wanted))
            }
            Self::Tags(key, value) => subject
                .tag(key)
                .is_some_and(|found| value.as_ref().is_none_or(|v| wildcard(v, &found))),
            Self::Bare(path) => path.test(subject.value(), &|v| v.as_bool() == Some(true)),
        }
    }

    /// The first steps of all fields that the filter names.
    pub(crate) fn fields(&self) -> Vec<&str> {
        match self {
            Self::Or(all) | Self::And(all) => all.iter().flat_map(Expr::fields).collect(),
            Self::Not(inner) => inner.fields(),
            Self::Compare(path, ..) | Self::Contains(path, _) | Self::Bare(path) => {
                path.steps.first().map(String::as_str).into_iter().collect()
            }
            Self::Tags(..) => Vec::new(),
        }
    }

    /// A lower-case prefix that the `name` of every wanted item has: spares looking at the others.
    pub(crate) fn name_prefix(&self) -> Option<String> {
        match self {
            Self::And(all) => all.iter().find_map(Expr::name_prefix),
            Self::Compare(path, Op::Eq, literals) if path.steps == ["name"] => {
                let [one] = literals.as_slice() else { return None };
                one.split('*').next().map(str::to_lowercase)
            }
            _ => None,
        }
    }
}

impl Path {
    fn test(&self, value: &Value, check: &dyn Fn(&Value) -> bool) -> bool {
        walk(value, &self.steps, self.all, check)
    }
}

fn walk(value: &Value, steps: &[String], all: bool, check: &dyn Fn(&Value) -> bool) -> bool {
    match (value, steps.split_first()) {
        (Value::Array(items), _) if all => {
            !items.is_empty() && items.iter().all(|v| walk(v, steps, all, check))
        }
        (Value::Array(items), _) => items.iter().any(|v| walk(v, steps, all, check)),
        (value, None) => check(value),
        (Value::Object(map), Some((first, rest))) => {
            walk(map.get(first).unwrap_or(&Value::Null), rest, all, check)
        }
        (_, Some(_)) => check(&Value::Null),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn compare(value: &Value, op: Op, literals: &[String]) -> bool {
    let equal = || literals.iter().any(|literal| equals(value, literal));
    match op {
        Op::Eq => equal(),
        Op::Ne => !equal(),
        _ => literals.iter().any(|literal| {
            let order = match (value.as_f64(), literal.parse::<f64>().ok()) {
                (Some(v), Some(l)) => v.partial_cmp(&l),
                _ if value.is_null() => None,
                _ => Some(plain(value).to_lowercase().cmp(&literal.to_lowercase())),
            };
            order.is_some_and(|order| match op {
                Op::Lt => order.is_lt(),
                Op::Le => order.is_le(),
                Op::Gt => order.is_gt(),
                _ => order.is_ge(),
            })
        }),
    }
}

/// A quoted number equals the number: Cinder sends `progress="1.0"`.
fn equals(value: &Value, literal: &str) -> bool {
    match value {
        Value::String(s) => wildcard(literal, s),
        Value::Number(n) => literal.parse::<f64>().ok() == n.as_f64(),
        Value::Bool(b) => literal.eq_ignore_ascii_case(if *b { "true" } else { "false" }),
        Value::Null => literal.eq_ignore_ascii_case("null"),
        _ => false,
    }
}

/// `*` stands for any run of characters; the case of letters is ignored.
fn wildcard(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last: Option<&str> = None;
    for part in parts {
        if let Some(previous) = last {
            match rest.find(previous) {
                Some(at) => rest = &rest[at + previous.len()..],
                None => return false,
            }
        }
        last = Some(part);
    }
    match last {
        None => rest.is_empty(),
        Some(tail) => rest.ends_with(tail),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    struct Item(Value);

    impl Subject for Item {
        fn value(&self) -> &Value {
            &self.0
        }
        fn tag(&self, key: &str) -> Option<String> {
            self.0["tags"][key].as_str().map(str::to_owned)
        }
    }

    fn hit(filter: &str, value: Value) -> bool {
        parse(filter).unwrap().matches(&Item(value))
    }

    #[test]
    fn all_forms_that_cinder_sends() {
        assert!(hit(r#"progress="1.0""#, json!({"progress": 1.0})));
        assert!(hit(r#"progress="1.0""#, json!({"progress": 1})));
        assert!(!hit(r#"progress="1.0""#, json!({"progress": 0.5})));
        assert!(!hit(r#"progress="1.0""#, json!({"progress": null})));
        assert!(hit("name='a:cinder-group.7.*'", json!({"name": "a:cinder-group.7.vol-1"})));
        assert!(!hit("name='a:cinder-group.7.*'", json!({"name": "a:cinder-group.71.vol-1"})));
        assert!(hit("pod.name='cinder-pod'", json!({"pod": {"name": "cinder-pod"}})));
        assert!(!hit("pod.name='cinder-pod'", json!({"pod": {}})));
        assert!(hit("name='CT0.*'", json!({"name": "CT0.ETH4"})));
        let eth = "eth.subtype='lacp_bond' or eth.subtype='vif'";
        assert!(hit(eth, json!({"eth": {"subtype": "vif"}})));
        assert!(!hit(eth, json!({"eth": {"subtype": "physical"}})));
        let iqn = "iqns='iqn.1994-05.com.redhat:x' and is_local";
        let host =
            |local: bool| json!({"iqns": ["a", "iqn.1994-05.com.redhat:x"], "is_local": local});
        assert!(hit(iqn, host(true)));
        assert!(!hit(iqn, host(false)));
        assert!(hit(
            "wwns='50:00:AB' and not is_local",
            json!({"wwns": ["50:00:ab"], "is_local": false})
        ));
    }

    #[test]
    fn lists_in_contains_tags_and_order() {
        assert!(hit("name=('a','b')", json!({"name": "B"})));
        assert!(!hit("name!=('a','b')", json!({"name": "b"})));
        assert!(hit("contains(name,'olu')", json!({"name": "Volume"})));
        assert!(hit("tags('k','v*')", json!({"tags": {"k": "value"}})));
        assert!(!hit("tags('k','x')", json!({"tags": {"k": "value"}})));
        assert!(hit("created>=5 and not (created>6)", json!({"created": 5})));
        assert!(!hit("created<5", json!({"created": null})));
        assert!(hit(
            "arrays[any].status='online'",
            json!({"arrays": [{"status": "offline"}, {"status": "online"}]})
        ));
        assert!(!hit(
            "arrays[all].status='online'",
            json!({"arrays": [{"status": "offline"}, {"status": "online"}]})
        ));
        assert!(hit("name='*b*d'", json!({"name": "abcd"})));
        assert!(!hit("name='a*a'", json!({"name": "a"})));
    }

    #[test]
    fn refuses_nonsense() {
        for bad in ["name=", "name='x", "and", "name='x' name='y'", "foo('x')", "(name='x'"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prefix_narrows_only_where_it_must_hold() {
        let prefix = |f: &str| parse(f).unwrap().name_prefix();
        assert_eq!(prefix("name='A:g.7.*' and destroyed='false'").as_deref(), Some("a:g.7."));
        assert_eq!(prefix("name='a' or name='b'"), None);
        assert_eq!(prefix("not name='a'"), None);
    }
}
