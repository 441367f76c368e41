# The base image and the stack's images. Sourced after common.sh.
# shellcheck shell=bash
base=debian:bookworm-slim
base_image() { # there -> pulled -> bootstrapped from the distribution's packages
  docker image inspect "$base" >/dev/null 2>&1 && return
  say "base image $base: trying to pull it"
  timeout 20 docker pull -q "$base" >/dev/null 2>&1 && return
  say "no image registry answers: bootstrapping $base from the distribution's packages (about 30 s)"
  install_missing mmdebstrap=mmdebstrap
  TMPDIR=$([ -w /dev/shm ] && echo /dev/shm || echo /tmp) as_root mmdebstrap --quiet --mode=root --variant=minbase \
    bookworm - 2>/dev/null | docker import -c 'CMD ["bash"]' - "$base" >/dev/null
}
build_images() {
  local name
  say "building the images (tag $SUTFLEET_TAG)"
  for name in broker agent supervisor; do
    case $name in
      broker) set -- -f broker/Dockerfile . ;;
      agent) set -- -f agent-entry/Dockerfile agent-entry ;;
      supervisor) set -- -f supervisor/Dockerfile --target supervisor . ;;
    esac
    DOCKER_BUILDKIT=1 docker build -q --network host -t "sutfleet/$name:$SUTFLEET_TAG" "$@" >/dev/null ||
      DOCKER_BUILDKIT=1 docker build --network host -t "sutfleet/$name:$SUTFLEET_TAG" "$@" || die "cannot build sutfleet/$name"
  done
}
