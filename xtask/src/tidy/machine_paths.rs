//! Nothing in the tree knows the machine that it was written on.

use crate::{report::Report, tidy::TextFile};

/// Folders of build machines. Cut in two, so that this file does not name them.
const FOLDERS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/")];

/// Checks every text file.
pub fn check(texts: &[TextFile], report: &mut Report) {
    for file in texts {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(folder) = FOLDERS.iter().find(|folder| names(line, folder)) {
                let what = format!(
                    "names a path of one machine ({folder}...); make it relative or a setting"
                );
                report.error(format!("{}:{}", file.path, number + 1), what);
            }
        }
    }
}

/// True if an absolute path begins with the folder; `net/work/` is none.
fn names(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || ".-_/}~*".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_paths_are_found_and_relative_ones_are_not() {
        let folder = FOLDERS[0];
        assert!(names(&format!("cd {folder}main"), folder));
        assert!(names(&format!("\"{folder}x\""), folder));
        assert!(!names(&format!("net{folder}x"), folder));
        assert!(!names(&format!("..{folder}x ${{HOME}}{folder}"), folder));
    }
}
