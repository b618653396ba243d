# Everything below works on a machine that has only Python 3.11 or newer with venv, and make.
# Each target sets up what it needs; a second call finds it there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := src tests benchmarks tools
CORE := tests/keras_format/test_reading.py tests/keras_format/test_saving.py \
	tests/networks/test_question.py tests/networks/test_unet.py \
	tests/training/test_every_backend.py tests/training/test_optimizer.py tests/training/losses

.PHONY: demo test test-zoo fuzz reliability lint format test-backends test-jax test-jax-core test-torch bench norm-times results \
	answer check-quality wheel clean

## Show and train the question's network, as asked and mended, on real images (3 minutes)
demo: $(VENV)/.ready
	$(BIN)/normwise demo --overwrite

## The whole test suite on TensorFlow, with coverage of the packages that must have it; each file's
## tests run in one process, which share what is made for them
test: $(VENV)/.ready
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=
	$(BIN)/python tools/check_coverage.py

## Every rule and pass on every network of keras.applications, passes on every hand-made model too;
## interrupted, it goes on where it was (ZOO="ResNet50 VGG16" JOBS=2)
test-zoo: $(VENV)/.ready
	$(BIN)/python tools/zoo.py --jobs $(or $(JOBS),1) $(ZOO)

## 50,000 model files that are broken at random: each is a report or a clear error (15 minutes;
## FUZZ="--jobs 2" for two processes)
fuzz: $(VENV)/.ready
	$(BIN)/python -m tests.fuzz.run $(FUZZ)

## Broken input files, full disks and killed processes: no wrong output is left under its final name
## (docs/results.md; 15 minutes; RELIABILITY="--only kills" for a part)
reliability: $(VENV)/.ready
	$(BIN)/python benchmarks/reliability.py $(RELIABILITY)
	$(BIN)/python benchmarks/results.py --render

## Linter, formatter and type checker
lint: $(VENV)/.ready
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

format: $(VENV)/.ready
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

## The core on the other backends, each in an environment of its own
test-backends: test-jax test-torch

test-jax: .venv-jax/.ready
	KERAS_BACKEND=jax .venv-jax/bin/python -m pytest -n 2 --dist worksteal -m backends

## The small part of it that CI runs; optimizing what it computes would take longer than computing it
test-jax-core: .venv-jax/.ready
	KERAS_BACKEND=jax JAX_DISABLE_MOST_OPTIMIZATIONS=1 .venv-jax/bin/python -m pytest -n 2 --dist worksteal -m backends $(CORE)

test-torch: .venv-torch/.ready
	KERAS_BACKEND=torch .venv-torch/bin/python -m pytest -n 2 --dist worksteal -m backends

## Speed and memory beside what users would use instead; ratios measured in one run
bench: $(VENV)/.ready
	$(BIN)/python benchmarks/run.py

## What normalizations cost the question's network in time, by kind and position, for docs/question.md
## (five minutes; the machine has to be free)
norm-times: $(VENV)/.ready
	$(BIN)/python benchmarks/norm_times.py
	$(BIN)/python tools/make_rule_pages.py

## Quality on the real data sets beside the checkout, three seeds each (docs/results.md; about two hours)
results: $(VENV)/.ready
	$(BIN)/python benchmarks/results.py

## The question's claims, measured on the real data sets beside the checkout (docs/the-question.md;
## at most three hours, a training on each processor, goes on where it was;
## ANSWER="--only isl_fluor" for a part)
answer: $(VENV)/.ready
	$(BIN)/python benchmarks/answer.py $(ANSWER)

## Recall and precision of the check, on injected faults and real programs (docs/check-quality.md)
check-quality: $(VENV)/.ready
	$(BIN)/python benchmarks/check_quality.py --again

wheel: $(VENV)/.ready
	$(BIN)/python -m build --wheel

$(VENV)/.ready: EXTRAS := tensorflow,ray,dev
.venv-jax/.ready: EXTRAS := jax,test
.venv-torch/.ready: EXTRAS := torch,test

%/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "normwise needs Python 3.11 or newer; call make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $*
	$*/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

clean:
	rm -rf .venv .venv-jax .venv-torch dist build .coverage .mypy_cache .ruff_cache .pytest_cache
