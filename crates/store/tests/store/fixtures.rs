//! Things to store.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeZone, Utc};
use protector_secrets::KeyRepository;
use protector_store::{Accepted, GroupGate, NewOperation, NewRequest, Store};
use protector_types::*;
use protector_workflow::{
    Ask, EntryKind, NewEntry, OnFailure, Plan, PlannedStep, Request, Stage, Summary, View,
};
use serde_json::json;

/// A database without tables, and the clock and keys of whoever connects to it.
#[derive(Clone)]
pub struct Db {
    pub url: String,
    pub clock: ManualClock,
    pub keys: Arc<KeyRepository>,
}

impl Db {
    pub fn new(url: String) -> Self {
        let epoch = Utc.with_ymd_and_hms(2026, 11, 23, 12, 0, 0).unwrap();
        let keys = Arc::new(KeyRepository::in_memory().unwrap());
        Self { url, clock: ManualClock::new(epoch + Duration::from_nanos(123_456_789)), keys }
    }

    /// One more process.
    pub async fn connect(&self) -> Store {
        Store::connect(&self.url, self.keys.clone(), Arc::new(self.clock.clone())).await.unwrap()
    }

    /// With tables.
    pub async fn store(&self) -> Store {
        let store = self.connect().await;
        store.migrate().await.unwrap();
        store
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

/// Two sites, ours first.
pub struct World {
    pub db: Db,
    pub store: Store,
    pub here: SiteId,
    pub there: SiteId,
}

impl World {
    pub async fn new(db: Db) -> Self {
        let store = db.store().await;
        let here = store.own_site_id().await.unwrap();
        Self { db, store, here, there: SiteId::generate() }
    }

    /// An active group with every field in use.
    pub fn group(&self, project: &str, name: &str) -> ProtectionGroup {
        let now = self.db.now();
        let volume_type =
            |name: &str| VolumeTypeRef { id: format!("id-{name}"), name: name.into() };
        let mapping = |a: &str, b: &str| BTreeMap::from([(a.to_owned(), b.to_owned())]);
        ProtectionGroup {
            id: GroupId::generate(),
            name: name.into(),
            description: "web shop – Größe ☃".into(),
            replication_type: ReplicationType::Async,
            primary_site_id: self.here,
            secondary_site_id: self.there,
            projects: BTreeMap::from([
                (self.here, project.into()),
                (self.there, ProjectId(format!("{project}-there"))),
            ]),
            volume_types: BTreeMap::from([
                (self.here, volume_type("gold")),
                (self.there, volume_type("gold-b")),
            ]),
            test_volume_types: BTreeMap::from([(self.there, volume_type("drill"))]),
            mappings: Mappings {
                network: mapping("net-a", "net-b"),
                flavor: mapping("m1", "m2"),
                ..Mappings::default()
            },
            status: GroupStatus::Active,
            current_primary_site_id: self.here,
            replication_status: ReplicationStatus::Replicating,
            failover_count: 3,
            last_replication_at: Some(now - chrono::Duration::seconds(60)),
            version: 7,
            epoch: Epoch { number: 4, raised_by: self.there, raised_in: None },
            epochs_before: Vec::new(),
            current_operation_id: None,
            active_test_operation_id: None,
            quarantine: None,
            kept: Vec::new(),
            created_at: now,
            updated_at: now,
            array_group: None,
        }
    }

    pub async fn stored_group(&self, project: &str, name: &str) -> ProtectionGroup {
        let group = self.group(project, name);
        self.store.insert_group(&group).await.unwrap();
        group
    }

    pub fn member(&self, group: GroupId, server: &str) -> Member {
        let placement = placement(server);
        Member {
            id: MemberId::generate(),
            group_id: group,
            servers: BTreeMap::from([(self.here, server.to_owned())]),
            spec: ServerSpec {
                name: format!("name of {server}"),
                user_id: "user".into(),
                flavor: FlavorSpec { name: "m1".into(), vcpus: 2, ..FlavorSpec::default() },
                ports: vec![PortSpec {
                    mac_address: "fa:16:3e:00:00:01".into(),
                    allowed_address_pairs: json!([{"ip_address": "10.0.0.9"}]),
                    ..PortSpec::default()
                }],
                ..ServerSpec::default()
            },
            volumes: vec![MemberVolume {
                position: 0,
                device: "/dev/vda".into(),
                boot_index: 0,
                name: "root".into(),
                description: String::new(),
                size_gib: 20,
                bootable: true,
                metadata: BTreeMap::new(),
                image_metadata: BTreeMap::from([("hw_firmware_type".into(), "uefi".into())]),
                delete_on_termination: false,
                placements: BTreeMap::from([(self.here, placement)]),
            }],
            observed_at: self.db.now(),
            abandoned: None,
        }
    }

    pub fn policy(&self) -> ReplicationPolicy {
        ReplicationPolicy {
            array_urls: BTreeMap::from([(self.here, "https://fa-a".into())]),
            array_names: BTreeMap::from([(self.here, "fa-a".into())]),
            replication_interval: 300,
            rpo_minutes: Some(15),
            retention: Retention::default(),
            updated_at: self.db.now(),
        }
    }

    pub fn operation(&self, group: &ProtectionGroup, kind: OperationType) -> NewOperation {
        NewOperation {
            id: OperationId::generate(),
            project_id: group.projects[&self.here].clone(),
            group_id: group.id,
            operation_type: kind,
            source_site_id: self.here,
            target_site_id: self.there,
            params: json!({"force": false}),
            plan: Some(plan()),
            user_id: "user".into(),
            request_id: "req-1".into(),
            retry_of: None,
            idempotency: None,
        }
    }

    /// Accepts an operation on the group as it is stored.
    pub async fn accept(&self, group: GroupId, kind: OperationType) -> OperationId {
        let group = self.store.group(&SYSTEM, group).await.unwrap();
        let new = self.operation(&group, kind);
        match self.store.insert_and_claim_group(&new, &gate(&group, kind)).await.unwrap() {
            Accepted::New { operation, .. } => operation.id,
            Accepted::Replayed(_) => panic!("no key was given"),
        }
    }

    /// Accepts and claims; gives the fence.
    pub async fn claimed(&self, group: GroupId, kind: OperationType) -> (OperationId, u64) {
        let id = self.accept(group, kind).await;
        let fence = self.store.claim(id, "engine-1", None, 0).await.unwrap().unwrap();
        (id, fence)
    }

    pub fn request(&self, id: &str, ask: Ask) -> NewRequest {
        NewRequest {
            request: Request { id: id.into(), by: "adam".into(), ask },
            project_id: "p".into(),
            idempotency: None,
        }
    }

    pub fn asked(&self, request: &Request) -> NewEntry {
        let kind = EntryKind::Asked { request: request.clone(), refused: None };
        NewEntry { at: self.db.now(), kind }
    }

    pub fn entries(&self, count: usize) -> Vec<NewEntry> {
        let entry = |n| NewEntry {
            at: self.db.now(),
            kind: EntryKind::UndoStarted { step: format!("s{n}") },
        };
        (0..count).map(entry).collect()
    }

    pub fn summary(&self, status: OperationStatus) -> Summary {
        Summary {
            view: View {
                status,
                progress: 42,
                steps_completed: vec!["validate_target_site".into()],
                steps_failed: vec![],
                warnings: vec!["a warning".into()],
                error_message: Some("it is so".into()),
                stages: vec![],
            },
            completed_at: status.is_terminal().then(|| self.db.now()),
            result_data: status.is_terminal().then(|| json!({"instances_created": []})),
        }
    }
}

pub const SYSTEM: protector_store::Scope = protector_store::Scope::System;

pub fn project(name: &str) -> protector_store::Scope {
    protector_store::Scope::Project(name.into())
}

pub fn placement(server: &str) -> VolumePlacement {
    VolumePlacement {
        volume_id: format!("volume of {server}"),
        array_volume: format!("volume-{server}-cinder"),
        array_volume_id: None,
        serial: format!("SERIAL-{server}"),
    }
}

pub fn gate(group: &ProtectionGroup, kind: OperationType) -> GroupGate {
    let rule = action_rule(kind);
    GroupGate {
        expected_version: group.version,
        allowed_in: rule.allowed_in.to_vec(),
        running: rule.running,
        supersedes: Vec::new(),
        holder_result: None,
    }
}

pub fn plan() -> Plan {
    Plan {
        definition: "failover".into(),
        version: 1,
        stages: vec![Stage { name: "validate_target_site".into(), from: 0, to: 100 }],
        steps: vec![PlannedStep {
            id: "s1".into(),
            kind: "check".into(),
            stage: 0,
            after: vec![],
            input: json!({"n": 1}),
            subject: Some("web-1".into()),
            deadline_sec: 60,
            no_return: false,
            on_failure: OnFailure::Rollback,
        }],
        facts: json!({"fact": true}),
    }
}
