//! What is left of members at the site that they come back to, and whether it can be used again. Pure but for the look.

use std::collections::{BTreeMap, BTreeSet};

use protector_ports::{
    ArrayConnection, ArrayVolume, NetworkPort, PortFilter, PortResult, Server, ServerFilter, Volume,
};
use protector_types::{Fence, FencedVolume, Member, MemberVolume, SiteId, VolumePlacement};

use crate::{
    deps::Deps,
    facts::Places,
    fencing::{self, Running},
    unfencing::{Fenced, Recorded},
};

/// What the site has of the members.
pub struct Leftovers {
    /// Servers of the project, by id.
    pub servers: BTreeMap<String, Server>,
    /// Volumes of the project, by id.
    pub volumes: BTreeMap<String, Volume>,
    /// The members' array volumes, by name.
    pub array_volumes: BTreeMap<String, ArrayVolume>,
    /// Their connections, by array volume.
    pub connections: BTreeMap<String, Vec<ArrayConnection>>,
    /// Ports at the site that is left.
    pub source_ports: Vec<NetworkPort>,
}

/// An original that takes its content back.
#[derive(Debug, Clone)]
pub struct Original {
    /// As it was before its fence.
    pub fenced: Fenced,
    /// Nobody has fenced it, or not wholly: done first.
    pub fence_first: Option<Running>,
}

/// Reads what is left.
///
/// # Errors
/// The first call that failed.
pub async fn look(deps: &Deps, places: &Places, members: &[Member]) -> PortResult<Leftovers> {
    let cloud = places.target.cloud(deps).await?;
    let source = places.source.cloud(deps).await?;
    let array = places.target_array.array(deps).await?;
    let names: Vec<String> =
        members.iter().flat_map(|m| fencing::array_volumes(m, places.target.site)).collect();
    let (filter, ports) = (ServerFilter::default(), PortFilter::default());
    let (servers, volumes, array_volumes, source_ports) = futures::try_join!(
        cloud.compute().servers(&filter),
        cloud.block_storage().volumes(),
        array.volumes_named(&names),
        source.networking().ports(&ports),
    )?;
    let connections = futures::future::try_join_all(array_volumes.iter().map(|volume| {
        let array = &array;
        async move { Ok((volume.name.clone(), array.connections(&volume.name).await?)) }
    }))
    .await?;
    Ok(Leftovers {
        servers: servers.into_iter().map(|s| (s.id.clone(), s)).collect(),
        volumes: volumes.into_iter().map(|v| (v.id.clone(), v)).collect(),
        array_volumes: array_volumes.into_iter().map(|v| (v.name.clone(), v)).collect(),
        connections: connections.into_iter().collect(),
        source_ports,
    })
}

impl Leftovers {
    /// The member's server there, if it still exists.
    pub fn server(&self, member: &Member, site: SiteId) -> Option<&Server> {
        self.servers.get(member.servers.get(&site)?)
    }

    /// The original as it can be used again, or why it cannot.
    ///
    /// # Errors
    /// For a person: what is different.
    pub fn original(
        &self,
        member: &Member,
        site: SiteId,
        fence: Option<&Fence>,
        start: bool,
    ) -> Result<Original, String> {
        let server = self.server(member, site).ok_or("its original no longer exists")?;
        let placements = self.same_volumes(member, site, server)?;
        let names: Vec<String> = placements.iter().map(|p| p.array_volume.clone()).collect();
        let connected = |name: &String| self.connections.get(name).is_some_and(|c| !c.is_empty());
        let some_connected = names.iter().any(connected);
        let record = fence.filter(|f| f.server_id == server.id && covers(&f.volumes, &names));
        let was_locked = record.map_or(server.locked, |fence| fence.was_locked);
        let connections = match record {
            Some(fence) => Recorded::Here(fence.volumes.clone()),
            None if names.iter().all(connected) => Recorded::By(String::new()),
            None => {
                return Err(format!(
                    "nobody knows how the volumes of its original {} were connected",
                    server.id
                ));
            }
        };
        let running = Running {
            server_id: server.id.clone(),
            // Its undo must not start a server whose data is older than what runs elsewhere.
            was_active: false,
            was_locked: if record.is_some() { was_locked } else { server.locked },
        };
        let fence_first = some_connected || server.status != "SHUTOFF";
        Ok(Original {
            fenced: Fenced {
                server_id: server.id.clone(),
                was_locked,
                start,
                connections,
                volumes: names,
            },
            fence_first: fence_first.then_some(running),
        })
    }

