# make without a target lists them. Tools are pinned here and run by `go run`, so
# that all that a checkout needs is Go.

GOLANGCI_LINT_VERSION := v2.12.2
GOLANGCI_LINT := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

# Where goroutines share state; everything else is run without the detector, which
# makes it five to ten times slower.
RACE := ./adapters/... ./ports/... ./graph/...

FUZZTIME := 30s

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

# The tests of the whole platform take longest and mostly wait: they begin first.
.PHONY: test
ifndef EVENTSTORE_URL
test: deps verify ## all that proves a change, on real stores: generated files, vet, tests, races
	go vet ./...
	REQUIRE_STORES=1 go test -timeout 40m -count=1 -shuffle=on ./cmd/waypost ./...
	REQUIRE_STORES=1 go test -timeout 40m -count=1 -short -race $(RACE)
else
test: deps # what the platform needs of an event store, and the platform on it, held to the given one
	REQUIRE_STORES=1 EVENTSTORE_URL='$(EVENTSTORE_URL)' go test -count=1 -v -run '^TestGivenStore' ./adapters/eventstore ./cmd/waypost
endif

.PHONY: deps
deps: ## install what the tests need: Postgres, Chromium, a C compiler
	@.ci/install test

.PHONY: verify
verify: ## fail if generated files, go.mod or the format are not up to date
	@.ci/verify

.PHONY: generate
generate: ## make the generated files again
	go generate ./...

.PHONY: lint
lint: ## golangci-lint, with the rules of .golangci.yml
	$(GOLANGCI_LINT) run

.PHONY: lint-tool
lint-tool:
	@$(GOLANGCI_LINT) version

.PHONY: fmt
fmt: ## format the code
	$(GOLANGCI_LINT) fmt

.PHONY: bench
bench: build ## measure throughput and latency against the simulator
	@.ci/install run
	@bin/waypost bench $(ARGS)

.PHONY: chaos
chaos: build ## kill -9 under load, again and again, and count what is lost or sent twice
	@.ci/install run
	@bin/waypost bench chaos $(ARGS)

.PHONY: conformance
conformance: ## hold the embedded event store to the official Go and Node clients
	@.ci/conformance

.PHONY: fuzz
fuzz: ## run each fuzz test for FUZZTIME (30s)
	@.ci/fuzz $(FUZZTIME)

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
