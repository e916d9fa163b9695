//! Puts protection in place over our own API, as an administrator and a tenant do it.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::{
    rest::{Rest, text},
    stage::{FLAVORS, NETWORKS, Stage},
    tenant::AppServer,
};

/// What was made.
#[derive(Debug, Clone)]
pub struct Protected {
    /// Ids of site A and site B, equal on both.
    pub site_ids: [String; 2],
    /// The tenant's project at each site.
    pub projects: [String; 2],
    /// The group, the same at both.
    pub group_id: String,
}

/// Registers both sites, maps the projects, creates group, policy and members.
///
/// # Errors
/// What the API answered.
pub async fn protect(stage: &Stage, servers: &[AppServer]) -> anyhow::Result<Protected> {
    let admin = stage.admin(0).await?;
    let site_ids = [register(stage, &admin, 0).await?, register(stage, &admin, 1).await?];
    let mapping = json!({"tenant_mapping": {
        "primary_site_id": site_ids[0], "primary_project_name": "app", "primary_project_domain_name": "Default",
        "secondary_site_id": site_ids[1], "secondary_project_name": "app", "secondary_project_domain_name": "Default",
    }});
    let api = &stage.sites[0].api_url;
    let mapping = admin
        .post(&format!("{api}/v1/admin/tenant-mappings"), &mapping)
        .await
        .context("tenant mapping")?;
    let projects = [
        text(&mapping, "/tenant_mapping/primary_project_id")?,
        text(&mapping, "/tenant_mapping/secondary_project_id")?,
    ];
    let (tenant, project) = stage.tenant(0).await?;
    let groups = format!("{api}/v1/{project}/protection-groups");
    let kind = if stage.synchronous { "sync" } else { "async" };
    let group = json!({"protection_group": {
        "name": "prod-web-app", "description": "the demo's application", "replication_type": kind,
    }});
    let group_id = text(
        &tenant.post(&groups, &group).await.context("protection group")?,
        "/protection_group/id",
    )?;
    let group_url = format!("{groups}/{group_id}");
    let policy = json!({"policy": {
        "primary_fa_url": stage.sites[0].array_url, "primary_fa_api_token": stage.sites[0].array_token,
        "secondary_fa_url": stage.sites[1].array_url, "secondary_fa_api_token": stage.sites[1].array_token,
        "replication_interval": 300, "rpo_minutes": 15,
    }});
    tenant.post(&format!("{group_url}/policy"), &policy).await.context("replication policy")?;
    for server in servers {
        let member = json!({"member": {"server": server.id}});
        tenant
            .post(&format!("{group_url}/members"), &member)
            .await
            .with_context(|| server.name.clone())?;
    }
    Ok(Protected { site_ids, projects, group_id })
}

/// Standing mappings on the group, so that an action need not repeat them (the documentation's examples 2 and 3 leave
/// some out).
///
/// # Errors
/// What the API answered.
pub async fn set_mappings(stage: &Stage, protected: &Protected) -> anyhow::Result<()> {
    let (tenant, project) = stage.tenant(0).await?;
    let (api, group) = (&stage.sites[0].api_url, &protected.group_id);
    let change = json!({"protection_group": {
        "network_mapping": {NETWORKS[0][0]: NETWORKS[1][0], NETWORKS[0][1]: NETWORKS[1][1]},
        "flavor_mapping": {FLAVORS[0]: FLAVORS[1]},
    }});
    let url = format!("{api}/v1/{project}/protection-groups/{group}");
    tenant.call("PATCH", &url, Some(&change)).await.context("standing mappings")?;
    Ok(())
}

async fn register(stage: &Stage, admin: &Rest, at: usize) -> anyhow::Result<String> {
    let site = &stage.sites[at];
    let body = json!({"site": {
        "name": site.name,
        "description": format!("simulated site {}", site.name),
        "auth_url": site.auth_url,
        "region_name": site.config.keystone.region_name,
        "protector_url": site.api_url,
        "username": "protector", "password": "protector-password", "project_name": "service",
        "user_domain_name": "Default", "project_domain_name": "Default",
        "is_local": at == 0,
    }});
    let made = admin.post(&format!("{}/v1/admin/sites", stage.sites[0].api_url), &body).await;
    text(&made.with_context(|| format!("registration of {}", site.name))?, "/site/id")
}

/// The body of the documentation's Example 1.
pub fn failover_body() -> Value {
    json!({"failover": {
        "network_mapping": {NETWORKS[0][0]: NETWORKS[1][0], NETWORKS[0][1]: NETWORKS[1][1]},
        "flavor_mapping": {FLAVORS[0]: FLAVORS[1]},
        "force": false,
    }})
}
