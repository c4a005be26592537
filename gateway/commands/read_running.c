// SPDX-License-Identifier: MIT
/* `packgate read` with the values of a running gateway. */
#include "read_running.h"

#include "asking.h"
#include "command.h"

#include "base/duration.h"
#include "packs/json.h"
#include "base/clock.h"

#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_S 0.1       /* s, while the first values are awaited */
#define WATCH_LOOK_S 0.3 /* s, from then on */

/* What was printed of each pack: its number of polls. */
struct told {
    double polls; /* NaN: nothing printed yet */
};

static json_t *names_of(const struct read_running *reading)
{
    json_t *names = reading->name_count > 0 ? json_array() : NULL;
    for (int i = 0; i < reading->name_count; i++)
        json_array_append_new(names, json_string(reading->names[i]));
    return names;
}

static json_t *ask_values(struct control_link *link, const struct read_running *reading)
{
    json_t *request = json_pack("{s:s}", "ask", "values");
    json_t *names = names_of(reading);
    if (names)
        json_object_set_new(request, "packs", names);
    return control_ask(link, request);
}

static bool is_of_file(const json_t *answer, const char *config)
{
    char *path = realpath(config, NULL);
    bool same = path && strcmp(asking_text(answer, "configuration"), path) == 0;
    free(path);
    return same;
}

/* Leaves out what the gateway adds, so that the output equals that of a direct poll. */
static bool print_pack(const json_t *pack, bool indented)
{
    static const char *const beside[] = {"kind",  "unit",     "line",  "state", "fresh",
                                         "age_s", "complete", "polls", "name"};
    json_t *values = json_copy((json_t *) (uintptr_t) pack);
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
        json_object_del(values, beside[i]);
    json_print(stdout, values, indented);
    return fflush(stdout) == 0;
}

/* Prints new values; returns how many packs were never printed so far. */
static unsigned print_new(const struct read_running *reading, const json_t *packs,
                          struct told *told)
{
    unsigned missing = 0;
    for (size_t i = 0; i < json_array_size(packs); i++) {
        const json_t *pack = json_array_get(packs, i);
        double polls = asking_number(pack, "polls");
        bool first = isnan(told[i].polls);
        if ((asking_number(pack, "fresh") > 0 && asking_number(pack, "complete") > 0) &&
            (first || (reading->watch && polls != told[i].polls))) {
            print_pack(pack, !reading->watch);
            told[i].polls = polls;
        }
        missing += isnan(told[i].polls) ? 1 : 0;
    }
    return missing;
}

/* Prints the values of an incomplete pack as well. */
static int report_stale_packs(const struct read_running *reading, const json_t *packs,
                              const struct told *told)
{
    int status = EXIT_DONE;
    for (size_t i = 0; i < json_array_size(packs); i++) {
        const json_t *pack = json_array_get(packs, i);
        char span[DURATION_SIZE];
        if (!isnan(told[i].polls))
            continue;
        if (asking_number(pack, "fresh") > 0) {
            print_pack(pack, !reading->watch);
            continue;
        }
        fprintf(stderr, "packgate: %s: no answer; the running gateway has received none for %s\n",
                asking_text(pack, "pack"), duration_words(asking_number(pack, "age_s"), span));
        status = EXIT_FAILED;
    }
    return status;
}

void read_report_no_pack(const char *config)
{
    fprintf(stderr, "packgate: %s has no pack to read; 'packgate probe' finds what is connected\n",
            config);
}

static int follow(const struct read_running *reading, struct control_link *link, json_t *answer)
{
    const double until = clock_now() + reading->timeout_s;
    size_t count = json_array_size(json_object_get(answer, "packs"));
    struct told *told = calloc(count + 1, sizeof *told);
    for (size_t i = 0; told && i < count; i++)
        told[i].polls = NAN;
    int status = -1;
    while (told && answer && status < 0) {
        const json_t *packs = json_object_get(answer, "packs");
        unsigned missing = print_new(reading, packs, told);
        bool late = missing > 0 && clock_now() > until;
        if (ferror(stdout)) {
            status = EXIT_FAILED;
        } else if (late || (missing == 0 && !reading->watch)) {
            status = report_stale_packs(reading, packs, told);
        } else {
            poll(NULL, 0, (int) (1e3 * (missing > 0 ? LOOK_S : WATCH_LOOK_S)));
            json_decref(answer);
            answer = ask_values(link, reading);
            /* A reload may have changed the packs. */
            if (json_array_size(json_object_get(answer, "packs")) != count)
                break;
        }
    }
    if (status < 0) {
        fprintf(stderr, "packgate: %s\n", answer ? "the gateway was reloaded" : link->why);
        status = EXIT_FAILED;
    }
    json_decref(answer);
    free(told);
    return status;
}

int read_running(const struct read_running *reading)
{
    char path[PORT_SIZE];
    struct control_link link;
    control_path(reading->config, path);
    int status = -1;
    if (control_link_open(&link, path)) {
        json_t *answer = ask_values(&link, reading);
        if (answer && is_of_file(answer, reading->config) &&
            json_array_size(json_object_get(answer, "packs")) == 0) {
            read_report_no_pack(reading->config);
            json_decref(answer);
            status = EXIT_FAILED;
        } else if (answer && is_of_file(answer, reading->config)) {
            status = follow(reading, &link, answer);
        } else {
            json_decref(answer);
        }
    }
    control_link_close(&link);
    return status;
}
