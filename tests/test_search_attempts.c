// SPDX-License-Identifier: MIT
/* The attempts of a search on an unknown port: all of them within its time, in an order that disturbs no device, each
 * guess possible; and for each pair of protocols, that one is not mistaken for the other. */
#include "lines/search/search_attempts.h"
#include "answers.h"
#include "lines/reply.h"

#include "bms/battery.h"

#include <string.h>

#include "unit.h"

/* s for the whole list on a silent port: a search that finds nothing must end within 20 s, and ports need time to
 * open. */
#define PASS_S 18.0
#define MOST 200

static const struct line_config serial = {.name = "line", .port = "serial:/dev/ttyUSB0"};
static const struct line_config tcp = {.name = "line", .port = "tcp://192.0.2.1:4001"};
static const struct line_config slow = {
    .name = "line", .port = "serial:/dev/ttyUSB0", .baud = 9600};
static const struct line_config fast = {
    .name = "line", .port = "tcp://192.0.2.1:4001", .baud = 115200};

struct list {
    struct attempt attempts[MOST];
    size_t count;
};

static void get_list(const struct line_config *line, struct list *list)
{
    size_t most = search_attempts_list(line, NULL);
    assert_in_range(most, 1, MOST);
    list->count = search_attempts_list(line, list->attempts);
    assert_in_range(list->count, 1, most);
}

/* A poller as the search creates it; its configuration must outlive it. */
static struct poller *new_poller(const struct attempt *attempt, struct line_config *line,
                                 struct pack_config *pack)
{
    *line = (struct line_config){.name = "line", .tries = 1};
    *pack = (struct pack_config){
        .name = "pack",
        .line = line,
        .driver = attempt->driver,
        .options = {.address = attempt->guess.address,
                    .adr = -1,
                    .variant = attempt->guess.variant},
        .poll_s = 1,
        .stale_after_s = 10,
    };
    struct poller *poller = poller_new(pack);
    assert_non_null(poller);
    search_attempts_shorten(poller);
    return poller;
}

/* Duration of an attempt without an answer. */
static double seconds_of_silence(const struct line_config *wanted, const struct attempt *attempt)
{
    if (bms_talks(attempt->driver))
        return ATTEMPT_LISTEN_S;
    struct line_config line;
    struct pack_config pack;
    struct poller *poller = new_poller(attempt, &line, &pack);
    double seconds = 0;
    for (unsigned poll = 0; poll < attempt->polls; poll++) {
        struct bms_request request;
        bool published;
        while (next_request(poller, seconds, &request, &published)) {
            seconds += (search_attempts_reply_ms(wanted, attempt) + ATTEMPT_SILENT_GAP_MS) / 1e3 +
                       (double) request.size * 10 / attempt->baud;
            plan_unanswered(poller, seconds);
        }
        assert_false(published);
        poller->pace.due = 0;
    }
    poller_free(poller);
    return seconds;
}

TEST(time)
{
    const struct line_config *const lines[] = {&serial, &tcp, &slow, &fast};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct list list;
        double seconds = 0;
        get_list(lines[i], &list);
        for (size_t a = 0; a < list.count; a++)
            seconds += seconds_of_silence(lines[i], &list.attempts[a]);
        print_message("%s: %zu attempts, %.1f s\n", lines[i]->port, list.count, seconds);
        assert_true(seconds < PASS_S);
    }
}

/* First the protocols that talk; then each rate once, from slow to fast, with Sinowealth's requests after all others
 * of their rate. */
TEST(order)
{
    struct list list;
    get_list(&serial, &list);
    for (size_t i = 1; i < list.count; i++) {
        const struct attempt *a = &list.attempts[i - 1], *b = &list.attempts[i];
        assert_true(bms_talks(a->driver) || (!bms_talks(b->driver) && a->baud <= b->baud));
        if (strcmp(a->driver->name, "daly-sinowealth") == 0)
            assert_true(a->baud < b->baud || a->driver == b->driver);
    }
    get_list(&tcp, &list);
    assert_string_equal(list.attempts[list.count - 1].driver->name, "daly-sinowealth");
}

