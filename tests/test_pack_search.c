// SPDX-License-Identifier: MIT
/* The results of `protocol = auto` in the state file and in the configuration. */
#include "packs/pack_search.h"
#include "config/load.h"

#include <string.h>

#include "unit.h"

static struct config *load(const char *line)
{
    char text[300];
    snprintf(
        text, sizeof text,
        "[line l]\nport = serial:/dev/ttyS0\n%s\n[pack p]\nline = l\nprotocol = auto\nunit = 1\n",
        line);
    struct config *config = config_parse(text, "test", stderr);
    assert_non_null(config);
    assert_true(pack_search_is_open(&config->packs[0]));
    return config;
}

static const struct kept_entry found = {
    .name = "p", .protocol = "jk02", .address = 3, .variant = 2, .baud = 115200};

TEST(recalls_what_was_found)
{
    struct config *config = load("");
    struct pack_config *pack = &config->packs[0];
    pack_search_recall(config, pack, &found);
    assert_string_equal(pack->driver->name, "jk02");
    assert_int_equal(pack->options.address, 3);
    assert_int_equal(pack->options.variant, 2);
    assert_int_equal(config->lines[0].baud, 115200);
    config_free(config);
}

/* It is still polled with the old driver until the configuration is read again: the plan of a driver must not change
 * within a cycle. */
TEST(forgets_when_it_is_recalled_next)
{
    struct config *config = load("");
    struct pack_config *pack = &config->packs[0];
    struct kept_entry kept = found;
    pack_search_recall(config, pack, &kept);
    pack_search_forget(&kept);
    assert_string_equal(pack->driver->name, "jk02");
    pack_search_recall(config, pack, &kept);
    assert_true(pack_search_is_open(pack));
    assert_int_equal(pack->options.address, -1);
    assert_int_equal(pack->options.variant, 0);
    assert_int_equal(config->lines[0].baud, 0);
    config_free(config);
}

TEST(keeps_to_the_baud_rate_of_the_file)
{
    for (int same = 0; same < 2; same++) {
        struct config *config = load("baud = 19200");
        struct kept_entry kept = found;
        kept.baud = same ? 19200 : 115200;
        pack_search_recall(config, &config->packs[0], &kept);
        assert_int_equal(config->lines[0].baud, 19200);
        kept.protocol[0] = '\0';
        pack_search_recall(config, &config->packs[0], &kept);
        assert_int_equal(config->lines[0].baud, 19200);
        config_free(config);
    }
}

/* Then several packs can share a line, each with its own address. */
TEST(keeps_to_the_address_of_the_file)
{
    static const char text[] = "[line l]\nport = serial:/dev/ttyS0\nprotocol = auto\n"
                               "[pack p]\nline = l\naddress = 4\nunit = 1\n"
                               "[pack q]\nline = l\nunit = 2\n";
    struct config *config = config_parse(text, "test", stderr);
    assert_non_null(config);
    struct kept_entry kept = {.name = "p", .protocol = "jk-pb", .address = 3, .baud = 115200};
    assert_true(pack_search_is_due(config, &config->lines[0]));
    pack_search_recall(config, &config->packs[0], &kept);
    assert_true(pack_search_is_open(&config->packs[0]));
    kept.address = 4;
    pack_search_recall(config, &config->packs[0], &kept);
    assert_string_equal(config->packs[0].driver->name, "jk-pb");
    assert_int_equal(config->packs[0].options.address, 4);
    assert_false(pack_search_is_due(config, &config->lines[0]));
    pack_search_forget(&kept);
    pack_search_recall(config, &config->packs[0], &kept);
    assert_int_equal(config->packs[0].options.address, 4);
    config_free(config);
}

/* A later version may support more protocols. */
TEST(searches_what_it_does_not_know)
{
    struct config *config = load("");
    struct kept_entry kept = found;
    strcpy(kept.protocol, "of-tomorrow");
    pack_search_recall(config, &config->packs[0], &kept);
    assert_true(pack_search_is_open(&config->packs[0]));
    config_free(config);
}
