# Every target sets itself up: on a fresh Debian 12, root needs nothing but make.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
export PYTHON
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# A broken bus or container must fail a target, never ask a question.
export DEBIAN_FRONTEND = noninteractive

NEED_PYTHON = ./.ci/need python:ensurepip=python3-venv
NEED_BUS = ./.ci/need dbus-daemon=dbus-daemon qemu-ga=qemu-guest-agent ssh-keygen=openssh-client
NEED_BENCH = ./.ci/need socat=socat
NEED_DEB = ./.ci/need dpkg-buildpackage=dpkg-dev dh=debhelper dh_python3=dh-python
NEED_CONTAINER = $(NEED_DEB) && ./.ci/need lintian=lintian systemd-nspawn=systemd-container mmdebstrap=mmdebstrap dbus-daemon=dbus-daemon nsenter=util-linux ssh-keygen=openssh-client
NEED_DESKTOP = ./.ci/need Xvfb=xvfb openbox=openbox xterm=xterm xdotool=xdotool xprop=x11-utils sway=sway foot=foot gio=libglib2.0-bin setpriv=util-linux \
	xclip=xclip xsel=xsel wl-copy=wl-clipboard wtype=wtype swayidle=swayidle swaylock=swaylock xss-lock=xss-lock xscreensaver=xscreensaver dunst=dunst dbus-send=dbus-bin mako=mako-notifier busctl=systemd /usr/libexec/xdg-desktop-portal=xdg-desktop-portal \
	Xorg="xserver-xorg-core xserver-xorg-video-dummy" xrandr=x11-xserver-utils flatpak=flatpak \
	gjs=gjs gcc="gcc libc6-dev" pkg-config=pkg-config file:/usr/include/systemd/sd-bus.h=libsystemd-dev
NEED_VM = ./.ci/need qemu-system-x86_64=qemu-system-x86 qemu-img=qemu-utils mke2fs=e2fsprogs

# What talks to D-Bus runs with each library, by dbus-next only what so much as names a bus, and asks for more of it than
# that eventd has one; the rest once, the protocol measured.
BUS_TESTS = tests/eventd tests/transport $(wildcard tests/session/test_*.py) $(BUS_HOST_TESTS)
NEXT_TESTS = $(filter-out $(HAVE_A_BUS), $(shell grep -rli --include='test_*.py' bus tests/eventd tests/transport $(wildcard tests/session/test_*.py))) $(BUS_HOST_TESTS)
HAVE_A_BUS = tests/eventd/test_hostile_host.py tests/eventd/test_journal_of_eventd.py tests/eventd/test_stock_clients.py
BUS_HOST_TESTS = tests/host/test_end_to_end.py tests/host/test_real_guests.py
OTHER_TESTS = tests --ignore=tests/protocol --ignore=tests/eventd --ignore=tests/transport \
	--ignore-glob='tests/session/test_*.py' $(BUS_HOST_TESTS:%=--ignore=%)
# What the tests of the tests, of figures and of packages import, and whether qemu-ga does the same, is settled without.
OLDEST_TESTS = tests $(foreach part,benchmarks chaos conformance packaging,--ignore=tests/$(part))
CODE = protocol eventd session host tests benchmarks examples docs packaging
SOURCES = $(wildcard $(CODE))

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---- environments ---------------------------------------------------------------------------------------------------

# What is installed where. .venv-next has dbus-next alone, so that dbus-fast cannot be imported by mistake.
INSTALL_.venv = -e '.[guest,fast,host,dev]'
INSTALL_.venv-next = -e '.[guest,host,dev]'
INSTALL_.venv-oldest = -e '.[guest,fast,host,dev]' -c packaging/constraints-oldest.txt

TOO_OLD = guestmux needs Python 3.11 or newer; name one with: make PYTHON=python3.11

