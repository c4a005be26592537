// SPDX-License-Identifier: MIT
/*
 * How much the history writes in a day: `written FILE PACKS` keeps two days of so many packs, on a clock that is turned, as the
 * outlet does: a commit every ten minutes, rows of ten seconds for a day. Prints how many bytes of the second day were handed to
 * the file system.
 */
#include "outlets/history/store.h"

#include "base/alloc.h"
#include "bms/battery.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define POLL_S 10
#define COMMIT_S 600
#define COMMITS_TO_PRUNE 6

struct kept {
    struct store *store;
    char name[16];
    struct battery battery;
    struct pack values;
    struct history_series series;
    double charged_wh, discharged_wh;
};

static void keep(void *data, enum history_level level, const struct history_row *row)
{
    const struct kept *kept = data;
    store_row(kept->store, kept->name, level, row);
}

static void poll_pack(struct kept *kept, time_t t)
{
    battery_step(&kept->battery, POLL_S, &kept->values);
    const double wh = kept->values.value[POWER_W] * POLL_S / 3600;
    *(wh > 0 ? &kept->charged_wh : &kept->discharged_wh) += fabs(wh);
    const struct map_status status = {.charged_wh = kept->charged_wh,
                                      .discharged_wh = kept->discharged_wh};
    history_add(&kept->series, &kept->values, &status, (double) t, keep, kept);
}

/* What this process has handed to the file system. */
static long long written(void)
{
    char line[80];
    long long bytes = 0;
    FILE *in = fopen("/proc/self/io", "r");
    while (in && fgets(line, sizeof line, in))
        sscanf(line, "wchar: %lld", &bytes);
    if (in)
        fclose(in);
    return bytes;
}

int main(int argc, char **argv)
{
    const unsigned count = argc == 3 ? (unsigned) atoi(argv[2]) : 0;
    const int64_t limits[LEVEL_DAY] = {[LEVEL_RECENT] = DAY_S};
    const time_t end = time(NULL) / COMMIT_S * COMMIT_S, middle = end - DAY_S;
    long long before = 0;
    if (count == 0) {
        fprintf(stderr, "usage: written FILE PACKS\n");
        return 2;
    }
    setenv("TZ", ":/etc/localtime", 0); /* or mktime() looks that file up again for each poll */
    struct store *store = store_new(argv[1], limits);
    struct kept *packs = alloc_zeroed(count, sizeof *packs);
    for (unsigned i = 0; i < count; i++) {
        const struct battery_settings settings = {
            .cells = 16, .temps = 4, .capacity_ah = 100, .soc_percent = 50, .seed = i + 1};
        packs[i].store = store;
        snprintf(packs[i].name, sizeof packs[i].name, "p%u", i + 1);
        battery_init(&packs[i].battery, &settings);
        history_series_init(&packs[i].series);
    }
    for (time_t t = middle - DAY_S; t < end; t += POLL_S) {
        for (unsigned i = 0; i < count; i++)
            poll_pack(&packs[i], t);
        if (t == middle)
            before = written();
        if (t % COMMIT_S != 0)
            continue;
        for (unsigned i = 0; i < count; i++) /* hours and days so far */
            history_flush(&packs[i].series, false, keep, &packs[i]);
        if (!store_commit(store))
            return 1;
        while (t / COMMIT_S % COMMITS_TO_PRUNE == 0 && store_prune(store, t))
            ;
    }
    store_free(store);
    printf("%lld\n", written() - before);
    free(packs);
    return 0;
}