static bool same_guess(const struct attempt *a, const struct attempt *b)
{
    return a->driver == b->driver && a->guess.address == b->guess.address &&
           a->guess.variant == b->guess.variant;
}

/* The rate is another attempt only if it can be chosen. */
TEST(rates)
{
    const struct line_config *const lines[] = {&tcp, &slow, &fast};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct list list;
        get_list(lines[i], &list);
        for (size_t a = 0; a < list.count; a++) {
            assert_int_equal(list.attempts[a].baud,
                             lines[i]->baud ? lines[i]->baud : list.attempts[a].driver->line.baud);
            for (size_t b = 0; b < a; b++)
                assert_false(same_guess(&list.attempts[a], &list.attempts[b]));
        }
    }
}

/* Every driver is tried, and each guess is a valid configuration. */
TEST(guesses)
{
    struct list list;
    get_list(&serial, &list);
    for (size_t d = 0; bms_drivers[d]; d++) {
        unsigned tried = 0;
        for (size_t i = 0; i < list.count; i++)
            tried += list.attempts[i].driver == bms_drivers[d];
        assert_true(bms_drivers[d]->advertises ? tried == 0 : tried > 0);
    }
    for (size_t i = 0; i < list.count; i++) {
        const struct attempt *attempt = &list.attempts[i];
        int variants = 0;
        while (attempt->driver->variants && attempt->driver->variants[variants])
            variants++;
        assert_true(attempt->guess.variant == 0 || attempt->guess.variant < variants);
        if (attempt->guess.address >= 0)
            assert_in_range(attempt->guess.address, attempt->driver->address.min,
                            attempt->driver->address.max);
        assert_true(attempt->polls > 0);
    }
}

/* The reply of an emulated BMS to a request, whole or in parts. */
static void hear(struct bms *device, struct pack *values, const struct bms_request *request,
                 struct reply *feed)
{
    static struct bms_output out;
    for (size_t at = 0; at < request->size;) {
        size_t used = bms_emulate(device, values, request->bytes + at, request->size - at, &out);
        reply_append(feed, out.bytes, out.size);
        if (used == 0)
            used = 1; /* the line is silent: nothing more arrives */
        at += used;
    }
}

/* Whether the search would find something: the attempt's polls against an emulated BMS. */
static bool finds(const struct attempt *attempt, struct bms *device, struct pack *values)
{
    static struct reply feed;
    struct line_config line;
    struct pack_config pack;
    struct poller *poller = new_poller(attempt, &line, &pack);
    for (unsigned poll = 0; poll < attempt->polls && !search_attempts_answered(poller); poll++) {
        struct bms_request request;
        bool published;
        while (next_request(poller, poll, &request, &published)) {
            reply_clear(&feed);
            hear(device, values, &request, &feed);
            enum reply_state state =
                reply_decode(&feed, &poller->bms, &request, true, &poller->incoming);
            if (state == REPLY_DONE)
                answer_request(poller, poll);
            else if (state == REPLY_REFUSED)
                refuse_request(poller, poll);
            else
                plan_unanswered(poller, poll);
        }
        poller->pace.due = 0;
    }
    bool found = search_attempts_answered(poller);
    poller_free(poller);
    return found;
}

/* The same shunt through another protocol. */
static bool may_be(const struct bms_driver *device, const struct bms_driver *found)
{
    bool shunt = strcmp(device->name, "vedirect") == 0 && strcmp(found->name, "vedirect-hex") == 0;
    return device == found || shunt;
}

/* An emulated BMS against the whole list: its own guesses find it, and no others do. */
static void check_device(struct bms *device, const struct list *list)
{
    struct battery battery;
    struct battery_settings settings = {
        .cells = 16, .temps = 4, .capacity_ah = 100, .soc_percent = 55, .ambient_c = 20};
    struct pack values;
    unsigned found = 0;
    battery_init(&battery, &settings);
    battery_step(&battery, 0, &values);
    for (size_t i = 0; i < list->count; i++) {
        const struct attempt *attempt = &list->attempts[i];
        if (bms_talks(attempt->driver) || !finds(attempt, device, &values))
            continue;
        bool same_address =
            attempt->guess.address < 0 || attempt->guess.address == bms_address(device);
        if (!may_be(device->driver, attempt->driver) || !same_address)
            fail_msg("%s at %d is taken for %s at %d", device->driver->name, bms_address(device),
                     attempt->driver->name, attempt->guess.address);
        found++;
    }
    if (!found && !bms_talks(device->driver))
        fail_msg("%s at %d, variant %d is not found", device->driver->name, bms_address(device),
                 device->options.variant);
}

