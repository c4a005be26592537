// SPDX-License-Identifier: MIT
/*
 * Damaged replies, some thousands for each driver and variant: nothing that the pack has not sent
 * is ever published, and nothing that it has sent becomes unknown. `make bench` tries many more.
 * tests/run: 15 s
 */
#include "damage.h"

#include "unit.h"

#define REPLIES 2000
#define SEEDS 5

static void try_variant(const struct bms_driver *driver, unsigned variant, uint64_t seed)
{
    static struct damage damage;
    damage_open(&damage, driver, (int) variant, seed);
    damage_run(&damage, REPLIES);
    const struct damage_counts *counts = &damage.counts;
    if (counts->damaged < REPLIES || counts->published < REPLIES / 10 || counts->wrong > 0 ||
        counts->unknown > 0)
        fail_msg("%s %s, seed %llu: %lu damaged, %lu cycles published, %lu with a wrong value, %lu "
                 "without one; %s",
                 driver->name, damage_variant_name(driver, variant), (unsigned long long) seed,
                 counts->damaged, counts->published, counts->wrong, counts->unknown,
                 counts->first_wrong);
    damage_close(&damage);
}

TEST(damaged_replies)
{
    for (unsigned i = 0; bms_drivers[i]; i++)
        for (unsigned variant = 0; variant < damage_variants(bms_drivers[i]); variant++)
            for (uint64_t seed = 1; seed <= SEEDS; seed++)
                try_variant(bms_drivers[i], variant, seed);
}

/* Otherwise a driver without a checksum would count as having a strong one. */
TEST(each_driver_declares_its_check)
{
    for (unsigned i = 0; bms_drivers[i]; i++)
        if (bms_drivers[i]->check == BMS_CHECK_UNDECLARED)
            fail_msg("%s does not say how strong its check is: `.check` in bms/driver.h",
                     bms_drivers[i]->name);
}
