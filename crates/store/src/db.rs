//! Connections and transactions.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use protector_types::{Clock, SiteId};
use sea_orm::{
    AccessMode, ConnectOptions, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    IsolationLevel, SqliteTransactionMode, TransactionOptions, TransactionTrait,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};
use sea_orm_migration::MigratorTrait;

use crate::{StoreError, Vault, migration::Migrator};

/// How long a call waits for a connection or for SQLite's write lock before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Connections to a database server.
const SERVER_CONNECTIONS: u32 = 16;
/// Concurrent readers of a SQLite file; writers are one.
const SQLITE_READERS: u32 = 4;
/// How often a transaction that the database rolled back for the sake of another is repeated.
pub(crate) const REPEATS: u32 = 8;

/// Runs a transaction and repeats it if the database rolled it back for the sake of another one. The body
/// borrows what it uses and gives a `Result<_, StoreError>`.
macro_rules! transact {
    ($store:expr, $tx:ident => $body:block) => {{
        let mut attempt = 0u32;
        loop {
            let transaction = $store.begin().await?;
            let $tx = &transaction;
            let outcome: Result<_, $crate::StoreError> = async { $body }.await;
            match outcome {
                Ok(value) => {
                    transaction.commit().await?;
                    break Ok(value);
                }
                Err(error) => {
                    // A rollback that fails has lost its connection, and with it the transaction.
                    let _ = transaction.rollback().await;
                    if !error.may_repeat() || attempt >= $crate::db::REPEATS {
                        break Err(error);
                    }
                    attempt += 1;
                    tokio::task::yield_now().await;
                }
            }
        }
    }};
}
pub(crate) use transact;

/// The database of one site's Protector. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    /// On SQLite a pool of one, so that writers queue here and never meet `SQLITE_BUSY`.
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    vault: Arc<dyn Vault>,
    clock: Arc<dyn Clock>,
    own_site: RwLock<Option<SiteId>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("backend", &self.backend()).finish_non_exhaustive()
    }
}

impl Store {
    /// Connects. `url` is `sqlite://path` (made if missing), `postgres://...` or `mysql://...`; the spellings
    /// of OpenStack's configuration files (`mysql+pymysql://`, `postgresql+psycopg2://`) are understood.
    /// Does not create tables: see [`Store::migrate`].
    ///
    /// # Errors
    /// `Invalid` for an unknown kind of URL, `Unavailable` if the database does not answer.
    pub async fn connect(
        url: &str,
        vault: Arc<dyn Vault>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let (kind, url) = plain_url(url)?;
        let (writer, reader) = match kind {
            DbBackend::Sqlite if url.contains(":memory:") => {
                let only = open(sqlite_options(&url, 1)).await?;
                (only.clone(), only)
            }
            DbBackend::Sqlite => {
                let writer = open(sqlite_options(&url, 1)).await?;
                (writer, open(sqlite_options(&url, SQLITE_READERS)).await?)
            }
            _ => {
                let both = open(server_options(&url)).await?;
                (both.clone(), both)
            }
        };
        let inner = Inner { writer, reader, vault, clock, own_site: RwLock::new(None) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Brings the schema up to date. May be repeated, and may be run by several processes at once.
    ///
    /// # Errors
    /// `Unavailable` if the database refuses, or was migrated by a newer release.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let (mut attempt, mut pending) = (0, usize::MAX);
        loop {
            let error = match Migrator::up(&self.inner.writer, None).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            // Another process may have been faster with one of them: whoever makes progress goes on.
            let left = self.pending_migrations().await?;
            attempt = if left < pending { 0 } else { attempt + 1 };
            if attempt > REPEATS {
                return Err(error.into());
            }
            tracing::debug!(%error, left, "migration is repeated");
            pending = left;
            tokio::task::yield_now().await;
        }
    }

    /// How many migrations are still to be applied. 0: the schema is current.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn pending_migrations(&self) -> Result<usize, StoreError> {
        Ok(Migrator::get_pending_migrations_read_only(&self.inner.reader).await?.len())
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.inner.reader.ping().await?)
    }

    /// Closes all connections; calls under way end first.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.inner.reader.close_by_ref().await?;
        Ok(self.inner.writer.close_by_ref().await?)
    }

    pub(crate) fn backend(&self) -> DbBackend {
        self.inner.writer.get_database_backend()
    }

    pub(crate) fn reader(&self) -> &DatabaseConnection {
        &self.inner.reader
    }

    pub(crate) fn vault(&self) -> &dyn Vault {
        self.inner.vault.as_ref()
    }

    pub(crate) fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.inner.clock.now()
    }

    pub(crate) fn known_site(&self) -> Option<SiteId> {
        *self.inner.own_site.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn remember_site(&self, site: SiteId) {
        *self.inner.own_site.write().unwrap_or_else(PoisonError::into_inner) = Some(site);
    }

    /// A transaction that writes. On SQLite it has the write lock from the start.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, StoreError> {
        let options = match self.backend() {
            DbBackend::Sqlite => TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..TransactionOptions::default()
            },
            // MySQL's default would let a read see older rows than the update after it.
            _ => TransactionOptions {
                isolation_level: Some(IsolationLevel::ReadCommitted),
                ..TransactionOptions::default()
            },
        };
        Ok(self.inner.writer.begin_with_options(options).await?)
    }

    /// A transaction whose reads all see the same moment.
    pub(crate) async fn snapshot(&self) -> Result<DatabaseTransaction, StoreError> {
        let options = match self.backend() {
            DbBackend::Sqlite => TransactionOptions::default(),
            _ => TransactionOptions {
                isolation_level: Some(IsolationLevel::RepeatableRead),
                access_mode: Some(AccessMode::ReadOnly),
                ..TransactionOptions::default()
            },
        };
        Ok(self.inner.reader.begin_with_options(options).await?)
    }
}

