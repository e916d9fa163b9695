//! `POST /servers/{id}/action`.

use axum::extract::State as Ext;
use http::StatusCode;
use serde_json::{Value, json};

use crate::cloud::{
    Cloud,
    cinder::kit::{Call, Refusal, Reply, World, empty, invalid, ok},
};

pub(super) async fn act(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| w.server_action(&call))
}

impl World<'_> {
    fn server_action(&mut self, call: &Call) -> Reply {
        let (action, args) = call
            .body
            .as_object()
            .and_then(|o| o.iter().next())
            .ok_or_else(|| Refusal::bad("There is no such action: None"))?;
        let accepted = empty(StatusCode::ACCEPTED);
        match action.as_str() {
            "os-stop" => self.stop_server(call).and(accepted),
            "os-start" => self.start_server(call).and(accepted),
            "reboot" => {
                let kind = args.get("type").and_then(Value::as_str).unwrap_or("");
                if !matches!(kind.to_uppercase().as_str(), "SOFT" | "HARD") {
                    return Err(invalid("type", &json!(kind), "is not one of ['HARD', 'SOFT']"));
                }
                self.reboot_server(call, kind.eq_ignore_ascii_case("hard")).and(accepted)
            }
            "lock" => self.lock_server(call, args).and(accepted),
            "unlock" => self.unlock_server(call).and(accepted),
            "forceDelete" => self.delete_server(&call.who, call.arg("id")).and(accepted),
            "os-resetState" => self.reset_server(call, args).and(accepted),
            "os-getConsoleOutput" => {
                let server = self.find_server(&call.who, call.arg("id"))?;
                if server.host.is_none() {
                    return Err(Refusal::conflict(format!("Instance {} is not ready", server.id)));
                }
                ok(json!({"output": format!("{} login: ", server.hostname)}))
            }
            "addSecurityGroup" | "removeSecurityGroup" => {
                self.change_group(call, action == "addSecurityGroup", args).and(accepted)
            }
            other => Err(Refusal::bad(format!("There is no such action: {other}"))),
        }
    }

    fn lock_server(&mut self, call: &Call, args: &Value) -> Result<(), Refusal> {
        let server = self.find_server(&call.who, call.arg("id"))?;
        let (id, owner) = (server.id.clone(), server.project_id == call.who.project_id);
        if server.locked_by.is_some() && owner {
            return Ok(());
        }
        let reason = args
            .get("locked_reason")
            .and_then(Value::as_str)
            .filter(|_| call.who.since(73))
            .map(str::to_owned);
        self.begin_action(&id, "lock", &call.who);
        self.edit_server(&id, |s| {
            s.locked_by = Some(if owner { "owner" } else { "admin" }.to_owned());
            s.locked_reason = reason;
        });
        self.end_action(&id, "lock", None);
        Ok(())
    }

    fn unlock_server(&mut self, call: &Call) -> Result<(), Refusal> {
        let server = self.find_server(&call.who, call.arg("id"))?;
        let expected = if server.project_id == call.who.project_id { "owner" } else { "admin" };
        let id = server.id.clone();
        if server.locked_by.as_deref().is_some_and(|by| by != expected) && !call.who.admin() {
            return Err(Refusal::policy("os_compute_api:os-lock-server:unlock:unlock_override"));
        }
        self.begin_action(&id, "unlock", &call.who);
        self.edit_server(&id, |s| {
            s.locked_by = None;
            s.locked_reason = None;
        });
        self.end_action(&id, "unlock", None);
        Ok(())
    }

    fn reset_server(&mut self, call: &Call, args: &Value) -> Result<(), Refusal> {
        let id = self.find_server(&call.who, call.arg("id"))?.id.clone();
        if !call.who.admin() {
            return Err(Refusal::policy("os_compute_api:os-admin-actions:reset_state"));
        }
        let state = args.get("state").and_then(Value::as_str).unwrap_or("");
        if !matches!(state, "active" | "error") {
            return Err(invalid("state", &json!(state), "is not one of ['active', 'error']"));
        }
        self.edit_server(&id, |s| {
            s.vm_state = state.to_owned();
            s.task_state = None;
        });
        Ok(())
    }

    fn change_group(&mut self, call: &Call, add: bool, args: &Value) -> Result<(), Refusal> {
        let name = args.get("name").and_then(Value::as_str).unwrap_or("");
        let server = self.find_server(&call.who, call.arg("id"))?;
        let ports: Vec<String> = server.nics.iter().filter_map(|n| n.port_id.clone()).collect();
        let group = self
            .security_group_id(&call.who, name)
            .map_err(|refusal| Refusal { code: 404, ..refusal })?;
        let mut changed = false;
        for port in ports {
            let Some(port) = self.st.neutron.ports.get_mut(&port) else { continue };
            let has = port.security_groups.contains(&group);
            if add && !has {
                port.security_groups.push(group.clone());
                changed = true;
            } else if !add && has {
                port.security_groups.retain(|g| *g != group);
                changed = true;
            }
        }
        if !add && !changed {
            return Err(Refusal::absent(format!(
                "Security group {name} not associated with the instance {}",
                call.arg("id")
            )));
        }
        Ok(())
    }
}
