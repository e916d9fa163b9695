"""Reads the record that `protector demo --once --json` prints and compares it with the documented one (Example 6)."""

import json
import sys

STAGES = [
    "validate_target_site",
    "get_latest_snapshot",
    "promote_volumes_on_flasharray",
    "manage_volumes_into_cinder",
    "recreate_instances",
    "update_protection_group_state",
]

record = json.load(sys.stdin)["operation"]
assert record["id"].startswith("op-"), record["id"]
assert record["operation_type"] == "failover", record
assert record["status"] == "completed", record
assert record["progress"] == 100, record
assert record["steps_completed"] == STAGES, record["steps_completed"]
assert record["steps_failed"] == [], record["steps_failed"]
assert record["error_message"] is None, record["error_message"]
assert record["started_at"] and record["completed_at"], record
result = record["result_data"]
assert result["instances_created"] == 3, result
assert result["volumes_managed"] == 5, result
assert result["current_primary_site"] == "site-b", result
print("demo: the record is as documented; 3 servers, 5 volumes, site-b")
