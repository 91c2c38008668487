# Two commands on a fresh machine: make demo, make test. Everything lands in .venv and target/.
# A stamp in .venv says what was done from which files, so that a second run has nothing to do.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# The interpreter to make .venv from; empty: the newest on PATH (scripts/find-python).
PYTHON ?=
# Handed on: make demo ARGS=--keep, make test PYTEST_ARGS='-k resolve', make bench BENCH_ARGS=…,
# make corpus CORPUS_ARGS='--every 20', make soak SOAK_ARGS='--seconds 600 --seed 7',
# make wheel-check WHEEL_ARGS='--bars --python python3.13'.
ARGS ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
CORPUS_ARGS ?=
FIDELITY_ARGS ?=
SOAK_ARGS ?=
WHEEL_ARGS ?=
# make lock UPGRADE=--upgrade takes the newest versions instead of keeping those that fit.
UPGRADE ?=

# Tests in three processes for each core, as many a test waits, the longest files first; a file's
# tests stay together, as fixtures of a module are costly. make test PARALLEL= runs them one after
# the other.
PROCESSES = $(shell echo $$((3 * $$(getconf _NPROCESSORS_ONLN))))
PARALLEL ?= -n $(PROCESSES) --dist loadfile --no-loadscope-reorder
# What pytest makes of the tests' assertions is kept, whatever the environment says of bytecode.
TEST_ENVIRONMENT = env -u PYTHONDONTWRITEBYTECODE TMPDIR="$$(scripts/test-folder)"
# Percent: branches in Python, also together with lines; lines in Rust. Raise them when more is reached.
PYTHON_FLOOR := 98
RUST_FLOOR := 97
# What only tests or Python run: neither counts for the core.
TEST_FILES := (tests|vectors)\.rs$$|rust/python/|/htmlize-

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip --quiet
CORE_SOURCES := $(shell find rust -name '*.rs') Cargo.toml Cargo.lock pyproject.toml
PROFILE := target/profile/core.profdata
HOST = $(shell rustc --print host-tuple)

say = @printf '==> %s\n'
install_core = MATURIN_PEP517_ARGS='--profile release --locked $(1)' PATH="$(abspath $(BIN)):$$PATH" \
	$(PIP) install --no-deps --no-build-isolation --editable .
installed = $(PIP) install --require-hashes $(1) || { printf '%s\n' \
	'error: the pinned packages could not be installed; pip said why above.' \
	'  hint: pip needs a package index that it can reach; its settings: $(BIN)/python -m pip config list' >&2; \
	exit 1; }

.PHONY: help demo test bench bench-smtp bench-streams soak corpus build lint types fmt clean lock \
	pages pictures coverage audit prerequisites lint-prerequisites lint-rust lint-python lint-words \
	test-rust test-python test-thorough wheel wheel-check workflows site fidelity bench-check \
	bench-baseline \
	coverage-rust coverage-python audit-rust audit-python

