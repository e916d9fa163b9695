//! Which recovery point an operation brings up: the one place that chooses. Pure.

use std::collections::BTreeSet;

use protector_ports::RecoveryPoint;

/// True if the name means this point: in full, or its last part.
fn is_named(point: &RecoveryPoint, wanted: &str) -> bool {
    point.name == wanted || point.name.rsplit('.').next() == Some(wanted)
}

/// The named point, or the newest one by source time that is complete and holds all of these volumes: one moment for
/// the whole group.
///
/// # Errors
/// In words, why there is none.
pub fn choose<'a>(
    points: &'a [RecoveryPoint],
    volumes: &[String],
    named: Option<&str>,
) -> Result<&'a RecoveryPoint, String> {
    if let Some(wanted) = named {
        let point = points.iter().find(|p| is_named(p, wanted)).ok_or_else(|| {
            format!("there is no recovery point {wanted:?} on the target array; see recovery-points for those that are")
        })?;
        return why_unusable(point, volumes).map_or(Ok(point), Err);
    }
    let usable = points.iter().filter(|p| p.is_usable_for(volumes)).max_by_key(|p| p.created);
    usable.ok_or_else(|| match newest_complete(points) {
        Some(point) => why_unusable(point, volumes).unwrap_or_default(),
        None => {
            "no replicated snapshot has arrived completely on the target array yet; see the group's health, and run \
             sync_volumes while the source works"
                .into()
        }
    })
}

/// The newest point whose transfer is complete, whatever it holds.
pub fn newest_complete(points: &[RecoveryPoint]) -> Option<&RecoveryPoint> {
    points.iter().filter(|p| p.is_usable_for([])).max_by_key(|p| p.created)
}

/// Volumes of these that the point does not hold.
pub fn missing<'a>(point: &RecoveryPoint, volumes: &'a [String]) -> BTreeSet<&'a str> {
    volumes.iter().filter(|v| !point.volumes.contains(*v)).map(String::as_str).collect()
}

fn why_unusable(point: &RecoveryPoint, volumes: &[String]) -> Option<String> {
    if !point.is_usable_for([]) {
        return Some(format!(
            "recovery point {} has not arrived completely ({}.{}% sent)",
            point.name,
            point.progress_milli / 10,
            point.progress_milli % 10
        ));
    }
    let missing = missing(point, volumes);
    if missing.is_empty() {
        return None;
    }
    let missing: Vec<_> = missing.into_iter().collect();
    Some(format!(
        "recovery point {} does not hold all volumes of the group: {} joined later",
        point.name,
        missing.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    fn point(name: &str, minute: i64, complete: bool, volumes: &[&str]) -> RecoveryPoint {
        let created = DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
        RecoveryPoint {
            name: format!("array-a:protector-g.{name}"),
            created,
            completed: complete.then_some(created),
            progress_milli: if complete { 1000 } else { 400 },
            volumes: volumes.iter().map(|v| (*v).to_owned()).collect(),
        }
    }

    fn volumes() -> Vec<String> {
        vec!["v1".into(), "v2".into()]
    }

    #[test]
    fn the_newest_point_that_is_complete_and_whole_is_chosen() {
        let points = [
            point("4", 4, false, &[]),
            point("3", 3, true, &["v1"]),
            point("1", 1, true, &["v1", "v2"]),
            point("2", 2, true, &["v1", "v2", "v3"]),
        ];
        let chosen = choose(&points, &volumes(), None).unwrap();
        assert_eq!(chosen.name, "array-a:protector-g.2");
    }

    #[test]
    fn a_named_point_is_taken_as_it_is_or_refused_in_words() {
        let points = [point("2", 2, true, &["v1", "v2"]), point("1", 1, true, &["v1"])];
        assert_eq!(choose(&points, &volumes(), Some("2")).unwrap().created, points[0].created);
        let full = points[0].name.clone();
        assert_eq!(choose(&points, &volumes(), Some(&full)).unwrap().name, full);
        assert!(choose(&points, &volumes(), Some("1")).unwrap_err().contains("v2"));
        assert!(choose(&points, &volumes(), Some("9")).unwrap_err().contains("\"9\""));
    }

    #[test]
    fn without_a_point_the_reason_is_said() {
        assert!(choose(&[], &volumes(), None).unwrap_err().contains("no replicated snapshot"));
        let half = [point("1", 1, false, &[])];
        assert!(choose(&half, &volumes(), None).unwrap_err().contains("no replicated snapshot"));
        let part = [point("1", 1, true, &["v1"])];
        assert!(choose(&part, &volumes(), None).unwrap_err().contains("v2"));
    }
}
