//! How one simulated array is set up: its name, its time, its versions, its timings and its moods.

use std::sync::Arc;

use protector_types::Clock;

/// One account's API token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// The account that the token logs in.
    pub username: String,
    /// The token itself, a UUID on a real array.
    pub token: String,
    /// A read-only account: everything but GET is answered 403.
    pub readonly: bool,
}

impl ApiToken {
    /// A token of an account with the array_admin role.
    pub fn admin(username: &str, token: &str) -> Self {
        Self { username: username.into(), token: token.into(), readonly: false }
    }

    /// A token of an account that may only read.
    pub fn readonly(username: &str, token: &str) -> Self {
        Self { username: username.into(), token: token.into(), readonly: true }
    }
}

/// How long a replication transfer takes: a base drawn by hash(seed, snapshot name) from a range, plus
/// the bytes that were not shipped before divided by the rate.
#[derive(Debug, Clone)]
pub struct TransferTiming {
    /// Milliseconds (shortest, longest) that a transfer takes however little it ships.
    pub base_ms: (u64, u64),
    /// Bytes per second of the replication link; 0 means infinitely fast.
    pub bytes_per_second: u64,
    /// Bytes that one written stamp weighs.
    pub bytes_per_stamp: u64,
}

impl Default for TransferTiming {
    /// Near-instant, for tests.
    fn default() -> Self {
        Self { base_ms: (20, 60), bytes_per_second: 1 << 30, bytes_per_stamp: 1 << 20 }
    }
}

/// Points on which no source was found that says what a real array does; each can be switched.
#[derive(Debug, Clone)]
pub struct Strictness {
    /// Refuse `overwrite` together with `with_default_protection` or `add_to_protection_group_*`.
    /// Cinder 29.0.0 sends both in a fail-over; documentation says that it is refused.
    pub refuse_overwrite_with_protection: bool,
    /// Refuse to destroy a volume that has host connections.
    pub refuse_destroying_connected: bool,
    /// Refuse to destroy one volume snapshot of a protection group snapshot alone.
    pub refuse_destroying_group_member_snapshot: bool,
    /// Refuse query parameters and body fields that the version of the path does not know.
    pub refuse_unknown_parameters: bool,
    /// Shortest replication frequency in milliseconds.
    pub min_replication_frequency_ms: u64,
    /// How long it takes until a new group is visible on its target, and `allowed` on the source.
    pub target_propagation_ms: u64,
}

impl Default for Strictness {
    fn default() -> Self {
        Self {
            refuse_overwrite_with_protection: true,
            refuse_destroying_connected: true,
            refuse_destroying_group_member_snapshot: true,
            refuse_unknown_parameters: true,
            min_replication_frequency_ms: 300_000,
            target_propagation_ms: 0,
        }
    }
}

/// A limit on the rate of calls, as a gateway in front of the array keeps it: before authentication.
#[derive(Debug, Clone, Copy)]
pub struct RateLimit {
    /// Calls allowed per window.
    pub calls: u64,
    /// Length of the window in milliseconds.
    pub window_ms: u64,
}

/// Everything that [`super::Array::new`] needs.
#[derive(Debug, Clone)]
pub struct ArrayConfig {
    /// The array's name as its peers know it: a part of every replicated name.
    pub name: String,
    /// The world's time.
    pub clock: Arc<dyn Clock>,
    /// Ids, serials and timings are drawn from it.
    pub seed: u64,
    /// Who may log in.
    pub api_tokens: Vec<ApiToken>,
    /// Versions that `/api/api_version` lists, ascending.
    pub versions: Vec<String>,
    /// The Purity release that `/arrays` reports.
    pub purity: String,
    /// Bytes.
    pub capacity: u64,
    /// How long replication takes.
    pub transfer: TransferTiming,
    /// A session dies when it was not used for so long; milliseconds, 0 = never.
    pub session_idle_timeout_ms: u64,
    /// The switches for what nobody could confirm.
    pub strict: Strictness,
    /// Milliseconds (shortest, longest) that one call takes before its effect.
    pub call_ms: (u64, u64),
    /// None = no limit.
    pub rate_limit: Option<RateLimit>,
    /// Where replication and management are said to live, as `/array-connections` shows it.
    pub management_address: String,
}

/// The REST 2.x versions that were published: 2.12 and 2.18 never were.
pub fn published_versions() -> impl Iterator<Item = u32> {
    (0..=56).filter(|minor| !matches!(minor, 12 | 18))
}

/// 1.0 to 1.19, then 2.4 to 2.26 and the newest, as far as they were published.
pub fn default_versions() -> Vec<String> {
    let first = (0..=19).map(|minor| format!("1.{minor}"));
    let second = published_versions()
        .filter(|minor| (4..=26).contains(minor) || *minor == 56)
        .map(|minor| format!("2.{minor}"));
    first.chain(second).collect()
}

impl ArrayConfig {
    /// An array with one administrator whose token is a function of the name and the seed
    /// (see [`ArrayConfig::admin_token`]).
    pub fn new(name: &str, clock: Arc<dyn Clock>, seed: u64) -> Self {
        let mut config = Self {
            name: name.into(),
            clock,
            seed,
            api_tokens: Vec::new(),
            versions: default_versions(),
            purity: "6.6.11".into(),
            capacity: 100 << 40,
            transfer: TransferTiming::default(),
            session_idle_timeout_ms: 1_800_000,
            strict: Strictness::default(),
            call_ms: (0, 0),
            rate_limit: None,
            management_address: format!("{name}.mgmt.example"),
        };
        let token = super::ids::uuid_for(seed, &format!("{name}/api-token"));
        config.api_tokens.push(ApiToken::admin("pureuser", &token));
        config
    }

    /// The first token that may write; empty when there is none.
    pub fn admin_token(&self) -> &str {
        self.api_tokens.iter().find(|t| !t.readonly).map_or("", |t| t.token.as_str())
    }
}
