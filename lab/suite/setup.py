"""From two empty Protectors to a protected application, as an administrator and then a tenant do it."""
import json
import os

from checks import say
from labsite import SECRETS, run, VENV


def admin_cli(site, *words):
    return run([VENV + "/bin/openstack", "--os-cloud", site.name + "-admin", "protector", *words],
               env=dict(os.environ, PROTECTOR_SITE_PASSWORD=SECRETS["PROTECTOR_PW"]))


def sites(c, a, b):
    """Both sites registered at a, validated at both, the tenant mapped. Repeats nothing that is there."""
    c.begin("sites and tenant mapping")
    known = {s["Name"]: s for s in json.loads(admin_cli(a, "site", "list", "-f", "json"))}
    for site in (a, b):
        if site.name not in known:
            auth = site.tenant.config.config["auth"]["auth_url"]
            admin_cli(a, "site", "create", site.name, "--auth-url", auth, "--region-name",
                      "Region" + site.letter.upper(), "--protector-url", site.protector,
                      "--username", "protector", "--project-name", "service",
                      *(["--local"] if site is a else []))
    for at in (a, b):
        for name in (a.name, b.name):
            code, text = 0, ""
            try:
                text = admin_cli(at, "site", "validate", name)
            except Exception as error:
                code, text = 1, str(error)
            c.that(code == 0, "%s validates %s" % (at.name, name), text)
    if not json.loads(admin_cli(a, "tenant-mapping", "list", "-f", "json")):
        admin_cli(a, "tenant-mapping", "create", "--primary-site", a.name, "--primary-project", "app",
                  "--secondary-site", b.name, "--secondary-project", "app")
    for at in (a, b):
        c.equal(len(json.loads(admin_cli(at, "tenant-mapping", "list", "-f", "json"))), 1,
                "tenant mappings at " + at.name)


def group(site, peer, name, members):
    """A group at `site` with its policy and members; its id."""
    pg = next((g["ID"] for g in json.loads(site.cli("protection-group", "list", "-f", "json"))
               if g["Name"] == name), None)
    if pg:
        return pg
    pg = json.loads(site.cli("protection-group", "create", name, "-f", "json"))["id"]
    os.environ["PROTECTOR_PRIMARY_FA_API_TOKEN"] = site.array_token
    os.environ["PROTECTOR_SECONDARY_FA_API_TOKEN"] = peer.array_token
    site.cli("policy", "set", pg, "--primary-fa-url", "https://" + site.array_at,
             "--secondary-fa-url", "https://" + peer.array_at,
             "--replication-interval", "300", "--rpo-minutes", "15")
    for server in members:
        site.cli("member", "add", pg, server)
    say("   group", name, pg)
    return pg
