//! `/os-keypairs`: per user, not per project.

use axum::extract::State as Ext;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::model::Keypair;
use crate::cloud::{
    Cloud,
    cinder::kit::{
        Call, Refusal, Reply, World, empty, invalid, micros, next_link, ok, page, reply, text,
    },
};

const MOST: usize = 100;

pub(super) async fn list(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let user = owner(&call, call.q("user_id"), "index")?;
        let rows: Vec<&Keypair> =
            w.st.nova.keypairs.values().filter(|k| k.user_id == user).collect();
        let (rows, more) = page(
            rows,
            &call,
            |k| k.name.as_str(),
            1000,
            |m| Refusal::bad(format!("marker [{m}] not found")),
        )?;
        let views: Vec<Value> = rows.iter().map(|k| json!({"keypair": brief(&call, k)})).collect();
        let mut body = json!({ "keypairs": views });
        if let (true, true, Some(last)) = (call.who.since(35), more, rows.last()) {
            body["keypairs_links"] = next_link(&w.compute_url("os-keypairs"), &call, &last.name);
        }
        ok(body)
    })
}

pub(super) async fn show(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let key = w.find_key(&call, "show")?;
        let mut view = brief(&call, &key);
        view["user_id"] = json!(key.user_id);
        view["id"] = json!(key.id);
        view["created_at"] = json!(micros(key.created_at));
        view["updated_at"] = Value::Null;
        view["deleted"] = json!(false);
        view["deleted_at"] = Value::Null;
        ok(json!({ "keypair": view }))
    })
}

pub(super) async fn create(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| w.create_key(&call))
}

pub(super) async fn delete(Ext(cloud): Ext<Cloud>, call: Call) -> Reply {
    cloud.world(|w| {
        let key = w.find_key(&call, "delete")?;
        w.st.nova.keypairs.remove(&(key.user_id, key.name));
        empty(if call.who.since(2) { StatusCode::NO_CONTENT } else { StatusCode::ACCEPTED })
    })
}

/// Another user's keys are for admins, from 2.10.
fn owner(call: &Call, wanted: Option<&str>, verb: &str) -> Result<String, Refusal> {
    match wanted.filter(|_| call.who.since(10)) {
        Some(user) if user == call.who.user_id => Ok(user.to_owned()),
        Some(user) if call.who.admin() => Ok(user.to_owned()),
        Some(_) => Err(Refusal::policy(&format!("os_compute_api:os-keypairs:{verb}"))),
        None => Ok(call.who.user_id.clone()),
    }
}

fn brief(call: &Call, key: &Keypair) -> Value {
    let mut view = json!({
        "name": key.name, "public_key": key.public_key, "fingerprint": key.fingerprint,
    });
    if call.who.since(2) {
        view["type"] = json!(key.kind);
    }
    view
}

/// Colon form of the MD5 of the key's blob; none if it is no OpenSSH key.
pub(crate) fn fingerprint(public_key: &str) -> Option<String> {
    let mut words = public_key.split_whitespace();
    let kind = words.next()?;
    let blob = STANDARD.decode(words.next()?).ok()?;
    let length = u32::from_be_bytes(blob.get(..4)?.try_into().ok()?) as usize;
    if blob.get(4..4 + length)? != kind.as_bytes() {
        return None;
    }
    let hex: Vec<String> = Md5::digest(&blob).iter().map(|b| format!("{b:02x}")).collect();
    Some(hex.join(":"))
}

/// (PEM, OpenSSH public key) of a fresh ed25519 key.
fn generate() -> Result<(String, String), Refusal> {
    let failed = |_| Refusal::broken("The key could not be generated.");
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(failed)?;
    let mut blob = Vec::new();
    for part in [b"ssh-ed25519".as_slice(), pair.public_key_raw()] {
        blob.extend((part.len() as u32).to_be_bytes());
        blob.extend(part);
    }
    Ok((pair.serialize_pem(), format!("ssh-ed25519 {} Generated-by-Nova", STANDARD.encode(blob))))
}

impl World<'_> {
    fn find_key(&self, call: &Call, verb: &str) -> Result<Keypair, Refusal> {
        let user = owner(call, call.q("user_id"), verb)?;
        let name = call.arg("name");
        self.st
            .nova
            .keypairs
            .get(&(user.clone(), name.to_owned()))
            .cloned()
            .ok_or_else(|| Refusal::absent(format!("Keypair {name} not found for user {user}")))
    }

    fn create_key(&mut self, call: &Call) -> Reply {
        let body = call.object("keypair")?;
        let name = text(body, "name").map(|n| n.trim().to_owned()).unwrap_or_default();
        let legal = |c: char| c.is_ascii_alphanumeric() || " -_.@".contains(c);
        if name.is_empty() || name.len() > 255 || !name.chars().all(legal) {
            return Err(invalid(
                "name",
                &json!(name),
                "Keypair name contains unsafe characters or is empty",
            ));
        }
        let user = owner(call, text(body, "user_id").as_deref(), "create")?;
        let mine = self.st.nova.keypairs.values().filter(|k| k.user_id == user).count();
        if mine >= MOST {
            return Err(Refusal::denied("Quota exceeded, too many key pairs."));
        }
        let slot = (user.clone(), name.clone());
        if self.st.nova.keypairs.contains_key(&slot) {
            return Err(Refusal::conflict(format!("Key pair '{name}' already exists.")));
        }
        let (private, public_key) = match text(body, "public_key").filter(|k| !k.trim().is_empty())
        {
            Some(key) => (None, key),
            None if call.who.since(92) => {
                return Err(invalid(
                    "keypair",
                    &Value::Object(body.clone()),
                    "'public_key' is a required property",
                ));
            }
            None => {
                let (pem, public) = generate()?;
                (Some(pem), public)
            }
        };
        let fingerprint = fingerprint(&public_key).ok_or_else(|| {
            Refusal::bad("Keypair data is invalid: failed to generate fingerprint")
        })?;
        let key = Keypair {
            name,
            user_id: user,
            public_key,
            fingerprint,
            kind: text(body, "type").unwrap_or_else(|| "ssh".to_owned()),
            created_at: self.now(),
            id: self.st.nova.keypairs.len() as u64 + 1,
        };
        let mut view = brief(call, &key);
        view["user_id"] = json!(key.user_id);
        if let Some(private) = private {
            view["private_key"] = json!(private);
        }
        self.st.nova.keypairs.insert(slot, key);
        let status = if call.who.since(2) { StatusCode::CREATED } else { StatusCode::OK };
        Ok(reply(status, json!({ "keypair": view })))
    }
}
