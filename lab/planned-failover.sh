#!/bin/bash
# planned-failover.sh - a planned failover of 3 servers with 5 volumes from site a to site b of the lab, both up already,
# through two Protectors that run as processes of their own.  PROTECTOR_BIN: the binary.  README.md says the rest.
# Parts can be named to run them alone: start register build protect failover show stop.
set -euo pipefail
. "$(dirname "$0")/lab.env.sh"; lab_secrets
: "${PROTECTOR_BIN:?set PROTECTOR_BIN to the protector binary}"
PY="$VENV/bin/python -W ignore"
APP="$PY $LAB_DIR/application.py $LAB_STATE"
export OS_CLIENT_CONFIG_FILE=$LAB_STATE/clouds.yaml PYTHONWARNINGS=ignore
MADE=$LAB_STATE/planned-failover.env; touch "$MADE"; . "$MADE"
say() { echo "== $(date +%H:%M:%S) $*"; }
keep() { echo "$1=$2" >> "$MADE"; eval "$1=\$2"; }
os() { "$VENV/bin/openstack" "$@"; }

token() { # cloud : TOKEN and TENANT_ID, as the documentation has it
  local issued; issued=$(os --os-cloud "$1" token issue -f json)
  TOKEN=$(echo "$issued" | jq -r .id) TENANT_ID=$(echo "$issued" | jq -r .project_id)
}

call() { # method url [body] : prints the answer; a refusal ends the script
  local out code
  out=$(curl -s -m 300 -w '\n%{http_code}' -X "$1" "$2" -H "X-Auth-Token: $TOKEN" \
    -H "Content-Type: application/json" -H "OpenStack-API-Version: protector 1.1" ${3:+-d "$3"})
  code=${out##*$'\n'}; out=${out%$'\n'*}
  [ "${code:0:1}" = 2 ] || { echo "$1 $2: HTTP $code $out" >&2; return 1; }
  echo "$out"
}

protector_start() { # site
  site_env "$1"; local d=$LAB_STATE/protector-$1; mkdir -p "$d"
  ( umask 077; cat > "$d/protector.conf" <<EOT
[api]
bind = $IP:$P_PROTECTOR
public_endpoint = http://$IP:$P_PROTECTOR
[database]
connection = sqlite://$d/protector.sqlite
[secrets]
key_directory = $d/keys
[oslo_policy]
policy_file = $d/policy.yaml
[keystone_authtoken]
auth_url = $AUTH_URL
region_name = $REGION
username = protector
password = $PROTECTOR_PW
project_name = service
[flasharray]
ca_file = $LAB_STATE/tls/array.crt
EOT
  )
  if ! { [ -s "$d/pid" ] && kill -0 "$(cat "$d/pid")" 2>/dev/null; }; then
    setsid "$PROTECTOR_BIN" all-in-one --config-file "$d/protector.conf" >>"$d/log" 2>&1 </dev/null &
    echo $! > "$d/pid"
  fi
  local i; for i in $(seq 150); do curl -sf -o /dev/null "http://$IP:$P_PROTECTOR/" && return 0; sleep 0.2; done
  echo "Protector of site $1 does not answer; see $d/log" >&2; return 1
}

part_start() {
  $APP accounts
  protector_start a; protector_start b; say "both Protectors answer"
}

part_stop() {
  local s; for s in $SITES; do kill "$(cat "$LAB_STATE/protector-$s/pid")" 2>/dev/null || true; done
}

part_build() {
  $APP build; $APP stamp before
}

register() { # site is_local : prints the id
  site_env "$1"
  call POST "$API/v1/admin/sites" "{\"site\": {\"name\": \"site-$1\", \"auth_url\": \"$AUTH_URL\",
    \"region_name\": \"$REGION\", \"protector_url\": \"http://$IP:$P_PROTECTOR\", \"username\": \"protector\",
    \"password\": \"$PROTECTOR_PW\", \"project_name\": \"service\", \"is_local\": $2}}" | jq -r .site.id
}

part_register() {
  site_env a; API=http://$IP:$P_PROTECTOR; token site-a-admin
  local a b
  a=$(register a true); b=$(register b false); say "sites $a and $b"
  local id; for id in "$a" "$b"; do
    call POST "$API/v1/admin/sites/$id/validate" | jq -c '.validation // . | .checks[] | [.name, .ok, .reason]'; done
  call POST "$API/v1/admin/tenant-mappings" "{\"tenant_mapping\": {
    \"primary_site_id\": \"$a\", \"primary_project_name\": \"app\", \"primary_project_domain_name\": \"Default\",
    \"secondary_site_id\": \"$b\", \"secondary_project_name\": \"app\", \"secondary_project_domain_name\": \"Default\"}}" | jq -c .
}

part_protect() {
  site_env a; API=http://$IP:$P_PROTECTOR; token site-a
  local groups=$API/v1/$TENANT_ID/protection-groups id
  [ -n "${PG_ID:-}" ] || keep PG_ID "$(call POST "$groups" '{"protection_group": {"name": "prod-web-app"}}' | jq -r .protection_group.id)"
  site_env a; local first="https://$IP:$P_ARRAY" second="https://$PEER_IP:$P_PEER_ARRAY"
  call POST "$groups/$PG_ID/policy" "{\"policy\": {\"primary_fa_url\": \"$first\", \"primary_fa_api_token\": \"$ARRAY_TOKEN_a\",
    \"secondary_fa_url\": \"$second\", \"secondary_fa_api_token\": \"$ARRAY_TOKEN_b\",
    \"replication_interval\": 300, \"rpo_minutes\": 15}}" | jq -c .
  for id in $(os --os-cloud site-a server list -f value -c ID); do
    call POST "$groups/$PG_ID/members" "{\"member\": {\"server\": \"$id\"}}" | jq -c .; done
}

part_failover() {
  site_env a; token site-a
  local answer
  # Example 1 of the operations documentation.
  answer=$(curl -s -X POST \
    "http://$IP:$P_PROTECTOR/v1/$TENANT_ID/protection-groups/$PG_ID/action" \
    -H "X-Auth-Token: $TOKEN" \
    -H "Content-Type: application/json" \
    -H "OpenStack-API-Version: protector 1.1" \
    -d '{
      "failover": {
        "network_mapping": {
          "aaa11111-net-primary-web": "bbb22222-net-secondary-web",
          "aaa11111-net-primary-db": "bbb22222-net-secondary-db"
        },
        "flavor_mapping": {
          "m1.large": "m2.large"
        },
        "force": false
      }
    }')
  echo "$answer"
  local op; op=$(echo "$answer" | jq -re .operation.id); keep OP_ID "$op"
  follow "$op"
}

follow() { # operation : until it ends
  local seen= line status=
  while :; do
    line=$(call GET "http://$IP:$P_PROTECTOR/v1/$TENANT_ID/operations/$1" | jq -c '.operation | [.status, .progress, (.steps_completed | length), .error_message]') || { sleep 2; continue; }
    [ "$line" = "$seen" ] || say "$line"; seen=$line; status=$(echo "$line" | jq -r '.[0]')
    case $status in completed) return 0;; failed|cancelled|needs_attention) return 1;; esac
    sleep 1
  done
}

part_show() {
  local s; for s in a b; do
    echo "--- site $s"
    os --os-cloud "site-$s" server list
    os --os-cloud "site-$s" volume list
    os --os-cloud "site-$s" port list -c Name -c "Fixed IP Addresses" -c Status
    $APP stamps "$s"
  done
}

for part in ${*:-start build register protect failover show}; do say "$part"; "part_$part"; done
