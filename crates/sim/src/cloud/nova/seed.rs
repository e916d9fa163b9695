//! What tests and the demo put into Nova, or do as a guest, without going through the API.

use std::collections::BTreeMap;

use super::{
    keypairs::fingerprint,
    model::{Flavor, Keypair},
};
use crate::cloud::Cloud;

/// A flavor to seed.
#[derive(Debug, Clone)]
pub struct FlavorSeed {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Virtual CPUs.
    pub vcpus: u64,
    /// MiB.
    pub ram: u64,
    /// GiB of root disk; 0 for boot from volume.
    pub disk: u64,
    /// Extra specs.
    pub extra_specs: BTreeMap<String, String>,
}

/// Why a guest could not write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuestError {
    /// No such server.
    #[error("there is no server {0}")]
    NoServer(String),
    /// Only a running guest writes.
    #[error("server {server} is {status}: its guest does not run")]
    NotRunning {
        /// The server.
        server: String,
        /// Its status.
        status: String,
    },
    /// The volume is not one of the server's.
    #[error("volume {volume} is not attached to server {server}")]
    NotAttached {
        /// The server.
        server: String,
        /// The volume.
        volume: String,
    },
    /// The array refused, because it does not connect the host (the fence), for one.
    #[error("I/O error on volume {volume}: {reason}")]
    Io {
        /// The volume.
        volume: String,
        /// The array's words.
        reason: String,
    },
}

impl Cloud {
    /// Adds a public flavor.
    pub fn add_flavor(&self, seed: FlavorSeed) {
        let flavor = Flavor {
            id: seed.id.clone(),
            name: seed.name,
            vcpus: seed.vcpus,
            ram: seed.ram,
            disk: seed.disk,
            ephemeral: 0,
            swap: 0,
            is_public: true,
            extra_specs: seed.extra_specs,
            description: None,
        };
        self.world(|w| drop(w.st.nova.flavors.insert(seed.id, flavor)));
    }

    /// Adds `m1.tiny`, `m1.small`, `m1.medium` and `m1.large` (ids 1 to 4), all without a root disk.
    pub fn add_usual_flavors(&self) {
        let usual = [
            ("m1.tiny", 1, 512),
            ("m1.small", 1, 2048),
            ("m1.medium", 2, 4096),
            ("m1.large", 4, 8192),
        ];
        for (index, (name, vcpus, ram)) in usual.into_iter().enumerate() {
            self.add_flavor(FlavorSeed {
                id: (index + 1).to_string(),
                name: name.to_owned(),
                vcpus,
                ram,
                disk: 0,
                extra_specs: BTreeMap::new(),
            });
        }
    }

    /// Adds a user's public key; false if it is no OpenSSH key.
    pub fn add_keypair(&self, user_id: &str, name: &str, public_key: &str) -> bool {
        let Some(fingerprint) = fingerprint(public_key) else { return false };
        self.world(|w| {
            let key = Keypair {
                name: name.to_owned(),
                user_id: user_id.to_owned(),
                public_key: public_key.to_owned(),
                fingerprint,
                kind: "ssh".to_owned(),
                created_at: w.now(),
                id: w.st.nova.keypairs.len() as u64 + 1,
            };
            w.st.nova.keypairs.insert((user_id.to_owned(), name.to_owned()), key);
        });
        true
    }

    /// Sets the compute hosts; servers that run stay where they are.
    pub fn set_compute_hosts(&self, names: &[&str]) {
        self.world(|w| w.st.nova.computes = names.iter().map(|n| (*n).to_owned()).collect());
    }

    /// Builds of servers of that name end in ERROR with this fault; `None` ends that.
    pub fn fail_builds_of(&self, server_name: &str, message: Option<&str>) {
        self.world(|w| match message {
            Some(message) => {
                drop(w.st.nova.failing_builds.insert(server_name.to_owned(), message.to_owned()));
            }
            None => drop(w.st.nova.failing_builds.remove(server_name)),
        });
    }

    /// The guest of a server writes a stamp to one of its volumes. Works only while the server is
    /// ACTIVE and the array connects the volume to the server's host: what fences a source stops this.
    pub fn guest_write(
        &self,
        server_id: &str,
        volume_id: &str,
        stamp: &str,
    ) -> Result<(), GuestError> {
        self.world(|w| {
            let server = w.st.nova.servers.get(server_id).filter(|s| !s.deleted);
            let server = server.ok_or_else(|| GuestError::NoServer(server_id.to_owned()))?;
            if server.power_state != 1 {
                return Err(GuestError::NotRunning {
                    server: server_id.to_owned(),
                    status: server.status().to_owned(),
                });
            }
            let attached = server.disk_of(volume_id).is_some();
            let volume = w.st.cinder.volumes.get(volume_id).filter(|_| attached);
            let (Some(volume), Some(host)) = (volume, &server.host) else {
                return Err(GuestError::NotAttached {
                    server: server_id.to_owned(),
                    volume: volume_id.to_owned(),
                });
            };
            let (host, name) = (w.array_host(host), volume.array_name());
            w.inner.array.write(&host, &name, stamp).map_err(|refusal| GuestError::Io {
                volume: volume_id.to_owned(),
                reason: refusal.to_string(),
            })
        })
    }

    /// What a volume holds: its chain of stamps, read on the array.
    pub fn volume_content(&self, volume_id: &str) -> Result<Vec<String>, String> {
        let name = self
            .array_volume_name(volume_id)
            .ok_or_else(|| format!("there is no volume {volume_id}"))?;
        self.0.array.content(&name).map_err(|refusal| refusal.to_string())
    }

    /// The array's host object of the host on which a server runs.
    pub fn array_host_of(&self, server_id: &str) -> Option<String> {
        self.world(|w| {
            let host = w.st.nova.servers.get(server_id)?.host.clone()?;
            Some(w.array_host(&host))
        })
    }
}
