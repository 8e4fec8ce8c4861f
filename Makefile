# Everything about a stack on this machine. `make help` lists the targets.
SHELL         := bash
.SHELLFLAGS   := -euo pipefail -c
.DEFAULT_GOAL := help

# The tools that are built here come first on the PATH, as they do after `eval "$(make -s env)"`.
bin    := .tools/bin
stack  := $(bin)/stack
settle := $(bin)/settle
export PATH := $(CURDIR)/$(bin):$(PATH)

# The Go modules that we write. Left out: the generated SDKs, and the folders in tools/ that only pin something.
pins    = $(foreach p,hcloud vault tls random,tools/pulumi-resource-$(p) tools/pulumi-resource-$(p)/shim)
modules = . $(filter-out go.mod sdks/% $(pins),$(shell git ls-files '*go.mod' | sed 's|/go.mod$$||'))
code    = $(shell for m in $(modules); do [ -z "$$(git ls-files "$$m/*.go")" ] || echo $$m; done)

# Another configuration than the repository's, for the stack on the local cloud.
ifdef CONFIG
export STACK_CONFIG := $(abspath $(CONFIG))
endif

comma := ,
space := $(subst ,, )

.PHONY: help preflight up down env jobs security prove-security settle tools setup test test-unit test-products test-localcloud test-e2e fuzz lint bench prove-resume prove-rotation clean $(stack) $(settle)

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { gsub(/\$$\$$/, "$$", $$2); printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

preflight: ## Say what on this machine would keep the local cloud from working; changes nothing
	@tools/preflight

up: preflight $(stack) ## Bring up the local cloud, the platform on it and the sample jobs (CONFIG=… for another configuration)
	@$(stack) up

down: $(stack) ## Destroy the platform and the local cloud; nothing is left
	@$(stack) down

env: $(stack) ## Print shell exports for the running stack: eval "$$(make -s env)"
	@$(stack) env

jobs: $(stack) ## Run the sample jobs on the running stack, and show why one is denied
	@$(stack) jobs

security: $(stack) ## Try on the running stack what jobs and machines must not be able to do, each beside its permitted twin
	@$(stack) security

prove-security: $(stack) ## Break protections of the running stack on purpose, see exactly their attempts turn red, and put all back
	@$(stack) prove-security

# The local stack needs the environment that its updates have. Any other has it from the caller.
settle: $(if $(filter-out local,$(STACK)),$(settle),$(stack)) ## Clean up after an update that was killed, so that the next can go on (STACK=… for another than local)
	@$(if $(filter-out local,$(STACK)),$(settle) --stack '$(STACK)',$(stack) settle)

test: test-unit test-products test-localcloud test-e2e ## Run every test, the fast ones first

test-unit: tools ## Test what needs neither clusters nor machines
	@for m in $(code); do echo "-- $$m"; (cd $$m && go test ./...); done

test-products: tools ## Test with real Consul, Nomad and Vault clusters on the loopback address
	@for m in . provider; do echo "-- $$m"; (cd $$m && $(CURDIR)/tools/test-tagged products -timeout 20m); done

test-localcloud: tools ## Test the local cloud with its real clients and real machines
	@cd localcloud && ../tools/test-tagged docker -count=1 -timeout 20m

test-e2e: preflight tools $(stack) ## Test the whole platform, from an empty cloud to an empty cloud
	@cd e2e && go test -tags e2e -count=1 -timeout 60m -v ./scenario

FUZZTIME ?= 30s
fuzz: ## Feed every parser of outside data with what nobody would write, each for FUZZTIME (30s)
	@git grep -oE '^func Fuzz[A-Za-z]+' -- '*_test.go' | while IFS=: read -r file target; do \
		echo "-- $${target#func } in $$(dirname "$$file")"; \
		(cd "$$(dirname "$$file")" && go test -run '^$$' -fuzz "^$${target#func }$$" -fuzztime $(FUZZTIME) .); \
	done

lint: tools ## Check code, scripts and formatting
	@for m in $(code); do echo "-- $$m"; (cd $$m && golangci-lint run --config $(CURDIR)/.golangci.yaml ./...); done
	@shellcheck $$(git ls-files | xargs grep -lE '^#!(/usr/bin/env bash|/bin/(ba)?sh)' --)

tools: setup ## Build the pinned tools, or find them in the cache
	@tools/build
	@cd localcloud && go build -o ../$(bin)/localcloud .

setup:
	@tools/setup

bench: preflight $(stack) ## Measure up, no change and destroy; figures and a timeline go to .out/bench (CLIENTS="2 20" for other sizes)
	@$(stack) bench$(if $(CLIENTS), --clients $(subst $(space),$(comma),$(strip $(CLIENTS))))

prove-resume: preflight $(stack) ## Interrupt `pulumi up` at many moments, of a new stack and of a change, and see that the next one goes on (MOMENTS="1 5" for some)
	@$(stack) prove-resume $(MOMENTS)

prove-rotation: preflight $(stack) ## Let every credential live for a minute or two, and see that users notice nothing (STEPS="1 5" for some)
	@$(stack) prove-rotation $(STEPS)

clean: ## Remove what was built here; the cache outside of the checkout stays
	rm -rf .tools .out

# Go finds out by itself what has changed, in a fraction of a second.
$(stack): $(settle)
	@cd e2e && go build -o ../$@ .

$(settle):
	@cd tools/settle && go build -o ../../$@ .
