//! What a step is: run, look for, undo.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use protector_types::{BoxFuture, DomainEffect, OperationId, OperationStatus};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{IfLeft, Plan, State, StepCx};

/// A definite failure, for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    /// The service's own words, and what to do next.
    pub message: String,
}

impl StepError {
    /// With these words.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// A step's result together with the domain rows that change with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Done<T> {
    /// Becomes visible to later steps and to `result_data`.
    pub output: T,
    /// Applied in the transaction that commits the outcome.
    pub effects: Vec<DomainEffect>,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome<T> {
    /// Verified.
    Done(Done<T>),
    /// Accepted, and takes its time: look until it is there.
    Pending(String),
    /// Certainly without effect, and may work later (429, 503, refused): try again inside the deadline.
    Retry {
        /// What the service said.
        reason: String,
        /// What it asked for.
        after: Option<Duration>,
    },
    /// The answer was lost, or contradicts what we know (409): look.
    Unknown(String),
    /// For good. Whatever it left carries the marker, and its own undo removes it.
    Failed(StepError),
}

impl<T> Outcome<T> {
    /// Done, with nothing to change in the domain.
    pub fn done(output: T) -> Self {
        Self::Done(Done { output, effects: Vec::new() })
    }
}

/// What a look found.
#[derive(Debug, Clone, PartialEq)]
pub enum Found<T> {
    /// There, complete and ours.
    Present(Done<T>),
    /// There or under way: look again later.
    Pending(String),
    /// Not there. Counts after an uncertain call only once the settle time has passed.
    Absent,
    /// There, but in a state that never becomes good (server in ERROR): the step has failed.
    Broken(StepError),
    /// Could not look.
    Unknown(String),
}

impl<T> Found<T> {
    /// Present, with nothing to change in the domain.
    pub fn present(output: T) -> Self {
        Self::Present(Done { output, effects: Vec::new() })
    }
}

/// What came of an undo.
#[derive(Debug, Clone, PartialEq)]
pub enum Undo {
    /// Nothing of the step is left (a note says what is kept on purpose).
    Done(Option<String>),
    /// Nothing of the step is left but what is kept on purpose; the domain rows change with it.
    Kept {
        /// What is kept, where, and why.
        note: String,
        /// Applied in the transaction that commits the undo.
        effects: Vec<DomainEffect>,
    },
    /// Under way: call undo again.
    Pending(String),
    /// Could not tell or not reach: call undo again inside the deadline.
    Retry(String),
    /// For good: the operation parks.
    Failed(StepError),
}

/// Outputs of the steps that are done.
#[derive(Debug, Default, Clone)]
pub struct Outputs(pub(crate) BTreeMap<String, Arc<Value>>);

impl Outputs {
    /// The typed output of a step.
    ///
    /// # Errors
    /// A [`StepError`] when the step has none or it has another form: a plan whose dependencies are wrong.
    pub fn get<T: DeserializeOwned>(&self, step: &str) -> Result<T, StepError> {
        let value = self.0.get(step).ok_or_else(|| {
            StepError::new(format!("step {step} has no output: it did not succeed"))
        })?;
        T::deserialize(value.as_ref()).map_err(|error| {
            StepError::new(format!("the output of step {step} cannot be read: {error}"))
        })
    }

    /// True if the step is done (a skipped or warned step has no output).
    pub fn has(&self, step: &str) -> bool {
        self.0.contains_key(step)
    }
}

/// One kind of step. Files read the same everywhere: doc, `Input`, `Output`, `run`, `find`, `undo`, tests.
#[async_trait]
pub trait Step: Send + Sync + 'static {
    /// Stable name; stored in plans.
    const KIND: &'static str;
    /// What the planner wrote.
    type Planned: Serialize + DeserializeOwned + Send + Sync;
    /// The resolved input: written to the journal before the effect, all that find and undo may read.
    type Input: Serialize + DeserializeOwned + Send + Sync;
    /// What later steps and `result_data` get.
    type Output: Serialize + DeserializeOwned + Send + Sync;

    /// Adds outputs of earlier steps to the planned input. Pure.
    ///
    /// # Errors
    /// When an output is missing.
    fn resolve(&self, planned: Self::Planned, outputs: &Outputs) -> Result<Self::Input, StepError>;
    /// Makes the effect. Called only when nothing of this step exists for certain.
    async fn run(&self, cx: &StepCx, input: &Self::Input) -> Outcome<Self::Output>;
    /// Looks for the effect by its marker; never changes anything.
    async fn find(&self, cx: &StepCx, input: &Self::Input) -> Found<Self::Output>;
    /// Takes the effect back; looks first, copes with "nothing was made", may be repeated.
    async fn undo(&self, cx: &StepCx, input: &Self::Input, output: Option<Self::Output>) -> Undo;

    /// How often to look while it is under way.
    fn poll(&self) -> Duration {
        Duration::from_millis(500)
    }

    /// How long after a lost answer the effect may still land.
    fn settle(&self) -> Duration {
        Duration::from_secs(5)
    }
}

