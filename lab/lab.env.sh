# lab.env.sh - parameters of the lab; sourced by every other script.
# Usage: . lab.env.sh; site_env a    (or b).  Everything that differs between
# the two sites is computed here, from the site letter alone.

LAB_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAB_OPT=${LAB_OPT:-/opt/oslab}                 # venv (shared by both sites)
LAB_STATE=${LAB_STATE:-/var/tmp/oslab}         # everything else
LAB_PYTHON=${LAB_PYTHON:-$(command -v python3.11 || command -v python3)}
VENV=$LAB_OPT/venv
PROTECTOR_BIN=${PROTECTOR_BIN:-$LAB_DIR/../target/release/protector}
ARRAYS=$LAB_STATE/arrays                       # the one process that simulates both arrays
SITES="a b"

site_env() {
  SITE=$1
  case $SITE in a) N=1; PEER=b;; b) N=2; PEER=a;; *) echo "site a or b" >&2; return 1;; esac
  local M=$((3 - N))
  IP=127.0.$N.1;  PEER_IP=127.0.$M.1
  REGION=Region$(echo "$SITE" | tr ab AB)
  S=$LAB_STATE/$SITE                            # state of this site
  ETC=$S/etc LOG=$S/log RUN=$S/run
  P_KEYSTONE=${N}5000 P_GLANCE=${N}9292 P_PLACEMENT=${N}8778 P_NOVA=${N}8774
  P_NEUTRON=${N}9696 P_CINDER=${N}8776
  P_MYSQL=${N}3306 P_RABBIT=${N}5672 P_RABBIT_DIST=${N}5673 P_MEMCACHED=${N}1211
  P_PROTECTOR=${N}8788
  P_ARRAY=${N}8443; P_PEER_ARRAY=${M}8443
  ARRAY=fa-$SITE PEER_ARRAY=fa-$PEER
  AUTH_URL=http://$IP:$P_KEYSTONE/v3
}

# Secrets are made once per lab, outside the repository.
lab_secrets() {
  mkdir -p "$LAB_STATE"
  if [ ! -s "$LAB_STATE/secrets.env" ]; then
    ( umask 077; for v in ADMIN_PW SERVICE_PW MEMBER_PW DB_PW RABBIT_PW ARRAY_TOKEN_a ARRAY_TOKEN_b PROTECTOR_PW PROTECTOR_DB_PW
      do echo "$v=$(openssl rand -hex 16)"; done > "$LAB_STATE/secrets.env" )
  fi
  . "$LAB_STATE/secrets.env"
}
