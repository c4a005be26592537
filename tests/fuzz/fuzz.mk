# Fuzzers, built with clang whatever CC is: address and undefined behaviour sanitizers, coverage for libFuzzer. One
# program for all drivers (FUZZ_DRIVER says which), one each for what users write and what clients send.

FUZZ_CC    ?= clang
FUZZ_BUILD ?= build/fuzz
FUZZ_SECONDS ?= 60

FUZZ_SANITIZE := -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZ_COMPILE   = $(FUZZ_CC) -std=c11 -D_GNU_SOURCE -DPACKGATE_VERSION='"$(VERSION)"' -I. -Igateway $(WARN) -O1 -g \
                 $(FUZZ_SANITIZE) -fsanitize=fuzzer-no-link $(if $(filter $(FUZZ_PRINTS),$<),-fno-sanitize-coverage=trace-cmp) \
                 $(PKG_CFLAGS)
# The fuzzers learn from comparisons what inputs are made of. In checksums, in what prints registers and in what judges the
# outcome there is nothing of that to learn, and hearing of all of theirs took half of the time.
FUZZ_PRINTS   := registers/%.c bms/pack.c gateway/base/suggest.c tests/fuzz/%.c
# No fuzzer reaches the rooms above lines, modbus and config, but for exchange files; a linker that misses something says so.
FUZZ_OBJECTS  := $(patsubst %.c,$(FUZZ_BUILD)/%.o,gateway/commands/exchange.c gateway/outlets/present/rtu.c \
                     $(filter gateway/ports/ble/victron.c gateway/ports/ble/none.c,$(SOURCES)) \
                     $(filter-out gateway/main.c $(addprefix gateway/,commands/% daemon/% control/% outlets/% packs/% ports/ble/%),$(SOURCES)))
FUZZ_PROGRAMS := $(patsubst tests/fuzz/%.c,$(FUZZ_BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SEEDS    := $(FUZZ_BUILD)/seeds/made

# Each fuzzer on its own corpus, all cores busy, until FUZZ_SECONDS are over. What is found stays below FUZZ_BUILD.
fuzz: test-deps
	@$(MAKE) --no-print-directory fuzz-programs
	@tests/run --list fuzz | FUZZ_BUILD=$(FUZZ_BUILD) FUZZ_SECONDS=$(FUZZ_SECONDS) \
	    xargs -P $$(nproc) -I TARGET tests/fuzz/run grow TARGET

fuzz-programs: $(FUZZ_PROGRAMS) $(FUZZ_SEEDS)

$(FUZZ_BUILD)/libpackgate.a: $(FUZZ_OBJECTS)
	$(call short,AR,$@)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

$(FUZZ_BUILD)/fuzz_driver: $(FUZZ_BUILD)/tests/fuzz/repair.o
$(FUZZ_BUILD)/fuzz_%: $(FUZZ_BUILD)/tests/fuzz/fuzz_%.o $(FUZZ_BUILD)/libpackgate.a
	$(call short,LINK,$@)
	$(Q)$(FUZZ_CC) $(FUZZ_SANITIZE) -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(filter %.a,$^) $(PKG_LIBS)

$(FUZZ_BUILD)/make_seeds: $(FUZZ_BUILD)/tests/fuzz/make_seeds.o $(FUZZ_BUILD)/libpackgate.a
	$(call short,LINK,$@)
	$(Q)$(FUZZ_CC) $(FUZZ_SANITIZE) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(PKG_LIBS)

# The captures are the corpus of the drivers.
$(FUZZ_SEEDS): $(FUZZ_BUILD)/make_seeds $(wildcard tests/captures/*/*.exch conf/maps/*.txt) tests/maps/every-kind.txt
	@rm -rf $(@D)
	$(call short,SEED,$(@D))
	$(Q)$(FUZZ_BUILD)/make_seeds $(@D)
	@touch $@

$(FUZZ_BUILD)/%.o: %.c Makefile tests/fuzz/fuzz.mk
	@mkdir -p $(@D)
	$(call short,CC,$@)
	$(Q)$(FUZZ_COMPILE) -MMD -MP -c -o $@ $<

-include $(FUZZ_OBJECTS:.o=.d) $(wildcard $(FUZZ_BUILD)/tests/fuzz/*.d)

.PHONY: fuzz fuzz-programs
