# Two commands on a fresh machine: `make demo` and `make test`. Both set everything up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.installed
PYTEST := $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile
# Images of containers often forbid Python to keep what it compiles, and each process of the tests compiles it anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-pages test-slow napari check wheel onnx docs bench parity results schema notebook clean

demo: $(SETUP)  ## clean a noisy photograph and draw what every pixel did
	$(BIN)/python examples/demo.py demo

test: $(SETUP) check  ## the checks and the default tests (a few minutes)
	$(PYTEST)

test-pages: $(SETUP)  ## long visits to the pages, in Chromium (some more minutes)
	$(PYTEST) -m pages

test-slow: $(SETUP)  ## the tests that take minutes
	$(BIN)/pytest -m slow

# napari is large, and brings many packages
napari: $(SETUP)  ## the tests of the plug-in for napari, in an environment of its own
	$(PYTHON) -m venv plugins/napari/.venv
	plugins/napari/.venv/bin/python -m pip install --quiet --constraint constraints.txt --editable . \
	--editable "plugins/napari[test]" PyQt6
	cd plugins/napari && QT_QPA_PLATFORM=offscreen .venv/bin/python -m pytest

check: $(SETUP)  ## style, types, layers; the pages' scripts where there is node
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if ! command -v npm >/dev/null; then echo "The pages' scripts were not checked: there is no node."; \
	elif ! { [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --silent; }; then \
	echo "The pages' scripts were not checked: npm could not install the linter."; \
	else npm run --silent lint; fi

wheel: $(SETUP)  ## build the wheel, and clean a picture with it in an empty environment
	$(BIN)/python tools/check_wheel.py

extras: $(SETUP)  ## install each extra into a fresh environment, and use it
	$(BIN)/python tools/check_extras.py

docs: $(SETUP)  ## the documentation as pages, in site/; every link in it is checked
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

onnx: $(SETUP)  ## build the wheel of pixelrl-onnx, and clean pictures with it in an empty environment without PyTorch
	$(BIN)/python tools/check_onnx.py

bench: $(SETUP)  ## time and memory; prints tables, and writes docs/speed.json and its picture. DATA=FOLDER as for results
	$(BIN)/python benchmarks/speed.py $(if $(DATA),--data $(DATA))
	$(BIN)/python benchmarks/busy.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/studio.py

# The authors' weights and test photographs are theirs: WEIGHTS=FOLDER DATA=FOLDER make parity
parity: $(SETUP)  ## measure the paper's released models; writes docs/parity.md
	$(BIN)/python benchmarks/parity.py $(WEIGHTS) $(DATA)

# DATA=FOLDER TEXT=FOLDER ENHANCE=FOLDER make results; what needs a folder that is not given is left out. DATA holds
# gray/test and color/test, TEXT the authors' test, ENHANCE input, the looks and two lists, REAL cc15, polyu-val and
# w2s-val (docs/real.md), PHOTOS what tools/training_photos.py writes. OPTIONS are those of the first, "--only
# poisson-gray" and the like
results: $(SETUP)  ## measure all policies and baselines; writes the tables in docs/
	$(if $(DATA),$(BIN)/python benchmarks/results.py $(DATA) $(OPTIONS))
	$(if $(DATA),$(if $(TEXT),$(BIN)/python benchmarks/restoration.py $(DATA) $(TEXT)))
	$(if $(ENHANCE),$(BIN)/python benchmarks/enhancement.py $(ENHANCE))
	$(if $(DATA),$(BIN)/python benchmarks/saliency_editing.py $(DATA)/color/test)
	$(if $(REAL),$(BIN)/python benchmarks/real.py $(REAL))
	$(if $(DATA)$(PHOTOS),$(BIN)/python benchmarks/robust.py $(if $(DATA),--data $(DATA)) $(if $(PHOTOS),--photos $(PHOTOS)))

schema: $(SETUP)  ## write docs/edits.schema.json anew
	$(BIN)/python -c "import json, pixelrl.edits; print(json.dumps(pixelrl.edits.schema(), indent=2))" > docs/edits.schema.json

notebook: $(SETUP)  ## run the notebook of the documentation anew
	$(BIN)/python tools/notebook.py docs/notebook.ipynb

$(SETUP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) demo site node_modules plugins/napari/.venv
