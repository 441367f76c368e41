#!/bin/sh
# bundle.sh PROGRAM FOLDER: the program with its own loader and libraries, so that it runs where there is no libc.
# FOLDER/bin/PROGRAM, FOLDER/lib/loader, FOLDER/lib/*.so.*
set -eu
program=$1 folder=$2
mkdir -p "$folder/bin" "$folder/lib"
install -s "$program" "$folder/bin/"
loader=$(ls /lib64/ld-linux-*.so.* /lib/ld-linux-*.so.* 2>/dev/null | head -n 1)
install -m 0755 "$loader" "$folder/lib/loader"
"$loader" --list "$program" | awk '$3 ~ /^\// { print $3 }' | while read -r library; do
  install -m 0644 "$library" "$folder/lib/"
done
