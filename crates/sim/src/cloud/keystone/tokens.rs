//! `/v3/auth/*`: make, validate and revoke tokens; what a token may be scoped to.

use axum::{
    Json, Router,
    extract::State as Ext,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};

use super::{KS, State, Target, TokenView, catalog, collection, login::login, projects, time};
use crate::cloud::{ApiError, Caller, Cloud, JsonBody, Params, header};

/// `/identity/v3/auth`.
pub(super) fn router() -> Router<Cloud> {
    Router::new()
        .route("/identity/v3/auth/tokens", get(show).head(show).post(create).delete(revoke))
        .route("/identity/v3/auth/catalog", get(own_catalog))
        .route("/identity/v3/auth/projects", get(own_projects))
        .route("/identity/v3/auth/domains", get(own_domains))
        .route("/identity/v3/auth/system", get(own_system))
}

/// The body of a token's answer.
pub(super) fn token_json(
    cloud: &Cloud,
    state: &State,
    view: &TokenView,
    with_catalog: bool,
) -> Value {
    let domain = |id: &str| {
        let name = state.domains.get(id).map(|d| d.name.clone()).unwrap_or_default();
        json!({"id": id, "name": name})
    };
    let mut token = json!({
        "methods": view.token.methods,
        "user": {"id": view.user.id, "name": view.user.name, "domain": domain(&view.user.domain_id), "password_expires_at": null},
        "audit_ids": view.token.audit_ids,
        "expires_at": time(view.token.expires_at),
        "issued_at": time(view.token.issued_at),
    });
    if let Some(project) = &view.project {
        token["project"] =
            json!({"id": project.id, "name": project.name, "domain": domain(&project.domain_id)});
        token["is_domain"] = json!(false);
    }
    if let Some(scope) = &view.domain {
        token["domain"] = json!({"id": scope.id, "name": scope.name});
    }
    if view.project.is_some() || view.domain.is_some() {
        token["roles"] = view.roles.iter().map(|r| json!({"id": r.id, "name": r.name})).collect();
        if with_catalog {
            token["catalog"] = catalog::catalog(cloud, state, view);
        }
    }
    if let Some(trust) = view.token.trust_id.as_ref().and_then(|id| state.trusts.get(id)) {
        token["OS-TRUST:trust"] = json!({
            "id": trust.id,
            "impersonation": trust.impersonation,
            "trustor_user": {"id": trust.trustor_user_id},
            "trustee_user": {"id": trust.trustee_user_id},
        });
    }
    if let Some(credential) =
        view.token.app_credential_id.as_ref().and_then(|id| state.app_credentials.get(id))
    {
        token["application_credential"] = json!({
            "id": credential.id, "name": credential.name, "restricted": !credential.unrestricted,
        });
    }
    json!({"token": token})
}

fn with_subject(token: &str, response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    if let Ok(value) = HeaderValue::from_str(token) {
        response.headers_mut().insert(HeaderName::from_static("x-subject-token"), value);
    }
    response.headers_mut().insert("vary", HeaderValue::from_static("X-Auth-Token"));
    response
}

async fn create(
    Ext(cloud): Ext<Cloud>,
    params: Params,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let auth = super::inner(&body, "auth")?;
    let now = cloud.now();
    let secret = format!("gAAAAAB{}{}", cloud.new_hex_id(), cloud.new_hex_id());
    let audit: String = cloud.new_hex_id().chars().take(22).collect();
    let mut guard = cloud.lock();
    let state = &mut guard.keystone;
    let token = login(state, auth, now, secret.clone(), audit)?;
    // Tokens that nobody could use any more would pile up in long runs.
    state.tokens.retain(|_, t| t.expires_at + super::ALLOW_EXPIRED_WINDOW > now);
    state.tokens.insert(secret.clone(), token);
    let view = match state.validate(&secret, now, false) {
        Ok(view) => view,
        Err(_) => {
            state.tokens.remove(&secret);
            return Err(KS.unauthorized());
        }
    };
    let body = token_json(&cloud, state, &view, !params.flag("nocatalog"));
    Ok(with_subject(&secret, (StatusCode::CREATED, Json(body))))
}

/// The subject of a validation, if the caller may ask: admin, a service, or the token itself.
fn subject<'a>(caller: &Caller, headers: &'a HeaderMap) -> Result<&'a str, ApiError> {
    let subject = header(headers, "x-subject-token")
        .ok_or_else(|| KS.bad_request("X-Subject-Token header is required."))?;
    let allowed = caller.is_admin() || caller.has_role("service") || caller.token == subject;
    if allowed { Ok(subject) } else { Err(KS.policy_denied("identity:validate_token")) }
}

async fn show(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let subject = subject(&caller, &headers)?;
    let state = cloud.lock();
    let view = state
        .keystone
        .validate(subject, cloud.now(), params.flag("allow_expired"))
        .map_err(|_| KS.not_found("Could not find token."))?;
    let body = token_json(&cloud, &state.keystone, &view, !params.flag("nocatalog"));
    Ok(with_subject(subject, Json(body)))
}

async fn revoke(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let subject = subject(&caller, &headers)?;
    let now = cloud.now();
    let mut state = cloud.lock();
    state
        .keystone
        .validate(subject, now, false)
        .map_err(|_| KS.not_found("Could not find token."))?;
    if let Some(token) = state.keystone.tokens.get_mut(subject) {
        token.revoked = true;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn own_catalog(Ext(cloud): Ext<Cloud>, caller: Caller) -> Result<Json<Value>, ApiError> {
    let state = cloud.lock();
    let view = state
        .keystone
        .validate(&caller.token, cloud.now(), false)
        .map_err(|_| KS.unauthorized())?;
    let items = catalog::catalog(&cloud, &state.keystone, &view);
    Ok(Json(
        json!({"catalog": items, "links": {"self": format!("{}/identity/v3/auth/catalog", cloud.base_url())}}),
    ))
}

async fn own_projects(Ext(cloud): Ext<Cloud>, caller: Caller) -> Json<Value> {
    let state = cloud.lock();
    let ks = &state.keystone;
    let held = |id: &str| !ks.roles_on(&caller.user_id, &Target::Project(id.to_owned())).is_empty();
    let items = ks
        .projects
        .values()
        .filter(|p| p.enabled && held(&p.id))
        .map(|p| projects::project_json(&cloud, p))
        .collect();
    Json(collection(&cloud, "projects", "auth/projects", items))
}

async fn own_domains(Ext(cloud): Ext<Cloud>, caller: Caller) -> Json<Value> {
    let state = cloud.lock();
    let ks = &state.keystone;
    let held = |id: &str| !ks.roles_on(&caller.user_id, &Target::Domain(id.to_owned())).is_empty();
    let items = ks
        .domains
        .values()
        .filter(|d| d.enabled && held(&d.id))
        .map(|d| projects::domain_json(&cloud, d))
        .collect();
    Json(collection(&cloud, "domains", "auth/domains", items))
}

async fn own_system(Ext(cloud): Ext<Cloud>, _caller: Caller) -> Json<Value> {
    Json(collection(&cloud, "system", "auth/system", Vec::new()))
}
