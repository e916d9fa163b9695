//! Shell variables and a clouds.yaml for whoever wants to use the running demo.

use std::{fs, path::Path};

use anyhow::Context as _;

use crate::{protect::Protected, stage::Stage};

/// The variables, in order.
pub fn variables(
    stage: &Stage,
    protected: &Protected,
    clouds: &Path,
    ca: &Path,
) -> Vec<(String, String)> {
    let mut variables = vec![
        ("OS_CLIENT_CONFIG_FILE".to_owned(), clouds.display().to_string()),
        ("OS_CLOUD".to_owned(), "site-a".to_owned()),
        (
            "TOKEN_COMMAND".to_owned(),
            "openstack --os-cloud site-a token issue -f value -c id".to_owned(),
        ),
        ("API_URL".to_owned(), stage.sites[0].api_url.clone()),
        ("PG_ID".to_owned(), protected.group_id.clone()),
        ("TENANT_ID".to_owned(), protected.projects[0].clone()),
        ("ARRAY_CA".to_owned(), ca.display().to_string()),
    ];
    for (at, letter) in ["A", "B"].into_iter().enumerate() {
        let site = &stage.sites[at];
        let own = [
            ("API_URL", &site.api_url),
            ("AUTH_URL", &site.auth_url),
            ("SITE_ID", &protected.site_ids[at]),
            ("TENANT_ID", &protected.projects[at]),
            ("PG_ID", &protected.group_id),
            ("ARRAY_URL", &site.array_url),
            ("ARRAY_NAME", &site.array_name),
            ("ARRAY_TOKEN", &site.array_token),
            ("CLOUD_URL", &site.cloud_url),
        ];
        variables.extend(own.map(|(key, value)| (format!("SITE_{letter}_{key}"), value.clone())));
    }
    variables
}

/// clouds.yaml: a tenant's and an administrator's entry for each site.
pub fn clouds_yaml(stage: &Stage) -> String {
    let mut text = String::from("clouds:\n");
    for site in &stage.sites {
        let accounts = [
            ("", "app-user", "app-password", "app"),
            ("-admin", "admin", "admin-password", "admin"),
        ];
        for (suffix, user, password, project) in accounts {
            let region = site.config.keystone.region_name.as_deref().unwrap_or_default();
            text.push_str(&format!(
                "  {name}{suffix}:\n    auth:\n      auth_url: {auth_url}\n      username: {user}\n      password: \
                 {password}\n      project_name: {project}\n      user_domain_name: Default\n      \
                 project_domain_name: Default\n    region_name: {region}\n",
                name = site.name,
                auth_url = site.auth_url,
            ));
        }
    }
    text
}

/// Writes all three files.
///
/// # Errors
/// When a file cannot be written.
pub fn write(path: &Path, stage: &Stage, protected: &Protected) -> anyhow::Result<()> {
    let folder =
        path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let folder = folder.canonicalize().with_context(|| format!("folder of {}", path.display()))?;
    let (clouds, ca) = (folder.join("clouds.yaml"), folder.join("array-ca.pem"));
    fs::write(&clouds, clouds_yaml(stage)).with_context(|| clouds.display().to_string())?;
    fs::write(&ca, &stage.served.ca_pem).with_context(|| ca.display().to_string())?;
    let lines: String = variables(stage, protected, &clouds, &ca)
        .into_iter()
        .map(|(key, value)| format!("export {key}='{value}'\n"))
        .collect();
    fs::write(path, lines).with_context(|| path.display().to_string())
}
