# The page: what lies in this folder and uPlot, compressed into one source file. uPlot is fetched by npm in the version of
# package-lock.json; a source archive (`make dist`) brings it along, and needs neither npm nor a network.

PAGE_DIR    := gateway/outlets/web/page
PAGE_ASSETS := $(addprefix $(PAGE_DIR)/,page.html icon.svg icon.png manifest.webmanifest) $(wildcard $(addprefix $(PAGE_DIR)/*.,css js))
UPLOT_DIST  := $(PAGE_DIR)/uplot
UPLOT_NPM   := build/npm-page/node_modules/uplot/dist
UPLOT       := $(if $(wildcard $(UPLOT_DIST)/uPlot.iife.min.js),$(UPLOT_DIST),$(UPLOT_NPM))
UPLOT_LICENSE := $(if $(filter $(UPLOT),$(UPLOT_NPM)),$(UPLOT:/dist=)/LICENSE,$(UPLOT)/LICENSE)
PAGE_SOURCE := $(BUILD)/$(PAGE_DIR)/assets.c
PAGE_OBJECT := $(PAGE_SOURCE:.c=.o)

ifeq ($(UPLOT),$(UPLOT_NPM))
DEPS += npm
endif

$(UPLOT_NPM)/uPlot.iife.min.js: $(PAGE_DIR)/package.json $(PAGE_DIR)/package-lock.json
	@mkdir -p build/npm-page
	$(call short,NPM,$@)
	$(Q)cp $^ build/npm-page
	$(Q)cd build/npm-page && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >npm.log 2>&1 || \
	    { cat npm.log >&2; echo 'uPlot comes from the network by npm; a source archive has it, and WITHOUT=web needs none' >&2; exit 1; }
	$(Q)touch $@

$(PAGE_SOURCE): $(PAGE_ASSETS) $(UPLOT)/uPlot.iife.min.js $(PAGE_DIR)/embed
	@mkdir -p $(@D)
	$(call short,GZIP,$(PAGE_DIR))
	$(Q)$(PAGE_DIR)/embed $(UPLOT) $(UPLOT_LICENSE) $(PAGE_ASSETS) >$@.new && mv $@.new $@

$(PAGE_OBJECT): $(PAGE_SOURCE)
	$(call short,CC,$<)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

-include $(PAGE_OBJECT:.o=.d)
