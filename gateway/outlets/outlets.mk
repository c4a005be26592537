# packgate-outlet-NAME: the processes that pass values on, each a program of its own with the libraries that it alone needs:
# what libcurl brings along costs no process that does not send by it. To add one: its name in OUTLETS, its Debian packages
# and pkg-config names below. `make WITHOUT=mqtt` (several with commas) builds without.

OUTLETS := $(filter-out $(subst $(comma), ,$(WITHOUT)),history influx mqtt notify present web)

OUTLET_DEPS_mqtt := libmosquitto-dev
OUTLET_LIBS_mqtt := libmosquitto

OUTLET_DEPS_history := libsqlite3-dev
OUTLET_LIBS_history := sqlite3

OUTLET_DEPS_notify := libcurl4-openssl-dev libsqlite3-dev
OUTLET_LIBS_notify := libcurl sqlite3

OUTLET_DEPS_web := libmicrohttpd-dev libcrypt-dev libsqlite3-dev zlib1g-dev
OUTLET_LIBS_web := libmicrohttpd libcrypt sqlite3 zlib

OUTLET_DEPS_influx := libcurl4-openssl-dev zlib1g-dev libsqlite3-dev
OUTLET_LIBS_influx := libcurl zlib sqlite3

# All of them give up rights by libseccomp.
DEPS += libseccomp-dev $(sort $(foreach outlet,$(OUTLETS),$(OUTLET_DEPS_$(outlet))))

OUTLET_PKGS     := libseccomp $(sort $(foreach outlet,$(OUTLETS),$(OUTLET_LIBS_$(outlet))))
OUTLET_LIBS      = $(shell $(PKG_CONFIG) --libs $(OUTLET_PKGS))
OUTLET_PROGRAMS := $(patsubst %,$(BUILD)/packgate-outlet-%,$(OUTLETS) print)
OUTLET_MAINS    := $(patsubst %,$(BUILD)/gateway/outlets/main-%.o,$(OUTLETS) print)

# What runs in an outlet and not in packgate. What both need is taken from the archive, as far as it is needed.
OUTLET_SOURCES := gateway/outlets/main.c gateway/outlets/certificate.c gateway/outlets/memory.c gateway/outlets/names.c gateway/outlets/outlet.c gateway/outlets/rights.c \
                  $(foreach outlet,$(OUTLETS) print,$(wildcard gateway/outlets/$(outlet)/*.c gateway/outlets/$(outlet)/*/*.c))
# Those that write or read the history.
ifneq ($(filter history influx notify web,$(OUTLETS)),)
OUTLET_SOURCES += $(wildcard gateway/past/*.c)
endif
# Those that speak through libcurl.
ifneq ($(filter influx notify,$(OUTLETS)),)
OUTLET_SOURCES += gateway/outlets/transfer.c
endif
OUTLET_PARTS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out %/main.c,$(OUTLET_SOURCES)))
ifneq ($(filter web,$(OUTLETS)),)
include gateway/outlets/web/page/page.mk
OUTLET_PARTS += $(PAGE_OBJECT)
endif
OUTLET_ARCHIVE := $(BUILD)/liboutlets.a

# The check of a configuration knows which are left out.
$(BUILD)/gateway/config/outlets.o: CPPFLAGS += -DWITHOUT='"$(WITHOUT)"'

$(OUTLET_MAINS): $(BUILD)/gateway/outlets/main-%.o: gateway/outlets/main.c Makefile
	@mkdir -p $(@D)
	$(call short,CC,'$< for $*')
	$(Q)$(COMPILE) -DOUTLET=outlet_$* -MMD -MP -c -o $@ $<

$(OUTLET_PROGRAMS): $(BUILD)/packgate-outlet-%: $(BUILD)/gateway/outlets/main-%.o $(OUTLET_ARCHIVE) $(BUILD)/libpackgate.a
	$(call short,LINK,$@)
	$(Q)$(LINK) -Wl,--as-needed -o $@ $^ $(PKG_LIBS) $(shell $(PKG_CONFIG) --libs libseccomp $(OUTLET_LIBS_$*))

$(OUTLET_ARCHIVE): $(OUTLET_PARTS)
	$(call short,AR,$@)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

-include $(OUTLET_PARTS:.o=.d) $(OUTLET_MAINS:.o=.d)
