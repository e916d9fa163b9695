#!/bin/bash
# up.sh [a|b|all] - start one site or both, from nothing or again after
# down.sh.  Idempotent: a daemon that already runs is left alone, databases,
# accounts, endpoints and cells are made only once.
set -euo pipefail
. "$(dirname "$0")/lab.env.sh"; lab_secrets
export PATH="$VENV/bin:$PATH" PYTHONWARNINGS=ignore OS_LOCK_PATH=/tmp
T0=$(date +%s.%N)
note() { printf '%6.1fs [%s] %s\n' "$(echo "$(date +%s.%N) - $T0" | bc)" "$SITE" "$*"; }

alive() { [ -s "$RUN/$1.pid" ] && kill -0 "$(cat "$RUN/$1.pid")" 2>/dev/null; }

daemon() { # name command... : run in its own session, pid in $RUN/name.pid
  local name=$1; shift
  alive "$name" && return 0
  setsid "$@" >>"$LOG/$name.out" 2>&1 </dev/null &
  echo $! > "$RUN/$name.pid"
}

wait_tcp() { # port seconds
  local i; for i in $(seq $(($2 * 5))); do
    (exec 3<>"/dev/tcp/$IP/$1") 2>/dev/null && return 0; sleep 0.2; done
  echo "nothing listens on $IP:$1" >&2; return 1
}

wait_http() { # url seconds
  local i; for i in $(seq $(($2 * 5))); do
    curl -sf -o /dev/null -m 5 "$1" && return 0; sleep 0.2; done
  echo "no answer from $1" >&2; return 1
}

api() { # name port module [env...] : one uwsgi worker with threads
  # No keep-alive (as DevStack does): Cinder answers GET /v3 with a redirect that
  # has no Content-Length, and a client on a kept-alive connection waits 4 s.
  local name=$1 port=$2 module=$3; shift 3
  daemon "$name" env "$@" uwsgi --http-socket "$IP:$port" --module "$module" \
    --processes 1 --threads "${LAB_API_THREADS:-8}" --enable-threads --lazy-apps \
    --buffer-size 65535 --need-app --die-on-term --thunder-lock --listen 100 \
    --add-header "Connection: close" --add-header "X-Lab-Site: $SITE" \
    --disable-logging --procname "oslab-$SITE-$name" ${PYARGV:+--pyargv "$PYARGV"}
}

tls() { # one CA-less certificate for both stand-ins
  [ -s "$LAB_STATE/tls/array.crt" ] && return 0
  mkdir -p "$LAB_STATE/tls"
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=oslab array" \
    -addext "subjectAltName=IP:127.0.1.1,IP:127.0.2.1" -addext "basicConstraints=critical,CA:TRUE" \
    -keyout "$LAB_STATE/tls/array.key" -out "$LAB_STATE/tls/array.crt" 2>/dev/null
}

array_up() { # LAB_ARRAY_CMD: a FlashArray simulator; it finds what it needs in the environment
  : "${LAB_ARRAY_CMD:?set LAB_ARRAY_CMD to a command that serves one simulated FlashArray}"
  local tv=ARRAY_TOKEN_$SITE ptv=ARRAY_TOKEN_$PEER
  daemon array env ARRAY_NAME="$ARRAY" ARRAY_LISTEN="$IP:$P_ARRAY" ARRAY_TOKEN="${!tv}" \
    ARRAY_STATE_DIR="$S/array" ARRAY_TLS_CERT="$LAB_STATE/tls/array.crt" ARRAY_TLS_KEY="$LAB_STATE/tls/array.key" \
    ARRAY_PEER_NAME="$PEER_ARRAY" ARRAY_PEER_ADDRESS="$PEER_IP:$P_PEER_ARRAY" ARRAY_PEER_TOKEN="${!ptv}" \
    ARRAY_PEER_SECRET="$PEER_SECRET" $LAB_ARRAY_CMD
}

