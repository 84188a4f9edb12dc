# make demo   bake three prompts, one after the other, into a small model, and talk to it
# make demo-branches   two bakes in the background, on two branches
# make test   lint, types, layers, tests: all that has to pass; test-slow: those that take longer
# make test-page  the page of `bgit ui` in a browser: needs a Chromium; SHOTS=folder keeps images
# make test-llama   exports in a real llama.cpp: installs the extra [llama] first
# make test-bucket      remotes of weights in a bucket: installs the extra [moto] first
# make test-pool        questions and answers by a cluster of Ray on this machine: installs the extra [ray] first
# make coverage  the lines of this change that no test runs; ON=tests/unit/test_x.py for some tests
# make hooks  check what is staged before each commit (pre-commit)
# make bench  measure against other ways to bake, about an hour; bench-quick: about two minutes; bench-grid: by size
# make bench-gpu  hold a GPU to the CPU and measure it, under eight minutes; GPU="--model PATH": a real model, too
# make bench-quality   CPU seconds until a bake is good, against TRL and others: hours
# make real   bake four prompts into a real model of 135 M parameters: about half an hour a seed
# make verdicts   bakes good and spoilt, each with a hidden exam: what a verdict is worth, an hour; VERDICTS=--table
# make forgetting chains of five bakes with replay, retention, both and neither: what is left, an hour; FORGETTING=--table
# make algebra    two branches merged in every way, bakes picked and left out, against chains baked so: half an hour; ALGEBRA=--table
# make scale      what 1,000 bakes a day would need, simulated; SCALE="--write" puts it into docs/scale.md
# make dist   packages in dist/, tried in a clean environment with the demo; DIST=--quick without it
# make site   the docs as a site, in build/site
# make picture  draw docs/run.svg, the picture of the README, from a real run
# make docs   write docs/input-yml.md, its JSON Schema and docs/files.md anew from the code
# make attack   kills, spoilt inputs, servers that misbehave, odd templates: under half an hour; ATTACK=--json
# make lock   write requirements.lock anew from constraints.txt
# make audit  look the locked packages up among known vulnerabilities: needs the index's data
# make fix    format, and mend what can be mended without thinking

PYTHON ?= $(shell command -v python3.11 || echo python3)
# Tensors of this size lose more to a second thread than they gain; tests share the cores instead.
# A file stays on one of them, so that what its tests share is made once.
TESTS = OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 --dist loadfile

.DEFAULT_GOAL := test
.PHONY: demo demo-branches real verdicts forgetting algebra scale test test-slow test-page test-llama test-bucket test-pool coverage hooks dist site picture bench bench-quick bench-grid bench-gpu bench-quality docs attack lock audit fix clean

demo: .venv/stamp
	.venv/bin/python recipes/sequential/run.py

demo-branches: .venv/stamp
	PATH="$(CURDIR)/.venv/bin:$$PATH" sh recipes/branches/run.sh

# Goes on with what is not there yet: SEEDS=3 may take several sittings.
real: .venv/stamp
	.venv/bin/python recipes/real/run.py $(if $(SEEDS),--seeds $(SEEDS))

# Goes on with what is not there yet: build/verdicts/bakes.jsonl.
verdicts: .venv/stamp
	PYTHONPATH=tools OMP_NUM_THREADS=1 .venv/bin/python -m verdicts $(VERDICTS)

# Goes on with what is not there yet: build/forgetting/chains.jsonl.
forgetting: .venv/stamp
	PYTHONPATH=tools OMP_NUM_THREADS=1 .venv/bin/python -m forgetting $(FORGETTING)

# The same: build/algebra/parts.jsonl.
algebra: .venv/stamp
	PYTHONPATH=tools OMP_NUM_THREADS=1 .venv/bin/python -m algebra $(ALGEBRA)

# Half a minute at most, and nothing of it is kept: SCALE="--set gpu_hour=2.5" counts with others.
scale: .venv/stamp
	PYTHONPATH=tools OMP_NUM_THREADS=1 .venv/bin/python -m scale $(SCALE)

test: .venv/stamp
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(TESTS) -m "not slow and not gpu and not network"

test-slow: .venv/stamp
	$(TESTS) -m slow

