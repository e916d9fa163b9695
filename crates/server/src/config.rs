//! Configuration in oslo's form: INI sections, `OS_<SECTION>__<KEY>` in the environment on top.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use protector_types::Secret;

/// Everything that an operator sets. `protector config-sample` prints it with its docs.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[api] bind`: address and port of the API.
    pub bind: String,
    /// `[api] public_endpoint`: our URL as clients reach it; `None`: as the request has it.
    pub public_endpoint: Option<String>,
    /// `[database] connection`: `sqlite://...`, `postgresql://...`, `mysql://...`, `mysql+pymysql://...`.
    pub database: String,
    /// `[secrets] key_directory`.
    pub key_directory: PathBuf,
    /// `[oslo_policy] policy_file`.
    pub policy_file: PathBuf,
    /// `[keystone_authtoken]`: the local Keystone and our service user.
    pub keystone: KeystoneConfig,
    /// `[flasharray] ca_file` as PEM text.
    pub array_ca: Option<String>,
    /// `[flasharray] insecure`.
    pub array_insecure: bool,
    /// `[engine]`.
    pub engine: protector_engine::EngineConfig,
}

/// `[keystone_authtoken]`.
#[derive(Debug, Clone)]
pub struct KeystoneConfig {
    /// `auth_url`.
    pub auth_url: String,
    /// `region_name`.
    pub region_name: Option<String>,
    /// `username`.
    pub username: String,
    /// `password`.
    pub password: Secret,
    /// `project_name`.
    pub project_name: String,
    /// `user_domain_name`.
    pub user_domain_name: String,
    /// `project_domain_name`.
    pub project_domain_name: String,
    /// `cafile` as PEM text.
    pub ca_pem: Option<String>,
    /// `insecure`.
    pub insecure: bool,
}

/// What is wrong with the configuration, and where.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read or parsed.
    #[error("configuration file {path}: {reason}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// An option is missing or malformed.
    #[error("[{section}] {key}: {reason}")]
    Option {
        /// Section.
        section: &'static str,
        /// Key.
        key: &'static str,
        /// What is expected.
        reason: String,
    },
}

/// (section, key, default or "", doc); the sample is made from it, and a test compares it with what is read.
pub const OPTIONS: &[(&str, &str, &str, &str)] = &[
    ("api", "bind", "0.0.0.0:8788", "Address and port of protector-api."),
    (
        "api",
        "public_endpoint",
        "",
        "Our URL as clients reach it, for links; empty: as each request has it.",
    ),
    (
        "database",
        "connection",
        "sqlite:///var/lib/protector/protector.sqlite",
        "sqlite://, postgresql://, mysql:// or mysql+pymysql:// URL.",
    ),
    (
        "secrets",
        "key_directory",
        "/etc/protector/keys",
        "Folder of the keys that encrypt stored credentials; made at the first start.",
    ),
    (
        "oslo_policy",
        "policy_file",
        "/etc/protector/policy.yaml",
        "Overrides of the default policy; need not exist.",
    ),
    (
        "keystone_authtoken",
        "auth_url",
        "",
        "The local Keystone, for example http://controller:5000/v3. Required.",
    ),
    ("keystone_authtoken", "region_name", "", "Region of the catalog."),
    (
        "keystone_authtoken",
        "username",
        "protector",
        "Our service user: roles admin and service in project_name.",
    ),
    ("keystone_authtoken", "password", "", "Its password. Required."),
    ("keystone_authtoken", "project_name", "service", "Its project."),
    ("keystone_authtoken", "user_domain_name", "Default", "Domain of the user."),
    ("keystone_authtoken", "project_domain_name", "Default", "Domain of the project."),
    ("keystone_authtoken", "cafile", "", "PEM file of certificates to trust; empty: the system's."),
    ("keystone_authtoken", "insecure", "false", "Do not check certificates. For laboratories."),
    (
        "flasharray",
        "ca_file",
        "",
        "PEM file of certificates that the arrays' management uses; empty: the system's.",
    ),
    ("flasharray", "insecure", "false", "Do not check the arrays' certificates. For laboratories."),
    (
        "engine",
        "lease_seconds",
        "20",
        "How long an engine's heartbeat must stand still before another takes over.",
    ),
    ("engine", "heartbeat_seconds", "3", "How often an engine beats."),
    ("engine", "poll_milliseconds", "500", "How often an engine looks for operations."),
];

struct Reader(BTreeMap<(String, String), String>);

impl Reader {
    fn get(&self, section: &'static str, key: &'static str) -> Option<String> {
        let given = self.0.get(&(section.to_owned(), key.to_owned())).cloned();
        let default =
            || OPTIONS.iter().find(|o| o.0 == section && o.1 == key).map(|o| o.2.to_owned());
        given.or_else(default).filter(|value| !value.is_empty())
    }

    fn need(&self, section: &'static str, key: &'static str) -> Result<String, ConfigError> {
        self.get(section, key).ok_or_else(|| ConfigError::Option {
            section,
            key,
            reason: "is required and has no default".into(),
        })
    }

