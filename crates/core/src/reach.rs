//! Reachability that is honest: each kind of trouble with the peer has its own words.

use chrono::TimeDelta;
use protector_ports::{PeerInfo, PortError};
use protector_types::{SiteId, SiteStatus, SyncState};

use crate::{Core, peer::PEER_PATIENCE};

/// Clocks may differ by so much before a person is told: tokens and the order of records suffer from more.
const SKEW: TimeDelta = TimeDelta::seconds(60);

/// What a failed call to the peer means for `sync-status`, and how a person is told.
pub(crate) fn in_words(error: &PortError) -> (SyncState, String) {
    let said = error.to_string();
    let lower = said.to_lowercase();
    let is = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    match error {
        _ if is(&["certificate", "tls", "handshake"]) => (
            SyncState::Failed,
            format!(
                "TLS trouble: the other site's certificate is not accepted; set ca_cert of the site: {said}"
            ),
        ),
        PortError::Denied { .. } => (
            SyncState::Failed,
            format!(
                "wrong credentials: the other site does not accept its registered service user: {said}"
            ),
        ),
        _ if is(&["version not supported", "openstack-api-version", "406"]) => (
            SyncState::Failed,
            format!("wrong version: the other site's Protector does not speak this API: {said}"),
        ),
        PortError::Invalid { .. } => {
            (SyncState::Failed, format!("the other site refuses the call: {said}"))
        }
        PortError::Conflict { .. } | PortError::Absent { .. } => (SyncState::Failed, said),
        _ if is(&["timed out", "time-out", "timeout", "in time", "deadline"]) => {
            (SyncState::Unreachable, format!("time-out: the other site does not answer: {said}"))
        }
        PortError::Transient { .. } | PortError::Unknown { .. } => {
            (SyncState::Unreachable, format!("the other site cannot be reached: {said}"))
        }
    }
}

/// What is wrong with a peer that does answer.
pub(crate) fn doubts(
    info: &PeerInfo,
    local: SiteId,
    now: chrono::DateTime<chrono::Utc>,
) -> Vec<String> {
    let mut doubts = Vec::new();
    let major = |version: &str| version.split('.').next().map(str::to_owned);
    if major(&info.version) != major(crate::API_VERSION) {
        doubts.push(format!(
            "wrong version: the other site speaks {}, this one {}",
            info.version,
            crate::API_VERSION
        ));
    }
    let skew = (info.now - now).abs();
    if skew > SKEW {
        doubts.push(format!(
            "clock skew: the other site's clock differs by {} s",
            skew.num_seconds()
        ));
    }
    let back = info.sees.iter().find(|seen| seen.site_id == local);
    match back {
        Some(seen) if matches!(seen.status, SiteStatus::Unreachable | SiteStatus::Error) => {
            doubts.push(format!(
                "half-open: this site reaches the other one, which does not reach this one ({})",
                seen.reason.as_deref().unwrap_or("it gives no reason")
            ));
        }
        _ => {}
    }
    doubts
}

impl Core {
    /// The words for a difference, with what may keep the peer from ending it.
    pub(crate) async fn with_way_back(
        &self,
        other: SiteId,
        local: SiteId,
        words: Option<String>,
    ) -> Option<String> {
        let look = async { self.fabric.peer(other).await?.info().await };
        let Ok(Ok(info)) = tokio::time::timeout(PEER_PATIENCE, look).await else { return words };
        let all = words.into_iter().chain(doubts(&info, local, self.clock.now()));
        Some(all.collect::<Vec<_>>().join("; ")).filter(|words| !words.is_empty())
    }

    /// How the peer's Protector stands: its status as a site, in words.
    pub(crate) async fn peer_verdict(
        &self,
        site: SiteId,
        local: SiteId,
    ) -> (SiteStatus, Option<String>) {
        let look = async { self.fabric.peer(site).await?.info().await };
        match tokio::time::timeout(PEER_PATIENCE, look).await {
            Err(_) => {
                (SiteStatus::Unreachable, Some("time-out: its Protector does not answer".into()))
            }
            Ok(Err(error)) => match in_words(&error) {
                (SyncState::Unreachable, words) => (SiteStatus::Unreachable, Some(words)),
                (_, words) => (SiteStatus::Error, Some(words)),
            },
            Ok(Ok(info)) if info.site_id != site => (
                SiteStatus::Error,
                Some(format!("its protector_url leads to the Protector of site {}", info.site_id)),
            ),
            Ok(Ok(info)) => {
                let doubts = doubts(&info, local, self.clock.now());
                (SiteStatus::Active, Some(doubts.join("; ")).filter(|words| !words.is_empty()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use protector_ports::SiteSeen;

    use super::*;

    fn unknown(message: &str) -> PortError {
        PortError::Unknown { service: "protector at site-b".into(), message: message.into() }
    }

    #[test]
    fn each_kind_of_trouble_has_its_own_words() {
        let denied = PortError::Denied { service: "keystone".into(), message: "401".into() };
        let cases = [
            (unknown("invalid peer certificate: UnknownIssuer"), SyncState::Failed, "TLS trouble"),
            (denied, SyncState::Failed, "wrong credentials"),
            (unknown("the request timed out"), SyncState::Unreachable, "time-out"),
            (unknown("connection refused"), SyncState::Unreachable, "cannot be reached"),
        ];
        for (error, state, words) in cases {
            let (found, said) = in_words(&error);
            assert_eq!(found, state, "{said}");
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_peer_that_answers_may_still_be_doubted() {
        let local = SiteId(uuid::Uuid::from_u128(1));
        let now = DateTime::UNIX_EPOCH;
        let sees = |status| SiteSeen { site_id: local, status, reason: None, observed_at: None };
        let info = |version: &str, skew, status| PeerInfo {
            site_id: SiteId(uuid::Uuid::from_u128(2)),
            site_name: "site-b".into(),
            version: version.into(),
            now: now + TimeDelta::seconds(skew),
            sees: vec![sees(status)],
        };
        assert!(doubts(&info("1.3", 1, SiteStatus::Active), local, now).is_empty());
        assert!(
            doubts(&info("2.0", 0, SiteStatus::Active), local, now)[0].contains("wrong version")
        );
        assert!(doubts(&info("1.3", 90, SiteStatus::Active), local, now)[0].contains("clock skew"));
        assert!(
            doubts(&info("1.3", 0, SiteStatus::Unreachable), local, now)[0].contains("half-open")
        );
    }
}