    /// The original's volumes are the member's, with the same sizes.
    fn same_volumes<'m>(
        &self,
        member: &'m Member,
        site: SiteId,
        server: &Server,
    ) -> Result<Vec<&'m VolumePlacement>, String> {
        let mut placements = Vec::with_capacity(member.volumes.len());
        for volume in &member.volumes {
            placements.push(self.same_volume(volume, site)?);
        }
        let wanted: BTreeSet<&str> = placements.iter().map(|p| p.volume_id.as_str()).collect();
        let has: BTreeSet<&str> = server.volumes.iter().map(|v| v.volume_id.as_str()).collect();
        if wanted != has {
            return Err(format!("its original {} has other volumes than it has now", server.id));
        }
        Ok(placements)
    }

    fn same_volume<'m>(
        &self,
        volume: &'m MemberVolume,
        site: SiteId,
    ) -> Result<&'m VolumePlacement, String> {
        let place = volume
            .placements
            .get(&site)
            .ok_or_else(|| format!("its volume {} was added since", volume.device))?;
        let known = self
            .volumes
            .get(&place.volume_id)
            .ok_or_else(|| format!("the original volume {} no longer exists", place.volume_id))?;
        if known.size_gib != volume.size_gib {
            return Err(format!(
                "the original volume {} has {} GiB, not {}",
                place.volume_id, known.size_gib, volume.size_gib
            ));
        }
        match self.array_volumes.get(&place.array_volume) {
            Some(on_array) if on_array.serial.eq_ignore_ascii_case(&place.serial) => Ok(place),
            _ => {
                Err(format!("the array has another volume, or none, under {}", place.array_volume))
            }
        }
    }

    /// The member's volumes there that nobody else uses: they are kept when it is rebuilt.
    pub fn abandoned<'m>(
        &self,
        member: &'m Member,
        site: SiteId,
    ) -> Vec<(&'m MemberVolume, &'m VolumePlacement)> {
        let own = member.servers.get(&site);
        let free = |place: &VolumePlacement| {
            self.volumes
                .get(&place.volume_id)
                .is_some_and(|v| v.attachments.iter().all(|a| Some(&a.server_id) == own))
        };
        member
            .volumes
            .iter()
            .filter_map(|v| v.placements.get(&site).map(|p| (v, p)))
            .filter(|(_, place)| free(place))
            .collect()
    }
}