    fn flag(&self, section: &'static str, key: &'static str) -> Result<bool, ConfigError> {
        match self.get(section, key).unwrap_or_default().to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" | "on" => Ok(true),
            "false" | "no" | "0" | "off" | "" => Ok(false),
            other => Err(ConfigError::Option {
                section,
                key,
                reason: format!("{other:?} is not true or false"),
            }),
        }
    }

    fn number(&self, section: &'static str, key: &'static str) -> Result<u64, ConfigError> {
        let text = self.need(section, key)?;
        text.parse().map_err(|_| ConfigError::Option {
            section,
            key,
            reason: format!("{text:?} is not a whole number"),
        })
    }

    fn pem(&self, section: &'static str, key: &'static str) -> Result<Option<String>, ConfigError> {
        let Some(path) = self.get(section, key) else { return Ok(None) };
        std::fs::read_to_string(&path).map(Some).map_err(|e| ConfigError::Option {
            section,
            key,
            reason: format!("{path}: {e}"),
        })
    }
}

impl Config {
    /// Reads a file (none: defaults) and the environment on top.
    ///
    /// # Errors
    /// [`ConfigError`] naming file or option.
    pub fn read(path: Option<&Path>) -> Result<Self, ConfigError> {
        let mut values = BTreeMap::new();
        if let Some(path) = path {
            let unreadable =
                |reason: String| ConfigError::Unreadable { path: path.to_owned(), reason };
            let file = config::Config::builder()
                .add_source(config::File::from(path).format(config::FileFormat::Ini))
                .build()
                .map_err(|e| unreadable(e.to_string()))?;
            let sections: BTreeMap<String, BTreeMap<String, String>> =
                file.try_deserialize().map_err(|e| unreadable(e.to_string()))?;
            for (section, entries) in sections {
                for (key, value) in entries {
                    values.insert((section.to_lowercase(), key), value);
                }
            }
        }
        for (section, key, ..) in OPTIONS {
            let variable = format!("OS_{}__{}", section.to_uppercase(), key.to_uppercase());
            if let Ok(value) = std::env::var(&variable) {
                values.insert(((*section).to_owned(), (*key).to_owned()), value);
            }
        }
        Self::from_values(Reader(values))
    }

    fn from_values(reader: Reader) -> Result<Self, ConfigError> {
        let keystone = KeystoneConfig {
            auth_url: reader.need("keystone_authtoken", "auth_url")?,
            region_name: reader.get("keystone_authtoken", "region_name"),
            username: reader.need("keystone_authtoken", "username")?,
            password: Secret::new(reader.need("keystone_authtoken", "password")?),
            project_name: reader.need("keystone_authtoken", "project_name")?,
            user_domain_name: reader.need("keystone_authtoken", "user_domain_name")?,
            project_domain_name: reader.need("keystone_authtoken", "project_domain_name")?,
            ca_pem: reader.pem("keystone_authtoken", "cafile")?,
            insecure: reader.flag("keystone_authtoken", "insecure")?,
        };
        let engine = protector_engine::EngineConfig {
            lease: Duration::from_secs(reader.number("engine", "lease_seconds")?),
            heartbeat: Duration::from_secs(reader.number("engine", "heartbeat_seconds")?),
            poll: Duration::from_millis(reader.number("engine", "poll_milliseconds")?),
            ..protector_engine::EngineConfig::default()
        };
        if engine.heartbeat * 3 > engine.lease {
            return Err(ConfigError::Option {
                section: "engine",
                key: "lease_seconds",
                reason: "must be at least three heartbeats, or a living engine is taken for dead"
                    .into(),
            });
        }
        Ok(Self {
            bind: reader.need("api", "bind")?,
            public_endpoint: reader.get("api", "public_endpoint"),
            database: reader.need("database", "connection")?,
            key_directory: reader.need("secrets", "key_directory")?.into(),
            policy_file: reader.need("oslo_policy", "policy_file")?.into(),
            keystone,
            array_ca: reader.pem("flasharray", "ca_file")?,
            array_insecure: reader.flag("flasharray", "insecure")?,
            engine,
        })
    }
}

/// The sample file.
pub fn sample() -> String {
    let mut text = String::from(
        "# Protector's configuration. Each option may also be set as OS_<SECTION>__<KEY>.\n",
    );
    let mut last = "";
    for (section, key, default, doc) in OPTIONS {
        if *section != last {
            text.push_str(&format!("\n[{section}]\n"));
            last = section;
        }
        text.push_str(&format!("# {doc}\n#{key} = {default}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::with_suffix(".conf").unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::read(Some(file.path()))
    }

    const LEAST: &str = "[keystone_authtoken]\nauth_url = http://k:5000/v3\npassword = p$%#w\n";

    #[test]
    fn the_least_file_gives_documented_defaults() {
        let config = read(LEAST).unwrap();
        assert_eq!(config.bind, "0.0.0.0:8788");
        assert_eq!(config.keystone.password.expose(), "p$%#w");
        assert_eq!(config.engine.lease, Duration::from_secs(20));
    }

    #[test]
    fn a_missing_or_malformed_option_is_named() {
        let missing = read("[keystone_authtoken]\nauth_url = http://k\n").unwrap_err();
        assert_eq!(
            missing.to_string(),
            "[keystone_authtoken] password: is required and has no default"
        );
        let malformed = read(&format!("{LEAST}[engine]\nlease_seconds = soon\n")).unwrap_err();
        assert!(malformed.to_string().contains("lease_seconds"), "{malformed}");
        assert!(read(&format!("{LEAST}[engine]\nlease_seconds = 5\n")).is_err());
    }

    #[test]
    fn the_sample_names_every_option_once() {
        let sample = sample();
        for (_, key, ..) in OPTIONS {
            assert!(sample.contains(&format!("#{key} = ")), "{key}");
        }
    }
}
