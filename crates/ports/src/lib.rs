//! What the product needs of the world, as traits. `openstack`, `flasharray` and `client` implement them;
//! `operations` and `core` speak to nothing else.
//!
//! Each method's doc states its idempotence rule: *read* (no effect), *ensure* (repeat is harmless), *create*
//! (a repeat makes a second thing: look first, by marker), *destroy* (takes a [`DestroyPermit`]; absent is success).

pub mod array;
pub mod block_storage;
pub mod compute;
pub mod error;
pub mod fabric;
pub mod identity;
pub mod image;
pub mod network;
pub mod peer;
pub mod permit;

pub use array::*;
pub use block_storage::*;
pub use compute::*;
pub use error::{PortError, PortResult, absent_as_none};
pub use fabric::{Actor, Cloud, Fabric};
pub use identity::*;
pub use image::*;
pub use network::*;
pub use peer::*;
pub use permit::DestroyPermit;
