//! What tests and the demo put into Cinder without going through the API.

use std::collections::BTreeMap;

use super::{
    driver::{Content, POD},
    model::Volume,
};
use crate::cloud::Cloud;

/// A volume to seed.
#[derive(Debug, Clone)]
pub struct VolumeSeed {
    /// Name.
    pub name: String,
    /// GiB.
    pub size: u64,
    /// Name or id of its type; none: the default type.
    pub volume_type: Option<String>,
    /// Owner.
    pub project_id: String,
    /// In whose name.
    pub user_id: String,
    /// Can servers boot from it.
    pub bootable: bool,
}

impl Cloud {
    /// Adds a public volume type; gives its id. The first one becomes the default.
    pub fn add_volume_type(&self, name: &str, extra_specs: &[(&str, &str)]) -> String {
        let specs: BTreeMap<String, String> =
            extra_specs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.world(|w| {
            let id = w.file_type(name, true, specs);
            w.st.cinder.default_type.get_or_insert_with(|| id.clone());
            id
        })
    }

    /// The usual two types: `replicated` (async, extra specs as the driver wants them) and `plain`;
    /// gives their ids.
    pub fn add_usual_volume_types(&self) -> (String, String) {
        let replicated = [
            ("volume_backend_name", "pure"),
            ("replication_enabled", "<is> True"),
            ("replication_type", "<in> async"),
        ];
        let plain = self.add_volume_type("plain", &[("volume_backend_name", "pure")]);
        (self.add_volume_type("replicated", &replicated), plain)
    }

    /// Configures `replication_device`: the driver's group `cinder-group` replicates to the array that
    /// this one knows as `target`. Made at once if the arrays are linked, else at the first use.
    pub fn set_replication_target(&self, target: &str) {
        self.world(|w| {
            w.st.cinder.replication_target = Some(target.to_owned());
            if let Err(why) = w.ensure_group() {
                tracing::warn!(why, "simulated cinder: the replication group was not made");
            }
        });
    }

    /// Configures a `replication_device` of type sync: the driver's pod `cinder-pod` is made, or found where the other
    /// site's driver has made it already, and stretched to the array that this one knows as `target`. With it come the
    /// types `replicated-sync`; gives its id. Fails in the array's words.
    pub fn set_sync_target(&self, target: &str) -> Result<String, String> {
        self.0.array.ensure_stretched_pod(POD, target).map_err(|refusal| refusal.to_string())?;
        self.world(|w| w.st.cinder.sync_pod = Some(POD.to_owned()));
        Ok(self.add_volume_type(
            "replicated-sync",
            &[
                ("volume_backend_name", "pure"),
                ("replication_enabled", "<is> True"),
                ("replication_type", "<in> sync"),
            ],
        ))
    }

    /// Makes a volume that is `available` at once; gives its id. Fails in the array's words.
    pub fn add_volume(&self, seed: VolumeSeed) -> Result<String, String> {
        self.world(|w| {
            let wanted = seed.volume_type.or_else(|| w.st.cinder.default_type.clone());
            let types = &w.st.cinder.types;
            let kind = wanted
                .as_ref()
                .and_then(|t| types.get(t).or_else(|| types.values().find(|k| k.name == *t)))
                .cloned();
            let pool = w.pool();
            let service = w.service_uuid();
            let who = (seed.project_id.as_str(), seed.user_id.as_str());
            let mut volume = w.blank_volume(who, Some(seed.name), kind.as_ref());
            volume.size = seed.size;
            volume.bootable = seed.bootable;
            volume.status = "available".to_owned();
            volume.host = Some(pool);
            volume.service_uuid = Some(service);
            let report = w.driver_create(&volume, &Content::Empty)?;
            volume.replication_status = Some(report.replication_status.to_owned());
            volume.metadata = report.metadata;
            volume.provider_id = Some(report.provider_id);
            let id = volume.id.clone();
            w.st.cinder.volumes.insert(id.clone(), volume);
            Ok(id)
        })
    }

    /// Today's name on the array of a Cinder volume.
    pub fn array_volume_name(&self, volume_id: &str) -> Option<String> {
        self.world(|w| w.st.cinder.volumes.get(volume_id).map(Volume::array_name))
    }
}
