//! Facts from clouds and arrays, gathered before anything is touched. All lists at once, concurrently.

use std::collections::BTreeMap;

use protector_core::PlanRequest;
use protector_ports::{
    ArrayGroup, ArrayInfo, ArrayLink, BackendPool, Cloud, ComputeQuota, Flavor, Keypair, Network,
    NetworkPort, NetworkQuota, PortError, PortFilter, PortResult, SecurityGroup, Server,
    ServerFilter, ServerGroup, StorageQuota, Subnet, Volume, VolumeType, absent_as_none,
};
use protector_types::{
    Code, Delegation, DelegationState, Reason, Refusal, SiteId, choose_delegate,
};

use crate::deps::{ArrayPlace, Deps, Place};

/// What the source cloud and array say.
pub struct SourceFacts {
    /// Servers of the project, by id.
    pub servers: BTreeMap<String, Server>,
    /// Volumes of the project, by id.
    pub volumes: BTreeMap<String, Volume>,
    /// For resolving mapping keys.
    pub networks: Vec<Network>,
    /// For resolving mapping keys.
    pub flavors: Vec<Flavor>,
    /// Which array.
    pub array: ArrayInfo,
    /// Its replication links.
    pub links: Vec<ArrayLink>,
    /// The array's protection group, if it is there.
    pub group: Option<ArrayGroup>,
}

/// What the target cloud and array say.
#[derive(Debug, Clone)]
pub struct TargetFacts {
    /// Flavors.
    pub flavors: Vec<Flavor>,
    /// Networks.
    pub networks: Vec<Network>,
    /// Subnets.
    pub subnets: Vec<Subnet>,
    /// All ports that we see: addresses in use.
    pub ports: Vec<NetworkPort>,
    /// Security groups of the project.
    pub security_groups: Vec<SecurityGroup>,
    /// In whose name we may act here, proved just now.
    pub delegates: Vec<Delegation>,
    /// The same at the source: names of owners.
    pub owners: Vec<Delegation>,
    /// Keypairs by user; `None`: our service user's.
    pub keypairs: BTreeMap<Option<String>, Vec<Keypair>>,
    /// Server groups of the project.
    pub server_groups: Vec<ServerGroup>,
    /// Names of availability zones.
    pub availability_zones: Vec<String>,
    /// Volume types.
    pub volume_types: Vec<VolumeType>,
    /// Backend pools.
    pub pools: Vec<BackendPool>,
    /// Limits.
    pub compute_quota: ComputeQuota,
    /// Limits.
    pub storage_quota: StorageQuota,
    /// Limits.
    pub network_quota: NetworkQuota,
    /// Which array.
    pub array: ArrayInfo,
}

/// Where things are for this request.
#[derive(Debug, Clone)]
pub struct Places {
    /// The site that is left.
    pub source: Place,
    /// The site that is moved to.
    pub target: Place,
    /// The source's array.
    pub source_array: ArrayPlace,
    /// The target's array.
    pub target_array: ArrayPlace,
    /// Who delegated at the source.
    pub source_delegates: Vec<Delegation>,
    /// Who delegated at the target.
    pub target_delegates: Vec<Delegation>,
}

/// From current primary to the other site.
///
/// # Errors
/// A [`Refusal`] when the group has no project at a site.
pub fn places(request: &PlanRequest, target: SiteId) -> Result<Places, Refusal> {
    let group = &request.group;
    let source = group.other_site(target);
    let place = |site: SiteId| {
        group.projects.get(&site).cloned().map(|project| Place { site, project }).ok_or_else(|| {
            Refusal::new(
                Code::TenantMappingMissing,
                format!("the group has no project at site {site}; ask an administrator for a tenant mapping"),
            )
        })
    };
    Ok(Places {
        source: place(source)?,
        target: place(target)?,
        source_array: ArrayPlace { group: group.id, site: source },
        target_array: ArrayPlace { group: group.id, site: target },
        source_delegates: request.delegates.get(&source).cloned().unwrap_or_default(),
        target_delegates: request.delegates.get(&target).cloned().unwrap_or_default(),
    })
}

/// Turns a failed look into a refusal that names the site.
pub fn cannot_look(site: &str) -> impl Fn(PortError) -> Refusal {
    let site = site.to_owned();
    move |error| {
        Refusal::new(
            Code::SiteError,
            format!("cannot look at site {site}: {error}; check it with `site validate`"),
        )
    }
}

/// Reads the source.
///
/// # Errors
/// The first call that failed.
pub async fn source(deps: &Deps, places: &Places, array_group: &str) -> PortResult<SourceFacts> {
    let cloud = places.source.cloud(deps).await?;
    let array = places.source_array.array(deps).await?;
    let filter = ServerFilter::default();
    let (servers, volumes, networks, flavors, info, links, group) = futures::try_join!(
        cloud.compute().servers(&filter),
        cloud.block_storage().volumes(),
        cloud.networking().networks(),
        cloud.compute().flavors(),
        array.identify(),
        array.links(),
        async { absent_as_none(array.group(array_group).await) },
    )?;
    Ok(SourceFacts {
        servers: servers.into_iter().map(|s| (s.id.clone(), s)).collect(),
        volumes: volumes.into_iter().map(|v| (v.id.clone(), v)).collect(),
        networks,
        flavors,
        array: info,
        links,
        group,
    })
}

