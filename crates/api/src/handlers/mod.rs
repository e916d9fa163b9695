//! One file per resource; in each, one function per verb: read the body, load, ask the policy, call the core,
//! answer.

pub mod actions;
pub mod discovery;
pub mod events;
pub mod groups;
pub mod health;
pub mod members;
pub mod operations;
pub mod peer;
pub mod policies;
pub mod replication;
pub mod sites;
pub mod tenant_mappings;

use http::{HeaderName, HeaderValue, header::LOCATION};
use protector_policy::{Rule, Target};
use protector_types::{GroupId, ProjectId};

use crate::{
    call::{Call, id},
    error::ApiResult,
    extract::GroupPath,
    model::GroupDetail,
};

/// A group that the caller may see, with what the policy is asked about.
pub(crate) struct LoadedGroup {
    /// The project of the path.
    pub project: ProjectId,
    /// The group.
    pub detail: GroupDetail,
}

impl LoadedGroup {
    /// Its id.
    pub fn id(&self) -> GroupId {
        self.detail.group.id
    }
}

/// Loads the group of the path and asks the policy; 404 comes before 403.
pub(crate) async fn load(call: &Call, path: &GroupPath, rule: Rule) -> ApiResult<LoadedGroup> {
    let loaded = find(call, path).await?;
    enforce(call, &loaded, rule)?;
    call.note_caller(&loaded.project).await?;
    Ok(loaded)
}

/// Loads the group of the path.
pub(crate) async fn find(call: &Call, path: &GroupPath) -> ApiResult<LoadedGroup> {
    let project = call.tenant(&path.tenant_id)?;
    let detail = call.core().group(&project, id("Protection group", &path.pg_id)?).await?;
    Ok(LoadedGroup { project, detail })
}

/// Asks the policy about a group.
pub(crate) fn enforce(call: &Call, loaded: &LoadedGroup, rule: Rule) -> ApiResult<()> {
    let target = Target::project(&loaded.project)
        .with("protection_group_id", loaded.id().to_string())
        .with("protection_group_status", loaded.detail.group.status.as_str());
    call.enforce(rule, &target)
}

/// Asks the policy about the project of the path.
pub(crate) fn enforce_project(call: &Call, tenant_id: &str, rule: Rule) -> ApiResult<ProjectId> {
    let project = call.tenant(tenant_id)?;
    call.enforce(rule, &Target::project(&project))?;
    Ok(project)
}

/// A `Location` header.
pub(crate) fn location(call: &Call, path: &str) -> [(HeaderName, HeaderValue); 1] {
    let value = HeaderValue::from_str(&call.url(path));
    [(LOCATION, value.unwrap_or_else(|_| HeaderValue::from_static("/")))]
}
