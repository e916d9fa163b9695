//! Neutron and Glance.

use protector_ports::{Cloud as _, NewPort, PortAddress, PortFilter};
use protector_sim::{
    cloud::Service,
    faults::{Effect, Rule},
};
use serde_json::json;

use crate::{common::permit, lab::*};

#[tokio::test]
async fn networks_subnets_groups_and_images_of_the_project() {
    let lab = lab().await;
    let networking = lab.app.networking();
    let networks = networking.networks().await.unwrap();
    let names: Vec<_> = networks.iter().map(|n| n.name.as_str()).collect();
    assert!(
        names.contains(&"app-net")
            && names.contains(&"shared-net")
            && !names.contains(&"other-net"),
        "{names:?}"
    );
    assert!(networks.iter().any(|n| n.name == "shared-net" && n.shared));
    assert!(networks.iter().any(|n| n.name == "app-net" && n.project_id == lab.project.as_str()));
    let own: Vec<_> =
        lab.own.networking().networks().await.unwrap().into_iter().map(|n| n.name).collect();
    assert_eq!(own, ["shared-net"], "an administrator sees more, and uses no more");

    let network = lab.network("app-net").await;
    let subnets = networking.subnets().await.unwrap();
    assert!(
        subnets.iter().any(|s| s.network_id == network && s.cidr == "10.10.0.0/24"),
        "{subnets:?}"
    );
    let groups = networking.security_groups().await.unwrap();
    assert!(groups.iter().any(|g| g.name == "default" && !g.rules.is_empty()), "{groups:?}");
    let images = lab.app.image().images().await.unwrap();
    assert!(
        images.iter().any(|image| image.name == "cirros" && !image.id.is_empty()),
        "{images:?}"
    );
}

#[tokio::test]
async fn a_port_keeps_its_addresses_and_goes_for_good() {
    let lab = lab().await;
    let networking = lab.app.networking();
    let network_id = lab.network("app-net").await;
    let subnet = networking
        .subnets()
        .await
        .unwrap()
        .into_iter()
        .find(|s| s.network_id == network_id)
        .unwrap();
    let group = networking.security_groups().await.unwrap().remove(0);
    let new = NewPort {
        name: "protector-op-1".into(),
        network_id: network_id.clone(),
        mac_address: Some("fa:16:3e:00:00:01".into()),
        fixed_ips: vec![PortAddress {
            subnet_id: subnet.id.clone(),
            ip_address: Some("10.10.0.77".into()),
        }],
        security_groups: Some(vec![group.id.clone()]),
        port_security_enabled: Some(true),
        allowed_address_pairs: Some(json!([{"ip_address": "10.10.0.200"}])),
        vnic_type: Some("normal".into()),
    };
    let port = networking.create_port(&new).await.unwrap();
    assert_eq!(
        (port.mac_address.as_str(), port.name.as_str()),
        ("fa:16:3e:00:00:01", "protector-op-1")
    );
    assert_eq!(port.fixed_ips, new.fixed_ips);
    assert_eq!(port.security_groups, [group.id]);
    assert_eq!(port.allowed_address_pairs[0]["ip_address"], "10.10.0.200");
    assert_eq!(networking.port(&port.id).await.unwrap(), port);

    let by_name = PortFilter { name: Some("protector-op-1".into()), ..PortFilter::default() };
    assert_eq!(networking.ports(&by_name).await.unwrap(), std::slice::from_ref(&port));
    let elsewhere = PortFilter { network_id: Some(NO_ID.into()), ..by_name.clone() };
    assert!(networking.ports(&elsewhere).await.unwrap().is_empty());
    let foreign = PortFilter { device_id: Some(NO_ID.into()), ..PortFilter::default() };
    assert!(networking.ports(&foreign).await.unwrap().is_empty());

    assert!(
        is_conflict(networking.create_port(&NewPort { mac_address: None, ..new.clone() }).await),
        "address taken"
    );
    assert!(
        is_conflict(networking.create_port(&NewPort { fixed_ips: vec![], ..new.clone() }).await),
        "MAC taken"
    );
    let outside = NewPort {
        mac_address: None,
        fixed_ips: vec![PortAddress {
            subnet_id: subnet.id,
            ip_address: Some("172.16.0.1".into()),
        }],
        ..new.clone()
    };
    assert!(is_invalid(networking.create_port(&outside).await), "address not of the subnet");
    let nowhere = NewPort { network_id: NO_ID.into(), ..NewPort::default() };
    assert!(is_absent(networking.create_port(&nowhere).await));

    networking.delete_port(&port.id, &permit()).await.unwrap();
    networking.delete_port(&port.id, &permit()).await.unwrap();
    assert!(is_absent(networking.port(&port.id).await));
}

#[tokio::test]
async fn on_a_shared_network_a_member_may_not_choose_addresses() {
    let lab = lab().await;
    let network_id = lab.network("shared-net").await;
    let any = NewPort { name: "any".into(), network_id, ..NewPort::default() };
    assert!(lab.app.networking().create_port(&any).await.is_ok());
    let mac = NewPort { mac_address: Some("fa:16:3e:00:00:02".into()), ..any.clone() };
    assert!(is_denied(lab.app.networking().create_port(&mac).await));
    let ip = PortAddress { subnet_id: String::new(), ip_address: Some("192.168.100.50".into()) };
    assert!(is_denied(
        lab.app.networking().create_port(&NewPort { fixed_ips: vec![ip], ..any }).await
    ));
}

#[tokio::test]
async fn the_quota_of_ports_counts_and_refuses() {
    let lab = lab().await;
    let before = lab.app.networking().quota().await.unwrap().ports;
    lab.port("one").await;
    let after = lab.app.networking().quota().await.unwrap().ports;
    assert_eq!(after.used, before.used + 1);
    lab.cloud().lock().quotas.set(
        Service::Neutron,
        lab.project.as_str(),
        "port",
        after.used as i64,
    );
    assert_eq!(lab.app.networking().quota().await.unwrap().ports.free(), Some(0));
    let new = NewPort {
        name: "two".into(),
        network_id: lab.network("app-net").await,
        ..NewPort::default()
    };
    assert!(is_invalid(lab.app.networking().create_port(&new).await), "a repeat cannot help");
    lab.cloud().lock().quotas.set(Service::Neutron, lab.project.as_str(), "port", -1);
    assert_eq!(lab.app.networking().quota().await.unwrap().ports.free(), None);
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_the_port_is_found_by_name() {
    let lab = lab().await;
    let network_id = lab.network("app-net").await;
    let rule =
        Rule::new(Effect::TimeoutAfter { hang_ms: 5 }).service("network").method("POST").times(1);
    lab.world.faults().add(rule);
    let new = NewPort { name: "marker".into(), network_id, ..NewPort::default() };
    assert!(is_unknown(lab.app.networking().create_port(&new).await));
    let filter = PortFilter { name: Some("marker".into()), ..PortFilter::default() };
    assert_eq!(lab.app.networking().ports(&filter).await.unwrap().len(), 1);
}
