//! What a port's error means for a step (4-architecture.md section 3, rules 1 and 13).

use protector_ports::PortError;
use protector_workflow::{Found, Outcome, StepError, Undo};

/// After an attempt to make an effect.
pub fn outcome<T>(error: PortError) -> Outcome<T> {
    match error {
        PortError::Transient { retry_after, .. } => {
            Outcome::Retry { after: retry_after, reason: error.to_string() }
        }
        PortError::Unknown { .. } | PortError::Conflict { .. } => {
            Outcome::Unknown(error.to_string())
        }
        PortError::Absent { .. } | PortError::Denied { .. } | PortError::Invalid { .. } => {
            Outcome::Failed(StepError::new(error.to_string()))
        }
    }
}

/// After an attempt to look.
pub fn found<T>(error: PortError) -> Found<T> {
    match error {
        PortError::Absent { .. } => Found::Absent,
        PortError::Transient { .. } | PortError::Unknown { .. } | PortError::Conflict { .. } => {
            Found::Unknown(error.to_string())
        }
        PortError::Denied { .. } | PortError::Invalid { .. } => {
            Found::Broken(StepError::new(error.to_string()))
        }
    }
}

/// After an attempt to take back.
pub fn undo(error: PortError) -> Undo {
    match error {
        PortError::Absent { .. } => Undo::Done(None),
        PortError::Transient { .. } | PortError::Unknown { .. } | PortError::Conflict { .. } => {
            Undo::Retry(error.to_string())
        }
        PortError::Denied { .. } | PortError::Invalid { .. } => {
            Undo::Failed(StepError::new(error.to_string()))
        }
    }
}

/// Gives the value of a port call, or leaves the function with the error as the step's answer.
#[macro_export]
macro_rules! attempt {
    ($call:expr, $into:path) => {
        match $call {
            Ok(value) => value,
            Err(error) => return $into(error),
        }
    };
}

/// A look's answer as a run's: for steps whose run begins with, or is nothing but, a look.
pub fn run_as_look<T>(look: Found<T>) -> Outcome<T> {
    match look {
        Found::Present(done) => Outcome::Done(done),
        Found::Pending(why) => Outcome::Pending(why),
        Found::Absent => Outcome::Pending("not there yet".into()),
        Found::Broken(error) => Outcome::Failed(error),
        Found::Unknown(reason) => Outcome::Retry { reason, after: None },
    }
}
