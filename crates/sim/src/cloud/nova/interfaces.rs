//! `/servers/{id}/os-interface`.

use axum::extract::State as Ext;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    model::{Nic, Server},
    work::Job,
};
use crate::cloud::{
    Cloud,
    cinder::kit::{Call, Refusal, Reply, World, empty, ok, text},
    neutron::Port,
};

pub(super) async fn list(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let server = w.find_server(&call.who, call.arg("id"))?;
        let rows: Vec<Value> = w.ports_of(server).map(|p| view(&call, server, p)).collect();
        ok(json!({ "interfaceAttachments": rows }))
    })
}

pub(super) async fn show(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let server = w.find_server(&call.who, call.arg("id"))?;
        let port = w.ports_of(server).find(|p| p.common.id == call.arg("port"));
        let port = port.ok_or_else(|| absent(&call))?;
        ok(json!({"interfaceAttachment": view(&call, server, port)}))
    })
}

pub(super) async fn create(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| w.attach_interface(&call))
}

pub(super) async fn delete(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        w.find_server(&call.who, call.arg("id"))?;
        let server = w.ready_server(&call, "detach_interface", &["active", "stopped"])?;
        let port = call.arg("port").to_owned();
        if !server.nics.iter().any(|n| n.port_id.as_deref() == Some(&port)) {
            // The API only passes the request on; what the compute host then does not find is in its log alone.
            return empty(StatusCode::ACCEPTED);
        }
        w.begin_action(&server.id, "detach_interface", &call.who);
        let key = format!("detach-port/{}/{port}", server.id);
        let after = w.draw(w.inner.profile.volume_action_ms, &key);
        w.server_later(after, Job::DetachPort { server: server.id, port });
        empty(StatusCode::ACCEPTED)
    })
}

/// What is 400 in a create request is 404 here.
fn missing_is_404(refusal: Refusal) -> Refusal {
    if refusal.message.ends_with("could not be found.") {
        Refusal { code: 404, ..refusal }
    } else {
        refusal
    }
}

fn absent(call: &Call) -> Refusal {
    Refusal::absent(format!("Port id {} could not be found.", call.arg("port")))
}

fn view(call: &Call, server: &Server, port: &Port) -> Value {
    let ips: Vec<Value> = port
        .fixed_ips
        .iter()
        .map(|(subnet, ip)| json!({"subnet_id": subnet, "ip_address": ip}))
        .collect();
    let mut out = json!({
        "port_id": port.common.id, "net_id": port.network_id, "mac_addr": port.mac_address,
        "port_state": port.status(), "fixed_ips": ips,
    });
    if call.who.since(70) {
        let nic = server.nics.iter().find(|n| n.port_id.as_deref() == Some(&port.common.id));
        out["tag"] = json!(nic.and_then(|n| n.tag.clone()));
    }
    out
}

impl World<'_> {
    fn attach_interface(&mut self, call: &Call) -> Reply {
        let none = Map::new();
        let body = call.body.get("interfaceAttachment").and_then(Value::as_object).unwrap_or(&none);
        let server = self.ready_server(call, "attach_interface", &["active", "stopped"])?;
        let port = text(body, "port_id").filter(|p| !p.is_empty());
        let network = text(body, "net_id").filter(|n| !n.is_empty());
        if port.is_some() && network.is_some() {
            return Err(Refusal::bad("Must not input both network_id and port_id"));
        }
        let fixed_ip = body
            .get("fixed_ips")
            .and_then(|f| f.get(0))
            .and_then(|f| f.get("ip_address"))
            .and_then(Value::as_str)
            .map(str::to_owned);
        let network = match (&port, network) {
            (Some(port), _) => {
                self.check_port(&call.who, port).map_err(missing_is_404)?;
                None
            }
            (None, Some(network)) => {
                self.check_network(&call.who, &network).map_err(missing_is_404)?;
                Some(network)
            }
            (None, None) => self.networks_of(&call.who).into_iter().next(),
        };
        let mut nic = Nic {
            ours: port.is_none(),
            port_id: port,
            network_id: network,
            fixed_ip,
            tag: text(body, "tag").filter(|_| call.who.since(49)),
        };
        self.begin_action(&server.id, "attach_interface", &call.who);
        let host = server.host.clone().unwrap_or_default();
        let id = self.plug(&server, &nic, &host, "nova")?;
        nic.port_id = Some(id.clone());
        self.edit_server(&server.id, |s| s.nics.push(nic));
        self.end_action(&server.id, "attach_interface", None);
        let server = self.server_record(&server.id)?;
        let port = self.ports_of(server).find(|p| p.common.id == id);
        let port = port.ok_or_else(|| Refusal::broken("the port is gone"))?;
        ok(json!({"interfaceAttachment": view(call, server, port)}))
    }

    pub(crate) fn finish_detach_port(&mut self, server_id: &str, port: &str) {
        let mut gone = None;
        self.edit_server(server_id, |s| {
            let at = s.nics.iter().position(|n| n.port_id.as_deref() == Some(port));
            gone = at.map(|at| s.nics.remove(at));
        });
        // Detaching deletes the port that Nova made, and gives back one that was passed in.
        if let Some(nic) = gone {
            self.release_nic(&nic);
        }
        self.end_action(server_id, "detach_interface", None);
    }
}
