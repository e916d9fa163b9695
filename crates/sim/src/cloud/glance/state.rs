//! Glance's objects.

use std::collections::BTreeMap;

use axum::body::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha512};

use super::{GLANCE, time};
use crate::cloud::{ApiError, Caller, Inner};

/// An image.
#[derive(Debug, Clone)]
pub struct Image {
    /// Id.
    pub id: String,
    /// Name.
    pub name: Option<String>,
    /// Owner project.
    pub owner: String,
    /// `queued`, `active`, `deactivated`.
    pub status: String,
    /// `public`, `private`, `shared`, `community`.
    pub visibility: String,
    /// `raw` ...
    pub disk_format: Option<String>,
    /// `bare` ...
    pub container_format: Option<String>,
    /// GiB.
    pub min_disk: u64,
    /// MiB.
    pub min_ram: u64,
    /// May not be deleted.
    pub protected: bool,
    /// Not in default lists.
    pub hidden: bool,
    /// Tags, sorted.
    pub tags: Vec<String>,
    /// `hw_firmware_type` and all other free keys.
    pub properties: BTreeMap<String, Value>,
    /// The uploaded bytes.
    pub data: Option<Bytes>,
    /// Creation.
    pub created_at: DateTime<Utc>,
    /// Last change.
    pub updated_at: DateTime<Utc>,
}

/// Images of one cloud.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// By id.
    pub images: BTreeMap<String, Image>,
}

/// The attributes that are not free properties.
pub(super) const BASE: [&str; 24] = [
    "id",
    "name",
    "owner",
    "status",
    "visibility",
    "disk_format",
    "container_format",
    "min_disk",
    "min_ram",
    "protected",
    "os_hidden",
    "tags",
    "created_at",
    "updated_at",
    "size",
    "virtual_size",
    "checksum",
    "os_hash_algo",
    "os_hash_value",
    "self",
    "file",
    "schema",
    "locations",
    "direct_url",
];

impl Image {
    /// As listed; free properties are top-level keys.
    pub fn json(&self) -> Value {
        let mut out = Map::new();
        out.extend(self.properties.clone());
        let size = self.data.as_ref().map(Bytes::len);
        let hash = self.data.as_ref().map(|data| {
            Sha512::digest(data).iter().map(|b| format!("{b:02x}")).collect::<String>()
        });
        let base = json!({
            "id": self.id,
            "name": self.name,
            "owner": self.owner,
            "status": self.status,
            "visibility": self.visibility,
            "disk_format": self.disk_format,
            "container_format": self.container_format,
            "min_disk": self.min_disk,
            "min_ram": self.min_ram,
            "protected": self.protected,
            "os_hidden": self.hidden,
            "tags": self.tags,
            "created_at": time(self.created_at),
            "updated_at": time(self.updated_at),
            "size": size,
            "virtual_size": null,
            "checksum": null,
            "os_hash_algo": hash.as_ref().map(|_| "sha512"),
            "os_hash_value": hash,
            "self": format!("/v2/images/{}", self.id),
            "file": format!("/v2/images/{}/file", self.id),
            "schema": "/v2/schemas/image",
        });
        if let Value::Object(base) = base {
            out.extend(base);
        }
        Value::Object(out)
    }

    /// A new, queued image of a body. Values of wrong kinds are 400; making it public needs admin.
    pub(super) fn of_body(
        cloud: &Inner,
        caller: &Caller,
        body: &Map<String, Value>,
    ) -> Result<Self, ApiError> {
        let now = cloud.now();
        let mut image = Self {
            id: body
                .get("id")
                .and_then(Value::as_str)
                .map_or_else(|| cloud.new_id(), str::to_owned),
            name: None,
            owner: caller.project_id.clone(),
            status: "queued".to_owned(),
            visibility: "shared".to_owned(),
            disk_format: None,
            container_format: None,
            min_disk: 0,
            min_ram: 0,
            protected: false,
            hidden: false,
            tags: Vec::new(),
            properties: BTreeMap::new(),
            data: None,
            created_at: now,
            updated_at: now,
        };
        for (key, value) in body.iter().filter(|(k, _)| *k != "id") {
            image.set(caller, key, value)?;
        }
        Ok(image)
    }

