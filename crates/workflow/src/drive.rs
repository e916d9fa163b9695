//! Drives one step from its committed intent to a definite outcome: run, look, wait, look again.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use protector_types::{Clock, DomainEffect, Rng, SplitMix};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{Done, DynStep, FaultHook, Found, Lease, Outcome, StepCx, StepError, Undo};

/// How a drive ended.
#[derive(Debug, Clone, PartialEq)]
pub enum DriveEnd {
    /// Verified.
    Done {
        /// Output and effects.
        done: Done<Value>,
        /// Found by a look.
        adopted: bool,
    },
    /// Failed for good.
    Failed {
        /// Why.
        error: StepError,
        /// Transient failures before.
        retries: u32,
    },
    /// Patience ended while the truth was unknown: a person is needed.
    Unclear {
        /// What was tried last.
        reason: String,
    },
    /// The operation turned around, or the lease was lost: the step stays started.
    Interrupted,
}

/// One step on its way.
pub struct Drive {
    /// The step.
    pub step: Arc<dyn DynStep>,
    /// Its context.
    pub cx: StepCx,
    /// Resolved input.
    pub input: Arc<Value>,
    /// End of patience.
    pub deadline_at: DateTime<Utc>,
    /// An earlier engine may have made the effect already.
    pub resumed: bool,
    /// Our right to go on.
    pub lease: Lease,
    /// Stop waiting, leave things as they are.
    pub interrupt: CancellationToken,
    /// Test hook.
    pub hook: Arc<dyn FaultHook>,
}

enum Phase {
    Run,
    Look {
        /// Absent does not count before this moment.
        settled_at: Duration,
    },
}

enum Next {
    Phase(Phase),
    End(DriveEnd),
}

/// What the world said last.
struct Word {
    last: String,
    /// The effect may be there or may still land.
    unclear: bool,
    retries: u32,
}

impl Word {
    fn say(&mut self, what: String, unclear: bool) {
        (self.last, self.unclear) = (what, unclear);
    }
}

impl Drive {
    fn clock(&self) -> &Arc<dyn Clock> {
        self.cx.clock()
    }

    fn out_of_time(&self) -> bool {
        self.clock().now() >= self.deadline_at
    }

    fn stopped(&self) -> bool {
        self.interrupt.is_cancelled() || !self.lease.is_held()
    }

    /// Sleeps; false when it was interrupted.
    async fn pause(&self, duration: Duration) -> bool {
        tokio::select! {
            () = self.clock().sleep(duration) => true,
            () = self.interrupt.cancelled() => false,
        }
    }

    fn backoff(&self, attempt: u32) -> Duration {
        let base = Duration::from_millis(250).saturating_mul(1 << attempt.min(6));
        let jitter = SplitMix::keyed(u64::from(attempt), &self.cx.marker()).next_f64();
        base.min(Duration::from_secs(15)).mul_f64(0.75 + jitter / 2.0)
    }

    /// A pause that a service asked for, but not beyond the deadline.
    async fn wait_to_retry(&self, attempt: u32, asked: Option<Duration>) -> bool {
        let left = (self.deadline_at - self.clock().now()).to_std().unwrap_or_default();
        self.pause(self.backoff(attempt).max(asked.unwrap_or_default()).min(left)).await
    }

    /// To the end.
    pub async fn forward(self) -> DriveEnd {
        let mut word = Word {
            last: String::from("an earlier engine started it"),
            unclear: self.resumed,
            retries: 0,
        };
        let mut phase = if self.resumed { self.look_from_now() } else { Phase::Run };
        loop {
            if self.stopped() {
                return DriveEnd::Interrupted;
            }
            let next = match phase {
                Phase::Run => self.run_once(&mut word).await,
                Phase::Look { settled_at } => self.look_once(settled_at, &mut word).await,
            };
            match next {
                Next::Phase(next) => phase = next,
                Next::End(end) => return end,
            }
        }
    }

    fn look_from_now(&self) -> Phase {
        Phase::Look { settled_at: self.clock().monotonic() + self.step.settle() }
    }

    fn give_up(&self, word: &Word) -> Next {
        let reason = format!("no end within the deadline; last: {}", word.last);
        Next::End(if word.unclear {
            DriveEnd::Unclear { reason }
        } else {
            DriveEnd::Failed { error: StepError::new(reason), retries: word.retries }
        })
    }

