#!/bin/bash
# Runs the broker and gives it a HUP when a password or access file changed. It sends the HUP itself: one that is sent through
# the engine's API would disarm the container's restart policy.
set -u
run=/run/mosquitto

compose_files() { # -> 0 when something changed
  local changed=1 out
  for out in people.passwd agents.passwd agents.acl; do
    case $out in
      people.passwd) cat /auth/people.passwd ;;
      agents.passwd) cat /auth/supervisor.passwd /auth/agents.passwd 2>/dev/null ;;
      agents.acl) cat /etc/mosquitto/agents.acl /auth/agents.acl 2>/dev/null ;;
    esac >"$run/$out.new"
    if cmp -s "$run/$out.new" "$run/$out"; then continue; fi
    mv "$run/$out.new" "$run/$out"
    changed=0
  done
  return $changed
}

umask 027
compose_files
mosquitto -c /etc/mosquitto/mosquitto.conf &
broker=$!
trap 'kill -TERM $broker' TERM INT
while kill -0 $broker 2>/dev/null; do
  sleep 0.2 &
  wait $!
  compose_files && kill -HUP $broker
done
wait $broker
