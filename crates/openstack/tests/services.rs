//! Nova, Cinder, Neutron, Glance and Keystone as clouds differ: old versions, pages, missing rights, odd answers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use common::{Log, Seen, client, json, permit, service};
use protector_openstack::{AuthMethod, Credentials, OpenStackCloud, Scope, Site};
use protector_ports::{BackendPool, Cloud, Identity, PortError, PortFilter, Quota, ServerFilter};
use protector_types::{ProjectId, Secret};
use serde_json::{Value, json as j};

struct World {
    site: Site,
    cloud: Arc<OpenStackCloud>,
    log: Log,
}

fn catalog() -> Value {
    let entry = |kind: &str, url: &str| j!({"type": kind, "endpoints": [{"interface": "public", "region_id": "A", "url": url}]});
    j!([
        entry("compute", "http://cloud/compute/v2.1"),
        entry("volumev3", "http://cloud/volume/v3/p1"),
        entry("network", "http://cloud/network"),
        entry("image", "http://cloud/image"),
    ])
}

/// A cloud that answers with what `answer` has for a line such as `GET /compute/v2.1/servers/1`; else 404.
fn world(answer: impl Fn(&Seen) -> Option<Response> + Send + Sync + 'static) -> World {
    let all = move |seen: &Seen| -> Response {
        if seen.line() == "POST /identity/v3/auth/tokens" {
            let body = j!({"token": {
                "user": {"id": "u1", "name": "protector"},
                "project": {"id": "p1", "name": "demo"},
                "issued_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-01T01:00:00Z",
                "catalog": catalog(),
            }});
            return (axum::http::StatusCode::CREATED, [("x-subject-token", "t")], body.to_string())
                .into_response();
        }
        answer(seen).unwrap_or_else(|| {
            json(404, j!({"itemNotFound": {"message": "not here", "code": 404}}))
        })
    };
    let (router, log) = service(all);
    let (client, _) = client("cloud", router);
    let credentials = Credentials::password(
        "http://cloud/identity/v3",
        Some("A"),
        AuthMethod::Password {
            user: "protector".into(),
            user_domain: "Default".into(),
            password: Secret::from("x"),
            project: "service".into(),
            project_domain: "Default".into(),
        },
    );
    let site = Site::new(client, "site-a", credentials);
    let cloud = site.cloud(Scope::Project(ProjectId::from("p1")));
    World { site, cloud, log }
}

fn nova(seen: &Seen, newest: &str) -> Option<Response> {
    (seen.path() == "/compute/v2.1/").then(|| {
        json(200, j!({"version": {"id": "v2.1", "version": newest, "min_version": "2.1"}}))
    })
}

fn marker(seen: &Seen) -> usize {
    let marker = seen.target.split(['?', '&']).find_map(|part| part.strip_prefix("marker="));
    marker.map_or(0, |id| id.trim_start_matches("s-").parse::<usize>().unwrap() + 1)
}

#[tokio::test]
async fn all_pages_of_servers_are_read_whatever_their_size() {
    let world = world(|seen| {
        nova(seen, "2.96").or_else(|| {
            let from = marker(seen);
            let servers: Vec<_> = (from..(from + 7).min(20))
                .map(|n| j!({"id": format!("s-{n}"), "name": "web", "flavor": {"original_name": "m1", "vcpus": 1}}))
                .collect();
            let more = from + 7 < 20;
            let links = if more { j!([{"rel": "next", "href": "http://elsewhere"}]) } else { j!([]) };
            Some(json(200, j!({"servers": servers, "servers_links": links})))
        })
    });
    let servers = world.cloud.compute().servers(&ServerFilter::default()).await.unwrap();
    let ids: Vec<_> = servers.iter().map(|s| s.id.clone()).collect();
    assert_eq!(ids, (0..20).map(|n| format!("s-{n}")).collect::<Vec<_>>());
    assert_eq!(world.log.count("/servers/detail"), 3);
    assert_eq!(
        world.log.last("/servers/detail").header("openstack-api-version"),
        Some("compute 2.96")
    );
}

#[tokio::test]
async fn a_service_that_ignores_markers_does_not_hold_us() {
    let world = world(|seen| {
        nova(seen, "2.96").or_else(|| {
            let links = j!([{"rel": "next"}]);
            Some(json(200, j!({"servers": [{"id": "s-1"}], "servers_links": links})))
        })
    });
    let servers = world.cloud.compute().servers(&ServerFilter::default()).await.unwrap();
    assert!(servers.len() <= 2);
}

