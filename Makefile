# CooVox Billing. `make run` and `make test` are all a newcomer needs; README.md tells the rest.

PYTHON ?= python3
DEBIAN_PYTHON ?= /usr/bin/python3
DATA ?= run/data
FUZZ ?= 60
SOAK ?= 10
CALLS ?= 1000000
KILLS ?= 10000
CALLERS ?= 450
ASTERISK ?= 22
RELEASE ?= bookworm
ARCH ?= armhf
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -q
# For tests that wait for the disk most of their time; those with a real Asterisk or browser do not.
IN_MEMORY := tests/in_memory.sh

ASTERISK_VERSIONS ?= 16 22
# Parts of like length, which run side by side: some calculate, some wait.
FAST_PARTS := web lists services cli backup pbx firmware rest
FAST_services := tests/services
FAST_pbx := tests/pbx
FAST_lists := $(patsubst %,tests/web/test_%.py,call_log dashboard extensions languages rate_check rates recharge_history statistics tables tariff_drafts)
FAST_web := tests/web $(addprefix --ignore=,$(FAST_lists))
FAST_cli := tests/cli
FAST_firmware := tests/firmware
FAST_backup := tests/backup
FAST_rest := tests/core tests/license tests/store tests/house
CHAOS_killed := tests/chaos/test_killed_at_every_step.py
CHAOS_rest := tests/chaos --ignore=$(CHAOS_killed)
ASTERISK_lives := $(patsubst %,tests/asterisk/test_%.py,whatever_dies lives transfers)
ASTERISK_live := $(patsubst %,tests/asterisk/test_%.py,live_calls clock)
ASTERISK_soak := tests/asterisk/test_soak.py
ASTERISK_calls := tests/asterisk $(addprefix --ignore=,$(ASTERISK_lives) $(ASTERISK_live) $(ASTERISK_soak))
BROWSER_PARTS := everywhere reach people calls pages
BROWSER_everywhere := tests/browser/test_everywhere.py
BROWSER_reach := $(patsubst %,tests/browser/test_%.py,accessibility user_guide)
BROWSER_people := $(patsubst %,tests/browser/test_%.py,extensions people languages)
BROWSER_calls := $(patsubst %,tests/browser/test_%.py,addons call_log demo)
BROWSER_pages := tests/browser $(addprefix --ignore=,$(BROWSER_everywhere) $(BROWSER_reach) $(BROWSER_people) $(BROWSER_calls))
# What asks programs of Debian's runs with its own packages alone.
DEBIAN_rest := tests/packaging
# Sentences that `make messages` collects are given to these.
SAYING := later Sentence Numbered BadInput NotFound Refused SetupError AmiError AmiGone ControllerFault Malformed NotSent PeerGone PlaceTrouble StoreFault TooLate Damaged WrongFile OtherFormat OtherProduct UnknownIssuer OutOfPeriod Revoked OtherDevice TooFewIdentifiers Unfit
SIDE_BY_SIDE = @$(MAKE) --no-print-directory -j2 --output-sync=target
DEBIAN_PACKAGES := sip-tester chromium chromium-driver python3-cryptography python3-flask python3-peewee python3-pyotp \
	python3-segno python3-waitress python3-tzlocal python3-babel python3-openpyxl python3-serial python3-pytest \
	python3-hypothesis python3-prometheus-client python3-paramiko python3-boto3 age openssh-server faketime systemd \
	gcc libc6-dev debhelper dh-python po-debconf lintian shellcheck iproute2

.PHONY: run demo deps test test-fast test-chaos test-debian test-asterisk test-browser fuzz bench footprint soak soak-fake
.PHONY: screenshot lint messages bump clean package bundle test-appliance

## run: start the product on an embedded database; never needs root
run: $(VENV)/run.stamp
	$(BIN)/coovox-billing --data $(DATA) serve

## deps: install the Debian packages that the tests need; without root, say which
deps:
	@missing=$$(for package in $(DEBIAN_PACKAGES); do \
		dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || echo $$package; done | xargs); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" -ne 0 ]; then \
		echo "The tests need some Debian packages. Run this, then try again:" >&2; \
		echo "  sudo apt update && sudo apt install --no-install-recommends $$missing" >&2; exit 1; fi; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing

