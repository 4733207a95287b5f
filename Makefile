# What a person types; `make help` lists it. Needs nothing but Python (3.11 to 3.14) and make.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
SUITABLE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
ifndef PYTHON
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c '$(SUITABLE)' 2>/dev/null && echo $$p && break; done)
endif

UV := .gavel/uv/bin/uv
R := requirements
# Without compiled files each process would compile its libraries anew: twice the time of everything.
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME
# OpenMP threads that spin while they wait make a busy machine ten times slower.
export OMP_WAIT_POLICY ?= PASSIVE
# uv does not read pip's settings: pass on a mirror and its certificate.
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
ifeq ($(UV_DEFAULT_INDEX),)
unexport UV_DEFAULT_INDEX
endif
export SSL_CERT_FILE ?= $(PIP_CERT)
ifeq ($(SSL_CERT_FILE),)
unexport SSL_CERT_FILE
endif

# An environment carries the checksum of the lock files (and of the folder) it was made from: a second time costs nothing.
sum = $(shell (cat $(1); pwd) | cksum | cut -d' ' -f1)
MAIN := .venv/made-from-$(call sum,$(R)/main.lock)
DEV := .venv/dev-made-from-$(call sum,$(R)/main.lock $(R)/dev.lock)
SERVING := .venv-serving/made-from-$(call sum,$(R)/serving.lock)
SERVING_TEST := .venv-serving-test/made-from-$(call sum,$(R)/serving-test.lock)

# $(call environment,FOLDER,LOCK FILES): exactly what the lock files name, each file checked by its hash.
define environment
@echo "Installing $(1)$(3) ..."
@[ -x $(1)/bin/python ] || $(UV) venv --quiet --clear --python '$(PYTHON)' $(1)
@rm -f $(1)/made-from-* $(1)/dev-made-from-*
@$(UV) pip sync --quiet --python $(1)/bin/python --require-hashes $(2)
endef

OPTIONS = $(if $(SOURCE),--source '$(SOURCE)') $(if $(DAY),--day '$(DAY)') $(if $(PORT_AIRFLOW),--port-airflow '$(PORT_AIRFLOW)') \
	$(if $(PORT_MLFLOW),--port-mlflow '$(PORT_MLFLOW)') $(if $(PORT_SERVING),--port-serving '$(PORT_SERVING)')
PYTEST ?=

# BENCH chooses parts of `make bench`, PEERS whom to measure beside us; a peer has an environment of its own.
COMMA := ,
BENCH_OPTIONS = $(if $(BENCH),--parts '$(BENCH)') $(if $(PEERS),--peers '$(PEERS)') $(if $(SECONDS),--seconds '$(SECONDS)') \
	$(if $(ROUNDS),--rounds '$(ROUNDS)') $(if $(BENCH_SOURCE),--source '$(BENCH_SOURCE)') $(if $(BENCH_DAY),--day '$(BENCH_DAY)') \
	$(if $(BENCH_WINDOW_DAYS),--window-days '$(BENCH_WINDOW_DAYS)')
BENCH_PEERS := fastapi mlserver bentoml ray
BENCH_CHOSEN = $(filter $(or $(subst $(COMMA), ,$(PEERS)),$(BENCH_PEERS)),$(BENCH_PEERS))
BENCH_NEEDED = $(if $(filter a b,$(or $(subst $(COMMA), ,$(BENCH)),a b)),$(BENCH_CHOSEN))

.PHONY: help run stop up down backup restore test test-e2e test-fuzz test-container test-compose check fix lock clean python ready bench $(BENCH_PEERS:%=bench-%)

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ready ## start everything, train on the newest day, print where to look (SOURCE=... DAY=... PORT_AIRFLOW=...)
	@$(MAKE) --silent $(MAIN) $(SERVING)
	@.venv/bin/python -m local.run $(OPTIONS)

stop: ## end every process of `make run`
	@if [ -x .venv/bin/python ]; then .venv/bin/python -m local.stop; else echo "Nothing was running."; fi

up: ## the same in containers (needs Docker): build, start, train on the newest day, say where to look
	@docker compose version >/dev/null 2>&1 || { echo "make up needs Docker with Compose v2; make run needs neither." >&2; exit 1; }
	@docker compose up --build --detach
	@docker compose run --rm first-day