#[tokio::test]
async fn filters_are_checked_here_too() {
    let world = world(|seen| {
        nova(seen, "2.96").or_else(|| {
            let server = |id: &str, name: &str, tag: &str, project: &str| {
                j!({"id": id, "name": name, "tags": [tag], "tenant_id": project, "flavor": {"original_name": "m"}})
            };
            let servers = [
                server("1", "web", "mine", "p1"),
                server("2", "web-2", "mine", "p1"),
                server("3", "web", "other", "p1"),
                server("4", "web", "mine", "p2"),
            ];
            Some(json(200, j!({"servers": servers})))
        })
    });
    let filter = ServerFilter { name: Some("web".into()), tag: Some("mine".into()) };
    let servers = world.cloud.compute().servers(&filter).await.unwrap();
    assert_eq!(servers.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["1"]);
    assert!(world.log.last("/servers/detail").target.contains("tags=mine"));
    // A name that Nova would read as a pattern is not sent.
    let filter = ServerFilter { name: Some("a.*b".into()), tag: None };
    assert!(world.cloud.compute().servers(&filter).await.unwrap().is_empty());
    assert!(!world.log.last("/servers/detail").target.contains("name="));
}

#[tokio::test]
async fn an_old_nova_shows_flavors_by_reference_and_locks_without_a_reason() {
    let world = world(|seen| {
        nova(seen, "2.12").or_else(|| {
            Some(match seen.path() {
                "/compute/v2.1/servers/1" => {
                    json(200, j!({"server": {"id": "1", "flavor": {"id": "f1", "links": []}}}))
                }
                "/compute/v2.1/flavors/f1" => json(
                    200,
                    j!({"flavor": {"id": "f1", "name": "m1", "vcpus": 2, "ram": 512, "swap": ""}}),
                ),
                "/compute/v2.1/servers/1/action" => json(202, j!({})),
                _ => return None,
            })
        })
    });
    let server = world.cloud.compute().server("1").await.unwrap();
    assert_eq!((server.flavor.name.as_str(), server.flavor.vcpus), ("m1", 2));
    world.cloud.compute().lock_server("1", "failover").await.unwrap();
    let lock = world.log.last("/action");
    assert_eq!(lock.body, j!({"lock": null}));
    assert_eq!(lock.header("x-openstack-nova-api-version"), Some("2.12"));
    assert_eq!(lock.header("openstack-api-version"), None);
}

#[tokio::test]
async fn without_a_version_document_the_lowest_version_is_spoken() {
    let world = world(|seen| match seen.path() {
        "/compute/v2.1/servers/1/action" => Some(json(202, j!({}))),
        _ => None,
    });
    world.cloud.compute().stop_server("1").await.unwrap();
    let seen = world.log.last("/action");
    assert_eq!(seen.header("openstack-api-version"), None);
    assert_eq!(seen.header("x-openstack-nova-api-version"), None);
    assert_eq!(seen.body, j!({"os-stop": null}));
    world.cloud.compute().stop_server("1").await.unwrap();
    assert_eq!(
        world.log.all().iter().filter(|s| s.path() == "/compute/v2.1/").count(),
        1,
        "asked once"
    );
}

#[tokio::test]
async fn an_unreadable_answer_is_unknown_and_a_missing_thing_is_absent() {
    let world = world(|seen| {
        nova(seen, "2.96").or_else(|| match seen.path() {
            "/compute/v2.1/servers/html" => Some("<html>login</html>".into_response()),
            "/compute/v2.1/servers/proxy" => {
                Some((axum::http::StatusCode::NOT_FOUND, "<html>no route</html>").into_response())
            }
            _ => None,
        })
    });
    let compute = world.cloud.compute();
    assert!(matches!(compute.server("html").await, Err(PortError::Unknown { .. })));
    assert!(matches!(compute.server("gone").await, Err(PortError::Absent { .. })));
    assert!(compute.delete_server("gone", &permit()).await.is_ok());
    // Not Nova's own 404: nothing is proved to be gone.
    assert!(compute.delete_server("proxy", &permit()).await.is_err());
}

#[tokio::test]
async fn ids_cannot_leave_their_place_in_the_path() {
    let world = world(|seen| nova(seen, "2.96"));
    let _ = world.cloud.compute().server("../flavors/1?x=y").await;
    assert_eq!(world.log.last("servers").target, "/compute/v2.1/servers/..%2Fflavors%2F1%3Fx%3Dy");
}

fn cinder(seen: &Seen) -> Option<Response> {
    (seen.path() == "/volume/v3/")
        .then(|| json(200, j!({"versions": [{"id": "v3.0", "version": "3.71"}]})))
}

