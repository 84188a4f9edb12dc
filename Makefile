# make demo   bake three prompts, one after the other, into a small model, and talk to it
# make test   lint, types, layers, tests: all that has to pass
# make fix    format, and mend what can be mended without thinking

PYTHON ?= $(shell command -v python3.11 || echo python3)
# Tensors of this size lose more to a second thread than they gain; tests share the cores instead.
# A file stays on one of them, so that what its tests share is made once.
TESTS = OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 --dist loadfile

.DEFAULT_GOAL := test
.PHONY: demo test test-slow fix clean

demo: .venv/stamp
	.venv/bin/python recipes/sequential/run.py

test: .venv/stamp
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(TESTS) -m "not slow and not gpu and not network"

test-slow: .venv/stamp
	$(TESTS) -m slow

fix: .venv/stamp
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

clean:
	rm -rf .venv

# Installed once; again only when what is to be installed has changed.
.venv/stamp: pyproject.toml constraints.txt
	@echo "installing into .venv: about 1 GB, a few minutes the first time"
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt -e ".[dev]"
	touch .venv/stamp
