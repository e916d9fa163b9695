//! The durable step machine: a plan graph, steps that can be run, looked for and undone, an append-only journal,
//! a lease, a pure decision function and the executor that obeys it. It knows nothing of SQL, HTTP or OpenStack.
//!
//! ```text
//!   Plan + journal --fold--> State --decide--> Decision --executor--> Step.{run,find,undo}
//!                     ^                                                   |
//!                     +-------------- journal <--- outcomes --------------+
//! ```
//!
//! Rules (4-architecture.md section 3): intent is committed before and outcome after each effect; a lost answer is
//! *unknown*, never failure; the undo of a started step always runs; a missed fence stops the executor at once.

pub mod clock;
mod commit;
pub mod cx;
mod decide;
pub mod drive;
pub mod executor;
pub mod gate;
pub mod hooks;
pub mod journal;
pub mod lease;
pub mod plan;
pub mod request;
mod run;
pub mod state;
pub mod step;
pub mod view;

pub use clock::{ScaledClock, SystemClock};
pub use cx::{StepCx, marker};
pub use decide::Decision;
pub use executor::{Control, Executor, ExecutorConfig, RunEnd};
pub use gate::{Gate, StepGate};
pub use hooks::{CallScope, FaultHook, NoHook, NoScope};
pub use journal::{Entry, EntryKind, Journal, JournalError, MemoryJournal, NewEntry, Summary};
pub use lease::Lease;
pub use plan::{OnFailure, Plan, PlanError, PlannedStep, Stage};
pub use request::{Ask, IfLeft, LeftStep, Request};
pub use state::{Cause, Mode, State, StepState};
pub use step::{Definition, Done, DynStep, Erased, Found, Outcome, Outputs, Step, StepError, Undo};
pub use view::{StageView, StepFailure, View};
