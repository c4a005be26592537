// SPDX-License-Identifier: MIT
/* The counters of a pack, its alarms in a bank, and the gateway's part of its status: the clock and
 * the time zone of its host. */
#include "packs/packs.h"
#include "packs/bank_source.h"
#include "packs/pack_source.h"
#include "bms/count.h"
#include "bms/driver.h"
#include "bms/modbus/modbus.h"

#include <math.h>

#include "unit.h"

TEST(time_zone)
{
    static const struct {
        const char *name;
        long seconds; /* ahead of UTC */
        int hours;
    } zones[] = {
        {"UTC", 0, 0},
        {"Berlin in summer", 2 * 3600, 2},
        {"New York in winter", -5 * 3600, -5},
        {"Kathmandu", 5 * 3600 + 45 * 60, 6},
        {"Kolkata", 5 * 3600 + 30 * 60, 6},
        {"Eucla", 8 * 3600 + 45 * 60, 9},
        {"Newfoundland", -(3 * 3600 + 30 * 60), -4},
        {"a quarter of an hour", 15 * 60, 0},
        {"Kiritimati", 14 * 3600, 14},
    };
    for (size_t i = 0; i < COUNT(zones); i++) {
        const struct tm local = {.tm_gmtoff = zones[i].seconds};
        const int hours = packs_host_status(0, 0, &local, 10).timezone_hours;
        if (hours != zones[i].hours)
            fail_msg("%s: expected %d, got %d", zones[i].name, zones[i].hours, hours);
    }
}

TEST(seconds)
{
    const struct tm local = {0};
    assert_int_equal(packs_host_status(1000, 77, &local, 1000.9).seconds, 0);
    assert_int_equal(packs_host_status(1000, 77, &local, 1000 + 65536 + 5.5).seconds, 5);
    assert_int_equal(packs_host_status(1000, 77, &local, 1000).memory_mib, 77);
}

#define WATTS_IN 15000.0
#define WATTS_OUT 7500.0
#define PERIOD_S 7.3141 /* s: edges are anywhere between two cycles */

static double square_wave(double now)
{
    return fmod(now, PERIOD_S) < PERIOD_S / 2 ? WATTS_IN : -WATTS_OUT;
}

static double ramp(double now)
{
    return WATTS_IN - (WATTS_IN + WATTS_OUT) * now / 3600;
}

/* The counters of a pack after an hour of one poll cycle a second. */
static void count_an_hour(double (*power)(double now), struct kept_entry *kept)
{
    static const struct line_config line = {.name = "shed"};
    const struct pack_config config = {
        .name = "house", .line = &line, .driver = bms_drivers[0], .poll_s = 1, .stale_after_s = 10};
    const struct tm local = {.tm_year = 126};
    const struct map_status host = {0};
    struct poller *poller = poller_new(&config);
    struct pack_source *source = pack_source_new(poller, NULL, kept, NULL, NULL);
    assert_non_null(source);
    for (double now = 0; now <= 3600; now++) {
        poller->published_at = now;
        pack_clear(&poller->values);
        pack_set(&poller->values, POWER_W, power(now));
        pack_source_publish(source, &host, &local, now);
    }
    pack_source_free(source);
    poller_free(poller);
}

static void expect_energy(double counted, double expected, const char *what)
{
    if (fabs(counted - expected) > expected / 500)
        fail_msg("%s: %.1f Wh, expected %.1f", what, counted, expected);
}

/* Each edge is somewhere between two readings: on average in the middle. */
TEST(energy_of_a_square_wave)
{
    struct kept_entry kept = {.peak_percent = -1};
    count_an_hour(square_wave, &kept);
    expect_energy(kept.charged_wh, WATTS_IN / 2, "charged");
    expect_energy(kept.discharged_wh, WATTS_OUT / 2, "discharged");
}

/* Two triangles. */
TEST(energy_of_a_ramp)
{
    const double turns_after_h = WATTS_IN / (WATTS_IN + WATTS_OUT);
    struct kept_entry kept = {.peak_percent = -1};
    count_an_hour(ramp, &kept);
    expect_energy(kept.charged_wh, WATTS_IN * turns_after_h / 2, "charged");
    expect_energy(kept.discharged_wh, WATTS_OUT * (1 - turns_after_h) / 2, "discharged");
}

enum { PACKS = 2 };

/* Two packs and their bank. */
struct house {
    struct kept_entry kept[PACKS + 1];
    struct pack_source *packs[PACKS];
    struct bank_source bank;
};

