//! Request bodies and paths.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request},
};
use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
    request::Parts,
};
use protector_types::Code;
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

use crate::error::{ApiError, ApiResult};

/// Largest body of a client's request in bytes.
pub const MAX_BODY: usize = 1 << 20;
/// Largest body of a peer's request in bytes: a group's document holds the user data of all its servers.
pub const MAX_PEER_BODY: usize = 64 << 20;

/// A body that says it is JSON, or is empty.
pub struct RawBody(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        let headers = request.headers().clone();
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == http::StatusCode::PAYLOAD_TOO_LARGE {
                let detail = format!(
                    "The body is larger than {} MiB ({} MiB between sites)",
                    MAX_BODY >> 20,
                    MAX_PEER_BODY >> 20
                );
                ApiError::new(Code::RequestTooLarge, detail)
            } else {
                ApiError::new(Code::RequestMalformed, rejection.body_text())
            }
        })?;
        if !bytes.is_empty() {
            check_type(&headers)?;
        }
        Ok(Self(bytes))
    }
}

fn check_type(headers: &HeaderMap) -> ApiResult<()> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING)
        && encoding != "identity"
    {
        return Err(ApiError::UnsupportedMediaType(
            "Send the body without Content-Encoding".into(),
        ));
    }
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    if is_json {
        return Ok(());
    }
    let got = if text.is_empty() { "none".to_owned() } else { format!("{text:?}") };
    Err(ApiError::UnsupportedMediaType(format!(
        "The body must be JSON with Content-Type: application/json; it has {got}"
    )))
}

/// The variable parts of a path.
pub struct PathOf<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathOf<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(path)) => Ok(Self(path)),
            // For instance percent signs that are no UTF-8: names nothing.
            Err(_) => Err(ApiError::new(Code::NotFound, "The path names nothing that exists")),
        }
    }
}

/// `/v1/admin/sites/{site_id}`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct SitePath {
    /// Site.
    pub site_id: String,
}

/// `/v1/admin/tenant-mappings/{mapping_id}`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct MappingPath {
    /// Tenant mapping.
    pub mapping_id: String,
}

/// `/v1/{tenant_id}/...`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct TenantPath {
    /// Project at the site that is asked.
    pub tenant_id: String,
}

/// `/v1/{tenant_id}/protection-groups/{pg_id}/...`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct GroupPath {
    /// Project at the site that is asked.
    pub tenant_id: String,
    /// Protection group.
    pub pg_id: String,
}

/// `.../members/{member_id}`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct MemberPath {
    /// Project at the site that is asked.
    pub tenant_id: String,
    /// Protection group.
    pub pg_id: String,
    /// Member.
    pub member_id: String,
}

/// `/v1/{tenant_id}/operations/{op_id}`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OperationPath {
    /// Project at the site that is asked.
    pub tenant_id: String,
    /// Operation: `op-` followed by a UUID.
    pub op_id: String,
}

/// `/v1/peer/groups/{pg_id}`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct PeerGroupPath {
    /// Protection group.
    pub pg_id: String,
}

/// `/v1/peer/groups/{pg_id}/array-tokens/{site_id}`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct PeerTokenPath {
    /// Protection group.
    pub pg_id: String,
    /// Site of the array.
    pub site_id: String,
}

/// `/v1/peer/groups/{pg_id}/claim/{op_id}`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct PeerClaimPath {
    /// Protection group.
    pub pg_id: String,
    /// The operation or change that the claim is for.
    pub op_id: String,
}

/// `/v1/peer/projects/{project_id}/...`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct PeerProjectPath {
    /// Project at the site that is asked.
    pub project_id: String,
}

/// `/v1/peer/operations/{op_id}`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct PeerOperationPath {
    /// Operation.
    pub op_id: String,
}

/// The parameters of every list; for the OpenAPI document.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub struct PageParams {
    /// Items of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u64>,
    /// Id of the last item of the page before.
    marker: Option<String>,
    /// What the list is sorted by.
    sort_key: Option<String>,
    /// `asc` or `desc`.
    sort_dir: Option<String>,
}