/// Reads the target.
///
/// # Errors
/// The first call that failed.
pub async fn target(deps: &Deps, places: &Places) -> PortResult<TargetFacts> {
    let cloud = places.target.cloud(deps).await?;
    let admin = deps.fabric.service_cloud(places.target.site).await?;
    let array = places.target_array.array(deps).await?;
    let (compute, storage, network, array, delegated) = futures::try_join!(
        compute(cloud.as_ref()),
        storage(admin.as_ref(), cloud.as_ref()),
        network(cloud.as_ref()),
        array.identify(),
        delegated(deps, places)
    )?;
    let (flavors, own_keypairs, server_groups, availability_zones, compute_quota) = compute;
    let (delegates, mut keypairs) = delegated;
    keypairs.insert(None, own_keypairs);
    let (volume_types, pools, storage_quota) = storage;
    let (networks, subnets, ports, security_groups, network_quota) = network;
    Ok(TargetFacts {
        flavors,
        networks,
        subnets,
        ports,
        security_groups,
        delegates,
        owners: places.source_delegates.clone(),
        keypairs,
        server_groups,
        availability_zones,
        volume_types,
        pools,
        compute_quota,
        storage_quota,
        network_quota,
        array,
    })
}

/// Users who are asked for their keypairs at most; whoever called last comes first.
const MOST_DELEGATES: usize = 16;

/// The delegations at the target that Keystone honours right now, with those users' keypairs.
async fn delegated(
    deps: &Deps,
    places: &Places,
) -> PortResult<(Vec<Delegation>, BTreeMap<Option<String>, Vec<Keypair>>)> {
    let known = places.target_delegates.iter().filter(|d| d.state == DelegationState::InForce);
    let looks = known.take(MOST_DELEGATES).map(|delegation| async move {
        let cloud = places.target.cloud_as(deps, Some(&delegation.user_id)).await?;
        if !cloud.actor().await?.delegated {
            return Ok(None);
        }
        let keypairs = cloud.compute().keypairs().await?;
        // It may have ended between the two calls: then these were our own.
        let holds = cloud.actor().await?.delegated;
        PortResult::Ok(holds.then(|| (delegation.clone(), keypairs)))
    });
    let found = futures::future::try_join_all(looks).await?.into_iter().flatten();
    let (mut delegates, mut keypairs) = (Vec::new(), BTreeMap::new());
    for (delegation, keys) in found {
        keypairs.insert(Some(delegation.user_id.clone()), keys);
        delegates.push(delegation);
    }
    Ok((delegates, keypairs))
}

impl TargetFacts {
    /// In whose name a server of this owner is made here; `None`: our service user's.
    pub fn delegate_for(&self, owner_id: &str) -> Option<&str> {
        choose_delegate(owner_id, &self.delegates, &self.owners).map(|d| d.user_id.as_str())
    }
}

type ComputeFacts = (Vec<Flavor>, Vec<Keypair>, Vec<ServerGroup>, Vec<String>, ComputeQuota);

async fn compute(cloud: &dyn Cloud) -> PortResult<ComputeFacts> {
    let nova = cloud.compute();
    futures::try_join!(
        nova.flavors(),
        nova.keypairs(),
        nova.server_groups(),
        nova.availability_zones(),
        nova.quota()
    )
}

/// Types with all extra specs and pools are an administrator's to read; the quota is the project's.
async fn storage(
    admin: &dyn Cloud,
    cloud: &dyn Cloud,
) -> PortResult<(Vec<VolumeType>, Vec<BackendPool>, StorageQuota)> {
    let cinder = admin.block_storage();
    futures::try_join!(cinder.volume_types(), cinder.backend_pools(), cloud.block_storage().quota())
}

type NetworkFacts = (Vec<Network>, Vec<Subnet>, Vec<NetworkPort>, Vec<SecurityGroup>, NetworkQuota);

async fn network(cloud: &dyn Cloud) -> PortResult<NetworkFacts> {
    let neutron = cloud.networking();
    let filter = PortFilter::default();
    futures::try_join!(
        neutron.networks(),
        neutron.subnets(),
        neutron.ports(&filter),
        neutron.security_groups(),
        neutron.quota()
    )
}

/// Collects reasons, so that a plan is refused with all of them at once.
#[derive(Debug, Default)]
pub struct Reasons(Vec<Reason>);

impl Reasons {
    /// One more.
    pub fn add(&mut self, code: Code, subject: Option<&str>, message: impl Into<String>) {
        let reason = Reason { code, subject: subject.map(str::to_owned), message: message.into() };
        if !self.0.contains(&reason) {
            self.0.push(reason);
        }
    }

    /// Several more.
    pub fn extend(&mut self, reasons: Vec<Reason>) {
        for reason in reasons {
            if !self.0.contains(&reason) {
                self.0.push(reason);
            }
        }
    }

    /// Nothing speaks against it, or everything that does.
    ///
    /// # Errors
    /// A [`Refusal`] that lists all reasons.
    pub fn into_result(self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(Refusal::plan(self.0)) }
    }
}
