//! Tokens: validated by the local Keystone, remembered for at most a minute.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use moka::future::Cache;
use protector_policy::Credentials;
use protector_ports::TokenInfo;
use protector_types::{Clock, Code, ProjectId, Refusal, Secret, UserId};
use sha2::{Digest, Sha256};

use crate::{core_api::CoreApi, model::Caller};

/// A revoked token is refused after this time at the latest.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Tokens remembered at a time; one takes about 1 KiB.
const CAPACITY: u64 = 20_000;
/// Longest token that is looked at. Fernet tokens have some 250 bytes, JWS tokens under 2 KiB.
const LONGEST: usize = 8192;

/// Who asks.
#[derive(Debug)]
pub struct Identity {
    /// What Keystone said.
    pub token: TokenInfo,
    /// The same in the policy's words.
    pub credentials: Credentials,
    validated_at: Duration,
}

impl Identity {
    fn new(token: TokenInfo, validated_at: Duration) -> Self {
        let project = token.project_id.clone().unwrap_or_else(|| ProjectId::from(""));
        let credentials =
            Credentials::new(&UserId(token.user_id.clone()), &project, token.roles.iter().cloned())
                .with("user_domain_id", token.user_domain_id.clone())
                .with("project_domain_id", token.project_domain_id.clone());
        Self { token, credentials, validated_at }
    }

    fn is_good(&self, clock: &dyn Clock) -> bool {
        self.token.expires_at > clock.now()
            && clock.monotonic().saturating_sub(self.validated_at) < REMEMBERED
    }

    /// The caller of one request.
    pub fn caller(&self, request_id: String) -> Caller {
        Caller {
            request_id,
            user_id: self.token.user_id.clone(),
            user_name: self.token.user_name.clone(),
            project_id: self.token.project_id.clone(),
            roles: self.token.roles.clone(),
        }
    }

    /// End of the token's validity.
    pub fn expires_at(&self) -> DateTime<Utc> {
        self.token.expires_at
    }
}

/// Tokens that Keystone accepted, by SHA-256: the cache holds no token.
#[derive(Clone)]
pub struct TokenCache {
    entries: Cache<[u8; 32], Arc<Identity>>,
}

impl Default for TokenCache {
    fn default() -> Self {
        // The library's clock only bounds the memory; whether an entry is good is decided by ours.
        Self { entries: Cache::builder().max_capacity(CAPACITY).time_to_live(REMEMBERED).build() }
    }
}

impl TokenCache {
    /// Who this token belongs to. Of several requests with the same new token, one asks Keystone.
    ///
    /// # Errors
    /// `auth.unauthenticated`, or what the core says when Keystone does not answer.
    pub async fn identify(
        &self,
        token: &Secret,
        core: &dyn CoreApi,
        clock: &dyn Clock,
    ) -> Result<Arc<Identity>, Refusal> {
        if token.is_empty() || token.expose().len() > LONGEST {
            return Err(unauthenticated("X-Auth-Token holds no valid token"));
        }
        let key: [u8; 32] = Sha256::digest(token.expose()).into();
        if let Some(known) = self.entries.get(&key).await {
            if known.is_good(clock) {
                return Ok(known);
            }
            self.entries.invalidate(&key).await;
        }
        let validate = async {
            let before = clock.monotonic();
            let info = core.authenticate(token).await?;
            Ok::<_, Refusal>(Arc::new(Identity::new(info, before)))
        };
        let known = self.entries.try_get_with(key, validate).await.map_err(|e| (*e).clone())?;
        if known.is_good(clock) {
            return Ok(known);
        }
        self.entries.invalidate(&key).await;
        Err(unauthenticated("The token has expired; get a new one from Keystone"))
    }
}

/// 401 with a sentence.
pub fn unauthenticated(detail: &str) -> Refusal {
    Refusal::new(Code::Unauthenticated, detail)
}
