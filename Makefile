# make run      install, start the daemon, ask a real model a question
# make help     everything else
#
# Everything is installed into .venv. A stamp file there records that, so that make installs again only when
# pyproject.toml has changed.

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
PYTHON ?= python3

# Most tests wait for a process or a deadline half of the time.
WORKERS ?= $(shell echo $$(($$(nproc) + 2)))

# Taken literally, so that make does not expand a $ in the prompt.
override PROMPT := $(value PROMPT)
export PROMPT

# The files whose text is checked for spelling and wording.
TEXTS := README.md CHANGELOG.md SECURITY.md Makefile hatch_build.py docs meshd client systemd

.DEFAULT_GOAL := help
.PHONY: help run test test-failed compiled test-compiled upstreams conformance pages docs lint bench bench-plain bench-peers soak dist deb image clean

help: ## list these commands
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo '  make run PROMPT="…"  ask the given prompt and exit'

run: $(VENV)/.installed-run ## install, start meshd, ask a question, stay until Ctrl-C
	@if [ -n "$$PROMPT" ]; then exec $(PY) -m meshd.cli.setup.quickstart --prompt="$$PROMPT"; \
	else exec $(PY) -m meshd.cli.setup.quickstart; fi

# The run fails if the tests of routing/ cover less than 95 % of its branches (tests/conftest.py). The weights are
# fetched first, so that parallel tests do not each fetch them; without a network, only the tests of the local language
# model fail. What others wrote (servers, ZeroMQ libraries) is installed once, each separately; tests of what cannot be
# installed are skipped. The tests start hundreds of daemons, which takes half the time with bytecode.
test: export PYTHONDONTWRITEBYTECODE :=
test: upstreams ## the whole test suite, in parallel
	@$(PY) -m pytest -n $(WORKERS) --dist worksteal -m "not soak" \
	  --cov=meshd.routing --cov-branch --cov-report=term:skip-covered --cov-fail-under=95 $(TESTS)

test-failed: export PYTHONDONTWRITEBYTECODE :=
test-failed: ## what failed in the last run, at most five tests, one after the other
	@$(PY) -c 'import json; few = json.load(open(".cache/pytest/v/cache/lastfailed")); raise SystemExit(len(few) > 5)'
	@$(PY) -m pytest --last-failed --last-failed-no-failures=none

upstreams: $(VENV)/.installed-dev
	@$(PY) -m meshd.cli pull smollm2-135m --dir .cache/models --json >/dev/null || true
	@$(PY) -m tests.conformance.install

# A copy of the project, so that the checkout itself stays plain Python.
COMPILED := .cache/compiled
IN_COMPILED = cd $(COMPILED) && PYTHONPATH=$(abspath $(COMPILED)):$(abspath $(COMPILED)/client) $(abspath $(PY))

compiled: $(COMPILED)/.built ## a copy of the project in .cache/compiled whose hot modules are compiled, in two minutes

$(COMPILED)/.built: $(VENV)/.installed-dev $(shell find meshd client tests -name '*.py') pyproject.toml hatch_build.py
	@echo "== compiling into $(COMPILED)"
	@rm -rf $(COMPILED) && mkdir -p $(COMPILED)
	@$(PY) hatch_build.py $(COMPILED) >.cache/compiled.log 2>&1 || { tail -40 .cache/compiled.log; exit 1; }
	@mkdir -p .cache/models .cache/upstreams $(COMPILED)/.cache
	@cp -r .ci $(COMPILED)  # a test reads it
	@ln -s $(abspath .cache/models) $(abspath .cache/upstreams) $(COMPILED)/.cache
	@touch $@

test-compiled: export PYTHONDONTWRITEBYTECODE :=
test-compiled: compiled upstreams ## the whole test suite, or TESTS, in that copy
	@$(IN_COMPILED) -m pytest -n $(WORKERS) --dist worksteal -m "not soak" $(TESTS)

conformance: $(VENV)-conformance/.installed ## the SDKs, frameworks and agents that people use
	@$(VENV)-conformance/bin/python -m tests.conformance.install npm-sdks codex claude-code
	@$(VENV)-conformance/bin/python -m pytest --timeout=120 tests/conformance/frameworks tests/conformance/clients

pages: $(VENV)/.installed-dev ## write the pages that are made of the schema, the catalogue and trials
	@$(PY) -m meshd.config.write.docs
	@$(PY) -m meshd.config.write.providers_page
	@$(PY) -m tests.support.conformance
	@$(PY) -m meshd.manual.reference

docs: $(VENV)/.installed-dev ## the documentation as a site, in .cache/site
	@mkdir -p .cache
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --config-file docs/site/mkdocs.yml 2>.cache/docs.log || { cat .cache/docs.log; exit 1; }
	@echo "== open .cache/site/index.html; its search needs a server: python3 -m http.server -d .cache/site"

