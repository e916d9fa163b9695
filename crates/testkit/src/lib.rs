//! protector-testkit
