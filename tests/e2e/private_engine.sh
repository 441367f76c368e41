#!/usr/bin/env bash
# Runs a command beside a container engine of its own, with the stack's images in it: for tests that kill the engine,
# which must not be the machine's. The engine has its own network namespace, data, socket and pid file, and is gone
# afterwards. With SUTFLEET_ENGINE_TLS=1 it is on port 2376 as well, by TLS. usage: private_engine.sh COMMAND...
if [ -z "${SUTFLEET_PRIVATE_ENGINE:-}" ]; then
  SUTFLEET_PRIVATE_ENGINE=$(mktemp -d /var/lib/sutfleet-engine.XXXXXX) exec unshare --net "$0" "$@"
fi
place=$SUTFLEET_PRIVATE_ENGINE
machine=${DOCKER_HOST:-unix://${SUTFLEET_SOCKET:-/var/run/docker.sock}}
export SUTFLEET_SOCKET=$place/docker.sock DOCKER_HOST=unix://$place/docker.sock
# Names of its own, on both engines.
export COMPOSE_PROJECT_NAME=sutfleet-engine SUTFLEET_HOME=$place/home SUTFLEET_SUT_DIR=$place/sut
engine_run=$place engine_log=$place/dockerd.log
engine_args=(--host "$DOCKER_HOST" --pidfile "$place/docker.pid" --exec-root "$place/docker" --data-root "$place/data")
certs=$place/certs/engine
[ -z "${SUTFLEET_ENGINE_TLS:-}" ] || # all of this network namespace's interfaces: containers reach it by its bridge
  engine_args+=(--host tcp://0.0.0.0:2376 --tlsverify --tlscacert "$certs/ca.pem" --tlscert "$certs/cert.pem" --tlskey "$certs/key.pem")
. "$(dirname "${BASH_SOURCE[0]}")/../../tools/lib/common.sh"
. "$root/tools/lib/engine.sh"

stop_engine() {
  local pid
  "$root/tools/down" --purge >/dev/null 2>&1 || true
  pid=$(cat "$place/docker.pid" 2>/dev/null) && process_is "$pid" dockerd && kill "$pid"
  for _ in $(seq 1 200); do process_is "$pid" dockerd || break; sleep 0.1; done
  # Shims that outlived a daemon that was killed, with what runs in them.
  for shim in $(pgrep -f -- "-address $place/"); do
    pkill -KILL -P "$shim" || true
    kill -KILL "$shim" 2>/dev/null || true
  done
  # What a killed daemon left mounted; its data folder is mounted on itself.
  awk -v place="$place/" 'index($2, place) == 1 { print $2 }' /proc/mounts | tac | xargs -r umount -l
  rm -rf "$place"
}
trap stop_engine EXIT
case ${1:-} in
  --launch) trap - EXIT; launch_engine; exit ;; # again, after it was killed
esac
ip link set lo up
mkdir -p "$SUTFLEET_HOME" "$SUTFLEET_SUT_DIR"
cp "$root"/sut/*.conf "$SUTFLEET_SUT_DIR/"
[ -z "${SUTFLEET_ENGINE_TLS:-}" ] || "$root/tests/e2e/certificates.sh" "$place/certs" 2>/dev/null
launch_engine
docker -H "$machine" save sutfleet/broker:"$SUTFLEET_TAG" sutfleet/agent:"$SUTFLEET_TAG" sutfleet/supervisor:"$SUTFLEET_TAG" |
  docker load -q >/dev/null
"$@"
