// SPDX-License-Identifier: MIT
/* Limits across reloads, and those of a bank whose packs have limits of their own. */
#include "packs/limiter.h"
#include "bms/driver.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "pack_test.h"

#define SETTLED_S 200 /* s: twice as long as a limit needs to rise from 0 */
#define PACKS 2

static const struct line_config line = {.name = "shed"};

static const struct limits_config section = {
    .name = "house",
    .charge_current_a = 100,
    .discharge_current_a = 150,
    .cells = 4,
    .sensors = 1,
    .cell_full_v = 3.45,
    .cell_float_v = 3.375,
    .soc_again_percent = 90,
    .cell_high = {{{3.40, 1}, {3.50, 0}}, 2},
    .cell_low = {{{2.80, 0}, {3.10, 1}}, 2},
    .temperature = {{{0, 0}, {10, 1}, {40, 1}, {55, 0}}, 4},
};

struct world {
    struct pack_config configs[PACKS];
    struct kept_entry kept[PACKS + 1];
    struct pack_source *packs[PACKS];
    struct bank_config bank_config;
    struct bank_source bank;
    double now;
};

static void report(struct pack *pack, double current_a)
{
    pack_clear(pack);
    set_values(pack, {CURRENT_A, current_a}, {VOLTAGE_V, 13.2}, {SOC_PERCENT, 60}, {RATED_AH, 100},
               {CELL_COUNT, 4});
    for (unsigned n = 1; n <= 4; n++)
        pack_set_cell(pack, n, 3300);
    pack_set_temp(pack, 1, 20);
    pack_set(pack, CHARGE_MOS, 1);
    pack_alarm(pack, CELL_OVER_VOLTAGE, 0);
    pack_derive(pack);
}

static void open_world(struct world *world)
{
    *world = (struct world){.now = 1000};
    world->bank_config =
        (struct bank_config){.name = "house", .pack_count = PACKS, .min_packs = PACKS};
    for (unsigned i = 0; i < PACKS; i++) {
        world->configs[i] = (struct pack_config){
            .line = &line, .driver = bms_drivers[0], .poll_s = 1, .stale_after_s = 10};
        snprintf(world->configs[i].name, NAME_SIZE, "house-%u", i + 1);
        world->packs[i] =
            pack_source_new(poller_new(&world->configs[i]), NULL, &world->kept[i], NULL, NULL);
        assert_non_null(world->packs[i]);
        report(&world->packs[i]->poller->values, 10);
    }
    for (unsigned i = 0; i < PACKS; i++)
        world->bank.parts[i] = world->packs[i];
    bank_source_init(&world->bank, &world->bank_config, &world->kept[PACKS], world->now);
}

static void close_world(struct world *world)
{
    for (unsigned i = 0; i < PACKS; i++) {
        struct poller *poller = world->packs[i]->poller;
        pack_source_free(world->packs[i]);
        poller_free(poller);
    }
}

/* Packs that answer each second with their current values, and their limiters in the order of their dependencies.
 * `silent`: packs that do not answer, a bit for each. */
static void go_on_without(struct world *world, unsigned silent, struct limiter *limiters[],
                          unsigned count, double seconds)
{
    const struct map_status host = {0};
    const struct tm local = {.tm_year = 126};
    for (double end = world->now + seconds; world->now < end;) {
        world->now++;
        for (unsigned i = 0; i < PACKS; i++) {
            if (silent >> i & 1) {
                pack_source_tick(world->packs[i], &host, &local, world->now);
                continue;
            }
            world->packs[i]->poller->published_at = world->now;
            pack_source_publish(world->packs[i], &host, &local, world->now);
        }
        bank_source_update(&world->bank, true, &host, &local, world->now);
        for (unsigned i = 0; i < count; i++)
            limiter_update(limiters[i], world->now, 0);
    }
}

static void go_on(struct world *world, struct limiter *limiters[], unsigned count, double seconds)
{
    go_on_without(world, 0, limiters, count, seconds);
}

static void expect_charge(const char *what, const struct source *source, double amps,
                          enum limit_reason by)
{
    const struct map_allowed *allowed = &source->status.allowed;
    if (!(fabs(allowed->charge_current_a - amps) < 1e-6) || allowed->charge_limited_by != by)
        fail_msg("%s: %g A by %s, expected %g A by %s", what, allowed->charge_current_a,
                 map_limit_reason_name(allowed->charge_limited_by), amps,
                 map_limit_reason_name(by));
}

