#!/bin/bash
# render.sh SITE [protector] - write every configuration file of one site to $ETC;
# with "protector" only Protector's.  Called by up.  All services: one API worker, RabbitMQ vhost "SITE",
# MariaDB of the site, memcached for tokens.
set -euo pipefail
. "$(dirname "$0")/lab.env.sh"; site_env "$1"; lab_secrets
token_var=ARRAY_TOKEN_$SITE; ARRAY_TOKEN=${!token_var}
token_var=ARRAY_TOKEN_$PEER; PEER_ARRAY_TOKEN=${!token_var}
mkdir -p "$ETC"/{keystone,glance,placement,nova,neutron,cinder} "$LOG" "$RUN" \
  "$S"/{keystone/fernet,keystone/credential,glance/images,glance/staging,glance/tasks,nova/locks,neutron/locks,cinder/locks,cinder/coordination}

chmod 700 "$S/keystone" "$S/keystone/fernet" "$S/keystone/credential" "$ETC"

# --- Protector
mkdir -p "$ETC/protector"
cat > "$ETC/protector/protector.conf" <<EOT
[api]
bind = $IP:$P_PROTECTOR
public_endpoint = http://$IP:$P_PROTECTOR
[database]
connection = mysql+pymysql://protector:$PROTECTOR_DB_PW@$IP:$P_MYSQL/protector
[secrets]
key_directory = $ETC/protector/keys
[oslo_policy]
policy_file = $ETC/protector/policy.yaml
[keystone_authtoken]
auth_url = $AUTH_URL
region_name = $REGION
username = protector
password = $PROTECTOR_PW
project_name = service
[flasharray]
ca_file = $LAB_STATE/tls/array.crt
EOT
[ "${2:-}" != protector ] || exit 0

RABBIT="rabbit://oslab:$RABBIT_PW@$IP:$P_RABBIT/$SITE"
db() { echo "mysql+pymysql://oslab:$DB_PW@$IP:$P_MYSQL/$1?charset=utf8mb4"; }

common() {   # service-log-name
  cat <<EOT
debug = ${LAB_DEBUG:-false}
use_stderr = false
log_file = $LOG/$1.log
EOT
}
rabbit() {
  cat <<EOT
[oslo_messaging_rabbit]
rabbit_quorum_queue = false
heartbeat_in_pthread = false
[oslo_messaging_notifications]
driver = noop
EOT
}
dbsec() {    # section db
  cat <<EOT
[$1]
connection = $(db "$2")
max_pool_size = 10
max_overflow = 20
connection_recycle_time = 280
EOT
}
account() {  # section user [extra]
  cat <<EOT
[$1]
auth_type = password
auth_url = $AUTH_URL
username = $2
password = $SERVICE_PW
project_name = service
user_domain_name = Default
project_domain_name = Default
region_name = $REGION
EOT
}
authtoken() { # user
  account keystone_authtoken "$1"
  cat <<EOT
www_authenticate_uri = $AUTH_URL
memcached_servers = $IP:$P_MEMCACHED
service_token_roles = service
service_token_roles_required = true
service_type = $2
EOT
}

# --- keystone
cat > "$ETC/keystone/keystone.conf" <<EOT
[DEFAULT]
$(common keystone)
$(dbsec database keystone)
[token]
provider = fernet
expiration = 14400
[fernet_tokens]
key_repository = $S/keystone/fernet
[credential]
key_repository = $S/keystone/credential
[cache]
enabled = true
backend = dogpile.cache.pymemcache
memcache_servers = $IP:$P_MEMCACHED
EOT

# --- glance
cat > "$ETC/glance/glance-api.conf" <<EOT
[DEFAULT]
$(common glance)
enabled_backends = store:file
enabled_import_methods = []
[glance_store]
default_backend = store
[store]
filesystem_store_datadir = $S/glance/images
[os_glance_staging_store]
filesystem_store_datadir = $S/glance/staging
[os_glance_tasks_store]
filesystem_store_datadir = $S/glance/tasks
[paste_deploy]
flavor = keystone
$(dbsec database glance)
$(authtoken glance image)
[oslo_messaging_notifications]
driver = noop
EOT
cp "$VENV/etc/glance/glance-api-paste.ini" "$ETC/glance/"

# --- placement
cat > "$ETC/placement/placement.conf" <<EOT
[DEFAULT]
$(common placement)
[api]
auth_strategy = keystone
$(dbsec placement_database placement)
$(authtoken placement placement)
EOT

