# packgate: `make run` and `make test` do everything from a bare Debian 12; `make help` lists the targets.

CC         ?= cc
PKG_CONFIG ?= pkg-config
CFLAGS  ?= -O2 -g
PREFIX  ?= /usr/local
DESTDIR ?=
VERSION := 0.2.0

# BLE=no leaves out Bluetooth, and with it libsystemd and nettle. SAN=1 builds with address and undefined behaviour sanitizers, beside the usual build.
BUILD    := build/$(if $(SAN),sanitized,$(notdir $(CC)))$(if $(WITHOUT),-without-$(WITHOUT))$(if $(filter no,$(BLE)),-without-ble)
# Implementations of a callback do not use all of its parameters.
WARN     := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wvla \
            $(if $(CI),-Werror) -Wno-unused-parameter
HARDEN   := -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2
# Files beyond 2 GiB and times after 2038 where a word has 32 bits; elsewhere it says nothing.
LARGE    := -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

# Debian's names of what it takes to build, and what the tests want on top.
DEPS      := gcc libc6-dev pkg-config libmodbus-dev libserialport-dev libev-dev libinih-dev libjansson-dev liblua5.4-dev
TEST_DEPS  = libcmocka-dev mbpoll strace python3-minimal python3-pymodbus python3-serial-asyncio python3-ephem python3-yaml clang libclang-rt-dev nodejs npm \
             dbus python3-dbus python3-gi mosquitto mosquitto-clients openssl python3-jinja2 python3-paho-mqtt $(BROWSER) fonts-inter curl nginx-light prometheus influxdb victoria-metrics prometheus-alertmanager iproute2 spin

# The shell of Chromium alone looks at pages with a third of the processor time that the whole one takes, which does as well.
BROWSER    = $(if $(shell command -v chromium),,chromium-headless-shell)

# Debian's libev has no .pc file.
LIBS       := libmodbus libserialport inih jansson lua5.4
ifneq ($(BLE),no)
DEPS       += libsystemd-dev nettle-dev
LIBS       += libsystemd nettle
endif
# Asked once, and not before something is built.
PKG_CFLAGS  = $(eval PKG_CFLAGS := $$(shell $(PKG_CONFIG) --cflags $(LIBS)))$(PKG_CFLAGS)
PKG_LIBS    = $(eval PKG_LIBS := $$(shell $(PKG_CONFIG) --libs $(LIBS)) -lev -lm)$(PKG_LIBS)
COMPILE     = $(CC) -std=c11 -D_GNU_SOURCE $(LARGE) -DPACKGATE_VERSION='"$(VERSION)"' -I. -Igateway $(WARN) \
              $(if $(SAN),$(SANITIZE),$(HARDEN)) $(PKG_CFLAGS) $(CPPFLAGS) $(CFLAGS)
LINK        = $(CC) $(CFLAGS) $(if $(SAN),$(SANITIZE),-pie -Wl,-z,relro,-z,now) $(LDFLAGS)

