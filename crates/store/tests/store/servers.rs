//! Database servers in temporary folders.

use std::{
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use tempfile::TempDir;

/// A running server, stopped when dropped.
pub struct Server {
    child: Child,
    /// URL without a database's name.
    base: String,
    admin: DatabaseConnection,
    _folder: TempDir,
}

impl Server {
    /// Makes a database; gives its URL.
    pub async fn database(&self, name: &str) -> String {
        self.admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
        format!("{}/{name}", self.base)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The polite signal, so that the server takes its children and shared memory with it.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-QUIT", &pid]).status();
        for _ in 0..50 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wanted(database: &str) -> bool {
    let list = std::env::var("PROTECTOR_TEST_DATABASES").unwrap_or_default();
    let wanted = list.split(',').any(|word| word.trim() == database);
    if !wanted {
        eprintln!("skipped: PROTECTOR_TEST_DATABASES does not name {database}");
    }
    wanted
}

/// A program on the path or in one of the usual folders.
fn program(names: &[&str]) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/usr/local/bin", "/usr/local/sbin"].map(PathBuf::from));
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    let found = folders.iter().flat_map(|f| names.iter().map(|n| f.join(n))).find(|p| p.is_file());
    found.unwrap_or_else(|| {
        panic!("PROTECTOR_TEST_DATABASES asks for a server, but there is no {names:?}")
    })
}

/// Database servers refuse to run as root: user and group id to run as, if we are root.
fn demoted() -> Option<(u32, u32)> {
    let id = Command::new("id").arg("-u").output().unwrap();
    if String::from_utf8_lossy(&id.stdout).trim() != "0" {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let user = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(user("postgres").or_else(|| user("nobody")).expect("a user that is not root"))
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    if let Some((uid, gid)) = demoted() {
        chown(folder.path(), Some(uid), Some(gid)).unwrap();
        chown(&data, Some(uid), Some(gid)).unwrap();
    }
    (folder, data)
}

fn command(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(home).stdin(Stdio::null()).stdout(Stdio::null()).env("LC_ALL", "C");
    if std::env::var("PROTECTOR_TEST_VERBOSE").is_err() {
        command.stderr(Stdio::null());
    }
    if let Some((uid, gid)) = demoted() {
        command.uid(uid).gid(gid);
    }
    command
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn started(mut child: Child, base: String, admin: &str, folder: TempDir) -> Server {
    for _ in 0..300 {
        if let Ok(Some(status)) = child.try_wait() {
            panic!("the database server ended with {status}; see it with PROTECTOR_TEST_VERBOSE=1");
        }
        if let Ok(admin) = Database::connect(admin).await {
            return Server { child, base, admin, _folder: folder };
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let _ = child.kill();
    panic!("the database server did not answer within 30 s");
}

/// A PostgreSQL server, if it is asked for.
pub async fn postgres() -> Option<Server> {
    if !wanted("postgres") {
        return None;
    }
    let (folder, data) = folder();
    let made = command(&program(&["initdb"]), folder.path())
        .arg("-D")
        .arg(&data)
        .args(["-U", "protector", "-A", "trust", "-E", "UTF8", "--no-sync"])
        .status()
        .unwrap();
    assert!(made.success(), "initdb: {made}");
    let port = free_port();
    let child = command(&program(&["postgres"]), folder.path())
        .arg("-D")
        .arg(&data)
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-c", "unix_socket_directories="])
        .args(["-c", "fsync=off"])
        .spawn()
        .unwrap();
    let base = format!("postgresql+psycopg2://protector@127.0.0.1:{port}");
    let admin = format!("postgres://protector@127.0.0.1:{port}/postgres");
    Some(started(child, base, &admin, folder).await)
}

/// A MariaDB server, if it is asked for.
pub async fn mariadb() -> Option<Server> {
    if !wanted("mariadb") {
        return None;
    }
    let (folder, data) = folder();
    let mut install = command(&program(&["mariadb-install-db", "mysql_install_db"]), folder.path());
    install
        .arg("--no-defaults")
        .arg(format!("--datadir={}", data.display()))
        .args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
    if let Ok(base) = std::env::var("PROTECTOR_TEST_MARIADB_BASE") {
        install.arg(format!("--basedir={base}"));
    }
    let made = install.status().unwrap();
    assert!(made.success(), "mariadb-install-db: {made}");
    let port = free_port();
    let mut server = command(&program(&["mariadbd", "mysqld"]), folder.path());
    server
        .arg("--no-defaults")
        .arg(format!("--datadir={}", data.display()))
        .arg(format!("--socket={}", folder.path().join("socket").display()))
        .arg(format!("--port={port}"))
        .args(["--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0"]);
    if let Ok(base) = std::env::var("PROTECTOR_TEST_MARIADB_BASE") {
        server
            .arg(format!("--basedir={base}"))
            .arg(format!("--lc-messages-dir={base}/share/mysql"));
    }
    let child = server.spawn().unwrap();
    let base = format!("mysql+pymysql://root@127.0.0.1:{port}");
    let admin = format!("mysql://root@127.0.0.1:{port}/mysql");
    Some(started(child, base, &admin, folder).await)
}
