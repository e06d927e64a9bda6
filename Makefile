# Two commands for newcomers, four for those who stay:
#   make up      a live app at http://todos.localhost:8080, and at https://todos.localhost:8443
#   make test    everything that proves the edge works
#   make bench   the spike lab
#   make judges  programs that are not ours judge a running edge; minutes, on a machine that does nothing else
#   make skew    the programs of an older commit against those of today; needs the history, takes minutes
#   make lint    what reviewers would otherwise have to say
#   make clean   back to a clean clone

.PHONY: up test bench judges skew lint clean build-tools test-tools

SHELL := /bin/bash
CARGO ?= cargo

up: build-tools
	$(CARGO) build --release --bins
	target/release/karman up

test: build-tools test-tools
	$(CARGO) build --workspace --bins
	$(CARGO) nextest run --workspace --no-fail-fast

bench: build-tools
	@bench/peers/install.sh
	$(CARGO) build --release --bins
	target/release/karman-bench run; ran=$$?; target/release/karman-bench headline && exit $$ran

judges: build-tools
	@proxy/tests/install-test-tools.sh
	$(CARGO) build --release -p karman-proxy --bins
	@proxy/tests/judges/run.sh target/release/karman-proxy

skew: build-tools
	@controllers/tests/skew.sh

lint: build-tools
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --workspace --test skew -- -D warnings

build-tools:
	@deploy/install-build-tools.sh

test-tools:
	@proxy/tests/install-test-tools.sh
	@$(CARGO) nextest --version > /dev/null 2>&1 || $(CARGO) install cargo-nextest --locked

clean:
	$(CARGO) clean
	rm -rf data proxy/tests/clients/node_modules
