# `make setup` makes .venv, `make demo` shows webrt at work, `make test` is exactly what CI runs.

PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help setup system demo site npm test lint types unit e2e e2e-full bench clean

help:
	@grep -E '^[a-z0-9-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 12

setup: .venv/.installed  ## the environment: .venv with the project installed editable

.venv/.installed: pyproject.toml
	@sh tests/install.sh python
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "webrt needs Python 3.11 or newer: make PYTHON=python3.x")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $@

demo: setup  ## get a real model, pack it, run it on this repository's files
	@$(BIN)/python examples/classify_files.py

site: setup  ## the demo gallery: downloads its models (250 MB), packs them, serves them
	@$(BIN)/webrt serve --gallery .cache/gallery

npm: setup  ## the npm package, in .cache/npm
	$(BIN)/python -c "from pathlib import Path; from webrt.cli.export import write_package; write_package(Path('.cache/npm'))"
	cd .cache/npm && npm pack --loglevel=error

system: setup  ## what the tests need besides Python: browsers, a software Vulkan driver, npm packages
	@sh tests/install.sh vulkan browsers npm

test: system lint types unit e2e  ## everything that CI runs

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types:
	$(BIN)/mypy
	node e2e/node_modules/typescript/bin/tsc --project web/jsconfig.json
	node e2e/node_modules/typescript/bin/tsc --project web/node/jsconfig.json

unit:
	$(BIN)/python -m pytest tests -n auto --dist worksteal

e2e:
	$(BIN)/python -m pytest e2e -n 2 --dist loadfile

e2e-full: system  ## the paper's models at every length, public models on both devices and in Chromium (needs the bench extra)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,bench]"
	$(BIN)/python bench/check_models.py
	$(BIN)/python bench/public.py
	WEBRT_FULL=1 $(BIN)/python -m pytest e2e/test_public.py

bench: system  ## MiniLM-L6 in Chromium beside onnxruntime-web
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,bench]"
	$(BIN)/python bench/browser.py

clean:
	rm -rf .venv .cache e2e/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
