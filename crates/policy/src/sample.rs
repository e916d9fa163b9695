//! The commented `policy.yaml` that the package ships.

use std::fmt::Write;

use crate::registry::registered;

const HEAD: &str = "\
# Policy of Protector, in the language of oslo.policy.
#
# Every rule stands here with its default, commented out. Uncomment what you change; a change of the file is
# taken within a second, and a file that does not parse changes nothing.
# Permissions are asked with the project of the path as %(project_id)s.
";

/// The text of a `policy.yaml` in which every rule stands, commented out, with its default, its
/// description and the API calls that ask it.
pub fn sample() -> String {
    let mut text = HEAD.to_owned();
    for rule in registered() {
        text.push('\n');
        for line in wrapped(rule.description, 98) {
            line_of(&mut text, &format!("# {line}"));
        }
        for call in rule.operations {
            line_of(&mut text, &format!("# {} {}", call.method, call.path));
        }
        line_of(&mut text, &format!("#\"{}\": \"{}\"", rule.name, rule.check));
    }
    text
}

fn line_of(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].len() + word.len() >= width {
            lines.push(word.to_owned());
        } else {
            let gap = if lines[last].is_empty() { "" } else { " " };
            lines[last].push_str(gap);
            lines[last].push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Policy;

    #[test]
    fn the_sample_changes_nothing_and_uncommented_says_the_defaults() {
        let defaults = Policy::defaults().unwrap();
        assert_eq!(Policy::with_overrides(&sample()).unwrap(), defaults);
        let live: Vec<_> = sample()
            .lines()
            .filter_map(|line| line.strip_prefix("#\"").map(|rest| format!("\"{rest}")))
            .collect();
        assert_eq!(live.len(), registered().len());
        assert_eq!(Policy::with_overrides(&live.join("\n")).unwrap(), defaults);
        assert!(sample().lines().all(|line| line.len() <= 110), "a line is too long");
    }
}
