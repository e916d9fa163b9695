//! Licence expressions.

/// True if one can comply with the expression by accepted licences alone. Also reads the old `A/B` for
/// `A OR B`.
///
/// # Errors
/// What cannot be read.
pub fn is_accepted(expression: &str, accepted: &[&str]) -> Result<bool, String> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, accepted };
    let answer = reader.any()?;
    match reader.words {
        [] => Ok(answer),
        [rest, ..] => Err(format!("unexpected {rest:?} in licence {expression:?}")),
    }
}

struct Reader<'a> {
    words: &'a [&'a str],
    accepted: &'a [&'a str],
}

impl Reader<'_> {
    fn any(&mut self) -> Result<bool, String> {
        let mut answer = self.all()?;
        while self.take("OR") {
            // Not `||`: the right side must be read whatever the left one says.
            answer |= self.all()?;
        }
        Ok(answer)
    }

    fn all(&mut self) -> Result<bool, String> {
        let mut answer = self.one()?;
        while self.take("AND") {
            answer &= self.one()?;
        }
        Ok(answer)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.take("(") {
            let answer = self.any()?;
            return if self.take(")") { Ok(answer) } else { Err("a ( is never closed".into()) };
        }
        let name = match self.words {
            [] | ["AND" | "OR" | "WITH" | ")", ..] => return Err("a licence is missing".into()),
            [name, "WITH", exception, ..] => {
                let both = format!("{name} WITH {exception}");
                self.words = &self.words[3..];
                both
            }
            [name, ..] => {
                let name = (*name).to_owned();
                self.words = &self.words[1..];
                name
            }
        };
        Ok(self.accepted.contains(&name.as_str()))
    }

    fn take(&mut self, word: &str) -> bool {
        let there = self.words.first() == Some(&word);
        if there {
            self.words = &self.words[1..];
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_decided() {
        let accepted = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"];
        for (expression, wanted) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("GPL-3.0 OR MIT", true),
            ("MIT/GPL-3.0", true),
            ("MIT AND GPL-3.0", false),
            ("(MIT OR GPL-3.0) AND Apache-2.0", true),
            ("MIT AND (GPL-3.0 OR LGPL-2.1)", false),
            ("MIT OR GPL-3.0 AND LGPL-2.1", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("GPL-3.0 WITH LLVM-exception", false),
        ] {
            assert_eq!(is_accepted(expression, &accepted), Ok(wanted), "{expression}");
        }
        for broken in ["", "MIT OR", "(MIT", "MIT)", "MIT MIT"] {
            assert!(is_accepted(broken, &accepted).is_err(), "{broken}");
        }
    }
}
