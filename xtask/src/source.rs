//! Rust source, taken apart just enough for the checks: what is code, what is comment, what is text; where
//! functions, modules and test-only parts begin and end. Far from a compiler, but it needs none.

use std::ops::Range;

/// One file.
#[derive(Debug)]
pub struct Source {
    /// As it is.
    pub text: String,
    /// The same length, with comments and the insides of texts blanked. Quotes stay.
    pub code: String,
    /// The same length, with everything but comments blanked.
    pub comments: String,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of `fn`, from 1.
    pub line: usize,
    /// Lines from `fn` to the closing brace, both counted.
    pub lines: usize,
}

/// A `mod name;`.
#[derive(Debug, PartialEq, Eq)]
pub struct Declared {
    /// The inline modules around it, then its name.
    pub path: Vec<String>,
    /// What `#[path = "..."]` says.
    pub at: Option<String>,
    /// Only compiled for tests.
    pub is_test: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Class {
    Code,
    Comment,
    Text,
}

impl Source {
    /// Takes a text apart.
    pub fn read(text: &str) -> Self {
        let classes = classify(text.as_bytes());
        let only = |class: Class| -> String {
            let kept = text.bytes().zip(&classes).map(|(byte, found)| {
                let visible = *found == class || byte == b'\n';
                if !visible {
                    ' '
                } else if byte.is_ascii() {
                    char::from(byte)
                } else {
                    // A byte of a longer character; its place matters, its shape does not.
                    '?'
                }
            });
            kept.collect()
        };
        Self { text: text.to_owned(), code: only(Class::Code), comments: only(Class::Comment) }
    }

    /// The line, from 1, of a byte's offset.
    pub fn line_of(&self, offset: usize) -> usize {
        self.code[..offset].bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    /// Every offset in the code at which a word stands alone.
    pub fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.code.match_indices(word).map(|(at, _)| at).filter(move |at| {
            let before = self.code[..*at].chars().next_back();
            let after = self.code[at + word.len()..].chars().next();
            !before.is_some_and(is_name) && !after.is_some_and(is_name)
        })
    }

    /// Every function that has a body.
    pub fn functions(&self) -> Vec<Function> {
        let found = self.words("fn").filter_map(|at| {
            let name = name_after(&self.code, at + 2)?;
            let body = self.braces_after(at)?;
            let (line, last) = (self.line_of(at), self.line_of(body.end - 1));
            Some(Function { name, line, lines: last - line + 1 })
        });
        found.collect()
    }

    /// The parts that are compiled for tests only.
    pub fn test_parts(&self) -> Vec<Range<usize>> {
        let attributes = self.code.match_indices("#[cfg(").filter_map(|(at, _)| {
            let end = at + self.code[at..].find(']')?;
            let inside = &self.code[at..end];
            let is_test = inside.split(|c: char| !is_name(c)).any(|word| word == "test");
            (is_test && !inside.contains("not(")).then_some((at, end + 1))
        });
        attributes.map(|(at, end)| at..self.item_end(end)).collect()
    }

    /// Every module that lives in a file of its own.
    pub fn declared(&self) -> Vec<Declared> {
        let (tests, mut inline, mut found) = (self.test_parts(), Vec::new(), Vec::new());
        for at in self.words("mod") {
            let Some(name) = name_after(&self.code, at + 3) else { continue };
            let end = self.item_end(at);
            if self.code[..end].ends_with('}') {
                inline.push((at..end, name));
                continue;
            }
            let around =
                inline.iter().filter(|(range, _): &&(Range<usize>, String)| range.contains(&at));
            let path = around.map(|(_, name)| name.clone()).chain([name]).collect();
            let is_test = tests.iter().any(|range| range.contains(&at));
            found.push(Declared { path, at: self.path_attribute(at), is_test });
        }
        found
    }