    /// Sets one attribute or property. Read-only ones are 403, values of wrong kinds 400.
    pub(super) fn set(
        &mut self,
        caller: &Caller,
        key: &str,
        value: &Value,
    ) -> Result<(), ApiError> {
        let wrong = || {
            GLANCE.bad_request(format!(
                "Provided object does not match schema 'image': {value} is not valid for {key}"
            ))
        };
        let text = || value.as_str().map(str::to_owned);
        match key {
            "name" => self.name = text(),
            "disk_format" => self.disk_format = text(),
            "container_format" => self.container_format = text(),
            "min_disk" => self.min_disk = value.as_u64().ok_or_else(wrong)?,
            "min_ram" => self.min_ram = value.as_u64().ok_or_else(wrong)?,
            "protected" => self.protected = value.as_bool().ok_or_else(wrong)?,
            "os_hidden" => self.hidden = value.as_bool().ok_or_else(wrong)?,
            "tags" => {
                let tags = value.as_array().ok_or_else(wrong)?;
                self.tags = tags.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                self.tags.sort();
                self.tags.dedup();
            }
            "visibility" => {
                let wanted = value
                    .as_str()
                    .filter(|v| ["public", "private", "shared", "community"].contains(v))
                    .ok_or_else(wrong)?;
                if wanted == "public" && !caller.is_admin() {
                    return Err(GLANCE.policy_denied("publicize_image"));
                }
                wanted.clone_into(&mut self.visibility);
            }
            "owner" => {
                let owner = value.as_str().ok_or_else(wrong)?;
                if owner != caller.project_id && !caller.is_admin() {
                    return Err(GLANCE.forbidden(format!(
                        "You are not permitted to create images owned by '{owner}'."
                    )));
                }
                owner.clone_into(&mut self.owner);
            }
            key if BASE.contains(&key) => {
                return Err(GLANCE.forbidden(format!("Attribute '{key}' is read-only.")));
            }
            // Free properties are texts; only os_glance_* and a few hold more.
            key => {
                if !value.is_string() && !value.is_null() {
                    return Err(wrong());
                }
                self.properties.insert(key.to_owned(), value.clone());
            }
        }
        Ok(())
    }
}

/// An image that exists from the start.
#[derive(Debug, Clone)]
pub struct ImageSeed {
    /// Name.
    pub name: String,
    /// Owner project, by name, in the default domain.
    pub project: String,
    /// `public`, for example.
    pub visibility: String,
    /// Properties.
    pub properties: BTreeMap<String, String>,
}

impl ImageSeed {
    /// A public image.
    pub fn public(name: &str, project: &str) -> Self {
        Self {
            name: name.to_owned(),
            project: project.to_owned(),
            visibility: "public".to_owned(),
            properties: BTreeMap::new(),
        }
    }
}

/// Makes active images; those of unknown projects are left out.
pub fn seed(cloud: &Inner, state: &mut crate::cloud::State, images: &[ImageSeed]) {
    for wanted in images {
        let Some(owner) =
            state.keystone.project_named(&wanted.project, "default").map(|p| p.id.clone())
        else {
            continue;
        };
        let now = cloud.now();
        let image = Image {
            id: cloud.new_id(),
            name: Some(wanted.name.clone()),
            owner,
            status: "active".to_owned(),
            visibility: wanted.visibility.clone(),
            disk_format: Some("raw".to_owned()),
            container_format: Some("bare".to_owned()),
            min_disk: 1,
            min_ram: 0,
            protected: false,
            hidden: false,
            tags: Vec::new(),
            properties: wanted.properties.iter().map(|(k, v)| (k.clone(), json!(v))).collect(),
            data: Some(Bytes::from(format!("image {}", wanted.name))),
            created_at: now,
            updated_at: now,
        };
        state.glance.images.insert(image.id.clone(), image);
    }
}
