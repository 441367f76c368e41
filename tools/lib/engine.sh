# The engine: started if none answers. Sourced after common.sh.
# shellcheck shell=bash
engine_run=${engine_run:-/var/run}        # its pid file and exec root; another one for a second, private engine
engine_log=${engine_log:-/var/log/dockerd.log}
[ -v engine_args ] || engine_args=()
engine_answers() { [ "$(curl -s -m 3 --unix-socket "$SUTFLEET_SOCKET" http://engine/_ping 2>/dev/null)" = OK ]; }
process_is() { # <pid> <name>: runs, is no zombie
  [ "$(awk '/^Name:/{n=$2} /^State:/{s=$2} END{print n, s!="Z"}' "/proc/$1/status" 2>/dev/null)" = "$2 1" ]
}
mount_cgroups() { # where no init system did it
  mountpoint -q /sys/fs/cgroup && return
  mount -t tmpfs -o mode=0755 cgroup /sys/fs/cgroup
  awk '!/^#/ && $4 == 1 { print $1 }' /proc/cgroups | while read -r name; do
    mkdir -p "/sys/fs/cgroup/$name"
    mount -n -t cgroup -o "$name" cgroup "/sys/fs/cgroup/$name" || rmdir "/sys/fs/cgroup/$name"
  done
}
drop_stale_pid_files() { # a pid file that any process, even a zombie, answers to blocks a start
  local file pid
  for file in "$engine_run/docker.pid:dockerd" "$engine_run/docker/containerd/containerd.pid:containerd"; do
    pid=$(cat "${file%:*}" 2>/dev/null || true)
    [ -z "$pid" ] || process_is "$pid" "${file##*:}" || rm -f "${file%:*}"
  done
}
start_engine() {
  engine_answers && return
  [ "$(id -u)" = 0 ] || die "no container engine answers on $SUTFLEET_SOCKET; start it, or run as root"
  [ ! -d /run/systemd/system ] || { systemctl start docker && engine_answers && return; } || true
  launch_engine
}
launch_engine() {
  say "starting the Docker daemon (log: $engine_log)"
  exec 9>"$engine_run/sutfleet-dockerd.lock"
  flock -w 120 9
  mount_cgroups
  ulimit -n "$(ulimit -Hn)" 2>/dev/null || true
  for _ in 1 2 3 4; do
    engine_answers && break
    drop_stale_pid_files
    setsid nohup dockerd "${engine_args[@]}" >>"$engine_log" 2>&1 </dev/null 9>&- &
    for _ in $(seq 1 300); do engine_answers && break 2; kill -0 $! 2>/dev/null || break; sleep 0.1; done
  done
  exec 9>&-
  engine_answers || die "the Docker daemon does not start; see $engine_log"
}
