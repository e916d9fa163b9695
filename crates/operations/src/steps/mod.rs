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
//! | `create_security_group` | Neutron, target | description, until it is filled |
//! | `fill_security_group` | Neutron, target | the rules themselves |
//! | `create_port` | Neutron, target | port name, until the server is finished |
//! | `create_server` | Nova, target | tag, until it is finished |
//! | `finish_server` | Nova and Neutron, target | the missing marker |
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
//! | `retype_volume` | Cinder | the volume's type |
//! | `ensure_group` | arrays | the group itself, with exactly these volumes |
//! | `start_schedule` | array | the schedule's state |
//! | `secure_volume` | array | snapshot suffix `ptr-<op>-safe` |
//! | `restore_content` | array | none: repeated until it is certain, before anything writes |
//! | `restore_connections` | array | the recorded connections are there |
//! | `unlock_server` | Nova | the lock, with the lock before the fence in the journal |
//! | `start_server` | Nova | the server's state; late writes in snapshots `ptr-<op>-late` |
//! | `swap_back` | our database | the journal entry itself |
//! | `retire_server` | Nova | the server's id |
//! | `delete_port` | Neutron | the port's id |
//! | `free_port` | Nova | the port's device; a port made again by its name |
//! | `take_port` | Neutron | the original's port by its id; else port name |
//! | `remove_kept` | Cinder, array | the copy's id or name |
//! | `accept_primary` | our database | the journal entry itself |
//! | `push_group` | peer | the stamp that the peer answers |

pub mod accept_primary;
pub mod arrive;
pub mod await_replication;
pub mod barrier;
pub mod choose_point;
pub mod clone_volume;
pub mod create_network;
pub mod create_port;
pub mod create_security_group;
pub mod create_server;
pub mod create_server_group;
pub mod create_subnet;
pub mod delete_port;
pub mod disconnect_volumes;
pub mod dress_volume;
pub mod ensure_group;
pub mod fill_security_group;
pub mod finish_server;
pub mod free_port;
pub mod import_keypair;
pub mod late_writes;
pub mod lock_server;
pub mod manage_volume;
pub mod move_primary;
pub mod push_group;
pub mod recall;
pub mod recheck;
pub mod record_connections;
pub mod refuse;
pub mod refuse_source;
pub mod remove_kept;
pub mod restart_server;
pub mod restore_connections;
pub mod restore_content;
pub mod retire_server;
pub mod retype_volume;
pub mod secure_volume;
pub mod settle_power;
pub mod snapshot_group;
pub mod start_schedule;
pub mod start_server;
pub mod stop_schedule;
pub mod stop_server;
pub mod swap_back;
pub mod swap_primary;
pub mod sweep;
pub mod take_port;
pub mod unlock_server;
pub mod verify_source;