.venv-oldest/.installed: packaging/constraints-oldest.txt
.venv/.installed .venv-next/.installed .venv-oldest/.installed: pyproject.toml
	@$(NEED_PYTHON)
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("$(TOO_OLD)")'
	[ -x $(@D)/bin/pip ] || $(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/pip install -qq $(INSTALL_$(@D))
	@touch $@

.PHONY: bus
bus:
	@$(NEED_BUS)

# ---- what people run ------------------------------------------------------------------------------------------------

.PHONY: demo
demo: .venv/.installed bus ## Show the main job; KEEP=1 leaves it running, GUEST=container or vm boots a real guest
ifneq ($(filter container vm,$(GUEST)),)
	@$(NEED_CONTAINER)
endif
ifeq ($(GUEST),vm)
	@$(NEED_VM)
endif
	.venv/bin/python -m guestmux.demo $(if $(filter-out 0,$(KEEP)),--keep) $(if $(GUEST),--guest $(GUEST))

# They compute more than they wait: as many as there are processors.
AT_ONCE := $(shell n=$$(nproc); echo $$((n < 2 ? 2 : n > 4 ? 4 : n)))

.PHONY: test test-protocol test-dbus-fast test-dbus-next test-other
test: .venv/.installed .venv-next/.installed bus ## Protocol with full branch coverage, D-Bus by dbus-fast and by dbus-next alone, the rest
	@echo "four runs, $(AT_ONCE) at a time; each is shown when it ends"
	@$(MAKE) --no-print-directory -k -j$(AT_ONCE) -Otarget test-dbus-fast test-other test-dbus-next test-protocol

# These start some two thousand processes: where the environment forbids it to keep what it compiles, Python compiles all
# of guestmux for each. It is kept apart from the tree, which is what packages are built of.
COMPILING_ONCE = test-protocol test-dbus-fast test-dbus-next test-other test-qemu test-desktop test-oldest
$(COMPILING_ONCE): export PYTHONDONTWRITEBYTECODE =
$(COMPILING_ONCE): export PYTHONPYCACHEPREFIX = $(CURDIR)/.cache/pycache

test-protocol: .venv/.installed
	.venv/bin/coverage run -m pytest -q tests/protocol
	.venv/bin/coverage report --fail-under=100

test-dbus-fast: .venv/.installed bus
	GUESTMUX_DBUS_LIBRARY=dbus-fast .venv/bin/pytest -q $(BUS_TESTS)

test-dbus-next: .venv-next/.installed bus
	GUESTMUX_DBUS_LIBRARY=dbus-next .venv-next/bin/pytest -q -rfE $(NEXT_TESTS)

test-other: .venv/.installed bus
	.venv/bin/pytest -q $(OTHER_TESTS)

.PHONY: test-guest
test-guest: .venv/.installed ## Against a container with real systemd, logind, D-Bus and PAM logins (root)
	@$(NEED_CONTAINER)
	.venv/bin/python -m tests.guest.install
	.venv/bin/pytest -v tests/guest

.PHONY: chaos
chaos: .venv/.installed bus ## Kill everything at random under load and account for each event; MINUTES=5 SEED=random
	.venv/bin/python -m tests.chaos --minutes $(or $(MINUTES),5) $(if $(SEED),--seed $(SEED))

.PHONY: overload
overload: .venv/.installed bus ## See that eventd's memory stays level while agents emit all they can; MINUTES=5
	.venv/bin/python -m tests.chaos.overload --minutes $(or $(MINUTES),5)

.PHONY: test-qemu
test-qemu: .venv/.installed bus ## Against QEMU's real chardevs and virtio-serial ports, without booting anything
	@./.ci/need qemu-system-x86_64=qemu-system-x86
	.venv/bin/pytest -q tests/qemu

.PHONY: test-desktop
test-desktop: .venv/.installed bus ## The session agent on real desktops: Xvfb with openbox, sway without a screen; GNOME=1 with GNOME's shell as well
	@$(NEED_DESKTOP)
	@$(if $(GNOME),./.ci/need gnome-shell=gnome-shell)
	.venv/bin/pytest -q tests/desktop

.PHONY: test-vm
test-vm: .venv/.installed ## Against a virtual machine with a real kernel and real virtio-serial ports (root)
	@$(NEED_CONTAINER)
	@$(NEED_VM)
	.venv/bin/python -m tests.vm.image
	.venv/bin/pytest -v --durations=10 tests/vm

.PHONY: test-libvirt
test-libvirt: .venv/.installed ## Against a domain of a libvirtd of its own, with virsh (root)
	@$(NEED_CONTAINER)
	@$(NEED_VM)
	@./.ci/need virsh=libvirt-clients libvirtd="libvirt-daemon libvirt-daemon-driver-qemu" || \
	    echo "libvirtd cannot be installed here: its tests are skipped" >&2
	.venv/bin/python -m tests.vm.image
	.venv/bin/pytest -v tests/libvirt

.PHONY: test-oldest
test-oldest: .venv-oldest/.installed bus ## The suite on the oldest dependencies that pyproject.toml allows
	.venv-oldest/bin/pytest -q $(OLDEST_TESTS)

.PHONY: deb
deb: .venv/.installed ## Build the Debian 12 packages into dist
	@$(NEED_DEB)
	PYTHON=$(CURDIR)/.venv/bin/python packaging/build-deb

.PHONY: wheel
wheel: .venv/.installed ## Build the wheel into dist
	.venv/bin/pip wheel --quiet --no-deps --wheel-dir dist .

.PHONY: check
check: .venv/.installed ## Format, lint, types, layers, generated docs
	.venv/bin/ruff format --check $(SOURCES)
	.venv/bin/ruff check $(SOURCES)
	.venv/bin/mypy
	.venv/bin/mypy tests docs $(wildcard benchmarks)
	.venv/bin/lint-imports
	.venv/bin/python docs/build_reference.py --check

.PHONY: bench
bench: .venv/.installed bus ## Ratios against stock qemu-ga, D-Bus and bare sockets, in one run; PLOTS=docs/plots draws them
	@$(NEED_BENCH)
	.venv/bin/pip install -qq -e '.[bench]'
	.venv/bin/python -m benchmarks $(if $(PLOTS),--plots $(PLOTS))

.PHONY: clean
clean: ## Remove what these targets made, all but the guests' images in the user's cache
	rm -rf .venv .venv-next .venv-oldest build dist .cache .coverage* .hypothesis .import_linter_cache
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +
	@echo "guests' images stay in $${XDG_CACHE_HOME:-$$HOME/.cache}/guestmux"
