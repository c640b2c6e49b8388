# Run make without a target to list the targets. Tools are pinned here and run by
# .ci/tool, so a checkout needs only Go.

GOLANGCI_LINT_VERSION := v2.12.2
GOLANGCI_LINT := .ci/tool github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

export GOTESTSUM_VERSION := v1.13.0

FUZZTIME := 30s
SEEDS := 10000
KILLS := 5
# The runs of .ci/test.
RUNS := all

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## install what is missing and start the demo
	@.ci/install run
	@exec bin/waypost demo $(ARGS)

.PHONY: build
build: ## build bin/waypost
	@go build -o bin/waypost ./cmd/waypost

# Nothing here needs C but the race detector. With it, every program that stores events would
# contain a C library, which takes long to compile and to link.
build test verify lint tools: export CGO_ENABLED := 0

# Without it, Go's cache holds compiled packages for each directory, so a clean checkout compiles all of them again: compiling
# and linking the tests took 290 s of CPU time, and 80 s with it.
export GOFLAGS := $(GOFLAGS) -trimpath

.PHONY: test
ifndef EVENTSTORE_URL
test: deps ## run all tests on real stores; with RUNS="others raced", some of them with the race detector
	@.ci/test $(RUNS)
else
test: deps # test another event store: what Waypost needs from it, and Waypost on it
	REQUIRE_STORES=1 EVENTSTORE_URL='$(EVENTSTORE_URL)' go test -count=1 -v -run '^TestGivenStore' ./adapters/eventstore ./cmd/...
endif

.PHONY: deps
deps: ## install what the tests need: Postgres, Chromium, a C compiler, brokers, npm packages
	@.ci/install test

.PHONY: verify
verify: ## fail if generated files, go.mod, or the format are out of date
	@.ci/verify

# graph comes first, because the other generators compile it.
.PHONY: generate
generate: ## regenerate the generated files
	go generate ./graph ./...

.PHONY: lint
lint: ## run golangci-lint with the rules in .golangci.yml
	$(GOLANGCI_LINT) run

.PHONY: tools
tools:
	@$(GOLANGCI_LINT) version
	@.ci/tool gotest.tools/gotestsum@$(GOTESTSUM_VERSION) --version

.PHONY: fmt
fmt: ## format the code
	$(GOLANGCI_LINT) fmt

.PHONY: bench
bench: build ## measure throughput and latency against the simulator
	@.ci/install run
	@bin/waypost bench $(ARGS)

.PHONY: chaos
chaos: build ## kill Waypost under load repeatedly, and count lost and duplicate messages
	@.ci/install run
	@bin/waypost bench chaos $(ARGS)

# The targets below take longer than a change should wait for. They run nightly, and
# `make test` runs a sample of each.

.PHONY: simulation
simulation: ## simulate dispatch for SEEDS (10000) seeds, and for fewer under the race detector
	go test -count=1 -v -timeout 60m -run '^TestSeeds$$' ./ports/dispatch/simulation -runs $(SEEDS)
	go test -count=1 -v -timeout 60m -race ./ports/dispatch/simulation

.PHONY: brokers
brokers: deps ## kill each broker and its consumer KILLS (5) times while commands and events flow
	REQUIRE_STORES=1 go test -count=1 -v -timeout 60m -run '^TestNothingIsLost$$' ./adapters/broker -kills $(KILLS)

.PHONY: race
race: deps ## run all tests that share a process with what they test, with the race detector
	REQUIRE_STORES=1 go test -race -tags pebblegozstd -count=1 -shuffle=on -timeout 60m $$(go list ./... | grep -v -e /e2e -e /broker$$ -e /eventstore$$)
	REQUIRE_STORES=1 go test -race -tags pebblegozstd -short -count=1 ./adapters/broker ./adapters/eventstore

.PHONY: conformance
conformance: ## compare the embedded event store with recorded responses of EventStoreDB, and run official clients on it
	@.ci/conformance

.PHONY: fuzz
fuzz: ## run each fuzz test for FUZZTIME (30s)
	@.ci/fuzz $(FUZZTIME)

.PHONY: upgrade
upgrade: deps ## build the first release, open its data and backup, and run it next to this version
	REQUIRE_STORES=1 go test -count=1 -v -timeout 30m -run 'OfAnEarlierVersion|NodesOfTwoVersions' ./cmd/...

.PHONY: soak
soak: build ## seed five million messages and rebuild their read models, then kill Waypost for minutes
	@.ci/install run
	bin/waypost bench seed --messages 5000000 --senders 1000 --verify
	bin/waypost bench chaos --kills 50

.PHONY: screenshots
screenshots: deps ## store an image of each view of the web UI in bin/screenshots: both themes, wide and narrow
	@mkdir -p bin/screenshots
	REQUIRE_STORES=1 PAGE_SCREENSHOTS='$(CURDIR)/bin/screenshots' go test -count=1 -run '^TestPageShowsAndDrivesTheDemo$$' ./cmd/waypost/internal/e2e

.PHONY: frames
frames: deps ## measure the frames and the CPU time of the web UI with 50 senders
	REQUIRE_STORES=1 PAGE_FRAMES=1 go test -count=1 -v -timeout 20m -run '^TestPageDrawsWithoutDroppedFrames$$' ./cmd/waypost/internal/e2e

.PHONY: clean
clean: ## remove build output
	rm -rf bin
