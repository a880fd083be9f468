# Alignment with heterogeneous preferences: a book that runs
#
#   make reproduce   set up, rerun every chapter at the quick profile, render the book
#   make test        set up, then lint, types, tests, notebooks, strict build, pages
#
#   make setup       the environment .venv, from constraints.txt
#   make check       lint, types and the fast tests; of one room: make check T=borda
#   make book        render the book from the stored outputs; runs no chapter
#   make pdf         the rendered book as one PDF, _build/book.pdf
#   make lab         the chapters in JupyterLab, each a notebook
#   make run         run at the full profile every chapter whose stored outputs are stale
#   make run/NAME    one chapter, stale or not, such as make run/03-borda
#   make try/NAME    run a chapter with your own parameters, stored elsewhere:
#                      make try/04-drawbacks P="-p link probit"
#                      make try/05-surveys P="-f my-question.yml" OUT=mine.ipynb
#   make audit DATA=labels.csv
#                    what your own preference labels can tell
#   make new/NAME    a page of your own in book/notes/, run and judged like a chapter
#   make sync        copy edited prose from book/ into notebooks/, outputs kept
#   make variants    every chapter with the other parameters of params/variants
#   make seeds       every chapter with 20 seeds: which verdicts depend on them
#   make bench       compare our speed with the peers'
#   make mutants     small changes of the code that no test notices; of one file:
#                      make mutants T=hetlib/borda/counts.py
#   make clean       remove everything that was built

# The Python named, or that of .venv, or the system's
PYTHON ?= $(or $(wildcard .venv/bin/python),python3)
BIN    := .venv/bin/
PY     := $(BIN)python
PATHS  := PYTHONPATH=tools
# Sphinx reads a local extension from tools/; --all: numbers glued from other pages stay right
BUILD  := $(PATHS) $(BIN)jupyter-book build --all -W --keep-going -n
QUICK  := _build/quick

# OpenMP threads that spin while they wait are many times slower on a busy machine
export OMP_WAIT_POLICY := PASSIVE
export PYDEVD_DISABLE_FILE_VALIDATION := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup FORCE check reproduce book pdf lab run sync test lint types fast unit notebooks pages bench audit variants seeds mutants clean
help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

setup: .venv/ready
# Asks every time: what counts is the digest in the file, not its date
.venv/ready: FORCE
	@"$(PYTHON)" tools/environment.py
FORCE:

# The one script that MathJax needs, from the installed package
MATHJAX := book/_static/mathjax/tex-svg-full.js
$(MATHJAX): .venv/ready
	@mkdir -p $(@D)
	@$(PY) -c 'import importlib.util as u, pathlib as p, hetlib; here = p.Path(u.find_spec("sphinx-mathjax-offline").submodule_search_locations[0]); hetlib.store.write("$@", (here / "static/mathjax/$(@F)").read_bytes())'

reproduce: setup $(MATHJAX)
	$(PATHS) $(PY) tools/execute.py --profile quick --into $(QUICK)/notebooks --missing
	@cp -r _config.yml _toc.yml book $(QUICK)
	$(BUILD) $(QUICK)
	@echo "The book, from this run: $(QUICK)/_build/html/index.html"
	@$(PATHS) $(PY) tools/scorecard.py $(QUICK)

book: setup $(MATHJAX)
	$(BUILD) .
	@echo "The book, from the stored outputs: _build/html/index.html"

pdf: book
	$(PATHS) $(PY) tools/pdf.py _build/html _build/book.pdf

# JupyterLab comes with this target only; its settings stay in _build/lab, and with them a
# double click opens a chapter's Markdown as a notebook
lab: setup
	$(BIN)pip install --quiet --disable-pip-version-check -c constraints.txt jupyterlab==4.6.6
	@JUPYTER_CONFIG_DIR=_build/lab $(BIN)jupytext-config set-default-viewer > _build/lab.log
	JUPYTER_CONFIG_DIR=_build/lab $(BIN)jupyter-lab --LabApp.default_url=/lab/tree/book

run: setup
	$(PATHS) $(PY) tools/execute.py --missing
# Names of chapters, P and OUT reach Python through the environment, as they were typed:
# neither a shell nor make reads them
override export P := $(value P)
override export OUT := $(value OUT)
run/%: export NAME = $(value *)
run/%: setup
	@$(PATHS) $(PY) tools/execute.py --named
try/%: export NAME = $(value *)
try/%: setup
	@$(PATHS) $(PY) tools/execute.py --named --trial
override export DATA := $(value DATA)
audit: export NAME = audit
audit: setup
	@$(PATHS) $(PY) tools/execute.py --named --trial
new/%: export NAME = $(value *)
new/%: setup
	@$(PATHS) $(PY) tools/new.py
sync: setup
	@$(PATHS) $(PY) tools/execute.py --sync
sync/%: export NAME = $(value *)
sync/%: setup
	@$(PATHS) $(PY) tools/execute.py --sync --named

test: setup
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint types
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=line notebooks book
	@$(MAKE) --no-print-directory pages
T ?=
ifeq ($(T),)
check: setup
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint types fast
else
check: setup
	$(BIN)ruff check "hetlib/$(T)" "tests/$(T)"
	$(PATHS) $(BIN)pytest -q -m "not pages and not slow" "tests/$(T)"
endif
# One thread a process: two processes of two threads each would wait for one another
fast unit notebooks: export OMP_NUM_THREADS := 1
fast unit notebooks: export OPENBLAS_NUM_THREADS := 1
fast:
	$(PATHS) $(BIN)pytest -n 2 --dist worksteal -m "not pages and not slow" -q
lint:
	$(BIN)ruff check .
	$(BIN)ruff format --check .
	$(BIN)deptry hetlib tools
	$(PY) tools/style.py
	$(BIN)check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
types:
	$(BIN)mypy
unit:
	$(PATHS) $(BIN)pytest -n 2 --dist worksteal -m "not pages" -q
# Each checked cell, rerun at the quick profile, prints what is stored
notebooks:
	$(PATHS) HETLIB_PROFILE=quick $(BIN)pytest -n 2 --dist loadfile -q \
	    -o filterwarnings=default -p nbval_verdicts --nbval-lax --nbval-current-env notebooks
pages:
	$(PATHS) $(BIN)pytest -n 2 --dist worksteal -m pages -q tests/book/test_pages.py tests/book/test_pdf.py

bench: setup
	for script in benchmarks/[a-z]*.py; do OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(PY) $$script || exit 1; done

variants seeds: setup
	$(PATHS) $(PY) tools/trials.py $@ $(T)

mutants: setup
	$(BIN)pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[mutants]'
	$(PY) tools/mutants.py $(if $(T),"$(T)")

clean:
	rm -rf _build book/_static/mathjax .pytest_cache .mypy_cache .ruff_cache .hypothesis
