//! The REST operations: what each end point does with the state.

use serde_json::{Value, json};

use super::{
    contract::Level,
    error::{Outcome, Refused},
    fabric::Fabric,
    model::*,
    query::{self, Query, Row},
};

mod arrays;
mod connections;
mod group_members;
mod group_snapshots;
mod groups;
mod hosts;
mod pods;
mod settings;
mod snapshots;
mod tags;
mod targets;
mod volume_batch;
mod volumes;

pub(crate) use volumes::NewVolume;

/// One authenticated call.
pub(crate) struct Call<'a> {
    /// All arrays.
    pub f: &'a mut Fabric,
    /// The array that was called.
    pub at: Key,
    /// Account.
    pub user: &'a str,
    /// Query string.
    pub q: &'a Query,
    /// Body; an empty object when there was none.
    pub body: &'a Value,
    /// The 2.X of the path.
    pub minor: u32,
    /// Fields of the answer's items.
    pub answer: &'static Level,
}

/// What a call gives.
pub(crate) enum Reply {
    /// Items that were made or changed.
    Items(Vec<Value>),
    /// A page of a list, pruned already.
    Page(Value),
    /// 200 and nothing.
    Empty,
}

/// Does what `method` on `path` (without `/api/2.X`) says.
pub(crate) fn dispatch(call: &mut Call<'_>, method: &str, path: &str) -> Outcome<Reply> {
    match (method, path) {
        ("GET", "/volumes") => volumes::list(call),
        ("POST", "/volumes") => volumes::create(call),
        ("PATCH", "/volumes") => volumes::change(call),
        ("DELETE", "/volumes") => call.eradicate_all(Kind::Volume),
        ("POST", "/volumes/batch") => volume_batch::create(call),
        ("GET", "/volumes/space") => volumes::space(call),
        ("GET", "/volumes/performance") => volumes::performance(call),
        ("GET", "/volumes/tags") => tags::list(call),
        ("DELETE", "/volumes/tags") => tags::remove(call),
        ("PUT", "/volumes/tags/batch") => tags::put(call),
        ("GET", "/volume-snapshots") => snapshots::list(call),
        ("POST", "/volume-snapshots") => snapshots::create(call),
        ("PATCH", "/volume-snapshots") => snapshots::change(call),
        ("DELETE", "/volume-snapshots") => snapshots::eradicate(call),
        ("GET", "/volume-snapshots/transfer") => snapshots::transfer(call),
        ("GET", "/protection-groups") => groups::list(call),
        ("POST", "/protection-groups") => groups::create(call),
        ("PATCH", "/protection-groups") => groups::change(call),
        ("DELETE", "/protection-groups") => call.eradicate_all(Kind::Group),
        ("GET", "/protection-groups/volumes" | "/volumes/protection-groups") => {
            group_members::list(call)
        }
        ("POST", "/protection-groups/volumes" | "/volumes/protection-groups") => {
            group_members::add(call)
        }
        ("DELETE", "/protection-groups/volumes" | "/volumes/protection-groups") => {
            group_members::remove(call)
        }
        ("GET", "/protection-groups/targets") => targets::list(call),
        ("POST", "/protection-groups/targets") => targets::add(call),
        ("PATCH", "/protection-groups/targets") => targets::allow(call),
        ("DELETE", "/protection-groups/targets") => targets::remove(call),
        ("GET", "/protection-group-snapshots") => group_snapshots::list(call),
        ("POST", "/protection-group-snapshots") => group_snapshots::create(call),
        ("PATCH", "/protection-group-snapshots") => group_snapshots::change(call),
        ("DELETE", "/protection-group-snapshots") => call.eradicate_all(Kind::GroupSnapshot),
        ("GET", "/protection-group-snapshots/transfer") => group_snapshots::transfer(call),
        ("POST", "/protection-group-snapshots/replica") => group_snapshots::ship_again(call),
        ("GET", "/pods") => pods::list(call),
        ("POST", "/pods") => pods::create(call),
        ("PATCH", "/pods") => pods::change(call),
        ("DELETE", "/pods") => pods::eradicate(call),
        ("GET", "/pods/arrays" | "/pods/members") => pods::arrays(call),
        ("POST", "/pods/arrays" | "/pods/members") => pods::stretch(call),
        ("DELETE", "/pods/arrays" | "/pods/members") => pods::unstretch(call),
        ("GET", "/remote-pods" | "/pod-replica-links") => {
            call.page(Vec::<Key>::new(), |_, _| Row::from(json!({})))
        }
        ("GET", "/volume-groups") => groups::vgroup_list(call),
        ("POST", "/volume-groups") => groups::vgroup_create(call),
        ("PATCH", "/volume-groups") => groups::vgroup_change(call),
        ("DELETE", "/volume-groups") => groups::vgroup_eradicate(call),
        ("GET", "/volume-groups/volumes" | "/volumes/volume-groups") => {
            groups::vgroup_members(call)
        }
        ("GET", "/hosts") => hosts::list(call),
        ("POST", "/hosts") => hosts::create(call),
        ("PATCH", "/hosts") => hosts::change(call),
        ("DELETE", "/hosts") => hosts::remove(call),
        ("GET", "/host-groups") => hosts::group_list(call),
        ("POST", "/host-groups") => hosts::group_create(call),
        ("PATCH", "/host-groups") => hosts::group_rename(call),
        ("DELETE", "/host-groups") => hosts::group_remove(call),
        ("GET", "/host-groups/hosts" | "/hosts/host-groups") => hosts::members(call),
        ("POST", "/host-groups/hosts" | "/hosts/host-groups") => hosts::join(call),
        ("DELETE", "/host-groups/hosts" | "/hosts/host-groups") => hosts::leave(call),
        ("GET", "/connections") => connections::list(call),
        ("POST", "/connections") => connections::create(call),
        ("DELETE", "/connections") => connections::remove(call),
        _ => arrays::dispatch(call, method, path),
    }
}

