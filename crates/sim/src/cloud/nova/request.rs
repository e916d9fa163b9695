//! The parts of a create request that can be read without looking at the cloud.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::model::Disk;
use crate::cloud::cinder::kit::{Refusal, Who, invalid, text, truth, whole};

pub(super) fn ambiguous() -> Refusal {
    Refusal::conflict(
        "More than one possible network found. Specify network ID(s) to select which one(s) to connect to.",
    )
}

pub(super) fn required(field: &str, body: &Map<String, Value>, key: &str) -> Refusal {
    invalid(field, &Value::Object(body.clone()), &format!("'{key}' is a required property"))
}

pub(super) fn checked_name(body: &Map<String, Value>) -> Result<String, Refusal> {
    let name = text(body, "name").ok_or_else(|| required("server", body, "name"))?;
    let trimmed = name.trim();
    if trimmed.is_empty() || trimmed.chars().count() > 255 {
        return Err(invalid(
            "name",
            &json!(name),
            "does not match the rules for names: 1 to 255 characters",
        ));
    }
    Ok(trimmed.to_owned())
}

pub(super) fn checked_user_data(body: &Map<String, Value>) -> Result<Option<String>, Refusal> {
    let Some(data) = text(body, "user_data") else { return Ok(None) };
    if data.len() > 65_535 {
        return Err(invalid("user_data", &json!("..."), "is too long"));
    }
    let packed: String = data.chars().filter(|c| !c.is_whitespace()).collect();
    if STANDARD.decode(&packed).is_err() {
        return Err(invalid("user_data", &json!(data), "is not a 'base64'"));
    }
    Ok(Some(data))
}

pub(super) fn checked_tags(
    who: &Who,
    body: &Map<String, Value>,
) -> Result<BTreeSet<String>, Refusal> {
    let Some(value) = body.get("tags") else { return Ok(BTreeSet::new()) };
    if !who.since(52) {
        return Err(invalid(
            "server",
            &Value::Object(body.clone()),
            "Additional properties are not allowed ('tags' was unexpected)",
        ));
    }
    read_tags(value)
}

/// Tags of a request: at most 50, of at most 60 characters, without `/` and `,`.
pub(super) fn read_tags(value: &Value) -> Result<BTreeSet<String>, Refusal> {
    let rows = value.as_array().ok_or_else(|| invalid("tags", value, "is not of type 'array'"))?;
    if rows.len() > 50 {
        return Err(invalid("tags", value, "is too long"));
    }
    rows.iter()
        .map(|row| match row.as_str() {
            Some(tag) if tag_fits(tag) => Ok(tag.to_owned()),
            _ => Err(invalid("tags", row, "does not match '^[^,/]*$'")),
        })
        .collect()
}

/// The rule for one tag.
pub(super) fn tag_fits(tag: &str) -> bool {
    !tag.is_empty() && tag.chars().count() <= 60 && !tag.contains(['/', ','])
}

pub(super) fn read_disk(who: &Who, row: &Map<String, Value>) -> Result<Disk, Refusal> {
    let source = text(row, "source_type").unwrap_or_else(|| "volume".to_owned());
    if !matches!(source.as_str(), "volume" | "image" | "snapshot" | "blank") {
        return Err(invalid(
            "source_type",
            &json!(source),
            "is not one of ['volume', 'image', 'snapshot', 'blank']",
        ));
    }
    let destination = text(row, "destination_type").unwrap_or_else(|| {
        if source == "blank" || source == "image" { "local" } else { "volume" }.to_owned()
    });
    let uuid = text(row, "uuid").filter(|u| !u.is_empty());
    if uuid.is_none() && source != "blank" {
        return Err(Refusal::bad(
            "Block Device Mapping is Invalid: Invalid source_type for block device mapping: uuid is missing.",
        ));
    }
    if row.contains_key("tag") && !who.since(42) && who.version != 32 {
        return Err(invalid(
            "block_device_mapping_v2",
            &Value::Object(row.clone()),
            "Additional properties are not allowed ('tag' was unexpected)",
        ));
    }
    Ok(Disk {
        id: String::new(),
        volume_id: uuid.clone().filter(|_| source == "volume"),
        source_id: uuid.filter(|_| source != "volume"),
        boot_index: whole(row.get("boot_index")),
        size: whole(row.get("volume_size")).unwrap_or(0).max(0) as u64,
        volume_type: text(row, "volume_type").filter(|_| who.since(67)),
        attachment_id: None,
        delete_on_termination: truth(row.get("delete_on_termination"))
            .unwrap_or(destination == "local"),
        device: None,
        tag: text(row, "tag"),
        source,
        destination,
    })
}

pub(super) fn local_root(image: Option<&str>) -> Disk {
    Disk {
        id: String::new(),
        source: "image".to_owned(),
        destination: "local".to_owned(),
        boot_index: Some(0),
        volume_id: None,
        source_id: image.map(str::to_owned),
        size: 0,
        volume_type: None,
        attachment_id: None,
        delete_on_termination: true,
        device: None,
        tag: None,
    }
}

/// Boot indexes must be 0, 1, 2, ... each once.
pub(super) fn check_boot_order(disks: &[Disk]) -> Result<(), Refusal> {
    let mut indexes: Vec<i64> =
        disks.iter().filter_map(|d| d.boot_index).filter(|i| *i >= 0).collect();
    indexes.sort_unstable();
    if indexes.is_empty() || indexes.iter().enumerate().any(|(i, v)| i as i64 != *v) {
        return Err(Refusal::bad(
            "Block Device Mapping is Invalid: Boot sequence for the instance and image/block device \
             mapping combination is not valid.",
        ));
    }
    Ok(())
}

/// The root is `vda`, the others follow in the order of the request: libvirt ignores names that are
/// asked for.
pub(super) fn name_devices(disks: &mut [Disk]) {
    disks.sort_by_key(|d| d.boot_index != Some(0));
    for (index, disk) in disks.iter_mut().enumerate() {
        disk.device = Some(device_name(index));
    }
}

/// `/dev/vda` for 0.
pub(super) fn device_name(index: usize) -> String {
    let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
    if index < 26 {
        format!("/dev/vd{}", letter(index))
    } else {
        format!("/dev/vd{}{}", letter(index / 26 - 1), letter(index))
    }
}

/// As Nova sanitises names.
pub(super) fn hostname_of(name: &str, id: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        match c {
            ' ' | '_' => out.push('-'),
            c if c.is_ascii_alphanumeric() || c == '.' || c == '-' => {
                out.push(c.to_ascii_lowercase())
            }
            _ => {}
        }
    }
    let out = out.trim_matches(['.', '-']).to_owned();
    if out.is_empty() { format!("server-{id}") } else { out.chars().take(63).collect() }
}
