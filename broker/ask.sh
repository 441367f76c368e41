#!/bin/bash
# Asks the broker on each port as somebody without a name: CONNECT of MQTT 3.1.1, for which it looks at its files, and answers,
# also when it refuses. Exit 0 when all answered. It is the broker's health: a port that only accepts may belong to one that
# serves nobody.
#   sutfleet-ask PORT...
ask() { # <port>
  local first
  exec 3<>"/dev/tcp/127.0.0.1/$1" || return
  printf '\x10\x0c\0\4MQTT\4\2\0\5\0\0' >&3
  read -rt 5 -N 1 -u 3 first
  [ "$first" = $'\x20' ] # CONNACK
}
silent=0
for port in "$@"; do (ask "$port") 2>/dev/null || silent=1; done
exit $silent
