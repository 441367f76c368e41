# Shared by the tools: where things are, and words to the person. Sourced, never run.
# shellcheck shell=bash
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
# Debian's client, where a newer one without its plug-ins stands before it in the PATH.
[ -x /usr/bin/docker ] && PATH=/usr/bin:$PATH
while IFS='=' read -r key value; do # .env, but the real environment first
  case $key in '' | \#*) ;; *) [ -n "${!key+set}" ] || export "$key=$value" ;; esac
done <"$root/.env"
export SUTFLEET_HOST_NAME=${SUTFLEET_HOST_NAME:-$(uname -n)}  # for the broker's certificate

say() { printf '\n== %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
compose() {
  if command -v docker-compose >/dev/null; then docker-compose "$@"; else docker compose "$@"; fi
}
# install_missing COMMAND=PACKAGE...: from the distribution, and only what is not there.
install_missing() {
  local pair missing=()
  for pair in "$@"; do
    case $pair in
      /*) [ -e "${pair%%=*}" ] || missing+=("${pair#*=}") ;;
      *) command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}") ;;
    esac
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  as_root apt-get update -q >/dev/null
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
}
