"""What goes wrong is told in words: what happened and what to do; never a traceback, never a secret."""

import pytest
from demo_world import running_demo

LIST = "openstack protector protection-group list"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


def refused(demo, script, cloud="site-a", **variables):
    """What a command that fails says."""
    done = demo.run(script, cloud, **variables)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_protector_that_does_not_answer(demo):
    said = refused(demo, LIST, OS_PROTECTOR_ENDPOINT="http://127.0.0.1:1")
    assert "Protector at http://127.0.0.1:1 does not answer" in said
    assert "--os-cloud <the other site>" in said


def test_a_keystone_that_does_not_answer(demo):
    said = refused(demo, f"unset OS_CLOUD; {LIST}", **password_login("http://127.0.0.1:1/v3"))
    assert "does not answer" in said
    assert "Next: check the network" in said


def password_login(auth_url, **changes):
    login = {
        "OS_AUTH_URL": auth_url,
        "OS_USERNAME": "app-user",
        "OS_PASSWORD": "app-password",
        "OS_PROJECT_NAME": "app",
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
    }
    return {**login, **changes}


def test_no_cloud_at_all(demo):
    assert "OS_CLOUD or --os-cloud" in refused(demo, f"unset OS_CLOUD OS_CLIENT_CONFIG_FILE; cd /; {LIST}")


def test_a_cloud_that_is_not_there(demo):
    assert "no-such-cloud" in refused(demo, LIST, "no-such-cloud")


def test_a_project_in_which_the_user_has_no_role(demo):
    said = refused(demo, f"openstack --os-project-name service {LIST.removeprefix('openstack')}")
    assert "the user has no role in the project" in said


def test_a_wrong_password(demo):
    login = password_login(demo["SITE_A_AUTH_URL"], OS_PASSWORD="wrong-p4ss")
    said = refused(demo, f"unset OS_CLOUD; {LIST}", **login)
    assert "Keystone does not accept these credentials" in said
    assert "Next:" in said
    assert "wrong-p4ss" not in said


def test_an_expired_token(demo):
    connection = demo.connection()
    token = connection.auth_token
    revoked = connection.identity.delete("/auth/tokens", headers={"X-Subject-Token": token})
    assert revoked.status_code == 204, revoked.text
    login = {"OS_AUTH_TYPE": "token", "OS_TOKEN": token, "OS_AUTH_URL": demo["SITE_A_AUTH_URL"]}
    said = refused(demo, f"unset OS_CLOUD; {LIST}", **login, OS_PROJECT_NAME="app", OS_PROJECT_DOMAIN_NAME="Default")
    assert "expired" in said
    assert "get a new token" in said
    assert token not in said


def test_a_group_of_another_project(demo):
    said = refused(demo, f"openstack protector protection-group show {demo['PG_ID']}", "site-a-admin")
    assert "in project " in said
    assert "OS_PROJECT_NAME" in said


def test_a_misspelt_name_gets_the_names_there_are(demo):
    said = refused(demo, "openstack protector protection-group show prod-web-ap")
    assert "No protection group of this project has the id or name 'prod-web-ap'; there are: prod-web-app" in said


def test_what_only_administrators_may(demo):
    said = refused(demo, "openstack protector site list")
    assert "protector:sites:index" in said
    assert "ask an administrator" in said


def test_a_mapping_that_cannot_be_is_refused_with_every_reason(demo):
    said = refused(
        demo,
        "openstack protector protection-group failover prod-web-app --network-mapping no-such-net=other "
        "--flavor-mapping no-such-flavor=m2.large",
    )
    assert "no-such-net" in said
    assert "no-such-flavor" in said
    assert demo.protector().get_protection_group(demo["PG_ID"]).status == "active"


def test_arguments_are_looked_at_before_anything_is_asked(demo):
    # No cloud at all, and still the mistake is told.
    done = demo.run("unset OS_CLOUD OS_CLIENT_CONFIG_FILE; openstack protector protection-group failover g --type soft")
    assert done.returncode == 2
    assert "argument --type: invalid choice" in done.stderr


def test_a_version_that_the_service_does_not_speak(demo):
    said = refused(demo, f"{LIST} --os-protector-api-version 1.99")
    assert "1.0" in said
    assert "--os-protector-api-version" in said


def test_older_versions_of_the_api_can_be_asked_for(demo):
    done = demo.run("openstack --os-protector-api-version 1.1 protector member list prod-web-app -f value -c Name")
    assert done.stdout.split() == ["db-1", "web-1", "web-2"], done.stderr


def test_debug_shows_requests_and_no_secrets(demo):
    token = "s3cret-array-token"
    done = demo.run(
        "openstack --debug protector policy set prod-web-app --rpo-minutes 20",
        PROTECTOR_PRIMARY_FA_API_TOKEN=token,
    )
    assert done.returncode == 1, "the array does not know this token"
    assert "/policy" in done.stderr
    assert "POST" in done.stderr
    assert '"primary_fa_api_token": "***"' in done.stderr
    for secret in (token, "app-password"):
        assert secret not in done.stderr


def test_a_token_on_the_command_line_is_not_logged_either(demo):
    done = demo.run(
        "openstack --debug protector policy set prod-web-app --rpo-minutes 20 --secondary-fa-api-token s3cret-too"
    )
    assert done.returncode == 1
    assert "s3cret-too" not in done.stderr
