//! Names and filters in a URL: each value is encoded, the comma between values is not.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Values per call, and bytes of them: URLs of 8 KiB pass everywhere, half of that is for us.
const CHUNK: usize = 50;
const CHUNK_BYTES: usize = 4000;

/// A query in the making.
#[derive(Debug, Clone, Default)]
pub struct Query(String);

impl Query {
    /// Without any parameter.
    pub fn new() -> Self {
        Self::default()
    }

    /// `key=value`, the value encoded.
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.key(key);
        self.0.extend(utf8_percent_encode(value, UNRESERVED));
        self
    }

    /// `key=a,b`: values encoded, commas literal.
    pub fn names<S: AsRef<str>>(mut self, key: &str, values: &[S]) -> Self {
        self.key(key);
        for (position, value) in values.iter().enumerate() {
            if position > 0 {
                self.0.push(',');
            }
            self.0.extend(utf8_percent_encode(value.as_ref(), UNRESERVED));
        }
        self
    }

    /// Only what lives: without this, destroyed objects are listed too.
    pub fn live(self) -> Self {
        self.with("destroyed", "false")
    }

    /// `?a=b&c=d`, or nothing.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn key(&mut self, key: &str) {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(key);
        self.0.push('=');
    }
}

/// A text in a filter, quoted; `None` when no quotes fit around it.
pub fn quoted(text: &str) -> Option<String> {
    if text.contains('\\') || text.chars().any(char::is_control) {
        None
    } else if !text.contains('\'') {
        Some(format!("'{text}'"))
    } else if !text.contains('"') {
        Some(format!("\"{text}\""))
    } else {
        None
    }
}

/// Values in portions that fit into a URL.
pub fn chunks<S: AsRef<str>>(values: &[S]) -> Vec<&[S]> {
    let mut portions = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (position, value) in values.iter().enumerate() {
        // Encoding makes three bytes of one at worst.
        let size = utf8_percent_encode(value.as_ref(), UNRESERVED).map(str::len).sum::<usize>() + 1;
        if position > start && (position - start >= CHUNK || bytes + size > CHUNK_BYTES) {
            portions.push(&values[start..position]);
            (start, bytes) = (position, 0);
        }
        bytes += size;
    }
    if start < values.len() {
        portions.push(&values[start..]);
    }
    portions
}

/// The array's root of what an operator typed: with scheme, without `/api` and trailing slashes.
pub fn base_url(text: &str) -> String {
    let text = text.trim().trim_end_matches('/');
    let text = text.strip_suffix("/api").unwrap_or(text).trim_end_matches('/');
    if text.contains("://") { text.to_owned() } else { format!("https://{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_and_commas_are_not() {
        let query = Query::new().names("names", &["a b", "pod::v+1", "x,y"]).live();
        assert_eq!(query.as_str(), "?names=a%20b,pod%3A%3Av%2B1,x%2Cy&destroyed=false");
        assert_eq!(Query::new().as_str(), "");
    }

    #[test]
    fn filters_quote_with_what_the_text_does_not_hold() {
        assert_eq!(quoted("a").as_deref(), Some("'a'"));
        assert_eq!(quoted("it's").as_deref(), Some("\"it's\""));
        assert_eq!(quoted("a'b\"c"), None);
        assert_eq!(quoted("a\\"), None);
    }

    #[test]
    fn portions_hold_every_value_once_and_fit() {
        let names: Vec<String> = (0..173).map(|n| format!("volume-{n}-cinder")).collect();
        let portions = chunks(&names);
        assert_eq!(portions.concat(), names);
        assert!(portions.iter().all(|p| p.len() <= CHUNK));
        let long: Vec<String> = (0..9).map(|n| format!("{n}{}", "::".repeat(250))).collect();
        let portions = chunks(&long);
        assert_eq!(portions.concat(), long);
        assert!(portions.len() > 2, "{}", portions.len());
        assert_eq!(chunks::<String>(&[]).len(), 0);
        assert_eq!(chunks(&["x".repeat(9000)]).len(), 1);
    }

    #[test]
    fn the_root_is_found_in_what_was_typed() {
        for (text, root) in [
            ("https://fa-a", "https://fa-a"),
            ("https://fa-a:8443/", "https://fa-a:8443"),
            ("https://fa-a/api/", "https://fa-a"),
            (" fa-a.example ", "https://fa-a.example"),
            ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ] {
            assert_eq!(base_url(text), root);
        }
    }
}
