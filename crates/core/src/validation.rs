//! What a site can do for us, proved by harmless calls: each check with ok, reason and fix.

use protector_ports::{PortError, PortFilter, PortResult};
use protector_types::Site;

use crate::{Check, Core, ValidationReport};

/// Clock skew that is still fine, in milliseconds: token validity and snapshot ages are compared across hosts.
const SKEW_LIMIT_MS: i64 = 5_000;

/// Runs all checks; a service that is down fails its own check only.
pub(crate) async fn validate(core: &Core, site: &Site) -> ValidationReport {
    let mut checks = vec![keystone(core, site).await];
    if checks[0].ok {
        checks.push(roles(core, site).await);
        checks.push(skew(core, site).await);
        checks.extend(services(core, site).await);
        checks.push(plain_members(core, site).await);
        checks.push(delegations(core, site).await);
    }
    checks.push(protector(core, site).await);
    ValidationReport {
        site_id: site.id,
        ok: checks.iter().all(|c| c.ok),
        observed_at: core.clock.now(),
        checks,
    }
}

fn passed(name: &str, reason: impl Into<String>) -> Check {
    Check { name: name.into(), ok: true, reason: reason.into(), fix: None, warning: false }
}

fn failed(name: &str, reason: impl ToString, fix: &str) -> Check {
    Check {
        name: name.into(),
        ok: false,
        reason: reason.to_string(),
        fix: Some(fix.into()),
        warning: false,
    }
}

fn judged<T>(
    name: &str,
    result: PortResult<T>,
    seen: impl FnOnce(T) -> String,
    fix: &str,
) -> Check {
    match result {
        Ok(value) => passed(name, seen(value)),
        Err(error) => failed(name, error, fix),
    }
}

async fn keystone(core: &Core, site: &Site) -> Check {
    let result = async { core.fabric.identity(site.id).await?.whoami().await }.await;
    judged(
        "keystone",
        result,
        |me| format!("authenticated as {} with roles {}", me.user_name, me.roles.join(", ")),
        "check auth_url, username, password and domains of the site (PATCH /v1/admin/sites/{id})",
    )
}

async fn roles(core: &Core, site: &Site) -> Check {
    let fix =
        "openstack role add --project service --user protector admin; likewise for role service";
    let me = async { core.fabric.identity(site.id).await?.whoami().await }.await;
    match me {
        Ok(me) if me.roles.iter().any(|r| r == "admin") => {
            passed("roles", "the service user holds role admin")
        }
        Ok(me) => {
            failed("roles", format!("the service user holds only: {}", me.roles.join(", ")), fix)
        }
        Err(error) => failed("roles", error, fix),
    }
}

async fn skew(core: &Core, site: &Site) -> Check {
    let fix = "synchronise the clocks of both hosts (chrony, NTP)";
    let skew = async { core.fabric.identity(site.id).await?.clock_skew_ms().await }.await;
    match skew {
        Ok(ms) if ms.abs() <= SKEW_LIMIT_MS => passed("clock", format!("differs by {ms} ms")),
        Ok(ms) => failed("clock", format!("Keystone's clock differs from ours by {ms} ms"), fix),
        Err(error) => failed("clock", error, fix),
    }
}

async fn services(core: &Core, site: &Site) -> Vec<Check> {
    let cloud = match core.service_cloud(site.id).await {
        Ok(cloud) => cloud,
        Err(refusal) => {
            return vec![failed("catalog", refusal, "register all services in the site's catalog")];
        }
    };
    let filter = PortFilter { name: Some("protector-validate".into()), ..PortFilter::default() };
    let (nova, cinder, pools, manage, neutron, glance) = futures::join!(
        cloud.compute().quota(),
        cloud.block_storage().volume_types(),
        cloud.block_storage().backend_pools(),
        cloud.block_storage().prove_manage_right(),
        cloud.networking().ports(&filter),
        cloud.image().images(),
    );
    let reach =
        "check that the service runs and that the catalog's endpoint is reachable from this host";
    let mut checks = vec![
        judged("nova", nova, |_| "answers".into(), reach),
        judged("neutron", neutron, |_| "answers".into(), reach),
        judged("glance", glance, |images| format!("answers; {} images", images.len()), reach),
    ];
    checks.push(match cinder {
        Ok(types) => {
            let replicated = types.iter().filter(|t| crate::groups::is_replicated(t)).count();
            if replicated > 0 {
                passed("cinder.volume_types", format!("{replicated} replication-enabled volume types"))
            } else {
                failed(
                    "cinder.volume_types",
                    "no volume type has replication_enabled='<is> True' that this user can see",
                    "create one with replication_enabled='<is> True' and replication_type='<in> async'",
                )
            }
        }
        Err(error) => failed("cinder.volume_types", error, reach),
    });
    checks.push(match pools {
        Ok(pools) if !pools.is_empty() => {
            passed("cinder.backends", pools.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(", "))
        }
        Ok(_) => failed("cinder.backends", "no backend is listed", "start cinder-volume, or set the site's cinder_host"),
        Err(error) => failed(
            "cinder.backends",
            error,
            "allow volume_extension:services:index to the service user, or set the site's cinder_host",
        ),
    });
    checks.push(manage_check(manage));
    checks
}

