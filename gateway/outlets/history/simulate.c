// SPDX-License-Identifier: MIT
/*
 * `packgate-outlet-history simulate FILE DAYS PACK...` writes a history as if its packs had existed
 * for that many days until now. Without it the charts of `packgate demo` would begin empty; tests
 * and measurements need half a year.
 *
 * DAYS:MINUTES, as in 190:20, writes rows of each minute for the last twenty days only, and of
 * every tenth minute before, which takes a fifth of the time.
 *
 * PACK is NAME=CELLS:AH:SOC[:SEED[:LAG]], a pack that has that state of charge now, with one cell
 * that is charged less by LAG percent; or NAME=PACK+PACK for a bank of packs named before it.
 *
 * The packs charge by day, more or less according to the weather, and discharge by night; now and
 * then one does not answer. The batteries are those of simulated packs (bms/battery.h), the banks and
 * the rows are computed by the gateway's own code.
 */
#include "commands.h"

#include "past/rows.h"
#include "store.h"

#include "base/clock.h"
#include "bms/battery.h"
#include "bms/prng.h"
#include "packs/bank.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PACKS_MOST 80
#define TEMPS 4
#define RECENT_KEPT_S (48 * 3600)
#define COARSE_S 60 /* between two polls before that */
#define FINE_S 10
#define SPARSE_S 600
#define SETTLE_S (10 * 3600) /* the last hours lead to the requested present state of charge */
#define SUNRISE_H 7.5
#define SUNSET_H 15.5
#define COMMIT_ROWS 10000
#define FOLLOW_S 3600.0 /* within which the state of charge follows that of the curve */
#define PI 3.14159265358979323846

struct made {
    char name[64];
    struct battery battery;
    double soc_now, soc_before, shift; /* of the curve, 0 to 1 */
    uint64_t seed;
    double charged_wh, discharged_wh;
    bool silent;
    struct pack pack;
    struct made *members[MAX_BANK_PACKS]; /* of a bank; none: a pack */
    unsigned member_count;
    struct history_series series;
};

struct past {
    struct store *store;
    struct made packs[PACKS_MOST];
    unsigned count;
    struct made *current;
    time_t now;
    long zone_s; /* the present UTC offset for all days: one with 23 hours would have a step */
};

/* 0 ≤ x < 1, the same for the same numbers. */
static double chance(uint64_t seed, int64_t step)
{
    uint64_t state = seed * 7919 + (uint64_t) step;
    prng_next(&state);
    return prng_unit(&state);
}

static double smooth(double x)
{
    return x <= 0 ? 0 : x >= 1 ? 1 : x * x * (3 - 2 * x);
}

static double local_hour(const struct past *past, time_t t)
{
    return (double) ((t + past->zone_s) % DAY_S) / 3600;
}

/* The state of charge in the morning, and in the evening of a day. */
static double morning(const struct made *made, int64_t day)
{
    return .08 + .28 * chance(made->seed + 1, day);
}

static double evening(const struct made *made, int64_t day)
{
    const double sun = chance(3, day); /* the weather is the same for all */
    return .97 - .55 * sun * sun - .03 * chance(made->seed + 2, day);
}

static double day_curve(const struct past *past, const struct made *made, time_t t)
{
    const double hour = local_hour(past, t);
    const int64_t day = (t + past->zone_s) / DAY_S;
    if (hour < SUNRISE_H) {
        const double share = smooth((hour + 24 - SUNSET_H) / (24 - SUNSET_H + SUNRISE_H));
        return evening(made, day - 1) + (morning(made, day) - evening(made, day - 1)) * share;
    }
    if (hour < SUNSET_H)
        return morning(made, day) + (evening(made, day) - morning(made, day)) *
                                        smooth((hour - SUNRISE_H) / (SUNSET_H - SUNRISE_H));
    const double share = smooth((hour - SUNSET_H) / (24 - SUNSET_H + SUNRISE_H));
    return evening(made, day) + (morning(made, day + 1) - evening(made, day)) * share;
}

static double soc_at(const struct past *past, const struct made *made, time_t t)
{
    const double left = (double) (past->now - t);
    const double ripple = .002 * sin((double) t / 1300 + (double) made->seed);
    const double soc =
        day_curve(past, made, t) + ripple + made->shift * smooth(1 - left / SETTLE_S);
    return fmin(fmax(soc, .05 + made->battery.settings.lag_percent / 100), 1);
}

