//! Between wire bodies and the core's words.

use protector_api_types as wire;
use protector_ports::{ClaimAnswer, GroupStamp, PeerInfo, VolumeType};
use protector_types::{Action, Mappings, ProjectId, Retention, Secret};

use crate::model as core;

/// A site to be registered. The body was checked: exactly one of the two secrets is there.
pub fn new_site(it: wire::SiteCreate) -> core::NewSite {
    let password = it.application_credential_secret.or(it.password);
    core::NewSite {
        name: it.name,
        description: it.description,
        auth_url: it.auth_url,
        region_name: it.region_name,
        protector_url: it.protector_url,
        username: it.username,
        password: password.unwrap_or_else(|| Secret::new("")),
        application_credential_id: it.application_credential_id,
        project_name: it.project_name,
        user_domain_name: it.user_domain_name,
        project_domain_name: it.project_domain_name,
        ca_cert: it.ca_cert,
        insecure: it.insecure,
        is_local: it.is_local,
        cinder_host: it.cinder_host,
    }
}

/// A change of a site.
pub fn site_change(it: wire::SiteUpdate) -> core::SiteChange {
    core::SiteChange {
        name: it.name,
        description: it.description,
        auth_url: it.auth_url,
        region_name: it.region_name,
        protector_url: it.protector_url,
        username: it.username,
        password: it.password,
        project_name: it.project_name,
        user_domain_name: it.user_domain_name,
        project_domain_name: it.project_domain_name,
        ca_cert: it.ca_cert,
        insecure: it.insecure,
        cinder_host: it.cinder_host,
    }
}

/// A validation report.
pub fn validation(it: core::ValidationReport) -> wire::ValidationView {
    wire::ValidationView {
        site_id: it.site_id,
        ok: it.ok,
        observed_at: it.observed_at,
        checks: it
            .checks
            .into_iter()
            .map(|check| wire::ValidationCheck {
                name: check.name,
                ok: check.ok,
                reason: check.reason,
                fix: check.fix,
                warning: check.warning,
            })
            .collect(),
    }
}

/// A volume type.
pub fn volume_type(it: VolumeType) -> wire::VolumeTypeView {
    wire::VolumeTypeView { id: it.id, name: it.name, extra_specs: it.extra_specs }
}

/// A tenant mapping to be made. The body was checked: each project is there by id or by name.
pub fn new_tenant_mapping(it: wire::TenantMappingCreate) -> core::NewTenantMapping {
    core::NewTenantMapping {
        primary_site_id: it.primary_site_id,
        primary_project: project(
            it.primary_project_id,
            it.primary_project_name,
            it.primary_project_domain_name,
        ),
        secondary_site_id: it.secondary_site_id,
        secondary_project: project(
            it.secondary_project_id,
            it.secondary_project_name,
            it.secondary_project_domain_name,
        ),
    }
}

fn project(id: Option<String>, name: Option<String>, domain: Option<String>) -> core::ProjectRef {
    match id {
        Some(id) => core::ProjectRef::Id(ProjectId(id)),
        None => core::ProjectRef::Name {
            name: name.unwrap_or_default(),
            domain: domain.unwrap_or_else(|| "Default".into()),
        },
    }
}

/// A group to be created.
pub fn new_group(it: wire::GroupCreate) -> core::NewGroup {
    core::NewGroup {
        name: it.name,
        description: it.description,
        replication_type: it.replication_type,
        primary_site_id: it.primary_site_id,
        secondary_site_id: it.secondary_site_id,
        primary_volume_type: it.primary_volume_type,
        secondary_volume_type: it.secondary_volume_type,
        mappings: Mappings {
            network: it.network_mapping,
            flavor: it.flavor_mapping,
            image: it.image_mapping,
            security_group: it.security_group_mapping,
            keypair: it.keypair_mapping,
        },
    }
}

/// A change of a group.
pub fn group_change(it: wire::GroupUpdate) -> core::GroupChange {
    core::GroupChange {
        name: it.name,
        description: it.description,
        network_mapping: it.network_mapping,
        flavor_mapping: it.flavor_mapping,
        image_mapping: it.image_mapping,
        security_group_mapping: it.security_group_mapping,
        keypair_mapping: it.keypair_mapping,
    }
}

