//! Who we are at a site.

use protector_types::{ProjectId, Secret};

/// How we log in.
#[derive(Debug, Clone)]
pub enum AuthMethod {
    /// The service user.
    Password {
        /// User name.
        user: String,
        /// Name of the user's domain.
        user_domain: String,
        /// Password.
        password: Secret,
        /// Name of the service user's own project.
        project: String,
        /// Name of that project's domain.
        project_domain: String,
    },
    /// An application credential: bound to one project for ever.
    ApplicationCredential {
        /// Id.
        id: String,
        /// Secret.
        secret: Secret,
    },
}

/// How to reach a site's Keystone, and as whom.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Keystone, with or without `/v3`.
    pub auth_url: String,
    /// Region of the catalog; `None` only where the catalog has one.
    pub region: Option<String>,
    /// `public`, `internal` or `admin`; usually `public`.
    pub interface: String,
    /// How we log in.
    pub method: AuthMethod,
}

impl Credentials {
    /// The usual case: a service user with a password, over the public interface.
    pub fn password(auth_url: &str, region: Option<&str>, method: AuthMethod) -> Self {
        Self {
            auth_url: auth_url.to_owned(),
            region: region.map(str::to_owned),
            interface: "public".into(),
            method,
        }
    }

    /// Keystone's v3 root, without a trailing slash.
    pub fn identity_url(&self) -> String {
        let url = self.auth_url.trim_end_matches('/');
        let url = url.strip_suffix("/v2.0").unwrap_or(url);
        if url.ends_with("/v3") { url.to_owned() } else { format!("{url}/v3") }
    }
}

/// What a session may act in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The service user's own project.
    Own,
    /// A mapped project, where our user holds roles.
    Project(ProjectId),
    /// A tenant's trust: we act as that user, in the trust's project.
    Trust {
        /// Keystone's id of the trust.
        id: String,
        /// Where our own user goes on once Keystone no longer honours the trust; `None`: nowhere.
        otherwise: Option<ProjectId>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_url_ends_with_v3_however_it_was_written() {
        for url in [
            "http://k/identity",
            "http://k/identity/",
            "http://k/identity/v3",
            "http://k/identity/v3/",
        ] {
            let credentials = Credentials {
                auth_url: url.into(),
                region: None,
                interface: "public".into(),
                method: AuthMethod::ApplicationCredential { id: "i".into(), secret: "s".into() },
            };
            assert_eq!(credentials.identity_url(), "http://k/identity/v3");
        }
    }
}
