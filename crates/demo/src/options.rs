//! The demo's command line.

use std::path::PathBuf;

/// What the demo shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// A planned failover from site A to site B.
    Planned,
    /// Site A dies (cloud, array and Protector); a forced failover from site B.
    Unplanned,
    /// A drill at site B while the application runs at site A, and its cleanup.
    Drill,
    /// A planned failover, work at site B, and the way back with replication restored.
    Failback,
    /// There and back twice, with an inventory of what is left.
    Roundtrip,
    /// Volumes that are on both arrays at once (ActiveCluster): drill, failover without loss, protected again by a retype,
    /// and the way back.
    SyncReplication,
    /// A forced failover of which one server cannot be built at site B, and its completion.
    Partial,
    /// The two sites cannot talk: in quiet, and in the middle of a planned failover. Afterwards there is one primary.
    Partition,
    /// Site A dies, site B is forced, site A returns, makes itself safe, and in the end the application is back there.
    ReturningSite,
    /// Both sites are forced while they cannot talk: CONFLICT, until a person chooses.
    BothForced,
    /// A Protector's database is restored from an old copy, at either site.
    RestoredBackup,
    /// A site dies in the middle of what it drives: the other one is not held up, and takes over what is left.
    DeadSiteMidway,
}

/// `protector demo ...`
#[derive(Debug, Clone, clap::Args)]
pub struct DemoOptions {
    /// What to show.
    #[arg(long, value_enum, default_value = "planned")]
    pub scenario: Scenario,
    /// Exit when the scenario is done, instead of leaving everything running.
    #[arg(long)]
    pub once: bool,
    /// Print only the final operation record (JSON) on standard output.
    #[arg(long)]
    pub json: bool,
    /// Stop before the scenario's operation, and leave everything running (with --once: exit): protection is in place, and
    /// with `--scenario unplanned` site A is gone.
    #[arg(long)]
    pub no_failover: bool,
    /// Servers of the tenant's application.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub servers: u32,
    /// Volumes per server; by default 5 on 3 servers, as in the documentation.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub volumes_per_server: Option<u32>,
    /// Simulated seconds per real second.
    #[arg(long, default_value_t = 5.0)]
    pub speed: f64,
    /// Seed of all that is drawn.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write shell variables here (and a clouds.yaml beside it), for curl, openstack and any SDK.
    #[arg(long)]
    pub env_file: Option<PathBuf>,
    /// Keep databases and keys here instead of in a temporary folder.
    #[arg(long)]
    pub state_dir: Option<PathBuf>,
}
