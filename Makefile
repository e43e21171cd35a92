# Everything a developer's day needs. Each target sets up what it uses; PYTHON chooses the interpreter (3.11 to 3.14).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH := $(VENV)/bench
CONSTRAINTS := requirements/constraints.txt
HASHED := $(BIN)/uv pip compile --constraint $(CONSTRAINTS) --generate-hashes --universal --python-version 3.11 --no-header --no-annotate --quiet

.PHONY: help demo test test-quick lint audit dist format ui docs docs-serve pictures lock bench bench-small clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.created:
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' \
	  || { echo "Python 3.11 to 3.14 is needed; call make with PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25'
	touch $@

$(VENV)/.installed: $(VENV)/.created setup.cfg pyproject.toml $(CONSTRAINTS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e .
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[dev]'
	touch $@

demo: $(VENV)/.installed ## the whole way on the embedded archive: build, serve, materialize, check, verify
	$(BIN)/python -m cm4ai_assets.demo

test: $(VENV)/.dev ## the whole suite
	$(BIN)/python -m pytest -n 2 --dist loadscope

test-quick: $(VENV)/.dev ## the suite without what is slow: some five minutes on two cores
	$(BIN)/python -m pytest -n 2 --dist loadscope -m "not slow"

lint: $(VENV)/.dev ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

audit: $(VENV)/.dev ## licences of what we depend on, and vulnerabilities that are known of it
	$(BIN)/python requirements/audit.py

dist: $(VENV)/.dev ## sdist and wheel in dist/, of the version that git's newest tag says; see docs/releasing.md
	$(BIN)/python -m build --outdir dist

format: $(VENV)/.dev ## rewrite in the house's style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

ui: $(VENV)/.installed ## the Dagster UI and daemon on 127.0.0.1:3000, over the same storage
	$(BIN)/python -m cm4ai_assets.ui

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[docs]'
	touch $@

docs: $(VENV)/.docs ## write what the schemas say of themselves, and the site into site/; fails on a link that leads nowhere
	$(BIN)/python -m cm4ai_assets.tables.dictionary docs/data-dictionary.md
	$(BIN)/python -m cm4ai_assets.tables.way docs/pictures/way-of-data.svg
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

docs-serve: docs ## the site on http://127.0.0.1:8000, as it stands in docs/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve --dev-addr 127.0.0.1:8000

pictures: $(VENV)/.dev ## take the pictures of README and docs anew, from the sandbox's UI; needs Chromium
	CM4AI_PICTURES=1 CM4AI_SANDBOX_FIELDS=24 $(BIN)/python -m pytest cm4ai_assets_tests/browser/test_ui.py -k caption_of_its_picture

lock: $(VENV)/.dev ## write requirements/constraints.txt anew from setup.cfg, and of it what the image installs
	$(BIN)/python -m pip install --quiet uv
	echo '# Tested versions, for Python 3.11 to 3.14. Written by `make lock`; setup.cfg says what is asked for.' >$(CONSTRAINTS)
	$(BIN)/uv pip compile setup.cfg --extra dev --extra s3 --extra gcs --extra postgres --extra anndata --extra bench --extra dask --extra celery --extra k8s --extra alerts --extra docs --universal --python-version 3.11 --no-header --no-annotate --quiet >>$(CONSTRAINTS)
	echo '# What builds the wheel of the image, with hashes. Written by `make lock`.' >requirements/build.txt
	$(HASHED) requirements/build.in >>requirements/build.txt
	echo '# What deploy/Dockerfile installs, with hashes, for Python 3.11 to 3.14: the versions of constraints.txt. Written by `make lock`.' >requirements/deploy.txt
	$(HASHED) setup.cfg --extra alerts --extra celery --extra dask --extra k8s --extra postgres --extra s3 >>requirements/deploy.txt

# Peers stand in an environment of their own. One that cannot be installed is reported and tried again the next time.
$(BENCH)/.installed: $(VENV)/.created setup.cfg pyproject.toml $(CONSTRAINTS)
	test -x $(BENCH)/bin/python || $(BIN)/python -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25'
	$(BENCH)/bin/python benchmarks/peers.py $(BENCH)/bin/python --stamp $@

bench: $(BENCH)/.installed ## every benchmark with its peers; takes long and wants a quiet machine; see benchmarks/README.md
	$(BENCH)/bin/python -m benchmarks

bench-small: $(VENV)/.dev ## the smaller form, some 90 s of CPU time; fails on a ratio that fell by a third
	$(BIN)/python -m benchmarks --small

clean: ## remove the environment and caches; never data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
