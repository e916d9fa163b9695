//! Volumes, their tags and their connections.

use http::Method;
use protector_http::CallKind;
use protector_ports::{
    ArrayConnection, ArrayInfo, ArrayLink, ArrayVolume, DestroyPermit, PortError, PortResult,
    VolumeKey,
};
use serde_json::{Value, json};

use crate::{
    TAG_NAMESPACE,
    encode::{Query, chunks},
    pod::in_point,
    rest::{Rest, gone},
    version::DEFAULT_PROTECTION,
    wire::{ArrayWire, ConnectionWire, Items, LinkWire, NewTag, TagWire, VolumeWire},
};

/// Tags per call.
const TAGS_AT_ONCE: usize = 30;

impl Rest {
    pub(crate) async fn identify(&self) -> PortResult<ArrayInfo> {
        let array = self.all::<ArrayWire>("/arrays", Query::new()).await?.into_iter().next();
        array.map(ArrayInfo::from).ok_or_else(|| self.unknown("the array does not say who it is"))
    }

    pub(crate) async fn links(&self) -> PortResult<Vec<ArrayLink>> {
        let links = self.all::<LinkWire>("/array-connections", Query::new()).await?;
        Ok(links.into_iter().map(ArrayLink::from).collect())
    }

    pub(crate) async fn volume(&self, key: &VolumeKey) -> PortResult<ArrayVolume> {
        let query = match key {
            VolumeKey::Name(name) => Query::new().names("names", &[name]),
            VolumeKey::Serial(serial) => {
                Query::new().with("filter", &format!("serial={}", self.quoted(serial)?))
            }
        };
        let fits = |volume: &VolumeWire| match key {
            VolumeKey::Name(name) => volume.name.eq_ignore_ascii_case(name),
            VolumeKey::Serial(serial) => volume.serial.eq_ignore_ascii_case(serial),
        };
        let volumes = self.all::<VolumeWire>("/volumes", query.live()).await?;
        let found = volumes.into_iter().find(|volume| fits(volume) && !volume.destroyed);
        found.map(ArrayVolume::from).ok_or_else(|| {
            self.absent(match key {
                VolumeKey::Name(name) => format!("there is no volume {name}"),
                VolumeKey::Serial(serial) => format!("there is no volume with serial {serial}"),
            })
        })
    }

    pub(crate) async fn volumes_named(&self, names: &[String]) -> PortResult<Vec<ArrayVolume>> {
        let mut found = Vec::with_capacity(names.len());
        for portion in chunks(names) {
            let query = Query::new().names("names", portion).live();
            let volumes = match self.all::<VolumeWire>("/volumes", query).await {
                // One missing name fails the whole call; a filter leaves it out.
                Err(PortError::Absent { .. }) => self.volumes_filtered(portion).await?,
                other => other?,
            };
            found.extend(
                volumes.into_iter().filter(|volume| !volume.destroyed).map(ArrayVolume::from),
            );
        }
        Ok(found)
    }

    async fn volumes_filtered(&self, names: &[String]) -> PortResult<Vec<VolumeWire>> {
        let names: PortResult<Vec<String>> = names.iter().map(|name| self.quoted(name)).collect();
        let filter = format!("name=({})", names?.join(","));
        self.all("/volumes", Query::new().with("filter", &filter).live()).await
    }