/* Loads and clouds: the deviation of the current from the slow curve, in capacities per hour. */
static double flicker(const struct made *made, time_t t)
{
    const double kettle = chance(made->seed + 5, t / 240);
    return .02 * (chance(made->seed + 6, t / 20) - .5) -
           (kettle > .965 ? .08 + 2 * (kettle - .965) : 0);
}

/* A quarter of an hour now and then, nearly an hour of the last morning of every third pack: not of the night, by which
 * the page says whether the charge lasts until the morning. */
static bool is_silent(const struct past *past, const struct made *made, time_t t)
{
    const double before = (double) (past->now - t) / 3600, hour = local_hour(past, t);
    return (chance(made->seed + 8, t / 900) > .9985 && before > 6) ||
           (made->seed % 3 == 1 && before > 1 && before < 24 && hour > 7.5 && hour < 8.4);
}

/* `step`: seconds since the values before. */
static void make_values(const struct past *past, struct made *made, time_t t, double step)
{
    struct battery *battery = &made->battery;
    struct battery_settings *settings = &battery->settings;
    const double soc = soc_at(past, made, t), is = battery->remaining_ah / battery->full_ah;
    const double rate_c = (soc - made->soc_before) * 3600 / step + flicker(made, t) +
                          (made->soc_before - is) * 3600 / fmax(step, FOLLOW_S);
    made->soc_before = soc;
    settings->profile = rate_c > 0 ? BATTERY_CHARGE : BATTERY_DISCHARGE;
    settings->rate_c = fabs(rate_c);
    settings->ambient_c = 19 - 6 * cos(2 * PI * (double) t / (365.25 * DAY_S)) +
                          2.5 * sin((local_hour(past, t) - 9) * PI / 12);
    battery_step(battery, step, &made->pack);
}

/* Ten seconds are not kept for long. */
static void keep(void *data, enum history_level level, const struct history_row *row)
{
    struct past *past = data;
    if (level == LEVEL_RECENT && row->t < past->now - RECENT_KEPT_S)
        return;
    store_row(past->store, past->current->name, level, row);
}

static void note(struct past *past, time_t t, const char *kind, const char *name, int level,
                 const char *text)
{
    store_event(past->store, &(struct store_event){t, past->current ? past->current->name : NULL,
                                                   kind, name, level, text});
}

/* One moment of all packs. */
static bool make_moment(struct past *past, time_t t, double step)
{
    for (unsigned i = 0; i < past->count; i++) {
        struct made *made = past->current = &past->packs[i];
        const bool was_silent = made->silent;
        const struct alarms told = made->series.alarms;
        if (made->member_count > 0) {
            struct bank_member members[MAX_BANK_PACKS] = {{0}};
            struct map_bank extras = {.needed = made->member_count};
            for (unsigned n = 0; n < made->member_count; n++)
                members[n] = (struct bank_member){.pack = &made->members[n]->pack,
                                                  .fresh = !made->members[n]->silent};
            bank_combine(members, made->member_count, &made->pack, &extras);
            made->silent = extras.missing > 0;
        } else {
            make_values(past, made, t, step);
            made->silent = is_silent(past, made, t);
        }
        if (made->silent != was_silent)
            note(past, t, made->silent ? "stale" : "back", NULL, EVENT_NO_LEVEL, NULL);
        if (made->silent) {
            history_silent(&made->series);
            history_pass(&made->series, (double) t, keep, past);
            continue;
        }
        const struct alarms now = alarms_after(told, &made->pack, 0);
        for (int alarm = 0; alarm < PACK_ALARM_COUNT; alarm++) {
            const int level = alarms_level(now, alarm);
            if (alarms_changed(told, now) >> alarm & 1)
                note(past, t, "alarm", pack_alarm_name((enum pack_alarm) alarm),
                     level ? level : alarms_level(told, alarm), level ? "on" : "off");
        }
        const double wh = made->pack.value[POWER_W] * step / 3600;
        *(wh > 0 ? &made->charged_wh : &made->discharged_wh) += fabs(wh);
        const struct map_status status = {.charged_wh = made->charged_wh,
                                          .discharged_wh = made->discharged_wh};
        history_add(&made->series, &made->pack, &status, (double) t, keep, past);
    }
    return store_waiting(past->store) < COMMIT_ROWS || store_commit(past->store);
}

