// SPDX-License-Identifier: MIT
/*
 * The whole search, with its port, its line and its pollers, against emulated buses on a turned clock: each driver's
 * packs are found as what they are, nobody else's search takes them, alone and beside every other protocol.
 *
 * tests/run: 18 s
 */
#include "lines/search/search.h"

#include "ports/port_kind.h"
#include "simulator/simulator.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit.h"

#include "turned_clock.h"

#define DEVICES_MOST 20
#define FIRST_MOST_S 20.0
#define ALL_MOST_S 150.0
#define SILENCE_MOST_S 120.0 /* s: "a minute or two" of docs/finding.md, if nothing answers */

static struct bms devices[DEVICES_MOST];
static unsigned device_count;

struct bus {
    struct port port;
    struct simulator *simulator;
};

/* Replaces the library's simulated port: the test decides what is emulated, not the search. */
static bool create_bus(struct port *port, const struct port_simulated *simulated)
{
    ((struct bus *) port)->simulator =
        simulator_new(port->loop, devices, device_count, port->address);
    return true;
}

static void destroy_bus(struct port *port)
{
    simulator_free(((struct bus *) port)->simulator);
}

static void open_bus(struct port *port)
{
    assert_true(port_make_pair(port));
    assert_true(simulator_attach(((struct bus *) port)->simulator, port->far));
    port->far = -1; /* the simulator's */
    port_opened(port, port->fd);
}

const struct port_kind port_sim_kind = {
    .prefix = "sim:", /* does not forget, as a serial port: what a talker says may be old */
    .size = sizeof(struct bus),
    .create = create_bus,
    .destroy = destroy_bus,
    .open = open_bus,
};

struct result {
    struct ev_loop *loop;
    unsigned count;
    struct bms found[DEVICES_MOST];
    unsigned with_cells;   /* of these, those whose cells were read */
    double first_s, all_s; /* NaN: not found */
    double began_at;
    bool ended;
    const char *why;
};

static void note(struct result *result, const struct search_found *found)
{
    assert_in_range(result->count, 0, DEVICES_MOST - 1);
    struct bms *bms = &result->found[result->count++];
    bms_init(bms, found->driver);
    bms->options = found->options;
    if (isnan(result->first_s))
        result->first_s = turned_clock_at - result->began_at;
    assert_true(pack_known(found->values, VOLTAGE_V));
    result->with_cells +=
        pack_known(found->values, CELL_COUNT) && pack_known(found->values, CELL_MV);
}

static void on_found(void *data, const struct search_found *found)
{
    note(data, found);
}

static void on_done(void *data, const struct search_found *found, const char *why)
{
    struct result *result = data;
    if (found)
        note(result, found);
    result->why = why;
    result->ended = true;
    result->all_s = turned_clock_at - result->began_at;
    ev_break(result->loop, EVBREAK_ALL);
}

static struct result run_search(enum search_extent extent, const char *options)
{
    static const struct search_events events = {.found = on_found, .done = on_done};
    struct line_config line = {.name = "line"};
    struct result result = {.loop = ev_default_loop(0), .first_s = NAN, .all_s = NAN};
    snprintf(line.port, sizeof line.port, "sim:profile=fixed,%s", options);
    result.began_at = turned_clock_at;
    struct search *search = search_new(result.loop, &line, extent, NULL, &events, &result);
    assert_non_null(search);
    ev_run(result.loop, 0);
    search_free(search);
    assert_true(result.ended);
    return result;
}

static bool is_among(const struct bms *bms, const struct bms *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (list[i].driver == bms->driver && bms_address(&list[i]) == bms_address(bms))
            return true;
    return false;
}

static void name_devices(char *text, size_t size)
{
    size_t used = 0;
    for (unsigned i = 0; i < device_count && used < size; i++)
        used += (size_t) snprintf(text + used, size - used, "%s%s at %d", i > 0 ? ", " : "",
                                  devices[i].driver->name, bms_address(&devices[i]));
}

/* Everything that exists was found, and nothing else. */
static void expect_all(const struct result *result)
{
    char text[200];
    name_devices(text, sizeof text);
    for (unsigned i = 0; i < result->count; i++)
        if (!is_among(&result->found[i], devices, device_count))
            fail_msg("[%s] taken for %s at %d", text, result->found[i].driver->name,
                     bms_address(&result->found[i]));
    for (unsigned i = 0; i < device_count; i++)
        if (!is_among(&devices[i], result->found, result->count))
            fail_msg("[%s]: %s at %d is not found", text, devices[i].driver->name,
                     bms_address(&devices[i]));
    assert_int_equal(result->count, device_count);
}

/* Users compare the cells with their battery, and packs with each other: results contain cells, even if the driver
 * asks for them last. A shunt has none. */
static void expect_cells(const struct result *result)
{
    if (result->with_cells < result->count &&
        strncmp(result->found[0].driver->name, "vedirect", 8) != 0)
        fail_msg("%s: no cells", result->found[0].driver->name);
}

static void add_device(const struct bms_driver *driver, int address, int variant)
{
    struct bms *device = &devices[device_count++];
    bms_init(device, driver);
    device->options.address = address;
    device->options.variant = variant;
}

static unsigned variants_of(const struct bms_driver *driver)
{
    unsigned count = 1;
    while (driver->variants && driver->variants[count])
        count++;
    return count;
}

