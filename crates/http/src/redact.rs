//! What must not be shown, removed from what is.

/// Words that mark a field whose value is secret, compared without case.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "secret",
    "token",
    "user_data",
    "api_key",
    "apikey",
    "private_key",
    "adminpass",
];

/// The longest text of a service that we hand on.
const LONGEST: usize = 500;

/// A service's own words, fit for an error message or a log line: one line, at most 500 characters, and without
/// the values of secret fields, which validation errors like to repeat (`"password": "x"`, `user_data. Value: x`).
pub fn scrub(text: &str) -> String {
    let mut shown: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // ASCII only, so that positions stay valid in the original.
    let lower = shown.to_ascii_lowercase();
    let mut cuts: Vec<(usize, usize)> = Vec::new();
    for word in SECRET_WORDS {
        for (at, _) in lower.match_indices(word) {
            if let Some(range) = value_after(&shown, &lower, at + word.len()) {
                cuts.push(range);
            }
        }
    }
    cuts.sort_unstable();
    cuts.reverse();
    let mut earliest = usize::MAX;
    for (from, to) in cuts {
        let to = to.min(earliest);
        if from < to {
            shown.replace_range(from..to, "***");
            earliest = from;
        }
    }
    if shown.chars().count() > LONGEST {
        shown = shown.chars().take(LONGEST).chain("...".chars()).collect();
    }
    shown
}

/// Where the value of a field is whose name ends at `end`: after `:` or `=`, or after "value:" soon behind it.
fn value_after(text: &str, lower: &str, end: usize) -> Option<(usize, usize)> {
    let rest = &text[end..];
    let trimmed = rest.trim_start_matches(['"', '\'', ' ']);
    let start = end + (rest.len() - trimmed.len());
    if trimmed.starts_with([':', '=']) {
        let from = start + 1 + (trimmed[1..].len() - trimmed[1..].trim_start().len());
        return Some((from, from + value_len(&text[from..])));
    }
    let window = lower[end..].char_indices().nth(40).map_or(lower.len(), |(at, _)| end + at);
    let at = lower[end..window].find("value:")?;
    let from = end + at + "value:".len();
    // Nobody says where such a value ends.
    (from < text.len()).then_some((from, text.len()))
}

fn value_len(text: &str) -> usize {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return text.find([' ', ',', '}', ';']).unwrap_or(text.len());
    };
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secret_fields_are_removed() {
        for (text, secret) in [
            (r#"bad {"password": "hun\"ter2", "a": 1}"#, "hun"),
            (
                "Invalid input for field/attribute user_data. Value: IyEvYmluL3No. 'x' is too long",
                "IyEvY",
            ),
            ("X-Auth-Token=gAAAA rejected", "gAAAA"),
            ("api-token: 1234-5678", "1234"),
            ("{'adminPass': 'p1', 'password': 'p2'}", "p1"),
            ("{'adminPass': 'p1', 'password': 'p2'}", "p2"),
        ] {
            let shown = scrub(text);
            assert!(!shown.contains(secret), "{shown}");
            assert!(shown.contains("***"), "{shown}");
        }
    }

    #[test]
    fn other_words_stay() {
        let text = "Quota exceeded for instances: Requested 1, but already used 10 of 10 instances";
        assert_eq!(scrub(text), text);
        assert_eq!(scrub("The token has expired"), "The token has expired");
    }

    #[test]
    fn long_texts_are_cut_and_line_breaks_are_gone() {
        let shown = scrub(&"é\n".repeat(2000));
        assert_eq!(shown.chars().count(), LONGEST + 3);
        assert!(!shown.contains('\n'));
    }
}
