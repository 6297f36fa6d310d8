# make demo, make test: everything else they need, they set up themselves.
VENV ?= .venv
PY := $(VENV)/bin/python
export VENV
.DEFAULT_GOAL := help
.PHONY: help demo test lint bench demo-show demo-longer demo-style demo-masks demo-film demo-generator clean set-up set-up-test

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | \
	    while IFS="$$(printf '\t')" read -r name text; do printf '  make %-16s %s\n' "$$name" "$$text"; done

demo: set-up ## plays the demo show; without a display or a sound card, records and renders it into out/demo
	@$(VENV)/bin/cineml demo --out out/demo

# Two processes of one thread each: half the time on two cores. A file's tests stay together, for they share what is slow to make.
JOBS ?= 2
test: lint ## everything that is checked: ruff, mypy, pytest (JOBS=4 for more processes than two)
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist loadfile

lint: set-up-test ## ruff and mypy alone
	@$(PY) -m ruff check .
	@$(PY) -m mypy

bench: set-up-test ## the project's own measurements, as a table and into out/bench.json
	@mkdir -p out && $(VENV)/bin/cineml bench player --json out/bench.json

# The demo show from nothing, in steps that can be stopped (Ctrl-C) and called again: each goes on where it was.
# 32x32 by reconstruction alone, then grown twice with the adversary. The committed demo was made so (73 minutes), and then
# trained on from its own checkpoint, which is what demo-longer does (82 minutes, MINUTES=82 DECAY=0.4, beside other work).
# More MINUTES at RESOLUTION make it sharper; an accelerator needs a tenth of them, and RESOLUTION=256 is for one.
RESOLUTION ?= 128
MINUTES32 ?= 11
MINUTES64 ?= 20
MINUTES ?= 42
DECAY ?= 0.3
STYLE_STEPS ?= 4000
FILM := out/film/film.mp4
TRAIN = $(PY) -m tools.gan_train $(FILM) --cuts out/film/cuts.csv --anchor --channel-base 2048 --batch 8 --metrics none -o
resume = $(if $(wildcard $(1)/state.safetensors),--resume)

demo-show: demo-generator ## makes show_configs/demo again from nothing: film, training, walks
	$(PY) -m tools.demo_show --film out/film --run out/training --work out/walks --out show_configs/demo

demo-longer: demo-film ## trains the committed demo generator on for MINUTES, and makes the demo show again
	$(TRAIN) out/longer --resolution $(RESOLUTION) --minutes $(MINUTES) --adversarial-every 6 --decay $(DECAY) --aug ada \
	    --augment-kimg 50 --seed 3 $(or $(call resume,out/longer),--grow-from show_configs/demo/checkpoint)
	$(PY) -m tools.demo_show --film out/film --run out/longer --work out/walks --out show_configs/demo

demo-style: set-up-test ## teaches the demo's stylizer two paintings of our own, and exports it (15 minutes)
	$(PY) -m tools.demo_paintings -o out/paintings
	if [ -f out/style/state.safetensors ]; then $(PY) -m tools.style_train -o out/style --resume --steps $(STYLE_STEPS); else \
	    $(PY) -m tools.style_train --film show_configs/demo/film.mp4 --style out/paintings/oil.png out/paintings/woodcut.png -o out/style \
	    --frames 16 --steps $(STYLE_STEPS); fi
	$(PY) -m tools.style_export out/style -o show_configs/style/stylizer.onnx --licence CC0-1.0

demo-masks: set-up-test ## draws the figures of the demo film as masks, for the demo's step printing (3 minutes)
	$(PY) -m tools.demo_masks -o show_configs/style/masks

demo-film: set-up-test ## renders the demo film, its soundtrack and its cut list into out/film
	$(PY) -m tools.demo_film -o out/film

demo-generator: out/trained ## trains the demo generator on the demo film into out/training

out/trained32: | demo-film
	$(TRAIN) out/training32 --resolution 32 --minutes $(MINUTES32) --adversarial-every 0 --lr 0.015 --decay 0.15 $(call resume,out/training32)
	@touch $@

out/trained64: out/trained32
	$(TRAIN) out/training64 --resolution 64 --minutes $(MINUTES64) --adversarial-every 4 --warmup 3 --decay 0.15 \
	    $(or $(call resume,out/training64),--grow-from out/training32)
	@touch $@

out/trained: out/trained64
	$(TRAIN) out/training --resolution $(RESOLUTION) --minutes $(MINUTES) --adversarial-every 6 --decay $(DECAY) \
	    $(or $(call resume,out/training),--grow-from out/training64)
	@touch $@

set-up:
	@tools/set_up.sh demo

set-up-test:
	@tools/set_up.sh test

clean: ## removes the environment and what checks leave behind; keeps out/, where a training may lie
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@if [ -f "$$VENV/pyvenv.cfg" ]; then rm -rf -- "$$VENV"; elif [ -e "$$VENV" ]; then \
	    echo "make clean: VENV=$$VENV is no virtual environment (it holds no pyvenv.cfg), so it is left as it is"; fi
