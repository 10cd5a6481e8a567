# `make try` and `make test` are all a newcomer needs. PYTHON picks the interpreter for .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TRY := runs/try

.PHONY: try test check format bench docs wheel clean

$(BIN)/img2img: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

try: $(BIN)/img2img  ## install, train Sobel on built-in data, measure it, answer a picture
	rm -rf $(TRY)
	$(BIN)/img2img train sobel --out $(TRY)/run
	$(BIN)/img2img eval sobel --weights $(TRY)/run
	$(BIN)/img2img data make sobel --n 3 --out $(TRY)/pictures
	$(BIN)/img2img predict sobel $(TRY)/pictures/test --weights $(TRY)/run --out $(TRY)/answers --overlay
	@echo "look at $(TRY)/answers and open $(TRY)/run/report.html"

test: $(BIN)/img2img  ## every test
	$(BIN)/pytest

check: $(BIN)/img2img  ## format, lint, types, fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -m "not slow"

format: $(BIN)/img2img
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(BIN)/img2img  ## the figures of docs/benchmarks.md
	$(BIN)/img2img bench sobel --what all

docs: $(BIN)/img2img  ## the documentation as a site, in build/site
	$(BIN)/mkdocs build --quiet

wheel: $(BIN)/img2img  ## build the wheel and test it in a fresh environment
	rm -rf dist build/wheel-venv
	$(BIN)/python -m build --quiet
	$(PYTHON) -m venv build/wheel-venv
	build/wheel-venv/bin/pip install --quiet dist/*.whl
	cd build && wheel-venv/bin/python ../tests/check_wheel.py

clean:
	rm -rf build dist runs predictions .pytest_cache .mypy_cache .ruff_cache
