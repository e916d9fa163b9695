//! Simulated Glance v2 below `/image`.

mod data;
mod images;
mod schemas;
mod state;

use axum::Router;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Cloud, Service};

pub use state::{Image, ImageSeed, State, seed};

const GLANCE: Service = Service::Glance;

/// All of Glance's paths.
pub fn router() -> Router<Cloud> {
    Router::new().merge(schemas::router()).merge(images::router()).merge(data::router())
}

/// Everything but the bytes.
pub fn dump(cloud: &Cloud) -> Value {
    let state = cloud.lock();
    json!({"images": state.glance.images.values().map(Image::json).collect::<Vec<_>>()})
}

/// Glance's time format.
fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