down: ## end the containers of `make up`; all state stays
	@docker compose --profile celery --profile monitoring --profile tools down

backup: ## all state of `make up` into one file, every secret too (TO=FOLDER)
	@deploy/state backup '$(TO)'

restore: ## replace all state of `make up` by what a backup holds (FROM=FILE; FORCE=1 when there is state)
	@FORCE='$(FORCE)' deploy/state restore '$(FROM)'

test: $(DEV) $(SERVING) $(SERVING_TEST) ## run the tests (PYTEST='-k word' chooses)
	.venv/bin/python -m pytest -n 2 --dist loadfile --ignore tests/serving --ignore tests/contract -m 'not e2e and not container and not compose' $(PYTEST)
	.venv-serving-test/bin/python -m pytest tests/contract tests/serving -m 'not fuzz' $(PYTEST)

test-e2e: $(DEV) $(SERVING) ## run the whole stack in a copy of this folder and ask it for prices
	.venv/bin/python -m pytest tests/e2e -m e2e -s $(PYTEST)

test-fuzz: $(SERVING_TEST) ## thousands of requests derived from the OpenAPI document
	.venv-serving-test/bin/python -m pytest tests/serving -m fuzz $(PYTEST)

test-container: $(DEV) ## build the serving image and try it (needs Docker)
	.venv/bin/python -m pytest tests/container -m container $(PYTEST)

test-compose: $(DEV) ## bring up docker-compose.yaml, feed it days, restart and kill its services (needs Docker; 15 minutes)
	.venv/bin/python -m pytest tests/compose -m compose -s $(PYTEST)

check: $(DEV) ## look for mistakes without running anything: ruff, mypy, the walls between the packages
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

fix: $(DEV) ## let ruff format and mend the code
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: $(MAIN) $(SERVING) ## measure serving beside its peers, 20 minutes (BENCH=a,c PEERS=fastapi,mlflow BENCH_SOURCE=folder:PATH ...)
	@for peer in $(BENCH_NEEDED); do $(MAKE) --silent bench-$$peer || echo "$$peer cannot be installed here and is left out"; done
	@.venv-serving/bin/python -m benchmarks.serving $(BENCH_OPTIONS)

lock: $(UV) ## write requirements/*.lock anew from the .in files beside them
	@for name in main dev server serving serving-test $(BENCH_PEERS:%=bench-%); do $(UV) pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-annotate --no-header $(R)/$$name.in -o $(R)/$$name.lock; done

clean: stop ## remove the environments and all state, data and models of `make run`
	rm -rf .gavel .venv .venv-serving .venv-serving-test

ready: python
	@$(PYTHON) -m local.preflight $(OPTIONS)

python:
	@'$(PYTHON)' -c '$(SUITABLE)' 2>/dev/null || { \
	echo "Gavel needs Python 3.11 to 3.14$(if $(PYTHON), and '$(PYTHON)' is not one,, and there is none here): name one with PYTHON=..." >&2; exit 1; }

$(UV): $(R)/uv.lock | python
	@echo "Fetching uv ..."
	@rm -rf .gavel/uv
	@'$(PYTHON)' -m venv .gavel/uv || { \
	echo "This Python has no venv module: install it (on Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@.gavel/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(R)/uv.lock
	@touch $@

$(MAIN): | $(UV)
	$(call environment,.venv,$(R)/main.lock, (about 1.2 GB: some minutes the first time))
	@touch $@

$(DEV): | $(UV)
	$(call environment,.venv,$(R)/main.lock $(R)/dev.lock)
	@touch $(MAIN) $@

$(SERVING): | $(UV)
	$(call environment,.venv-serving,$(R)/serving.lock)
	@touch $@

$(SERVING_TEST): | $(UV)
	$(call environment,.venv-serving-test,$(R)/serving-test.lock)
	@touch $@

define peer_environment
bench-$(1): .gavel/bench/$(1)/made-from-$(call sum,$(R)/bench-$(1).lock)
.gavel/bench/$(1)/made-from-$(call sum,$(R)/bench-$(1).lock): | $(UV)
	$$(call environment,.gavel/bench/$(1),$(R)/bench-$(1).lock)
	@touch $$@
endef
$(foreach peer,$(BENCH_PEERS),$(eval $(call peer_environment,$(peer))))