static bool make_past(struct past *past, double days, double minutes)
{
    const time_t begin = (past->now - (time_t) (days * DAY_S)) / COARSE_S * COARSE_S;
    time_t before_t = begin - COARSE_S;
    for (unsigned i = 0; i < past->count; i++) {
        struct made *made = &past->packs[i];
        if (made->member_count > 0)
            continue;
        made->shift = made->soc_now - soc_at(past, made, past->now);
        made->soc_before = soc_at(past, made, before_t);
        struct battery_settings settings = made->battery.settings;
        settings.soc_percent = 100 * made->soc_before;
        battery_init(&made->battery, &settings);
    }
    note(past, begin, "started", NULL, EVENT_NO_LEVEL, "0.2");
    for (time_t t = begin, next; t < past->now; before_t = t, t = next) {
        if (past->now - t <= RECENT_KEPT_S)
            next = t + FINE_S;
        else
            next = t + (past->now - t > minutes * DAY_S ? SPARSE_S : COARSE_S);
        if (!make_moment(past, t, (double) (t - before_t)))
            return false;
    }
    for (unsigned i = 0; i < past->count; i++) {
        past->current = &past->packs[i];
        history_flush(&past->current->series, true, keep, past);
    }
    return store_commit(past->store);
}

static bool add_pack(struct past *past, const char *text)
{
    const char *equals = strchr(text, '=');
    if (!equals || past->count == PACKS_MOST ||
        equals - text >= (ptrdiff_t) sizeof past->packs->name)
        return false;
    struct made *made = &past->packs[past->count];
    memcpy(made->name, text, (size_t) (equals - text));
    history_series_init(&made->series);
    struct battery_settings *settings = &made->battery.settings;
    double soc = 50;
    unsigned long long seed = past->count + 1;
    settings->temps = TEMPS;
    if (sscanf(equals + 1, "%u:%lf:%lf:%llu:%lf", &settings->cells, &settings->capacity_ah, &soc,
               &seed, &settings->lag_percent) < 2) {
        for (const char *at = equals + 1; *at; at += strspn(at, "+")) {
            const size_t size = strcspn(at, "+");
            unsigned n = 0;
            while (n < past->count && (strlen(past->packs[n].name) != size ||
                                       memcmp(past->packs[n].name, at, size) != 0))
                n++;
            if (n == past->count || made->member_count == MAX_BANK_PACKS)
                return false;
            made->members[made->member_count++] = &past->packs[n];
            at += size;
        }
    } else if (settings->cells < 1 || settings->cells > MAX_CELLS || settings->capacity_ah <= 0) {
        return false;
    }
    made->soc_now = soc / 100;
    made->seed = settings->seed = seed;
    past->count++;
    return true;
}

int history_simulate(int argc, char **argv)
{
    static struct past past;
    char *rest = "";
    const double days = argc > 3 ? strtod(argv[2], &rest) : 0;
    const double minutes = *rest == ':' ? strtod(rest + 1, NULL) : days;
    bool good = days > 0;
    for (int i = 3; i < argc && good; i++)
        good = add_pack(&past, argv[i]);
    if (!good) {
        fprintf(stderr, "usage: packgate-outlet-history simulate FILE DAYS[:MINUTES]\n"
                        "           NAME=CELLS:AH:SOC[:SEED[:LAG]]... NAME=PACK+PACK...\n");
        return 2;
    }
    /* An earlier one would be merged with this one. */
    char beside[4096];
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (snprintf(beside, sizeof beside, "%s%s", argv[1], ends[i]) < (int) sizeof beside)
            unlink(beside);
    setenv("TZ", ":/etc/localtime", 0); /* or mktime() looks that file up again for each poll */
    past.now = time(NULL);
    past.zone_s = clock_zone((double) past.now);
    past.store = store_new(argv[1], (int64_t[LEVEL_DAY]){0});
    good = make_past(&past, days, minutes);
    store_free(past.store);
    if (!good)
        fprintf(stderr, "packgate-outlet-history: cannot write %s\n", argv[1]);
    return good ? 0 : 1;
}
