//! The store on each database: SQLite always; PostgreSQL and MariaDB when `PROTECTOR_TEST_DATABASES` names
//! them (`postgres,mariadb`). Servers are started here, in temporary folders, and stopped again.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod documents;
mod fixtures;
mod journal;
mod leases;
mod pages;
mod registry;
mod secrecy;
mod servers;

use std::{future::Future, pin::Pin};

use fixtures::Db;

type Scenario = fn(Db) -> Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! scenarios {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        /// Each scenario by its name.
        const ALL: &[(&str, Scenario)] =
            &[$((stringify!($name), |db| Box::pin($module::$name(db)))),+];

        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let folder = tempfile::tempdir().unwrap();
                    let url = format!("sqlite://{}", folder.path().join("protector.db").display());
                    crate::$module::$name(crate::fixtures::Db::new(url)).await;
                }
            )+
        }
    };
}

scenarios!(
    registry::a_fresh_database_is_migrated_once_and_again_without_harm,
    registry::two_processes_migrate_at_once,
    registry::the_own_site_has_one_id_for_good,
    registry::sites_round_trip_and_have_unique_names,
    registry::a_tenant_mapping_is_unique_from_both_sides,
    registry::engines_show_signs_of_life,
    documents::a_group_comes_back_as_it_was_written,
    documents::names_are_unique_per_project_and_case_matters,
    documents::what_fits_no_column_is_refused_and_what_must_be_kept_is,
    documents::a_stale_version_or_an_illegal_status_changes_nothing,
    documents::a_server_is_in_one_group_at_most,
    documents::every_change_of_a_document_is_queued_for_the_peer,
    documents::the_peers_document_replaces_ours_and_keeps_tokens,
    documents::a_project_sees_nothing_of_another,
    documents::of_many_writers_of_one_version_one_wins,
    leases::of_sixteen_requests_one_holds_the_group,
    leases::of_sixteen_engines_one_has_the_operation,
    leases::a_dead_engines_operation_changes_hands_and_a_live_ones_does_not,
    leases::requests_of_persons_wait_until_the_journal_has_them,
    leases::a_request_with_a_key_is_left_once,
    leases::what_never_began_ends_at_once_and_its_group_is_where_it_was,
    leases::a_failover_that_is_left_on_its_way_leaves_its_group_in_error,
    leases::a_repeated_request_is_answered_with_its_first_operation,
    leases::the_same_request_sent_sixteen_times_at_once_makes_one_operation,
    leases::a_group_claim_is_idempotent_and_changes_hands_only_when_it_stood_still,
    leases::a_drill_is_open_until_nothing_of_it_is_left,
    leases::a_forced_failover_ends_what_holds_the_group_and_its_engine_writes_no_more,
    journal::a_stale_fence_writes_nothing,
    journal::an_illegal_transition_takes_its_entries_along,
    journal::a_member_that_has_nothing_at_a_site_any_more_is_a_new_version,
    journal::the_swap_of_the_primary_is_one_transaction,
    journal::a_parked_operation_keeps_its_group,
    journal::an_ended_record_never_changes,
    journal::four_thousand_entries_come_back_without_gaps,
    journal::the_peers_record_is_shown_and_never_driven,
    pages::a_thousand_rows_are_each_seen_once_while_others_come_and_go,
    pages::markers_and_keys_that_do_not_exist_are_refused,
    secrecy::secrets_open_only_in_their_place,
    secrecy::a_trust_is_sealed_and_ends_only_as_itself,
);

/// The in-process form, with one connection for all: whoever waited for a second one would wait for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_enough_for_one_process() {
    let db = || Db::new("sqlite::memory:".into());
    documents::a_group_comes_back_as_it_was_written(db()).await;
    documents::a_project_sees_nothing_of_another(db()).await;
    documents::the_peers_document_replaces_ours_and_keeps_tokens(db()).await;
    leases::of_sixteen_requests_one_holds_the_group(db()).await;
    leases::the_same_request_sent_sixteen_times_at_once_makes_one_operation(db()).await;
    journal::the_swap_of_the_primary_is_one_transaction(db()).await;
}

/// Runs every scenario on its own database of one server; names all that failed.
async fn on_server(server: &servers::Server) {
    let only = std::env::var("PROTECTOR_TEST_SCENARIO").unwrap_or_default();
    let mut failed = Vec::new();
    for (number, (name, scenario)) in ALL.iter().enumerate() {
        if !name.contains(&only) {
            continue;
        }
        let db = Db::new(server.database(&format!("scenario_{number}")).await);
        if tokio::spawn(scenario(db)).await.is_err() {
            failed.push(*name);
        }
    }
    assert!(failed.is_empty(), "failed: {failed:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_runs_every_scenario() {
    if let Some(server) = servers::postgres().await {
        on_server(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_runs_every_scenario() {
    if let Some(server) = servers::mariadb().await {
        on_server(&server).await;
    }
}
