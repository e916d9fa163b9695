//! `/v2.0/quotas`, and the check before each creation.

use axum::{
    Json, Router,
    extract::{Path, State as Ext},
    http::StatusCode,
    routing::get,
};
use serde_json::{Map, Value, json};

use super::{NEUTRON, denied, inner};
use crate::cloud::{ApiError, Caller, Cloud, JsonBody, State};

const DEFAULTS: [(&str, i64); 5] = [
    ("network", 100),
    ("subnet", 100),
    ("port", 500),
    ("security_group", 10),
    ("security_group_rule", 100),
];

/// `/network/v2.0/quotas`.
pub(super) fn router() -> Router<Cloud> {
    Router::new()
        .route("/network/v2.0/quotas", get(list))
        .route("/network/v2.0/quotas/{project}", get(show).put(update).delete(reset))
        .route("/network/v2.0/quotas/{project}/default", get(defaults))
        .route("/network/v2.0/quotas/{project}/details", get(details))
}

impl State {
    fn network_limit(&self, project_id: &str, resource: &str) -> i64 {
        let default = DEFAULTS.iter().find(|(r, _)| *r == resource).map_or(-1, |(_, n)| *n);
        self.quotas.limit(NEUTRON, project_id, resource, default)
    }

    fn network_used(&self, project_id: &str, resource: &str) -> i64 {
        let n = &self.neutron;
        let count = match resource {
            "network" => n.networks.values().filter(|x| x.common.project_id == project_id).count(),
            "subnet" => n.subnets.values().filter(|x| x.common.project_id == project_id).count(),
            "port" => n.ports.values().filter(|x| x.common.project_id == project_id).count(),
            "security_group" => {
                n.security_groups.values().filter(|x| x.common.project_id == project_id).count()
            }
            "security_group_rule" => {
                let groups =
                    n.security_groups.values().filter(|x| x.common.project_id == project_id);
                groups.map(|g| g.rules.len()).sum()
            }
            _ => 0,
        };
        i64::try_from(count).unwrap_or(i64::MAX)
    }

    /// 409 `OverQuota` if one more would be too many.
    pub(super) fn check_network_quota(
        &self,
        project_id: &str,
        resource: &str,
    ) -> Result<(), ApiError> {
        let limit = self.network_limit(project_id, resource);
        if limit >= 0 && self.network_used(project_id, resource) >= limit {
            return Err(NEUTRON
                .conflict(format!("Quota exceeded for resources: ['{resource}']."))
                .kind("OverQuota"));
        }
        Ok(())
    }

    fn network_quota(&self, project_id: &str) -> Value {
        let limits = DEFAULTS
            .iter()
            .map(|(r, _)| ((*r).to_owned(), json!(self.network_limit(project_id, r))));
        Value::Object(limits.collect::<Map<_, _>>())
    }
}

fn own_or_admin(caller: &Caller, project: &str) -> Result<(), ApiError> {
    if caller.may_see(project) { Ok(()) } else { Err(denied("get_quota")) }
}

async fn list(Ext(cloud): Ext<Cloud>, caller: Caller) -> Result<Json<Value>, ApiError> {
    if !caller.is_admin() {
        return Err(denied("get_quota"));
    }
    let state = cloud.lock();
    let mut projects: Vec<&String> = state
        .quotas
        .0
        .keys()
        .filter(|(s, p, _)| s == "network" && p != "*")
        .map(|(_, p, _)| p)
        .collect();
    projects.dedup();
    let items: Vec<Value> = projects
        .into_iter()
        .map(|p| {
            let mut quota = state.network_quota(p);
            quota["project_id"] = json!(p);
            quota["tenant_id"] = json!(p);
            quota
        })
        .collect();
    Ok(Json(json!({"quotas": items})))
}

async fn show(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(project): Path<String>,
) -> Result<Json<Value>, ApiError> {
    own_or_admin(&caller, &project)?;
    Ok(Json(json!({"quota": cloud.lock().network_quota(&project)})))
}

async fn defaults(caller: Caller, Path(project): Path<String>) -> Result<Json<Value>, ApiError> {
    own_or_admin(&caller, &project)?;
    let limits: Map<String, Value> =
        DEFAULTS.iter().map(|(r, n)| ((*r).to_owned(), json!(n))).collect();
    Ok(Json(json!({"quota": limits})))
}

async fn details(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(project): Path<String>,
) -> Result<Json<Value>, ApiError> {
    own_or_admin(&caller, &project)?;
    let state = cloud.lock();
    let entry = |r: &str| json!({"limit": state.network_limit(&project, r), "used": state.network_used(&project, r), "reserved": 0});
    let all: Map<String, Value> =
        DEFAULTS.iter().map(|(r, _)| ((*r).to_owned(), entry(r))).collect();
    Ok(Json(json!({"quota": all})))
}

async fn update(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(project): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Json<Value>, ApiError> {
    if !caller.is_admin() {
        return Err(denied("update_quota"));
    }
    let change = inner(&body, "quota")?;
    let mut state = cloud.lock();
    for (resource, _) in DEFAULTS {
        if let Some(limit) = change[resource].as_i64() {
            state.quotas.set(NEUTRON, &project, resource, limit);
        }
    }
    Ok(Json(json!({"quota": state.network_quota(&project)})))
}

async fn reset(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(project): Path<String>,
) -> Result<StatusCode, ApiError> {
    if !caller.is_admin() {
        return Err(denied("delete_quota"));
    }
    cloud
        .lock()
        .quotas
        .0
        .retain(|(service, owner, _), _| service != NEUTRON.name() || *owner != project);
    Ok(StatusCode::NO_CONTENT)
}
