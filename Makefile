# Two commands do all the set-up: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
export PYTHON
# What a remedy repeats, with the variables that were given, each quoted for a shell: `sudo … make PYTHON='python3.12' demo`.
given = $(strip $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name))))
export BOTFLEET_TYPED = make $(if $(given),$(foreach name,$(given),$(name)='$(subst ','\'',$(value $(name)))') )$(MAKECMDGOALS)
# From here on the time of `make test` counts.
export BOTFLEET_BEGAN := $(shell date +%s.%N)

.DEFAULT_GOAL := help
.PHONY: help venv cluster-venv demo demo-down chat try test lint unit integration e2e bench-kill bench-reply bench-memory bench-operator soak storm generate lock clean

help: ## This list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

venv: ## The virtual environment .venv, with everything pinned
	@tools/bootstrap.sh

cluster-venv: # the same, once what a cluster needs of the machine is there
	@tools/bootstrap.sh cluster

demo: cluster-venv ## A cluster, the platform installed by Helm, three bots applied, a conversation held and shown
	@$(BIN)/botfleet-demo up

demo-down: venv ## Removes the demo's cluster and all that it made
	@$(BIN)/botfleet-demo down

chat: venv ## A chat of your own with a bot of the demo: make chat BOT=hotel/concierge
	@$(BIN)/botfleet-demo chat "$(BOT)"

try: venv ## No root, no cluster: a simulated Telegram, one bot on SQLite, and a chat with it in this terminal
	@$(BIN)/botfleet-demo try

test: cluster-venv ## Everything that is tested: lint, unit, integration, end to end
	@$(BIN)/python -m botfleet_tools.testing

lint: venv ## ruff, mypy, import contracts, generated files
	@$(BIN)/python -m botfleet_tools.testing lint

unit: venv ## Tests without any process outside Python
	@$(BIN)/python -m botfleet_tools.testing unit

integration: venv ## Tests with a real PostgreSQL, Redis and kube-apiserver
	@$(BIN)/python -m botfleet_tools.testing integration

e2e: cluster-venv ## Tests in real pods on a real node
	@$(BIN)/python -m botfleet_tools.testing e2e

bench-kill: venv ## kill -9 over 10,000 messages: what was lost, doubled, out of order (10 minutes)
	@$(BIN)/python -m bench kill

bench-reply: venv ## Answer overhead and answers a second, beside a bare Telethon echo bot (5 minutes)
	@$(BIN)/python -m bench reply

bench-memory: venv ## Memory of an idle runner and its growth, beside its libraries alone (5 minutes)
	@$(BIN)/python -m bench memory

bench-operator: venv ## The operator at 10, 100 and 1,000 bots on a real API server, beside bare loops (30 minutes)
	@$(BIN)/python -m bench operator

soak: venv ## Three bots for 30 minutes, a fault every 5: memory, files, tasks, rows, time receiving, with limits
	@$(BIN)/python -m bench soak

storm: venv ## 500 bots made, edited, deleted, erased at random, some for one account; the operator killed, its API server at fault (6 minutes)
	@$(BIN)/python -m bench storm

generate: venv ## The files that are generated from the code: CRD, docs/conditions.md
	@$(BIN)/python -m botfleet_tools.generate

lock: venv ## Pins the dependencies again (requirements/*.txt)
	@for f in runner operator simulator build dev uv; do \
	  $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	    requirements/$$f.in -o requirements/$$f.txt || exit 1; done

clean: ## Removes what make made here (not the cache in your home)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage .coverage.* build