#[tokio::test]
async fn pools_come_from_the_services_where_statistics_are_denied() {
    let world = world(|seen| {
        cinder(seen).or_else(|| match seen.path() {
            "/volume/v3/p1/scheduler-stats/get_pools" => Some(json(403, j!({"forbidden": {"message": "policy"}}))),
            "/volume/v3/p1/os-services" => Some(json(200, j!({"services": [
                {"binary": "cinder-volume", "host": "h@pure", "state": "up", "status": "enabled"},
                {"binary": "cinder-volume", "host": "h@lvm", "state": "down", "status": "enabled"}]}))),
            _ => None,
        })
    });
    let pools = world.cloud.block_storage().backend_pools().await.unwrap();
    let pool = |name: &str, up| BackendPool { name: name.into(), backend_name: None, up };
    assert_eq!(pools, [pool("h@pure", true), pool("h@lvm", false)]);
    assert_eq!(world.log.last("os-services").header("openstack-api-version"), Some("volume 3.59"));
}

#[tokio::test]
async fn pools_that_nobody_shows_us_are_denied() {
    let world = world(|seen| {
        cinder(seen).or_else(|| Some(json(403, j!({"forbidden": {"message": "policy"}}))))
    });
    let error = world.cloud.block_storage().backend_pools().await.unwrap_err();
    assert!(matches!(error, PortError::Denied { .. }), "{error:?}");
}

#[tokio::test]
async fn the_manage_right_is_proved_by_a_refusal_behind_the_policy() {
    let cases = [
        (
            400,
            j!({"badRequest": {"message": "Host 'protector-right-check@none#none' not found"}}),
            "ok",
        ),
        (404, j!({"itemNotFound": {"message": "Service could not be found"}}), "ok"),
        (
            503,
            j!({"serviceUnavailable": {"message": "Host 'protector-right-check@none#none' not found"}}),
            "ok",
        ),
        (
            403,
            j!({"forbidden": {"message": "Policy doesn't allow volume_extension:volume_manage"}}),
            "denied",
        ),
        (
            400,
            j!({"badRequest": {"message": "Invalid input for field/attribute volume. Value: x"}}),
            "invalid",
        ),
        (202, j!({"volume": {"id": "oops"}}), "conflict"),
        (500, j!({"computeFault": {"message": "x"}}), "unknown"),
    ];
    for (status, body, expected) in cases {
        let world = world(move |seen| cinder(seen).or_else(|| Some(json(status, body.clone()))));
        let got = match world.cloud.block_storage().prove_manage_right().await {
            Ok(()) => "ok",
            Err(PortError::Denied { message, .. }) if message.contains("volume_manage") => "denied",
            Err(PortError::Invalid { .. }) => "invalid",
            Err(PortError::Conflict { message, .. }) if message.contains("oops") => "conflict",
            Err(PortError::Unknown { .. }) => "unknown",
            Err(error) => panic!("{error:?}"),
        };
        assert_eq!(got, expected, "{status}");
        assert_eq!(world.log.count("POST /volume/v3/p1/os-volume-manage"), 1);
    }
}

