//! protector-demo
