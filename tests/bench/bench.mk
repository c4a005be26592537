# `make bench` prints how fast the server answers, how close to the wire the lines poll, what memory and processor time
# that takes and how soon a value is there, in about four minutes. BENCH_SECONDS is the length of one measurement,
# BENCH_ROUNDS how often it is repeated.

BENCH          := $(BUILD)/tests/bench
BENCH_PROGRAMS := $(addprefix $(BENCH)/,load floor polling decode latency damage malloc_count.so) \
                  $(if $(filter web,$(OUTLETS)),$(BENCH)/written)

$(BENCH)/load $(BENCH)/floor: $(BENCH)/%: $(BENCH)/%.o $(BENCH)/fixture.o
	$(call short,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(PKG_LIBS)

$(BENCH)/polling $(BENCH)/decode $(BENCH)/latency: $(BENCH)/%: $(BENCH)/%.o $(BENCH)/fixture.o $(BENCH)/wire.o $(LIBRARY)
	$(call short,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(PKG_LIBS)

$(BENCH)/damage: $(BENCH)/damage.o $(LIBRARY)
	$(call short,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(PKG_LIBS)

$(BENCH)/written: $(BENCH)/written.o $(OUTLET_ARCHIVE) $(LIBRARY)
	$(call short,LINK,$@)
	$(Q)$(LINK) -Wl,--as-needed -o $@ $^ $(PKG_LIBS) $(OUTLET_LIBS)

$(BENCH)/malloc_count.so: tests/bench/malloc_count.c Makefile
	@mkdir -p $(@D)
	$(call short,CC,$<)
	$(Q)$(COMPILE) -fPIC -shared -MMD -MP -o $@ $< $(LDFLAGS)

bench-programs: all $(BENCH_PROGRAMS) $(BUILD)/tests/test_ages $(BUILD)/tests/test_recovery

bench: test-deps
	@$(MAKE) --no-print-directory bench-programs
	/usr/bin/python3 tests/bench/bench.py $(BUILD)
	@echo 'Ages under stalls, losses and delays, and recovery times, on a clock that is turned:'
	AGES=1 $(BUILD)/tests/test_ages | grep published
	$(BUILD)/tests/test_recovery | grep ' s'
	$(if $(filter no,$(BLE)),,/usr/bin/python3 tests/bench/bluetooth.py $(BUILD))
	$(if $(filter mqtt,$(OUTLETS)),/usr/bin/python3 tests/bench/mqtt.py $(BUILD))
	$(if $(filter influx,$(OUTLETS)),/usr/bin/python3 tests/bench/influx.py $(BUILD))
	$(if $(filter present,$(OUTLETS)),/usr/bin/python3 tests/bench/present.py $(BUILD)/packgate)
	$(if $(filter web,$(OUTLETS)),/usr/bin/python3 tests/bench/page.py $(BUILD))
	$(if $(filter web,$(OUTLETS)),/usr/bin/python3 tests/bench/web.py $(BUILD))

-include $(wildcard $(BENCH)/*.d)

.PHONY: bench bench-programs
