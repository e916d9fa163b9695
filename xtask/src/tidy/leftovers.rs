//! Notes to oneself do not go into the tree; work that is left goes into the issue tracker.

use crate::{
    report::Report,
    tidy::{RustFile, TextFile},
};

const MACROS: &[&str] = &["todo!", "unimplemented!", "dbg!"];
const MARKS: &[&str] = &["FIXME", "XXX"];

/// Checks Rust, and the comments of Python and shell.
pub fn check(texts: &[TextFile], rust: &[RustFile], report: &mut Report) {
    for file in rust {
        for name in MACROS {
            for at in file.source.words(name.trim_end_matches('!')) {
                if file.source.code[at..].starts_with(name) {
                    report.error(
                        file.place(at),
                        format!("{name} left behind; finish it, or open an issue"),
                    );
                }
            }
        }
        for mark in MARKS {
            for (at, _) in file.source.comments.match_indices(mark) {
                report.error(file.place(at), left(mark));
            }
        }
    }
    for file in texts.iter().filter(|file| file.path.ends_with(".py") || file.path.ends_with(".sh"))
    {
        for (number, line) in file.text.lines().enumerate() {
            let comment = line.split_once('#').map_or("", |(_, comment)| comment);
            for mark in MARKS.iter().filter(|mark| comment.contains(*mark)) {
                report.error(format!("{}:{}", file.path, number + 1), left(mark));
            }
        }
    }
}

fn left(mark: &str) -> String {
    format!("{mark} left behind; mend it, or open an issue")
}
