//! What the demo tells a person.

use crate::{
    protect::{Protected, failover_body},
    stage::Stage,
};

/// The curl lines of the documentation's examples 1 and 6, ready to paste.
pub fn curl_lines(stage: &Stage, protected: &Protected, operation: Option<&str>) -> String {
    let site = &stage.sites[0];
    let body = serde_json::to_string_pretty(&failover_body()).unwrap_or_default();
    let operation = operation.unwrap_or("op-...");
    format!(
        r#"# a tenant's token at {name} (or: openstack token issue)
export TOKEN=$(curl -s -i -X POST {auth}/auth/tokens -H "Content-Type: application/json" -d '{{"auth":{{"identity":{{"methods":["password"],"password":{{"user":{{"name":"app-user","domain":{{"name":"Default"}},"password":"app-password"}}}}}},"scope":{{"project":{{"name":"app","domain":{{"name":"Default"}}}}}}}}}}' | awk 'tolower($1)=="x-subject-token:" {{print $2}}' | tr -d '\r')
export TENANT_ID={tenant}
export PG_ID={group}
export OP_ID={operation}

# Example 1: planned failover
curl -s -X POST \
  {api}/v1/$TENANT_ID/protection-groups/$PG_ID/action \
  -H "X-Auth-Token: $TOKEN" \
  -H "Content-Type: application/json" \
  -H "OpenStack-API-Version: protector 1.1" \
  -d '{body}'

# Example 6: poll operation progress
curl -s \
  {api}/v1/$TENANT_ID/operations/$OP_ID \
  -H "X-Auth-Token: $TOKEN" \
  -H "OpenStack-API-Version: protector 1.1"
"#,
        name = site.name,
        auth = site.auth_url,
        tenant = protected.projects[0],
        group = protected.group_id,
        api = site.api_url,
    )
}