help:
	@echo 'msys-track: engagement tracking for mail injected over SMTP'
	@echo
	@echo '  make demo     build, then send mails through proxy and tracker on this machine (ARGS=--keep)'
	@echo '  make test     every check: lint, types, Rust tests, Python tests'
	@echo '  make test-thorough  the Python tests with all examples and crossings, which takes longer'
	@echo '  make bench    speed against peers, in one run; fails under the bars (BENCH_ARGS=…)'
	@echo '  make bench-smtp  the proxy beside haproxy as a TCP hop; fails under the bars (BENCH_ARGS=…)'
	@echo '  make bench-streams  events to Kafka and RabbitMQ, and trackers to stores over Kafka (BENCH_ARGS=…)'
	@echo '  make bench-http  the tracker beside nginx; fails under the bars (BENCH_ARGS=…)'
	@echo '  make bench-check  ratios to our peers against those of the last release; fails where we are slower'
	@echo '  make bench-baseline  keeps the ratios of this tree for that, before a release'
	@echo '  make soak     faults under load, with an account of every mail (SOAK_ARGS=…)'
	@echo '  make corpus   fidelity over ../shared/corpus, judged by readers of other hands'
	@echo '  make fidelity  what we and our peers do to mails, for docs/fidelity.md (FIDELITY_ARGS=…)'
	@echo '  make build    the compiled core and the command, in .venv'
	@echo '  make lint     cargo fmt, clippy, ruff, import directions, spelling'
	@echo '  make types    mypy, strict'
	@echo '  make coverage every test once more, measured; fails under the floors'
	@echo '  make audit    known faults, licences and sources of what is used (needs cargo-deny)'
	@echo '  make fmt      format Rust and Python'
	@echo '  make pages    write what is made from the code into docs/'
	@echo '  make wheel    into dist/: a wheel that needs no Rust where it is installed, and the source'
	@echo '  make wheel-check  both installed in clean environments, on every CPython here (WHEEL_ARGS=…)'
	@echo '  make workflows  the files of .github, read by zizmor and, where it is, actionlint'
	@echo '  make site     the manual as pages to read in a browser, in site/'
	@echo '  make pictures  the bench and the report into docs/images (needs Chromium and npm)'
	@echo '  make lock     pin the Python packages again (needs uv; UPGRADE=--upgrade)'
	@echo '  make clean    remove .venv, target/ and caches'
	@echo
	@echo 'Needed: Python >= 3.11 with venv and pip, a Rust toolchain, a C linker.'

demo: build
	$(say) 'demo: mails in, tracked mails out, opens and clicks back'
	@$(BIN)/msys-track demo $(ARGS)

build: $(STAMPS)/core
	$(say) 'built: $(BIN)/msys-track'

# Types and Rust are checked while the Python tests wait; what is said of them comes behind.
test: lint
	@mkdir -p target && $(MAKE) --no-print-directory types test-rust >target/checks.txt 2>&1 & checks=$$!; \
	$(MAKE) --no-print-directory test-python; python=$$?; \
	wait $$checks; code=$$?; cat target/checks.txt; exit $$((code ? code : python))
	$(say) 'all checks passed'

lint: lint-rust lint-python lint-words

lint-rust: | lint-prerequisites
	$(say) 'cargo fmt: is the Rust formatted?'
	@cargo fmt --check || { echo 'error: the Rust above is not formatted; hint: make fmt' >&2; exit 1; }
	$(say) 'cargo clippy: the core'
	@cargo clippy --quiet --locked --all-targets --features fuzzing -- -D warnings
	$(say) 'cargo clippy: the core with its Python face'
	@cargo clippy --quiet --locked --all-targets --features python -- -D warnings

lint-python: $(STAMPS)/core $(STAMPS)/dev
	$(say) 'ruff: is the Python sound and formatted?'
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { \
		echo 'error: the files above are not formatted; hint: make fmt' >&2; exit 1; }
	$(say) 'lint-imports: do rooms know only the rooms below them?'
	@$(BIN)/lint-imports --no-cache

lint-words: $(STAMPS)/dev
	$(say) 'codespell: misspellings, and docs/words-to-avoid.txt'
	@$(BIN)/codespell

types: $(STAMPS)/core $(STAMPS)/dev
	$(say) 'mypy: do the types hold?'
	@$(BIN)/mypy

test-rust: | lint-prerequisites
	$(say) 'cargo test: the core, without Python'
	@cargo test --quiet --locked

