# The running stack. Sourced after common.sh.
# shellcheck shell=bash
sut_names() { find "$SUTFLEET_SUT_DIR" -maxdepth 1 -name '*.conf' -printf '%f\n' | sed 's/\.conf$//' | sort; }
sutctl() { SUTFLEET_ENV_FILE=$SUTFLEET_HOME/client.env "$SUTFLEET_HOME/bin/sutctl" "$@"; }
start_stack() {
  say "starting the stack '$COMPOSE_PROJECT_NAME'"
  mkdir -p "$SUTFLEET_HOME/secrets"
  compose up -d --no-build
}
install_sutctl() { # a program with its own libraries, for this host
  local id
  id=$(docker create "sutfleet/supervisor:$SUTFLEET_TAG")
  rm -rf "$SUTFLEET_HOME/ctl" && mkdir -p "$SUTFLEET_HOME/bin"
  docker cp -q "$id:/opt/sutfleet/sutctl" "$SUTFLEET_HOME/ctl" 2>/dev/null ||
    docker cp "$id:/opt/sutfleet/sutctl" "$SUTFLEET_HOME/ctl" >/dev/null
  docker rm "$id" >/dev/null
  printf '#!/bin/sh\nhere=$(dirname "$(readlink -f "$0")")/../ctl\nexec "$here/lib/loader" --library-path "$here/lib" "$here/bin/sutctl" "$@"\n' \
    >"$SUTFLEET_HOME/bin/sutctl"
  chmod 0755 "$SUTFLEET_HOME/bin/sutctl"
}
agents_ok() { # prints "<ok> <wanted>"
  local ok
  ok=$(sutctl ps --json 2>/dev/null | jq -r 'select(.agent == "ok") | .sut' | sort)
  comm -12 <(sut_names) <(printf '%s\n' "$ok") | wc -l
}
wait_for_agents() {
  local wanted ok last=-1 until=$((SECONDS + 120))
  wanted=$(sut_names | wc -l)
  say "waiting for $wanted agents"
  while ok=$(agents_ok) && [ "$ok" -lt "$wanted" ]; do
    [ "$ok" = "$last" ] || printf '   %s of %s agents say ok\n' "$ok" "$wanted" >&2
    last=$ok
    [ $SECONDS -lt $until ] || { sutctl ps >&2; die "not all agents are ok after 120 s"; }
    sleep 0.3
  done
  printf '   %s of %s agents say ok\n' "$ok" "$wanted" >&2
}
