#!/bin/bash
# certificates.sh CA_FOLDER TLS_FOLDER NAME...: makes the CA (ca.key, ca.pem) and the broker's certificate (server.pem for
# all, broker.pem with the key for the broker alone) where one is missing, ends soon, or lacks a name. What is good stays.
set -euo pipefail
umask 077
ca=$1 tls=$2
shift 2
days=${SUTFLEET_TLS_DAYS:-397}
soon=$((60 * 86400))
[ "$days" -gt 60 ] || soon=0  # a short-lived one, for trials
new_key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null || openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }
lasts() { openssl x509 -in "$1" -noout -checkend "$soon" >/dev/null 2>&1; }
san() { # <name>: as it stands in a certificate
  if [[ $1 =~ ^[0-9]+(\.[0-9]+){3}$ || $1 =~ ^[0-9A-Fa-f]*:[0-9A-Fa-f:.]+$ ]]; then echo "IP:$1"
  elif [[ $1 =~ ^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$ ]]; then echo "DNS:$1"
  else echo "certificates: '$1' in SUTFLEET_TLS_NAMES: expected a host name or an IP address" >&2 && return 1; fi
}
names_held() { # whether the certificate holds all of them; it may hold more
  local name
  for name in "${names[@]}"; do
    case $name in
      IP:*) openssl x509 -in "$tls/server.pem" -noout -checkip "${name#IP:}" | grep -q 'does match' || return 1 ;;
      *) openssl x509 -in "$tls/server.pem" -noout -ext subjectAltName | tr -d ' ' | tr ',' '\n' | grep -qxF "$name" || return 1 ;;
    esac
  done
}
names=()
for name in "$@"; do
  one=$(san "$name")  # by itself: its failure ends us
  names+=("$one")
done

mkdir -p "$tls"
if [ ! -s "$ca/ca.key" ] || ! lasts "$ca/ca.pem"; then
  new_key "$ca/ca.key"
  openssl req -x509 -new -key "$ca/ca.key" -days 3650 -subj "/CN=sutfleet CA $(date -u +%Y-%m-%d)" -out "$ca/ca.pem.new" \
    -addext 'basicConstraints=critical,CA:TRUE,pathlen:0' -addext 'keyUsage=critical,keyCertSign,cRLSign'
  mv "$ca/ca.pem.new" "$ca/ca.pem"
fi
cp "$ca/ca.pem" "$tls/ca.pem.new"
chmod 0644 "$ca/ca.pem" "$tls/ca.pem.new"
mv "$tls/ca.pem.new" "$tls/ca.pem"  # before the broker shows a certificate of it
if ! lasts "$tls/server.pem" || ! names_held || ! openssl verify -CAfile "$ca/ca.pem" "$tls/server.pem" >/dev/null 2>&1; then
  new_key "$tls/key"
  openssl req -new -key "$tls/key" -subj /CN=sutfleet-broker -out "$tls/request"
  openssl x509 -req -in "$tls/request" -CA "$ca/ca.pem" -CAkey "$ca/ca.key" -set_serial "0x$(openssl rand -hex 16)" -days "$days" \
    -out "$tls/server.pem.new" 2>/dev/null -extfile <(printf '%s\n' 'basicConstraints=critical,CA:FALSE' \
      'keyUsage=critical,digitalSignature' 'extendedKeyUsage=serverAuth' "subjectAltName=$(IFS=,; echo "${names[*]}")")
  cat "$tls/key" "$tls/server.pem.new" >"$tls/broker.pem.new"
  rm "$tls/key" "$tls/request"
  [ "$EUID" != 0 ] || chown 1883:10001 "$tls/broker.pem.new"
  chmod 0400 "$tls/broker.pem.new"
  mv "$tls/broker.pem.new" "$tls/broker.pem"  # key and certificate in one file: never one without the other
  mv "$tls/server.pem.new" "$tls/server.pem"
fi
chmod 0644 "$tls/server.pem"
chmod 0755 "$tls"
