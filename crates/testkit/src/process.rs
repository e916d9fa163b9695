//! Protector's services as real processes that can be killed.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use protector_server::{Config, hooks};
use tokio::process::{Child, Command};

/// Environment variable with the path of the binary under test.
pub const BINARY: &str = "PROTECTOR_BIN";

/// How long an engine may take to drain after SIGTERM, in real time.
const DRAIN: Duration = Duration::from_secs(40);

/// Where a process killed itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrashPoint {
    /// How many points it had reached, this one included.
    pub number: u64,
    /// `journal.before_commit`, `http.before_answer` ...
    pub kind: String,
    /// Step, path or operation.
    pub subject: String,
}

impl CrashPoint {
    /// From the line that the process writes before it kills itself.
    pub fn parse(line: &str) -> Option<Self> {
        let rest = line.strip_prefix("protector: crash point ")?;
        let (number, rest) = rest.split_once(": ")?;
        let (kind, subject) = rest.split_once(' ').unwrap_or((rest, ""));
        Some(Self {
            number: number.parse().ok()?,
            kind: kind.to_owned(),
            subject: subject.to_owned(),
        })
    }
}

/// A running service. Dropping it kills it.
pub struct ServiceProcess {
    child: Child,
    log: PathBuf,
}

/// Which service a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `protector api`.
    Api,
    /// `protector engine`, which kills itself at the n-th point, if one is given.
    Engine(Option<u64>),
}

/// The binary under test: [`BINARY`], or `protector` in the folder above the test's own.
///
/// # Errors
/// When it does not exist: with what to do.
pub fn binary() -> anyhow::Result<PathBuf> {
    let path = match std::env::var_os(BINARY) {
        Some(path) => PathBuf::from(path),
        None => {
            let own = std::env::current_exe().context("the path of this test")?;
            let folder = own.ancestors().nth(2).context("a test lies in target/<profile>/deps")?;
            folder.join("protector")
        }
    };
    anyhow::ensure!(
        path.is_file(),
        "there is no binary {}; build it with `cargo build --release -p protector`, or name one in {BINARY}",
        path.display()
    );
    Ok(path)
}

/// The configuration file that says what this configuration says.
fn config_file(config: &Config, ca: &Path) -> String {
    let keystone = &config.keystone;
    let sections = [
        (
            "api",
            vec![
                ("bind", config.bind.clone()),
                ("public_endpoint", config.public_endpoint.clone().unwrap_or_default()),
            ],
        ),
        ("database", vec![("connection", config.database.clone())]),
        ("secrets", vec![("key_directory", config.key_directory.display().to_string())]),
        ("oslo_policy", vec![("policy_file", config.policy_file.display().to_string())]),
        (
            "keystone_authtoken",
            vec![
                ("auth_url", keystone.auth_url.clone()),
                ("region_name", keystone.region_name.clone().unwrap_or_default()),
                ("username", keystone.username.clone()),
                ("password", keystone.password.expose().to_owned()),
                ("project_name", keystone.project_name.clone()),
                ("user_domain_name", keystone.user_domain_name.clone()),
                ("project_domain_name", keystone.project_domain_name.clone()),
            ],
        ),
        ("flasharray", vec![("ca_file", ca.display().to_string())]),
        (
            "engine",
            vec![
                ("lease_seconds", config.engine.lease.as_secs().to_string()),
                ("heartbeat_seconds", config.engine.heartbeat.as_secs().to_string()),
                ("poll_milliseconds", config.engine.poll.as_millis().to_string()),
            ],
        ),
    ];
    let mut text = String::new();
    for (section, options) in sections {
        text.push_str(&format!("[{section}]\n"));
        options.iter().for_each(|(key, value)| text.push_str(&format!("{key} = {value}\n")));
    }
    text
}