## test: everything but the appliance images
test: deps lint test-fast test-chaos test-debian test-browser test-asterisk

## test-fast: no Asterisk, no browser, under a minute
test-fast:
	$(SIDE_BY_SIDE) -j7 $(FAST_PARTS:%=test-fast-%)

test-fast-%: $(VENV)/test.stamp
	$(IN_MEMORY) $(PYTEST) $(FAST_$*)

## test-chaos: the call plane killed at every step of every kind of call, and bad days, on a fake PBX; two minutes
test-chaos:
	$(SIDE_BY_SIDE) test-chaos-killed test-chaos-rest

test-chaos-%: deps $(VENV)/test.stamp
	$(IN_MEMORY) $(PYTEST) $(CHAOS_$*) --durations=5

## test-debian: the same on Debian's own Python packages
test-debian:
	$(SIDE_BY_SIDE) -j7 $(FAST_PARTS:%=test-debian-%)

# The S3 server of the tests is not in Debian.
test-debian-backup: $(VENV)/test.stamp

test-debian-%: deps
	$(IN_MEMORY) $(DEBIAN_PYTHON) -m pytest -q -p no:cacheprovider $(FAST_$*) $(DEBIAN_$*) --deselect tests/house/test_wheel.py

## test-asterisk: calls through a real Asterisk, both versions side by side in three parts each, for they mostly wait;
## then the soak, which does not
test-asterisk:
	$(SIDE_BY_SIDE) -j6 $(foreach part,calls live lives,$(ASTERISK_VERSIONS:%=test-asterisk-%-$(part)))
	@$(MAKE) --no-print-directory $(ASTERISK_VERSIONS:%=test-asterisk-%-soak)

test-asterisk-%: deps $(VENV)/test.stamp
	ASTERISK_VERSIONS=$(firstword $(subst -, ,$*)) $(PYTEST) $(ASTERISK_$(lastword $(subst -, ,$*))) --durations=8

## test-browser: the pages in a real Chromium, in parts side by side
test-browser:
	$(SIDE_BY_SIDE) -j5 $(BROWSER_PARTS:%=test-browser-%)

test-browser-%: deps $(VENV)/test.stamp
	$(PYTEST) $(BROWSER_$*) --durations=8

## fuzz: garbage for every reader, FUZZ= seconds each; a failure leaves its input in run/fuzz
fuzz: $(VENV)-fuzz/stamp
	@for target in agi record rates settings source license; do \
		mkdir -p run/fuzz/$$target && \
		PYTHONPATH=. $(VENV)-fuzz/bin/python tests/fuzz/fuzz.py $$target -max_total_time=$(FUZZ) -print_final_stats=1 \
			-artifact_prefix=run/fuzz/$$target- run/fuzz/$$target tests/fuzz/seeds/$$target > run/fuzz/$$target.log 2>&1; \
		status=$$?; grep -h "number_of_executed_units" run/fuzz/$$target.log | sed "s/^stat::/$$target: /"; \
		if [ $$status -ne 0 ]; then tail -40 run/fuzz/$$target.log; exit 1; fi; \
	done

## bench: what a call costs, beside the floors measured in the same run
bench: DEBIAN_PACKAGES += libsqlite3-dev
bench: deps $(VENV)/test.stamp
	PYTHONPATH=. $(BIN)/python -m tests.bench.bench $(BENCH)

## footprint: memory on emulated ARM and here, start time, flash writes, beside what each may be; FOOTPRINT= options
footprint: DEBIAN_PACKAGES := qemu-user-static python3-cryptography python3-flask python3-peewee python3-pyotp \
	python3-segno python3-waitress python3-tzlocal python3-babel python3-openpyxl python3-serial e2fsprogs
footprint: deps $(VENV)/test.stamp
	PYTHONPATH=. $(BIN)/python -m tests.footprint.footprint $(FOOTPRINT)

## soak: calls of all kinds on a real Asterisk (ASTERISK=22 or 16) for SOAK= minutes while everything dies
soak: deps $(VENV)/test.stamp
	PYTHONPATH=. $(BIN)/python tests/soak/soak.py --minutes $(SOAK) --asterisk $(ASTERISK) $(if $(SEED),--seed $(SEED))

