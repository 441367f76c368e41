#!/bin/bash
# Makes what is missing: the passwords of operator, viewer and supervisor, and what their users and the broker need of
# them. /host is .sutfleet on the host; /auth and /state are volumes of the stack.
set -euo pipefail
umask 077
owner=$(stat -c %u:%g /host)
port=${SUTFLEET_MQTT_PORT:-1883}

secret() { # <file>: makes it once
  [ -s "$1" ] || head -c 24 /dev/urandom | base64 | tr '+/' '-_' >"$1"
}
client_env() { # <user> <url> <file>
  printf 'SUTFLEET_BROKER=%s\nSUTFLEET_USER=%s\nSUTFLEET_PASSWORD=%s\nSUTFLEET_CA=\n' \
    "$2" "$1" "$(cat "/host/$1.password")" >"$3.new"
  mv "$3.new" "$3"
}
passwd_file() { # <file> <user>[=<whose password>]...: hashes change only with the passwords
  local file=$1 user sum
  shift
  sum=$(for user in "$@"; do echo "$user" && cat "/host/${user#*=}.password"; done | sha256sum)
  [ -s "$file" ] && [ "$(cat "/state/$(basename "$file").of" 2>/dev/null)" = "$sum" ] && return
  : >"$file.new"
  for user in "$@"; do mosquitto_passwd -b "$file.new" "${user%%=*}" "$(cat "/host/${user#*=}.password")"; done
  chown 10001:10001 "$file.new"
  chmod 0640 "$file.new"
  mv "$file.new" "$file"
  printf '%s\n' "$sum" >"/state/$(basename "$file").of"
}

chmod 0700 /host
for user in operator viewer supervisor; do secret "/host/$user.password"; done
client_env operator "mqtt://127.0.0.1:$port" /host/client.env
client_env viewer "mqtt://127.0.0.1:$port" /host/viewer.env
passwd_file /auth/people.passwd operator viewer
passwd_file /auth/supervisor.passwd supervisor fleet=supervisor
client_env operator mqtt://broker:1883 /state/client.env
cp /host/supervisor.password /state/supervisor.password
chown -R "$owner" /host
# Kept secrets, also those that were put there by hand: the supervisor's alone.
mkdir -p /host/secrets
chown -R 10001:10001 /host/secrets
chmod -R u=rwX,go= /host/secrets
chown 10001:10001 /auth /state /state/supervisor.password
chown 0:10001 /state/client.env
chmod 0640 /state/client.env
chmod 0750 /auth
# The folder may be entered: `exec` in the supervisor is root without capabilities; each file has its own mode.
chmod 0711 /state