/// A [`Step`] with its types erased. Made by [`Erased`].
#[async_trait]
pub trait DynStep: Send + Sync {
    /// See [`Step::KIND`].
    fn kind(&self) -> &'static str;
    /// See [`Step::resolve`].
    ///
    /// # Errors
    /// When an output is missing or the planned input has another form.
    fn resolve(&self, planned: &Value, outputs: &Outputs) -> Result<Value, StepError>;
    /// See [`Step::run`].
    async fn run(&self, cx: &StepCx, input: &Value) -> Outcome<Value>;
    /// See [`Step::find`].
    async fn find(&self, cx: &StepCx, input: &Value) -> Found<Value>;
    /// See [`Step::undo`].
    async fn undo(&self, cx: &StepCx, input: &Value, output: Option<&Value>) -> Undo;
    /// See [`Step::poll`].
    fn poll(&self) -> Duration;
    /// See [`Step::settle`].
    fn settle(&self) -> Duration;
}

/// Erases the types of a step.
pub struct Erased<S>(pub S);

fn decode<T: DeserializeOwned>(what: &str, value: &Value) -> Result<T, StepError> {
    T::deserialize(value)
        .map_err(|e| StepError::new(format!("the stored {what} cannot be read: {e}")))
}

fn encode<T: Serialize>(done: Done<T>) -> Result<Done<Value>, StepError> {
    let output = serde_json::to_value(&done.output)
        .map_err(|e| StepError::new(format!("the output cannot be stored: {e}")))?;
    Ok(Done { output, effects: done.effects })
}

#[async_trait]
impl<S: Step> DynStep for Erased<S> {
    fn kind(&self) -> &'static str {
        S::KIND
    }

    fn resolve(&self, planned: &Value, outputs: &Outputs) -> Result<Value, StepError> {
        let input = self.0.resolve(decode("plan", planned)?, outputs)?;
        serde_json::to_value(&input)
            .map_err(|e| StepError::new(format!("the input cannot be stored: {e}")))
    }

    async fn run(&self, cx: &StepCx, input: &Value) -> Outcome<Value> {
        let input = match decode("input", input) {
            Ok(input) => input,
            Err(error) => return Outcome::Failed(error),
        };
        match self.0.run(cx, &input).await {
            Outcome::Done(done) => match encode(done) {
                Ok(done) => Outcome::Done(done),
                Err(error) => Outcome::Failed(error),
            },
            Outcome::Pending(why) => Outcome::Pending(why),
            Outcome::Retry { reason, after } => Outcome::Retry { reason, after },
            Outcome::Unknown(why) => Outcome::Unknown(why),
            Outcome::Failed(error) => Outcome::Failed(error),
        }
    }

    async fn find(&self, cx: &StepCx, input: &Value) -> Found<Value> {
        let input = match decode("input", input) {
            Ok(input) => input,
            Err(error) => return Found::Broken(error),
        };
        match self.0.find(cx, &input).await {
            Found::Present(done) => match encode(done) {
                Ok(done) => Found::Present(done),
                Err(error) => Found::Broken(error),
            },
            Found::Pending(why) => Found::Pending(why),
            Found::Absent => Found::Absent,
            Found::Broken(error) => Found::Broken(error),
            Found::Unknown(why) => Found::Unknown(why),
        }
    }

    async fn undo(&self, cx: &StepCx, input: &Value, output: Option<&Value>) -> Undo {
        let decoded = decode("input", input).and_then(|input| {
            output.map(|o| decode("output", o)).transpose().map(|output| (input, output))
        });
        match decoded {
            Ok((input, output)) => self.0.undo(cx, &input, output).await,
            Err(error) => Undo::Failed(error),
        }
    }

    fn poll(&self) -> Duration {
        self.0.poll()
    }

    fn settle(&self) -> Duration {
        self.0.settle()
    }
}

/// A kind of operation in one version: its steps, and what its end means for the domain.
pub trait Definition: Send + Sync {
    /// Stable name; stored in plans.
    fn name(&self) -> &str;
    /// Stored in plans.
    fn version(&self) -> u32;
    /// The step of a kind.
    fn step(&self, kind: &str) -> Option<Arc<dyn DynStep>>;
    /// Domain changes that commit with the operation's end. `unwound`: everything was undone.
    fn on_end(&self, plan: &Plan, status: OperationStatus, unwound: bool) -> Vec<DomainEffect>;
    /// What a step of this kind leaves behind when it is not undone, or left out.
    fn if_left(&self, _kind: &str) -> IfLeft {
        IfLeft::Writer
    }
    /// A step of this kind only looks at the site that is left: when that site is dead and the operation was taken over,
    /// not to be able to look is a warning.
    fn may_go_unseen(&self, _kind: &str) -> bool {
        false
    }
    /// Domain changes that commit with the end of an operation that a person abandoned: to a state that is proven, or
    /// none. A group that is left in a running state becomes `error`.
    fn on_abandon(&self, state: &State) -> Vec<DomainEffect> {
        state.proven_origin(self)
    }
    /// The record's `result_data`: pure, from plan and journal.
    fn result_data(&self, state: &State) -> Value;
    /// A last look, when the operation is about to end: what is left of it though it should not be. Changes nothing and
    /// cannot fail; what could not be looked at is said so. `None`: this definition does not look.
    fn last_look<'a>(
        &'a self,
        _operation: OperationId,
        _state: &'a State,
    ) -> BoxFuture<'a, Option<Value>> {
        Box::pin(std::future::ready(None))
    }
}