    async fn run_once(&self, word: &mut Word) -> Next {
        if self.out_of_time() {
            return self.give_up(word);
        }
        self.hook.reached("step.before_run", self.cx.step_id());
        let outcome = self.step.run(&self.cx, &self.input).await;
        self.hook.reached("step.after_run", self.cx.step_id());
        match outcome {
            Outcome::Done(done) => Next::End(DriveEnd::Done { done, adopted: false }),
            Outcome::Failed(error) => Next::End(DriveEnd::Failed { error, retries: word.retries }),
            Outcome::Pending(why) => {
                word.say(why, false);
                let look = self.look_from_now();
                self.after(self.pause(self.step.poll()).await, look)
            }
            Outcome::Unknown(why) => {
                word.say(why, true);
                Next::Phase(self.look_from_now())
            }
            Outcome::Retry { reason, after } => {
                word.say(reason, false);
                word.retries += 1;
                self.after(self.wait_to_retry(word.retries, after).await, Phase::Run)
            }
        }
    }

    /// One look. The deadline counts only after it: who comes late still gets to know what is there.
    async fn look_once(&self, settled_at: Duration, word: &mut Word) -> Next {
        let phase = Phase::Look { settled_at };
        match self.step.find(&self.cx, &self.input).await {
            Found::Present(done) => Next::End(DriveEnd::Done { done, adopted: true }),
            Found::Broken(error) => Next::End(DriveEnd::Failed { error, retries: word.retries }),
            Found::Pending(why) => {
                word.say(why, false);
                if self.out_of_time() {
                    return self.give_up(word);
                }
                self.after(self.pause(self.step.poll()).await, phase)
            }
            Found::Absent if self.clock().monotonic() >= settled_at => {
                word.unclear = false;
                word.retries += 1;
                Next::Phase(Phase::Run)
            }
            // The settle time is short, and ends the doubt: it is waited for beyond the deadline.
            Found::Absent => {
                let left = settled_at.saturating_sub(self.clock().monotonic());
                self.after(self.pause(self.step.poll().min(left)).await, phase)
            }
            Found::Unknown(why) => {
                word.say(why, true);
                if self.out_of_time() {
                    return self.give_up(word);
                }
                word.retries += 1;
                self.after(self.wait_to_retry(word.retries, None).await, phase)
            }
        }
    }

    fn after(&self, paused: bool, phase: Phase) -> Next {
        if paused { Next::Phase(phase) } else { Next::End(DriveEnd::Interrupted) }
    }

    /// Back. `uncertain`: the last call may still land, so the undo waits for it to settle first. Tries at least once.
    pub async fn backward(self, output: Option<Arc<Value>>, uncertain: bool) -> UndoEnd {
        if uncertain && !self.pause(self.step.settle()).await {
            return UndoEnd::Interrupted;
        }
        let mut attempt = 0u32;
        loop {
            if self.stopped() {
                return UndoEnd::Interrupted;
            }
            self.hook.reached("step.before_undo", self.cx.step_id());
            let result = self.step.undo(&self.cx, &self.input, output.as_deref()).await;
            self.hook.reached("step.after_undo", self.cx.step_id());
            let (pause, why) = match result {
                Undo::Done(note) => return UndoEnd::Undone { note, effects: Vec::new() },
                Undo::Kept { note, effects } => {
                    return UndoEnd::Undone { note: Some(note), effects };
                }
                Undo::Failed(error) => return UndoEnd::Failed(error),
                Undo::Pending(why) => (self.step.poll(), why),
                Undo::Retry(why) => {
                    attempt += 1;
                    (self.backoff(attempt), why)
                }
            };
            if self.out_of_time() {
                return UndoEnd::Failed(StepError::new(format!(
                    "no end within the deadline; last: {why}"
                )));
            }
            if !self.pause(pause).await {
                return UndoEnd::Interrupted;
            }
        }
    }
}

/// How an undo ended.
#[derive(Debug, Clone, PartialEq)]
pub enum UndoEnd {
    /// Nothing is left.
    Undone {
        /// What is kept on purpose.
        note: Option<String>,
        /// Applied in the transaction that commits it.
        effects: Vec<DomainEffect>,
    },
    /// For good.
    Failed(StepError),
    /// The lease was lost.
    Interrupted,
}
