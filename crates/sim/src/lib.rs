//! Two simulated sites (Keystone, Nova, Cinder, Neutron, Glance: one consistent world each) and two
//! simulated FlashArrays that replicate to each other. They speak the real wire APIs, in process or on
//! a port, and share no wire types with our adapters: they are judged by clients that we did not write.

pub mod array;
pub mod cloud;
pub mod control;
pub mod faults;
pub mod pair;
pub mod serve;
pub mod tls;
pub mod world;
