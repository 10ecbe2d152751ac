# `make search`, `make test` and `make deploy` do all their own set-up in .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Extra flags for the search, for example: make search ARGS="--dataset=mnist"
ARGS   ?=
# Processes that run tests side by side.
JOBS   ?= 2
# What `make deploy` puts onto which board: by default the pick of the default search.
RUN_DIR ?= runs/digits-uno
BOARD   ?= uno

.PHONY: search deploy test lint install clean help

help:
	@echo "make search   install, then search on the embedded data set (ARGS=... adds flags)"
	@echo "make deploy   install, then put a search's pick onto an emulated board: RUN_DIR="
	@echo "              (searched first if it is not there and is the default), BOARD=uno"
	@echo "make test     install, then run the style check and the tests"
	@echo "make clean    remove the virtual environment and caches"

search: $(STAMP)
	$(BIN)/python -m experiments.search $(ARGS)

# Compilers and emulators come from apt; without root it says what to install.
deploy: $(STAMP)
	@test -e $(RUN_DIR)/best.json || test $(RUN_DIR) != runs/digits-uno || \
	  $(BIN)/python -m experiments.search --run_dir=$(RUN_DIR)
	$(BIN)/python -m experiments.deploy --install_tools --run_dir=$(RUN_DIR) \
	  --board=$(BOARD) $(ARGS)

test: lint
	$(BIN)/python -m pytest -n $(JOBS) tests

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

install: $(STAMP)

# torch comes first and alone, so that its CPU build is the one installed: on
# Linux the default build brings several GB of CUDA packages. Three ways, in this
# order: a CPU wheel that pip already knows of, PyTorch's own CPU index, and the
# plain wheel (macOS, where it is the CPU build).
TORCH = $(shell sed -n 's/^\(torch==[^ ]*\).*/\1/p' requirements.txt)
PIP   = $(BIN)/python -m pip install --quiet --disable-pip-version-check

$(STAMP): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "spjax needs Python 3.11 or newer, and '$(PYTHON)' is older or missing: run 'make PYTHON=/path/to/python3.11'"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo "'$(PYTHON)' has no venv module: on Debian, 'apt-get install python3-venv'"; exit 1; }
	@echo "Installing requirements.txt into $(VENV) (about 2 GB, a few minutes) ..."
	$(PYTHON) -m venv $(VENV)
	$(PIP) --no-deps "$(TORCH)+cpu" 2>/dev/null || \
	  $(PIP) --no-deps "$(TORCH)+cpu" --index-url https://download.pytorch.org/whl/cpu 2>/dev/null || \
	  $(PIP) --no-deps "$(TORCH)"
	$(PIP) -r requirements.txt
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
