#!/usr/bin/env bash
# elf_hardening.sh PROGRAM...: fails for one that is no PIE, lacks full RELRO, the stack protector or fortified calls, or has an
# executable stack or a segment that is both writable and executable.
set -u
failed=0
wrong() { echo "$1: $2" >&2; failed=1; }
for program in "$@"; do
  header=$(readelf -hW "$program") && segments=$(readelf -lW "$program") && dynamic=$(readelf -dW "$program") || { wrong "$program" "readelf cannot read it"; continue; }
  symbols=$(readelf --dyn-syms -W "$program")
  grep -q 'Type: *DYN' <<<"$header" || wrong "$program" "no PIE"
  grep -qE 'FLAGS_1.*PIE' <<<"$dynamic" || wrong "$program" "a library, no PIE"
  grep -q GNU_RELRO <<<"$segments" || wrong "$program" "no RELRO"
  grep -qE '\(FLAGS\).*BIND_NOW|FLAGS_1.*NOW' <<<"$dynamic" || wrong "$program" "partial RELRO only: not bound at the start"
  grep -E 'GNU_STACK' <<<"$segments" | grep -qE ' RW +0x' || wrong "$program" "an executable stack"
  grep LOAD <<<"$segments" | grep -q ' RWE ' && wrong "$program" "a segment to write and run"
  if grep -q NEEDED <<<"$dynamic"; then
    grep -q __stack_chk_fail <<<"$symbols" || wrong "$program" "no stack protector"
    grep -qE '__[a-z]+_chk@' <<<"$symbols" || wrong "$program" "nothing fortified"
  else # static: it needs no loader either
    grep -q INTERP <<<"$segments" && wrong "$program" "static, and asks for a loader"
    # Its names are stripped, what they would say is not.
    grep -qa 'stack smashing detected' "$program" || wrong "$program" "no stack protector"
    grep -qa 'buffer overflow detected' "$program" || wrong "$program" "nothing fortified"
  fi
done
[ $# -gt 0 ] || { echo "usage: elf_hardening.sh PROGRAM..." >&2; exit 2; }
exit $failed