lint: $(VENV)/.installed-dev ## check style, types, security, spelling, wording and where tests are
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check --quiet .
	@$(PY) -m bandit --quiet --recursive --configfile pyproject.toml meshd client/modelmesh
	@$(PY) -m tests.lint.advisories
	@$(PY) client/sync_twins.py --check
	@mkdir -p .cache
	@$(VENV)/bin/lint-imports --no-logo --cache-dir .cache/import-linter >.cache/imports.txt || { cat .cache/imports.txt; exit 1; }
	@$(PY) -m mypy
	@$(PY) -m codespell_lib $(TEXTS)
	@$(PY) -m tests.lint.wording $(TEXTS)
	@$(PY) -m tests.lint.references $(TEXTS)
	@$(PY) -m tests.lint.privates tests
	@$(PY) -m tests.lint.mirror

bench: compiled ## measure the compiled form against the targets, as a table
	@$(IN_COMPILED) -m tests.bench

bench-plain: $(VENV)/.installed-dev ## the same of the checkout, which is plain Python
	@$(PY) -m tests.bench

bench-peers: compiled ## measure beside other gateways, as a table
	@$(PY) -m tests.conformance.install portkey litellm tensorzero
	@$(IN_COMPILED) -m tests.bench peers-http peers-tensorzero

soak: $(VENV)/.installed-dev ## minutes of load and chaos, and of generated examples
	@$(PY) -m pytest -m soak --timeout=1800
	@$(PY) -m pytest -m "hypothesis and not soak" --hypothesis-profile=wide --timeout=1800

dist: export MESHD_COMPILED ?= 1
dist: $(VENV)/.installed-dist ## the sdist and the wheels in dist/, with an SBOM and checksums
	@$(PY) systemd/dist.py dist

deb: $(VENV)/.installed-dev ## the Debian packages meshd and meshd-local in dist/
	@$(PY) systemd/deb.py dist

# ISOLATION=chroot builds where containers cannot run, such as inside one.
image: ## the container image localhost/meshd, made of the Debian package in dist/
	@buildah build --format docker $(if $(ISOLATION),--isolation $(ISOLATION)) $(IMAGE_OPTIONS) \
	  --tag localhost/meshd:latest --file systemd/container/Containerfile dist

clean: ## remove what was installed and built
	@rm -rf $(VENV) $(VENV)-conformance .cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# uv is several times as fast as pip; pip is used if uv cannot be installed or does not know pip's index.
INSTALL = { $(PIP) install uv 2>/dev/null && $(PY) -m uv pip install --python $(PY) -e '.[$(1)]' \
  || $(PY) -m pip --disable-pip-version-check install -e '.[$(1)]'; }

# quickstart fetches the engines of the embedded models together with the weights, so that the first answer does not wait
# for all of them. sed leaves out the line that they print for each of 50 packages. The stamp tells whether the
# installation succeeded, because the exit status of a pipe does not.
$(VENV)/.installed-run: pyproject.toml | $(PY)
	@echo "== installing meshd into $(VENV)"
	@rm -f $@
	@{ $(call INSTALL,daemon) && touch $@; } 2>&1 \
	  | sed -u -E '/^ [-+~] |^Collecting |^Requirement already |^ *Using cached /d'
	@[ -e $@ ] || { echo '== meshd could not be installed, for the reason above; pip needs a package index that it can reach'; exit 1; }

$(VENV)/.installed-dev: pyproject.toml | $(PY)
	@echo "== installing meshd and its tests into $(VENV)"
	@$(call INSTALL,dev) >$(VENV)/install.log 2>&1 || { cat $(VENV)/install.log; exit 1; }
	@touch $@ $(VENV)/.installed-run

$(VENV)/.installed-dist: pyproject.toml | $(PY)
	@echo "== installing meshd and what makes packages into $(VENV)"
	@$(call INSTALL,dist) >$(VENV)/install.log 2>&1 || { cat $(VENV)/install.log; exit 1; }
	@touch $@ $(VENV)/.installed-dev $(VENV)/.installed-run

$(VENV)-conformance/.installed: pyproject.toml | $(PY)
	@echo "== installing frameworks into $(VENV)-conformance"
	@$(PIP) install uv
	@$(PY) -m uv venv --quiet --clear --python $(PY) $(VENV)-conformance
	@$(PY) -m uv pip install --quiet --python $(VENV)-conformance/bin/python -e '.[conformance]'
	@touch $@

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo 'meshd needs Python 3.11 or newer, as python3 or as in: make PYTHON=python3.12' >&2; \
	  echo 'On Debian: sudo apt-get install python3 python3-venv' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo 'Python has no venv here. On Debian: sudo apt-get install python3-venv' >&2; exit 1; }
	@echo "== making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