fn manage_check(result: PortResult<()>) -> Check {
    let fix = "allow volume_extension:volume_manage and volume_extension:volume_unmanage to role protector in Cinder's \
               policy.yaml (docs/operator: a dedicated role is safer than admin_or_owner, which has no owner to check)";
    match result {
        Ok(()) => passed("cinder.manage_policy", "the service user may manage volumes"),
        Err(error @ PortError::Denied { .. }) => failed("cinder.manage_policy", error, fix),
        Err(error) => failed(
            "cinder.manage_policy",
            error,
            "check that cinder-api answers, then validate again",
        ),
    }
}

/// The documented policy has no owner to check: with it any member of any project may adopt any array volume. Proved with
/// a token that holds role `member` alone, by a manage request that cannot work.
async fn plain_members(core: &Core, site: &Site) -> Check {
    let name = "cinder.manage_policy.members";
    let unknown = |why: String| Check {
        warning: true,
        ..passed(name, format!("not known whether a plain member may manage array volumes: {why}"))
    };
    let mapped = match core.all_tenant_mappings().await {
        Ok(mappings) => mappings.iter().find_map(|m| m.project_at(site.id).cloned()),
        Err(refusal) => return unknown(refusal.to_string()),
    };
    let Some(project) = mapped else {
        return unknown("no project of this site is mapped yet; validate again when one is".into());
    };
    match core.fabric.may_member_manage(site.id, &project).await {
        Ok(false) => passed(name, "a plain member of a mapped project may not manage array volumes"),
        Ok(true) => Check {
            warning: true,
            fix: Some(
                "any member of any project can take over any volume of the array, other tenants' copies among them: use \
                 the rules of docs/operator/cinder-policy.yaml (role protector, which only Protector's user holds), see \
                 docs/operator/cinder-policy.md"
                    .into(),
            ),
            ..passed(name, format!("a plain member of project {project} may manage any volume of the array"))
        },
        Err(error) => unknown(error.to_string()),
    }
}

/// In whose name we act in the mapped projects of the site.
async fn delegations(core: &Core, site: &Site) -> Check {
    match core.delegation_counts(site.id).await {
        Ok((projects, 0)) => Check {
            warning: projects > 0,
            ..passed(
                "delegation",
                format!(
                    "Protector's own user acts in all {projects} mapped projects: servers that it makes belong to it; a \
                     trust is made when a user of the project calls this site's Protector with a password's token"
                ),
            )
        },
        Ok((projects, trusted)) => passed(
            "delegation",
            format!(
                "in {trusted} of {projects} mapped projects a user's trust is in force; in the others Protector's own user acts"
            ),
        ),
        Err(refusal) => Check { warning: true, ..passed("delegation", refusal.to_string()) },
    }
}

async fn protector(core: &Core, site: &Site) -> Check {
    if site.is_local {
        return passed("protector", "this Protector runs here");
    }
    let info = async { core.fabric.peer(site.id).await?.info().await }.await;
    match info {
        Ok(info) if info.site_id == site.id => {
            passed("protector", format!("answers with version {}", info.version))
        }
        Ok(info) => failed(
            "protector",
            format!("another Protector answers there: site {} ({})", info.site_name, info.site_id),
            "correct the site's protector_url",
        ),
        Err(error) => failed(
            "protector",
            error,
            "check protector-api at the peer (systemctl status protector-api), its URL and the service user's role",
        ),
    }
}
