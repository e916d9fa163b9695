//! Lists of servers.

use axum::extract::State as Ext;
use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::{Value, json};

use super::model::Server;
use crate::cloud::{
    Cloud,
    cinder::kit::{Call, Refusal, Reply, World, next_link, ok, page},
};

const STATUSES: [&str; 9] = [
    "ACTIVE",
    "BUILD",
    "SHUTOFF",
    "ERROR",
    "DELETED",
    "REBOOT",
    "HARD_REBOOT",
    "PAUSED",
    "SUSPENDED",
];

pub(super) async fn list(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| w.list_servers(&call, false))
}

pub(super) async fn detail(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| w.list_servers(&call, true))
}

impl World<'_> {
    fn list_servers(&self, call: &Call, detail: bool) -> Reply {
        let all = call.flag("all_tenants");
        if all && !call.who.admin() {
            let verb = if detail { "detail" } else { "index" };
            return Err(Refusal::policy(&format!("os_compute_api:servers:{verb}:get_all_tenants")));
        }
        let Some(filter) = Filter::of(call)? else { return ok(json!({"servers": []})) };
        let mut rows: Vec<&Server> = self
            .st
            .nova
            .servers
            .values()
            .filter(|s| {
                if all {
                    let project = call.q("project_id").or_else(|| call.q("tenant_id"));
                    project.is_none_or(|p| p == s.project_id)
                } else {
                    s.project_id == call.who.project_id
                }
            })
            .filter(|s| filter.fits(self, call, s))
            .collect();
        sort(&mut rows, call);
        let (rows, more) = page(
            rows,
            call,
            |s| s.id.as_str(),
            1000,
            |m| Refusal::bad(format!("marker [{m}] not found")),
        )?;
        let views: Vec<Value> = rows
            .iter()
            .map(|s| if detail { self.server_view(call, s, false) } else { self.server_brief(s) })
            .collect();
        let mut body = json!({ "servers": views });
        if let (true, Some(last)) = (more, rows.last()) {
            let base = self.compute_url(if detail { "servers/detail" } else { "servers" });
            body["servers_links"] = next_link(&base, call, &last.id);
        }
        ok(body)
    }
}

struct Filter {
    statuses: Vec<String>,
    since: Option<DateTime<Utc>>,
    before: Option<DateTime<Utc>>,
    deleted: bool,
}

impl Filter {
    /// None: the filter can match nothing.
    fn of(call: &Call) -> Result<Option<Self>, Refusal> {
        let statuses: Vec<String> = call
            .query
            .iter()
            .filter(|(k, _)| k == "status")
            .map(|(_, v)| v.to_uppercase())
            .collect();
        if !statuses.is_empty() && !statuses.iter().any(|s| STATUSES.contains(&s.as_str())) {
            return if call.who.since(38) {
                Err(Refusal::bad("Invalid status value"))
            } else {
                Ok(None)
            };
        }
        if statuses.iter().any(|s| s == "DELETED") && !call.who.admin() {
            return Err(Refusal::denied("Only administrators may list deleted instances"));
        }
        let since = moment(call, "changes-since")?;
        let before = moment(call, "changes-before")?;
        let asked = call.who.admin() && call.flag("deleted");
        let deleted =
            asked || since.is_some() || before.is_some() || statuses.iter().any(|s| s == "DELETED");
        Ok(Some(Self { statuses, since, before, deleted }))
    }

    fn fits(&self, w: &World<'_>, call: &Call, s: &Server) -> bool {
        let tags = |key: &str| {
            let list = call.q(key).filter(|_| call.who.since(26));
            list.map(|l| l.split(',').map(str::to_owned).collect::<Vec<_>>())
        };
        (self.deleted || !s.deleted)
            && (self.statuses.is_empty() || self.statuses.iter().any(|w| w == s.status()))
            && self.since.is_none_or(|t| s.updated_at >= t)
            && self.before.is_none_or(|t| s.updated_at <= t)
            && call.q("name").is_none_or(|n| name_fits(n, &s.name))
            && call.q("uuid").is_none_or(|u| u == s.id)
            && call.q("flavor").is_none_or(|f| f == s.flavor.id)
            && call.q("image").is_none_or(|i| s.image_id.as_deref() == Some(i))
            && call.q("user_id").is_none_or(|u| !call.who.admin() || u == s.user_id)
            && call.q("host").is_none_or(|h| !call.who.admin() || s.host.as_deref() == Some(h))
            && call.q("reservation_id").is_none_or(|r| r == s.reservation_id)
            && call.q("locked").is_none_or(|_| call.flag("locked") == s.locked_by.is_some())
            && call.q("ip").is_none_or(|ip| {
                w.ports_of(s)
                    .any(|p| p.fixed_ips.iter().any(|(_, a)| name_fits(ip, &a.to_string())))
            })
            && tags("tags").is_none_or(|t| t.iter().all(|t| s.tags.contains(t)))
            && tags("tags-any").is_none_or(|t| t.iter().any(|t| s.tags.contains(t)))
            && tags("not-tags").is_none_or(|t| !t.iter().all(|t| s.tags.contains(t)))
            && tags("not-tags-any").is_none_or(|t| !t.iter().any(|t| s.tags.contains(t)))
    }
}

/// Names are matched as the database does: a pattern found anywhere; `^` and `$` anchor, the escapes
/// that clients put before dots and dashes are taken off.
fn name_fits(pattern: &str, name: &str) -> bool {
    let head = pattern.strip_prefix('^');
    let rest = head.unwrap_or(pattern);
    let tail = rest.strip_suffix('$');
    let literal = tail.unwrap_or(rest).replace('\\', "");
    match (head.is_some(), tail.is_some()) {
        (true, true) => name == literal,
        (true, false) => name.starts_with(&literal),
        (false, true) => name.ends_with(&literal),
        (false, false) => name.contains(&literal),
    }
}

fn moment(call: &Call, key: &str) -> Result<Option<DateTime<Utc>>, Refusal> {
    let Some(raw) = call.q(key) else { return Ok(None) };
    let zoned = DateTime::parse_from_rfc3339(raw).map(|t| t.with_timezone(&Utc)).ok();
    let bare = || {
        NaiveDateTime::parse_from_str(raw.trim_end_matches('Z'), "%Y-%m-%dT%H:%M:%S%.f")
            .map(|t| t.and_utc())
            .ok()
    };
    zoned.or_else(bare).map(Some).ok_or_else(|| {
        Refusal::bad(format!(
            "Invalid input for query parameters {key}. Value: {raw}. '{raw}' is not a 'date-time'"
        ))
    })
}

/// Newest first, unless `sort_key` and `sort_dir` say otherwise.
fn sort(rows: &mut [&Server], call: &Call) {
    let key = call.q("sort_key").unwrap_or("created_at");
    let descending = call.q("sort_dir").unwrap_or("desc") != "asc";
    rows.sort_by(|a, b| {
        let order = match key {
            "display_name" => a.name.cmp(&b.name),
            "uuid" => a.id.cmp(&b.id),
            "updated_at" => a.updated_at.cmp(&b.updated_at),
            "vm_state" => a.vm_state.cmp(&b.vm_state),
            _ => std::cmp::Ordering::Equal,
        };
        let order = order.then(a.order.cmp(&b.order));
        if descending { order.reverse() } else { order }
    });
}
