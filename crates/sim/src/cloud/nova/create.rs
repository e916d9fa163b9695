//! Reading and checking a create request.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    model::{Disk, Flavor, Nic, Server},
    request::{
        ambiguous, check_boot_order, checked_name, checked_tags, checked_user_data, hostname_of,
        local_root, name_devices, read_disk, required,
    },
};
use crate::cloud::cinder::kit::{
    Call, Refusal, Who, World, invalid, string_map, text, truth, whole,
};

/// What a create request asks for, checked.
struct Wanted {
    flavor: Flavor,
    image_id: Option<String>,
    image_properties: BTreeMap<String, String>,
    disks: Vec<Disk>,
    nics: Vec<Nic>,
    group_id: Option<String>,
    hints: Map<String, Value>,
    tags: BTreeSet<String>,
    metadata: BTreeMap<String, String>,
    user_data: Option<String>,
    key_name: Option<String>,
    security_groups: Vec<String>,
    zone: Option<String>,
}

impl World<'_> {
    /// Checks the request, files the servers and queues their builds; gives their ids.
    pub(crate) fn accept_servers(&mut self, call: &Call) -> Result<Vec<String>, Refusal> {
        let body = call.object("server")?;
        let name = checked_name(body)?;
        let least = whole(body.get("min_count")).unwrap_or(1);
        let most = whole(body.get("max_count")).unwrap_or(least);
        if least < 1 || most < 1 {
            return Err(Refusal::bad(
                "Invalid input for field/attribute min_count. Value: 0. 0 is less than the minimum of 1",
            ));
        }
        if least > most {
            return Err(Refusal::bad("min_count must be <= max_count"));
        }
        let count = most as usize;
        let wanted = self.wanted(call, body, count)?;
        self.room_for(&call.who.project_id, count as i64, &wanted.flavor)?;
        let reservation = format!("r-{}", &self.new_id("reservation", &name).replace('-', "")[..8]);
        let mut ids = Vec::new();
        for index in 0..count {
            let name = if count > 1 { format!("{name}-{}", index + 1) } else { name.clone() };
            let server = self.new_server(call, body, &wanted, name, index, &reservation);
            ids.push(self.file_server(call, server)?);
        }
        self.start_builds();
        Ok(ids)
    }

    fn wanted(
        &mut self,
        call: &Call,
        body: &Map<String, Value>,
        count: usize,
    ) -> Result<Wanted, Refusal> {
        let who = &call.who;
        let flavor = self.wanted_flavor(who, body)?;
        let metadata = string_map(body.get("metadata"), "metadata")?;
        let user_data = checked_user_data(body)?;
        let key_name = self.checked_key(who, body)?;
        let (hints, group_id) = self.checked_hints(call)?;
        let image = text(body, "imageRef").filter(|i| !i.is_empty());
        let disks = self.wanted_disks(who, body, image.as_deref(), &flavor, count)?;
        let image_properties = self.boot_properties(who, &disks, image.as_deref(), &flavor)?;
        let nics = self.wanted_nics(call, body, count)?;
        let security_groups = self.wanted_groups(who, body)?;
        let zone = text(body, "availability_zone").filter(|z| !z.is_empty());
        if let Some(zone) = &zone
            && zone.split(':').next() != Some("nova")
        {
            return Err(Refusal::bad("The requested availability zone is not available"));
        }
        Ok(Wanted {
            flavor,
            image_id: image,
            image_properties,
            disks,
            nics,
            group_id,
            hints,
            tags: checked_tags(who, body)?,
            metadata,
            user_data,
            key_name,
            security_groups,
            zone,
        })
    }

    fn new_server(
        &mut self,
        call: &Call,
        body: &Map<String, Value>,
        wanted: &Wanted,
        name: String,
        index: usize,
        reservation: &str,
    ) -> Server {
        let now = self.now();
        let id = self.new_id("server", &name);
        self.st.nova.order += 1;
        let described =
            if call.who.since(19) { text(body, "description") } else { Some(name.clone()) };
        let hostname = text(body, "hostname").filter(|_| call.who.since(90));
        Server {
            description: described,
            hostname: hostname.unwrap_or_else(|| hostname_of(&name, &id)),
            project_id: call.who.project_id.clone(),
            user_id: call.who.user_id.clone(),
            flavor: wanted.flavor.clone(),
            image_id: wanted.image_id.clone(),
            image_properties: wanted.image_properties.clone(),
            key_name: wanted.key_name.clone(),
            user_data: wanted.user_data.clone(),
            config_drive: truth(body.get("config_drive")).unwrap_or(false),
            metadata: wanted.metadata.clone(),
            tags: wanted.tags.clone(),
            pinned_zone: wanted.zone.clone(),
            host: None,
            vm_state: "building".to_owned(),
            task_state: Some("scheduling".to_owned()),
            power_state: 0,
            locked_by: None,
            locked_reason: None,
            created_at: now,
            updated_at: now,
            launched_at: None,
            terminated_at: None,
            deleted: false,
            fault: None,
            volumes: wanted.disks.clone(),
            nics: wanted.nics.clone(),
            security_groups: wanted.security_groups.clone(),
            hints: wanted.hints.clone(),
            group_id: wanted.group_id.clone(),
            reservation_id: reservation.to_owned(),
            launch_index: index,
            actions: Vec::new(),
            access_ip: text(body, "accessIPv4").unwrap_or_default(),
            order: self.st.nova.order,
            name,
            id,
        }
    }

    /// Reserves the volumes, then files the server; nothing stays if a volume refuses.
    fn file_server(&mut self, call: &Call, mut server: Server) -> Result<String, Refusal> {
        let mut reserved = Vec::new();
        for index in 0..server.volumes.len() {
            let id = self.new_id("bdm", &server.id);
            let disk = &mut server.volumes[index];
            disk.id = id;
            let Some(volume) = disk.volume_id.clone() else { continue };
            match self.reserve_through_api(&volume, &server.id, call.who.since(60)) {
                Ok(attachment) => {
                    reserved.push(attachment.id.clone());
                    server.volumes[index].attachment_id = Some(attachment.id);
                }
                Err(refusal) => {
                    for attachment in reserved {
                        self.delete_attachment(&attachment);
                    }
                    return Err(match refusal.code {
                        400 if refusal.message.starts_with("Invalid input") => {
                            Refusal::bad(format!("Invalid volume: {}", refusal.message))
                        }
                        _ => refusal,
                    });
                }
            }
        }
        let id = server.id.clone();
        if let Some(group) = server.group_id.as_ref().and_then(|g| self.st.nova.groups.get_mut(g)) {
            group.members.push(id.clone());
        }
        self.st.nova.servers.insert(id.clone(), server);
        self.begin_action(&id, "create", &call.who);
        self.st.nova.waiting.push_back(id.clone());
        Ok(id)
    }

    fn wanted_flavor(&self, who: &Who, body: &Map<String, Value>) -> Result<Flavor, Refusal> {
        let wanted =
            text(body, "flavorRef").ok_or_else(|| required("server", body, "flavorRef"))?;
        let id = wanted.rsplit('/').next().unwrap_or(&wanted);
        self.st
            .nova
            .flavors
            .get(id)
            .filter(|f| f.is_public || who.admin())
            .cloned()
            .ok_or_else(|| Refusal::bad(format!("Flavor {id} could not be found.")))
    }

    /// Keys are looked up for the token's user, never for the project.
    fn checked_key(&self, who: &Who, body: &Map<String, Value>) -> Result<Option<String>, Refusal> {
        let Some(name) = text(body, "key_name").filter(|k| !k.is_empty()) else { return Ok(None) };
        if self.st.nova.keypairs.contains_key(&(who.user_id.clone(), name.clone())) {
            Ok(Some(name))
        } else {
            Err(Refusal::bad("Invalid key_name provided."))
        }
    }

    fn checked_hints(&self, call: &Call) -> Result<(Map<String, Value>, Option<String>), Refusal> {
        let hints = call
            .body
            .get("os:scheduler_hints")
            .or_else(|| call.body.get("OS-SCH-HNT:scheduler_hints"))
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        let Some(group) = hints.get("group").and_then(Value::as_str) else {
            return Ok((hints, None));
        };
        let found = self
            .st
            .nova
            .groups
            .values()
            .find(|g| g.id == group && g.project_id == call.who.project_id)
            .map(|g| g.id.clone());
        match found {
            Some(id) => Ok((hints, Some(id))),
            None => Err(Refusal::bad(format!("Instance group {group} could not be found."))),
        }
    }

    fn wanted_disks(
        &self,
        who: &Who,
        body: &Map<String, Value>,
        image: Option<&str>,
        flavor: &Flavor,
        count: usize,
    ) -> Result<Vec<Disk>, Refusal> {
        let empty = Vec::new();
        let rows = body.get("block_device_mapping_v2").and_then(Value::as_array).unwrap_or(&empty);
        let mut disks = Vec::new();
        for row in rows {
            let row = row.as_object().ok_or_else(|| {
                invalid("block_device_mapping_v2", row, "is not of type 'object'")
            })?;
            disks.push(read_disk(who, row)?);
        }
        if image.is_some() && !disks.iter().any(|d: &Disk| d.boot_index == Some(0)) {
            if flavor.disk == 0 && !who.admin() {
                return Err(Refusal::denied(
                    "Only volume-backed servers are allowed for flavors with zero disk.",
                ));
            }
            disks.insert(0, local_root(image));
        }
        check_boot_order(&disks)?;
        for disk in &disks {
            self.check_disk(who, disk, count)?;
        }
        name_devices(&mut disks);
        Ok(disks)
    }

    fn check_disk(&self, who: &Who, disk: &Disk, count: usize) -> Result<(), Refusal> {
        if disk.source == "volume" {
            let id = disk.volume_id.as_deref().unwrap_or("");
            if count > 1 {
                return Err(Refusal::bad(
                    "Cannot attach one or more volumes to multiple instances",
                ));
            }
            let root = disk.boot_index == Some(0);
            let volume = self.find_volume(who, id).map_err(|refusal| {
                Refusal::bad(if root {
                    format!("Block Device Mapping is Invalid: failed to get volume {id}.")
                } else {
                    refusal.message
                })
            })?;
            if root && !volume.bootable {
                return Err(Refusal::bad(format!("Block Device {id} is not bootable.")));
            }
        }
        let made = disk.destination == "volume" && disk.volume_id.is_none();
        if made && disk.size == 0 && disk.source == "image" {
            return Err(Refusal::bad(
                "Images with destination_type 'volume' need to have a non-zero size specified",
            ));
        }
        if made && disk.size == 0 && disk.source == "blank" {
            return Err(Refusal::bad(
                "Blank volumes (source: 'blank', dest: 'volume') need to have non-zero size",
            ));
        }
        let source = disk.source_id.as_deref().unwrap_or("");
        if disk.source == "image" && self.image_facts(who, source).is_none() {
            return Err(Refusal::bad(format!(
                "Block Device Mapping is Invalid: failed to get image {source}."
            )));
        }
        if disk.source == "snapshot" && self.find_snapshot(who, source).is_err() {
            return Err(Refusal::bad(format!(
                "Block Device Mapping is Invalid: failed to get snapshot {source}."
            )));
        }
        Ok(())
    }

    /// Image properties of the boot source, and what they demand of flavor and volume.
    fn boot_properties(
        &self,
        who: &Who,
        disks: &[Disk],
        image: Option<&str>,
        flavor: &Flavor,
    ) -> Result<BTreeMap<String, String>, Refusal> {
        if let Some(id) = image {
            let facts = self
                .image_facts(who, id)
                .ok_or_else(|| Refusal::bad("Can not find requested image"))?;
            if facts.status != "active" {
                return Err(Refusal::bad(format!("Image {id} is not active.")));
            }
            if facts.min_ram > flavor.ram {
                return Err(Refusal::bad("Flavor's memory is too small for requested image."));
            }
            if facts.min_disk > flavor.disk && flavor.disk > 0 {
                return Err(Refusal::bad(format!(
                    "Flavor's disk is too small for requested image. Flavor disk is {} bytes, image is {} bytes.",
                    flavor.disk << 30,
                    facts.min_disk << 30
                )));
            }
            return Ok(facts.metadata);
        }
        let root = disks.iter().find(|d| d.boot_index == Some(0));
        let volume = root.and_then(|d| self.st.cinder.volumes.get(d.volume_id.as_deref()?));
        let Some(volume) = volume else { return Ok(BTreeMap::new()) };
        let number = |key: &str| {
            volume.image_metadata.get(key).and_then(|v| v.parse::<u64>().ok()).unwrap_or(0)
        };
        if number("min_ram") > flavor.ram {
            return Err(Refusal::bad("Flavor's memory is too small for requested image."));
        }
        if number("min_disk") > volume.size {
            return Err(Refusal::bad(format!(
                "Volume is smaller than the minimum size specified in image metadata. Volume size is \
                 {} bytes, minimum size is {} bytes.",
                volume.size << 30,
                number("min_disk") << 30
            )));
        }
        Ok(volume.image_metadata.clone())
    }

    fn wanted_nics(
        &mut self,
        call: &Call,
        body: &Map<String, Value>,
        count: usize,
    ) -> Result<Vec<Nic>, Refusal> {
        let blank = Nic { port_id: None, network_id: None, fixed_ip: None, ours: true, tag: None };
        match body.get("networks") {
            Some(Value::String(word)) if word == "none" && call.who.since(37) => Ok(Vec::new()),
            Some(Value::String(word)) if word == "auto" && call.who.since(37) => {
                match self.networks_of(&call.who).as_slice() {
                    [] => Err(Refusal::bad(
                        "Unable to automatically allocate a network for project ".to_owned()
                            + &call.who.project_id,
                    )),
                    [one] => Ok(vec![Nic { network_id: Some(one.clone()), ..blank }]),
                    _ => Err(ambiguous()),
                }
            }
            Some(Value::Array(rows)) if !rows.is_empty() || !call.who.since(37) => {
                let mut nics = Vec::new();
                for row in rows {
                    nics.push(self.read_nic(call, row, count)?);
                }
                Ok(nics)
            }
            None if !call.who.since(37) => match self.networks_of(&call.who).as_slice() {
                [] => Ok(Vec::new()),
                [one] => Ok(vec![Nic { network_id: Some(one.clone()), ..blank }]),
                _ => Err(ambiguous()),
            },
            None => Err(required("server", body, "networks")),
            Some(other) => {
                Err(invalid("networks", other, "is not valid under any of the given schemas"))
            }
        }
    }

    fn read_nic(&self, call: &Call, row: &Value, count: usize) -> Result<Nic, Refusal> {
        let row =
            row.as_object().ok_or_else(|| invalid("networks", row, "is not of type 'object'"))?;
        let mut nic = Nic {
            port_id: text(row, "port").filter(|p| !p.is_empty()),
            network_id: text(row, "uuid").filter(|n| !n.is_empty()),
            fixed_ip: text(row, "fixed_ip"),
            ours: true,
            tag: text(row, "tag"),
        };
        if let Some(port) = nic.port_id.clone() {
            if count > 1 {
                return Err(Refusal::bad(
                    "Failed to launch multiple instances with a specified port.",
                ));
            }
            self.check_port(&call.who, &port)?;
            nic.ours = false;
        } else if let Some(network) = &nic.network_id {
            self.check_network(&call.who, network)?;
        } else {
            return Err(Refusal::bad("Bad networks format: network uuid or port is required"));
        }
        Ok(nic)
    }

    fn wanted_groups(&self, who: &Who, body: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
        let rows = body.get("security_groups").and_then(Value::as_array);
        rows.into_iter()
            .flatten()
            .filter_map(|row| row.get("name").and_then(Value::as_str))
            .map(|name| self.security_group_id(who, name))
            .collect()
    }
}
