//! Address arithmetic: which addresses a subnet has, which are free.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{NEUTRON, Port, State, Subnet, invalid};
use crate::cloud::ApiError;

/// `10.0.0.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    base: IpAddr,
    prefix: u8,
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

fn address(n: u128, v4: bool) -> IpAddr {
    if v4 {
        IpAddr::V4(Ipv4Addr::from(u32::try_from(n).unwrap_or(u32::MAX)))
    } else {
        IpAddr::V6(Ipv6Addr::from(n))
    }
}

impl Cidr {
    /// Reads a CIDR; host bits are cut off, as Neutron does.
    pub fn parse(text: &str) -> Option<Self> {
        let (ip, prefix) = text.split_once('/')?;
        let ip: IpAddr = ip.parse().ok()?;
        let prefix: u8 = prefix.parse().ok()?;
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        if prefix > bits {
            return None;
        }
        let whole = Self { base: ip, prefix };
        Some(Self { base: address(number(ip) & !whole.host_mask(), ip.is_ipv4()), prefix })
    }

    /// IPv4.
    pub fn is_v4(&self) -> bool {
        self.base.is_ipv4()
    }

    fn host_mask(&self) -> u128 {
        let host_bits = if self.is_v4() { 32 } else { 128 } - u32::from(self.prefix);
        1u128.checked_shl(host_bits).map_or(u128::MAX, |n| n - 1)
    }

    /// The address is in the range.
    pub fn contains(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.is_v4() && number(ip) & !self.host_mask() == number(self.base)
    }

    /// The two ranges have an address in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }

    /// An address that a guest may have: not the network's own, nor IPv4's broadcast.
    pub fn is_host(&self, ip: IpAddr) -> bool {
        let offset = number(ip) & self.host_mask();
        let tiny = self.host_mask() <= 1;
        self.contains(ip)
            && (tiny || (offset != 0 && !(self.is_v4() && offset == self.host_mask())))
    }

    /// The first and last address for guests.
    pub fn hosts(&self) -> (IpAddr, IpAddr) {
        let base = number(self.base);
        if self.host_mask() <= 1 {
            return (self.base, address(base + self.host_mask(), self.is_v4()));
        }
        let last = if self.is_v4() { self.host_mask() - 1 } else { self.host_mask() };
        (address(base + 1, self.is_v4()), address(base + last, self.is_v4()))
    }
}

/// The default pools: all guests' addresses but the gateway's.
pub(super) fn default_pools(cidr: &Cidr, gateway: Option<IpAddr>) -> Vec<(IpAddr, IpAddr)> {
    let (first, last) = cidr.hosts();
    let Some(gateway) = gateway.filter(|g| cidr.is_host(*g)) else { return vec![(first, last)] };
    let (low, high, at, v4) = (number(first), number(last), number(gateway), cidr.is_v4());
    let mut pools = Vec::new();
    if at > low {
        pools.push((first, address(at - 1, v4)));
    }
    if at < high {
        pools.push((address(at + 1, v4), last));
    }
    pools
}

/// What a request says about one address of a port.
#[derive(Debug, Clone, Default)]
pub struct WantedIp {
    /// In this subnet.
    pub subnet_id: Option<String>,
    /// Exactly this address.
    pub ip_address: Option<IpAddr>,
}

impl State {
    /// Addresses in use in a network, but for those of one port.
    fn used(&self, network_id: &str, but: Option<&str>) -> HashSet<IpAddr> {
        self.ports
            .values()
            .filter(|p| p.network_id == network_id && Some(p.common.id.as_str()) != but)
            .flat_map(|p| p.fixed_ips.iter().map(|(_, ip)| *ip))
            .collect()
    }

    fn subnets_of<'a>(&'a self, network_id: &'a str) -> impl Iterator<Item = &'a Subnet> + 'a {
        self.subnets.values().filter(move |s| s.network_id == network_id)
    }

    /// Chooses a port's addresses. `None`: one of each IP version that the network has. `port`: whose
    /// present addresses do not count as used.
    pub(super) fn allocate(
        &self,
        network_id: &str,
        wanted: Option<&[WantedIp]>,
        port: Option<&Port>,
    ) -> Result<Vec<(String, IpAddr)>, ApiError> {
        let mut used = self.used(network_id, port.map(|p| p.common.id.as_str()));
        let mut out = Vec::new();
        let Some(wanted) = wanted else {
            for v4 in [true, false] {
                let subnets: Vec<&Subnet> =
                    self.subnets_of(network_id).filter(|s| s.cidr.is_v4() == v4).collect();
                if subnets.is_empty() {
                    continue;
                }
                let free = subnets
                    .iter()
                    .find_map(|s| Some((s.common.id.clone(), free_address(s, &used)?)));
                out.push(free.ok_or_else(|| exhausted(network_id))?);
            }
            return Ok(out);
        };
        for want in wanted {
            let (subnet, ip) = self.one_address(network_id, want, &used)?;
            used.insert(ip);
            out.push((subnet, ip));
        }
        Ok(out)
    }

    fn one_address(
        &self,
        network_id: &str,
        want: &WantedIp,
        used: &HashSet<IpAddr>,
    ) -> Result<(String, IpAddr), ApiError> {
        let named = match &want.subnet_id {
            None => None,
            Some(id) => {
                let subnet = self.subnets.get(id).filter(|s| s.network_id == network_id);
                Some(subnet.ok_or_else(|| {
                    invalid(format!("Failed to create port on network {network_id}, because fixed_ips included invalid subnet {id}"))
                })?)
            }
        };
        let Some(ip) = want.ip_address else {
            let subnet = named.or_else(|| self.subnets_of(network_id).next());
            let subnet = subnet.ok_or_else(|| exhausted(network_id))?;
            let free = free_address(subnet, used).ok_or_else(|| exhausted(network_id))?;
            return Ok((subnet.common.id.clone(), free));
        };
        let subnet = match named {
            Some(subnet) if !subnet.cidr.is_host(ip) => {
                return Err(NEUTRON
                    .bad_request(format!("IP address {ip} is not a valid IP for the specified subnet."))
                    .kind("InvalidIpForSubnet"));
            }
            Some(subnet) => subnet,
            None => self.subnets_of(network_id).find(|s| s.cidr.is_host(ip)).ok_or_else(|| {
                NEUTRON
                    .bad_request(format!("IP address {ip} is not a valid IP for any of the subnets on the specified network."))
                    .kind("InvalidIpForNetwork")
            })?,
        };
        if used.contains(&ip) {
            return Err(NEUTRON
                .conflict(format!("Unable to complete operation for network {network_id}. The IP address {ip} is in use."))
                .kind("IpAddressInUse"));
        }
        Ok((subnet.common.id.clone(), ip))
    }
}

fn exhausted(network_id: &str) -> ApiError {
    NEUTRON
        .conflict(format!("No more IP addresses available on network {network_id}."))
        .kind("IpAddressGenerationFailure")
}

/// The lowest free address of a subnet's pools.
fn free_address(subnet: &Subnet, used: &HashSet<IpAddr>) -> Option<IpAddr> {
    let v4 = subnet.cidr.is_v4();
    subnet.pools.iter().find_map(|(first, last)| {
        (number(*first)..=number(*last)).map(|n| address(n, v4)).find(|ip| !used.contains(ip))
    })
}
