# lambdad: `make demo` shows it, `make test` tests all of it, `make help` lists the rest.
GO      ?= go
BIN     := bin
# Of the Go programs nothing is C. Process 1 of sandboxes is C without a library: any compiler will do (scripts/init.sh).
export CGO_ENABLED := 0
VERSION := $(shell git describe --tags --always 2>/dev/null || echo development)

.PHONY: help build runsc generate demo test bench fuzz clean

help:
	@echo "make build     build bin/lambdad"
	@echo "make runsc     build bin/runsc, gVisor, for --isolation=gvisor (two minutes, once)"
	@echo "make demo      build, start a server, deploy three functions, invoke them, leave the server running"
	@echo "make test      every test, as CI runs them (as root, all of them; without root, some are skipped and counted)"
	@echo "make bench     measurements, each beside a peer in the same run; results go to docs/benchmarks.md"
	@echo "make fuzz      every fuzz target for FUZZTIME (default 30s)"
	@echo "make generate  make internal/api again from models/; must leave no difference"

build:
	@mkdir -p $(BIN)
	@# Process 1 of a sandbox is embedded, so that one file is all there is to copy.
	@command -v cc >/dev/null 2>&1 || scripts/setup.sh build
	scripts/init.sh "$(CURDIR)/internal/sandbox/container/initbin/lambdad-init"
	$(GO) build -trimpath -ldflags='-s -w' -o internal/sandbox/gvisor/initbin/lambdad-gvisor-init ./cmd/lambdad-gvisor-init
	$(GO) build -trimpath -ldflags='-s -w' -o internal/sandbox/microvm/guestbin/lambdad-guest ./cmd/lambdad-guest
	$(GO) build -trimpath -o $(BIN)/lambdad ./cmd/lambdad
	@# It must not stay: a later build without make would embed a stale one.
	@rm -f internal/sandbox/container/initbin/lambdad-init internal/sandbox/gvisor/initbin/lambdad-gvisor-init \
		internal/sandbox/microvm/guestbin/lambdad-guest

runsc:
	@scripts/runsc.sh $(BIN)

generate:
	$(GO) generate ./...

demo: build
	@scripts/setup.sh demo
	@scripts/demo.sh

test:
	@scripts/setup.sh test
	$(GO) vet ./...
	@# gVisor's tests need root and runsc; where it cannot be built they are skipped and counted.
	LAMBDAD_RUNSC=$$([ "$$(id -u)" != 0 ] || scripts/runsc.sh) $(GO) run ./test/runner ./...

bench: build
	@scripts/setup.sh bench
	LAMBDAD_RUNSC=$$([ "$$(id -u)" != 0 ] || scripts/runsc.sh) $(GO) run ./test/bench -lambdad $(BIN)/lambdad -out docs/benchmarks.md

FUZZTIME ?= 30s
fuzz:
	@scripts/fuzz.sh $(FUZZTIME)

clean:
	rm -rf $(BIN)
