#!/bin/sh
# bundle.sh [--no-tls] PROGRAM FOLDER: the program with its own loader and libraries, so that it runs where there is no libc.
# FOLDER/bin/PROGRAM, FOLDER/lib/loader, FOLDER/lib/*.so.*
# --no-tls: Paho as it is built without TLS, under the name that its C++ half asks for. Why: core/agent_files.hpp. What
# is linked with another folder before lib has Paho with TLS there.
set -eu
tls=yes
[ "$1" != --no-tls ] || { tls=no; shift; }
program=$1 folder=$2
mkdir -p "$folder/bin" "$folder/lib"
install -s "$program" "$folder/bin/"
loader=$(ls /lib64/ld-linux-*.so.* /lib/ld-linux-*.so.* 2>/dev/null | head -n 1)
install -m 0755 "$loader" "$folder/lib/loader"
"$loader" --list "$program" | awk '$3 ~ /^\// { print $3 }' | while read -r library; do
  from=$library
  case $tls:$library in
    no:*/libpaho-mqtt3as.so.1) from=${library%as.so.1}a.so.1 ;;
    no:*/libssl.so.* | no:*/libcrypto.so.*) continue ;;
  esac
  install -m 0644 "$from" "$folder/lib/${library##*/}"
done
