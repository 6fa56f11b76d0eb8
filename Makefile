# Everything here works from a bare clone on a machine that has python3 >= 3.11 and a package index: each target sets up
# what it needs. `make help` lists the targets.

PYTHON ?= python3
ARGS ?=
UV_VERSION := 0.13.8

# The rooms that only compute: every branch of theirs is tested.
CORE := extproc/codec/*,extproc/providers/*,extproc/headers.py,extproc/question.py,extproc/readers.py,extproc/request_reader.py,extproc/response.py,extproc/response_reader.py,extproc/policy.py,extproc/include_usage.py,extproc/injection.py,extproc/pricing/*,extproc/stopwatch.py,extproc/runs.py,extproc/transcript.py,extproc/details.py,extproc/known.py,extproc/exchange.py,extproc/usage.py,extproc/native.py,extproc/trace_context.py

DOCKER ?= docker
IMAGE ?= ai-gateway-extproc

VENV := .venv
BIN := $(VENV)/bin
# Newer than the lock when the environment holds what the lock says.
READY := $(VENV)/.ready
# Newer than that when it also holds the dependency group of that name: bench, fuzz, browser. Whichever is made last keeps
# what the others need.
GROUP_READY := $(VENV)/.ready-

# Asks for known vulnerabilities, apart from what it asks about.
AUDITOR := $(VENV)/audit

# The benchmark's own programs.
NATIVE := $(VENV)/bench

.DEFAULT_GOAL := help
.PHONY: help setup demo test bench fuzz soak names browser lint audit image format proto docs lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup: $(READY) ## make .venv with everything locked in uv.lock

demo: $(READY) ## mock providers, the sidecar and a real Envoy, metered (ARGS=--once: show it and stop)
	@$(BIN)/extproc demo $(ARGS)

# All tests run in three processes, a file in one of them: they wait for others as often as they compute. The core is held at
# full branch coverage; a run of some of the tests is not measured.
test: $(READY) ## run the tests (ARGS="-k sse" and the like go to pytest)
ifeq ($(strip $(ARGS)),)
	$(BIN)/pytest -n 3 --dist loadfile --cov --cov-report=
	$(BIN)/coverage report --include='$(CORE)' --fail-under=100
else
	$(BIN)/pytest $(ARGS)
endif

# The 100 MB of a C compiler and the plots' library are no part of the development environment.
bench: $(NATIVE)/load $(NATIVE)/upstream ## what metering costs, measured side by side (QUICK=1: in two minutes)
	@$(BIN)/python -m bench $(if $(QUICK),--quick,$(if $(findstring --only,$(ARGS)),,--docs)) $(ARGS)

# What it finds and what it has learnt stays in .fuzz, from run to run.
fuzz: $(GROUP_READY)fuzz ## throw hostile bytes at all that reads bytes (SECONDS=60 in total, ARGS="sse session": only these)
	@PYTHONPATH=tests $(BIN)/python -m fuzz --seconds $(or $(SECONDS),60) $(ARGS)

# The scenarios: soak, kills, hostile; `make soak ARGS=--help` tells of their flags.
soak: $(READY) ## mixed traffic and all faults for MINUTES=30, and the ledger has to balance (SCENARIO=kills, hostile)
	@PYTHONPATH=tests $(BIN)/python -m soak $(or $(SCENARIO),soak) $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

NAMES ?= 1000000
names: $(NATIVE)/load $(NATIVE)/upstream ## a million models, each under another name: what stays of them (NAMES=20000)
	@PYTHONPATH=.:tests $(BIN)/python -m soak.names --names $(NAMES)

browser: $(GROUP_READY)browser ## what tests of the page need beside a Chromium: the next `make test` has them

lint: $(READY) ## ruff, formatting, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

audit: $(READY) $(AUDITOR)/.ready ## known vulnerabilities and licences of what is locked; dist/sbom.cdx.json
	@$(BIN)/python tools/audit.py --pip-audit $(AUDITOR)/bin/pip-audit $(ARGS)

# What is built says which source it is of; files have the time of its last commit, so that who builds it again gets the same.
image: ## build the sidecar's image (IMAGE=ai-gateway-extproc, DOCKER=podman, ARGS for its build)
	$(DOCKER) build --tag $(IMAGE) --build-arg UV_VERSION=$(UV_VERSION) \
	  --build-arg VERSION=$$(sed -n 's/^__version__ = "\(.*\)"$$/\1/p' extproc/__init__.py) \
	  --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) \
	  --build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null || echo 1577836800) $(ARGS) .

format: $(READY) ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

proto: $(READY) ## generate the wire code from proto/
	$(BIN)/python tools/generate_proto.py

docs: $(READY) ## write what docs/ and k8s/ have of tables, schema, Envoy's configuration, boards and alerts
	$(BIN)/python tools/generate_docs.py
	$(BIN)/python tools/generate_manifests.py
	$(BIN)/python tools/generate_scale.py

lock: $(READY) ## lock the newest dependencies that pyproject.toml allows
	$(BIN)/uv lock --upgrade

clean: ## remove what make made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage dist

# pip brings uv; uv installs what the lock says, hashes checked, from whatever index this machine uses. Byte code is
# compiled here because the command is promised to be ready within a second of its start.
$(READY): pyproject.toml uv.lock tools/setup_environment.py
	@$(PYTHON) tools/setup_environment.py --venv $(VENV) --uv $(UV_VERSION)
	@touch $@

# What only another target needs is no less to be kept.
.PRECIOUS: $(GROUP_READY)%
$(GROUP_READY)%: $(READY)
	@$(PYTHON) tools/setup_environment.py --venv $(VENV) --uv $(UV_VERSION) \
	  $(patsubst $(GROUP_READY)%,--group=%,$(sort $@ $(wildcard $(GROUP_READY)*)))
	@touch $@

$(AUDITOR)/.ready: pyproject.toml uv.lock tools/setup_environment.py
	@$(PYTHON) tools/setup_environment.py --venv $(AUDITOR) --uv $(UV_VERSION) --only-group audit
	@touch $@

$(NATIVE)/%: bench/native/%.c bench/native/common.h bench/native/histogram.h $(GROUP_READY)bench
	@mkdir -p $(NATIVE)
	@ZIG_GLOBAL_CACHE_DIR=$(NATIVE)/cache $(BIN)/python -m ziglang cc -std=gnu11 -O2 -Wall -Wextra -Werror -o $@ $<