/// A group as the tenant sees it.
pub fn group(it: core::GroupDetail, project: ProjectId) -> wire::GroupView {
    wire::GroupView::new(it.group, &it.members, project)
}

/// A policy to be set.
pub fn new_policy(it: wire::PolicySet) -> core::NewPolicy {
    core::NewPolicy {
        primary_fa_url: it.primary_fa_url,
        primary_fa_api_token: wire::PolicySet::unmasked(it.primary_fa_api_token),
        secondary_fa_url: it.secondary_fa_url,
        secondary_fa_api_token: wire::PolicySet::unmasked(it.secondary_fa_api_token),
        replication_interval: it.replication_interval,
        rpo_minutes: it.rpo_minutes,
        retention: it.retention.map_or_else(Retention::default, Retention::from),
    }
}

/// An action.
pub fn action(
    action: Action,
    it: wire::ActionParamsBody,
    idempotency: Option<(String, String)>,
) -> core::ActionRequest {
    core::ActionRequest {
        action,
        params: core::ActionParams {
            network_mapping: it.network_mapping,
            flavor_mapping: it.flavor_mapping,
            force: it.force,
            retain_primary: it.retain_primary,
            reverse_replication: it.reverse_replication,
            recovery_point: it.recovery_point,
            allow_partial: it.allow_partial,
            plan_hash: it.plan_hash,
            preserve_addresses: it.preserve_addresses,
            operation_id: it.operation_id,
            step: it.step,
            reason: it.reason,
            status: it.status,
        },
        idempotency,
    }
}

/// An operation, in full.
pub fn operation(it: core::OperationRecord) -> wire::OperationView {
    let leaked = it.result_data.as_ref().and_then(|data| data.get("leaked")).cloned();
    wire::OperationView {
        id: it.id,
        operation_type: it.operation_type,
        status: it.status,
        progress: it.progress,
        source_site_id: it.source_site_id,
        target_site_id: it.target_site_id,
        started_at: it.started_at,
        completed_at: it.completed_at,
        error_message: it.error_message,
        steps_completed: it.steps_completed,
        steps_failed: it
            .steps_failed
            .into_iter()
            .map(|failed| wire::StepFailedView {
                stage: failed.stage,
                step: failed.step,
                member: failed.member,
                error: failed.error,
                retries: Some(failed.retries),
            })
            .collect(),
        protection_group_id: it.protection_group_id,
        result_data: it.result_data,
        project_id: Some(it.project_id),
        warnings: Some(it.warnings),
        leaked,
        stages: Some(
            it.stages
                .into_iter()
                .map(|stage| wire::StageView {
                    name: stage.name,
                    done: stage.done,
                    total: stage.total,
                    running: stage.running,
                })
                .collect(),
        ),
        user_id: Some(it.user_id),
        request_id: Some(it.request_id),
        retry_of: it.retry_of,
    }
}

/// A plan.
pub fn plan(it: core::PlanPreview) -> wire::PlanView {
    wire::PlanView {
        operation_type: it.operation_type,
        source_site: it.source_site,
        target_site: it.target_site,
        recovery_point: it.recovery_point.map(|point| wire::PlanPointView {
            name: point.name,
            created_at: point.created_at,
            age_seconds: point.age_seconds,
        }),
        data_loss_seconds: it.data_loss_seconds,
        members: it
            .members
            .into_iter()
            .map(|member| wire::PlanMemberView {
                name: member.name,
                server_id: member.server_id,
                flavor: member.flavor,
                networks: member.networks,
                volumes: member.volumes,
            })
            .collect(),
        stages: it
            .stages
            .into_iter()
            .map(|stage| wire::PlanStageView { name: stage.name, steps: stage.steps })
            .collect(),
        steps: it
            .steps
            .into_iter()
            .map(|step| wire::PlanStepView {
                id: step.id,
                kind: step.kind,
                stage: step.stage,
                member: step.member,
                after: step.after,
            })
            .collect(),
        quota: it
            .quota
            .into_iter()
            .map(|limit| wire::PlanQuotaView {
                resource: limit.resource,
                needed: limit.needed,
                free: limit.free,
            })
            .collect(),
        warnings: it.warnings,
        not_preserved: it.not_preserved,
        forecast_seconds: it.forecast_seconds,
        hash: it.hash,
    }
}

