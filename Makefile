# make app    sets up and opens the page on http://127.0.0.1:7860, without PyTorch
# make test   sets up and runs the whole test suite
# make lock   writes the *.lock files again, for requirements that changed; make lock UPGRADE=--upgrade takes new releases
# Each set-up installs the versions in its lock. It is done once, and again only when they change.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: app test lint train-setup lock clean

app: .venv/app.done
	$(BIN)/python app.py

test: .venv/test.done
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/test.done
	$(BIN)/ruff check
	$(BIN)/ruff format --check

train-setup: .venv/train.done

clean:
	rm -rf .venv

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "This project needs Python 3.11 or newer; name one with make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv

.venv/app.done: requirements-page.lock | $(BIN)/python
	$(PIP) install -r $<
	touch $@

.venv/train.done: train/requirements-towers.lock | $(BIN)/python
	$(PIP) install -r $<
	touch $@

.venv/test.done: tests/requirements.lock | $(BIN)/python
	$(PIP) install -r $<
	touch $@

# One resolution for every Python from 3.11 on and every system. The tests' lock comes first, because it holds almost
# everything; the others take their versions from it. What a lock holds already stays, unless UPGRADE says otherwise.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock"

lock: | $(BIN)/python
	$(PIP) install uv==0.13.9
	$(LOCK) $(UPGRADE) tests/requirements.txt -o tests/requirements.lock
	for name in requirements-page requirements hub_models/requirements-ray train/requirements-towers train/requirements-trackers; do \
		$(LOCK) $(UPGRADE) -c tests/requirements.lock $$name.txt -o $$name.lock || exit 1; \
	done