static void expect_discharge(const char *what, const struct source *source, double amps)
{
    const double found = source->status.allowed.discharge_current_a;
    if (!(fabs(found - amps) < 1e-6))
        fail_msg("%s: %g A, expected %g A", what, found, amps);
}

TEST(unchanged)
{
    struct world world;
    struct limiter before, after, *list[] = {&before};
    open_world(&world);
    limiter_init(&before, &section, world.packs[0], NULL, world.now);
    go_on(&world, list, 1, SETTLED_S);
    limiter_init(&after, &section, world.packs[0], NULL, world.now);
    limiter_resume(&after, &before);
    limiter_update(&after, world.now, 0);
    expect_charge("the same section", &world.packs[0]->source, 100, LIMITED_BY_CONFIGURATION);
    close_world(&world);
}

/* A changed section begins at 0. Values that its pack has reported before are still required. */
TEST(changed)
{
    static const struct {
        const char *what;
        enum limit_reason by;
    } cases[] = {{"a switch", LIMITED_BY_UNKNOWN},
                 {"a protection", LIMITED_BY_UNKNOWN},
                 {"a sensor", LIMITED_BY_UNKNOWN},
                 {"an alarm", LIMITED_BY_ALARM}};
    for (unsigned n = 0; n < 4; n++) {
        struct world world;
        struct limits_config changed = section;
        struct limiter before, after, *old[] = {&before}, *new[] = {&after};
        open_world(&world);
        struct pack *values = &world.packs[0]->poller->values;
        pack_set_temp(values, 2, 20);
        pack_alarm(values, CELL_OVER_VOLTAGE, n == 3 ? ALARM_PROTECTION : 0);
        limiter_init(&before, &section, world.packs[0], NULL, world.now);
        go_on(&world, old, 1, SETTLED_S);
        if (n == 0)
            pack_unset(values, CHARGE_MOS);
        else if (n == 2)
            pack_unset(values, TEMP_C);
        else
            pack_clear_alarms(values);
        go_on(&world, old, 1, 1);
        changed.charge_current_a = 80;
        limiter_init(&after, &changed, world.packs[0], NULL, world.now);
        limiter_resume(&after, &before);
        go_on(&world, new, 1, SETTLED_S);
        expect_charge(cases[n].what, &world.packs[0]->source, 0, cases[n].by);
        report(values, 10);
        pack_set_temp(values, 2, 20);
        go_on(&world, new, 1, SETTLED_S);
        expect_charge("it is back", &world.packs[0]->source, 80, LIMITED_BY_CONFIGURATION);
        close_world(&world);
    }
}

/* What a pack has reported is kept when it moves to another position in a bank. */
TEST(moved)
{
    struct world world;
    struct limiter before, after, *old[] = {&before}, *new[] = {&after};
    open_world(&world);
    limiter_init(&before, &section, world.packs[1], NULL, world.now);
    go_on(&world, old, 1, SETTLED_S);
    pack_unset(&world.packs[1]->poller->values, CHARGE_MOS);
    limiter_init(&after, &section, NULL, &world.bank, world.now);
    limiter_resume(&after, &before);
    go_on(&world, new, 1, SETTLED_S);
    expect_charge("it reported a switch", &world.bank.source, 0, LIMITED_BY_UNKNOWN);
    close_world(&world);
}

/* The limits of a single pack have no shares; the shares of the bank must survive them. */
TEST(shares_survive)
{
    struct world world;
    struct limiter bank, pack, again, *all[] = {&pack, &bank};
    open_world(&world);
    limiter_init(&pack, &section, world.packs[0], NULL, world.now);
    limiter_init(&bank, &section, NULL, &world.bank, world.now);
    report(&world.packs[0]->poller->values, 30);
    go_on(&world, all, 2, SETTLED_S);
    expect_charge("as measured", &world.bank.source, 50 / 0.75, LIMITED_BY_IMBALANCE);
    for (unsigned i = 0; i < PACKS; i++)
        report(&world.packs[i]->poller->values, 0);
    limiter_init(&again, &section, NULL, &world.bank, world.now);
    limiter_resume(&again, &bank);
    limiter_resume(&again, &pack);
    all[1] = &again;
    go_on(&world, all, 2, SETTLED_S);
    expect_charge("after it", &world.bank.source, 50 / 0.75, LIMITED_BY_IMBALANCE);
    close_world(&world);
}

