#!/usr/bin/env bash
# certificates.sh FOLDER: what an engine and its client need, as one makes it by hand: FOLDER/engine/ and FOLDER/client/
# with ca.pem, cert.pem and key.pem each, and FOLDER/other/ca.pem of somebody else.
set -euo pipefail
mkdir -p "$1/engine" "$1/client" "$1/other" && cd "$1"
new=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
for ca in engine other; do openssl req -x509 -days 2 -subj "/CN=$ca ca" "${new[@]}" -keyout $ca/ca.key -out $ca/ca.pem; done
for end in engine client; do
  openssl req -subj "/CN=$end" -addext "subjectAltName=DNS:engine.test,IP:127.0.0.1" "${new[@]}" -keyout $end/key.pem -out $end/csr
  openssl x509 -req -days 2 -copy_extensions copy -in $end/csr -CA engine/ca.pem -CAkey engine/ca.key -out $end/cert.pem
done
cp engine/ca.pem client/ca.pem
chmod 0755 client && chmod 0644 client/* # the supervisor is uid 10001
