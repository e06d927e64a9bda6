#!/usr/bin/env bash
# Runs programs of an older commit, of today, and of a tomorrow with one more field against one another: `make skew`.
# usage: skew.sh [--record] [COMMIT]
#   --record  writes what the older programs said anew into tests/recorded/, which the ordinary tests replay
set -euo pipefail
cd "$(dirname "$0")/../.."

# The oldest whose programs have to work with those of today; the first that had a publisher.
readonly OLDEST=50cb58f
readonly BUILDS=target/skew

main() {
    local record=
    if [[ "${1:-}" == --record ]]; then
        record=$PWD/controllers/tests/recorded
        shift
    fi
    local old=${1:-$OLDEST}
    [[ -x "$BUILDS/$old/bin/karman" ]] || build_old "$old"
    build_tomorrow
    cargo build --workspace --bins
    KARMAN_SKEW_OLD=$PWD/$BUILDS/$old/bin KARMAN_SKEW_TOMORROW=$PWD/$BUILDS/tomorrow/bin KARMAN_SKEW_RECORD=$record \
        cargo test --workspace --test skew -- --test-threads=2
}

build_old() {
    echo "skew: building the programs of $1"
    rm -rf "${BUILDS:?}/$1"
    mkdir -p "$BUILDS/$1/source"
    git archive "$1" | tar -x -C "$BUILDS/$1/source"
    build "$1"
}

# The contract of today and two limits more, one of which does no harm where it is missing, added as the contract's pages say that a field is added.
build_tomorrow() {
    echo "skew: building the programs of tomorrow"
    local source=$BUILDS/tomorrow/source
    mkdir -p "$source"
    git ls-files -z | tar -c --null --ignore-failed-read -T - | tar -x -C "$source"
    sed -i \
        -e 's/^    pub sockets_per_second_per_client: u32,/&\n    #[serde(skip_serializing_if = "is_zero")]\n    pub tomorrow: u32,\n    #[serde(skip_serializing_if = "is_zero")]\n    pub strict: u32,/' \
        -e 's/^            sockets_per_second_per_client: 0,/&\n            tomorrow: 0,\n            strict: 0,/' \
        -e 's/^        let sockets_per_second_per_client = count(.*/&\n        let tomorrow = count("tomorrow", 0);\n        let strict = count("strict", 0);/' \
        -e 's/^            sockets_per_second_per_client: sockets_per_second_per_client?,/&\n            tomorrow: tomorrow?,\n            strict: strict?,/' \
        -e '$a\\nfn is_zero(number: \&u32) -> bool {\n    *number == 0\n}' \
        "$source/proxy/contract/src/app/terms.rs"
    sed -i \
        -e 's/^pub const LATER: &\[&str\] = &\[/&"apps.*.limits.tomorrow", "apps.*.limits.strict", /' \
        -e 's/^pub const HARMLESS: &\[&str\] = &\[/&"apps.*.limits.tomorrow", /' \
        "$source/proxy/contract/src/fields.rs"
    build tomorrow
}

build() {
    (cd "$BUILDS/$1/source" && cargo build --locked -p karman -p karman-proxy --bins --target-dir ../../build)
    mkdir -p "$BUILDS/$1/bin"
    cp "$BUILDS/build/debug/karman" "$BUILDS/build/debug/karman-proxy" "$BUILDS/$1/bin/"
}

main "$@"
