#!/bin/bash
# Runs the broker. A changed password or access file is given to it by HUP, which it sends itself: one that is sent through
# the engine's API would disarm the container's restart policy. A changed certificate makes it start anew, because Mosquitto
# 2.0 reads it again for MQTT, but not for websockets; its store is saved before, so nothing is lost.
set -u
run=/run/mosquitto
open=${SUTFLEET_OPEN:-}

source_of() { # <file of the broker>
  case $1 in
    people.passwd) cat /auth/people.passwd ;;
    agents.passwd) cat /auth/supervisor.passwd /auth/agents.passwd 2>/dev/null ;;
    agents.acl) cat /etc/mosquitto/agents.acl /auth/agents.acl 2>/dev/null ;;
    people.acl) cat ${open:+/etc/mosquitto/open.acl} /etc/mosquitto/people.acl ;;
    mosquitto.conf) # the people's listeners are the ones with the people's passwords
      sed -e '' ${open:+-e '/^allow_anonymous false$/{N;s/false\(\npassword_file .*people\)/true\1/}'} /etc/mosquitto/mosquitto.conf ;;
    broker.pem) cat /auth/tls/broker.pem ;;
  esac
}
compose_files() { # <file>... -> 0 when something changed
  local changed=1 out
  for out in "$@"; do
    source_of "$out" >"$run/$out.new"
    if cmp -s "$run/$out.new" "$run/$out"; then continue; fi
    mv "$run/$out.new" "$run/$out"
    changed=0
  done
  return $changed
}
# Of the files, without reading them: one process each time, whatever the fleet's size.
state() { stat -c '%n %i %s %z' /auth/*.passwd /auth/agents.acl /auth/tls/broker.pem 2>/dev/null; }
start() { mosquitto -c "$run/mosquitto.conf" & broker=$!; }

umask 027
known=$(state)
compose_files people.passwd agents.passwd agents.acl people.acl mosquitto.conf broker.pem
[ -z "$open" ] || echo "OPEN BROKER: whoever reaches it may do all that the operator may (compose/anonymous.yaml)" >&2
start
trap 'stopping=yes; kill -TERM $broker' TERM INT
while kill -0 $broker 2>/dev/null; do
  sleep 0.2 &
  wait $!
  now=$(state)
  [ "$now" != "$known" ] || continue
  known=$now
  compose_files people.passwd agents.passwd agents.acl && kill -HUP $broker
  if compose_files broker.pem && [ -z "${stopping:-}" ]; then kill -TERM $broker; wait $broker; [ -n "${stopping:-}" ] || start; fi
done
wait $broker
