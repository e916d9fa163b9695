//! The plan property harness: every step of every operation, on the simulated world, under every fault.
//!
//! The executor, the operations' own steps and the real adapters run against the simulators in process and in virtual
//! time. For each operation of the [`table`] the world is brought to its start once ([`scene`]) and then forked for
//! each [`play`]: one thing goes wrong ([`points`]), engines die and others take over, until the operation is at rest.
//! Then both clouds and both arrays must hold exactly what the operation's end says ([`verdict`]), by their own dump
//! ([`canon`]).

pub mod canon;
pub mod clock;
pub mod ends;
pub mod fabric;
pub mod faults;
pub mod gremlin;
pub mod journal;
pub mod leaves;
pub mod play;
pub mod points;
pub mod probe;
pub mod scene;
pub mod sweep;
pub mod table;
pub mod verdict;
pub mod wire;
