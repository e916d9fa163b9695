//! What carries a marker of ours: which kinds of things there are, where the marker stands, how to list and to remove
//! them. The last look of an operation and the sweep of leftovers read the same table.
//!
//! | kind | system | where the marker stands |
//! |---|---|---|
//! | server | Nova | a tag, until the server is finished |
//! | port | Neutron | the name, until its server is finished |
//! | security_group | Neutron | the description, until it is filled |
//! | volume | Cinder | metadata `protector`, while it is managing |
//! | array_volume | array | the name `ptr-...`, until Cinder renames it; our tag `operation` for good |

use protector_ports::{
    Cloud, DestroyPermit, PortFilter, PortResult, ReplicationArray, ServerFilter, VolumeKey,
};
use serde::{Deserialize, Serialize};

use crate::steps::{clone_volume::OPERATION_TAG, manage_volume::MARKER_KEY};

/// Every marker begins so.
pub const PREFIX: &str = "ptr-";

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Nova.
    Server,
    /// Neutron.
    Port,
    /// Neutron.
    SecurityGroup,
    /// Cinder.
    Volume,
    /// Array.
    ArrayVolume,
}

impl Kind {
    /// For a person.
    pub fn words(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Port => "port",
            Self::SecurityGroup => "security group",
            Self::Volume => "volume",
            Self::ArrayVolume => "array volume",
        }
    }
}

/// A thing with a marker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Marked {
    /// What it is.
    pub kind: Kind,
    /// The service's id; for an array volume its serial.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The marker: `ptr-<operation>-<step>`; for an array volume without one `ptr-<operation>-`.
    pub marker: String,
    /// Server that it belongs to (ports, volumes).
    pub used_by: Vec<String>,
}

/// The two parts of a marker: the short operation, and the step. `None` for a name that only looks like one: tenants
/// choose names as they like.
pub fn parts(marker: &str) -> Option<(&str, &str)> {
    let (operation, step) = marker.strip_prefix(PREFIX)?.split_once('-')?;
    let is_short = operation.len() == 12 && operation.bytes().all(|b| b.is_ascii_hexdigit());
    is_short.then_some((operation, step))
}

/// Everything of a project at a site that carries a marker.
///
/// # Errors
/// The first list that failed.
pub async fn in_project(cloud: &dyn Cloud) -> PortResult<Vec<Marked>> {
    let (server_filter, port_filter) = (ServerFilter::default(), PortFilter::default());
    let (servers, ports, groups, volumes) = futures::try_join!(
        cloud.compute().servers(&server_filter),
        cloud.networking().ports(&port_filter),
        cloud.networking().security_groups(),
        cloud.block_storage().volumes(),
    )?;
    let is_ours = |text: &&String| text.starts_with(PREFIX) && parts(text).is_some();
    let mut found = Vec::new();
    let mut add = |kind, id: String, name: String, marker: &str, used_by: Vec<String>| {
        found.push(Marked { kind, id, name, marker: marker.to_owned(), used_by });
    };
    for server in servers {
        if let Some(tag) = server.tags.iter().find(is_ours) {
            add(Kind::Server, server.id.clone(), server.name.clone(), tag, Vec::new());
        }
    }
    for port in ports.into_iter().filter(|port| is_ours(&&port.name)) {
        let used_by = Some(port.device_id).filter(|id| !id.is_empty()).into_iter().collect();
        add(Kind::Port, port.id, port.name.clone(), &port.name, used_by);
    }
    for group in groups.into_iter().filter(|group| is_ours(&&group.description)) {
        add(Kind::SecurityGroup, group.id, group.name, &group.description, Vec::new());
    }
    for volume in volumes {
        if let Some(marker) = volume.metadata.get(MARKER_KEY).filter(is_ours) {
            let used_by = volume.attachments.iter().map(|a| a.server_id.clone()).collect();
            add(Kind::Volume, volume.id.clone(), volume.name.clone(), marker, used_by);
        }
    }
    Ok(found)
}

/// Everything on an array that an operation tagged.
///
/// # Errors
/// The array's.
pub async fn on_array(
    array: &dyn ReplicationArray,
    operation: protector_types::OperationId,
) -> PortResult<Vec<Marked>> {
    let tagged = array.volumes_tagged(OPERATION_TAG, &operation.to_string()).await?;
    let marked = tagged.into_iter().filter(|volume| !volume.destroyed).map(|volume| Marked {
        kind: Kind::ArrayVolume,
        id: volume.serial,
        marker: format!("{PREFIX}{}-", operation.short()),
        name: volume.name,
        used_by: Vec::new(),
    });
    Ok(marked.collect())
}

/// Removes one thing of a project.
///
/// # Errors
/// The service's.
pub async fn remove(cloud: &dyn Cloud, thing: &Marked, permit: &DestroyPermit) -> PortResult<()> {
    match thing.kind {
        Kind::Server => cloud.compute().delete_server(&thing.id, permit).await,
        Kind::Port => cloud.networking().delete_port(&thing.id, permit).await,
        Kind::SecurityGroup => cloud.networking().delete_security_group(&thing.id, permit).await,
        Kind::Volume => cloud.block_storage().delete_volume(&thing.id, permit).await,
        // On the array: see `remove_from_array`.
        Kind::ArrayVolume => Ok(()),
    }
}

/// Removes one volume from an array (recoverable; never eradicates).
///
/// # Errors
/// The array's.
pub async fn remove_from_array(
    array: &dyn ReplicationArray,
    thing: &Marked,
    permit: &DestroyPermit,
) -> PortResult<()> {
    protector_ports::absent_as_none(
        array.destroy_volume(&VolumeKey::Serial(thing.id.clone()), permit).await,
    )
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_names_operation_and_step() {
        assert_eq!(parts("ptr-0123456789ab-m0.create"), Some(("0123456789ab", "m0.create")));
        assert_eq!(parts("ptr-0123456789ab-"), Some(("0123456789ab", "")));
        assert_eq!(parts("ptr-mine"), None);
        assert_eq!(parts("web-1"), None);
    }
}
