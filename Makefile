# The one place for commands and tool versions; CI calls the same targets.

GO            ?= go
GOLANGCI_LINT ?= $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK   ?= $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0
REDOCLY       ?= npx --yes @redocly/cli@2.77.0
OASDIFF       ?= $(GO) run github.com/oasdiff/oasdiff@v1.35.0
FUZZTIME      ?= 20s
BENCHROUNDS   ?= 15
TEST_USER     ?= nobody

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: ## Run all tests: unit, contract, end to end; race detector on, offline.
	$(GO) test -race -shuffle=on ./...

.PHONY: test-static
test-static: ## Run the tests of isolation in a program without C code, which has more of it.
	CGO_ENABLED=0 $(GO) test -run='Attack|Agent|Isolation' ./internal/runtime

.PHONY: test-user
test-user: ## Run the tests of isolation as the ordinary user TEST_USER, from root.
	GO=$(GO) ./.ci/as-user $(TEST_USER) internal/runtime

.PHONY: interop
interop: ## Run the official SDKs, from their registries, against the local server.
	$(GO) test -v -tags=interop -count=1 -timeout=30m ./contract_test/interop

.PHONY: interop-update
interop-update: ## Run them and write docs/compatibility.md.
	$(GO) test -v -tags=interop -count=1 -timeout=30m ./contract_test/interop -update

.PHONY: contract-live
contract-live: ## Run the contract table against LangSmith; see CONTRIBUTING.md for what it needs and costs.
	$(GO) test -v -tags=live -count=1 -timeout=45m -run='^TestContractLive$$' ./contract_test

.PHONY: bench
bench: ## Run the benchmarks; those against the floor client take BENCHROUNDS rounds each.
	$(GO) test -run='^$$' -bench=. -benchmem $$($(GO) list ./... | grep -v /bench$$)
	$(GO) test -run='^$$' -bench=. -benchtime=$(BENCHROUNDS)x -timeout=1h ./bench

.PHONY: bench-check
bench-check: ## Run the benchmarks against the floor client once, small, to see that they work.
	$(GO) test -run='^$$' -bench=. -benchtime=1x ./bench -mib=1

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME.
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; $(GO) test -run='^$$' -fuzz="^$$f$$" -fuzztime=$(FUZZTIME) $$pkg; \
	  done; \
	done

.PHONY: generate
generate: ## Regenerate the code that openapi.yaml drives.
	$(GO) generate ./...

.PHONY: check-generated
check-generated: generate ## Fail if generated code is not what openapi.yaml says.
	@git diff --exit-code -- gen internal/genserver
	@test -z "$$(git status --porcelain -- gen internal/genserver)"

.PHONY: fmt
fmt: ## Format the code.
	$(GOLANGCI_LINT) fmt ./...

.PHONY: lint
lint: ## Lint the code.
	$(GO) vet ./...
	$(GO) vet -tags=live ./contract_test
	$(GOLANGCI_LINT) run ./...

.PHONY: lint-spec
lint-spec: ## Lint the API description.
	$(REDOCLY) lint openapi.yaml

.PHONY: spec-diff
spec-diff: ## Show what changed in the API since BASE, the last tag if unset, and whether it breaks clients.
	@base="$(BASE)"; \
	test -n "$$base" || base=$$(git describe --tags --abbrev=0 2>/dev/null) || \
	  { echo "there is no tag yet: make spec-diff BASE=<commit>" >&2; exit 2; }; \
	before=$$(mktemp) && trap 'rm -f "$$before"' EXIT && \
	git show "$$base:openapi.yaml" > "$$before" && \
	$(OASDIFF) changelog "$$before" openapi.yaml && \
	if $(OASDIFF) breaking --fail-on ERR "$$before" openapi.yaml >/dev/null 2>&1; \
	then echo "since $$base: no change breaks clients"; \
	else echo "since $$base: changes marked error break clients"; fi

.PHONY: tidy-check
tidy-check: ## Fail if go.mod or go.sum is not tidy.
	$(GO) mod tidy -diff
	$(GO) mod verify

.PHONY: vuln
vuln: ## Scan for known vulnerabilities.
	$(GOVULNCHECK) ./...

.PHONY: cross
cross: ## Compile for the other platforms.
	CGO_ENABLED=0 GOOS=linux   GOARCH=arm64 $(GO) build ./...
	CGO_ENABLED=0 GOOS=darwin  GOARCH=arm64 $(GO) build ./...
	CGO_ENABLED=0 GOOS=windows GOARCH=amd64 $(GO) build ./...
	CGO_ENABLED=0 GOOS=linux   GOARCH=386   $(GO) build ./sandboxclient ./gen ./internal/transport

.PHONY: readme
readme: ## Run the README's commands.
	./.ci/readme

.PHONY: ci
ci: check-generated tidy-check lint lint-spec cross test test-static bench-check readme ## Everything the merge gate checks, but the vulnerability scan.
