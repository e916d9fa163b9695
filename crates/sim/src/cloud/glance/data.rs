//! `/v2/images/{id}/file`.

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State as Ext},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::GLANCE;
use crate::cloud::{ApiError, Caller, Cloud};

/// Images are simulated; nobody needs large ones.
const MOST_BYTES: usize = 64 << 20;

/// Upload and download.
pub(super) fn router() -> Router<Cloud> {
    Router::new()
        .route("/image/v2/images/{id}/file", get(download).put(upload))
        .layer(DefaultBodyLimit::max(MOST_BYTES))
}

async fn upload(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Result<StatusCode, ApiError> {
    let now = cloud.now();
    let mut state = cloud.lock();
    let image = state.glance.changeable(&caller, &id)?;
    if image.status != "queued" {
        return Err(GLANCE.conflict(format!(
            "Image status transition from {} to saving is not allowed",
            image.status
        )));
    }
    if image.disk_format.is_none() || image.container_format.is_none() {
        return Err(GLANCE.bad_request(
            "Properties disk_format, container_format must be set prior to saving data.",
        ));
    }
    // A copy of its own, so that a short body does not keep a large buffer alive.
    image.data = Some(Bytes::copy_from_slice(&bytes));
    image.status = "active".to_owned();
    image.updated_at = now;
    Ok(StatusCode::NO_CONTENT)
}

async fn download(
    Ext(cloud): Ext<Cloud>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let state = cloud.lock();
    let image = state.glance.visible(&caller, &id)?;
    if image.status == "deactivated" && !caller.is_admin() {
        return Err(GLANCE.forbidden(format!(
            "The requested image {id} is deactivated. Image data download is forbidden."
        )));
    }
    let Some(data) = image.data.clone() else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    let kind = HeaderValue::from_static("application/octet-stream");
    Ok(([(header::CONTENT_TYPE, kind)], data).into_response())
}
