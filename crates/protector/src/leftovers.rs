//! `protector leftovers`: what operations that have ended left behind, and its removal.

use std::fmt::Write as _;

use protector_server::{Protector, Sweep};
use protector_types::OperationId;

/// Looks, removes if it was asked to, prints. 0: nothing is left that could be removed, and every place was looked at;
/// 1: something is.
pub async fn run(
    protector: Protector,
    remove: bool,
    json: bool,
    operation: Option<OperationId>,
) -> anyhow::Result<i32> {
    let sweep = protector.leftovers(remove, operation).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&sweep)?);
    } else {
        print!("{}", words(&sweep, remove));
    }
    let open = sweep.leftovers.iter().any(|leftover| {
        leftover.kept_because.is_none() && leftover.outcome.as_deref() != Some("removed")
    });
    Ok(i32::from(open || !sweep.not_looked.is_empty()))
}

fn words(sweep: &Sweep, remove: bool) -> String {
    let mut text = String::new();
    for leftover in &sweep.leftovers {
        let thing = &leftover.thing;
        let kind = serde_json::to_value(thing.kind).unwrap_or_default();
        let operation = leftover
            .operation_id
            .map_or_else(|| "unknown operation".to_owned(), |id| id.to_string());
        let what = match (&leftover.kept_because, &leftover.outcome) {
            (Some(why), _) => format!("kept: {why}"),
            (None, Some(outcome)) => outcome.clone(),
            (None, None) => "may be removed".to_owned(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<15} {}  {:<30} site {}  {operation}\n                {what}",
            kind.as_str().unwrap_or_default(),
            thing.id,
            thing.name,
            leftover.site_id
        );
    }
    for what in &sweep.not_looked {
        let _ = writeln!(text, "not looked at: {what}");
    }
    let removable = sweep.leftovers.iter().filter(|l| l.kept_because.is_none()).count();
    let _ = match (sweep.leftovers.len(), remove) {
        (0, _) => writeln!(text, "nothing carries the marker of an operation that has ended"),
        (all, true) => writeln!(text, "{all} found, {removable} of them to be removed"),
        (all, false) => writeln!(
            text,
            "{all} found, {removable} may be removed; nothing was changed: run it again with --remove"
        ),
    };
    text
}
