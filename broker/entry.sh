#!/bin/bash
# Runs the broker. When users or rights change, it is asked something, by which it looks at its files (broker/plugin). Never a
# HUP: at one, Mosquitto 2.0.11 puts the sessions of clients that are away into its list of expiries a second time, and may
# then serve nobody. A changed certificate makes it start anew, because it reads it again for MQTT, but not for websockets; its
# store is saved before, so nothing is lost.
set -u
conf=/etc/mosquitto/mosquitto.conf
if [ -n "${SUTFLEET_OPEN:-}" ]; then
  echo "OPEN BROKER: whoever reaches it may do all that the operator may (compose/anonymous.yaml)" >&2
  sed '/^# Programs/,$!{s/^allow_anonymous false$/allow_anonymous true/;/^plugin_opt_access/s,$, /etc/mosquitto/open.acl,}' $conf >/run/mosquitto/mosquitto.conf
  conf=/run/mosquitto/mosquitto.conf
fi

certificate() { stat -c '%i %s %z' /auth/tls/broker.pem 2>/dev/null; }
look() {
  local now
  sutfleet-ask 1883 1884
  now=$(certificate)
  if [ -n "$now" ] && [ "$now" != "$known" ]; then
    known=$now
    kill -USR1 $$
  fi
}
# At each change, once a minute in case one was not told, and every 5 s where none is told.
watch() { # <certificate that the broker has>
  local known=$1
  while :; do
    while read -rt 60 || (($? > 128)); do look; done < <(inotifywait -mqe close_write,moved_to,delete /auth /auth/tls)
    look
    sleep 5
  done
}

umask 027
stopping='' again='' broker='' code=0
trap 'stopping=yes; kill -TERM $broker' TERM INT
trap 'again=yes; kill -TERM $broker' USR1
watch "$(certificate)" &
while [ -z "$stopping" ]; do
  again=
  mosquitto -c "$conf" &
  broker=$!
  [ -z "$stopping" ] || kill -TERM $broker
  while wait $broker; code=$?; kill -0 $broker 2>/dev/null; do :; done
  [ -n "$again" ] || break
done
exit "$code"