static void check_guess(const struct bms_driver *driver, int address, int variant,
                        const struct list *list)
{
    struct bms device;
    bms_init(&device, driver);
    device.options.address = address;
    device.options.variant = variant;
    check_device(&device, list);
}

/* All variants at the usual address, and each guess. */
TEST(pairs)
{
    static struct list list;
    get_list(&tcp, &list);
    for (size_t d = 0; bms_drivers[d]; d++) {
        const struct bms_driver *driver = bms_drivers[d];
        if (driver->advertises)
            continue;
        check_guess(driver, -1, 0, &list);
        for (int variant = 1; driver->variants && driver->variants[variant]; variant++)
            check_guess(driver, -1, variant, &list);
        for (unsigned g = 0; g < driver->guess_count; g++)
            check_guess(driver, driver->guesses[g].address, driver->guesses[g].variant, &list);
    }
}

/* A pack in any possible state: few cells, many, full, empty, with any current. */
static const struct battery_settings packs[] = {
    {.cells = 16, .temps = 4, .capacity_ah = 100, .soc_percent = 55, .ambient_c = 20},
    {.cells = 4,
     .temps = 2,
     .capacity_ah = 280,
     .soc_percent = 98,
     .ambient_c = 35,
     .profile = BATTERY_CHARGE},
    {.cells = 8,
     .temps = 1,
     .capacity_ah = 50,
     .soc_percent = 7,
     .ambient_c = -5,
     .profile = BATTERY_DISCHARGE},
};

/* Whether a driver accepts a device as its own, at an address and with a variant of the driver. */
static bool takes(const struct bms_driver *driver, int address, int variant, struct bms *device,
                  struct pack *values)
{
    const struct attempt attempt = {
        .driver = driver, .guess = {.address = address, .variant = variant}, .polls = 2};
    return finds(&attempt, device, values);
}

static void check_stranger(const struct bms_driver *driver, struct bms *device, struct pack *values)
{
    int variants = 1;
    while (driver->variants && driver->variants[variants])
        variants++;
    for (int variant = 0; variant < variants; variant++)
        for (int address = driver->address.min; address <= driver->address.max; address++)
            if (takes(driver, address, variant, device, values))
                fail_msg("%s (variant %d) at %d: %s takes it for its own at %d, variant %d",
                         device->driver->name, device->options.variant, bms_address(device),
                         driver->name, address, variant);
}

/* An emulated device against all drivers but its own, each at all of its addresses. */
static void check_strangers(const struct bms_driver *owner, int address, int variant)
{
    for (size_t p = 0; p < sizeof packs / sizeof *packs; p++) {
        struct battery battery;
        struct pack values;
        battery_init(&battery, &packs[p]);
        battery_step(&battery, 60, &values);
        for (size_t d = 0; bms_drivers[d]; d++) {
            struct bms device;
            bms_init(&device, owner);
            device.options.address = address;
            device.options.variant = variant;
            if (!bms_talks(bms_drivers[d]) && !may_be(owner, bms_drivers[d]))
                check_stranger(bms_drivers[d], &device, &values);
        }
    }
}

/* Every pair, in both directions: no driver accepts the pack of another, whatever addresses their owner has set. */
TEST(strangers)
{
    for (size_t d = 0; bms_drivers[d]; d++) {
        const struct bms_driver *driver = bms_drivers[d];
        if (driver->advertises)
            continue;
        check_strangers(driver, -1, 0);
        if (driver->address.min <= 1 && driver->address.max >= 1)
            check_strangers(driver, 1, 0);
        for (int variant = 1; driver->variants && driver->variants[variant]; variant++)
            check_strangers(driver, -1, variant);
    }
}
