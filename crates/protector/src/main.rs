//! Placeholder until the rooms below are filled.
fn main() {}