/* A pack of 8 cells: with more, a Sinowealth board does not report its voltage. */
static const char *cells_for(const struct bms_driver *driver)
{
    return strcmp(driver->name, "daly-sinowealth") == 0 ? "cells=8" : "cells=16";
}

/* Devices that are only reachable by Bluetooth are not searched for. */
static unsigned searched_variants(const struct bms_driver *driver)
{
    return driver->advertises ? 0 : variants_of(driver);
}

/* Each driver's pack, in each variant, is found first and as what it is, in time, also by a search for all: no search
 * for another protocol takes it. */
TEST(finds_each_as_what_it_is)
{
    for (size_t d = 0; bms_drivers[d]; d++)
        for (unsigned variant = 0; variant < searched_variants(bms_drivers[d]); variant++) {
            device_count = 0;
            add_device(bms_drivers[d], -1, (int) variant);
            struct result first = run_search(SEARCH_FIRST, cells_for(bms_drivers[d]));
            expect_all(&first);
            expect_cells(&first);
            assert_true(first.all_s < FIRST_MOST_S);
            struct result all = run_search(SEARCH_ALL, cells_for(bms_drivers[d]));
            expect_all(&all);
            assert_null(all.why);
            assert_true(all.first_s < FIRST_MOST_S && all.all_s < ALL_MOST_S);
        }
}

/* Wherever its switches may have put it, within the addresses that a search for all packs tries. */
TEST(finds_all_addresses)
{
    for (size_t d = 0; bms_drivers[d]; d++) {
        const struct bms_driver *driver = bms_drivers[d];
        if (!bms_has_address(driver))
            continue;
        struct attempt sweep[SWEEP_MOST];
        const struct attempt like = {.driver = driver, .baud = 9600, .framing = "8N1"};
        const size_t count = search_attempts_sweep(&like, 15, 1, sweep);
        for (size_t i = 0; i < count; i++) {
            device_count = 0;
            add_device(driver, sweep[i].guess.address, 0);
            struct result all = run_search(SEARCH_ALL, "cells=16");
            expect_all(&all);
        }
    }
}

/* A whole bus at once, with all addresses that switches can set. */
TEST(finds_all_of_a_bus)
{
    for (size_t d = 0; bms_drivers[d]; d++) {
        if (!bms_has_address(bms_drivers[d]))
            continue;
        device_count = 0;
        int address = bms_drivers[d]->address.min;
        while (device_count < 16 && address <= bms_drivers[d]->address.max && address <= 15)
            add_device(bms_drivers[d], address++, 0);
        struct result all = run_search(SEARCH_ALL, "cells=16");
        expect_all(&all);
        assert_true(all.first_s < FIRST_MOST_S);
        struct result line = run_search(SEARCH_LINE, "cells=16");
        expect_all(&line);
        expect_cells(&line);
        assert_null(line.why);
        assert_true(line.first_s < FIRST_MOST_S && line.all_s <= all.all_s);
    }
}

/* The other addresses of the protocol that was found, and none of others. */
TEST(goes_on_with_what_it_found)
{
    device_count = 0;
    add_device(bms_driver_find("topbms"), 1, 0);
    add_device(bms_driver_find("topbms"), 7, 0);
    add_device(bms_driver_find("daly"), 3, 0);
    struct result line = run_search(SEARCH_LINE, "cells=16");
    assert_int_equal(line.count, 2);
    assert_int_equal(bms_address(&line.found[0]), 1);
    assert_int_equal(bms_address(&line.found[1]), 7);
    assert_null(line.why);
}

/* Every pair of protocols on one bus, including those without addresses: each pack is found as what it is. Either of a
 * pair has the lower address in half of them. */
TEST(finds_every_pair)
{
    for (size_t a = 0; bms_drivers[a]; a++)
        for (size_t b = 0; bms_drivers[b]; b++) {
            if (a == b || (a + b) % 2 != (a > b) || bms_talks(bms_drivers[a]) ||
                bms_talks(bms_drivers[b]))
                continue;
            device_count = 0;
            add_device(bms_drivers[a], bms_has_address(bms_drivers[a]) ? 3 : -1, 0);
            add_device(bms_drivers[b], bms_has_address(bms_drivers[b]) ? 6 : -1, 0);
            struct result all = run_search(SEARCH_ALL, "cells=8");
            expect_all(&all);
        }
}

TEST(is_over_soon_where_nobody_answers)
{
    device_count = 0;
    add_device(bms_driver_find("daly"), 1, 0);
    struct result first = run_search(SEARCH_FIRST, "silent=1");
    assert_int_equal(first.count, 0);
    assert_non_null(first.why);
    assert_true(first.all_s < FIRST_MOST_S);
    struct result line = run_search(SEARCH_LINE, "silent=1");
    assert_int_equal(line.count, 0);
    assert_non_null(line.why);
    assert_true(line.all_s < FIRST_MOST_S);
    struct result all = run_search(SEARCH_ALL, "silent=1");
    assert_int_equal(all.count, 0);
    assert_non_null(all.why);
    print_message("silence: %.1f s for the first, %.1f s for all\n", first.all_s, all.all_s);
    assert_true(all.all_s < SILENCE_MOST_S);
}

BEFORE_ALL
{
    log_set_level(getenv("DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
}
