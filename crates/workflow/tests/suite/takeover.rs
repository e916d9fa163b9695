//! An operation that was taken over from a dead site: looks at that site are given up soon, with a warning.

use protector_workflow::{RunEnd, StepState};

use crate::{
    holes::{completed, deaf, failed, rolled_back},
    stage::{Acts, Theatre},
};

/// "unseen" only looks at the site that is left.
fn theatre(look: Acts) -> Theatre {
    Theatre::new().step("unseen", &[], look).step("end", &["unseen"], Acts::default())
}

#[test]
fn not_to_be_able_to_look_is_a_warning_once_it_was_taken_over() {
    assert!(matches!(theatre(deaf()).run(), RunEnd::Parked(_)), "its own engine asks a person");
    let mut taken = theatre(deaf());
    taken.config.look_first = true;
    assert_eq!(taken.run(), completed());
    assert_eq!(*taken.state().step(1), StepState::Done);
    assert!(taken.seconds() < 30, "{} s of a minute's patience", taken.seconds());
}

#[test]
fn what_the_dead_engine_had_begun_is_given_up_as_soon() {
    let mut taken = theatre(deaf());
    taken.plan.steps[0].deadline_sec = 3600;
    let (_lease, _sender, dying) = taken.engine();
    taken.play(async {
        tokio::select! {
            biased;
            end = dying => panic!("{end:?}"),
            () = taken.sleep(30) => {}
        }
    });
    taken.config.look_first = true;
    assert_eq!(taken.run(), completed());
    assert!(taken.seconds() < 90, "{} s", taken.seconds());
}

#[test]
fn what_a_look_does_see_still_counts() {
    let mut taken = theatre(Acts::default().run(|_| async { failed() }).find(|_| async {
        protector_workflow::Found::Broken(protector_workflow::StepError::new("it writes"))
    }));
    taken.config.look_first = true;
    assert_eq!(taken.run(), rolled_back());
}
