//! Delegations: a user's standing consent that Protector acts in the user's name, a Keystone trust (1-product.md
//! section 4). Which trust it is, is a secret of the site and not part of this record.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{ProjectId, SiteId};

/// Where a delegation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DelegationState {
    /// There is a trust, and nobody has seen it fail.
    InForce,
    /// There was a trust; Keystone no longer honours it.
    Ended,
    /// A trust could not be made.
    Refused,
}

impl DelegationState {
    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InForce => "in_force",
            Self::Ended => "ended",
            Self::Refused => "refused",
        }
    }

    /// From what is stored; `None` for any other word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::InForce, Self::Ended, Self::Refused].into_iter().find(|s| s.as_str() == word)
    }
}

/// What is known of one user's delegation in one project at one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegation {
    /// Whose Keystone.
    pub site_id: SiteId,
    /// In which project.
    pub project_id: ProjectId,
    /// Whose name we act in.
    pub user_id: String,
    /// The user's name when the trust was made.
    pub user_name: String,
    /// Where it stands.
    pub state: DelegationState,
    /// Why it is not in force.
    pub reason: Option<String>,
    /// When the user last called with the right to change something.
    pub used_at: DateTime<Utc>,
    /// When the state was last seen.
    pub observed_at: DateTime<Utc>,
}

/// Chooses in whose name a server is made: the server's owner if he is among `here`, else a user of the owner's name
/// (one person has another id in another Keystone), else whoever called last. `here` and `there`: delegations that are
/// in force at the site where the server is made, and at the site where the owner's id is known. Pure.
pub fn choose_delegate<'a>(
    owner_id: &str,
    here: &'a [Delegation],
    there: &[Delegation],
) -> Option<&'a Delegation> {
    let in_force = || here.iter().filter(|d| d.state == DelegationState::InForce);
    if let Some(same) = in_force().find(|d| d.user_id == owner_id) {
        return Some(same);
    }
    let owner_name = there.iter().find(|d| d.user_id == owner_id).map(|d| d.user_name.as_str());
    let newest = |a: &&Delegation, b: &&Delegation| {
        a.used_at.cmp(&b.used_at).then_with(|| b.user_id.cmp(&a.user_id))
    };
    in_force()
        .filter(|d| owner_name == Some(d.user_name.as_str()))
        .max_by(newest)
        .or_else(|| in_force().max_by(newest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(user: &str, name: &str, used: i64) -> Delegation {
        Delegation {
            site_id: SiteId::generate(),
            project_id: "p".into(),
            user_id: user.into(),
            user_name: name.into(),
            state: DelegationState::InForce,
            reason: None,
            used_at: DateTime::from_timestamp(used, 0).unwrap_or_default(),
            observed_at: DateTime::UNIX_EPOCH,
        }
    }

    fn chosen(owner: &str, here: &[Delegation], there: &[Delegation]) -> Option<String> {
        choose_delegate(owner, here, there).map(|d| d.user_id.clone())
    }

    #[test]
    fn the_owner_comes_before_his_namesake_and_he_before_the_last_caller() {
        let here = [of("b-ann", "ann", 1), of("b-bob", "bob", 9), of("a-ann", "other", 0)];
        let there = [of("a-ann", "ann", 5)];
        assert_eq!(chosen("a-ann", &here, &there).as_deref(), Some("a-ann"));
        assert_eq!(chosen("a-ann", &here[..2], &there).as_deref(), Some("b-ann"));
        assert_eq!(chosen("a-eve", &here, &there).as_deref(), Some("b-bob"));
        assert_eq!(chosen("a-ann", &[], &there), None);
    }

    #[test]
    fn one_that_has_ended_is_nobodys() {
        let ended = Delegation { state: DelegationState::Ended, ..of("u", "ann", 1) };
        assert_eq!(chosen("u", &[ended], &[]), None);
    }

    #[test]
    fn states_are_read_as_they_are_written() {
        for state in [DelegationState::InForce, DelegationState::Ended, DelegationState::Refused] {
            assert_eq!(DelegationState::from_word(state.as_str()), Some(state));
        }
        assert_eq!(DelegationState::from_word("x"), None);
    }
}