    /// The value of a `#[path]` attribute in the lines right above.
    fn path_attribute(&self, at: usize) -> Option<String> {
        let above = &self.text[..at];
        let start = above.rfind([';', '}']).map_or(0, |end| end + 1);
        let attribute = &above[start..];
        let value = attribute[attribute.find("#[path")?..].split('"').nth(1)?;
        Some(value.to_owned())
    }

    /// Where the item that begins at an offset ends: behind its `;` or its closing brace.
    fn item_end(&self, start: usize) -> usize {
        let Some(braces) = self.braces_after(start) else {
            return self.outside_brackets(start, ';').map_or(self.code.len(), |at| at + 1);
        };
        // `use a::{b};` ends behind its braces.
        let rest = &self.code[braces.end..];
        let gap = rest.len() - rest.trim_start().len();
        if rest.trim_start().starts_with(';') { braces.end + gap + 1 } else { braces.end }
    }

    /// The first braces after an offset, unless a semicolon comes first.
    fn braces_after(&self, start: usize) -> Option<Range<usize>> {
        let open = self.outside_brackets(start, '{')?;
        if self.outside_brackets(start, ';').is_some_and(|semicolon| semicolon < open) {
            return None;
        }
        let mut depth = 0usize;
        for (at, c) in self.code[open..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Some(open..open + at + 1);
            }
        }
        None
    }

