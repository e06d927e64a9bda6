#!/usr/bin/env bash
# Lets programs that are not ours judge a running edge, after installing them (Debian 12 or later): `make judges`.
set -euo pipefail
cd "$(dirname "$0")/../../.."

readonly VENV=target/judges/venv
# Pinned: another version is another judge.
readonly WANTED="kosoku==0.1.0 sslyze==6.3.1"

main() {
    install_packages
    install_python_packages
    exec "$VENV/bin/python" proxy/tests/judges/judges.py "$@"
}

install_packages() {
    local missing=()
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    command -v openssl >/dev/null || missing+=(openssl)
    command -v slowhttptest >/dev/null || missing+=(slowhttptest)
    # What is attacked beside an edge.
    [[ -x /usr/sbin/nginx ]] || missing+=(nginx-light)
    # promtool is part of it.
    command -v promtool >/dev/null || missing+=(prometheus)
    if ((${#missing[@]} == 0)); then
        return
    elif ((EUID != 0)); then
        echo "judges: missing packages, install them as root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    echo "judges: installing ${missing[*]}"
    # Of nginx the service is not wanted.
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}" >/dev/null
}

install_python_packages() {
    if [[ "$(cat "$VENV/wanted" 2>/dev/null)" == "$WANTED" ]]; then
        return
    fi
    echo "judges: installing $WANTED"
    python3 -m venv --clear "$VENV"
    # shellcheck disable=SC2086 # a list of packages
    "$VENV/bin/pip" install --quiet --disable-pip-version-check $WANTED
    echo "$WANTED" >"$VENV/wanted"
}

main "$@"