impl Call<'_> {
    /// The objects that `names_key` or `ids_key` name; None when neither was sent.
    pub(crate) fn chosen(
        &self,
        kind: Kind,
        names_key: &str,
        ids_key: &str,
    ) -> Outcome<Option<Vec<Key>>> {
        match (self.q.list(names_key), self.q.list(ids_key)) {
            (Some(_), Some(_)) => Err(Refused::request(format!(
                "Invalid parameter combination: {names_key} and {ids_key} cannot be set together."
            ))),
            (Some(names), None) => {
                collect(names.iter().map(|name| self.f.need(self.at, kind, name))).map(Some)
            }
            (None, Some(ids)) => {
                collect(ids.iter().map(|id| self.f.by_id(self.at, kind, id))).map(Some)
            }
            (None, None) => Ok(None),
        }
    }

    /// The objects that `names` or `ids` name; one of both is required.
    pub(crate) fn required(&self, kind: Kind) -> Outcome<Vec<Key>> {
        match self.chosen(kind, "names", "ids")? {
            Some(keys) if !keys.is_empty() => Ok(keys),
            _ => Err(missing("names")),
        }
    }

    /// `names`, which are required.
    pub(crate) fn names(&self) -> Outcome<Vec<String>> {
        match self.q.list("names") {
            Some(names) if !names.is_empty() => Ok(names),
            _ => Err(missing("names")),
        }
    }

    /// What a list looks at: the named objects or all, destroyed or not as the query says.
    pub(crate) fn candidates(&self, kind: Kind) -> Outcome<Vec<Key>> {
        let keys = match self.chosen(kind, "names", "ids")? {
            Some(keys) => keys,
            None => {
                let prefix = self.q.filter()?.and_then(|f| f.name_prefix()).unwrap_or_default();
                self.f.listed(self.at, kind, &prefix)
            }
        };
        self.by_destroyed(kind, keys, "destroyed")
    }

    /// Keeps what `flag` (destroyed=true|false) asks for; everything without it.
    pub(crate) fn by_destroyed(&self, kind: Kind, keys: Vec<Key>, flag: &str) -> Outcome<Vec<Key>> {
        let Some(wanted) = self.q.flag(flag)? else { return Ok(keys) };
        let is = |key: &Key| self.f.destroyed_at(self.object(kind, *key)).is_some() == wanted;
        Ok(keys.into_iter().filter(is).collect())
    }

    /// The object that a key of a kind stands for.
    pub(crate) fn object(&self, kind: Kind, key: Key) -> Obj {
        match kind {
            Kind::Volume => Obj::Volume(key),
            Kind::Snapshot => Obj::Snap(key),
            Kind::Group if self.f.replicas.contains_key(&key) => Obj::Replica(key),
            Kind::Group => Obj::Group(key),
            Kind::GroupSnapshot => Obj::GroupSnap(key),
            Kind::Pod => Obj::Pod(key),
            Kind::VolumeGroup => Obj::VolumeGroup(key),
        }
    }

    /// The name of an object, as this array shows it.
    pub(crate) fn name_of(&self, object: Obj) -> String {
        match object {
            Obj::Volume(k) => self.f.volume_name(k),
            Obj::Snap(k) => self.f.snap_name(k),
            Obj::Group(k) => self.f.group_name(k),
            Obj::Replica(k) => self.f.owner_name(Owner::Replica(k)),
            Obj::GroupSnap(k) => self.f.group_snap_name(k),
            Obj::Pod(k) => self.f.pods.get(&k).map(|p| p.name.clone()).unwrap_or_default(),
            Obj::VolumeGroup(k) => {
                self.f.vgroup_ref(Some(k))["name"].as_str().unwrap_or("").to_owned()
            }
        }
    }

    /// A page of a list.
    pub(crate) fn page<T>(
        &self,
        candidates: Vec<T>,
        build: impl Fn(&Fabric, &T) -> Row,
    ) -> Outcome<Reply> {
        let f: &Fabric = self.f;
        query::page(self.q, self.answer, self.minor, candidates, |c| build(f, c)).map(Reply::Page)
    }

    /// `PATCH {"destroyed": ...}` on one object; `Ok(false)` when the body does not ask for it.
    pub(crate) fn destroy_or_recover(&mut self, kind: Kind, key: Key) -> Outcome<bool> {
        let Some(wanted) = self.body.get("destroyed").and_then(Value::as_bool) else {
            return Ok(false);
        };
        let object = self.object(kind, key);
        let name = self.name_of(object);
        let destroyed = self.f.destroyed_at(object).is_some();
        match (wanted, destroyed) {
            (true, true) => {
                Err(Refused::of(&name, format!("{} has been destroyed.", kind.title())))
            }
            (false, false) => {
                Err(Refused::of(&name, format!("{} is not destroyed.", kind.title())))
            }
            (true, false) => {
                self.f.mark_destroyed(object);
                Ok(true)
            }
            (false, true) => {
                self.f.recover(object);
                Ok(true)
            }
        }
    }

    /// DELETE: eradicates what was destroyed.
    pub(crate) fn eradicate_all(&mut self, kind: Kind) -> Outcome<Reply> {
        let keys = self.required(kind)?;
        for key in &keys {
            let object = self.object(kind, *key);
            self.f.may_eradicate(object, kind.title(), &self.name_of(object))?;
        }
        for key in keys {
            let object = self.object(kind, key);
            self.f.eradicate(object);
        }
        Ok(Reply::Empty)
    }

    /// Refuses what is destroyed.
    pub(crate) fn alive(&self, kind: Kind, key: Key) -> Outcome<()> {
        let object = self.object(kind, key);
        match self.f.destroyed_at(object) {
            None => Ok(()),
            Some(_) => Err(Refused::of(
                &self.name_of(object),
                format!("{} has been destroyed.", kind.title()),
            )),
        }
    }
}

/// "Missing or invalid parameter." about one parameter.
pub(crate) fn missing(parameter: &str) -> Refused {
    Refused::of(parameter, "Missing or invalid parameter.")
}

/// All or, with one error per name that failed, nothing.
pub(crate) fn collect<T>(results: impl Iterator<Item = Outcome<T>>) -> Outcome<Vec<T>> {
    let mut good = Vec::new();
    let mut errors = Vec::new();
    for result in results {
        match result {
            Ok(value) => good.push(value),
            Err(refused) => errors.extend(refused.errors),
        }
    }
    if errors.is_empty() { Ok(good) } else { Err(Refused { status: 400, errors }) }
}
