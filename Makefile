# make demo    install, and train on handwritten digits until they can be read
# make test    install, and run the tests
# make check   install, and run linter, formatter, type checker and layer rules
# make bench   install, and measure speed (machine otherwise idle)
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: demo test check bench install
install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@

demo: install
	$(BIN)/zerosum train digits --recipe rpgan --images 400k generator.labels=concat discriminator.labels=concat

test: install
	$(BIN)/pytest -n 2

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	$(BIN)/python -m benchmarks.speed
