//! Things that are there: two sites, a mapping, a group with a member and a policy, an operation.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use protector_core::*;
use protector_ports::{GroupStamp, TokenInfo};
use protector_types::*;
use protector_workflow::{StageView, StepFailure};
use serde_json::json;
use uuid::Uuid;

use crate::support::start;

pub const PROJECT: &str = "3a0f1d2c4b5e46978899aabbccddeeff";
pub const OTHER_PROJECT: &str = "ffeeddccbbaa99887766554433221100";

pub fn site_a() -> SiteId {
    SiteId(Uuid::from_u128(0xa))
}
pub fn site_b() -> SiteId {
    SiteId(Uuid::from_u128(0xb))
}
pub fn group_id() -> GroupId {
    GroupId(Uuid::from_u128(0x6))
}
pub fn member_id() -> MemberId {
    MemberId(Uuid::from_u128(0x3))
}
pub fn mapping_id() -> TenantMappingId {
    TenantMappingId(Uuid::from_u128(0x7))
}
pub fn operation_id() -> OperationId {
    OperationId(Uuid::from_u128(0x0456_abc7_8000))
}

pub fn event(seq: u64) -> OperationEvent {
    OperationEvent {
        seq,
        at: start(),
        event: "done".into(),
        step: Some(format!("step-{seq}")),
        stage: Some("validate_target_site".into()),
        member: None,
        message: "done".into(),
    }
}

pub fn site() -> Site {
    Site {
        id: site_b(),
        name: "site-b".into(),
        description: String::new(),
        auth_url: "http://site-b-controller:5000/v3".into(),
        region_name: Some("RegionOne".into()),
        protector_url: Some("http://site-b-controller:8788".into()),
        username: Some("protector".into()),
        project_name: Some("service".into()),
        user_domain_name: "Default".into(),
        project_domain_name: "Default".into(),
        application_credential_id: None,
        ca_cert: None,
        insecure: false,
        is_local: false,
        cinder_host: Some("cinder@pure#pool".into()),
        status: SiteStatus::Active,
        status_reason: None,
        status_observed_at: Some(start()),
        created_at: start(),
    }
}

pub fn mapping() -> TenantMapping {
    TenantMapping {
        id: mapping_id(),
        primary_site_id: site_a(),
        primary_project_id: PROJECT.into(),
        secondary_site_id: site_b(),
        secondary_project_id: "b-project".into(),
        created_at: start(),
    }
}

pub fn group() -> ProtectionGroup {
    let volume_type = |name: &str| VolumeTypeRef { id: format!("{name}-id"), name: name.into() };
    ProtectionGroup {
        id: group_id(),
        name: "prod-web-app".into(),
        description: String::new(),
        replication_type: ReplicationType::Async,
        primary_site_id: site_a(),
        secondary_site_id: site_b(),
        projects: [(site_a(), PROJECT.into())].into(),
        volume_types: [(site_a(), volume_type("gold")), (site_b(), volume_type("silver"))].into(),
        test_volume_types: BTreeMap::new(),
        mappings: Mappings::default(),
        status: GroupStatus::Active,
        current_primary_site_id: site_a(),
        replication_status: ReplicationStatus::Replicating,
        failover_count: 0,
        last_replication_at: Some(start()),
        version: 7,
        epoch: Epoch { number: 1, raised_by: site_a(), raised_in: None },
        epochs_before: Vec::new(),
        current_operation_id: None,
        active_test_operation_id: None,
        quarantine: None,
        kept: Vec::new(),
        created_at: start(),
        updated_at: start(),
        array_group: None,
    }
}

pub fn member() -> Member {
    let placement = VolumePlacement {
        volume_id: "vol-a".into(),
        array_volume: "volume-vol-a-cinder".into(),
        array_volume_id: None,
        serial: "S1".into(),
    };
    Member {
        id: member_id(),
        group_id: group_id(),
        servers: [(site_a(), "server-a".into())].into(),
        spec: ServerSpec {
            name: "web-1".into(),
            user_data: Some("c2VjcmV0".into()),
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
            image_metadata: BTreeMap::new(),
            delete_on_termination: false,
            placements: [(site_a(), placement)].into(),
        }],
        observed_at: start(),
        abandoned: Some(Abandoned {
            operation_id: operation_id(),
            by: "adam".into(),
            reason: "never worked".into(),
            at: start(),
        }),
    }
}

