//! One site's services in one project.

use std::sync::Arc;

use async_trait::async_trait;
use protector_ports::{Actor, BlockStorage, Cloud, Compute, Image, Networking, PortResult};

use crate::{
    compute::Nova,
    image::Glance,
    network::Neutron,
    rest::{Api, Base},
    session::Session,
    site::Site,
    volume::Cinder,
};

/// Nova, Cinder, Neutron and Glance in one session.
pub struct OpenStackCloud {
    nova: Nova,
    cinder: Cinder,
    neutron: Neutron,
    glance: Glance,
    session: Arc<Session>,
}

impl OpenStackCloud {
    pub(crate) fn new(site: &Site, session: Arc<Session>) -> Self {
        let api = |name: &str, service_type: &'static str, base: Base| Api {
            service: site.service(name),
            session: session.clone(),
            service_type,
            base,
        };
        Self {
            nova: Nova::new(
                api("nova", "compute", |url, _| url.to_owned()),
                site.compute_version.clone(),
            ),
            cinder: Cinder::new(
                api("cinder", "block-storage", volume_base),
                site.volume_version.clone(),
            ),
            neutron: Neutron::new(api("neutron", "network", |url, _| versioned(url, "v2.0"))),
            glance: Glance::new(api("glance", "image", |url, _| versioned(url, "v2"))),
            session,
        }
    }

    /// The session behind it.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

/// The catalog may hold the bare endpoint, or already the versioned one.
fn versioned(url: &str, version: &str) -> String {
    let last = url.rsplit('/').next().unwrap_or_default();
    if last.starts_with('v') && last[1..].starts_with(|c: char| c.is_ascii_digit()) {
        url.to_owned()
    } else {
        format!("{url}/{version}")
    }
}

/// Cinder's URL, always with the project: optional only since 3.67.
fn volume_base(url: &str, project: &str) -> String {
    let url = versioned_before(url, project);
    if project.is_empty() || url.rsplit('/').next() == Some(project) {
        url
    } else {
        format!("{url}/{project}")
    }
}

fn versioned_before(url: &str, project: &str) -> String {
    match url
        .strip_suffix(project)
        .filter(|_| !project.is_empty())
        .and_then(|rest| rest.strip_suffix('/'))
    {
        Some(root) => format!("{}/{project}", versioned(root, "v3")),
        None => versioned(url, "v3"),
    }
}

#[async_trait]
impl Cloud for OpenStackCloud {
    async fn actor(&self) -> PortResult<Actor> {
        let token = self.session.token().await?;
        let reason = self.session.trust_ended();
        Ok(Actor {
            user_id: token.info.user_id.clone(),
            user_name: token.info.user_name.clone(),
            delegated: self.session.is_trust() && reason.is_none(),
            reason,
        })
    }

    fn compute(&self) -> &dyn Compute {
        &self.nova
    }

    fn block_storage(&self) -> &dyn BlockStorage {
        &self.cinder
    }

    fn networking(&self) -> &dyn Networking {
        &self.neutron
    }

    fn image(&self) -> &dyn Image {
        &self.glance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_get_version_and_project_once() {
        assert_eq!(versioned("http://n:9696", "v2.0"), "http://n:9696/v2.0");
        assert_eq!(versioned("http://n/network/v2.0", "v2.0"), "http://n/network/v2.0");
        assert_eq!(versioned("http://volume", "v3"), "http://volume/v3");
        for url in
            ["http://c/volume/v3", "http://c/volume/v3/p1", "http://c/volume", "http://c/volume/p1"]
        {
            assert_eq!(volume_base(url, "p1"), "http://c/volume/v3/p1", "{url}");
        }
    }
}