# BAKERY_CHROMIUM names a Chromium that is not /usr/bin/chromium.
test-page: .venv/page-stamp
	BAKERY_SHOTS="$(SHOTS)" OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 0 -m slow tests/e2e/test_browser.py

# Beside test-slow, which skips these where the package is not installed.
test-llama: .venv/llama-stamp
	$(TESTS) -m slow tests/e2e/test_llama_cpp.py

# Skipped by the others where moto is not installed.
test-bucket: .venv/moto-stamp
	$(TESTS) tests/e2e/test_remotes_s3.py

# The same where Ray is not; the slow ones, too.
test-pool: .venv/ray-stamp
	$(TESTS) -n 1 tests/e2e/test_pool.py

# Against main, or AGAINST=some-commit. Lines of what tests start in processes of their own count, too.
coverage: .venv/coverage-stamp
	$(TESTS) -m "not slow and not gpu and not network" --cov --cov-report= $(ON)
	.venv/bin/coverage xml -q -o build/coverage.xml
	.venv/bin/diff-cover build/coverage.xml --compare-branch $(or $(AGAINST),main) --show-uncovered

hooks: .venv/hooks-stamp
	.venv/bin/pre-commit install

dist: .venv/dist-stamp
	rm -rf dist
	.venv/bin/python -m build --no-isolation --outdir dist .
	.venv/bin/python tools/try_dist.py $(DIST)

site: .venv/site-stamp
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --quiet
	@echo "look at it: .venv/bin/python -m http.server -d build/site"

picture: .venv/stamp
	PYTHONPATH=. .venv/bin/python tools/picture.py

# Stopped halfway, `make bench BENCH=--resume` goes on.
bench: .venv/bench-stamp
	.venv/bin/python -m benchmarks.run $(BENCH)

bench-quick: .venv/bench-stamp
	.venv/bin/python -m benchmarks.run --quick $(BENCH)

# Where there is no GPU it runs at a small size, in a minute. Needs nothing of the extra.
bench-gpu: .venv/stamp
	.venv/bin/python -m benchmarks.gpu $(GPU)

bench-grid: .venv/bench-stamp
	.venv/bin/python -m benchmarks.run --only grid --repeats 1 $(BENCH)

# Goes on with what is not there yet: `make bench-quality SEEDS=3`, over several sittings.
bench-quality: .venv/bench-stamp
	.venv/bin/python -m benchmarks.quality.run $(BENCH)

docs: .venv/stamp
	.venv/bin/python tools/document_input.py
	.venv/bin/python tools/document_files.py

# One campaign alone: `make attack ATTACK="kills --count 20"`.
attack: .venv/stamp
	.venv/bin/python -m tools.attack $(ATTACK)

lock: .venv/lock-stamp
	.venv/bin/python tools/lock.py

# A package that could not be looked up is a failure: to find nothing is not to have found nothing.
audit: .venv/audit-stamp
	.venv/bin/pip-audit --strict --disable-pip --require-hashes -r requirements.lock

fix: .venv/stamp
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

clean:
	rm -rf .venv

PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check

LOCKED = $(PIP) --require-hashes --no-deps -r

# Installed once; again only when what is to be installed has changed. First what is locked, by
# hash: a local CPU file of torch where this machine has one, then the rest. A torch of the index
# has no + in its version, and needs CUDA where there can be any. This folder comes last: pip knows
# no hash for it, and nothing is fetched for it.
.venv/stamp: pyproject.toml requirements.lock requirements-cpu.lock requirements-cuda.lock
	@echo "installing into .venv: about 1 GB, a few minutes the first time"
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(LOCKED) requirements-cpu.lock --no-index 2>.venv/torch.log \
		|| { tail -n 1 .venv/torch.log; echo "so torch comes from the index"; }
	$(LOCKED) requirements.lock
	if .venv/bin/python -c "import importlib.metadata as m, sys; sys.exit('+' in m.version('torch'))"; \
		then $(LOCKED) requirements-cuda.lock; fi
	$(PIP) --no-deps --no-build-isolation -e .
	.venv/bin/python -m pip check
	touch .venv/stamp

# What only some need: an extra of pyproject.toml by the name of its stamp.
.venv/%-stamp: .venv/stamp constraints.txt
	$(PIP) -c constraints.txt --no-build-isolation -e ".[$*]"
	touch $@