/// Every volume has at least one recorded connection.
fn covers(recorded: &[FencedVolume], names: &[String]) -> bool {
    names.iter().all(|name| recorded.iter().any(|v| v.volume == *name && !v.connections.is_empty()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use chrono::DateTime;
    use protector_ports::{AttachedVolume, VolumeAttachment};
    use protector_types::{GroupId, MemberId, ServerSpec};

    use super::*;

    fn connection() -> ArrayConnection {
        ArrayConnection { host: Some("h".into()), host_group: None, lun: Some(1) }
    }

    /// One member with one volume, whose original is fenced.
    fn world(site: SiteId) -> (Member, Leftovers, Fence) {
        let placement = VolumePlacement {
            volume_id: "v".into(),
            array_volume: "volume-v-cinder".into(),
            array_volume_id: None,
            serial: "S1".into(),
        };
        let volume = MemberVolume {
            position: 0,
            device: "/dev/vda".into(),
            boot_index: 0,
            name: "root".into(),
            description: String::new(),
            size_gib: 10,
            bootable: true,
            metadata: BTreeMap::new(),
            image_metadata: BTreeMap::new(),
            delete_on_termination: false,
            placements: BTreeMap::from([(site, placement)]),
        };
        let member = Member {
            id: MemberId::generate(),
            group_id: GroupId::generate(),
            servers: BTreeMap::from([(site, "s".into())]),
            spec: ServerSpec { name: "web".into(), ..ServerSpec::default() },
            volumes: vec![volume],
            observed_at: DateTime::UNIX_EPOCH,
            abandoned: None,
        };
        let server = Server {
            id: "s".into(),
            status: "SHUTOFF".into(),
            locked: true,
            volumes: vec![AttachedVolume { volume_id: "v".into(), ..AttachedVolume::default() }],
            ..Server::default()
        };
        let attachments = vec![VolumeAttachment { server_id: "s".into(), device: None }];
        let volume = Volume { id: "v".into(), size_gib: 10, attachments, ..Volume::default() };
        let array_volume = ArrayVolume {
            name: "volume-v-cinder".into(),
            serial: "s1".into(),
            ..ArrayVolume::default()
        };
        let left = Leftovers {
            servers: BTreeMap::from([("s".to_owned(), server)]),
            volumes: BTreeMap::from([("v".to_owned(), volume)]),
            array_volumes: BTreeMap::from([(array_volume.name.clone(), array_volume)]),
            connections: BTreeMap::new(),
            source_ports: Vec::new(),
        };
        let fence = Fence {
            member_id: member.id,
            site_id: site,
            epoch: 1,
            server_id: "s".into(),
            was_active: true,
            was_locked: false,
            volumes: vec![FencedVolume {
                volume: "volume-v-cinder".into(),
                connections: vec![connection()],
            }],
            operation_id: None,
            fenced_at: DateTime::UNIX_EPOCH,
        };
        (member, left, fence)
    }

    #[test]
    fn a_fenced_original_comes_back_as_its_record_says() {
        let site = SiteId::generate();
        let (member, left, fence) = world(site);
        let original = left.original(&member, site, Some(&fence), true).unwrap();
        assert_eq!(original.fence_first, None);
        assert_eq!(original.fenced.connections, Recorded::Here(fence.volumes.clone()));
        assert!(original.fenced.start && !original.fenced.was_locked, "our lock is taken back");
        let off = left.original(&member, site, Some(&fence), false).unwrap();
        assert!(!off.fenced.start, "the power state is that of the current primary");
    }

    #[test]
    fn one_that_nobody_fenced_is_fenced_first_and_never_started_by_an_undo() {
        let site = SiteId::generate();
        let (member, mut left, fence) = world(site);
        left.servers.get_mut("s").unwrap().status = "ACTIVE".into();
        left.connections.insert("volume-v-cinder".into(), vec![connection()]);
        let original = left.original(&member, site, None, true).unwrap();
        assert_eq!(original.fenced.connections, Recorded::By(String::new()));
        assert!(!original.fence_first.unwrap().was_active);
        // A record is better than a look: the look sees what is there now only.
        let original = left.original(&member, site, Some(&fence), true).unwrap();
        assert_eq!(original.fenced.connections, Recorded::Here(fence.volumes));
        assert!(original.fence_first.is_some());
    }

    type Change = fn(&mut Member, &mut Leftovers, &mut Option<Fence>);

    #[test]
    fn what_is_different_is_rebuilt_and_the_reason_is_given() {
        let changes: [(&str, Change); 7] = [
            ("no longer exists", |_, left, _| left.servers.clear()),
            ("nobody knows", |_, _, fence| *fence = None),
            ("nobody knows", |_, _, fence| fence.as_mut().unwrap().server_id = "other".into()),
            ("has 10 GiB, not 20", |member, _, _| member.volumes[0].size_gib = 20),
            ("was added since", |member, _, _| member.volumes[0].placements.clear()),
            ("has other volumes", |_, left, _| {
                left.servers.get_mut("s").unwrap().volumes.clear();
            }),
            ("another volume, or none", |_, left, _| {
                left.array_volumes.values_mut().for_each(|v| v.serial = "S2".into());
            }),
        ];
        for (reason, change) in changes {
            let site = SiteId::generate();
            let (mut member, mut left, fence) = world(site);
            let mut fence = Some(fence);
            change(&mut member, &mut left, &mut fence);
            let why = left.original(&member, site, fence.as_ref(), true).unwrap_err();
            assert!(why.contains(reason), "{why:?} does not say {reason:?}");
        }
    }

    #[test]
    fn a_volume_that_somebody_else_uses_is_not_ours_to_keep() {
        let site = SiteId::generate();
        let (member, mut left, _) = world(site);
        assert_eq!(left.abandoned(&member, site).len(), 1);
        left.volumes.get_mut("v").unwrap().attachments[0].server_id = "tenant's own".into();
        assert!(left.abandoned(&member, site).is_empty());
    }
}
