//! protector-client
