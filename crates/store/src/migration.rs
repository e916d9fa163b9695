//! The schema, one DDL statement per migration (MySQL commits each by itself).
//!
//! Never change a migration that was released: append a new one.

use sea_orm::{DbBackend, DbErr};
use sea_orm_migration::{
    MigrationName, MigrationTrait, MigratorTrait, SchemaManager, async_trait,
    sea_query::{
        Alias, ColumnDef, ForeignKey, ForeignKeyAction, Index, IndexCreateStatement, Table,
        TableCreateStatement,
    },
};

use crate::convert::WORD_LENGTH;

/// All migrations, in order.
pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let tables = TABLES.iter().map(|table| Box::new(table) as Box<dyn MigrationTrait>);
        let indexes = INDEXES.iter().map(|index| Box::new(index) as Box<dyn MigrationTrait>);
        tables.chain(indexes).collect()
    }
}

/// What a column holds.
#[derive(Clone, Copy)]
enum Kind {
    /// An id, a word, a name: at most 255 characters.
    Word,
    /// A time as text.
    Time,
    /// Free text or JSON of any size.
    Text,
    /// A counter.
    Count,
    /// A small number.
    Small,
    /// Yes or no.
    Flag,
}

/// A column: name, kind, and whether it may be null.
type Column = (&'static str, Kind, bool);

const fn must(name: &'static str, kind: Kind) -> Column {
    (name, kind, false)
}

const fn may(name: &'static str, kind: Kind) -> Column {
    (name, kind, true)
}

struct TableDdl {
    migration: &'static str,
    table: &'static str,
    columns: &'static [Column],
    key: &'static [&'static str],
    /// Column, parent table, parent column: rows go with their parent.
    parent: Option<(&'static str, &'static str, &'static str)>,
}

struct IndexDdl {
    migration: &'static str,
    table: &'static str,
    columns: &'static [&'static str],
    unique: bool,
}

use Kind::{Count, Flag, Small, Text, Time, Word};

const GROUP: Option<(&str, &str, &str)> = Some(("group_id", "protection_groups", "id"));