static void open_house(struct house *house)
{
    static const struct line_config line = {.name = "shed"};
    static struct pack_config configs[PACKS] = {
        {.name = "a", .line = &line, .poll_s = 1, .stale_after_s = 10},
        {.name = "b", .line = &line, .poll_s = 1, .stale_after_s = 10}};
    static const struct bank_config config = {
        .name = "house", .pack_count = PACKS, .min_packs = PACKS};
    *house =
        (struct house){.kept = {{.peak_percent = -1}, {.peak_percent = -1}, {.peak_percent = -1}}};
    for (int i = 0; i < PACKS; i++) {
        configs[i].driver = bms_drivers[0];
        house->packs[i] =
            pack_source_new(poller_new(&configs[i]), NULL, &house->kept[i], NULL, NULL);
        house->bank.parts[i] = house->packs[i];
    }
    bank_source_init(&house->bank, &config, &house->kept[PACKS], 0);
}

static void close_house(struct house *house)
{
    for (int i = 0; i < PACKS; i++) {
        poller_free(house->packs[i]->poller);
        pack_source_free(house->packs[i]);
    }
}

/* The values of the poller, which the caller has filled. */
static void publish_pack(struct house *house, int i, double now)
{
    const struct tm local = {.tm_year = 126};
    const struct map_status host = {0};
    house->packs[i]->poller->published_at = now;
    pack_source_publish(house->packs[i], &host, &local, now);
    bank_source_update(&house->bank, true, &host, &local, now);
}

/* One reads over-voltage in its first cycle, which does not end; from then on its alarms get lost.
 * The alarm of the bank does not end with that: the other pack's are not its own. */
TEST(alarms_of_a_first_cycle_stay_in_the_bank)
{
    enum { ALARM = 1 << CELL_OVER_VOLTAGE };
    struct house house;
    open_house(&house);
    for (int cycle = 0; cycle < 3; cycle++)
        for (int i = 0; i < PACKS; i++) {
            struct pack *values = &house.packs[i]->poller->values;
            const bool read = i == 1 || cycle == 0;
            pack_clear(values);
            pack_set(values, FULL_AH, 100);
            values->alarms_known = values->alarms_can_protect = read ? ALARM : 0;
            values->alarms_protection = i == 0 && read ? ALARM : 0;
            publish_pack(&house, i, cycle);
        }
    assert_int_equal(house.bank.extras.present, PACKS);
    assert_int_equal(house.bank.summary.alarms.protection, ALARM);
    close_house(&house);
}

/* The strictest charge voltage of a bank is not the one of the other pack while that of the first one was not read: not
 * yet, because its first requests are not all answered, or not any more. Another device may not have it at all. */
TEST(strictest_limit_of_a_bank)
{
    static const struct {
        double volts; /* NaN: not read */
        bool complete;
        double expected;
        unsigned devices;
    } cycles[] = {{NAN, false, NAN, 0}, {NAN, true, 57.6, 0},  {56, true, 56, 0},
                  {NAN, true, NAN, 0},  {56.5, true, 56.5, 0}, {NAN, false, NAN, 1},
                  {NAN, true, 57.6, 1}};
    struct house house;
    open_house(&house);
    for (size_t n = 0; n < COUNT(cycles); n++) {
        for (int i = 0; i < PACKS; i++) {
            struct poller *poller = house.packs[i]->poller;
            const double volts = i == 0 ? cycles[n].volts : 57.6;
            pack_clear(&poller->values);
            pack_set(&poller->values, FULL_AH, 100);
            if (!isnan(volts))
                pack_set(&poller->values, CHARGE_VOLTAGE_LIMIT_V, volts);
            poller->complete = i == 1 || cycles[n].complete;
            poller->devices = i == 0 ? cycles[n].devices : 0;
            publish_pack(&house, i, (double) n);
        }
        const double found = house.bank.values.value[CHARGE_VOLTAGE_LIMIT_V];
        assert_int_equal(house.bank.extras.present, PACKS);
        if (isnan(cycles[n].expected) ? !isnan(found) : fabs(found - cycles[n].expected) > 1e-9)
            fail_msg("cycle %zu: %g V, expected %g V", n, found, cycles[n].expected);
    }
    close_house(&house);
}

