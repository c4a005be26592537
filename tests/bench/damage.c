// SPDX-License-Identifier: MIT
/*
 * How many wrong values are published when replies are damaged, for every driver and variant. The
 * argument is how many replies to damage of each; prints a JSON object for each. Names of drivers
 * behind it: those alone. REPLIES@SEED begins with another random number, so that many millions can
 * be counted in pieces.
 */
#include "../damage.h"

static void run(const struct bms_driver *driver, unsigned variant, unsigned long replies,
                unsigned long seed)
{
    static struct damage damage;
    damage_open(&damage, driver, (int) variant, seed);
    damage_run(&damage, replies);
    const struct damage_counts *counts = &damage.counts;
    printf("{\"driver\": \"%s\", \"variant\": \"%s\", \"seed\": %lu, \"damaged\": %lu, "
           "\"passed\": %lu, \"published\": %lu, \"wrong\": %lu, \"unknown\": %lu, \"first\": "
           "\"%s\"}\n",
           driver->name, damage_variant_name(driver, variant), seed, counts->damaged,
           counts->passed, counts->published, counts->wrong, counts->unknown, counts->first_wrong);
    fflush(stdout);
    damage_close(&damage);
}

int main(int argc, char **argv)
{
    char *end = NULL;
    unsigned long replies = argc > 1 ? strtoul(argv[1], &end, 10) : 0;
    unsigned long seed = replies > 0 && *end == '@' ? strtoul(end + 1, NULL, 10) : 1;
    if (replies == 0) {
        fprintf(stderr, "usage: damage REPLIES[@SEED] [DRIVER]...\n");
        return 2;
    }
    for (unsigned i = 0; bms_drivers[i]; i++) {
        bool wanted = argc == 2;
        for (int n = 2; n < argc; n++)
            wanted |= strcmp(argv[n], bms_drivers[i]->name) == 0;
        for (unsigned variant = 0; wanted && variant < damage_variants(bms_drivers[i]); variant++)
            run(bms_drivers[i], variant, replies, seed);
    }
    return 0;
}