    /// The first such character that stands in no round or square brackets.
    fn outside_brackets(&self, start: usize, wanted: char) -> Option<usize> {
        let mut depth = 0i32;
        for (at, c) in self.code[start..].char_indices() {
            match c {
                '(' | '[' => depth += 1,
                ')' | ']' => depth -= 1,
                c if c == wanted && depth == 0 => return Some(start + at),
                _ => {}
            }
        }
        None
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The name that follows, if one follows directly.
fn name_after(code: &str, at: usize) -> Option<String> {
    let rest = code[at..].trim_start();
    let name: String = rest.chars().take_while(|c| is_name(*c)).collect();
    (!name.is_empty()).then_some(name)
}

/// Says of every byte what it is.
fn classify(text: &[u8]) -> Vec<Class> {
    let mut classes = vec![Class::Code; text.len()];
    let mut at = 0;
    while at < text.len() {
        let span = next_span(text, at);
        classes[span.marked].fill(span.class);
        at = span.next.max(at + 1);
    }
    classes
}

/// What begins somewhere.
struct Span {
    class: Class,
    /// The bytes that are of this class.
    marked: Range<usize>,
    /// Where to read on.
    next: usize,
}

impl Span {
    fn code(at: usize) -> Self {
        Self { class: Class::Code, marked: at..at + 1, next: at + 1 }
    }

    fn comment(at: usize, end: usize) -> Self {
        Self { class: Class::Comment, marked: at..end, next: end }
    }

    /// The inside of a text whose closing mark has this many bytes.
    fn text(inside: Range<usize>, close: usize) -> Self {
        Self { class: Class::Text, next: inside.end + close, marked: inside }
    }
}

fn next_span(text: &[u8], at: usize) -> Span {
    let rest = &text[at..];
    if rest.starts_with(b"//") {
        let length = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        return Span::comment(at, at + length);
    }
    if rest.starts_with(b"/*") {
        return Span::comment(at, block_comment_end(text, at));
    }
    let after_name = at > 0 && (text[at - 1].is_ascii_alphanumeric() || text[at - 1] == b'_');
    if let Some(hashes) = raw_start(rest).filter(|_| !after_name) {
        return raw_text(text, at, hashes);
    }
    match rest[0] {
        b'"' => Span::text(at + 1..quoted_end(text, at + 1, b'"'), 1),
        b'\'' => char_literal(text, at),
        _ => Span::code(at),
    }
}

fn raw_text(text: &[u8], at: usize, hashes: usize) -> Span {
    let quote = text[at..].iter().position(|b| *b == b'"').unwrap_or(0);
    let open = at + quote + 1;
    let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    let length = text[open..].windows(close.len()).position(|window| window == close);
    let end = length.map_or(text.len(), |length| open + length);
    Span::text(open..end, close.len())
}

fn block_comment_end(text: &[u8], start: usize) -> usize {
    let (mut depth, mut at) = (0usize, start);
    while at < text.len() {
        if text[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The number of `#` of a raw text that begins here.
fn raw_start(rest: &[u8]) -> Option<usize> {
    let rest = rest.strip_prefix(b"b").or_else(|| rest.strip_prefix(b"c")).unwrap_or(rest);
    let rest = rest.strip_prefix(b"r")?;
    let hashes = rest.iter().take_while(|b| **b == b'#').count();
    (rest.get(hashes) == Some(&b'"')).then_some(hashes)
}

/// Where a quoted text ends: at its closing quote, which is not counted in.
fn quoted_end(text: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start;
    while at < text.len() && text[at] != quote {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    at.min(text.len())
}

/// `'x'` and `'\n'` are characters, `'a` is a lifetime.
fn char_literal(text: &[u8], at: usize) -> Span {
    let inside = at + 1;
    let length = match text.get(inside) {
        Some(b'\\') => quoted_end(text, inside, b'\'') - inside,
        // A character of UTF-8 says in its first byte how many it has.
        Some(first) => first.leading_ones().max(1) as usize,
        None => 0,
    };
    match text.get(inside + length) {
        Some(b'\'') if length > 0 => Span::text(inside..inside + length, 1),
        _ => Span::code(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_comments_are_blanked_and_nothing_moves() {
        let text = r##"let a = "x // {"; // } "y"
let b = r#"{" } "#; /* { /* } */ { */ let c = '{'; let d: &'a str = "\"{"; 'é'; b'''; fin"##;
        let source = Source::read(text);
        assert_eq!(source.code.len(), text.len());
        assert!(!source.code.contains(['{', '}']), "{}", source.code);
        assert!(source.code.ends_with("fin") && source.code.contains("&'a str"), "{}", source.code);
        assert!(source.comments.contains("} \"y\"") && !source.comments.contains("let"));
        assert_eq!(source.line_of(text.len()), 2);
    }

    #[test]
    fn functions_are_measured() {
        let text = "trait T { fn none(&self) -> [u8; 2]; }\nfn one() {}\n\npub async fn three<const N: usize>(\n    \
                    x: fn(u8) -> u8) where X: Y {\n    \"}\"; { }\n}\nmacro_rules! m { () => { fn $x() {} } }\n";
        let found: Vec<_> =
            Source::read(text).functions().into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(found, [("one".to_owned(), 2, 1), ("three".to_owned(), 4, 4)]);
    }

    #[test]
    fn test_parts_are_found() {
        let text = "fn a() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests { fn b() {} }\n#[cfg(all(test, unix))]\n\
                    use c::{d};\n#[cfg(not(test))]\nfn e() {}\n#[cfg(feature = \"test\")]\nfn f() {}";
        let source = Source::read(text);
        let parts: Vec<_> = source.test_parts().into_iter().map(|r| &text[r]).collect();
        assert_eq!(parts.len(), 2, "{parts:?}");
        assert!(
            parts[0].ends_with("fn b() {} }") && parts[1].ends_with("use c::{d};"),
            "{parts:?}"
        );
    }

    #[test]
    fn declared_modules_know_their_place() {
        let text = "pub mod a;\nmod b { pub(crate) mod c; }\n#[cfg(test)]\nmod t;\n\
                    #[path = \"else/where.rs\"]\nmod d;\n// mod e;\n";
        let declared = Source::read(text).declared();
        let short: Vec<_> =
            declared.iter().map(|d| (d.path.join("/"), d.at.as_deref(), d.is_test)).collect();
        let wanted = [
            ("a", None, false),
            ("b/c", None, false),
            ("t", None, true),
            ("d", Some("else/where.rs"), false),
        ];
        assert_eq!(short, wanted.map(|(path, at, test)| (path.to_owned(), at, test)));
    }
}
