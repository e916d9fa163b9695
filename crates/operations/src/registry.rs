//! The steps of all definitions, by kind: one table, so that a drill and the real thing run the same code.

use std::sync::Arc;

use protector_workflow::{DynStep, Erased, IfLeft, Step};

use crate::{deps::Deps, steps};

/// A step's kind, and how it is made.
pub type Entry = (&'static str, fn(&Deps) -> Arc<dyn DynStep>);

fn with<S: Step>(step: S) -> Arc<dyn DynStep> {
    Arc::new(Erased(step))
}

/// Every kind of step of this build. The harness walks it: a kind without a fault point fails.
pub const STEPS: &[Entry] = &[
    ("recheck", |d| with(steps::recheck::Recheck(d.clone()))),
    ("stop_server", |d| with(steps::stop_server::StopServer(d.clone()))),
    ("lock_server", |d| with(steps::lock_server::LockServer(d.clone()))),
    ("record_connections", |d| with(steps::record_connections::RecordConnections(d.clone()))),
    ("disconnect_volumes", |d| with(steps::disconnect_volumes::DisconnectVolumes(d.clone()))),
    ("snapshot_group", |d| with(steps::snapshot_group::SnapshotGroup(d.clone()))),
    ("await_replication", |d| with(steps::await_replication::AwaitReplication(d.clone()))),
    ("clone_volume", |d| with(steps::clone_volume::CloneVolume(d.clone()))),
    ("manage_volume", |d| with(steps::manage_volume::ManageVolume(d.clone()))),
    ("dress_volume", |d| with(steps::dress_volume::DressVolume(d.clone()))),
    ("import_keypair", |d| with(steps::import_keypair::ImportKeypair(d.clone()))),
    ("create_server_group", |d| with(steps::create_server_group::CreateServerGroup(d.clone()))),
    ("create_security_group", |d| {
        with(steps::create_security_group::CreateSecurityGroup(d.clone()))
    }),
    ("fill_security_group", |d| with(steps::fill_security_group::FillSecurityGroup(d.clone()))),
    ("create_port", |d| with(steps::create_port::CreatePort(d.clone()))),
    ("create_server", |d| with(steps::create_server::CreateServer(d.clone()))),
    ("finish_server", |d| with(steps::finish_server::FinishServer(d.clone()))),
    ("settle_power", |d| with(steps::settle_power::SettlePower(d.clone()))),
    ("verify_source", |d| with(steps::verify_source::VerifySource(d.clone()))),
    ("swap_primary", |_| with(steps::swap_primary::SwapPrimary)),
    ("stop_schedule", |d| with(steps::stop_schedule::StopSchedule(d.clone()))),
    ("push_group", |d| with(steps::push_group::PushGroup(d.clone()))),
    ("retype_volume", |d| with(steps::retype_volume::RetypeVolume(d.clone()))),
    ("ensure_group", |d| with(steps::ensure_group::EnsureGroup(d.clone()))),
    ("start_schedule", |d| with(steps::start_schedule::StartSchedule(d.clone()))),
    ("secure_volume", |d| with(steps::secure_volume::SecureVolume(d.clone()))),
    ("restore_content", |d| with(steps::restore_content::RestoreContent(d.clone()))),
    ("restore_connections", |d| with(steps::restore_connections::RestoreConnections(d.clone()))),
    ("unlock_server", |d| with(steps::unlock_server::UnlockServer(d.clone()))),
    ("start_server", |d| with(steps::start_server::StartServer(d.clone()))),
    ("swap_back", |_| with(steps::swap_back::SwapBack)),
    ("retire_server", |d| with(steps::retire_server::RetireServer(d.clone()))),
    ("delete_port", |d| with(steps::delete_port::DeletePort(d.clone()))),
    ("free_port", |d| with(steps::free_port::FreePort(d.clone()))),
    ("take_port", |d| with(steps::take_port::TakePort(d.clone()))),
    ("remove_kept", |d| with(steps::remove_kept::RemoveKept(d.clone()))),
    ("accept_primary", |_| with(steps::accept_primary::AcceptPrimary)),
    ("barrier", |_| with(steps::barrier::Barrier)),
    ("refuse", |_| with(steps::refuse::Refuse)),
    ("choose_point", |d| with(steps::choose_point::ChoosePoint(d.clone()))),
    ("move_primary", |_| with(steps::move_primary::MovePrimary)),
    ("refuse_source", |d| with(steps::refuse_source::RefuseSource(d.clone()))),
    ("arrive", |_| with(steps::arrive::Arrive)),
    ("recall", |_| with(steps::recall::Recall)),
    ("create_network", |d| with(steps::create_network::CreateNetwork(d.clone()))),
    ("create_subnet", |d| with(steps::create_subnet::CreateSubnet(d.clone()))),
    ("sweep", |d| with(steps::sweep::Sweep(d.clone()))),
    ("list_leftovers", |d| with(steps::sweep::ListLeftovers(d.clone()))),
    ("expect_none", |_| with(steps::sweep::ExpectNone)),
    ("restart_server", |d| with(steps::restart_server::RestartServer(d.clone()))),
];

/// What a kind leaves behind when it is not undone, or left out. A kind without a row counts as one that leaves a server
/// which may write: a person who skips it has to say `force`, and an operation abandoned with it ends in `error`.
pub const IF_LEFT: &[(&str, IfLeft)] = &[
    ("recheck", IfLeft::Things),
    ("stop_server", IfLeft::Fence),
    ("lock_server", IfLeft::Fence),
    ("record_connections", IfLeft::Things),
    ("disconnect_volumes", IfLeft::Fence),
    ("snapshot_group", IfLeft::Things),
    ("await_replication", IfLeft::Things),
    ("clone_volume", IfLeft::Things),
    ("manage_volume", IfLeft::Things),
    ("dress_volume", IfLeft::Things),
    ("import_keypair", IfLeft::Things),
    ("create_server_group", IfLeft::Things),
    ("create_security_group", IfLeft::Things),
    ("fill_security_group", IfLeft::Things),
    ("create_port", IfLeft::Things),
    ("create_server", IfLeft::Writer),
    // The server's own step says what is left of it; this one leaves a marker at worst.
    ("finish_server", IfLeft::Things),
    ("settle_power", IfLeft::Writer),
    // Left out, nobody has looked whether the source still writes.
    ("verify_source", IfLeft::Fence),
    ("swap_primary", IfLeft::Writer),
    ("stop_schedule", IfLeft::Things),
    ("push_group", IfLeft::Things),
    ("barrier", IfLeft::Things),
    ("refuse", IfLeft::Things),
    ("retype_volume", IfLeft::Things),
    ("ensure_group", IfLeft::Things),
    ("start_schedule", IfLeft::Things),
    ("secure_volume", IfLeft::Things),
    ("restore_content", IfLeft::Things),
    // An original that is connected or unlocked again may be started by its owner.
    ("restore_connections", IfLeft::Writer),
    ("unlock_server", IfLeft::Writer),
    ("start_server", IfLeft::Writer),
    ("swap_back", IfLeft::Writer),
    ("retire_server", IfLeft::Things),
    ("delete_port", IfLeft::Things),
    ("free_port", IfLeft::Things),
    ("take_port", IfLeft::Things),
    ("remove_kept", IfLeft::Things),
    ("accept_primary", IfLeft::Writer),
    ("choose_point", IfLeft::Things),
    ("move_primary", IfLeft::Writer),
    ("refuse_source", IfLeft::Things),
    ("arrive", IfLeft::Writer),
    ("recall", IfLeft::Things),
    ("create_network", IfLeft::Things),
    ("create_subnet", IfLeft::Things),
    ("sweep", IfLeft::Things),
    ("list_leftovers", IfLeft::Things),
    ("expect_none", IfLeft::Things),
    // Left out, a server of the primary stays off.
    ("restart_server", IfLeft::Things),
];

/// See [`IF_LEFT`].
pub fn if_left(kind: &str) -> IfLeft {
    IF_LEFT.iter().find(|(name, _)| *name == kind).map_or(IfLeft::Writer, |(_, left)| *left)
}

/// True for what only looks at the site that is left: a look that finds somebody writing still fails.
pub fn may_go_unseen(kind: &str) -> bool {
    kind == "verify_source"
}

/// The step of a kind.
pub fn step(deps: &Deps, kind: &str) -> Option<Arc<dyn DynStep>> {
    STEPS.iter().find(|(name, _)| *name == kind).map(|(_, make)| make(deps))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_says_what_it_leaves_behind() {
        let told: BTreeSet<_> = IF_LEFT.iter().map(|(kind, _)| *kind).collect();
        let kinds: BTreeSet<_> = STEPS.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(told, kinds);
        assert_eq!(told.len(), IF_LEFT.len());
    }

    #[test]
    fn every_kind_stands_once() {
        let kinds: BTreeSet<_> = STEPS.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds.len(), STEPS.len());
    }
}