test-python: $(STAMPS)/core $(STAMPS)/dev
	$(say) 'pytest: the package'
	@$(TEST_ENVIRONMENT) $(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

# All examples, all of the corpus, all crossings: what CI runs each night (tests/thoroughness.py).
test-thorough: $(STAMPS)/core $(STAMPS)/dev
	$(say) 'pytest: the package, thoroughly'
	@$(TEST_ENVIRONMENT) MSYS_TRACK_THOROUGH=1 $(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

# Not part of `make test`: measured, the Python tests need twice the processor time on CPython 3.11.
coverage: coverage-rust coverage-python
	$(say) 'the floors hold'

coverage-rust: | prerequisites
	@cargo llvm-cov --version >/dev/null 2>&1 || { printf '%s\n' \
		'error: cargo-llvm-cov was not found.' \
		'  hint: cargo install cargo-llvm-cov --locked' >&2; exit 1; }
	$(say) 'cargo llvm-cov: which lines of the core do its tests reach?'
	@cargo llvm-cov --locked --quiet --ignore-filename-regex '$(TEST_FILES)' \
		--fail-under-lines $(RUST_FLOOR) || { printf '%s\n' \
		'error: the tests failed, reach less than $(RUST_FLOOR) % of the lines, or LLVM is missing; see above.' \
		'  hint: it needs llvm-cov and llvm-profdata 19 or newer: rustup component add llvm-tools, or' \
		'  LLVM_COV and LLVM_PROFDATA name them (Debian: llvm-19, /usr/bin/llvm-cov-19).' >&2; exit 1; }

coverage-python: $(STAMPS)/core $(STAMPS)/dev
	$(say) 'coverage: which branches of the package do its tests reach?'
	@mkdir -p target/coverage && $(BIN)/coverage erase
	@$(TEST_ENVIRONMENT) $(BIN)/coverage run -m pytest $(PARALLEL) $(PYTEST_ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --fail-under=$(PYTHON_FLOOR)
	@$(BIN)/coverage json --quiet -o target/coverage-python.json
	@$(BIN)/python scripts/check-branches target/coverage-python.json $(PYTHON_FLOOR)

audit: audit-rust audit-python

audit-rust: | prerequisites
	@cargo deny --version >/dev/null 2>&1 || { printf '%s\n' \
		'error: cargo-deny was not found.' \
		'  hint: cargo install cargo-deny --locked' >&2; exit 1; }
	$(say) 'cargo deny: licences, sources and crates that are not wanted (deny.toml)'
	@cargo deny --log-level error --offline check licenses bans sources
	$(say) 'cargo deny: known faults'
	@cargo deny --log-level error check advisories || { printf '%s\n' \
		'error: a crate has a known fault, or the list of faults could not be had; see above.' \
		'  hint: cargo-deny fetches the list of RustSec; where that cannot be reached,' \
		'  run make audit on a machine that reaches it: the versions are those of Cargo.lock.' >&2; exit 1; }

audit-python: $(STAMPS)/audit
	$(say) 'pip-audit: known faults of the Python packages'
	@for pins in runtime dev bench release; do $(BIN)/pip-audit --strict --disable-pip --require-hashes \
		--progress-spinner off -r requirements/$$pins.txt || { printf '%s\n' \
		'error: a package has a known fault, or the list of faults could not be had; see above.' \
		'  hint: pip-audit asks the public package index; where that cannot be reached, run make audit on a' \
		'  machine that reaches it: the versions are those of requirements/.' >&2; exit 1; }; done

corpus: $(STAMPS)/core $(STAMPS)/dev
	$(say) 'corpus: every mail of ../shared/corpus by both engines, judged by Lexbor, Ada and email'
	@$(BIN)/python -m tests.rewriting.corpus $(CORPUS_ARGS)

fidelity: $(STAMPS)/core $(STAMPS)/dev
	$(say) 'fidelity: mails through us and every peer, judged by Lexbor and email, into docs/fidelity.md'
	@$(BIN)/python -m msys_track.comparison.fidelity --page docs/fidelity.md $(FIDELITY_ARGS)

bench: $(STAMPS)/profiled $(STAMPS)/bench
	$(say) 'bench: building the Rust passes to compare with'
	@cargo build --quiet --locked --release --bench html --bench tokens
	$(say) 'bench: ours and its peers, interleaved; the bars are asserted'
	@$(BIN)/python -m pytest benches --bars --timeout=900 --benchmark-quiet $(BENCH_ARGS)

# Ratios of one run, never times: what is 15 % slower than at the last release fails.
bench-check bench-baseline: $(STAMPS)/profiled $(STAMPS)/bench
	$(say) '$@: msys-track bench, for a minute'
	@mkdir -p target && $(BIN)/msys-track bench --json target/bench.json $(BENCH_ARGS)
	@$(BIN)/python -m benches.ratios target/bench.json $(if $(filter %-baseline,$@),--write)

# Other people's programs are unpacked beside the project; where they can't be had, it says so.
bench-smtp: $(STAMPS)/core $(STAMPS)/bench
	@scripts/mail-tools postfix haproxy || true
	$(say) 'bench-smtp: the proxy beside a bare TCP hop; the bars are asserted'
	@$(BIN)/python -m benches.hop $(BENCH_ARGS)

bench-streams: $(STAMPS)/core $(STAMPS)/bench
	@scripts/kafka-jars || true
	$(say) 'bench-streams: the sink beside a bare producer; a layout of trackers, a topic and stores'
	@$(BIN)/python -m benches.streams $(BENCH_ARGS)

bench-http: $(STAMPS)/core $(STAMPS)/bench
	@scripts/mail-tools wrk nginx-light || true
	$(say) 'bench-http: the tracker beside nginx, with real tokens; the bars are asserted'
	@$(BIN)/python -m benches.http $(BENCH_ARGS)

soak: $(STAMPS)/core $(STAMPS)/dev
	$(say) 'soak: everything fails at random instants under load; every mail is accounted for'
	@$(BIN)/python -m tests.faults.soak $(SOAK_ARGS)
	$(say) 'soak: two workers of a spool, killed between any two statements of SQLite'
	@$(BIN)/python -m tests.spool.crashing 500

# The wheels of other systems are built by .github/workflows/wheels.yml, by the same script.
wheel: $(PROFILE) $(STAMPS)/release | prerequisites
	$(say) 'wheel: compiling the core, linked by zig (minutes)'
	@rm -rf dist && mkdir dist
	@PATH="$(abspath $(BIN)):$$PATH" scripts/wheel
	@PATH="$(abspath $(BIN)):$$PATH" scripts/wheel sdist
	$(say) 'wheel: is all in it, and nothing else?'
	@$(BIN)/python -m tests.packaging.contents dist
	@$(BIN)/check-wheel-contents dist/*.whl
	@$(BIN)/twine check --strict dist/*
	@case "$$(uname)" in Linux) $(BIN)/auditwheel show dist/*.whl ;; esac

wheel-check: $(STAMPS)/venv
	$(say) 'wheel-check: installing and using it as a stranger does'
	@$(BIN)/python -m tests.packaging.smoke dist $(WHEEL_ARGS)

workflows: $(STAMPS)/release
	$(say) 'zizmor: what could a stranger do with the workflows?'
	@$(BIN)/zizmor --offline --quiet --persona pedantic .github
	@if command -v actionlint >/dev/null 2>&1; then actionlint; else \
		echo 'actionlint is not here; to have it: go install github.com/rhysd/actionlint/cmd/actionlint@latest'; fi

fmt: $(STAMPS)/dev | lint-prerequisites
	$(say) 'formatting'
	@cargo fmt
	@$(BIN)/ruff check --quiet --select I --fix . || true
	@$(BIN)/ruff format --quiet .

clean:
	$(say) 'removing .venv, target/, caches and the compiled core'
	@rm -rf $(VENV) target fuzz/target build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis \
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

$(STAMPS)/audit: requirements/audit.txt $(STAMPS)/venv
	$(say) 'installing pip-audit (pinned, with hashes)'
	@$(call installed,-r requirements/audit.txt)
	@touch $@

$(STAMPS)/release: requirements/release.txt $(STAMPS)/venv
	$(say) 'installing what builds and checks wheels (pinned, with hashes)'
	@$(call installed,-r requirements/release.txt)
	@touch $@

$(STAMPS)/docs: requirements/docs.txt $(STAMPS)/venv
	$(say) 'installing what builds the manual (pinned, with hashes)'
	@$(call installed,-r requirements/docs.txt)
	@touch $@

$(STAMPS)/bench: requirements/bench.txt $(STAMPS)/venv
	$(say) 'installing the peers to compare with (pinned, with hashes)'
	@$(call installed,-r requirements/bench.txt)
	@touch $@

# Editable: what changes in python/ needs no second install, only the core is built again. By pip,
# since `maturin develop` would install dependencies by their ranges.
$(STAMPS)/core: $(CORE_SOURCES) $(STAMPS)/runtime | prerequisites
	$(say) 'compiling the core and installing msys-track into .venv (minutes the first time)'
	@$(call install_core)
	@touch $@

# The ways through the core that are taken often, for the compiler. Where LLVM's tool for
# it is missing, that is said, and all goes on without.
$(PROFILE): $(CORE_SOURCES) scripts/profile-core scripts/train-core $(STAMPS)/runtime | prerequisites
	$(say) 'profile: compiling a core that counts, and using it (minutes)'
	@scripts/profile-core $(BIN)/python || [ $$? = 3 ]

# The core as a wheel has it, for benchmarks. It is no other code, so that tests do with the plain one.
$(STAMPS)/profiled: $(PROFILE) $(STAMPS)/core
	$(say) 'compiling the core by its profile (minutes)'
	@[ ! -e $(PROFILE) ] || RUSTFLAGS='-Cprofile-use=$(abspath $(PROFILE))' \
		CARGO_TARGET_DIR=target/profile/compiled $(call install_core,--target $(HOST))
	@touch $(STAMPS)/core $@

pictures: build $(STAMPS)/dev
	$(say) 'pictures: the bench and an explanation, for docs/images'
	@mkdir -p docs/images
	@$(BIN)/msys-track bench --mail newsletter-80 --mail order --svg docs/images/benchmark.svg
	@scripts/picture-of-explain
	@scripts/axe-core
	$(say) 'pictures: the report in Chromium, for docs/images'
	@MSYS_TRACK_PICTURES=$(CURDIR)/docs/images \
		$(BIN)/python -m pytest -q tests/report/test_browser.py -k pictures

pages: build $(STAMPS)/docs
	$(say) 'pages: commands, configuration keys, JSON Schema, API, metrics, environment'
	@$(BIN)/python -m msys_track.cli.reference > $(STAMPS)/page && cp $(STAMPS)/page docs/command-line.md
	@$(BIN)/python -m msys_track.config.schema.page < docs/configuration.md > $(STAMPS)/page \
		&& cp $(STAMPS)/page docs/configuration.md
	@$(BIN)/msys-track config schema > $(STAMPS)/page && cp $(STAMPS)/page docs/msys-track.schema.json
	@for name in api environment exit_codes metrics; do $(BIN)/python -m scripts.manual.$$name > \
		$(STAMPS)/page && cp $(STAMPS)/page docs/reference/$$(echo $$name | tr _ -).md || exit 1; done

site: $(STAMPS)/docs
	$(say) 'site: the manual of docs/; warnings, links that lead nowhere and foreign hosts are errors'
	@$(BIN)/python -m scripts.manual.site

# One resolution for all: the largest set first, the others are held to its versions.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

lock:
	@PATH="$(BIN):$$PATH"; command -v uv >/dev/null || { \
		echo 'error: uv was not found; hint: $(BIN)/python -m pip install uv' >&2; exit 1; }
	$(say) 'pinning Python packages for CPython 3.11 and newer'
	@PATH="$(BIN):$$PATH"; \
	$(LOCK) $(UPGRADE) pyproject.toml --extra all --group dev --group bench -o requirements/bench.txt && \
	$(LOCK) -c requirements/bench.txt pyproject.toml --extra all --group dev -o requirements/dev.txt && \
	$(LOCK) -c requirements/bench.txt pyproject.toml --extra all -o requirements/runtime.txt && \
	$(LOCK) -c requirements/bench.txt requirements/build.in -o requirements/build.txt && \
	$(LOCK) -c requirements/bench.txt --group audit -o requirements/audit.txt && \
	$(LOCK) -c requirements/bench.txt --group release -o requirements/release.txt && \
	$(LOCK) -c requirements/bench.txt --group docs -o requirements/docs.txt
