//! A policy that follows its file.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use protector_types::Clock;

use crate::{error::PolicyError, policy::Policy};

/// How often, at most, the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The policy of a running process: the defaults and `policy.yaml`, read again when its content changes.
/// A file that cannot be used changes nothing; [`PolicyFile::error`] says what is wrong with it.
#[derive(Debug)]
pub struct PolicyFile {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    policy: Arc<Policy>,
    /// The content in force, or the last one refused; `None` while there is no file.
    content: Option<String>,
    error: Option<PolicyError>,
    looked_at: Duration,
}

impl PolicyFile {
    /// Reads the file. No file is no override, as with every OpenStack service; it may appear later.
    ///
    /// # Errors
    /// [`PolicyError`]: at start a broken file is not passed over, because nothing older could be kept.
    pub fn open(path: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Result<Self, PolicyError> {
        let path = path.into();
        let content = read(&path)?;
        let policy = Arc::new(Policy::with_overrides(content.as_deref().unwrap_or_default())?);
        warn_of(&path, &policy);
        let looked_at = clock.monotonic();
        let state = State { policy, content, error: None, looked_at };
        Ok(Self { path, clock, state: Mutex::new(state) })
    }

    /// The rules in force now. Looks at the file first if the last look is a second old.
    pub fn current(&self) -> Arc<Policy> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.monotonic();
        if now.saturating_sub(state.looked_at) >= LOOK_EVERY {
            state.looked_at = now;
            self.look(&mut state);
        }
        state.policy.clone()
    }

    /// Why the file, as it stands now, is not in force; `None` if it is. For the health report.
    pub fn error(&self) -> Option<PolicyError> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).error.clone()
    }

    /// The file that is followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Compares the content rather than its times: the file is small, and two edits within one tick of
    /// the file system's clock must not be missed.
    fn look(&self, state: &mut State) {
        let fresh = match read(&self.path) {
            Ok(None) if state.content.is_some() => {
                Err(PolicyError::Vanished { path: self.path.display().to_string() })
            }
            other => other,
        };
        // After a look that saw no text at all, the same text is judged again.
        let unread = matches!(
            state.error,
            Some(PolicyError::Unreadable { .. } | PolicyError::Vanished { .. })
        );
        let outcome = match fresh {
            Ok(content) if content == state.content && !unread => return,
            Ok(content) => {
                let policy = Policy::with_overrides(content.as_deref().unwrap_or_default());
                state.content = content;
                policy
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(policy) => {
                tracing::info!(path = %self.path.display(), "policy file read again");
                warn_of(&self.path, &policy);
                state.policy = Arc::new(policy);
                state.error = None;
            }
            Err(error) => {
                if state.error.as_ref() != Some(&error) {
                    tracing::error!(path = %self.path.display(), %error, "policy file not usable, old rules stay");
                }
                state.error = Some(error);
            }
        }
    }
}

/// The file's text, `None` if it is not there.
fn read(path: &Path) -> Result<Option<String>, PolicyError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(PolicyError::Unreadable {
            path: path.display().to_string(),
            reason: error.to_string(),
        }),
    }
}

fn warn_of(path: &Path, policy: &Policy) {
    for warning in policy.warnings() {
        tracing::warn!(path = %path.display(), "{warning}");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chrono::DateTime;
    use protector_types::{ManualClock, ProjectId, UserId};

    use super::*;
    use crate::{Credentials, Rule, Target};

    struct Scene {
        folder: tempfile::TempDir,
        clock: ManualClock,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            Self { folder, clock: ManualClock::new(DateTime::UNIX_EPOCH) }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("policy.yaml")
        }

        fn write(&self, text: &str) {
            fs::write(self.path(), text).unwrap();
        }

        fn open(&self) -> Result<PolicyFile, PolicyError> {
            PolicyFile::open(self.path(), Arc::new(self.clock.clone()))
        }

        fn second(&self) {
            self.clock.advance(Duration::from_secs(1));
        }
    }

    fn member_sees_sites(file: &PolicyFile) -> bool {
        let caller = Credentials::new(&UserId::from("u"), &ProjectId::from("p"), ["member"]);
        file.current().allows(Rule::SitesIndex, &caller, &Target::default())
    }

    const OPEN: &str = "\"protector:sites:index\": \"@\"";
    const SHUT: &str = "\"protector:sites:index\": \"!\"";

    #[test]
    fn a_change_is_taken_after_a_second_and_not_before() {
        let scene = Scene::new();
        let file = scene.open().unwrap();
        assert!(!member_sees_sites(&file));
        scene.write(OPEN);
        scene.clock.advance(Duration::from_millis(999));
        assert!(!member_sees_sites(&file));
        scene.clock.advance(Duration::from_millis(1));
        assert!(member_sees_sites(&file));
        // Same length, and most likely the same modification time.
        scene.write(SHUT);
        scene.second();
        assert!(!member_sees_sites(&file));
    }

    #[test]
    fn a_broken_new_file_keeps_the_old_rules_and_says_so() {
        let scene = Scene::new();
        scene.write(OPEN);
        let file = scene.open().unwrap();
        for broken in ["\"protector:sites:index\": \"rule:nowhere\"", "a: [", "a: \"role\""] {
            scene.write(broken);
            scene.second();
            assert!(member_sees_sites(&file), "{broken}");
            assert!(file.error().is_some(), "{broken}");
            scene.second();
            assert!(member_sees_sites(&file) && file.error().is_some(), "{broken}, second look");
        }
        scene.write(SHUT);
        scene.second();
        assert!(!member_sees_sites(&file));
        assert_eq!(file.error(), None);
    }

    #[test]
    fn a_file_that_vanishes_keeps_its_rules() {
        let scene = Scene::new();
        scene.write(OPEN);
        let file = scene.open().unwrap();
        fs::remove_file(scene.path()).unwrap();
        scene.second();
        assert!(member_sees_sites(&file));
        assert!(matches!(file.error(), Some(PolicyError::Vanished { .. })));
        for there in [true, false, true] {
            match there {
                true => scene.write("a: \"role\""),
                false => fs::remove_file(scene.path()).unwrap(),
            }
            scene.second();
            file.current();
        }
        assert!(matches!(file.error(), Some(PolicyError::Syntax { .. })), "still broken");
        scene.write(OPEN);
        scene.second();
        assert!(member_sees_sites(&file));
        assert_eq!(file.error(), None);
    }

    #[test]
    fn a_broken_file_at_start_is_an_error_that_names_the_rule() {
        let scene = Scene::new();
        scene.write("\"protector:sites:index\": \"role:a role:b\"");
        let error = scene.open().unwrap_err().to_string();
        assert!(error.contains("protector:sites:index") && error.contains("column 8"), "{error}");
        fs::remove_file(scene.path()).unwrap();
        fs::create_dir(scene.path()).unwrap();
        assert!(matches!(scene.open().unwrap_err(), PolicyError::Unreadable { .. }));
    }
}
