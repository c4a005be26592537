// SPDX-License-Identifier: MIT
/* A shunt beside the packs of a bank: which values the bank reports, and when the two contradict
 * each other. */
#include "packs/bank.h"
#include "bms/count.h"

#include <math.h>

#include "pack_test.h"

#define UNKNOWN NAN

static struct pack pack_of(double amps, double soc, double full_ah)
{
    struct pack pack = cleared_pack();
    pack.value[VOLTAGE_V] = 50;
    pack.value[CURRENT_A] = amps;
    pack.value[SOC_PERCENT] = soc;
    pack.value[FULL_AH] = full_ah;
    pack.value[REMAINING_AH] = full_ah * soc / 100;
    pack_derive(&pack);
    return pack;
}

static struct pack bank_of(struct map_bank *extras)
{
    const struct pack packs[] = {pack_of(10, 60, 100), pack_of(20, 80, 100)};
    const struct bank_member members[] = {{.pack = &packs[0], .fresh = true},
                                          {.pack = &packs[1], .fresh = true}};
    struct pack bank;
    bank_combine(members, 2, &bank, extras);
    return bank;
}

static void expect(const char *what, double found, double expected)
{
    if (isnan(expected) ? !isnan(found) : !(fabs(found - expected) < 1e-9))
        fail_msg("%s: %g, expected %g", what, found, expected);
}

TEST(values)
{
    const struct pack shunt = pack_of(33, 75, UNKNOWN);
    struct pack half = shunt;
    pack_unset(&half, SOC_PERCENT);
    const struct {
        const char *what;
        const struct pack *measured;
        double amps, watts, soc, remaining_ah;
        bool alarm;
    } cases[] = {
        {"a shunt", &shunt, 33, 1650, 75, 150, false},
        {"one that is not synchronized", &half, 33, 1650, UNKNOWN, UNKNOWN, false},
        {"none that is fresh", NULL, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct map_bank extras = {0};
        struct pack bank = bank_of(&extras);
        assert_true(isnan(extras.packs_current_a) && isnan(extras.packs_soc_percent));
        shunt_apply(cases[i].measured, &bank, &extras);
        expect(cases[i].what, bank.value[CURRENT_A], cases[i].amps);
        expect(cases[i].what, bank.value[POWER_W], cases[i].watts);
        expect(cases[i].what, bank.value[SOC_PERCENT], cases[i].soc);
        expect(cases[i].what, bank.value[REMAINING_AH], cases[i].remaining_ah);
        expect(cases[i].what, bank.value[FULL_AH], 200);
        expect(cases[i].what, extras.packs_current_a, 30);
        expect(cases[i].what, extras.packs_soc_percent, 70);
        assert_true(pack_alarm_active(&bank, COMMUNICATION_FAULT) == cases[i].alarm);
    }
}

static bool differs_after(double shunt_a, double first_a, double second_a, double seconds)
{
    const struct pack measured = pack_of(shunt_a, 50, UNKNOWN),
                      packs[] = {pack_of(first_a, 50, 100), pack_of(second_a, 50, 100)};
    const struct bank_member members[] = {{.pack = &packs[0]}, {.pack = &packs[1]}};
    struct shunt shunt = {.differs_a = NAN};
    for (double now = 1000; now <= 1000 + seconds; now++)
        shunt_compare(&shunt, &measured, members, 2, now);
    return shunt.differs;
}

/* Many BMS report only the rated capacity. */
TEST(rated_capacity)
{
    const struct pack shunt = pack_of(33, 75, UNKNOWN);
    struct pack bank = pack_of(30, 70, UNKNOWN);
    struct map_bank extras = {0};
    pack_set(&bank, RATED_AH, 200);
    shunt_apply(&shunt, &bank, &extras);
    expect("of the rated capacity", bank.value[REMAINING_AH], 150);
}

/* Two packs at rest may each be wrong by 1 A, the shunt by 0.2 A; at 100 A by 6 % of 50 A and 1 % more. */
TEST(difference)
{
    static const struct {
        const char *what;
        double shunt_a, first_a, second_a, seconds;
        bool differs;
    } cases[] = {
        {"the same", 20, 10, 10, 1000, false},
        {"what they do not see", 2.2, 0, 0, 1000, false},
        {"more than that", 2.3, 0, 0, 1000, true},
        {"in the other direction", -2.3, 0, 0, 1000, true},
        {"large currents", 106, 50, 50, 1000, false},
        {"a load that only the shunt sees", 107, 50, 50, 1000, true},
        {"too early to tell", 107, 50, 50, 299, false},
        {"long enough", 107, 50, 50, 300, true},
        {"a pack without a current", 107, 50, UNKNOWN, 1000, false},
        {"a shunt without one", UNKNOWN, 50, 50, 1000, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (differs_after(cases[i].shunt_a, cases[i].first_a, cases[i].second_a,
                          cases[i].seconds) != cases[i].differs)
            fail_msg("%s", cases[i].what);
}

/* They are not read at the same moment: one of them sees a varying load first. */
TEST(other_moments)
{
    const struct pack on = pack_of(-80, 50, UNKNOWN), off = pack_of(0, 50, UNKNOWN);
    const struct bank_member late = {.pack = &on}, early = {.pack = &off};
    struct shunt shunt = {.differs_a = NAN};
    for (double now = 1000; now < 3000; now++) {
        const bool is_on = (int) now / 20 % 2, was_on = (int) (now - 2) / 20 % 2;
        shunt_compare(&shunt, is_on ? &on : &off, was_on ? &late : &early, 1, now);
        assert_false(shunt.differs);
    }
    for (double now = 3000; now < 5000; now++)
        shunt_compare(&shunt, &on, &early, 1, now);
    assert_true(shunt.differs);
    for (double now = 5000; now < 7000; now++)
        shunt_compare(&shunt, &on, &late, 1, now);
    assert_false(shunt.differs);
}
