# make demo     set up, then run one kernel bare and under a monitor and compare them
# make test     set up, then every check there is: lint, format, types, imports, tests, coverage
# make help     the rest
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
# Stamps say what .venv holds, so that set-up runs once and again only when pyproject.toml changes.
DEMO_READY := .venv/.ready-demo
DEV_READY := .venv/.ready-dev
# Two test processes suit the two cores that a small machine has; more only multiply compilation.
WORKERS ?= 2
PARALLEL := -n $(WORKERS) --dist worksteal
COVERAGE_GATE := 90
# Which forms of the instruction table the tests have executed.
FORMS := .trapgate_cache/forms

.PHONY: help demo test lint format generate classification readme bench clean \
        check-style check-types check-imports check-generated \
        test-compiled test-full test-fuzz test-mutants test-bounds test-coverage

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

$(DEMO_READY): pyproject.toml .ci/setup
	@.ci/setup demo
	@touch $@

$(DEV_READY): pyproject.toml .ci/setup
	@.ci/setup dev
	@touch $@ $(DEMO_READY)

demo: $(DEMO_READY) ## set up, then compare the toy kernel bare and under a monitor
	@echo "demo: trapgate compare guests/minikernel"
	@$(BIN)/trapgate compare guests/minikernel

test: $(DEV_READY) lint test-compiled test-bounds test-coverage ## set up, then every check there is
	@echo "test: everything passed"

lint: check-style check-types check-imports check-generated ## style, format, types, imports, generated files

check-style: $(DEV_READY)
	@echo "lint: ruff"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }

check-types: $(DEV_READY)
	@echo "lint: mypy --strict"
	@$(BIN)/mypy

check-imports: $(DEV_READY)
	@echo "lint: import contracts"
	@$(BIN)/lint-imports

check-generated: $(DEV_READY)
	@echo "lint: generated files match the instruction table"
	@$(BIN)/python -m tools.generate --check

test-compiled: $(DEV_READY)
	@echo "test: main run, compiled code, $(WORKERS) processes"
	@$(BIN)/python -m isa.compilation
	@$(BIN)/python -m pytest -q $(PARALLEL)

test-full: $(DEV_READY) ## compare with every oracle exhaustively; writes docs/conformance.md
	@$(BIN)/python -m isa.compilation
	@$(BIN)/python -m tests.oracles.conformance --workers $(WORKERS)

test-mutants: $(DEV_READY) ## plant errors in privileged instructions; every property must notice
	@$(BIN)/python -m tests.mutants --workers $(WORKERS) --page

test-fuzz: $(DEV_READY) ## ten million accesses to all devices, 100,000 damaged images to all loaders
	@TRAPGATE_FUZZ_ACCESSES=10000000 $(BIN)/python -m pytest -q -n $(WORKERS) tests/isa/devices/test_device_fuzz.py
	@$(BIN)/python -m tests.fuzz.images --count 100000

test-bounds: $(DEV_READY)
	@echo "test: the machine again, with bounds checks in the compiled code"
	@NUMBA_BOUNDSCHECK=1 $(BIN)/python -m isa.compilation
	@NUMBA_BOUNDSCHECK=1 $(BIN)/python -m pytest -q $(PARALLEL) -m bounds

# The machine is measured in plain Python, where every line that runs is seen; the monitors, which
# are plain Python anyway, need the compiled machine below them to get anywhere.
test-coverage: $(DEV_READY)
	@echo "test: coverage (at least $(COVERAGE_GATE) %), the machine in plain Python"
	@rm -rf .coverage .coverage.* $(FORMS)
	@NUMBA_DISABLE_JIT=1 $(BIN)/coverage run -m pytest -q $(PARALLEL) \
		-p tests.oracles.form_recorder --forms $(FORMS) -m "not compiled and not slow" tests/isa tests/tools tests/oracles
	@$(BIN)/coverage run --source=hypervisor,tools,isa.machine,isa.ledger,isa.devices \
		-m pytest -q $(PARALLEL) -m "not slow" \
		tests/hypervisor tests/equivalence tests/tools/test_run_verb.py tests/tools/test_compare_verb.py
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --fail-under=$(COVERAGE_GATE)
	@echo "test: which forms of the instruction table the tests have executed"
	@$(BIN)/python -m tests.oracles.table_coverage $(FORMS)

format: $(DEV_READY) ## rewrite sources in the project's format
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

generate: $(DEV_READY) ## write what is derived from the instruction table
	@$(BIN)/python -m tools.generate

classification: $(DEMO_READY) ## write docs/popek-goldberg.md, the classes of every instruction
	@$(BIN)/python -m tools.popek_goldberg.document

readme: $(DEMO_READY) ## write the session that README.md shows
	@$(BIN)/python -m tools.readme_session

bench: $(DEV_READY) ## measure start-up, speed and the price of a trap
	@$(BIN)/python -m benchmarks

clean: ## remove everything that can be made again
	rm -rf .venv .numba_cache .trapgate_cache build dist *.egg-info htmlcov .coverage .coverage.*
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
