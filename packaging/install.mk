# Installing; included by the Makefile. A configuration that is there is never overwritten.

bindir     = $(PREFIX)/bin
mandir     = $(PREFIX)/share/man
docdir     = $(PREFIX)/share/doc/packgate
unitdir    = $(PREFIX)/lib/systemd/system
usersdir   = $(PREFIX)/lib/sysusers.d
libdir     = $(PREFIX)/lib/packgate
confdir    = /etc/packgate
INSTALL    ?= install
DOCUMENTS  := README.md NEWS register-map.md LICENSE
PAGES      := $(wildcard docs/*.md)
PICTURES   := $(wildcard docs/pictures/*.webp docs/pictures/*.svg)
EXAMPLES   := $(wildcard conf/*.ini conf/*.yaml conf/*.rules conf/*.conf conf/*.json conf/*.txt conf/*.tsv)
VIEWS      := $(wildcard conf/views/*.ini)
MAPS       := $(wildcard conf/maps/*.txt)
FLEET      := $(wildcard conf/fleet/*)
CLIENTS    := homeassistant.yaml homeassistant-basic.yaml homeassistant-cells.yaml telegraf.conf nodered.json evcc.yaml iobroker.tsv tasmota.txt tasmota-display.txt mbpoll.txt
UNITFILES  := packgate.service packgate-setup.socket packgate-setup@.service
TEST_DEPS  += dpkg-dev debhelper lintian groff-base systemd mmdebstrap umoci jq

install: all install-files

install-files: | all
	$(INSTALL) -d $(addprefix $(DESTDIR),$(bindir) $(mandir)/man1 $(mandir)/man5 $(docdir)/docs/pictures $(docdir)/examples/views $(docdir)/examples/fleet $(docdir)/examples/maps $(docdir)/examples/clients $(unitdir) $(usersdir) $(libdir) $(confdir))
	$(INSTALL) -m 755 $(BUILD)/packgate $(DESTDIR)$(bindir)
	$(INSTALL) -m 755 $(OUTLET_PROGRAMS) $(DESTDIR)$(libdir)
	$(INSTALL) -m 644 man/packgate.1 $(DESTDIR)$(mandir)/man1
	$(INSTALL) -m 644 man/packgate.ini.5 $(DESTDIR)$(mandir)/man5
	$(INSTALL) -m 644 $(DOCUMENTS) $(DESTDIR)$(docdir)
	$(INSTALL) -m 644 $(PAGES) $(DESTDIR)$(docdir)/docs
	$(INSTALL) -m 644 $(PICTURES) $(DESTDIR)$(docdir)/docs/pictures
	$(if $(filter web,$(OUTLETS)),$(INSTALL) -m 644 $(UPLOT_LICENSE) $(DESTDIR)$(docdir)/LICENSE.uPlot)
	$(INSTALL) -m 644 $(EXAMPLES) $(DESTDIR)$(docdir)/examples
	$(INSTALL) -m 644 $(VIEWS) $(DESTDIR)$(docdir)/examples/views
	$(INSTALL) -m 644 $(MAPS) $(DESTDIR)$(docdir)/examples/maps
	$(INSTALL) -m 644 $(FLEET) $(DESTDIR)$(docdir)/examples/fleet
	$(INSTALL) -m 644 $(TEMPLATES) $(DESTDIR)$(docdir)/examples/clients
# The pages link to the examples as they are in the source.
	ln -sfn examples $(DESTDIR)$(docdir)/conf
	for unit in $(UNITFILES); do sed 's|^\(Exec.*\)/usr/bin/packgate|\1$(bindir)/packgate|' conf/$$unit >$(DESTDIR)$(unitdir)/$$unit && \
	    chmod 644 $(DESTDIR)$(unitdir)/$$unit || exit; done
	$(INSTALL) -m 644 conf/packgate.sysusers $(DESTDIR)$(usersdir)/packgate.conf
	test -e $(DESTDIR)$(confdir)/packgate.ini || $(INSTALL) -m 644 conf/packgate.ini $(DESTDIR)$(confdir)

# Without what debuggers want; another architecture's programs take its own STRIP.
STRIP ?= strip
install-strip: install
	$(STRIP) $(DESTDIR)$(bindir)/packgate $(patsubst $(BUILD)/%,$(DESTDIR)$(libdir)/%,$(OUTLET_PROGRAMS))

# Leaves the configuration and what the service has counted.
uninstall:
	rm -f $(addprefix $(DESTDIR),$(bindir)/packgate $(mandir)/man1/packgate.1 $(mandir)/man5/packgate.ini.5 \
	    $(addprefix $(unitdir)/,$(UNITFILES)) $(usersdir)/packgate.conf)
	rm -rf $(DESTDIR)$(docdir) $(DESTDIR)$(libdir)

# The pictures of the documentation, by the scripts that test the page.
pictures: test-deps
	@$(MAKE) --no-print-directory all
	/usr/bin/python3 tests/e2e/test_page.py $(BUILD)/packgate docs/pictures
	/usr/bin/python3 tests/e2e/test_setup_page.py $(BUILD)/packgate docs/pictures

# What the program itself prints, for readers without it, and its version where it stands in files of others.
VERSIONED := packaging/container/compose.yaml packaging/home-assistant/config.yaml docs/container.md docs/home-assistant-app.md README.md
docs: docs-of-program
docs-of-program: all
	for file in $(CLIENTS); do $(BUILD)/packgate map --format $${file%.*} >conf/$$file || exit; done
	$(BUILD)/packgate check --keys=man >$(BUILD)/keys.man
	sed -i -E -e 's/(packgate[:-])[0-9]+\.[0-9]+\.[0-9]+/\1$(VERSION)/g' -e 's/^version: .*/version: "$(VERSION)"/' $(VERSIONED)
	sed -i -e '/^.." keys begin/,/^.." keys end/{//!d}' -e '/^.." keys begin/r $(BUILD)/keys.man' man/packgate.ini.5

.PHONY: install install-files install-strip uninstall pictures docs docs-of-program
