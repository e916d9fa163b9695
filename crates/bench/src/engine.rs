//! `protector engine` as a process of its own, on site A's database.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use protector_server::{Config, hooks};
use tokio::process::{Child, Command};

/// `/proc/<pid>/stat` counts in these (USER_HZ; 100 on every architecture that we run on).
const TICKS_PER_SECOND: f64 = 100.0;

/// The running engine.
pub struct EngineProcess {
    child: Child,
    pid: u32,
}

impl EngineProcess {
    /// Starts it with a configuration file in `folder`.
    ///
    /// # Errors
    /// When the file cannot be written or the process not started.
    pub fn start(
        binary: &Path,
        config: &Config,
        folder: &Path,
        speed: f64,
        origin: f64,
    ) -> anyhow::Result<Self> {
        let path = folder.join("protector.conf");
        fs::write(&path, file(config, folder)?).context("the engine's configuration file")?;
        let log = fs::File::create(folder.join("engine.log")).context("the engine's log")?;
        let child = Command::new(binary)
            .arg("engine")
            .arg("--config-file")
            .arg(&path)
            .env(hooks::CLOCK_SPEED, speed.to_string())
            .env(hooks::CLOCK_ORIGIN, origin.to_string())
            .env_remove(hooks::CRASH_AT)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{}", binary.display()))?;
        let pid = child.id().context("the engine ended at once")?;
        Ok(Self { child, pid })
    }

    /// User and system time so far.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let path = format!("/proc/{}/stat", self.pid);
        let stat = fs::read_to_string(&path).context("the engine's process is gone")?;
        // The command's name is in parentheses and may hold anything.
        let fields: Vec<&str> =
            stat.rsplit_once(')').context("stat")?.1.split_whitespace().collect();
        let ticks = |at: usize| -> anyhow::Result<f64> {
            Ok(fields.get(at).context("stat is short")?.parse()?)
        };
        // utime and stime are fields 14 and 15; those after the name begin with the third.
        Ok(Duration::from_secs_f64((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND))
    }

    /// Stops it.
    ///
    /// # Errors
    /// When it cannot be killed or waited for.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("the engine could not be stopped")
    }
}

fn file(config: &Config, folder: &Path) -> anyhow::Result<String> {
    let keystone = &config.keystone;
    let mut text = format!(
        "[database]\nconnection = {}\n[secrets]\nkey_directory = {}\n[oslo_policy]\npolicy_file = {}\n\
         [keystone_authtoken]\nauth_url = {}\nusername = {}\npassword = {}\nproject_name = {}\n",
        config.database,
        config.key_directory.display(),
        config.policy_file.display(),
        keystone.auth_url,
        keystone.username,
        keystone.password.expose(),
        keystone.project_name,
    );
    if let Some(region) = &keystone.region_name {
        text.push_str(&format!("region_name = {region}\n"));
    }
    if let Some(pem) = &config.array_ca {
        let path = folder.join("array-ca.pem");
        fs::write(&path, pem).context("the arrays' certificates")?;
        text.push_str(&format!("[flasharray]\nca_file = {}\n", path.display()));
    }
    Ok(text)
}

/// The binary beside our own, built by the cargo that runs us, so that what is measured is what is here.
///
/// # Errors
/// When it cannot be built or found.
pub async fn binary() -> anyhow::Result<PathBuf> {
    if let Some(cargo) = std::env::var_os("CARGO") {
        let args = ["build", "--quiet", "--release", "-p", "protector"];
        let built = Command::new(cargo).args(args).status().await.context("cargo build")?;
        ensure!(built.success(), "protector could not be built");
    }
    let own = std::env::current_exe().context("our own path")?;
    let path = own.with_file_name("protector");
    ensure!(path.exists(), "{} is not there; cargo build --release -p protector", path.display());
    Ok(path)
}