SOURCES := $(filter-out gateway/outlets/main.c gateway/outlets/certificate.c gateway/outlets/names.c gateway/outlets/outlet.c gateway/outlets/rights.c \
               gateway/outlets/transfer.c $(wildcard gateway/past/*.c),\
               $(wildcard bms/*.c bms/*/*.c registers/*.c gateway/*.c gateway/*/*.c gateway/config/ini/*.c gateway/config/outlets/*.c gateway/lines/search/*.c gateway/lines/hear/*.c gateway/commands/limits/*.c gateway/commands/setup/*.c)) \
           $(if $(filter no,$(BLE)),gateway/ports/ble/none.c,$(filter-out %/none.c,$(wildcard gateway/ports/ble/*.c)))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o) $(BUILD)/registers/template_files.o $(BUILD)/gateway/commands/demo_config.o
comma   := ,
UNITS   := $(patsubst tests/%.c,$(BUILD)/tests/%,\
               $(filter-out $(foreach outlet,$(subst $(comma), ,$(WITHOUT)),tests/test_$(outlet)%) $(if $(filter no,$(BLE)),tests/test_ble_%),$(wildcard tests/test_*.c)))

.DEFAULT_GOAL := all
include gateway/outlets/outlets.mk

# One short line for each file; V=1 shows the commands. All cores, unless -j says otherwise; a make below another gets
# its share from that one. A search for built-in rules for each of thousands of headers would take most of a make that does little.
Q     := $(if $(V),,@)
short  = $(if $(V),,@printf '  %-4s %s\n' $(1) $(2))
MAKEFLAGS += --no-builtin-rules
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += --jobs=$(shell nproc)
endif
ifneq ($(filter clean,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif

$(BUILD)/gateway/config/check.o: CPPFLAGS += $(if $(filter no,$(BLE)),,-DWITH_BLE)

all: $(BUILD)/packgate $(OUTLET_PROGRAMS)

# All but main; a test takes out of it what it needs.
LIBRARY := $(BUILD)/libpackgate.a

$(LIBRARY): $(filter-out %/main.o,$(OBJECTS))
	$(call short,AR,$@)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

$(BUILD)/packgate: $(BUILD)/gateway/main.o $(LIBRARY)
	$(call short,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(PKG_LIBS)

$(BUILD)/tests/test_alarm_bits: $(BUILD)/tests/fuzz/repair.o
$(BUILD)/tests/test_%: $(BUILD)/tests/test_%.o $(OUTLET_ARCHIVE) $(LIBRARY)
	$(call short,LINK,$@)
	$(Q)$(LINK) -Wl,--as-needed -o $@ $^ $(PKG_LIBS) $(OUTLET_LIBS) -lcmocka

# The templates of the map and of client files and the configuration of the demo, as texts.
FORMATS   := $(wildcard registers/formats/*)
TEMPLATES := $(wildcard conf/clients/*)
as_text := sed -e 's/[\\"]/\\&/g' -e 's/.*/"&\\n"/'
$(BUILD)/registers/template_files.c: registers/template.lua $(FORMATS) $(TEMPLATES) Makefile
	@mkdir -p $(@D)
	$(call short,TEXT,templates)
	$(Q){ printf '%s\n' '#include "registers/template.h"' 'const char template_lua[] ='; $(as_text) $<; \
	    printf '%s\n' ';' 'const struct template_file template_files[] = {'; \
	    for file in $(FORMATS) $(TEMPLATES); do name=$${file##*/}; echo "{\"$${name%.*}\","; \
	        $(as_text) $$file; echo '},'; done; echo '{0}};'; } >$@.new && mv $@.new $@

$(BUILD)/gateway/commands/demo_config.c: conf/demo.ini Makefile
	@mkdir -p $(@D)
	$(call short,TEXT,$<)
	$(Q){ echo 'extern const char demo_config[]; const char demo_config[] ='; $(as_text) $<; echo ';'; } >$@.new && mv $@.new $@

$(BUILD)/registers/template_files.o $(BUILD)/gateway/commands/demo_config.o: $(BUILD)/%.o: $(BUILD)/%.c
	$(call short,CC,$<)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call short,CC,$<)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

# run and test start from nothing: the packages first, then a make of its own that finds them. The first run of a clone builds
# what the demonstration needs and no more, in a folder of its own and with little optimizing: half the work. Where
# something is built already, and where it was told how to build, that is what runs.
QUICK_DEMO  := $(if $(strip $(SAN)$(WITHOUT)$(BLE)$(filter-out file,$(origin CFLAGS))$(wildcard $(BUILD)/packgate)),,yes)
DEMO_BUILD  := $(if $(QUICK_DEMO),build/demo,$(BUILD))
run: deps
	@$(MAKE) --no-print-directory $(if $(QUICK_DEMO),BUILD=$(DEMO_BUILD) CFLAGS=-O1 WITHOUT=influx$(comma)mqtt$(comma)notify BLE=no) \
	    all
	@exec $(DEMO_BUILD)/packgate demo

# A copy of the page with a recorded day, for any web space.
demo-site: deps
	@tests/install-packages python3
	@$(MAKE) --no-print-directory all
	@packaging/demo-site/make-site $(BUILD)/packgate build/demo-site

# TESTS="server e2e/push 'jk*' fuzz/daly" picks some; tests/run has the details.
RUN_TESTS = BUILD=$(BUILD) FUZZ_BUILD=$(FUZZ_BUILD) tests/run

test check: test-deps
	@programs=$$($(RUN_TESTS) --programs $(TESTS)) && $(MAKE) --no-print-directory $$programs
	@$(RUN_TESTS) $(TESTS)

# The unit tests alone, without the fuzzers.
unit-programs: $(UNITS)

deps:
	@tests/install-packages $(DEPS)

test-deps:
	@tests/install-packages $(DEPS) $(TEST_DEPS)

docs: all
	$(BUILD)/packgate map --format md >register-map.md
	$(BUILD)/packgate protocols --format md >docs/packs.md
	$(BUILD)/packgate protocols --format makes >$(BUILD)/makes.md
	sed -i -e '/^<!-- makes begin/,/^<!-- makes end/{//!d}' -e '/^<!-- makes begin/r $(BUILD)/makes.md' README.md

# Endurance, for SOAK_MINUTES, and the tests of ages, storms, recovery and damage for longer than usual; short runs of all of
# them are among the tests.
soak: test-deps
	@$(MAKE) --no-print-directory all $(addprefix $(BUILD)/tests/,test_ages test_line_storm test_recovery bench/damage)
	AGES_SECONDS=$(or $(SOAK_SECONDS),2400) $(BUILD)/tests/test_ages
	SEEDS=$(or $(SOAK_SEEDS),40) $(BUILD)/tests/test_line_storm
	$(BUILD)/tests/test_recovery
	$(BUILD)/tests/bench/damage $(or $(SOAK_DAMAGED),1000000)
	SOAK_MINUTES=$(or $(SOAK_MINUTES),60) /usr/bin/python3 tests/e2e/test_soak.py $(BUILD)/packgate

# The proof of the rule of the open requests in full; a short one is one of the tests.
model:
	@tests/install-packages spin clang
	tests/model/check

# Real BlueZ and the kernel's virtual Bluetooth controllers, in qemu; as root. Minutes, and no part of test.
VM_DEPS := qemu-system-x86 kmod cpio bluez bluez-test-tools dbus python3-dbus python3-gi

bluetooth-vm:
	@tests/install-packages $(DEPS) $(VM_DEPS)
	@$(MAKE) --no-print-directory $(BUILD)/packgate
	tests/bluetooth/vm build/vm $(BUILD)/packgate

# The Debian packages below a real systemd, in a container, with the system bus and a stand-in for BlueZ; as root.
bluetooth-service: deb
	@tests/install-packages systemd-container dbus bluez python3-dbus python3-gi procps
	tests/bluetooth/trial build/trial $(PACKED)/packgate*_$(VERSION)_$(shell dpkg --print-architecture).deb

# Many gateways into one database, for FLEET_GATEWAYS, FLEET_REAL and FLEET_SECONDS; a small one is one of the tests.
fleet: test-deps
	@$(MAKE) --no-print-directory all
	/usr/bin/python3 tests/fleet/fleet.py $(BUILD)/packgate

FORMATTED := $(wildcard bms/*.[ch] bms/*/*.[ch] registers/*.[ch] gateway/*.[ch] gateway/*/*.[ch] gateway/*/*/*.[ch] gateway/*/*/*/*.[ch] tests/*.[ch] tests/*/*.[ch])

format:
	clang-format -i $(FORMATTED)

# The build directory lets cppcheck look across files, and again only at what has changed.
lint:
	@tests/install-packages clang-format cppcheck
	@mkdir -p build/cppcheck
	clang-format --dry-run --Werror $(FORMATTED)
	cppcheck -q -j $(shell nproc) --cppcheck-build-dir=build/cppcheck --std=c11 --enable=warning,performance,portability --error-exitcode=1 \
	    --inline-suppr -I. -Igateway -D_GNU_SOURCE bms registers gateway

# Lines reached by all tests, file by file.
coverage:
	@$(MAKE) --no-print-directory test BUILD=build/coverage CFLAGS="-O0 -g --coverage"
	@cd build/coverage && gcov -n $(SOURCES:%.c=%.o) 2>/dev/null | \
	    awk -F"'" '/^File/ { file = $$2 } /^Lines/ && file ~ /^(bms|registers|gateway)/ { print file ": " $$0 }'

clean:
	rm -rf build

include tests/fuzz/fuzz.mk tests/bench/bench.mk

help:
	@echo "make run        install what is missing, build, start the gateway on simulated packs"
	@echo "make demo-site  a copy of the page with a recorded day, for any web space, in build/demo-site"
	@echo "make test       the same for all tests; SAN=1: under address and undefined behaviour sanitizers;"
	@echo "                TESTS=\"server e2e/push 'jk*' fuzz/daly\": these only"
	@echo "make            build only; CC, CFLAGS, PREFIX, DESTDIR as usual"
	@echo "make BLE=no     the same without Bluetooth, and without libsystemd"
	@echo "make deps       install the packages that building needs (apt-get)"
	@echo "make install    program, manual, service, example configuration; make uninstall takes them away again"
	@echo "make deb        the Debian packages, in build/packages; ARCH=arm64 or armhf: for that architecture"
	@echo "make image      the container image as an OCI archive; ARCHES=\"amd64 arm64\": for both"
	@echo "make home-assistant   the app for Home Assistant OS: a folder with packages for amd64 and arm64"
	@echo "make home-assistant-store   its store repository; STORE=https://... STORE_IMAGE=..."
	@echo "make release    all that a release has, in build/packages/release"
	@echo "make dist       the source archive; make check-arch ARCH=arm64 (armhf, s390x): unit tests under qemu"
	@echo "make docs       generate register-map.md and the other documents that the program prints; make pictures: those of the page"
	@echo "make bench      speed and memory on this machine; make fuzz: fuzzers, FUZZ_SECONDS each"
	@echo "make fleet      a thousand gateways through nginx into VictoriaMetrics, each part killed, every sample counted"
	@echo "make model      the rule of the open requests proved in full, and mutations of it refuted"
	@echo "make soak       64 packs, ten clients and everything that goes wrong, for SOAK_MINUTES (60)"
	@echo "make bluetooth-vm  packs over real BlueZ in a virtual machine, some minutes, as root; bluetooth-service: the packages,"
	@echo "                set-up and Bluetooth below a real systemd"
	@echo "make lint format coverage clean"

include packaging/install.mk packaging/package.mk
-include $(OBJECTS:.o=.d) $(UNITS:=.d) $(wildcard $(BUILD)/tests/*/*.d)

.SECONDARY:
.PHONY: all run demo-site test check unit-programs deps test-deps docs soak model fleet bluetooth-vm bluetooth-service format lint coverage clean help
