# Two commands on a fresh machine: make demo, make test. Everything lands in .venv and target/.
# A stamp in .venv says what was done from which files, so that a second run has nothing to do.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# The interpreter to make .venv from; empty: the newest on PATH (scripts/find-python).
PYTHON ?=
# Handed on: make demo ARGS=--keep, make test PYTEST_ARGS='-k resolve', make bench BENCH_ARGS=…
ARGS ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
# make lock UPGRADE=--upgrade takes the newest versions instead of keeping those that fit.
UPGRADE ?=

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip --quiet
CORE_SOURCES := $(shell find rust -name '*.rs') Cargo.toml Cargo.lock pyproject.toml

say = @printf '==> %s\n'
installed = $(PIP) install --require-hashes $(1) || { printf '%s\n' \
	'error: the pinned packages could not be installed; pip said why above.' \
	'  hint: pip needs a package index that it can reach; its settings: $(BIN)/python -m pip config list' >&2; \
	exit 1; }

.PHONY: help demo test bench build lint types fmt clean lock \
	prerequisites lint-prerequisites lint-rust lint-python test-rust test-python

help:
	@echo 'msys-track: engagement tracking for mail injected over SMTP'
	@echo
	@echo '  make demo     build, then send mails through proxy and tracker on this machine (ARGS=--keep)'
	@echo '  make test     every check: lint, types, Rust tests, Python tests'
	@echo '  make bench    speed against peers, in one run; fails under the bars (BENCH_ARGS=…)'
	@echo '  make build    the compiled core and the command, in .venv'
	@echo '  make lint     cargo fmt, clippy, ruff, import directions'
	@echo '  make types    mypy, strict'
	@echo '  make fmt      format Rust and Python'
	@echo '  make lock     pin the Python packages again (needs uv; UPGRADE=--upgrade)'
	@echo '  make clean    remove .venv, target/ and caches'
	@echo
	@echo 'Needed: Python >= 3.11 with venv and pip, a Rust toolchain, a C linker.'

demo: build
	$(say) 'demo: mails in, tracked mails out, opens and clicks back'
	@$(BIN)/msys-track demo $(ARGS)

build: $(STAMPS)/core
	$(say) 'built: $(BIN)/msys-track'

test: lint types test-rust test-python
	$(say) 'all checks passed'

lint: lint-rust lint-python

lint-rust: | lint-prerequisites
	$(say) 'cargo fmt: is the Rust formatted?'
	@cargo fmt --check || { echo 'error: the Rust above is not formatted; hint: make fmt' >&2; exit 1; }
	$(say) 'cargo clippy: the core'
	@cargo clippy --quiet --locked --all-targets -- -D warnings
	$(say) 'cargo clippy: the core with its Python face'
	@cargo clippy --quiet --locked --all-targets --features python -- -D warnings

lint-python: $(STAMPS)/core $(STAMPS)/dev
	$(say) 'ruff: is the Python sound and formatted?'
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { \
		echo 'error: the files above are not formatted; hint: make fmt' >&2; exit 1; }
	$(say) 'lint-imports: do rooms know only the rooms below them?'
	@$(BIN)/lint-imports --no-cache

types: $(STAMPS)/core $(STAMPS)/dev
	$(say) 'mypy: do the types hold?'
	@$(BIN)/mypy

test-rust: | lint-prerequisites
	$(say) 'cargo test: the core, without Python'
	@cargo test --quiet --locked

test-python: $(STAMPS)/core $(STAMPS)/dev
	$(say) 'pytest: the package'
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

bench: $(STAMPS)/core $(STAMPS)/bench
	$(say) 'bench: building the Rust pass to compare with'
	@cargo build --quiet --locked --release --bench html
	$(say) 'bench: ours and its peers, interleaved; the bars are asserted'
	@$(BIN)/python -m pytest benches --bars --timeout=900 --benchmark-quiet $(BENCH_ARGS)

fmt: $(STAMPS)/dev | lint-prerequisites
	$(say) 'formatting'
	@cargo fmt
	@$(BIN)/ruff check --quiet --select I --fix . || true
	@$(BIN)/ruff format --quiet .

clean:
	$(say) 'removing .venv, target/, caches and the compiled core'
	@rm -rf $(VENV) target build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis \
		.benchmarks .import_linter_cache python/msys_track/_core*.so
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

prerequisites:
	@scripts/prerequisites build '$(PYTHON)'

lint-prerequisites: prerequisites
	@scripts/prerequisites lint

$(STAMPS)/venv: | prerequisites
	$(say) 'making .venv'
	@python=$$(scripts/find-python '$(PYTHON)') && $$python -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/runtime: requirements/runtime.txt requirements/build.txt $(STAMPS)/venv
	$(say) 'installing what it runs on and is built with (pinned, with hashes)'
	@$(call installed,-r requirements/runtime.txt -r requirements/build.txt)
	@touch $@

$(STAMPS)/dev: requirements/dev.txt $(STAMPS)/venv
	$(say) 'installing the tests and checks (pinned, with hashes)'
	@$(call installed,-r requirements/dev.txt)
	@touch $@

$(STAMPS)/bench: requirements/bench.txt $(STAMPS)/venv
	$(say) 'installing the peers to compare with (pinned, with hashes)'
	@$(call installed,-r requirements/bench.txt)
	@touch $@

# Editable: what changes in python/ needs no second install, only the core is built again. By pip,
# since `maturin develop` would install dependencies by their ranges.
$(STAMPS)/core: $(CORE_SOURCES) $(STAMPS)/runtime | prerequisites
	$(say) 'compiling the core and installing msys-track into .venv (minutes the first time)'
	@MATURIN_PEP517_ARGS='--profile release --locked' PATH="$(abspath $(BIN)):$$PATH" \
		$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# One resolution for all: the largest set first, the others are held to its versions.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'
lock:
	@PATH="$(BIN):$$PATH"; command -v uv >/dev/null || { \
		echo 'error: uv was not found; hint: $(BIN)/python -m pip install uv' >&2; exit 1; }
	$(say) 'pinning Python packages for CPython 3.11 and newer'
	@PATH="$(BIN):$$PATH"; \
	$(LOCK) $(UPGRADE) pyproject.toml --group dev --group bench -o requirements/bench.txt && \
	$(LOCK) -c requirements/bench.txt pyproject.toml --group dev -o requirements/dev.txt && \
	$(LOCK) -c requirements/bench.txt pyproject.toml --extra lua -o requirements/runtime.txt && \
	$(LOCK) -c requirements/bench.txt requirements/build.in -o requirements/build.txt
