//! `/volumes/batch` (2.32): many volumes in one call, all or none.

use serde_json::Value;

use super::{Call, NewVolume, Reply, missing};
use crate::array::{
    error::{Outcome, Refused},
    model::*,
    volumes::reference,
};

pub(super) fn create(call: &mut Call<'_>) -> Outcome<Reply> {
    let overwrite = call.q.is("overwrite")?;
    let with_default = call.q.flag("with_default_protection")?;
    let strict = call.strict().refuse_overwrite_with_protection;
    let Some(wanted) = call.body.as_array().cloned() else {
        return Err(Refused::request("The body must be an array."));
    };
    let grouped = wanted.iter().any(|v| v.get("add_to_protection_groups").is_some());
    if overwrite && strict && (with_default.is_some() || grouped) {
        return Err(Refused::request(
            "Invalid parameter combination: overwrite cannot be used with with_default_protection \
             or add_to_protection_groups.",
        ));
    }
    check(call, &wanted, overwrite)?;
    let mut made = Vec::new();
    for volume in &wanted {
        let name = volume["name"].as_str().unwrap_or("");
        let wish = NewVolume {
            overwrite,
            with_default: with_default.unwrap_or(true),
            groups: groups(call, volume)?,
        };
        let source = call.source(volume)?;
        match call.make_volume(name, volume, source.as_ref(), &wish) {
            Ok(key) => made.push(key),
            Err(refused) => {
                call.unmake(&made, overwrite);
                return Err(refused);
            }
        }
    }
    Ok(Reply::Items(call.volume_items(&made)))
}

/// What can be said before anything is made: every error, one per volume.
fn check(call: &Call<'_>, wanted: &[Value], overwrite: bool) -> Outcome<()> {
    let mut seen = std::collections::BTreeSet::new();
    let results = wanted.iter().map(|volume| {
        let Some(name) = volume["name"].as_str() else { return Err(missing("name")) };
        call.f.place_of(call.at, name)?;
        if !seen.insert(name.to_lowercase()) {
            return Err(Refused::of(name, "Volume is named twice."));
        }
        if !overwrite && call.f.find(call.at, Kind::Volume, name).is_some() {
            return Err(Refused::of(name, "Volume already exists."));
        }
        call.source(volume)?;
        groups(call, volume).map(|_| ())
    });
    super::collect(results.collect::<Vec<_>>().into_iter()).map(|_| ())
}

fn groups(call: &Call<'_>, volume: &Value) -> Outcome<Vec<Key>> {
    let wanted = volume.get("add_to_protection_groups").and_then(Value::as_array);
    let one = |group: &Value| match reference(Some(group)) {
        Some((name, true)) => call.f.need(call.at, Kind::Group, name),
        Some((id, false)) => call.f.by_id(call.at, Kind::Group, id),
        None => Err(missing("add_to_protection_groups")),
    };
    wanted.into_iter().flatten().map(one).collect()
}