impl ServiceProcess {
    /// Starts the service; configuration and log are `<name>.conf` and `<name>.log` in `folder`. `time`: speed and origin
    /// of the shared clock.
    ///
    /// # Errors
    /// When there is no binary, or it cannot be started.
    pub fn start(
        folder: &Path,
        name: &str,
        config: &Config,
        time: (f64, f64),
        service: Service,
    ) -> anyhow::Result<Self> {
        let (conf, log, ca) = (
            folder.join(format!("{name}.conf")),
            folder.join(format!("{name}.log")),
            folder.join("array-ca.pem"),
        );
        fs::write(&ca, config.array_ca.as_deref().unwrap_or_default()).context("array-ca.pem")?;
        fs::write(&conf, config_file(config, &ca)).with_context(|| conf.display().to_string())?;
        let output = fs::File::create(&log).with_context(|| log.display().to_string())?;
        let mut command = Command::new(binary()?);
        let (word, crash_at) = match service {
            Service::Api => ("api", None),
            Service::Engine(crash_at) => ("engine", crash_at),
        };
        command
            .args([word, "--config-file"])
            .arg(&conf)
            .env_remove(hooks::CRASH_AT)
            .env("NO_COLOR", "1")
            .env(hooks::CLOCK_SPEED, time.0.to_string())
            .env(hooks::CLOCK_ORIGIN, time.1.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .kill_on_drop(true);
        if let Some(at) = crash_at {
            command.env(hooks::CRASH_AT, at.to_string());
        }
        let child = command.spawn().with_context(|| format!("protector {word}"))?;
        Ok(Self { child, log })
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child.try_wait().context("waiting for the service")
    }

    /// What it wrote.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Where it killed itself, if it did: by SIGKILL, and said so before.
    ///
    /// # Errors
    /// When it ended in any other way.
    pub fn crash_point(&mut self) -> anyhow::Result<Option<CrashPoint>> {
        let Some(status) = self.ended()? else { return Ok(None) };
        let log = self.log();
        anyhow::ensure!(
            status.signal() == Some(9),
            "the service ended with {status}, not by SIGKILL:\n{log}"
        );
        let point = log.lines().find_map(CrashPoint::parse);
        point
            .with_context(|| format!("the service was killed, but not at a point of ours:\n{log}"))
            .map(Some)
    }

    async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let Some(id) = self.child.id() else { return Ok(()) };
        let sent = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status().await;
        anyhow::ensure!(
            sent.with_context(|| name.to_owned())?.success(),
            "SIG{name} was not sent to {id}"
        );
        Ok(())
    }

    /// SIGSTOP: a machine that sleeps, or a virtual one that is being moved.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn freeze(&self) -> anyhow::Result<()> {
        self.signal("STOP").await
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn thaw(&self) -> anyhow::Result<()> {
        self.signal("CONT").await
    }

    /// SIGTERM, and waits until it has drained.
    ///
    /// # Errors
    /// When it does not end in time, or not with success.
    pub async fn terminate(mut self) -> anyhow::Result<()> {
        // It listens for signals before it writes its first line.
        let heard = async {
            while self.log().is_empty() && self.ended()?.is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(DRAIN, heard).await.context("the service never started")??;
        self.signal("TERM").await?;
        let ended = tokio::time::timeout(DRAIN, self.child.wait()).await;
        let status = ended.context("the service did not stop within its drain time")??;
        anyhow::ensure!(
            status.success(),
            "the service ended with {status} after SIGTERM:\n{}",
            self.log()
        );
        Ok(())
    }

    /// SIGKILL from outside, and waits until it is gone.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("SIGKILL")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_crash_is_understood_and_no_other() {
        let point = CrashPoint::parse("protector: crash point 17: step.after_run m0.create");
        let expected =
            CrashPoint { number: 17, kind: "step.after_run".into(), subject: "m0.create".into() };
        assert_eq!(point, Some(expected));
        assert_eq!(CrashPoint::parse("protector: the runtime could not be started: no"), None);
    }
}