TEST(own_limits)
{
    struct world world;
    struct limits_config small = section;
    struct limiter bank, pack, *all[] = {&pack, &bank};
    open_world(&world);
    small.charge_current_a = 20;
    limiter_init(&pack, &small, world.packs[0], NULL, world.now);
    limiter_init(&bank, &section, NULL, &world.bank, world.now);
    go_on(&world, all, 2, SETTLED_S);
    expect_charge("equal shares", &world.bank.source, 40, LIMITED_BY_IMBALANCE);
    report(&world.packs[0]->poller->values, 30);
    go_on(&world, all, 2, 1);
    expect_charge("three quarters", &world.bank.source, 20 / 0.75, LIMITED_BY_IMBALANCE);
    pack_set_cell(&world.packs[0]->poller->values, 1, 3450);
    pack_set(&world.packs[0]->poller->values, CELL_MAX_MV, 3450);
    go_on(&world, all, 2, 1);
    expect_charge("its cells", &world.bank.source, 10 / 0.75, LIMITED_BY_CELL_HIGH);
    close_world(&world);
}

static const struct map_status *stale_bank(struct world *world, struct limiter *all[],
                                           unsigned count)
{
    go_on(world, all, count, SETTLED_S);
    expect_discharge("both", &world->bank.source, 150);
    go_on_without(world, 2, all, count, 11);
    return &world->bank.source.status;
}

/* A bank with too few packs is stale, but the packs that answer still limit it. */
TEST(stale_bank)
{
    struct world world;
    struct limits_config discharging = section;
    struct limiter bank, *all[] = {&bank};
    open_world(&world);
    discharging.on_stale = STALE_DISCHARGE;
    limiter_init(&bank, &discharging, NULL, &world.bank, world.now);
    const struct map_status *status = stale_bank(&world, all, 1);
    assert_int_equal(status->state, MAP_STATE_NO_LINE);
    expect_discharge("one is left", &world.bank.source, 75);
    expect_charge("one is left", &world.bank.source, 0, LIMITED_BY_STALE);
    pack_alarm(&world.packs[0]->poller->values, CELL_UNDER_VOLTAGE, ALARM_PROTECTION);
    go_on_without(&world, 2, all, 1, 1);
    expect_discharge("which is empty", &world.bank.source, 0);
    close_world(&world);
}

/* A pack whose own section stops at stale values stops its bank, too. */
TEST(stale_pack_that_stops)
{
    for (unsigned own = STALE_STOP; own <= STALE_DISCHARGE; own++) {
        struct world world;
        struct limits_config discharging = section, of_pack = section;
        struct limiter bank, pack, *all[] = {&pack, &bank};
        open_world(&world);
        for (unsigned i = 0; i < PACKS; i++) /* too short for the values to age before */
            world.configs[i].stale_after_s = 4;
        discharging.on_stale = STALE_DISCHARGE;
        of_pack.on_stale = own;
        limiter_init(&pack, &of_pack, world.packs[1], NULL, world.now);
        limiter_init(&bank, &discharging, NULL, &world.bank, world.now);
        go_on(&world, all, 2, SETTLED_S);
        go_on_without(&world, 2, all, 2, 3);
        expect_discharge("fresh", &world.bank.source, 150);
        assert_int_equal(world.bank.source.status.allowed.discharges_stale, own == STALE_DISCHARGE);
        go_on_without(&world, 2, all, 2, 2);
        expect_discharge("stale", &world.bank.source, own == STALE_DISCHARGE ? 75 : 0);
        close_world(&world);
    }
}

/* A bank that is not published yet allows nothing, even if all of its packs answer. */
TEST(bank_that_waits)
{
    struct world world;
    struct limits_config discharging = section;
    struct limiter bank;
    open_world(&world);
    discharging.on_stale = STALE_DISCHARGE;
    limiter_init(&bank, &discharging, NULL, &world.bank, world.now);
    for (unsigned n = 0; n < SETTLED_S; n++) {
        world.now++;
        for (unsigned i = 0; i < PACKS; i++)
            world.packs[i]->poller->published_at = world.now;
        limiter_update(&bank, world.now, 0);
    }
    expect_discharge("it waits", &world.bank.source, 0);
    expect_charge("it waits", &world.bank.source, 0, LIMITED_BY_STALE);
    close_world(&world);
}