fn plain_url(url: &str) -> Result<(DbBackend, String), StoreError> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    match scheme.split('+').next().unwrap_or_default() {
        "sqlite" => Ok((DbBackend::Sqlite, format!("sqlite:{rest}"))),
        "postgres" | "postgresql" => Ok((DbBackend::Postgres, format!("postgres:{rest}"))),
        "mysql" | "mariadb" => Ok((DbBackend::MySql, format!("mysql:{rest}"))),
        // The rest of the URL may hold a password and is not repeated.
        other => Err(StoreError::invalid(
            "database URL",
            format!("{other:?} is not sqlite, postgres or mysql"),
        )),
    }
}

/// The URL may hold a password, and the driver's messages may hold the URL.
async fn open(options: ConnectOptions) -> Result<DatabaseConnection, StoreError> {
    let url = options.get_url().to_owned();
    Database::connect(options).await.map_err(|error| StoreError::Unavailable {
        reason: error.to_string().replace(&url, "(database URL)"),
        rolled_back: false,
    })
}

fn quiet(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .sqlx_logging(false)
        .record_stmt_in_spans(false);
    options
}

fn sqlite_options(url: &str, connections: u32) -> ConnectOptions {
    let mut options = quiet(url, connections);
    options
        .min_connections(1)
        .test_before_acquire(false)
        // A memory database would be lost with its connection.
        .idle_timeout(None)
        .max_lifetime(None)
        .map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(PATIENCE)
                .foreign_keys(true)
        });
    options
}

fn server_options(url: &str) -> ConnectOptions {
    let mut options = quiet(url, SERVER_CONNECTIONS);
    options.connect_timeout(PATIENCE).test_before_acquire_if_idle_for(Duration::from_secs(5));
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spellings_of_openstack_operators_are_understood() {
        let cases = [
            ("mysql+pymysql://u:p@h/d?charset=utf8", "mysql://u:p@h/d?charset=utf8"),
            ("postgresql+psycopg2://u@h/d", "postgres://u@h/d"),
            ("postgresql://u@h/d", "postgres://u@h/d"),
            ("sqlite:///var/lib/protector.db", "sqlite:///var/lib/protector.db"),
        ];
        for (given, plain) in cases {
            assert_eq!(plain_url(given).unwrap().1, plain);
        }
    }

    #[tokio::test]
    async fn a_url_that_cannot_be_read_is_refused_without_its_password() {
        for url in ["mysql://user:hunter2@ho st/db", "postgres://user:hunter2@[::/db"] {
            let error = open(server_options(url)).await.unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_unknown_kind_is_refused_without_its_password() {
        let error = plain_url("oracle://user:hunter2@host/db").unwrap_err().to_string();
        assert!(error.contains("oracle") && !error.contains("hunter2"), "{error}");
    }
}