# --- nova
cat > "$ETC/nova/nova.conf" <<EOT
[DEFAULT]
$(common x | grep -v log_file)
state_path = $S/nova
host = compute-$SITE
my_ip = $IP
transport_url = $RABBIT
# Of the fake drivers the one that keeps its node uuid (state_path/compute_id):
# with any other nova-compute refuses its second start.
compute_driver = fake.FakeDriverWithoutFakeNodes
vif_plugging_is_fatal = false
vif_plugging_timeout = 0
# The fake driver forgets its guests when nova-compute restarts: do not let the
# periodic task write SHUTOFF into the database because of that.
sync_power_state_interval = -1
resume_guests_state_on_host_boot = false
report_interval = 10
service_down_time = 60
[workarounds]
disable_compute_service_check_for_ffu = true
[api]
auth_strategy = keystone
[quota]
instances = -1
cores = -1
ram = -1
server_groups = -1
[conductor]
workers = 1
[scheduler]
workers = 1
discover_hosts_in_cells_interval = 60
[filter_scheduler]
track_instance_changes = false
[glance]
region_name = $REGION
[cinder]
os_region_name = $REGION
catalog_info = volumev3::internalURL
auth_section = service_user
[oslo_concurrency]
lock_path = $S/nova/locks
[vnc]
enabled = false
$(dbsec database nova)
$(dbsec api_database nova_api)
$(authtoken nova compute)
$(account service_user nova)
send_service_user_token = true
$(account placement placement)
$(account neutron neutron)
$(rabbit)
EOT
cp "$VENV/etc/nova/api-paste.ini" "$ETC/nova/"

# --- neutron (API only: the lab's mechanism driver binds ports without agents)
cat > "$ETC/neutron/neutron.conf" <<EOT
[DEFAULT]
$(common neutron)
state_path = $S/neutron
transport_url = $RABBIT
core_plugin = ml2
service_plugins =
auth_strategy = keystone
api_paste_config = $ETC/neutron/api-paste.ini
notify_nova_on_port_status_changes = true
notify_nova_on_port_data_changes = true
dhcp_agent_notification = false
rpc_workers = 0
[oslo_concurrency]
lock_path = $S/neutron/locks
[ml2]
mechanism_drivers = oslab
type_drivers = vlan,flat,local
tenant_network_types = vlan
extension_drivers = port_security
[ml2_type_vlan]
network_vlan_ranges = physnet1:100:3999
[ml2_type_flat]
flat_networks = *
[quotas]
quota_network = -1
quota_subnet = -1
quota_port = -1
quota_security_group = -1
quota_security_group_rule = -1
$(dbsec database neutron)
$(authtoken neutron network)
$(account nova nova)
$(rabbit)
EOT
cp "$VENV/etc/neutron/api-paste.ini" "$ETC/neutron/"

# --- cinder, with the real Pure driver on the stand-in of this site
cat > "$ETC/cinder/cinder.conf" <<EOT
[DEFAULT]
$(common x | grep -v log_file)
state_path = $S/cinder
host = cinder-$SITE
my_ip = $IP
transport_url = $RABBIT
auth_strategy = keystone
api_paste_config = $ETC/cinder/api-paste.ini
resource_query_filters_file = $ETC/cinder/resource_filters.json
rootwrap_config = $ETC/cinder/rootwrap.conf
enabled_backends = pure
default_volume_type = __DEFAULT__
osapi_volume_workers = 1
quota_volumes = -1
quota_snapshots = -1
quota_gigabytes = -1
backend_stats_polling_interval = 60
glance_api_servers = http://$IP:$P_GLANCE
[pure]
volume_driver = cinder.volume.drivers.pure.PureISCSIDriver
volume_backend_name = pure
san_ip = $IP:$P_ARRAY
pure_api_token = $ARRAY_TOKEN
driver_ssl_cert_verify = true
use_multipath_for_image_xfer = false
pure_eradicate_on_delete = false
pure_replication_pg_name = cinder-group
pure_replica_interval_default = 300
replication_device = backend_id:$PEER_ARRAY,san_ip:$PEER_IP:$P_PEER_ARRAY,api_token:$PEER_ARRAY_TOKEN,ssl_cert_verify:true,type:async
[coordination]
backend_url = file://$S/cinder/coordination
[oslo_concurrency]
lock_path = $S/cinder/locks
[oslo_policy]
policy_file = $ETC/cinder/policy.yaml
[nova]
region_name = $REGION
$(account nova cinder | sed 1d)
$(account service_user cinder)
send_service_user_token = true
$(dbsec database cinder)
$(authtoken cinder block-storage)
$(rabbit)
EOT
# As Protector's documentation recommends it.
cp "$LAB_DIR/../docs/operator/cinder-policy.yaml" "$ETC/cinder/policy.yaml"
cp "$VENV/etc/cinder/"{api-paste.ini,resource_filters.json,rootwrap.conf} "$ETC/cinder/"
