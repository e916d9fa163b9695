//! The last look of an operation: what it made, at both clouds and both arrays, that should not be there any more. It
//! reads only, and cannot fail: a place that could not be looked at is said so in `result_data.leaked`.
//!
//! Accounted for is what a done step gave out. Everything else with this operation's marker is a leak, and so is what an
//! undone step had made and is still there (a finished server carries no marker any more: the journal knows its id).

use std::collections::{BTreeMap, BTreeSet};

use protector_ports::{PortResult, VolumeKey, absent_as_none};
use protector_types::OperationId;
use protector_workflow::{State, StepState};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    deps::{ArrayPlace, Deps, Place},
    marked::{self, Kind},
    steps::{clone_volume, create_port, create_security_group, manage_volume},
};

/// What is accounted for, and what must be gone, by kind and id.
#[derive(Debug, Default)]
struct Books {
    kept: BTreeSet<(Kind, String)>,
    gone: BTreeMap<(Kind, String), Where>,
}

/// Where something was made.
#[derive(Debug, Clone)]
enum Where {
    Cloud(Place),
    Array(ArrayPlace),
}

/// What is left, as `result_data.leaked` shows it.
pub async fn last_look(deps: &Deps, operation: OperationId, state: &State) -> Option<Value> {
    let (clouds, arrays) = places(state);
    let books = books(state);
    let mut leaked: Vec<String> = Vec::new();
    let in_clouds = futures::future::join_all(
        clouds.iter().map(|place| in_cloud(deps, operation, place, &books)),
    );
    let on_arrays = futures::future::join_all(
        arrays.iter().map(|place| on_array(deps, operation, *place, &books)),
    );
    let gone = futures::future::join_all(
        books.gone.iter().map(|((kind, id), place)| still_there(deps, *kind, id, place)),
    );
    let (in_clouds, on_arrays, gone) = futures::join!(in_clouds, on_arrays, gone);
    leaked.extend(in_clouds.into_iter().chain(on_arrays).flatten());
    for (id, words) in gone.into_iter().flatten() {
        // Its marker may have told already.
        if !leaked.iter().any(|told| told.contains(&id)) {
            leaked.push(words);
        }
    }
    Some(json!(leaked))
}

/// Every place that a step of the plan works at.
fn places(state: &State) -> (Vec<Place>, Vec<ArrayPlace>) {
    let (mut clouds, mut arrays) = (Vec::new(), Vec::new());
    for step in &state.plan().steps {
        let Some(input) = step.input.as_object() else { continue };
        for value in input.values() {
            if let Some(place) = parsed::<Place>(value)
                && !clouds.contains(&place)
            {
                clouds.push(place);
            }
            if let Some(place) = parsed::<ArrayPlace>(value)
                && !arrays.contains(&place)
            {
                arrays.push(place);
            }
        }
    }
    (clouds, arrays)
}

fn parsed<T: DeserializeOwned>(value: &Value) -> Option<T> {
    value.is_object().then(|| T::deserialize(value).ok()).flatten()
}

fn books(state: &State) -> Books {
    let plan = state.plan();
    let mut books = Books::default();
    for (index, step) in plan.steps.iter().enumerate() {
        let made = made(state, &step.kind, &step.id);
        let input = step.input.as_object();
        let place = input.and_then(|i| i.get("place")).and_then(parsed::<Place>);
        let array = input.and_then(|i| i.get("array")).and_then(parsed::<ArrayPlace>);
        match state.step(index) {
            StepState::Done => books.kept.extend(made),
            StepState::Undone => {
                for (kind, id) in made {
                    let place = match kind {
                        Kind::ArrayVolume => array.map(Where::Array),
                        _ => place.clone().map(Where::Cloud),
                    };
                    if let Some(place) = place {
                        books.gone.insert((kind, id), place);
                    }
                }
            }
            // The definition's own words tell of what could not be undone, or was left by a person.
            StepState::UndoFailed | StepState::Skipped => books.kept.extend(made),
            _ => {}
        }
    }
    books
}

