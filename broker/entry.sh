#!/bin/bash
# Runs the broker. A changed certificate makes it start anew, because Mosquitto 2.0 reads it again for MQTT, but not for
# websockets; its store is saved before, so nothing is lost. Never a HUP: at one, Mosquitto 2.0.11 puts the sessions of
# clients that are away into its list of expiries a second time, and may then serve nobody.
set -u
conf=/etc/mosquitto/mosquitto.conf
if [ -n "${SUTFLEET_OPEN:-}" ]; then
  echo "OPEN BROKER: whoever reaches it may do all that the operator may (compose/anonymous.yaml)" >&2
  sed '/^# Programs/,$!s/^allow_anonymous false$/allow_anonymous true/' $conf >/run/mosquitto/mosquitto.conf
  conf=/run/mosquitto/mosquitto.conf
fi
certificate() { stat -Lc '%i %s %z' /auth/tls/broker.pem 2>/dev/null; }
start() { known=$(certificate); mosquitto -c "$conf" & broker=$!; }

umask 027
start
trap 'stopping=yes; kill -TERM $broker' TERM INT
while kill -0 $broker 2>/dev/null; do
  sleep 1 &
  wait $!
  now=$(certificate)
  if [ -z "$now" ] || [ "$now" = "$known" ]; then continue; fi
  kill -TERM $broker
  wait $broker
  [ -n "${stopping:-}" ] || start
done
wait $broker