#[tokio::test]
async fn encryption_of_types_is_asked_until_it_is_denied() {
    let world = world(|seen| {
        cinder(seen).or_else(|| match seen.path() {
            "/volume/v3/p1/types" => Some(json(
                200,
                j!({"volume_types": [
                {"id": "t1", "name": "a", "extra_specs": {"replication_enabled": "<is> True"}},
                {"id": "t2", "name": "b"}, {"id": "t3", "name": "c"}]}),
            )),
            "/volume/v3/p1/types/t1/encryption" => {
                Some(json(200, j!({"encryption_id": "e", "provider": "luks"})))
            }
            _ => Some(json(403, j!({"forbidden": {"message": "policy"}}))),
        })
    });
    let types = world.cloud.block_storage().volume_types().await.unwrap();
    assert_eq!(types.iter().map(|t| t.encrypted).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(types[0].extra_specs["replication_enabled"], "<is> True");
    assert_eq!(world.log.count("/encryption"), 2);
}

#[tokio::test]
async fn the_port_quota_is_counted_where_neutron_shows_no_details() {
    let world = world(|seen| match seen.path() {
        "/network/v2.0/quotas/p1" => Some(json(200, j!({"quota": {"port": 5, "network": -1}}))),
        "/network/v2.0/ports" => Some(json(200, j!({"ports": [{"id": "1"}, {"id": "2"}]}))),
        _ => None,
    });
    let quota = world.cloud.networking().quota().await.unwrap();
    assert_eq!(quota.ports, Quota { limit: Some(5), used: 2 });
}

#[tokio::test]
async fn networks_of_other_projects_are_left_out_and_filters_hold() {
    let world = world(|seen| match seen.path() {
        "/network/v2.0/networks" => Some(json(
            200,
            j!({"networks": [
            {"id": "1", "project_id": "p1"}, {"id": "2", "project_id": "p2"},
            {"id": "3", "tenant_id": "p2", "shared": true}, {"id": "4", "project_id": "p2", "router:external": true}]}),
        )),
        "/network/v2.0/ports" => Some(json(
            200,
            j!({"ports": [
            {"id": "1", "name": "a", "device_id": "s"}, {"id": "2", "name": "b", "device_id": "s"}]}),
        )),
        _ => None,
    });
    let networking = world.cloud.networking();
    let ids: Vec<_> = networking.networks().await.unwrap().into_iter().map(|n| n.id).collect();
    assert_eq!(ids, ["1", "3", "4"]);
    let filter = PortFilter { name: Some("b".into()), ..PortFilter::default() };
    assert_eq!(networking.ports(&filter).await.unwrap().len(), 1);
    assert!(world.log.last("/ports").target.contains("project_id=p1"));
    let filter = PortFilter { device_id: Some("s".into()), ..PortFilter::default() };
    assert_eq!(networking.ports(&filter).await.unwrap().len(), 2);
    assert!(!world.log.last("/ports").target.contains("project_id"));
}

#[tokio::test]
async fn images_are_paged_by_their_next_link() {
    let world = world(|seen| {
        (seen.path() == "/image/v2/images").then(|| match seen.target.contains("marker=") {
            false => json(
                200,
                j!({"images": [{"id": "1", "name": null}], "next": "/v2/images?marker=1"}),
            ),
            true => json(200, j!({"images": [{"id": "2", "name": "b"}]})),
        })
    });
    let images = world.cloud.image().images().await.unwrap();
    assert_eq!(images.iter().map(|i| i.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
}

#[tokio::test]
async fn tokens_are_judged_by_keystone() {
    let world = world(|seen| {
        (seen.path() == "/identity/v3/auth/tokens").then(|| match seen.header("x-subject-token") {
            Some("good") => json(200, j!({"token": {
                "user": {"id": "u", "name": "n", "domain": {"id": "d"}}, "methods": ["application_credential"],
                "project": null, "roles": null, "expires_at": "2026-11-23T10:00:00.000000Z"}})),
            _ => json(404, j!({"error": {"message": "Could not find token"}})),
        })
    });
    let identity = world.site.identity();
    let info = identity.validate_token(&Secret::from("good")).await.unwrap();
    assert!(info.from_application_credential && info.project_id.is_none() && info.roles.is_empty());
    assert_eq!((info.user_id.as_str(), info.user_domain_id.as_str()), ("u", "d"));
    for bad in ["bad", "", "line\nbreak"] {
        assert!(
            identity.validate_token(&Secret::from(bad)).await.unwrap_err().is_absent(),
            "{bad:?}"
        );
    }
}

#[tokio::test]
async fn our_own_role_is_granted_by_name() {
    let world = world(|seen| match (seen.method.as_str(), seen.path()) {
        ("GET", "/identity/v3/roles") if seen.target.contains("name=protector") => Some(json(
            200,
            j!({"roles": [{"id": "r9", "name": "protector"}], "links": {"next": null}}),
        )),
        ("GET", "/identity/v3/roles") => Some(json(200, j!({"roles": []}))),
        ("PUT", "/identity/v3/projects/p1/users/u1/roles/r9") => {
            Some(axum::http::StatusCode::NO_CONTENT.into_response())
        }
        _ => None,
    });
    let identity = world.site.identity();
    identity.grant_own_role(&ProjectId::from("p1"), "protector").await.unwrap();
    let error = identity.grant_own_role(&ProjectId::from("p1"), "nobody").await.unwrap_err();
    assert!(error.is_absent() && error.to_string().contains("nobody"), "{error}");
}

#[tokio::test]
async fn projects_are_found_by_name_in_their_domain() {
    let world = world(|seen| match seen.path() {
        "/identity/v3/domains" => Some(match seen.target.contains("name=Default") {
            true => json(403, j!({"error": {"message": "policy"}})),
            false => json(200, j!({"domains": []})),
        }),
        "/identity/v3/projects" => Some(json(
            200,
            j!({"projects": [
            {"id": "1", "name": "Demo", "domain_id": "default", "enabled": true}, {"id": "2", "name": "demo-2"}]}),
        )),
        _ => None,
    });
    let identity = world.site.identity();
    let found = identity.find_project("demo", "Default").await.unwrap();
    assert_eq!(found.iter().map(|p| p.id.as_str()).collect::<Vec<_>>(), ["1"]);
    assert!(world.log.last("/projects").target.contains("domain_id=default"));
    assert!(identity.find_project("demo", "other").await.unwrap().is_empty());
    assert!(identity.project(&ProjectId::from("9")).await.unwrap_err().is_absent());
}