/// What a step gave out.
fn made(state: &State, kind: &str, step: &str) -> Vec<(Kind, String)> {
    let outputs = state.outputs();
    let one = |kind, id: Option<String>| id.map(|id| (kind, id)).into_iter().collect();
    match kind {
        "create_server" => one(Kind::Server, outputs.get(step).ok()),
        "create_port" => {
            one(Kind::Port, outputs.get::<create_port::Output>(step).ok().map(|o| o.port_id))
        }
        "create_security_group" => {
            let output = outputs.get::<create_security_group::Output>(step).ok();
            one(Kind::SecurityGroup, output.filter(|o| o.made).map(|o| o.id))
        }
        "manage_volume" => {
            let output = outputs.get::<manage_volume::Output>(step).ok();
            one(Kind::Volume, output.map(|o| o.volume_id))
        }
        "clone_volume" => {
            let output = outputs
                .get::<<clone_volume::CloneVolume as protector_workflow::Step>::Output>(step);
            one(Kind::ArrayVolume, output.ok().map(|o| o.serial))
        }
        _ => Vec::new(),
    }
}

async fn in_cloud(
    deps: &Deps,
    operation: OperationId,
    place: &Place,
    books: &Books,
) -> Vec<String> {
    let look = async { marked::in_project(place.cloud(deps).await?.as_ref()).await };
    let found = match look.await {
        Ok(found) => found,
        Err(error) => return vec![not_looked("cloud", place.site, &error)],
    };
    let short = operation.short();
    let ours = found.into_iter().filter(|thing| {
        marked::parts(&thing.marker).is_some_and(|(of, _)| of == short)
            && !books.kept.contains(&(thing.kind, thing.id.clone()))
    });
    ours.map(|thing| leak(place.site, thing)).collect()
}

async fn on_array(
    deps: &Deps,
    operation: OperationId,
    place: ArrayPlace,
    books: &Books,
) -> Vec<String> {
    let look = async { marked::on_array(place.array(deps).await?.as_ref(), operation).await };
    let found = match look.await {
        Ok(found) => found,
        Err(error) => return vec![not_looked("array", place.site, &error)],
    };
    let unknown =
        found.into_iter().filter(|thing| !books.kept.contains(&(thing.kind, thing.id.clone())));
    unknown.map(|thing| leak(place.site, thing)).collect()
}

fn leak(site: protector_types::SiteId, thing: marked::Marked) -> String {
    format!(
        "{} {} ({}) at site {site} carries the marker {} and no step accounts for it",
        thing.kind.words(),
        thing.name,
        thing.id,
        thing.marker
    )
}

fn not_looked(what: &str, site: protector_types::SiteId, error: &impl ToString) -> String {
    format!("the {what} of site {site} could not be looked at: {}", error.to_string())
}

/// What an undone step had made, by its id and in words, if it is still there.
async fn still_there(deps: &Deps, kind: Kind, id: &str, place: &Where) -> Option<(String, String)> {
    let (site, there) = match place {
        Where::Cloud(place) => (place.site, in_cloud_by_id(deps, kind, id, place).await),
        Where::Array(place) => (place.site, on_array_by_serial(deps, id, *place).await),
    };
    // Where it could not be looked, the lists say so.
    there.unwrap_or(false).then(|| {
        let words = format!("{} {id} at site {site} was undone and is still there", kind.words());
        (id.to_owned(), words)
    })
}

async fn in_cloud_by_id(deps: &Deps, kind: Kind, id: &str, place: &Place) -> PortResult<bool> {
    let cloud = place.cloud(deps).await?;
    Ok(match kind {
        Kind::Server => absent_as_none(cloud.compute().server(id).await)?
            .is_some_and(|s| !matches!(s.status.as_str(), "DELETED" | "SOFT_DELETED")),
        Kind::Port => absent_as_none(cloud.networking().port(id).await)?.is_some(),
        Kind::Volume => absent_as_none(cloud.block_storage().volume(id).await)?.is_some(),
        Kind::SecurityGroup => {
            cloud.networking().security_groups().await?.iter().any(|g| g.id == id)
        }
        Kind::ArrayVolume => false,
    })
}

async fn on_array_by_serial(deps: &Deps, serial: &str, place: ArrayPlace) -> PortResult<bool> {
    let array = place.array(deps).await?;
    let found = absent_as_none(array.volume(&VolumeKey::Serial(serial.to_owned())).await)?;
    Ok(found.is_some_and(|volume| !volume.destroyed))
}
