#!/bin/sh
# Installs what the build needs from Debian: a C compiler and cmake (pingora's zlib, aws-lc), and protoc (etcd's client).
set -eu

missing=
command -v cc > /dev/null || missing="$missing gcc libc6-dev"
command -v cmake > /dev/null || missing="$missing cmake"
command -v protoc > /dev/null || missing="$missing protobuf-compiler libprotobuf-dev"
command -v make > /dev/null || missing="$missing make"

if ! command -v cargo > /dev/null; then
	echo "Rust is missing: install it with rustup; rust-toolchain.toml names the version." >&2
	exit 1
fi
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "The build needs these packages:$missing" >&2
	echo "Install them with: sudo apt-get install$missing" >&2
	exit 1
fi
echo "installing what the build needs:$missing"
apt-get update -qq
# shellcheck disable=SC2086 # a list of names
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing > /dev/null
