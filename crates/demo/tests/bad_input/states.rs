//! Groups, servers and arrays as they are: what does not fit them.

use protector_demo::{protect::failover_body, rest::text, tenant};
use protector_sim::cloud::{cinder::VolumeSeed, nova::FlavorSeed};
use serde_json::{Value, json};

use super::{
    NOT_FOUND, UNKNOWN, VALUE,
    support::{Case, Theatre},
};

/// Group, policy and members as they are.
// tidy: allow long function: a table
pub async fn states(t: &Theatre, second: &str) -> Vec<Case> {
    let group = t.group_url(0);
    let second_url = format!("{}/protection-groups/{second}", t.project_url(0));
    let action = |url: &str, body: Value, status, code, words: &[&str]| {
        Case::new("POST", &format!("{url}/action"), body, status, code, words)
    };
    let add = |url: &str, server: &str, status, code, words: &[&str]| {
        Case::new(
            "POST",
            &format!("{url}/members"),
            json!({"member": {"server": server}}),
            status,
            code,
            words,
        )
    };
    let groups = format!("{}/protection-groups", t.project_url(0));
    let eligible = "member.not_eligible";
    let exists = "resource.already_exists";
    let db = t.servers[2].id.as_str();
    vec![
        action(
            &group,
            json!({"failback": {}}),
            409,
            "protection_group.wrong_state",
            &["Protection Group is not in failed_over state", "active"],
        ),
        action(
            &second_url,
            failover_body(),
            409,
            "protection_group.policy_missing",
            &["replication policy", "POST"],
        ),
        add(&group, "web-1", 409, exists, &["web-1", "this one"]),
        add(&second_url, db, 409, exists, &["db-1", &t.protected.group_id, "one group only"]),
        add(&second_url, "nobody", 404, NOT_FOUND, &["nobody", "does not exist in this project"]),
        add(
            &group,
            "odd-type",
            409,
            eligible,
            &["odd-type", "volume odd-type-root", "plain", "replicated"],
        ),
        add(&group, "odd-image", 409, eligible, &["odd-image", "boot from a volume"]),
        add(
            &group,
            "odd-ephemeral",
            409,
            eligible,
            &["odd-ephemeral", "ephemeral disk", "swap disk"],
        ),
        add(&group, "twin", 400, VALUE, &["twin", "ambiguous", "use an id of"]),
        Case::new(
            "POST",
            &groups,
            json!({"protection_group": {"name": "prod-web-app"}}),
            409,
            exists,
            &["prod-web-app"],
        ),
        Case::new(
            "DELETE",
            &format!("{group}/members/{second}"),
            "",
            404,
            NOT_FOUND,
            &["does not exist"],
        ),
    ]
}

/// Policies that do not work.
// tidy: allow long function: a table
pub fn policies(t: &Theatre, second: &str) -> Vec<Case> {
    let url = format!("{}/policy", t.group_url(0));
    let second = format!("{}/protection-groups/{second}/policy", t.project_url(0));
    let (a, b) = (&t.stage.sites[0], &t.stage.sites[1]);
    let good = json!({
        "primary_fa_url": a.array_url, "primary_fa_api_token": a.array_token,
        "secondary_fa_url": b.array_url, "secondary_fa_api_token": b.array_token,
    });
    let but = |change: Value| {
        let mut policy = good.clone();
        policy.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({"policy": policy})
    };
    let post = |url: &str, change: Value, status, code, words: &[&str]| {
        Case::new("POST", url, but(change), status, code, words)
    };
    let wrong = "11111111-1111-1111-1111-111111111111";
    vec![
        post(
            &url,
            json!({"secondary_fa_api_token": wrong}),
            409,
            "array.error",
            &["secondary array", &b.array_url, "API token"],
        ),
        post(
            &second,
            json!({"primary_fa_api_token": wrong}),
            409,
            "array.error",
            &["primary array", &a.array_url, "API token"],
        ),
        post(
            &url,
            json!({"secondary_fa_url": "https://127.0.0.1:9"}),
            409,
            "array.error",
            &["secondary array", "https://127.0.0.1:9", "address"],
        ),
        post(
            &url,
            json!({"replication_interval": 299}),
            400,
            VALUE,
            &["replication_interval", "300"],
        ),
        post(&url, json!({"replication_interval": "5m"}), 400, VALUE, &["replication_interval"]),
        post(&url, json!({"rpo_minutes": 0}), 400, VALUE, &["rpo_minutes", "1"]),
        post(
            &url,
            json!({"secondary_fa_url": a.array_url}),
            400,
            VALUE,
            &["secondary_fa_url", "another array"],
        ),
        post(
            &url,
            json!({"secondary_fa_url": "array-b"}),
            400,
            VALUE,
            &["secondary_fa_url", "URL"],
        ),
        post(&url, json!({"primary_token": "x"}), 400, UNKNOWN, &["primary_token"]),
        post(
            &second,
            json!({"secondary_fa_api_token": null}),
            400,
            VALUE,
            &["secondary_fa_api_token", "needed"],
        ),
    ]
}