/// A journal entry.
pub fn event(it: core::OperationEvent) -> wire::EventView {
    wire::EventView {
        seq: it.seq,
        at: it.at,
        event: it.event,
        step: it.step,
        stage: it.stage,
        member: it.member,
        message: it.message,
    }
}

/// The sync status, in full.
pub fn sync_status(it: core::SyncStatus) -> wire::SyncStatusView {
    wire::SyncStatusView {
        status: it.status,
        local_version: it.local_version,
        remote_version: it.remote_version,
        local_epoch: it.local_epoch,
        remote_epoch: it.remote_epoch,
        last_synced_at: it.last_synced_at,
        observed_at: it.observed_at,
        reason: it.reason,
    }
}

/// The consistency group.
pub fn consistency_group(it: core::ConsistencyGroupDetail) -> wire::ConsistencyGroupView {
    let point = it.newest_point;
    wire::ConsistencyGroupView {
        protection_group_id: it.group_id,
        name: it.array_group,
        arrays: it.arrays,
        volumes: it
            .volumes
            .into_iter()
            .map(|volume| wire::ConsistencyVolumeView {
                member: volume.member,
                device: volume.device,
                size_gib: volume.size_gib,
                volume_ids: volume.volume_ids,
                array_volumes: volume.array_volumes,
            })
            .collect(),
        newest_recovery_point: point
            .map(|(name, created_at)| wire::NewestPointView { name, created_at }),
        observed_at: it.observed_at,
        reason: it.reason,
    }
}

/// A part's health, in full.
pub fn component(it: core::ComponentHealth) -> wire::ComponentView {
    wire::ComponentView {
        name: it.name,
        status: it.status,
        observed_at: it.observed_at,
        reason: it.reason,
    }
}

/// A group's health, in full.
pub fn group_health(it: core::GroupHealth) -> wire::GroupHealthView {
    wire::GroupHealthView {
        protection_group_id: it.group_id,
        failover_ready: it.failover_ready,
        sync_status: it.sync_status,
        observed_at: it.observed_at,
        link: Some(component(it.link)),
        lag_seconds: it.lag_seconds,
        rpo_compliant: it.rpo_compliant,
        reasons: Some(it.reasons),
        delegation: Some(
            it.acting
                .into_iter()
                .map(|acting| wire::ActingView {
                    site_id: acting.site_id,
                    acts_as: acting.acts_as,
                    user_name: acting.user_name,
                    reason: acting.reason,
                    observed_at: acting.observed_at,
                })
                .collect(),
        ),
    }
}

/// A recovery point.
pub fn recovery_point(detail: core::RecoveryPointDetail) -> wire::RecoveryPointView {
    let it = detail.point;
    wire::RecoveryPointView {
        usable: detail.unusable.is_none(),
        reason: detail.unusable,
        age_seconds: detail.age_seconds,
        size_gib: detail.size_gib,
        name: it.name,
        created_at: it.created,
        completed_at: it.completed,
        progress: u8::try_from(it.progress_milli.min(1000) / 10).unwrap_or(100),
        volume_count: it.volumes.len(),
    }
}

/// A peer.
pub fn peer_info(it: PeerInfo) -> wire::PeerInfoView {
    let sees = it.sees.into_iter().map(|seen| wire::SiteSeenView {
        site_id: seen.site_id,
        status: seen.status,
        reason: seen.reason,
        observed_at: seen.observed_at,
    });
    wire::PeerInfoView {
        site_id: it.site_id,
        site_name: it.site_name,
        version: it.version,
        now: it.now,
        sees: sees.collect(),
    }
}

/// A claim.
pub fn claim(it: ClaimAnswer) -> wire::ClaimView {
    wire::ClaimView {
        granted: it.granted,
        operation_id: it.operation_id,
        holder_site_id: it.holder_site_id,
        reason: it.reason,
        stamp: it.stamp.map(stamp),
    }
}

/// A stamp from the wire.
pub fn stamp_of(it: wire::GroupStampView) -> GroupStamp {
    GroupStamp {
        epoch: it.epoch,
        epochs_before: it.epochs_before,
        version: it.version,
        primary: it.primary,
        digest: it.digest,
    }
}

/// A stamp.
pub fn stamp(it: GroupStamp) -> wire::GroupStampView {
    wire::GroupStampView {
        epoch: it.epoch,
        epochs_before: it.epochs_before,
        version: it.version,
        primary: it.primary,
        digest: it.digest,
    }
}
