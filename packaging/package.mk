# What is handed on: the source archive, the Debian packages of any architecture, and the unit tests on the others;
# included by the Makefile. HACKING.md says how a release is made.

PACKED := build/packages
# The moment that goes into all that is made, so that two builds give the same bytes.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y NEWS)
ARCH ?= $(shell dpkg --print-architecture)
SUITE ?= $(shell . /etc/os-release; [ "$$VERSION_CODENAME" = trixie ] && echo trixie || echo bookworm)
DIST := $(PACKED)/packgate-$(VERSION).tar.gz
PACK_SETTINGS = ARCH=$(ARCH) SUITE=$(SUITE) PACKED=$(PACKED) VERSION=$(VERSION) SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) DIST=$(DIST) \
       DEPS="$(filter-out gcc libc6-dev npm,$(DEPS))" OUTLETS="$(OUTLETS)" WITHOUT=$(WITHOUT) HERE=$(HERE) QUICK=$(if $(QUICK),$(abspath $(BUILD))) SECURITY=$(SECURITY)
# One at a time: two tests may want the packages at once.
PACK = flock $(PACKED)/lock env $(PACK_SETTINGS)

# All that git knows, as it lies here, and what was fetched for the page, so that a build from it needs no network.
FETCHED := $(if $(filter web,$(OUTLETS)),$(if $(filter $(UPLOT),$(UPLOT_NPM)),$(addprefix $(UPLOT_NPM)/,uPlot.iife.min.js uPlot.min.css) $(dir $(UPLOT_NPM))LICENSE))
dist: $(filter %.iife.min.js,$(FETCHED))
	@mkdir -p $(PACKED)
	@{ git ls-files -co --exclude-standard 2>/dev/null || find . -path ./build -prune -o -type f -print; printf '%s\n' $(FETCHED); } | sort | \
	    tar -c --no-recursion --mtime=@$(SOURCE_DATE_EPOCH) --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw,a-s \
	        --transform 's|^$(dir $(UPLOT_NPM))\(dist/\)\?|$(UPLOT_DIST)/|' --transform 's|^\(\./\)\?|packgate-$(VERSION)/|S' -T - | gzip -9n >$(DIST).$$$$ && mv $(DIST).$$$$ $(DIST)
	@echo $(DIST)

# For this architecture here, for another one in a clean root of its own.
deb: dist
	@$(PACK) packaging/make-deb

# The container image: an OCI archive for all of ARCHES, from their packages.
ARCHES ?= $(ARCH)
image: dist
	@$(PACK) ARCHES="$(ARCHES)" packaging/container/make-image

# The app for Home Assistant: a folder for /addons, with the packages of both of its architectures.
home-assistant: ARCHES := amd64 arm64
home-assistant: dist
	@$(PACK) ARCHES="$(ARCHES)" packaging/make-app

# The store repository of the app: STORE is its address, STORE_IMAGE the image that the release pushes.
home-assistant-store:
	@mkdir -p $(PACKED)
	@PACKED=$(PACKED) STORE=$(STORE) STORE_IMAGE=$(STORE_IMAGE) packaging/make-store

# The image's files alone, for the Dockerfile. HERE=yes: this machine is a clean root, in which another architecture can be built for.
image-root: dist
	@$(PACK) sh -c 'packaging/container/make-root $(PACKED)/image-root $$(packaging/make-deb)'

# All that a release has; the forge's workflow calls it for a tag.
release: ARCHES := amd64 arm64 armhf
release: dist
	@$(PACK) ARCHES="$(ARCHES)" packaging/make-release

version:
	@echo $(VERSION)

# The unit tests of another architecture, and the gateway as a whole, under qemu.
check-arch: dist
	@$(PACK_SETTINGS) packaging/check-arch

# Twice the same bytes, in folders of different names.
check-reproducible: dist
	@$(PACK_SETTINGS) packaging/check-reproducible

# Every file of the product against another C library, with the other libraries' headers as they are here. Of these that of libxcrypt
# wants a header that systems with musl have in a package of its own. Without -Wconversion: its ioctl() takes an int.
MUSL_HEADERS := build/musl
MUSL_FILES := $(SOURCES) $(OUTLET_SOURCES)
check-musl: deps
	@tests/install-packages musl-tools
	@mkdir -p $(MUSL_HEADERS)/sys && for header in ev.h ini.h jansson.h jansson_config.h libserialport.h systemd nettle seccomp.h seccomp-syscalls.h modbus mosquitto.h curl zlib.h zconf.h sqlite3.h microhttpd.h lua.h lauxlib.h lualib.h luaconf.h lua5.4-deb-multiarch.h \
	    crypt.h linux asm-generic asm; do ln -sfn $$(ls -d /usr/include/$$header /usr/include/*-linux-gnu/$$header /usr/include/lua5.4/$$header 2>/dev/null | head -n 1) \
	    $(MUSL_HEADERS)/$$header; done
	@printf '#define %s\n' __BEGIN_DECLS __END_DECLS __THROW >$(MUSL_HEADERS)/sys/cdefs.h
	@printf '%s\n' $(MUSL_FILES) | xargs -n 8 -P $(shell nproc) musl-gcc -std=c11 -D_GNU_SOURCE -DPACKGATE_VERSION='""' -DOUTLET=outlet_print \
	    -I. -Igateway -isystem $(MUSL_HEADERS) -isystem $(MUSL_HEADERS)/modbus $(filter-out -Wconversion,$(WARN)) -Werror -fsyntax-only
	@echo "$(words $(MUSL_FILES)) files compile against musl"

.PHONY: dist deb image home-assistant home-assistant-store image-root release version check-arch check-reproducible check-musl
