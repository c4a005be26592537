// SPDX-License-Identifier: MIT
/* A BMS that repeats the same values although a current flows. */
#include "packs/pack_source.h"
#include "bms/count.h"
#include "bms/driver.h"

#include "unit.h"

#define FROZEN_AFTER_S 60

static const struct line_config line = {.name = "shed"};

struct course {
    struct pack_config config;
    struct kept_entry kept;
    struct pack_source *source;
    double now;
};

static void begin(struct course *course, double frozen_after_s)
{
    *course = (struct course){
        .now = 1000,
        .config = {.name = "house",
                   .line = &line,
                   .driver = bms_drivers[0],
                   .poll_s = 1,
                   .stale_after_s = 10,
                   .frozen_after_s = frozen_after_s},
    };
    course->source = pack_source_new(poller_new(&course->config), NULL, &course->kept, NULL, NULL);
    assert_non_null(course->source);
}

static void end(struct course *course)
{
    struct poller *poller = course->source->poller;
    pack_source_free(course->source);
    poller_free(poller);
}

/* Whether the alarm is active after so many seconds with these values. */
static bool frozen_after(struct course *course, double seconds, double amps, double mv,
                         bool own_alarm)
{
    const struct map_status host = {0};
    const struct tm local = {.tm_year = 126};
    struct pack *values = &course->source->poller->values;
    for (double last = course->now + seconds; course->now < last;) {
        pack_clear(values);
        pack_set(values, CURRENT_A, amps);
        pack_set_cell(values, 1, mv);
        if (own_alarm)
            pack_alarm(values, COMMUNICATION_FAULT, ALARM_PROTECTION);
        course->source->poller->published_at = ++course->now;
        pack_source_publish(course->source, &host, &local, course->now);
    }
    return values->alarms_protection >> COMMUNICATION_FAULT & 1;
}

TEST(frozen)
{
    struct course course;
    begin(&course, FROZEN_AFTER_S);
    assert_false(frozen_after(&course, FROZEN_AFTER_S, -20, 3300, false));
    assert_true(frozen_after(&course, 1, -20, 3300, false));
    assert_true(frozen_after(&course, 3600, -20, 3300, false));
    assert_false(frozen_after(&course, 1, -20, 3299, false));
    /* The end of the alarm is reported: an alarm that can no longer be read would stay active. */
    assert_true(course.source->source.values->alarms_can_protect >> COMMUNICATION_FAULT & 1);
    assert_false(frozen_after(&course, FROZEN_AFTER_S - 1, -20, 3299, false));
    assert_true(frozen_after(&course, 1, -20, 3299, false));
    end(&course);
}

TEST(a_reload_without_it)
{
    struct course course;
    begin(&course, FROZEN_AFTER_S);
    assert_true(frozen_after(&course, FROZEN_AFTER_S + 1, -20, 3300, false));
    course.config.frozen_after_s = 0;
    assert_false(frozen_after(&course, 1, -20, 3300, false));
    assert_true(course.source->source.values->alarms_can_protect >> COMMUNICATION_FAULT & 1);
    course.config.frozen_after_s = FROZEN_AFTER_S;
    assert_true(frozen_after(&course, 1, -20, 3300, false));
    end(&course);
}

TEST(not_frozen)
{
    static const struct {
        const char *what;
        double frozen_after_s, amps;
    } cases[] = {
        {"not watched", 0, -20},
        {"nothing flows", FROZEN_AFTER_S, 0},
        {"no current is known", FROZEN_AFTER_S, (double) __builtin_nan("")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct course course;
        begin(&course, cases[i].frozen_after_s);
        if (frozen_after(&course, 3600, cases[i].amps, 3300, false))
            fail_msg("%s", cases[i].what);
        end(&course);
    }
}

TEST(alarm_of_the_bms)
{
    struct course course;
    begin(&course, FROZEN_AFTER_S);
    assert_true(frozen_after(&course, 1, -20, 3300, true));
    assert_false(frozen_after(&course, 1, -20, 3301, false));
    end(&course);
}
