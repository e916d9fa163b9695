//! An array of a few lines.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use axum::response::{IntoResponse, Response};
use protector_flasharray::FlashArray;
use protector_types::Secret;
use serde_json::{Value, json as j};

use super::{Log, Seen, client, json, service};

pub const LOGIN: &str = "/login";

/// What a new and an old array list.
pub const NEW: &[&str] = &["1.0", "2.0", "2.4", "2.9", "2.16", "2.26", "2.36"];
pub const OLD: &[&str] = &["1.19", "2.4", "2.11"];

pub struct World {
    pub array: FlashArray,
    pub log: Log,
}

pub fn refusal(text: &str) -> Response {
    json(400, j!({"errors": [{"context": "x", "message": text}]}))
}

pub fn items(items: Value) -> Response {
    json(200, j!({"items": items, "more_items_remaining": false, "continuation_token": null}))
}

/// An array with these versions that answers as `answer` does, without the `/api/2.x`; else "does not exist".
pub fn world(
    versions: &'static [&'static str],
    answer: impl Fn(&Seen, &str) -> Option<Response> + Send + Sync + 'static,
) -> World {
    let sessions = AtomicUsize::new(0);
    let (router, log) = service(move |seen| {
        if seen.path() == "/api/api_version" {
            return json(200, j!({"version": versions}));
        }
        let path =
            seen.path().splitn(4, '/').nth(3).map(|rest| format!("/{rest}")).unwrap_or_default();
        if path == LOGIN {
            if seen.header("api-token") != Some("good") {
                return json(401, j!({"errors": [{"message": "Invalid credentials."}]}));
            }
            let token = format!("session-{}", sessions.fetch_add(1, SeqCst) + 1);
            return ([("x-auth-token", token)], r#"{"items": [{"username": "pureuser"}]}"#)
                .into_response();
        }
        answer(seen, &path).unwrap_or_else(|| refusal("Volume does not exist."))
    });
    let (client, _) = client("fa-a", router);
    World { array: FlashArray::new(&client, "site-a", "http://fa-a/", Secret::from("good")), log }
}
