//! The model's own test: the product's decisions pass, and every planted mistake is caught.
#![allow(clippy::unwrap_used, reason = "tests")]

use protector_model::{Budget, Planted, Protocol, Rules, check, first_failure};

#[test]
fn the_products_decisions_hold_in_every_state() {
    let mut seen = std::collections::BTreeMap::new();
    for (name, budget) in Budget::small() {
        let report = check(&Protocol { rules: Rules::default(), budget });
        println!("{name}: {report}");
        assert_eq!(report.failure(), None, "{name}");
        for (property, _, holds) in report.properties {
            *seen.entry(property).or_insert(false) |= holds;
        }
    }
    // What only *may* happen need not happen in each configuration, but in one of them.
    let never: Vec<_> = seen.iter().filter(|(_, seen)| !**seen).collect();
    assert!(never.is_empty(), "never reached: {never:?}");
}

#[test]
fn every_planted_mistake_is_caught() {
    for planted in Planted::ALL {
        let caught = Budget::small().into_iter().find_map(|(name, budget)| {
            let model = Protocol { rules: Rules(Some(planted)), budget };
            first_failure(&model).map(|why| (name, why))
        });
        let (name, why) = caught.unwrap_or_else(|| panic!("{planted:?} was not caught"));
        println!("{planted:?} is caught by {name:?}: {why}");
    }
}