## soak-fake: CALLS= calls of all kinds and KILLS= kills of the call plane on a fake PBX, much faster than a real one
soak-fake: deps $(VENV)/test.stamp
	PYTHONPATH=. $(BIN)/python tests/chaos/soak.py --calls $(CALLS) --kills $(KILLS) --callers $(CALLERS) $(if $(SEED),--seed $(SEED))

## demo: the product with extensions, rates and calls arriving, in the browser
demo: $(VENV)/test.stamp  # a real Asterisk joins in where SIPp is installed (make deps)
	PYTHONPATH=.:license $(BIN)/python tests/demo/demo.py

## screenshot: make the pictures of the README and the user guide anew
screenshot: deps $(VENV)/test.stamp
	PICTURES=docs $(PYTEST) tests/browser/test_demo.py -k real
	PICTURES=docs/user-guide $(PYTEST) tests/browser/test_user_guide.py

## package: the Debian package, in dist/
package: DEBIAN_PACKAGES := debhelper dh-python po-debconf dpkg-dev
package: deps
	$(DEBIAN_PYTHON) packaging/build_deb.py --into dist

## bundle: one file for a box without internet, for RELEASE= (bookworm, trixie) and ARCH= (armhf, arm64, amd64), in dist/
bundle: package
	$(DEBIAN_PYTHON) packaging/build_bundle.py $$(ls -t dist/*.deb | head -1) --release $(RELEASE) --architecture $(ARCH) --into dist

## test-appliance: the package on clean Debian systems, of this machine and of ARM under qemu (IMAGES="trixie bookworm-arm64"); needs root
test-appliance: DEBIAN_PACKAGES := debhelper dh-python po-debconf dpkg-dev mmdebstrap arch-test qemu-user-static iproute2 git
test-appliance: deps $(VENV)/test.stamp
	$(PYTEST) -p no:cacheprovider tests/appliance --durations=5

## lint: ruff, and the type checker
lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

## messages: every sentence that a page may show, into run/coovox_billing.pot, and from there into each language's catalog
messages: $(VENV)/run.stamp
	mkdir -p run
	$(BIN)/pybabel -q extract -F pyproject.toml $(SAYING:%=-k %) -k ngettext:1,2 --no-location --sort-output --no-wrap \
		--ignore-dirs="cli .* ._*" --project="CooVox Billing" --add-comments=Translators \
		-o run/coovox_billing.pot coovox_billing web/templates
	@for catalog in web/languages/*.po; do \
		$(BIN)/pybabel -q update -i run/coovox_billing.pot -l "$$(basename "$$catalog" .po)" -o "$$catalog" \
			--no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --no-wrap || exit 1; \
		sed -i -E '/^"(Report-Msgid-Bugs-To|POT-Creation-Date|PO-Revision-Date|Last-Translator|Language-Team|Generated-By):/d' \
			"$$catalog"; \
	done

## bump: move the committed locks to the newest versions
bump:
	rm -rf $(VENV)-bump
	$(PYTHON) -m venv $(VENV)-bump
	$(VENV)-bump/bin/pip install -q .
	$(VENV)-bump/bin/pip uninstall -q -y coovox-billing
	$(VENV)-bump/bin/pip freeze > locks/run.txt
	$(VENV)-bump/bin/pip install -q -r locks/test.in
	$(VENV)-bump/bin/pip freeze > locks/test.txt
	rm -rf $(VENV)-bump
	$(PYTHON) -m venv $(VENV)-bump
	$(VENV)-bump/bin/pip install -q atheris cryptography
	$(VENV)-bump/bin/pip freeze > locks/fuzz.txt
	rm -rf $(VENV)-bump

## clean: remove what the targets made, but not the data
clean:
	rm -rf $(VENV) $(VENV)-bump $(VENV)-fuzz build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/run.stamp: pyproject.toml locks/run.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -r locks/run.txt
	$(BIN)/pip install -q --no-deps -e .
	touch $@

$(VENV)/test.stamp: locks/test.txt $(VENV)/run.stamp
	$(BIN)/pip install -q -r locks/test.txt
	touch $@

$(VENV)-fuzz/stamp: locks/fuzz.txt
	$(PYTHON) -m venv $(VENV)-fuzz
	$(VENV)-fuzz/bin/pip install -q -r locks/fuzz.txt
	touch $@
