//! Whose data a read may see.

use protector_types::ProjectId;

/// Every read of tenant data takes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Only what belongs to this project of the local site. Everything else is "not found".
    Project(ProjectId),
    /// Everything: engines, reconcilers, administrators, the peer.
    System,
}

impl Scope {
    /// The project, if the scope is bound to one.
    pub fn project(&self) -> Option<&ProjectId> {
        match self {
            Self::Project(project) => Some(project),
            Self::System => None,
        }
    }

    /// True if a row of this project may be seen.
    pub(crate) fn admits(&self, project: &str) -> bool {
        self.project().is_none_or(|own| own.as_str() == project)
    }
}
