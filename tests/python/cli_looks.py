"""What only looks: every such command of `openstack protector`, as a table for people and as JSON for programs."""

import json

from demo_world import MAPPINGS

ADMIN = "site-a-admin"
# Cloud, command, and fields or headings that a program relies on.
LOOKS = [
    (ADMIN, "site list", ["ID", "Name", "Status", "Region", "Local"]),
    (ADMIN, "site show site-b", ["id", "name", "status", "auth_url", "protector_url"]),
    (ADMIN, "site validate site-b", ["Check", "OK", "Seen", "To Do"]),
    (ADMIN, "site volume-type list site-a", ["ID", "Name", "Extra Specs"]),
    (ADMIN, "tenant-mapping list", ["ID", "Primary Site", "Secondary Project"]),
    ("site-a", "protection-group list", ["ID", "Name", "Status", "Version"]),
    ("site-a", "protection-group show prod-web-app", ["id", "status", "network_mapping", "epoch"]),
    ("site-a", "protection-group health prod-web-app", ["failover_ready", "reasons", "rpo_compliant"]),
    ("site-a", "protection-group sync-status prod-web-app", ["status", "local_version", "remote_version"]),
    ("site-a", "protection-group recovery-point list prod-web-app", ["Name", "Data As Of", "Progress", "Volumes"]),
    ("site-a", "protection-group plan prod-web-app {mappings}", ["operation_type", "members", "steps", "hash"]),
    ("site-a", "protection-group failover prod-web-app --plan-only {mappings}", ["target_site", "stages", "hash"]),
    ("site-a", "consistency-group show prod-web-app", ["name", "arrays", "volumes", "newest_recovery_point"]),
    ("site-a", "member list prod-web-app", ["ID", "Name", "Server", "Flavor"]),
    ("site-a", "member show prod-web-app web-1", ["server_id", "flavor", "ports", "volumes"]),
    ("site-a", "policy show prod-web-app", ["primary_fa_url", "primary_fa_api_token", "retention"]),
    ("site-a", "operation list", ["ID", "Type", "Status", "Progress"]),
    ("site-a", "health show", ["status", "protector-api", "protector-engine"]),
    ("site-a", "health show prod-web-app", ["failover_ready"]),
]


def look(demo):
    """What every look says, by command: the table of `openstack protector`, and the JSON of its alias `openstack dr`."""
    said = {}
    for cloud in (ADMIN, "site-a"):
        commands = [command for its, command, _ in LOOKS if its == cloud]
        lines = [command.format(mappings=MAPPINGS) for command in commands]
        tables = [f"protector {line}" for line in lines]
        answers = demo.batch([*tables, *(f"dr {line} -f json" for line in lines)], cloud)
        said.update(zip(commands, zip(answers[: len(lines)], answers[len(lines) :], strict=True), strict=True))
    return said


def judge(answers, names):
    """A table and JSON with these fields or headings, and nothing on standard error."""
    table, machine = answers
    for answer in answers:
        assert (answer["code"], answer["err"]) == (0, ""), answer
    for name in names:
        assert f"| {name} " in table["out"] or f" {name} |" in table["out"], table["out"]
    shown = json.loads(machine["out"])
    assert shown
    for item in shown if isinstance(shown, list) else [shown]:
        assert set(names) <= set(item)