static int32_t number_of(struct pack_config *config, const struct bms_driver *driver, int variant)
{
    struct kept_entry kept = {.peak_percent = -1};
    config->driver = driver;
    config->options.variant = variant;
    struct poller *poller = poller_new(config);
    struct pack_source *source = pack_source_new(poller, NULL, &kept, NULL, NULL);
    struct pack_source *later = pack_source_new(poller, NULL, &kept, NULL, NULL);
    const int32_t number = source->bms;
    assert_int_equal(number, later->bms);
    pack_source_free(later);
    pack_source_free(source);
    poller_free(poller);
    return number;
}

TEST(each_protocol_has_a_number)
{
    static const struct line_config line = {.name = "shed"};
    struct pack_config config = {.name = "house", .line = &line, .poll_s = 1};
    int32_t numbers[100];
    unsigned count = 0;
    for (size_t i = 0; bms_drivers[i]; i++)
        for (int variant = 0;
             variant == 0 || (bms_drivers[i]->variants && bms_drivers[i]->variants[variant]);
             variant++)
            numbers[count++] = number_of(&config, bms_drivers[i], variant);
    assert_true(count > 30 && count < COUNT(numbers));
    const struct modbus_user map = {.contents = 1};
    config.options.map = &map;
    numbers[count++] = number_of(&config, bms_drivers[0], 0);
    for (unsigned i = 0; i < count; i++)
        for (unsigned n = 0; n <= i; n++)
            if (numbers[i] <= 0 || (numbers[i] == numbers[n] && n < i))
                fail_msg("%u and %u: %x", n, i, (unsigned) numbers[i]);
}

/* It is above 0 once a pack was read completely, of a bank once all packs were that count. */
TEST(number_of_a_bank)
{
    static const struct {
        const char *what;
        bool published[PACKS], complete[PACKS], bank;
    } steps[] = {
        {"nothing was read", {false, false}, {false, false}, false},
        {"its cycle is over, but not published", {false, false}, {true, false}, false},
        {"one was read", {true, false}, {true, false}, false},
        {"the other one is being read", {true, true}, {true, false}, false},
        {"both were read", {true, true}, {true, true}, true},
        {"one does not count any more", {true, false}, {true, false}, true},
    };
    struct house house;
    open_house(&house);
    for (size_t step = 0; step < COUNT(steps); step++)
        for (int i = 0; i < PACKS; i++) {
            struct poller *poller = house.packs[i]->poller;
            const int32_t number = house.packs[i]->bms, both = 2 * number;
            const bool known = steps[step].complete[i] && steps[step].published[i];
            pack_set(&poller->values, FULL_AH, 100);
            poller->complete = steps[step].complete[i];
            publish_pack(&house, i, steps[step].published[i] ? (double) step : (double) NAN);
            if (house.packs[i]->source.status.bms != (known ? number : -number))
                fail_msg("%s: pack %d", steps[step].what, i);
            if (i == 1 && house.bank.source.status.bms != (steps[step].bank ? both : -both))
                fail_msg("%s: %d", steps[step].what, house.bank.source.status.bms);
        }
    close_house(&house);
}

static const struct source *aged;

static void note_aged(void *data, const struct source *source, unsigned changes, double now)
{
    if (changes & SOURCE_AGED)
        aged = source;
}

/* Outlets go on after a reload that changes the address of a pack: values of the device at the old one must not be fresh any
 * more. */
TEST(observers_know_at_once_that_a_pack_is_another)
{
    static struct line_config line = {.name = "shed"};
    struct pack_config pack = {
        .name = "house", .line = &line, .driver = bms_drivers[0], .poll_s = 1, .stale_after_s = 10};
    const struct config config = {.packs = &pack, .pack_count = 1, .lines = &line, .line_count = 1};
    struct observer observer = {.changed = note_aged};
    struct kept *kept = kept_load("");
    struct packs *packs = packs_new(kept, 0);
    struct poller *pollers[] = {poller_new(&pack), poller_new(&pack)};
    struct line *lines[] = {NULL};
    packs_observe(packs, &observer);
    packs_renew(packs, &(struct polling){&config, &pollers[0], 1, lines, 1}, 0);
    pollers[0]->published_at = 1;
    packs_published(packs, pollers[0], 1);
    aged = NULL;
    packs_renew(packs, &(struct polling){&config, &pollers[0], 1, lines, 1}, 2);
    assert_null(aged);
    packs_renew(packs, &(struct polling){&config, &pollers[1], 1, lines, 1}, 2);
    assert_ptr_equal(aged, packs_at(packs, 0));
    assert_false(source_fresh(aged, 2));
    packs_free(packs);
    kept_free(kept);
    for (size_t i = 0; i < COUNT(pollers); i++)
        poller_free(pollers[i]);
}
