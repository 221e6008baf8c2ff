# Sourced by tools/quickstart, tests/run and bench/compare: what a bare Debian 12 machine lacks, and
# installing it.
# One list a purpose; apt is only asked for what is missing.

packages_build="cmake ninja-build g++ pkg-config libevent-dev libuv1-dev libjemalloc-dev
  libspdlog-dev libfmt-dev libtomlplusplus-dev libcli11-dev nlohmann-json3-dev libexpected-dev
  clang bpftool libbpf-dev libspandsp-dev libopus-dev libspeexdsp-dev
  libssl-dev libwslay-dev libsndfile1-dev libpcap-dev libsrtp2-dev"
packages_demo="python3 python3-websockets iproute2 nftables espeak-ng"
packages_compare="python3 iproute2 nftables procps util-linux rtpengine-daemon"
packages_test="doctest-dev libbenchmark-dev python3 iproute2 nftables kamailio sip-tester
  tshark mandoc procps rtpengine-daemon python3-websockets nodejs node-ws openssl flite
  pocketsphinx pocketsphinx-en-us libclang-rt-dev llvm"

# install_missing PACKAGE…: installs with apt what dpkg does not know as installed.
install_missing() {
  local package missing=()
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' ||
      missing+=("$package")
  done
  [ "${#missing[@]}" -eq 0 ] && return 0
  if ! command -v apt-get >/dev/null; then
    echo "This machine has no apt-get; please install what corresponds to: ${missing[*]}" >&2
    return 1
  fi
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
      echo "Not root and no sudo: please install ${missing[*]}" >&2
      return 1
    }
    as_root=(sudo)
  fi
  echo "Installing with apt: ${missing[*]}"
  # Debian starts the services it installs; nobody asked for a running SIP proxy here.
  local policy=/usr/sbin/policy-rc.d made_policy=
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
    made_policy=yes
  fi
  local log status=0
  log=$(mktemp)
  { "${as_root[@]}" apt-get update -q &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 || status=$?
  [ -z "$made_policy" ] || "${as_root[@]}" rm -f "$policy"
  if [ "$status" -ne 0 ]; then
    tail -n 20 "$log" >&2
    echo "apt could not install: ${missing[*]}" >&2
  fi
  rm -f "$log"
  return "$status"
}

# build_preset PRESET [TARGET…]: configures and builds, quietly unless it fails.
build_preset() {
  local preset=$1 log
  shift
  log=$(mktemp)
  echo "Building preset $preset"
  if cmake --preset "$preset" >"$log" 2>&1 &&
    cmake --build --preset "$preset" ${1:+--target "$@"} >>"$log" 2>&1; then
    rm -f "$log"
    return 0
  fi
  tail -n 60 "$log" >&2
  rm -f "$log"
  return 1
}
