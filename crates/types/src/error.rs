//! Stable error codes and refusals. The text is for a person; the code is for a program and never changes
//! (2-api.md, "Conventions"). Each code has a page in `docs/errors/`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who has to act on an error, transport-free. `api` has the one table that makes HTTP of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request is malformed.
    BadRequest,
    /// No or a dead token.
    Unauthenticated,
    /// The policy says no.
    Forbidden,
    /// Not there, or not the caller's to see.
    NotFound,
    /// The resource's state does not allow it.
    Conflict,
    /// `If-Match` did not match.
    PreconditionFailed,
    /// Microversion out of range.
    NotAcceptable,
    /// The body is larger than allowed.
    TooLarge,
    /// A service that we need refused us or answered nonsense: an operator has to act.
    Upstream,
    /// A service that we need is overloaded or away: try again.
    Unavailable,
    /// Our own fault.
    Internal,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $kind:ident, $title:literal;)+) => {
        /// A stable, documented error code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $word)] $variant),+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];

            /// The dotted word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $word),+ }
            }

            /// Who has to act.
            pub const fn kind(self) -> Kind {
                match self { $(Code::$variant => Kind::$kind),+ }
            }

            /// A short title for people.
            pub const fn title(self) -> &'static str {
                match self { $(Code::$variant => $title),+ }
            }
        }
    };
}

codes! {
    /// The body is not JSON, or not of the documented form.
    RequestMalformed = "request.malformed", BadRequest, "Malformed request";
    /// A field that this version does not know.
    RequestUnknownField = "request.unknown_field", BadRequest, "Unknown field";
    /// A value is out of range or of the wrong type.
    RequestInvalidValue = "request.invalid_value", BadRequest, "Invalid value";
    /// Over 1 MiB.
    RequestTooLarge = "request.too_large", TooLarge, "Request too large";
    /// A query parameter that this list does not have.
    RequestUnknownParameter = "request.unknown_parameter", BadRequest, "Unknown query parameter";
    /// `OpenStack-API-Version` out of range.
    VersionNotSupported = "request.version_not_supported", NotAcceptable, "API version not supported";
    /// No token, or one that Keystone does not accept.
    Unauthenticated = "auth.unauthenticated", Unauthenticated, "Authentication required";
    /// The policy file refuses this verb for this caller.
    Forbidden = "auth.forbidden", Forbidden, "Forbidden by policy";
    /// No such resource for this tenant.
    NotFound = "resource.not_found", NotFound, "Not found";
    /// Another resource has this name or place.
    AlreadyExists = "resource.already_exists", Conflict, "Already exists";
    /// `If-Match` names an older version.
    VersionMismatch = "resource.version_mismatch", PreconditionFailed, "Version mismatch";
    /// Still in use by another resource.
    InUse = "resource.in_use", Conflict, "In use";
    /// The idempotency key was used with another body.
    IdempotencyMismatch = "request.idempotency_mismatch", Conflict, "Idempotency key reused";
    /// The group's status does not allow the action.
    GroupWrongState = "protection_group.wrong_state", Conflict, "Wrong state";
    /// The other site has to be asked for this.
    WrongSite = "protection_group.wrong_site", Conflict, "Wrong site";
    /// An operation holds the group.
    GroupBusy = "protection_group.busy", Conflict, "Another operation is running";
    /// The other site does not answer.
    PeerUnreachable = "protection_group.peer_unreachable", Conflict, "Remote site unreachable";
    /// Both sites hold different documents of the group.
    OutOfSync = "protection_group.out_of_sync", Conflict, "Metadata out of sync";
    /// The group is read-only at this site.
    Quarantined = "protection_group.quarantined", Conflict, "Quarantined";
    /// The group has no replication policy.
    PolicyMissing = "protection_group.policy_missing", Conflict, "No replication policy";
    /// The group has no members.
    NoMembers = "protection_group.no_members", Conflict, "No members";
    /// The plan cannot work; every reason is listed.
    PlanRefused = "operation.plan_refused", Conflict, "Operation refused";
    /// What is asked for is dangerous, and needs `force`.
    NeedsForce = "operation.needs_force", Conflict, "Needs force";
    /// The plan is not the one that was looked at.
    PlanChanged = "operation.plan_changed", Conflict, "Plan changed";
    /// A mapping names something that is not there, or not unique.
    MappingInvalid = "mapping.invalid", BadRequest, "Invalid mapping";
    /// A network or flavor of a member has no counterpart.
    MappingMissing = "mapping.missing", Conflict, "Unmapped resource";
    /// The project's quota on the target site does not suffice.
    QuotaTooSmall = "target.quota", Conflict, "Quota too small";
    /// A server cannot be protected.
    MemberNotEligible = "member.not_eligible", Conflict, "Server cannot be protected";
    /// A member's server or volumes are not as recorded or not in a state to start from.
    MemberNotReady = "member.not_ready", Conflict, "Member not ready";
    /// The replication between the arrays is not usable.
    ReplicationNotReady = "replication.not_ready", Conflict, "Replication not ready";
    /// An array refused us or does not answer.
    ArrayError = "array.error", Conflict, "FlashArray error";
    /// An OpenStack service of a site refused us.
    SiteError = "site.error", Conflict, "Site error";
    /// No tenant mapping for this project.
    TenantMappingMissing = "tenant_mapping.missing", Conflict, "Project is not mapped";
    /// A service that we need does not answer.
    Unavailable = "service.unavailable", Unavailable, "Temporarily unavailable";
    /// Keystone refused our own credentials or answered nonsense.
    Upstream = "service.upstream", Upstream, "Upstream failure";
    /// A bug of ours.
    Internal = "internal", Internal, "Internal error";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One reason among several, tied to what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The stable code.
    pub code: Code,
    /// The member, field or resource concerned, by the name a tenant knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
}

/// Why a request is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Refusal {
    /// The leading code: decides the HTTP status.
    pub code: Code,
    /// The sentence for `detail`.
    pub detail: String,
    /// All reasons, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        for (position, reason) in self.reasons.iter().enumerate() {
            let separator = if position == 0 { ": " } else { "; " };
            write!(f, "{separator}")?;
            if let Some(subject) = &reason.subject {
                write!(f, "{subject}: ")?;
            }
            f.write_str(&reason.message)?;
        }
        Ok(())
    }
}

impl Refusal {
    /// A refusal with one sentence.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), reasons: Vec::new() }
    }

    /// The founding document's sentence for a peer that does not answer.
    pub fn peer_unreachable() -> Self {
        Self::new(Code::PeerUnreachable, "Cannot modify protection group — remote site unreachable")
    }

    /// A plan refused for all these reasons.
    pub fn plan(reasons: Vec<Reason>) -> Self {
        let code = match reasons.as_slice() {
            [only] => only.code,
            // A malformed mapping is the caller's mistake even when other things are wrong too.
            many if many.iter().any(|r| r.code.kind() == Kind::BadRequest) => Code::MappingInvalid,
            _ => Code::PlanRefused,
        };
        Self { code, detail: "The operation cannot work".into(), reasons }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique() {
        let words: BTreeSet<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
    }

    #[test]
    fn a_refusal_shows_every_reason() {
        let refusal = Refusal::plan(vec![
            Reason {
                code: Code::QuotaTooSmall,
                subject: Some("web-1".into()),
                message: "no cores".into(),
            },
            Reason { code: Code::MappingMissing, subject: None, message: "no flavor".into() },
        ]);
        assert_eq!(refusal.code, Code::PlanRefused);
        assert_eq!(refusal.to_string(), "The operation cannot work: web-1: no cores; no flavor");
    }
}
