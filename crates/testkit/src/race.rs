//! Two users who start operations on one group at the two sites at the same instant. Four processes: two users, and a
//! `protector api` at each site.

use std::{process::Stdio, time::Duration};

use anyhow::Context as _;
use protector_types::Clock as _;
use protector_workflow::SystemClock;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::process::binary;

/// How far ahead an instant lies, so that both users know of it in time.
const AHEAD: Duration = Duration::from_millis(3);
/// How long an answer may take, in real time.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a user does, again and again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Race {
    /// Where to POST.
    pub url: String,
    /// The user's Keystone token.
    pub token: String,
    /// What to POST.
    pub body: Value,
}

/// What a user got.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// HTTP status.
    pub status: u16,
    /// The answer.
    pub body: Value,
    /// When the call began, microseconds of Unix time.
    pub from_us: u64,
    /// When its answer was there.
    pub to_us: u64,
}

impl Outcome {
    /// The operation that this user started, if it started one.
    pub fn operation(&self) -> Option<&str> {
        (self.status == 202).then(|| self.body["operation"]["id"].as_str())?
    }

    /// Code and words of the refusal.
    pub fn refusal(&self) -> (&str, &str) {
        let text = |key: &str| self.body["errors"][0][key].as_str().unwrap_or_default();
        (text("code"), text("detail"))
    }

    /// Both calls were under way at some instant.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.from_us < other.to_us && other.from_us < self.to_us
    }
}

/// A user's process. Dropping it kills it.
pub struct User {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl User {
    /// Starts the process.
    ///
    /// # Errors
    /// When there is no such binary beside `protector`.
    pub async fn start(race: &Race) -> anyhow::Result<Self> {
        let path = binary()?.with_file_name("protector-racing-user");
        let mut child = Command::new(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| path.display().to_string())?;
        let input = child.stdin.take().context("its input")?;
        let output = BufReader::new(child.stdout.take().context("its output")?).lines();
        let mut user = Self { _child: child, input, output };
        user.tell(&serde_json::to_string(race)?).await?;
        Ok(user)
    }

    async fn tell(&mut self, line: &str) -> anyhow::Result<()> {
        self.input.write_all(format!("{line}\n").as_bytes()).await.context("telling the user")?;
        self.input.flush().await.context("telling the user")
    }

    async fn answer(&mut self) -> anyhow::Result<Outcome> {
        let line = tokio::time::timeout(PATIENCE, self.output.next_line()).await;
        let line = line.context("the user got no answer")??.context("the user ended")?;
        serde_json::from_str(&line).context("the user's outcome")
    }
}

/// The barrier: both users start at one instant, each this much later.
///
/// # Errors
/// When a user ended or got no answer.
pub async fn at_once(users: &mut [User; 2], late: [Duration; 2]) -> anyhow::Result<[Outcome; 2]> {
    let instant = unix_now() + AHEAD;
    for (user, late) in users.iter_mut().zip(late) {
        user.tell(&(instant + late).as_micros().to_string()).await?;
    }
    let [a, b] = users;
    let (a, b) = tokio::join!(a.answer(), b.answer());
    Ok([a?, b?])
}

/// The machine's time since 1970: all processes of a race share it.
pub fn unix_now() -> Duration {
    let micros = SystemClock::new().now().timestamp_micros();
    Duration::from_micros(micros.unsigned_abs())
}