/// Servers that cannot be protected, and names that are taken twice.
pub async fn furnish(t: &Theatre) {
    let cloud = t.stage.world.cloud(0);
    let url = format!("{}/compute/v2.1", t.stage.sites[0].cloud_url);
    let seed = |id: &str, disk| FlavorSeed {
        id: id.into(),
        name: id.into(),
        vcpus: 1,
        ram: 512,
        disk,
        extra_specs: Default::default(),
    };
    cloud.add_flavor(seed("with-disk", 10));
    let admin = t.stage.admin(0).await.unwrap();
    let flavor = json!({"flavor": {"id": "with-ephemeral", "name": "with-ephemeral", "vcpus": 1, "ram": 512, "disk": 0, "OS-FLV-EXT-DATA:ephemeral": 5, "swap": 512}});
    admin.post(&format!("{url}/flavors"), &flavor).await.unwrap();
    let image =
        t.tenants[0].get(&format!("{}/image/v2/images", t.stage.sites[0].cloud_url)).await.unwrap();
    let image = text(&image, "/images/0/id").unwrap();
    let make = async |name: &str, flavor: &str, source: Value| {
        let mut server = json!({"name": name, "flavorRef": flavor, "networks": "none"});
        server.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        let made =
            t.tenants[0].post(&format!("{url}/servers"), &json!({"server": server})).await.unwrap();
        let id = text(&made, "/server/id").unwrap();
        tenant::await_status(&t.stage, &t.tenants[0], 0, &id, "ACTIVE").await.unwrap();
    };
    let root = |volume: String| json!({"block_device_mapping_v2": [{"uuid": volume, "source_type": "volume", "destination_type": "volume", "boot_index": 0}]});
    make("odd-type", "m1.large-id", root(add_volume(t, "odd-type-root", "plain"))).await;
    make("odd-image", "with-disk", json!({"imageRef": image})).await;
    make(
        "odd-ephemeral",
        "with-ephemeral",
        root(add_volume(t, "odd-ephemeral-root", "replicated")),
    )
    .await;
    make("twin", "m1.large-id", root(add_volume(t, "twin-1-root", "replicated"))).await;
    make("twin", "m1.large-id", root(add_volume(t, "twin-2-root", "replicated"))).await;
    for _ in 0..2 {
        let url = format!("{}/network/v2.0/networks", t.stage.sites[1].cloud_url);
        t.tenants[1].post(&url, &json!({"network": {"name": "twin-net"}})).await.unwrap();
    }
}

pub fn add_volume(t: &Theatre, name: &str, volume_type: &str) -> String {
    let cloud = t.stage.world.cloud(0);
    let user_id = cloud.lock().keystone.user_named("app-user", "default").unwrap().id.clone();
    let seed = VolumeSeed {
        name: name.into(),
        size: 5,
        volume_type: Some(volume_type.into()),
        project_id: t.protected.projects[0].clone(),
        user_id,
        bootable: true,
    };
    cloud.add_volume(seed).unwrap()
}
