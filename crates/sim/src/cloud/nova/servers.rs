//! `/servers`: create, show, update, delete.

use axum::extract::State as Ext;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::cloud::{
    Cloud,
    cinder::kit::{Call, Refusal, Reply, empty, invalid, ok, reply, text, truth},
};

pub(super) async fn create(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let ids = w.accept_servers(&call)?;
        let id = ids.first().cloned().ok_or_else(|| Refusal::broken("no server was made"))?;
        let server = w.server_record(&id)?;
        if truth(call.object("server")?.get("return_reservation_id")) == Some(true) {
            return Ok(reply(
                StatusCode::ACCEPTED,
                json!({"reservation_id": server.reservation_id}),
            ));
        }
        let brief = w.server_brief(server);
        let groups = if server.security_groups.is_empty() {
            vec!["default".to_owned()]
        } else {
            w.security_groups_of(server)
        };
        let groups: Vec<Value> = groups.into_iter().map(|name| json!({ "name": name })).collect();
        let password = &w.new_id("password", &id).replace('-', "")[..12];
        let mut response = reply(
            StatusCode::ACCEPTED,
            json!({"server": {
                "id": id, "links": brief["links"], "OS-DCF:diskConfig": "MANUAL",
                "security_groups": groups, "adminPass": password,
            }}),
        );
        if let Ok(location) = HeaderValue::from_str(&w.compute_url(&format!("servers/{id}"))) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Ok(response)
    })
}

pub(super) async fn show(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let server = w.find_server(&call.who, call.arg("id"))?;
        ok(json!({"server": w.server_view(&call, server, true)}))
    })
}

pub(super) async fn update(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let id = w.find_server(&call.who, call.arg("id"))?.id.clone();
        let body = call.object("server")?;
        let name = text(body, "name").map(|n| n.trim().to_owned());
        if name.as_ref().is_some_and(|n| n.is_empty() || n.chars().count() > 255) {
            return Err(invalid("name", &body["name"], "does not match the rules for names"));
        }
        w.edit_server(&id, |s| {
            if let Some(name) = name {
                s.name = name;
            }
            if call.who.since(19) && body.contains_key("description") {
                s.description = text(body, "description");
            }
            if let (true, Some(hostname)) = (call.who.since(90), text(body, "hostname")) {
                s.hostname = hostname;
            }
            if let Some(address) = text(body, "accessIPv4") {
                s.access_ip = address;
            }
        });
        let server = w.server_record(&id)?;
        ok(json!({"server": w.server_view(&call, server, true)}))
    })
}

pub(super) async fn delete(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        w.delete_server(&call.who, call.arg("id"))?;
        empty(StatusCode::NO_CONTENT)
    })
}
