//! One file per step. Every file reads the same: what changes and in which system, how a repeat knows its own work,
//! what undo leaves; `Input`, `Output`, `run`, `find`, `undo`.
//!
//! | kind | system | marker (how a repeat knows its own work) |
//! |---|---|---|
//! | `recheck` | arrays | none: reads only |
//! | `stop_server` | Nova, source | the server's state, with the state before it in the journal |
//! | `lock_server` | Nova, source | the lock, with the lock before it in the journal |
//! | `record_connections` | array, source | none: reads only |
//! | `disconnect_volumes` | array, source | the recorded connections are gone |
//! | `snapshot_group` | array, source | snapshot suffix `ptr-<op>` |
//! | `await_replication` | array, target | none: reads only |
//! | `clone_volume` | array, target | volume name `ptr-<op>-<step>`, then serial; tag `operation` |
//! | `manage_volume` | Cinder, target | array serial -> `volume-<id>-cinder`; metadata `protector` while managing |
//! | `dress_volume` | Cinder, target | the metadata itself |
//! | `import_keypair` | Nova, target | keypair name |
//! | `create_server_group` | Nova, target | name |
//! | `create_port` | Neutron, target | port name |
//! | `create_server` | Nova, target | tag |
//! | `settle_power` | Nova, target | the server's state |
//! | `barrier` | none | none: joins branches of the graph |
//! | `refuse` | none | none: fails with the planner's words |
//! | `verify_source` | Nova and array, source | none: reads only |
//! | `swap_primary`, `move_primary`, `arrive` | our database | the journal entry itself |
//! | `choose_point` | array, target | none: reads only |
//! | `refuse_source` | array, target | the group's `allowed`; set again by a repeat |
//! | `recall` | none | none: gives what an earlier operation gave |
//! | `create_network`, `create_subnet` | Neutron, target | name |
//! | `sweep` | all, target | the marker of another operation; absence |
//! | `list_leftovers` | all, target | none: reads only |
//! | `expect_none` | none | none: fails with what was listed |
//! | `restart_server` | Nova, source | the server's state |
//! | `stop_schedule` | array, source | the schedule's state |
//! | `push_group` | peer | the stamp that the peer answers |

pub mod arrive;
pub mod await_replication;
pub mod barrier;
pub mod choose_point;
pub mod clone_volume;
pub mod create_network;
pub mod create_port;
pub mod create_server;
pub mod create_server_group;
pub mod create_subnet;
pub mod disconnect_volumes;
pub mod dress_volume;
pub mod import_keypair;
pub mod lock_server;
pub mod manage_volume;
pub mod move_primary;
pub mod push_group;
pub mod recall;
pub mod recheck;
pub mod record_connections;
pub mod refuse;
pub mod refuse_source;
pub mod restart_server;
pub mod settle_power;
pub mod snapshot_group;
pub mod stop_schedule;
pub mod stop_server;
pub mod swap_primary;
pub mod sweep;
pub mod verify_source;