infra_up() {
  if [ ! -d "$S/mysql/mysql" ]; then
    mkdir -p "$S/mysql"; chown mysql: "$S/mysql"; chmod 755 "$LAB_STATE" "$S"
    mariadb-install-db --no-defaults --user=mysql --datadir="$S/mysql" \
      --skip-test-db --auth-root-authentication-method=socket >/dev/null
  fi
  daemon mysql mariadbd --no-defaults --user=mysql --datadir="$S/mysql" \
    --socket="$S/mysql/s.sock" --pid-file="$S/mysql/m.pid" --bind-address="$IP" --port="$P_MYSQL" \
    --innodb-buffer-pool-size=96M --innodb-log-file-size=64M --innodb-flush-log-at-trx-commit=2 \
    --performance-schema=OFF --max-connections=400 --skip-name-resolve \
    --character-set-server=utf8mb4 --collation-server=utf8mb4_general_ci
  mkdir -p "$S/rabbit"; chown -R rabbitmq: "$S/rabbit"
  local cookie=/var/lib/rabbitmq/.erlang.cookie
  [ -s "$cookie" ] || { openssl rand -hex 16 > "$cookie"; chown rabbitmq: "$cookie"; chmod 400 "$cookie"; }
  daemon rabbit runuser -u rabbitmq -- env HOME=/var/lib/rabbitmq RABBITMQ_NODENAME="oslab-$SITE@localhost" \
    RABBITMQ_NODE_IP_ADDRESS="$IP" RABBITMQ_NODE_PORT="$P_RABBIT" RABBITMQ_DIST_PORT="$P_RABBIT_DIST" \
    RABBITMQ_MNESIA_BASE="$S/rabbit/mnesia" RABBITMQ_LOG_BASE="$S/rabbit/log" \
    RABBITMQ_ENABLED_PLUGINS_FILE="$S/rabbit/plugins" RABBITMQ_CONFIG_FILE="$S/rabbit/rabbitmq" \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none" \
    /usr/lib/rabbitmq/bin/rabbitmq-server
  daemon memcached memcached -u nobody -l "$IP" -p "$P_MEMCACHED" -m 32 -t 1
}

rctl() { runuser -u rabbitmq -- env HOME=/var/lib/rabbitmq /usr/lib/rabbitmq/bin/rabbitmqctl -q -n "oslab-$SITE@localhost" "$@"; }

once() { # marker command... : run a step only the first time
  local m="$S/done.$1"; shift
  [ -e "$m" ] || { "$@" && touch "$m"; }
}

rabbit_accounts() {
  rctl add_vhost "$SITE" || true
  rctl add_user oslab "$RABBIT_PW" || rctl change_password oslab "$RABBIT_PW"
  rctl set_permissions -p "$SITE" oslab '.*' '.*' '.*'
}

databases() {
  local d; for d in keystone glance placement nova nova_api nova_cell0 neutron cinder; do
    echo "CREATE DATABASE IF NOT EXISTS $d;"; done > "$S/db.sql"
  echo "GRANT ALL ON *.* TO 'oslab'@'%' IDENTIFIED BY '$DB_PW';" >> "$S/db.sql"
  mariadb --no-defaults -uroot -S "$S/mysql/s.sock" < "$S/db.sql"; rm "$S/db.sql"
}

schema_keystone() {
  keystone-manage --config-file "$ETC/keystone/keystone.conf" fernet_setup --keystone-user root --keystone-group root
  keystone-manage --config-file "$ETC/keystone/keystone.conf" credential_setup --keystone-user root --keystone-group root
  keystone-manage --config-file "$ETC/keystone/keystone.conf" db_sync
  keystone-manage --config-file "$ETC/keystone/keystone.conf" bootstrap --bootstrap-password "$ADMIN_PW" \
    --bootstrap-public-url "$AUTH_URL/" --bootstrap-region-id "$REGION"
}
schema_nova() {
  local C="--config-file $ETC/nova/nova.conf"
  local D="mysql+pymysql://oslab:$DB_PW@$IP:$P_MYSQL/nova_cell0?charset=utf8mb4"
  nova-manage $C api_db sync
  nova-manage $C cell_v2 map_cell0 --database_connection "$D"
  nova-manage $C db sync
  nova-manage $C cell_v2 create_cell --name cell1 >/dev/null
}
schema_others() { # these four do not depend on each other
  local p=()
  glance-manage --config-file "$ETC/glance/glance-api.conf" db sync & p+=($!)
  OS_PLACEMENT_CONFIG_DIR=$ETC/placement placement-manage --config-file "$ETC/placement/placement.conf" db sync & p+=($!)
  neutron-db-manage --config-file "$ETC/neutron/neutron.conf" upgrade head & p+=($!)
  cinder-manage --config-file "$ETC/cinder/cinder.conf" db sync & p+=($!)
  local x; for x in "${p[@]}"; do wait "$x"; done
}