const TABLES: &[TableDdl] = &[
    TableDdl {
        migration: "m0001_instance",
        table: "instance",
        columns: &[must("id", Small), must("site_id", Word), must("writes", Count)],
        key: &["id"],
        parent: None,
    },
    TableDdl {
        migration: "m0002_sites",
        table: "sites",
        columns: &[
            must("id", Word),
            must("name", Word),
            must("is_local", Flag),
            must("status", Word),
            must("created_at", Time),
            must("body", Text),
        ],
        key: &["id"],
        parent: None,
    },
    TableDdl {
        migration: "m0003_site_secrets",
        table: "site_secrets",
        columns: &[must("site_id", Word), must("sealed", Text)],
        key: &["site_id"],
        parent: Some(("site_id", "sites", "id")),
    },
    TableDdl {
        migration: "m0004_tenant_mappings",
        table: "tenant_mappings",
        columns: &[
            must("id", Word),
            must("primary_site_id", Word),
            must("primary_project_id", Word),
            must("secondary_site_id", Word),
            must("secondary_project_id", Word),
            must("created_at", Time),
        ],
        key: &["id"],
        parent: None,
    },
    TableDdl {
        migration: "m0005_tenant_mapping_sides",
        table: "tenant_mapping_sides",
        columns: &[
            must("site_id", Word),
            must("project_id", Word),
            must("other_site_id", Word),
            must("mapping_id", Word),
        ],
        key: &["site_id", "project_id", "other_site_id"],
        parent: Some(("mapping_id", "tenant_mappings", "id")),
    },
    TableDdl {
        migration: "m0006_protection_groups",
        table: "protection_groups",
        columns: &[
            must("id", Word),
            must("project_id", Word),
            must("name", Word),
            must("status", Word),
            must("version", Count),
            must("epoch_number", Count),
            must("epoch_raised_by", Word),
            must("current_primary_site_id", Word),
            must("replication_status", Word),
            may("last_replication_at", Time),
            must("failover_count", Count),
            may("current_operation_id", Word),
            may("active_test_operation_id", Word),
            may("quarantine", Text),
            must("created_at", Time),
            must("updated_at", Time),
            must("body", Text),
        ],
        key: &["id"],
        parent: None,
    },
    TableDdl {
        migration: "m0007_members",
        table: "members",
        columns: &[
            must("id", Word),
            must("group_id", Word),
            must("name", Word),
            must("servers", Text),
            must("spec", Text),
            must("volumes", Text),
            must("observed_at", Time),
            may("abandoned", Text),
        ],
        key: &["id"],
        parent: GROUP,
    },
    TableDdl {
        migration: "m0008_member_servers",
        table: "member_servers",
        columns: &[must("site_id", Word), must("server_id", Word), must("member_id", Word)],
        key: &["site_id", "server_id"],
        parent: Some(("member_id", "members", "id")),
    },
    TableDdl {
        migration: "m0009_policies",
        table: "policies",
        columns: &[must("group_id", Word), must("body", Text), must("updated_at", Time)],
        key: &["group_id"],
        parent: GROUP,
    },
    TableDdl {
        migration: "m0010_array_tokens",
        table: "array_tokens",
        columns: &[must("group_id", Word), must("site_id", Word), must("sealed", Text)],
        key: &["group_id", "site_id"],
        parent: GROUP,
    },
    TableDdl {
        migration: "m0011_outbox",
        table: "outbox",
        columns: &[
            must("group_id", Word),
            must("version", Count),
            must("epoch", Count),
            must("queued_at", Time),
            may("pushed_version", Count),
            may("pushed_at", Time),
            must("attempts", Count),
            may("last_error", Text),
        ],
        key: &["group_id"],
        parent: GROUP,
    },
    TableDdl {
        migration: "m0012_operations",
        table: "operations",
        columns: &[
            must("id", Word),
            must("project_id", Word),
            must("group_id", Word),
            must("operation_type", Word),
            must("status", Word),
            must("progress", Small),
            must("source_site_id", Word),
            must("target_site_id", Word),
            must("params", Text),
            must("user_id", Word),
            must("request_id", Word),
            must("created_at", Time),
            may("started_at", Time),
            may("completed_at", Time),
            may("error_message", Text),
            must("view_json", Text),
            may("result_data", Text),
            must("journal_seq", Count),
            must("fence", Count),
            may("owner", Word),
            must("heartbeat", Count),
            may("control", Text),
            may("retry_of", Word),
            may("from_status", Word),
            must("remote", Flag),
        ],
        key: &["id"],
        // Records outlive their group.
        parent: None,
    },
    TableDdl {
        migration: "m0013_operation_plans",
        table: "operation_plans",
        columns: &[must("operation_id", Word), must("plan", Text)],
        key: &["operation_id"],
        parent: Some(("operation_id", "operations", "id")),
    },
    TableDdl {
        migration: "m0014_operation_entries",
        table: "operation_entries",
        columns: &[
            must("operation_id", Word),
            must("seq", Count),
            must("written_at", Time),
            must("kind", Text),
        ],
        key: &["operation_id", "seq"],
        // Each insert follows a fenced update of the parent; a check per entry would only cost time.
        parent: None,
    },
    TableDdl {
        migration: "m0015_idempotency_keys",
        table: "idempotency_keys",
        columns: &[
            must("project_id", Word),
            must("idem_key", Word),
            must("digest", Word),
            must("operation_id", Word),
            must("expires_at", Time),
        ],
        key: &["project_id", "idem_key"],
        parent: None,
    },
    TableDdl {
        migration: "m0016_claims",
        table: "claims",
        columns: &[
            must("group_id", Word),
            must("operation_id", Word),
            must("holder_site_id", Word),
            must("renewals", Count),
            must("claimed_at", Time),
        ],
        key: &["group_id"],
        parent: None,
    },
    TableDdl {
        migration: "m0017_engines",
        table: "engines",
        columns: &[
            must("id", Word),
            must("hostname", Word),
            must("started_at", Time),
            must("heartbeat", Count),
            must("seen_at", Time),
        ],
        key: &["id"],
        parent: None,
    },
    TableDdl {
        migration: "m0018_fences",
        table: "fences",
        columns: &[
            must("member_id", Word),
            must("site_id", Word),
            must("group_id", Word),
            must("epoch", Count),
            must("body", Text),
        ],
        key: &["member_id", "site_id"],
        parent: GROUP,
    },
    TableDdl {
        migration: "m0019_delegations",
        table: "delegations",
        columns: &[
            must("site_id", Word),
            must("project_id", Word),
            must("user_id", Word),
            must("user_name", Word),
            must("state", Word),
            may("reason", Text),
            may("sealed", Text),
            must("used_at", Time),
            must("observed_at", Time),
        ],
        key: &["site_id", "project_id", "user_id"],
        parent: Some(("site_id", "sites", "id")),
    },
    TableDdl {
        migration: "m0031_site_facts",
        table: "site_facts",
        columns: &[must("group_id", Word), must("body", Text)],
        key: &["group_id"],
        parent: GROUP,
    },
    TableDdl {
        migration: "m0032_operation_streams",
        table: "operation_streams",
        columns: &[must("operation_id", Word), must("acked_seq", Count), must("status", Word)],
        key: &["operation_id"],
        parent: Some(("operation_id", "operations", "id")),
    },
];

