//! Law 1 by type: nothing is destroyed without proof.

use protector_types::Evidence;

/// The right to one destructive call. It cannot be made out of thin air: each constructor takes evidence from a
/// committed journal entry.
#[derive(Debug, Clone)]
pub struct DestroyPermit {
    why: Why,
    evidence: Evidence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    MadeByUs,
    Fence,
    CopyProved,
}

impl DestroyPermit {
    /// The thing was made by this operation, or by the one that it cleans up, resumes or supersedes.
    pub fn made_by(evidence: Evidence) -> Self {
        Self { why: Why::MadeByUs, evidence }
    }

    /// A journalled, reversible fence: the connections to restore are in the entry.
    pub fn fence(evidence: Evidence) -> Self {
        Self { why: Why::Fence, evidence }
    }

    /// The journal holds proof that the other copy is complete and newer.
    pub fn copy_proved(evidence: Evidence) -> Self {
        Self { why: Why::CopyProved, evidence }
    }

    /// For the log line that goes with the call.
    pub fn reason(&self) -> String {
        let why = match self.why {
            Why::MadeByUs => "made by",
            Why::Fence => "fenced by",
            Why::CopyProved => "copy proved by",
        };
        format!("{why} {}", self.evidence)
    }
}
