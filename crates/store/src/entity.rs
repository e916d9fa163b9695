//! One module per table. Ids, words, times and JSON are text; `convert` makes domain values of them.

macro_rules! entity {
    ($(#[$doc:meta])* $module:ident = $table:literal { $($(#[$attr:meta])* $field:ident: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        pub(crate) mod $module {
            use sea_orm::entity::prelude::*;

            #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
            #[sea_orm(table_name = $table)]
            pub struct Model { $($(#[$attr])* pub $field: $type),+ }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}
        }
    };
}

entity!(
    /// One row: who we are, and how often documents were changed here.
    instance = "instance" {
        #[sea_orm(primary_key, auto_increment = false)] id: i32,
        site_id: String,
        writes: i64,
    }
);
entity!(site = "sites" {
    #[sea_orm(primary_key, auto_increment = false)] id: String,
    name: String,
    is_local: bool,
    status: String,
    created_at: String,
    body: String,
});
entity!(site_secret = "site_secrets" {
    #[sea_orm(primary_key, auto_increment = false)] site_id: String,
    sealed: String,
});
entity!(tenant_mapping = "tenant_mappings" {
    #[sea_orm(primary_key, auto_increment = false)] id: String,
    primary_site_id: String,
    primary_project_id: String,
    secondary_site_id: String,
    secondary_project_id: String,
    created_at: String,
});
entity!(
    /// Each mapping twice, once from each side: the key makes both directions unique.
    tenant_mapping_side = "tenant_mapping_sides" {
        #[sea_orm(primary_key, auto_increment = false)] site_id: String,
        #[sea_orm(primary_key, auto_increment = false)] project_id: String,
        #[sea_orm(primary_key, auto_increment = false)] other_site_id: String,
        mapping_id: String,
    }
);
entity!(group = "protection_groups" {
    #[sea_orm(primary_key, auto_increment = false)] id: String,
    project_id: String,
    name: String,
    status: String,
    version: i64,
    epoch_number: i64,
    epoch_raised_by: String,
    current_primary_site_id: String,
    replication_status: String,
    last_replication_at: Option<String>,
    failover_count: i64,
    current_operation_id: Option<String>,
    active_test_operation_id: Option<String>,
    quarantine: Option<String>,
    created_at: String,
    updated_at: String,
    body: String,
});
entity!(member = "members" {
    #[sea_orm(primary_key, auto_increment = false)] id: String,
    group_id: String,
    name: String,
    servers: String,
    spec: String,
    volumes: String,
    observed_at: String,
    abandoned: Option<String>,
});
entity!(
    /// Which server is whose: a server is in one group at most.
    member_server = "member_servers" {
        #[sea_orm(primary_key, auto_increment = false)] site_id: String,
        #[sea_orm(primary_key, auto_increment = false)] server_id: String,
        member_id: String,
    }
);
entity!(policy = "policies" {
    #[sea_orm(primary_key, auto_increment = false)] group_id: String,
    body: String,
    updated_at: String,
});
entity!(array_token = "array_tokens" {
    #[sea_orm(primary_key, auto_increment = false)] group_id: String,
    #[sea_orm(primary_key, auto_increment = false)] site_id: String,
    sealed: String,
});
entity!(outbox = "outbox" {
    #[sea_orm(primary_key, auto_increment = false)] group_id: String,
    version: i64,
    epoch: i64,
    queued_at: String,
    pushed_version: Option<i64>,
    pushed_at: Option<String>,
    attempts: i64,
    last_error: Option<String>,
});
entity!(operation = "operations" {
    #[sea_orm(primary_key, auto_increment = false)] id: String,
    project_id: String,
    group_id: String,
    operation_type: String,
    status: String,
    progress: i32,
    source_site_id: String,
    target_site_id: String,
    params: String,
    user_id: String,
    request_id: String,
    created_at: String,
    started_at: Option<String>,
    completed_at: Option<String>,
    error_message: Option<String>,
    view_json: String,
    result_data: Option<String>,
    journal_seq: i64,
    fence: i64,
    owner: Option<String>,
    heartbeat: i64,
    control: Option<String>,
    retry_of: Option<String>,
    from_status: Option<String>,
    remote: bool,
});
entity!(
    /// Apart from the operation's row, which each journal write rewrites: plans are large.
    operation_plan = "operation_plans" {
        #[sea_orm(primary_key, auto_increment = false)] operation_id: String,
        plan: String,
    }
);
entity!(entry = "operation_entries" {
    #[sea_orm(primary_key, auto_increment = false)] operation_id: String,
    #[sea_orm(primary_key, auto_increment = false)] seq: i64,
    written_at: String,
    kind: String,
});
entity!(idempotency_key = "idempotency_keys" {
    #[sea_orm(primary_key, auto_increment = false)] project_id: String,
    #[sea_orm(primary_key, auto_increment = false)] idem_key: String,
    digest: String,
    operation_id: String,
    expires_at: String,
});
entity!(claim = "claims" {
    #[sea_orm(primary_key, auto_increment = false)] group_id: String,
    operation_id: String,
    holder_site_id: String,
    renewals: i64,
    claimed_at: String,
});
entity!(engine = "engines" {
    #[sea_orm(primary_key, auto_increment = false)] id: String,
    hostname: String,
    started_at: String,
    heartbeat: i64,
    seen_at: String,
});
entity!(
    /// Outside the document: never overwritten by a sync.
    fence = "fences" {
        #[sea_orm(primary_key, auto_increment = false)] member_id: String,
        #[sea_orm(primary_key, auto_increment = false)] site_id: String,
        group_id: String,
        epoch: i64,
        body: String,
    }
);
entity!(
    /// Outside the document: what this site knows of a group for itself.
    site_fact = "site_facts" {
        #[sea_orm(primary_key, auto_increment = false)] group_id: String,
        body: String,
    }
);
entity!(
    /// How far an operation's journal has come to the other site.
    stream = "operation_streams" {
        #[sea_orm(primary_key, auto_increment = false)] operation_id: String,
        acked_seq: i64,
        status: String,
    }
);
entity!(
    /// A user's consent; `sealed` is the Keystone trust, while there is one.
    delegation = "delegations" {
        #[sea_orm(primary_key, auto_increment = false)] site_id: String,
        #[sea_orm(primary_key, auto_increment = false)] project_id: String,
        #[sea_orm(primary_key, auto_increment = false)] user_id: String,
        user_name: String,
        state: String,
        reason: Option<String>,
        sealed: Option<String>,
        used_at: String,
        observed_at: String,
    }
);
