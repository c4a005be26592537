// SPDX-License-Identifier: MIT
/*
 * Fuzzer of the configuration: whatever the file, there is either a configuration that can be run
 * on, or a reason with its line.
 */
#include "fuzz.h"

#include "config/load.h"

#include <ctype.h>
#include <string.h>

#define NAME "fuzzed.ini"

/* "fuzzed.ini:3: …", without a number where the file has no line at all. Returns how many there
 * are, the warnings apart. */
static unsigned count_mistakes(const char *errors)
{
    unsigned count = 0;
    for (const char *line = errors; *line; line = strchr(line, '\n') + 1) {
        size_t length = strcspn(line, "\n");
        REQUIRE(line[length] == '\n');
        REQUIRE(strncmp(line, NAME ":", sizeof NAME) == 0);
        const char *end = line + sizeof NAME + strspn(line + sizeof NAME, "0123456789");
        REQUIRE(end == line + sizeof NAME || *end++ == ':');
        REQUIRE(end[0] == ' ' && end[1] != '\n');
        count += strncmp(end, " warning: ", 10) != 0;
        for (size_t i = 0; i < length; i++)
            REQUIRE(isprint((unsigned char) line[i]) || line[i] == '\t' || (line[i] & 0x80));
    }
    return count;
}

static void check_gateway(const struct gateway_config *gateway)
{
    char reason[200];
    REQUIRE(map_check(&gateway->map, reason, sizeof reason));
    REQUIRE(gateway->listen.count >= 1 && gateway->listen.count <= MAX_LISTEN);
    for (unsigned i = 0; i < gateway->listen.count; i++)
        REQUIRE(gateway->listen.at[i][0] &&
                memchr(gateway->listen.at[i], '\0', sizeof gateway->listen.at[i]));
    REQUIRE(gateway->allow.count <= MAX_ALLOW);
    for (unsigned i = 0; i < gateway->allow.count; i++)
        REQUIRE(gateway->allow.networks[i].bits <= 128);
    REQUIRE(gateway->poll_s > 0 && gateway->stale_after_s >= 0 && gateway->idle_timeout_s >= 0);
    REQUIRE(gateway->on_stale == STALE_EXCEPTION || gateway->on_stale == STALE_HOLD);
    REQUIRE(gateway->max_clients > 0);
    REQUIRE(memchr(gateway->state_file, '\0', PORT_SIZE));
    REQUIRE(!gateway->state_file[0] || gateway->state_file[0] == '/');
}

static void check_line(const struct config *config, unsigned n)
{
    const struct line_config *line = &config->lines[n];
    REQUIRE(line->name[0] && memchr(line->name, '\0', NAME_SIZE));
    REQUIRE(line->port[0] && memchr(line->port, '\0', PORT_SIZE));
    REQUIRE(memchr(line->framing, '\0', sizeof line->framing));
    for (unsigned i = 0; i < n; i++)
        REQUIRE(strcmp(config->lines[i].name, line->name) != 0);
}

static void check_options(const struct pack_config *pack)
{
    const struct bms_driver *driver = pack->driver;
    int variants = 0;
    while (driver->variants && driver->variants[variants])
        variants++;
    REQUIRE(pack->options.variant >= 0 && pack->options.variant < (variants ? variants : 1));
    REQUIRE(pack->options.address == -1 || (pack->options.address >= driver->address.min &&
                                            pack->options.address <= driver->address.max));
    REQUIRE(pack->options.current <= BMS_CURRENT_INVERTED);
    REQUIRE(pack->options.capacity_ah >= 0 && pack->options.capacity_ah <= 1e5);
}

static void check_pack(const struct config *config, unsigned n)
{
    const struct pack_config *pack = &config->packs[n];
    REQUIRE(pack->name[0] && memchr(pack->name, '\0', NAME_SIZE));
    REQUIRE(pack->line >= config->lines && pack->line < config->lines + config->line_count);
    REQUIRE(pack->driver);
    REQUIRE(pack->unit >= 1 && pack->unit <= 247);
    REQUIRE(pack->poll_s > 0 && pack->stale_after_s > pack->poll_s);
    check_options(pack);
    for (unsigned i = 0; i < n; i++)
        REQUIRE(strcmp(config->packs[i].name, pack->name) != 0 &&
                config->packs[i].unit != pack->unit);
}

static void check_config(const struct config *config)
{
    check_gateway(&config->gateway);
    REQUIRE(config->pack_count == 0 || config->line_count > 0);
    for (unsigned i = 0; i < config->line_count; i++)
        check_line(config, i);
    for (unsigned i = 0; i < config->pack_count; i++)
        check_pack(config, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = malloc(size + 1), *errors = NULL;
    size_t errors_size = 0;
    FILE *out = open_memstream(&errors, &errors_size);
    REQUIRE(text && out);
    if (size > 0)
        memcpy(text, bytes, size);
    text[size] = '\0';
    struct config *config = config_parse(text, NAME, out);
    REQUIRE(fclose(out) == 0);
    unsigned mistakes = count_mistakes(errors);
    REQUIRE((config == NULL) == (mistakes > 0));
    if (config)
        check_config(config);
    config_free(config);
    free(errors);
    free(text);
    return 0;
}