pub fn policy() -> ReplicationPolicy {
    let urls =
        [(site_a(), "https://fa-a.example".into()), (site_b(), "https://fa-b.example".into())];
    ReplicationPolicy {
        array_urls: urls.into(),
        array_names: [(site_a(), "fa-a".into()), (site_b(), "fa-b".into())].into(),
        replication_interval: 300,
        rpo_minutes: Some(15),
        retention: Retention::default(),
        updated_at: start(),
    }
}

/// A record with everything that the newest version shows.
pub fn record() -> OperationRecord {
    OperationRecord {
        id: operation_id(),
        operation_type: OperationType::Failover,
        status: OperationStatus::Completed,
        progress: 100,
        protection_group_id: group_id(),
        project_id: PROJECT.into(),
        source_site_id: site_a(),
        target_site_id: site_b(),
        started_at: start() + chrono::Duration::milliseconds(123),
        completed_at: Some("2025-11-03T10:07:43.999Z".parse().unwrap()),
        error_message: None,
        steps_completed: vec!["validate_target_site".into(), "get_latest_snapshot".into()],
        steps_failed: vec![StepFailure {
            stage: "recreate_instances".into(),
            step: "server/web-1".into(),
            member: Some("web-1".into()),
            error: "No valid host".into(),
            retries: 2,
        }],
        result_data: Some(json!({
            "instances_created": 3, "volumes_managed": 5, "current_primary_site": "site-b",
            "servers": {"old": "new"}, "leaked": [{"kind": "volume"}]
        })),
        warnings: vec!["the \"source\" was reachable – fenced".into()],
        stages: vec![StageView {
            name: "validate_target_site".into(),
            done: 1,
            total: 1,
            running: 0,
        }],
        user_id: "user-1".into(),
        request_id: "req-1".into(),
        retry_of: Some(operation_id()),
    }
}

pub fn component(name: &str, status: &str) -> ComponentHealth {
    let reason = Some("looked".to_owned());
    ComponentHealth { name: name.into(), status: status.into(), reason, observed_at: start() }
}

pub fn sync() -> SyncStatus {
    SyncStatus {
        status: SyncState::OutOfSync,
        local_version: 7,
        remote_version: Some(6),
        local_epoch: 1,
        remote_epoch: Some(1),
        last_synced_at: None,
        observed_at: start(),
        reason: Some("the peer is one version behind".into()),
    }
}

pub fn stamp() -> GroupStamp {
    let epoch = Epoch { number: 1, raised_by: site_a(), raised_in: None };
    GroupStamp {
        epoch,
        epochs_before: Vec::new(),
        version: 7,
        primary: site_a(),
        digest: "d".into(),
    }
}

pub fn token(
    user: &str,
    project: Option<&str>,
    roles: &[&str],
    expires_at: DateTime<Utc>,
) -> TokenInfo {
    TokenInfo {
        user_id: user.into(),
        user_name: user.into(),
        project_id: project.map(ProjectId::from),
        project_name: None,
        roles: roles.iter().map(|r| (*r).to_owned()).collect(),
        user_domain_id: "default".into(),
        project_domain_id: project.map(|_| "default".to_owned()),
        expires_at,
        from_application_credential: false,
    }
}

pub fn plan_preview(operation_type: OperationType) -> PlanPreview {
    PlanPreview {
        operation_type,
        source_site: "site-a".into(),
        target_site: "site-b".into(),
        recovery_point: Some(PreviewPoint {
            name: "fa-a:protector.1".into(),
            created_at: start(),
            age_seconds: 60,
        }),
        data_loss_seconds: Some(60),
        members: vec![PreviewMember {
            name: "web-1".into(),
            server_id: Some("server-1".into()),
            flavor: Some("m2.large".into()),
            networks: vec!["web".into()],
            volumes: 2,
        }],
        stages: vec![PreviewStage { name: "validate_target_site".into(), steps: 1 }],
        steps: vec![PreviewStep {
            id: "recheck".into(),
            kind: "recheck".into(),
            stage: "validate_target_site".into(),
            member: None,
            after: Vec::new(),
        }],
        quota: vec![PreviewQuota { resource: "cores".into(), needed: 4, free: Some(8) }],
        warnings: vec!["a warning".into()],
        not_preserved: vec!["web-1: its address".into()],
        forecast_seconds: Some(300),
        hash: format!("sha256:{}", "a".repeat(64)),
    }
}
