//! The way between two Protectors, with faults on it.

pub use protector_demo::way::{Way as Link, disturb};
