"""Unpatched keystoneauth1, openstacksdk and python-openstackclient against the simulated
Keystone, Neutron and Glance."""

import uuid

import openstack.exceptions
import pytest
from keystoneauth1 import discover, session
from keystoneauth1 import exceptions as ka
from keystoneauth1.identity import v3


def unique(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def password(site, user, **scope):
    account = site.account(user)
    if scope:
        account.pop("project_name")
        account.pop("project_domain_name")
    return v3.Password(**account, **scope)


# --- Keystone -----------------------------------------------------------------------------------


def test_discovery(site_a):
    plain = session.Session()
    found = discover.Discover(plain, f"{site_a.url}/identity")
    assert found.url_for("3").rstrip("/") == site_a.auth_url
    found = discover.Discover(plain, f"{site_a.url}/identity/")
    assert found.version_data()[0]["status"] == "CURRENT"


@pytest.mark.parametrize(
    "service, path",
    [
        ("identity", "/identity/v3"),
        ("compute", "/compute/v2.1"),
        ("block-storage", "/volume/v3"),
        ("volumev3", "/volume/v3"),
        ("network", "/network/v2.0"),
        ("image", "/image/v2"),
    ],
)
def test_every_service_is_found_by_version_discovery(site_a, service, path):
    login = session.Session(auth=password(site_a, "app-user", project_name="app", project_domain_name="Default"))
    version = path.rsplit("/v", 1)[1].split(".")[0]
    data = login.get_endpoint_data(
        service_type=service, region_name=site_a.region, min_version=version, max_version=f"{version}.latest"
    )
    assert data is not None, service
    assert data.url.startswith(site_a.url + path), data.url


def test_catalog_by_interface_and_region(site_a):
    login = session.Session(auth=v3.Password(**site_a.account("app-user")))
    for interface in ("public", "internal", "admin"):
        url = login.get_endpoint(service_type="network", interface=interface, region_name=site_a.region)
        assert url.startswith(f"{site_a.url}/network")
    with pytest.raises(ka.EndpointNotFound):
        login.get_endpoint(service_type="network", region_name="elsewhere")


def test_wrong_password(site_a):
    account = {**site_a.account("app-user"), "password": "wrong"}
    with pytest.raises(ka.Unauthorized):
        session.Session(auth=v3.Password(**account)).get_token()


def test_unscoped_then_rescoped(site_a):
    account = site_a.account("app-user")
    unscoped = session.Session(auth=password(site_a, "app-user", unscoped=True))
    token = unscoped.get_token()
    assert unscoped.get_project_id() is None
    again = session.Session(
        auth=v3.Token(auth_url=site_a.auth_url, token=token, project_name=account["project_name"], project_domain_id="default")
    )
    assert again.get_project_id()
    with pytest.raises(ka.Unauthorized):
        session.Session(
            auth=v3.Token(auth_url=site_a.auth_url, token=token, project_name="other", project_domain_id="default")
        ).get_token()


def test_domain_scope(site_a):
    login = session.Session(auth=password(site_a, "admin", domain_name="Default"))
    assert login.auth.get_access(login).domain_id == "default"


def test_trust_and_application_credential(site_a, site_b):
    app = session.Session(auth=v3.Password(**site_a.account("app-user")))
    service = session.Session(auth=v3.Password(**site_a.account("protector")))
    trusts = f"{site_a.auth_url}/OS-TRUST/trusts"
    body = {
        "trust": {
            "trustor_user_id": app.get_user_id(),
            "trustee_user_id": service.get_user_id(),
            "project_id": app.get_project_id(),
            "impersonation": True,
            "roles": [{"name": "member"}],
        }
    }
    trust = app.post(trusts, json=body).json()["trust"]
    account = site_a.account("protector")
    trusted = session.Session(
        auth=v3.Password(
            auth_url=account["auth_url"],
            username="protector",
            password=account["password"],
            user_domain_name="Default",
            trust_id=trust["id"],
        )
    )
    assert trusted.get_user_id() == app.get_user_id()
    assert trusted.get_project_id() == app.get_project_id()
    assert trusted.auth.get_access(trusted).trust_id == trust["id"]

    path = f"{site_a.auth_url}/users/{app.get_user_id()}/application_credentials"
    with pytest.raises(ka.Forbidden):
        trusted.post(path, json={"application_credential": {"name": "x"}})
    made = app.post(path, json={"application_credential": {"name": unique("ci")}}).json()["application_credential"]
    credential = session.Session(
        auth=v3.ApplicationCredential(
            auth_url=site_a.auth_url,
            application_credential_id=made["id"],
            application_credential_secret=made["secret"],
        )
    )
    assert credential.get_project_id() == app.get_project_id()
    with pytest.raises(ka.Forbidden):
        credential.post(trusts, json=body)
    with pytest.raises(ka.Forbidden):
        credential.get(f"{trusts}/{trust['id']}")
    app.delete(f"{trusts}/{trust['id']}")
    fresh = v3.Password(
        auth_url=account["auth_url"],
        username="protector",
        password=account["password"],
        user_domain_name="Default",
        trust_id=trust["id"],
    )
    with pytest.raises(ka.Unauthorized):
        session.Session(auth=fresh).get_token()
    app.delete(f"{path}/{made['id']}")
    with pytest.raises(ka.Unauthorized):
        credential.invalidate()
        credential.get_token()


def test_a_token_of_one_site_is_nothing_at_the_other(site_a, site_b):
    token = session.Session(auth=v3.Password(**site_a.account("app-user"))).get_token()
    there = session.Session(auth=v3.Token(auth_url=site_b.auth_url, token=token))
    with pytest.raises(ka.Unauthorized):
        there.get_token()


def test_sdk_identity(admin):
    user = admin.identity.create_user(name=unique("user"), password="x", domain_id="default", description="d")
    project = admin.identity.create_project(name=unique("project"), domain_id="default")
    role = admin.identity.find_role("member")
    admin.identity.assign_project_role_to_user(project, user, role)
    assert admin.identity.validate_user_has_project_role(project, user, role)
    held = list(admin.identity.role_assignments(user_id=user.id, scope_project_id=project.id, include_names=True))
    assert [h.role["name"] for h in held] == ["member"]
    assert admin.identity.find_project(project.name, domain_id="default").id == project.id
    assert [u.id for u in admin.identity.users(name=user.name)] == [user.id]
    admin.identity.update_user(user, is_enabled=False)
    assert admin.identity.get_user(user.id).is_enabled is False
    admin.identity.unassign_project_role_from_user(project, user, role)
    assert not admin.identity.validate_user_has_project_role(project, user, role)
    admin.identity.delete_user(user)
    admin.identity.delete_project(project)
    with pytest.raises(openstack.exceptions.NotFoundException):
        admin.identity.get_user(user.id)


def test_sdk_identity_is_closed_to_tenants(app):
    with pytest.raises(openstack.exceptions.ForbiddenException):
        list(app.identity.users())


def test_cli_identity(site_a):
    def run(*words):
        return site_a.openstack("admin", *words, "-f", "json")

    assert run("token", "issue")["project_id"]
    assert {"admin", "service", "app", "other"} <= {p["Name"] for p in run("project", "list")}
    assert {"member", "service", "protector"} <= {r["Name"] for r in run("role", "list")}
    kinds = {s["Type"] for s in run("service", "list")}
    assert {"identity", "compute", "volumev3", "network", "image"} <= kinds
    service = run("service", "create", "--name", unique("protector"), "disaster-recovery")
    run("endpoint", "create", "--region", site_a.region, service["id"], "public", "http://127.0.0.1:9/v1")
    assert "disaster-recovery" in {e["Service Type"] for e in run("endpoint", "list")}
    assert "disaster-recovery" in {c["Type"] for c in run("catalog", "list")}
    site_a.openstack("admin", "service", "delete", service["id"])
    name = unique("user")
    run("user", "create", "--password", "x", "--project", "app", name)
    site_a.openstack("admin", "role", "add", "--project", "app", "--user", name, "member")
    rows = run("role", "assignment", "list", "--user", name, "--names")
    assert rows[0]["Role"] == "member" and rows[0]["Project"].startswith("app@")
    effective = run("role", "assignment", "list", "--user", name, "--effective", "--names")
    assert {r["Role"] for r in effective} == {"member", "reader"}
    site_a.openstack("admin", "role", "remove", "--project", "app", "--user", name, "member")
    site_a.openstack("admin", "user", "set", "--disable", name)
    site_a.openstack("admin", "user", "delete", name)
    assert "403" in site_a.openstack("app-user", "user", "list", ok=False)


def test_cli_trust_and_application_credential(site_a):
    run = lambda user, *words: site_a.openstack(user, *words, "-f", "json")  # noqa: E731
    app = run("app-user", "token", "issue")
    service = run("protector", "token", "issue")
    trust = run(
        "app-user", "trust", "create", "--impersonate", "--project", app["project_id"], "--role", "member", app["user_id"], service["user_id"]
    )
    assert trust["is_impersonation"] is True
    assert run("app-user", "trust", "show", trust["id"])["trustee_user_id"] == service["user_id"]
    assert trust["id"] in {t["ID"] for t in run("admin", "trust", "list")}
    site_a.openstack("app-user", "trust", "delete", trust["id"])
    name = unique("cred")
    made = run("app-user", "application", "credential", "create", name, "--role", "member")
    assert made["Secret"]
    assert name in {c["Name"] for c in run("app-user", "application", "credential", "list")}
    site_a.openstack("app-user", "application", "credential", "delete", name)


# --- Neutron ------------------------------------------------------------------------------------


@pytest.fixture
def net(app):
    return app.network.find_network("app-net")


def test_sdk_networks(app):
    network = app.network.create_network(name=unique("net"), description="d")
    subnet = app.network.create_subnet(
        network_id=network.id, cidr="10.77.0.0/28", ip_version=4, name=unique("sub"), enable_dhcp=False
    )
    assert subnet.gateway_ip == "10.77.0.1"
    assert subnet.allocation_pools == [{"start": "10.77.0.2", "end": "10.77.0.14"}]
    assert app.network.get_network(network.id).subnet_ids == [subnet.id]
    with pytest.raises(openstack.exceptions.BadRequestException):
        app.network.create_subnet(network_id=network.id, cidr="10.77.0.0/24", ip_version=4)
    app.network.set_tags(network, ["blue", "green"])
    assert [n.id for n in app.network.networks(tags="blue")] == [network.id]
    app.network.update_network(network, name="renamed")
    assert app.network.find_network("renamed").id == network.id
    app.network.delete_subnet(subnet)
    app.network.delete_network(network)
    assert app.network.find_network(network.id) is None


def test_sdk_ports(app, net):
    port = app.network.create_port(
        network_id=net.id, name=unique("port"), mac_address="fa:16:3e:aa:bb:01", fixed_ips=[{"ip_address": "10.10.0.99"}]
    )
    assert port.fixed_ips[0]["ip_address"] == "10.10.0.99"
    assert port.is_port_security_enabled and len(port.security_group_ids) == 1
    with pytest.raises(openstack.exceptions.ConflictException) as error:
        app.network.create_port(network_id=net.id, fixed_ips=[{"ip_address": "10.10.0.99"}])
    assert "in use" in str(error.value)
    with pytest.raises(openstack.exceptions.ConflictException):
        app.network.create_port(network_id=net.id, mac_address="fa:16:3e:aa:bb:01")
    with pytest.raises(openstack.exceptions.BadRequestException):
        app.network.create_port(network_id=net.id, fixed_ips=[{"ip_address": "10.99.0.1"}])
    app.network.set_tags(port, ["protector"])
    assert app.network.get_port(port.id).tags == ["protector"]
    found = list(app.network.ports(fixed_ips="ip_address=10.10.0.99", network_id=net.id))
    assert [p.id for p in found] == [port.id]
    app.network.update_port(port, port_security_enabled=False, security_groups=[])
    assert app.network.get_port(port.id).security_group_ids == []
    app.network.delete_port(port)


def test_sdk_pages_through_ports(app, net):
    made = {app.network.create_port(network_id=net.id, name="paged").id for _ in range(5)}
    assert {p.id for p in app.network.ports(name="paged", limit=2)} == made
    for port in made:
        app.network.delete_port(port)


def test_shared_networks_keep_their_addresses(app, admin):
    shared = app.network.find_network("shared-net")
    with pytest.raises(openstack.exceptions.ForbiddenException):
        app.network.create_port(network_id=shared.id, mac_address="fa:16:3e:aa:bb:02")
    port = app.network.create_port(network_id=shared.id)
    app.network.delete_port(port)
    port = admin.network.create_port(network_id=shared.id, mac_address="fa:16:3e:aa:bb:02", binding_host_id="c1")
    assert port.binding_vif_type == "ovs"
    admin.network.delete_port(port)


def test_sdk_security_groups(app):
    group = app.network.create_security_group(name=unique("sg"))
    assert len(group.security_group_rules) == 2
    rule = app.network.create_security_group_rule(
        security_group_id=group.id, direction="ingress", protocol="tcp", port_range_min=22, port_range_max=22, remote_group_id=group.id
    )
    with pytest.raises(openstack.exceptions.ConflictException):
        app.network.create_security_group_rule(
            security_group_id=group.id, direction="ingress", protocol="tcp", port_range_min=22, port_range_max=22, remote_group_id=group.id
        )
    rules = list(app.network.security_group_rules(security_group_id=group.id))
    assert rule.id in {r.id for r in rules} and len(rules) == 3
    app.network.delete_security_group_rule(rule)
    app.network.delete_security_group(group)
    assert app.network.find_security_group("default")


def test_sdk_quotas(app, admin):
    project = app.session.get_project_id()
    quota = app.network.get_quota(project, details=True)
    assert quota.ports["limit"] == 500
    admin.network.update_quota(project, ports=0)
    try:
        with pytest.raises(openstack.exceptions.ConflictException) as error:
            app.network.create_port(network_id=app.network.find_network("app-net").id)
        assert "Quota exceeded" in str(error.value)
    finally:
        admin.network.delete_quota(project)
    assert app.network.get_quota(project).ports == 500
    assert app.network.find_extension("port-security")


def test_cli_network(site_a):
    run = lambda *words: site_a.openstack("app-user", *words, "-f", "json")  # noqa: E731
    assert {"app-net", "shared-net"} <= {n["Name"] for n in run("network", "list")}
    name = unique("port")
    port = run("port", "create", "--network", "app-net", "--fixed-ip", "ip-address=10.10.0.123", "--tag", "t1", name)
    assert port["fixed_ips"][0]["ip_address"] == "10.10.0.123" and port["tags"] == ["t1"]
    assert run("port", "list", "--tags", "t1")[0]["Name"] == name
    assert run("port", "show", name)["status"] == "DOWN"
    site_a.openstack("app-user", "port", "set", "--name", f"{name}-2", name)
    site_a.openstack("app-user", "port", "delete", f"{name}-2")
    group = unique("sg")
    run("security", "group", "create", group)
    run("security", "group", "rule", "create", "--protocol", "icmp", "--ingress", group)
    assert len(run("security", "group", "rule", "list", group)) == 3
    site_a.openstack("app-user", "security", "group", "delete", group)
    assert run("subnet", "list")
    assert run("network", "show", "app-net")["name"] == "app-net"
    assert run("extension", "list", "--network")
    assert "already" in site_a.openstack(
        "app-user", "security", "group", "create", "default", ok=False
    )


# --- Glance -------------------------------------------------------------------------------------


def test_sdk_images(app):
    image = app.image.create_image(
        name=unique("image"), disk_format="raw", container_format="bare", data=b"hello", hw_firmware_type="uefi", wait=True
    )
    image = app.image.get_image(image.id)
    assert image.status == "active" and image.size == 5
    assert image.properties["hw_firmware_type"] == "uefi"
    assert app.image.download_image(image, stream=False).content == b"hello"
    app.image.update_image(image, name="renamed", os_type="linux")
    assert app.image.get_image(image.id).to_dict()["os_type"] == "linux"
    assert image.id in {i.id for i in app.image.images()}
    app.image.add_tag(image, "blue")
    assert [i.id for i in app.image.images(tag="blue")] == [image.id]
    with pytest.raises(openstack.exceptions.ForbiddenException):
        app.image.update_image(image.id, visibility="public")
    app.image.delete_image(image)
    with pytest.raises(openstack.exceptions.NotFoundException):
        app.image.get_image(image.id)


def test_cli_images(site_a, tmp_path):
    run = lambda *words: site_a.openstack("app-user", *words, "-f", "json")  # noqa: E731
    assert "cirros" in {i["Name"] for i in run("image", "list")}
    data = tmp_path / "image.raw"
    data.write_bytes(b"x" * 1000)
    name = unique("image")
    run("image", "create", "--file", str(data), "--property", "hw_disk_bus=scsi", name)
    shown = run("image", "show", name)
    assert shown["status"] == "active" and shown["size"] == 1000
    assert shown["properties"]["hw_disk_bus"] == "scsi"
    site_a.openstack("app-user", "image", "set", "--property", "os_type=linux", name)
    site_a.openstack("app-user", "image", "delete", name)


# --- The tests' own door ------------------------------------------------------------------------


def test_faults_over_http(site_a):
    plain = session.Session()
    rule = {"service": "network", "path": "/networks", "effect": {"kind": "status", "code": 503, "retry_after": 1}}
    made = plain.post(f"{site_a.url}/_sim/faults", json={**rule, "times": 1}).json()
    login = session.Session(auth=v3.Password(**site_a.account("app-user")))
    networks = f"{site_a.url}/network/v2.0/networks"
    with pytest.raises(ka.ServiceUnavailable):
        login.get(networks)
    assert login.get(networks).status_code == 200
    plain.delete(f"{site_a.url}/_sim/faults?id={made['ids'][0]}")
    made = plain.post(f"{site_a.url}/_sim/faults", json={"path": "/networks", "effect": {"kind": "refuse"}}).json()
    with pytest.raises(ka.ConnectFailure):
        login.get(networks)
    plain.delete(f"{site_a.url}/_sim/faults?id={made['ids'][0]}")
    plain.post(f"{site_a.url}/_sim/partition", json={"mode": "refuse"})
    with pytest.raises(ka.ConnectFailure):
        login.get(networks)
    plain.delete(f"{site_a.url}/_sim/partition")
    assert login.get(networks).status_code == 200
    dump = plain.get(f"{site_a.url}/_sim/dump").json()
    assert dump["name"] == "site-a" and {"identity", "compute", "volume", "network", "image"} <= dump.keys()