site_up() {
  site_env "$1"
  mkdir -p "$ETC" "$LOG" "$RUN"
  "$LAB_DIR/render.sh" "$SITE"
  array_up; infra_up
  wait_tcp "$P_MYSQL" 240; note "mariadb"
  once databases databases
  once keystone schema_keystone >"$LOG/schema-keystone.out" 2>&1; note "keystone schema"
  api keystone "$P_KEYSTONE" keystone.wsgi.api:application OS_KEYSTONE_CONFIG_DIR="$ETC/keystone"
  once others schema_others >"$LOG/schema-others.out" 2>&1; note "glance, placement, neutron, cinder schema"
  wait_tcp "$P_RABBIT" 300; rctl await_startup >/dev/null; once rabbit rabbit_accounts; note "rabbitmq"
  once nova schema_nova >"$LOG/schema-nova.out" 2>&1; note "nova schema"
  wait_http "$AUTH_URL" 300
  once accounts "$VENV/bin/python" "$LAB_DIR/accounts.py" "$SITE" "$LAB_STATE"; note "accounts and endpoints"
  api glance "$P_GLANCE" glance.wsgi.api:application OS_GLANCE_CONFIG_DIR="$ETC/glance"
  api placement "$P_PLACEMENT" placement.wsgi.api:application OS_PLACEMENT_CONFIG_DIR="$ETC/placement"
  PYARGV="--log-file $LOG/nova-api.log" api nova-api "$P_NOVA" nova.wsgi.osapi_compute:application OS_NOVA_CONFIG_DIR="$ETC/nova"
  api neutron "$P_NEUTRON" neutron.wsgi.api:application OS_NEUTRON_CONFIG_DIR="$ETC/neutron" OS_NEUTRON_CONFIG_FILES=neutron.conf
  PYARGV="--config-file $ETC/cinder/cinder.conf --log-file $LOG/cinder-api.log" api cinder-api "$P_CINDER" cinder.wsgi.api:application
  daemon nova-conductor nova-conductor --config-file "$ETC/nova/nova.conf" --log-file "$LOG/nova-conductor.log"
  daemon nova-scheduler nova-scheduler --config-file "$ETC/nova/nova.conf" --log-file "$LOG/nova-scheduler.log"
  daemon cinder-scheduler cinder-scheduler --config-file "$ETC/cinder/cinder.conf" --log-file "$LOG/cinder-scheduler.log"
  wait_http "http://$IP:$P_PLACEMENT/" 240
  alive nova-compute || touch "$RUN/compute.new"
  daemon nova-compute nova-compute --config-file "$ETC/nova/nova.conf" --log-file "$LOG/nova-compute.log"
}

volume_up() { # the driver's replication setup needs both arrays answering
  site_env "$1"
  # py-pure-client ignores driver_ssl_cert_path; SSL_CERT_FILE makes it trust
  # the stand-ins' certificate with verification left on.
  daemon cinder-volume env SSL_CERT_FILE="$LAB_STATE/tls/array.crt" cinder-volume --config-file "$ETC/cinder/cinder.conf" --log-file "$LOG/cinder-volume.log"
}

discover() {
  local i
  for i in $(seq 180); do
    nova-manage --config-file "$ETC/nova/nova.conf" cell_v2 discover_hosts >/dev/null 2>&1 || true
    [ "$(mariadb --no-defaults -uroot -S "$S/mysql/s.sock" -N -e 'select count(*) from nova_api.host_mappings')" -ge 1 ] && return 0
    sleep 1
  done
  return 1
}

site_ready() {
  site_env "$1"
  local p; for p in $P_GLANCE $P_PLACEMENT $P_NOVA $P_NEUTRON $P_CINDER; do wait_http "http://$IP:$p/" 300; done
  once discover discover; note "compute host mapped"
  # A restarted fake driver has forgotten its guests; a hard reboot of each
  # ACTIVE server makes it know them again.
  local relearn=; [ -e "$RUN/compute.new" ] && relearn=1
  "$VENV/bin/python" "$LAB_DIR/accounts.py" "$SITE" "$LAB_STATE" --wait ${relearn:+--relearn}
  rm -f "$RUN/compute.new"; note "ready"
}

want=${1:-all}; [ "$want" = all ] && want=$SITES
# The sites come up side by side: most of the time is single-threaded Python.
parallel() { # function : run it for every wanted site at once
  local p=() x; for s in $want; do "$1" "$s" & p+=($!); done
  for x in "${p[@]}"; do wait "$x" || { echo "$1 failed; see $LAB_STATE/*/log" >&2; exit 1; }; done
}
tls
parallel site_up
# With one site only, start the peer's stand-in too: the Pure driver of this
# site configures replication towards it and waits up to 180 s for it.
for s in $want; do site_env "$s"; site_env "$PEER"; [ -d "$S/etc" ] || { mkdir -p "$LOG" "$RUN"; }; array_up; done
for s in $want; do volume_up "$s"; done
parallel site_ready
