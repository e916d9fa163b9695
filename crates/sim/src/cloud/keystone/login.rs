//! The methods and scopes of `POST /v3/auth/tokens`.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{KS, Scope, State, Target, Token, Trust, text};
use crate::cloud::ApiError;

/// Who proved to be whom, and how.
#[derive(Debug)]
pub(super) struct Proof {
    user_id: String,
    methods: Vec<String>,
    /// From the token method: the new token cannot outlive the old one.
    parent: Option<Token>,
    app_credential_id: Option<String>,
}

/// SHA-256 in hex.
pub(super) fn secret_hash(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// Answers a whole login: proves the user, finds the scope, makes the token (without storing it).
pub(super) fn login(
    state: &mut State,
    auth: &Value,
    now: DateTime<Utc>,
    token_id: String,
    audit_id: String,
) -> Result<Token, ApiError> {
    let proof = prove(state, auth, now)?;
    let (scope, trust) = wanted_scope(state, auth, &proof, now)?;
    let mut token = Token {
        id: token_id,
        user_id: proof.user_id.clone(),
        scope,
        methods: proof.methods,
        issued_at: now,
        expires_at: now + state.token_life(),
        revoked: false,
        trust_id: None,
        app_credential_id: proof.app_credential_id,
        audit_ids: vec![audit_id],
    };
    if let Some(parent) = proof.parent {
        token.expires_at = parent.expires_at;
        token.audit_ids.extend(parent.audit_ids.first().cloned());
        token.trust_id = parent.trust_id;
        token.app_credential_id = parent.app_credential_id;
    }
    if let Some(trust) = trust {
        if trust.impersonation {
            token.user_id = trust.trustor_user_id.clone();
        }
        if let Some(stored) = state.trusts.get_mut(&trust.id) {
            stored.remaining_uses = stored.remaining_uses.map(|n| n.saturating_sub(1));
        }
        token.trust_id = Some(trust.id);
    }
    Ok(token)
}

fn prove(state: &State, auth: &Value, now: DateTime<Utc>) -> Result<Proof, ApiError> {
    let identity =
        auth.get("identity").ok_or_else(|| KS.bad_request("'identity' is a required property"))?;
    let methods: Vec<String> = identity
        .get("methods")
        .and_then(Value::as_array)
        .map(|m| m.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .unwrap_or_default();
    let [method] = methods.as_slice() else {
        return Err(KS.bad_request("Exactly one authentication method is supported per request."));
    };
    let data = identity
        .get(method)
        .ok_or_else(|| KS.bad_request(format!("Expecting to find {method} in identity.")))?;
    match method.as_str() {
        "password" => by_password(state, data),
        "token" => by_token(state, data, now),
        "application_credential" => by_app_credential(state, data, now),
        _ => Err(KS.unauthorized()),
    }
}

/// A user by id, or by name and domain; disabled ones (or in disabled domains) are nobody.
fn find_user(state: &State, user: &Value) -> Result<String, ApiError> {
    let found = if let Some(id) = user.get("id").and_then(Value::as_str) {
        state.users.get(id)
    } else {
        let name = text(user, "name")?;
        let domain = user
            .get("domain")
            .and_then(|d| domain_id(state, d))
            .ok_or_else(|| KS.unauthorized())?;
        state.user_named(name, &domain)
    };
    found
        .filter(|u| u.enabled && state.domains.get(&u.domain_id).is_some_and(|d| d.enabled))
        .map(|u| u.id.clone())
        .ok_or_else(|| KS.unauthorized())
}

fn domain_id(state: &State, domain: &Value) -> Option<String> {
    if let Some(id) = domain.get("id").and_then(Value::as_str) {
        return state.domains.get(id).map(|d| d.id.clone());
    }
    let name = domain.get("name").and_then(Value::as_str)?;
    state.domain_named(name).map(|d| d.id.clone())
}

fn by_password(state: &State, data: &Value) -> Result<Proof, ApiError> {
    let user =
        data.get("user").ok_or_else(|| KS.bad_request("Expecting to find user in password."))?;
    let user_id = find_user(state, user)?;
    let password = user.get("password").and_then(Value::as_str).unwrap_or_default();
    let matches = state.users.get(&user_id).is_some_and(|u| u.password == password);
    if !matches {
        return Err(KS.unauthorized());
    }
    Ok(Proof {
        user_id,
        methods: vec!["password".to_owned()],
        parent: None,
        app_credential_id: None,
    })
}

fn by_token(state: &State, data: &Value, now: DateTime<Utc>) -> Result<Proof, ApiError> {
    let id = text(data, "id")?;
    let view = state.validate(id, now, false).map_err(|_| KS.unauthorized())?;
    let mut methods = view.token.methods.clone();
    if !methods.iter().any(|m| m == "token") {
        methods.push("token".to_owned());
    }
    Ok(Proof { user_id: view.user.id, methods, parent: Some(view.token), app_credential_id: None })
}

fn by_app_credential(state: &State, data: &Value, now: DateTime<Utc>) -> Result<Proof, ApiError> {
    let credential = if let Some(id) = data.get("id").and_then(Value::as_str) {
        state.app_credentials.get(id)
    } else {
        let name = text(data, "name")?;
        let user = data.get("user").ok_or_else(|| KS.unauthorized())?;
        let user_id = find_user(state, user)?;
        state.app_credentials.values().find(|c| c.name == name && c.user_id == user_id)
    };
    let credential = credential.ok_or_else(|| KS.unauthorized())?;
    let secret = data.get("secret").and_then(Value::as_str).unwrap_or_default();
    let owner_enabled = state.users.get(&credential.user_id).is_some_and(|u| u.enabled);
    if secret_hash(secret) != credential.secret_hash
        || !owner_enabled
        || state.app_credential_roles(&credential.id, now).is_none()
    {
        return Err(KS.unauthorized());
    }
    Ok(Proof {
        user_id: credential.user_id.clone(),
        methods: vec!["application_credential".to_owned()],
        parent: None,
        app_credential_id: Some(credential.id.clone()),
    })
}

fn wanted_scope(
    state: &State,
    auth: &Value,
    proof: &Proof,
    now: DateTime<Utc>,
) -> Result<(Scope, Option<Trust>), ApiError> {
    let scope = auth.get("scope").filter(|s| !s.is_null());
    if let Some(id) = &proof.app_credential_id {
        // The credential has a project of its own; asking for another scope is refused.
        let project = state.app_credentials.get(id).map(|c| c.project_id.clone());
        return match (scope, project) {
            (None, Some(project)) => Ok((Scope::Project(project), None)),
            _ => Err(KS.unauthorized()),
        };
    }
    if let Some(parent) = &proof.parent
        && (parent.trust_id.is_some() || parent.app_credential_id.is_some())
    {
        return Err(KS.forbidden("Using a delegated token to obtain another token is not allowed."));
    }
    let Some(scope) = scope else { return Ok((default_scope(state, proof), None)) };
    if scope.as_str() == Some("unscoped") || scope.get("unscoped").is_some() {
        return Ok((Scope::Unscoped, None));
    }
    if let Some(trust) = scope.get("OS-TRUST:trust") {
        let trust = usable_trust(state, trust, proof, now)?;
        return Ok((Scope::Project(trust.project_id.clone()), Some(trust)));
    }
    let scope = named_scope(state, scope)?;
    let target = match &scope {
        Scope::Project(id) => Target::Project(id.clone()),
        Scope::Domain(id) => Target::Domain(id.clone()),
        Scope::Unscoped => return Ok((scope, None)),
    };
    if state.roles_on(&proof.user_id, &target).is_empty() {
        return Err(KS.unauthorized());
    }
    Ok((scope, None))
}

/// The user's default project if a role is held there; else none.
fn default_scope(state: &State, proof: &Proof) -> Scope {
    state
        .users
        .get(&proof.user_id)
        .and_then(|u| u.default_project_id.clone())
        .filter(|p| state.projects.get(p).is_some_and(|p| p.enabled))
        .filter(|p| !state.roles_on(&proof.user_id, &Target::Project(p.clone())).is_empty())
        .map_or(Scope::Unscoped, Scope::Project)
}

fn named_scope(state: &State, scope: &Value) -> Result<Scope, ApiError> {
    if let Some(project) = scope.get("project") {
        let found = if let Some(id) = project.get("id").and_then(Value::as_str) {
            state.projects.get(id)
        } else {
            let name = text(project, "name")?;
            let domain = project.get("domain").and_then(|d| domain_id(state, d));
            domain.and_then(|d| state.project_named(name, &d))
        };
        let enabled = |id: &str| state.domains.get(id).is_some_and(|d| d.enabled);
        let found = found.filter(|p| p.enabled && enabled(&p.domain_id));
        return found.map(|p| Scope::Project(p.id.clone())).ok_or_else(|| KS.unauthorized());
    }
    if let Some(domain) = scope.get("domain") {
        let id =
            domain_id(state, domain).filter(|d| state.domains.get(d).is_some_and(|d| d.enabled));
        return id.map(Scope::Domain).ok_or_else(|| KS.unauthorized());
    }
    if scope.get("system").is_some() {
        // Nobody holds a system role here.
        return Err(KS.unauthorized());
    }
    Err(KS.bad_request("Expecting to find valid scope: project, domain, system or OS-TRUST:trust."))
}

fn usable_trust(
    state: &State,
    scope: &Value,
    proof: &Proof,
    now: DateTime<Utc>,
) -> Result<Trust, ApiError> {
    let id = text(scope, "id")?;
    let trust = state
        .trusts
        .get(id)
        .filter(|t| t.deleted_at.is_none() && t.expires_at.is_none_or(|e| e > now));
    let trust = trust.ok_or_else(|| KS.unauthorized())?;
    if trust.trustee_user_id != proof.user_id {
        return Err(KS.forbidden("User is not a trustee."));
    }
    if trust.remaining_uses == Some(0) {
        return Err(KS.unauthorized());
    }
    if !state.users.get(&trust.trustor_user_id).is_some_and(|u| u.enabled) {
        return Err(KS.forbidden("Trustor is disabled."));
    }
    if !state.trust_holds(trust, now) {
        return Err(KS.forbidden("Trustee has no delegated roles."));
    }
    Ok(trust.clone())
}
