# What people do with a checkout. `make` alone lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help

ifeq ($(shell id -u),0)
DATA ?= /var/lib/heddle-demo
else
DATA ?= $(HOME)/.local/share/heddle-demo
endif

# Evaluated only where it is used, after prepare.sh has seen to it.
odoo = $(if $(ODOO),$(ODOO),$$(scripts/prepare.sh odoo))
target = $(or $(CARGO_TARGET_DIR),target)
walk = cargo run --quiet --release --locked --package walk --

.PHONY: help
help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "make %-13s %s\n", $$1, $$2 }'

.PHONY: release
release:
	cargo build --release --locked --package heddle --package walk

.PHONY: demo
demo: ## host two tenants of a real Odoo until Ctrl-C; EXIT=1 walks through it all and ends; DATA=, ODOO=
	@ODOO='$(ODOO)' scripts/prepare.sh demo
	@$(MAKE) --no-print-directory release
	@exec $(walk) demo --heddle '$(target)/release/heddle' --data '$(DATA)' --odoo "$(odoo)" $(if $(EXIT),--exit)

.PHONY: test
test: ## run all tests against real PostgreSQL and the real Odoo
	@scripts/test.sh

.PHONY: test-chaos
test-chaos: ## the chaos test alone; HEDDLE_CHAOS_SEED=, HEDDLE_CHAOS_RUNS=
	@scripts/test.sh --test chaos

.PHONY: lint
lint: ## formatting, clippy, the arrows between crates, licences
	@scripts/lint.sh

.PHONY: bench-host
bench-host: ## print the times of docs/benchmarks.md
	@ODOO='$(ODOO)' scripts/prepare.sh demo
	@$(MAKE) --no-print-directory release
	@exec $(walk) bench --heddle '$(target)/release/heddle' --odoo "$(odoo)"

.PHONY: bench-archive
bench-archive: ## print the archive's table of docs/benchmarks.md, beside pgBackRest; QUICK=1, ONLY=, ODOO=
	@ODOO='$(ODOO)' scripts/prepare.sh bench-archive
	@$(MAKE) --no-print-directory release
	@exec $(walk) bench-archive --heddle '$(target)/release/heddle' --odoo "$(odoo)" $(if $(ONLY),--only '$(ONLY)') $(if $(QUICK),--quick)

.PHONY: bench-queue
bench-queue: ## print the queue's table of docs/benchmarks.md, beside Graphile Worker; HELD_SECONDS=
	@scripts/prepare.sh bench-queue
	@$(MAKE) --no-print-directory release
	@exec $(walk) bench-queue --heddle '$(target)/release/heddle' --graphile "$$(scripts/prepare.sh graphile)" $(if $(ONLY),--only '$(ONLY)')

.PHONY: check-odoo
check-odoo: ## walk through it all with any Odoo: ODOO=PATH of its tree or virtual environment
	@[ -n '$(ODOO)' ] || { echo 'error: which Odoo?' >&2; echo 'hint: make check-odoo ODOO=/path/to/odoo' >&2; exit 2; }
	@ODOO='$(ODOO)' scripts/prepare.sh demo
	@$(MAKE) --no-print-directory release
	@exec $(walk) check-odoo --heddle '$(target)/release/heddle' --odoo '$(ODOO)'

.PHONY: generate
generate: ## write the reference pages that come from the code
	cargo xtask generate