const fn index(
    migration: &'static str,
    table: &'static str,
    columns: &'static [&'static str],
) -> IndexDdl {
    IndexDdl { migration, table, columns, unique: false }
}

const fn unique(
    migration: &'static str,
    table: &'static str,
    columns: &'static [&'static str],
) -> IndexDdl {
    IndexDdl { migration, table, columns, unique: true }
}

const INDEXES: &[IndexDdl] = &[
    unique("m0101_sites_name", "sites", &["name"]),
    index("m0102_sites_created", "sites", &["created_at", "id"]),
    index("m0103_mappings_created", "tenant_mappings", &["created_at", "id"]),
    index("m0104_mapping_sides", "tenant_mapping_sides", &["mapping_id"]),
    unique("m0105_groups_name", "protection_groups", &["project_id", "name"]),
    index("m0106_groups_created", "protection_groups", &["project_id", "created_at", "id"]),
    index("m0107_groups_all_names", "protection_groups", &["name", "id"]),
    index("m0108_groups_all_created", "protection_groups", &["created_at", "id"]),
    index("m0109_members_group", "members", &["group_id", "name", "id"]),
    index("m0110_servers_member", "member_servers", &["member_id"]),
    index("m0111_operations_project", "operations", &["project_id", "created_at", "id"]),
    index("m0112_operations_group", "operations", &["group_id", "created_at", "id"]),
    index("m0113_operations_all", "operations", &["created_at", "id"]),
    index("m0114_operations_status", "operations", &["status", "created_at", "id"]),
    index("m0115_keys_expiry", "idempotency_keys", &["expires_at"]),
    index("m0116_fences_group", "fences", &["group_id"]),
];

impl TableDdl {
    fn column(backend: DbBackend, (name, kind, nullable): Column) -> ColumnDef {
        let mut column = ColumnDef::new(Alias::new(name));
        match (kind, backend) {
            (Word, _) => column.string_len(WORD_LENGTH as u32),
            (Time, _) => column.string_len(32),
            // MySQL's TEXT ends at 64 KiB.
            (Text, DbBackend::MySql) => column.custom("longtext"),
            (Text, _) => column.text(),
            (Count, _) => column.big_integer(),
            (Small, _) => column.integer(),
            (Flag, _) => column.boolean(),
        };
        if nullable {
            column.null()
        } else {
            column.not_null()
        };
        column
    }

    fn statement(&self, backend: DbBackend) -> TableCreateStatement {
        let mut create = Table::create();
        create.table(Alias::new(self.table));
        for &column in self.columns {
            create.col(Self::column(backend, column));
        }
        let mut key = Index::create();
        for &column in self.key {
            key.col(Alias::new(column));
        }
        create.primary_key(&mut key);
        if let Some((column, table, parent)) = self.parent {
            let name = format!("fk_{}_{column}", self.table);
            create.foreign_key(
                ForeignKey::create()
                    .name(name)
                    .from(Alias::new(self.table), Alias::new(column))
                    .to(Alias::new(table), Alias::new(parent))
                    .on_delete(ForeignKeyAction::Cascade),
            );
        }
        if backend == DbBackend::MySql {
            // Names that differ in case are different names, as in the other databases.
            create.engine("InnoDB").character_set("utf8mb4").collate("utf8mb4_bin");
        }
        create
    }
}

impl IndexDdl {
    fn statement(&self) -> IndexCreateStatement {
        let mut create = Index::create();
        create.name(format!("ix_{}", self.migration)).table(Alias::new(self.table));
        for &column in self.columns {
            create.col(Alias::new(column));
        }
        if self.unique {
            create.unique();
        }
        create
    }
}

impl MigrationName for &'static TableDdl {
    fn name(&self) -> &str {
        self.migration
    }
}

impl MigrationName for &'static IndexDdl {
    fn name(&self) -> &str {
        self.migration
    }
}

#[async_trait::async_trait]
impl MigrationTrait for &'static TableDdl {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // There already: a process died, or was overtaken, between the statement and its record.
        if manager.has_table(self.table).await? {
            return Ok(());
        }
        manager.create_table(self.statement(manager.get_database_backend())).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Alias::new(self.table)).to_owned()).await
    }
}

#[async_trait::async_trait]
impl MigrationTrait for &'static IndexDdl {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.has_index(self.table, format!("ix_{}", self.migration)).await? {
            return Ok(());
        }
        manager.create_index(self.statement()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let name = format!("ix_{}", self.migration);
        manager.drop_index(Index::drop().name(name).table(Alias::new(self.table)).to_owned()).await
    }
}
