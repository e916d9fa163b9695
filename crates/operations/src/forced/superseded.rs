//! Servers that the members had at the target before the roles were swapped. What they hold is older than the point that
//! the members come up from: each gives its ports to its successor, which is always made of clones, and goes once that
//! runs; its volumes are kept for the retention.

use std::collections::BTreeMap;

use protector_core::PlanRequest;
use protector_ports::{NetworkPort, PortResult, Server, ServerFilter};
use protector_types::{Code, KeptCopy, Member, MemberId, SiteId};
use serde::{Deserialize, Serialize};

use crate::{
    deps::Deps,
    facts::{Places, Reasons, TargetFacts},
    failback::layout::Copies,
    rebuild::taken::own_ports,
};

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Superseded {
    /// Nova id.
    pub server_id: String,
    /// Its volumes that nobody else uses: booked once its successor runs.
    pub kept: Vec<KeptCopy>,
}

/// All of them, by member.
pub type All = BTreeMap<MemberId, Superseded>;

/// The project's servers at the target by id, and what is superseded of them, as the members' own records tell.
///
/// # Errors
/// The first call that failed.
pub async fn look(
    deps: &Deps,
    request: &PlanRequest,
    members: &[(usize, &Member)],
    places: &Places,
) -> PortResult<(BTreeMap<String, Server>, All)> {
    let site = places.target.site;
    let cloud = places.target.cloud(deps).await?;
    let filter = ServerFilter::default();
    let (servers, volumes) =
        futures::try_join!(cloud.compute().servers(&filter), cloud.block_storage().volumes())?;
    let servers: BTreeMap<_, _> = servers.into_iter().map(|s| (s.id.clone(), s)).collect();
    let mut all = All::new();
    for (_, member) in members {
        let server_id = member.servers.get(&site).filter(|id| servers.contains_key(*id));
        let Some(server_id) = server_id.cloned() else { continue };
        let is_free = |id: &str| {
            let known = volumes.iter().find(|v| v.id == id);
            known.is_some_and(|v| v.attachments.iter().all(|a| a.server_id == server_id))
        };
        let copies = Copies { request, member };
        let why = "of the server that a forced failover replaced";
        let kept = member
            .volumes
            .iter()
            .filter_map(|volume| volume.placements.get(&site).map(|place| (volume, place)))
            .filter(|(_, place)| is_free(&place.volume_id))
            .map(|(volume, place)| copies.volume(site, volume, place, why))
            .collect();
        all.insert(member.id, Superseded { server_id, kept });
    }
    Ok((servers, all))
}

/// The member had something at the site before.
pub fn was_there(member: &Member, site: SiteId) -> bool {
    member.servers.contains_key(&site)
        || member.volumes.iter().any(|volume| volume.placements.contains_key(&site))
}

/// The ports that the member has at the target already, with what the target looks like without them. A superseded
/// server that runs is a reason.
pub fn own(
    member: &Member,
    superseded: Option<&Superseded>,
    servers: &BTreeMap<String, Server>,
    target: &TargetFacts,
    reasons: &mut Reasons,
) -> (Vec<NetworkPort>, TargetFacts) {
    let id = superseded.map(|it| it.server_id.as_str());
    let server = id.and_then(|id| servers.get(id));
    if let Some(server) = server.filter(|server| server.status != "SHUTOFF") {
        reasons.add(
            Code::MemberNotReady,
            Some(&member.spec.name),
            format!(
                "its earlier server {} at the target is {}; stop or delete it first",
                server.id, server.status
            ),
        );
    }
    let (own, others) = own_ports(member, id, &target.ports);
    (own, TargetFacts { ports: others, ..target.clone() })
}
