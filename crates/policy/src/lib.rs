//! Who may do what: the oslo.policy language, our registered defaults, and the operator's `policy.yaml`.
//!
//! - [`Rule`]: every permission that the API asks for, with its default, description and API operations.
//! - [`Policy`]: all rules of one moment, defaults plus overrides, checked as a whole when loaded.
//! - [`PolicyFile`]: a `Policy` that follows a file; a broken new file keeps the old rules.
//! - [`Credentials`] and [`Target`]: who asks, and about what.
//! - [`sample`]: the commented `policy.yaml` with every default.
//!
//! Nothing here knows HTTP or Keystone. A check that cannot be decided (a missing attribute, a rule that
//! is not there) answers *no*.

mod check;
mod credentials;
mod error;
mod file;
mod parse;
mod policy;
mod registry;
mod sample;

pub use check::{Check, Template};
pub use credentials::{Credentials, Target};
pub use error::{Denied, PolicyError, Warning};
pub use file::PolicyFile;
pub use parse::parse;
pub use policy::Policy;
pub use registry::{ApiOperation, Registered, Rule, registered};
pub use sample::sample;