    pub(crate) async fn clone_from_point(
        &self,
        point: &str,
        source_volume: &str,
        new_name: &str,
    ) -> PortResult<ArrayVolume> {
        let mut query = Query::new().names("names", &[new_name]);
        // Left out, the new volume would join the array's default protection groups.
        if self.session().await?.version >= DEFAULT_PROTECTION {
            query = query.with("with_default_protection", "false");
        }
        let body = json!({"source": {"name": in_point(point, source_volume)}});
        match self.change(Method::POST, CallKind::Effect, "/volumes", &query, &body).await {
            Ok(answer) => match self.read::<Items<VolumeWire>>(&answer)?.items.into_iter().next() {
                Some(volume) if !volume.serial.is_empty() => Ok(volume.into()),
                // An answer without the serial: the volume is there, so ask for it.
                _ => self.volume(&VolumeKey::Name(new_name.to_owned())).await,
            },
            // "has been destroyed" may be said of the source or of the name that is still held.
            Err(error @ PortError::Absent { .. }) => match self.is_name_held(new_name).await? {
                true => {
                    Err(self.conflict(format!("the name {new_name} is held by a destroyed volume")))
                }
                false => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    async fn is_name_held(&self, name: &str) -> PortResult<bool> {
        let query = Query::new().names("names", &[name]).with("destroyed", "true");
        match self.all::<VolumeWire>("/volumes", query).await {
            Ok(volumes) => Ok(!volumes.is_empty()),
            Err(PortError::Absent { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn destroy_volume(
        &self,
        key: &VolumeKey,
        permit: &DestroyPermit,
    ) -> PortResult<()> {
        let query = match key {
            VolumeKey::Name(name) => Query::new().names("names", &[name]),
            VolumeKey::Serial(_) => match self.volume(key).await {
                // By id: Cinder may rename it between the two calls.
                Ok(ArrayVolume { id: Some(id), .. }) => Query::new().names("ids", &[id]),
                Ok(volume) => Query::new().names("names", &[volume.name]),
                Err(PortError::Absent { .. }) => return Ok(()),
                Err(error) => return Err(error),
            },
        };
        tracing::info!(service = self.label(), volume = ?key, reason = permit.reason(), "destroy");
        let body = json!({"destroyed": true});
        gone(self.change(Method::PATCH, CallKind::Ensure, "/volumes", &query, &body).await)
    }

    pub(crate) async fn tag_volume(&self, name: &str, tags: &[(String, String)]) -> PortResult<()> {
        let query = Query::new().names("resource_names", &[name]);
        for portion in tags.chunks(TAGS_AT_ONCE) {
            let body: Vec<NewTag<'_>> = portion
                .iter()
                .map(|(key, value)| NewTag {
                    namespace: TAG_NAMESPACE,
                    key,
                    value,
                    copyable: false,
                })
                .collect();
            self.change(Method::PUT, CallKind::Ensure, "/volumes/tags/batch", &query, &body)
                .await?;
        }
        Ok(())
    }

    pub(crate) async fn volumes_tagged(
        &self,
        key: &str,
        value: &str,
    ) -> PortResult<Vec<ArrayVolume>> {
        let filter = format!("key={} and value={}", self.quoted(key)?, self.quoted(value)?);
        let query = Query::new()
            .names("namespaces", &[TAG_NAMESPACE])
            .with("resource_destroyed", "false")
            .with("filter", &filter);
        let tags = self.all::<TagWire>("/volumes/tags", query).await?;
        let mut names: Vec<String> = tags
            .into_iter()
            .filter(|tag| tag.namespace == TAG_NAMESPACE && tag.key == key && tag.value == value)
            .filter_map(|tag| tag.resource.name)
            .collect();
        names.sort_unstable();
        names.dedup();
        self.volumes_named(&names).await
    }

    pub(crate) async fn connections(&self, volume: &str) -> PortResult<Vec<ArrayConnection>> {
        let query = Query::new().names("volume_names", &[volume]);
        let rows = self.all::<ConnectionWire>("/connections", query).await?;
        let mut connections: Vec<ArrayConnection> = Vec::new();
        for connection in rows.into_iter().filter_map(ConnectionWire::into_port) {
            if !connections.contains(&connection) {
                connections.push(connection);
            }
        }
        Ok(connections)
    }

    pub(crate) async fn disconnect(
        &self,
        volume: &str,
        connection: &ArrayConnection,
        permit: &DestroyPermit,
    ) -> PortResult<()> {
        let query = self.connection_query(volume, connection)?;
        tracing::info!(
            service = self.label(),
            volume,
            ?connection,
            reason = permit.reason(),
            "disconnect"
        );
        // Not repeated after a lost answer: the first one could land after its reversal and cut a running server off.
        gone(self.send(Method::DELETE, CallKind::Effect, "/connections", &query, None).await)
    }

    pub(crate) async fn connect(
        &self,
        volume: &str,
        connection: &ArrayConnection,
    ) -> PortResult<()> {
        let query = self.connection_query(volume, connection)?;
        let body: Value = connection.lun.map_or_else(|| json!({}), |lun| json!({"lun": lun}));
        // As above: a late one could undo a fence.
        match self.change(Method::POST, CallKind::Effect, "/connections", &query, &body).await {
            Ok(_) => Ok(()),
            Err(error @ PortError::Conflict { .. }) => {
                let same = |known: &ArrayConnection| {
                    known.host == connection.host
                        && known.host_group == connection.host_group
                        && (connection.lun.is_none() || known.lun == connection.lun)
                };
                // There already as it should be, or something else has its place.
                if self.connections(volume).await?.iter().any(same) { Ok(()) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    fn connection_query(&self, volume: &str, connection: &ArrayConnection) -> PortResult<Query> {
        let query = match (&connection.host, &connection.host_group) {
            (_, Some(group)) => Query::new().names("host_group_names", &[group]),
            (Some(host), None) => Query::new().names("host_names", &[host]),
            (None, None) => return Err(self.invalid("a connection has a host or a host group")),
        };
        Ok(query.names("volume_names", &[volume]))
    }
}
