# make app    sets up and opens the page on http://127.0.0.1:7860
# make test   sets up and runs the whole test suite
# Each set-up is done once, and again only when its requirements change.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: app test lint train-setup clean

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

.venv/app.done: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt
	touch $@

.venv/train.done: requirements.txt train/requirements.txt train/requirements-towers.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -r train/requirements-towers.txt
	touch $@

.venv/test.done: requirements.txt hub_models/requirements-engines.txt train/requirements.txt tests/requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -r tests/requirements.txt
	touch $@
