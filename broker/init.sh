#!/bin/bash
# Makes what is missing: passwords, CA and certificate, and what the users and the broker need of them. /host is .sutfleet
# on the host: what people need; /auth and /state are volumes of the stack: the broker's, and the supervisor's.
set -euo pipefail
umask 077
owner=$(stat -c %u:%g /host)
port=${SUTFLEET_MQTT_PORT:-1883}

secret() { # <file>: makes it once
  [ -s "$1" ] || head -c 24 /dev/urandom | base64 | tr '+/' '-_' >"$1"
}
client_env() { # <user> <file>
  printf 'SUTFLEET_BROKER=mqtt://127.0.0.1:%s\nSUTFLEET_USER=%s\nSUTFLEET_PASSWORD=%s\nSUTFLEET_CA=ca.pem\n%s' "$port" "$1" "$(cat "/host/$1.password")" \
    "${SUTFLEET_OPEN:+SUTFLEET_OPEN=$SUTFLEET_OPEN$'\n'}" >"$2.new"
  mv "$2.new" "$2"
}
passwd_file() { # <file> <user>=<file of the password>...: hashes change only with the passwords
  local file=$1 user sum
  shift
  sum=$(for user in "$@"; do echo "${user%%=*}" && cat "${user#*=}"; done | sha256sum)
  [ -s "$file" ] && [ "$(cat "/state/$(basename "$file").of" 2>/dev/null)" = "$sum" ] && return
  : >"$file.new"
  for user in "$@"; do mosquitto_passwd -b "$file.new" "${user%%=*}" "$(cat "${user#*=}")"; done
  chown 10001:10001 "$file.new"
  chmod 0640 "$file.new"
  mv "$file.new" "$file"
  printf '%s\n' "$sum" >"/state/$(basename "$file").of"
}

chmod 0700 /host
[ ! -s /host/supervisor.password ] || mv /host/supervisor.password /state/supervisor.password  # of an older version
for file in /host/operator /host/viewer /state/supervisor; do secret "$file.password"; done
client_env operator /host/client.env
client_env viewer /host/viewer.env
passwd_file /auth/people.passwd operator=/host/operator.password viewer=/host/viewer.password
passwd_file /auth/supervisor.passwd supervisor=/state/supervisor.password fleet=/state/supervisor.password
# shellcheck disable=SC2086  # a list of names
sutfleet-certificates /host /auth/tls localhost broker 127.0.0.1 ${SUTFLEET_HOST_NAME:-} ${SUTFLEET_TLS_NAMES//,/ }
chown -R "$owner" /host
# Kept secrets, also those that were put there by hand: the supervisor's alone.
mkdir -p /host/secrets
chown -R 10001:10001 /host/secrets
chmod -R u=rwX,go= /host/secrets
chown 10001:10001 /auth /state /state/supervisor.password
rm -f /state/client.env /state/console.password  # of an older version
chmod 0750 /auth
# The folder may be entered: `exec` in the supervisor is root without capabilities; each file has its own mode.
chmod 0711 /state
