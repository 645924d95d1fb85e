# make demo    set up and run the default study, from its images to its page; another one: CONFIG=config/fashion.yaml
# make test    set up and run every test
# make bench   measure what is said of speed, memory and disk, and write docs/performance.md; takes an hour
# make lint    what the tests check of style, alone
# make clean   remove all results

PYTHON ?= python3
CONFIG ?= config/demo.yaml
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
BIN := .venv/bin
LOCK := envs/requirements.lock
BENCHMARKS := checks training jobs metrics extraction disk workflow ufm stacked

.PHONY: demo test bench lint setup clean

demo: setup
	$(BIN)/snakemake --cores $(CORES) --configfile $(CONFIG)

# A file of tests at a time on each core, so that what the tests of a file share is made once; the slow ones come last.
test: setup
	$(BIN)/pytest --numprocesses $(CORES) --dist loadfile --no-loadscope-reorder

bench: setup
	for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py || exit; done
	$(BIN)/python benchmarks/write_page.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint

# Compared by content, not by time stamp: an unchanged lock is not installed twice.
setup:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: $$($(PYTHON) --version) is too old; allowed: Python 3.11 or later, e.g. make PYTHON=python3.12" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@cat $(LOCK) pyproject.toml | cmp -s - .venv/installed || { \
	  $(BIN)/python -m pip install --quiet -r $(LOCK) && \
	  $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e . && \
	  cat $(LOCK) pyproject.toml > .venv/installed; }

clean:
	rm -rf results .snakemake
