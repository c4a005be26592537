// SPDX-License-Identifier: MIT
/* The log line about a pack: the text of each change, and its priority. */
#include "packs/summary.h"
#include "bms/count.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pack_test.h"

/* Standard error while `summary` compares the source. */
static void update(struct summary *summary, const struct source *source, double now, char *said,
                   size_t size)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stderr);
    int kept = dup(STDERR_FILENO);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    summary_update(summary, "pack", source, now);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    rewind(file);
    said[fread(said, 1, size - 1, file)] = '\0';
    fclose(file);
}

TEST(priorities)
{
    enum {
        LOW = 1u << 2,
        HIGH = 1u << 3,
        LOST = 1u << 30
    }; /* LOST: the reply with these alarms is lost */
    static const struct {
        const char *what;
        double now;
        uint32_t warning, protection;
        double current;
        const char *begins; /* "": nothing is logged */
    } steps[] = {
        {"the first values", 0, 0, 0, 0, "pack p: idle"},
        {"nothing new", 1, 0, 0, 0, ""},
        {"a warning", 2, LOW, 0, 0, "warning: pack p: idle"},
        {"it is still there", 3, LOW, 0, 0, ""},
        {"the current flows, the warning is known", 4, LOW, 0, 20, "pack p: charging"},
        {"it becomes a protection", 5, LOW, LOW, 20, "error: pack p: charging"},
        {"another warning besides", 6, LOW | HIGH, LOW, 20, "warning: pack p: charging"},
        {"a protection ends", 7, LOW | HIGH, 0, 20, "pack p: charging"},
        {"both at once", 8, 0, HIGH, 0, "error: pack p: idle"},
        {"their reply is lost", 8, LOST, 0, 0, ""},
        {"the current flows meanwhile", 8, LOST, 0, 20,
         "pack p: charging, +20.00 A, ALARM pack_under_voltage"},
        {"and is there again", 8, 0, HIGH, 0, "pack p: idle"},
        {"all is well", 9, 0, 0, 0, "pack p: idle"},
        {"too old", 100, 0, 0, 0, "warning: pack p: values are too old"},
        {"still too old", 101, 0, 0, 0, ""},
    };
    struct pack pack = cleared_pack();
    struct source source = {.name = "p", .values = &pack, .good_until = 50};
    struct summary summary = {0};
    for (size_t i = 0; i < COUNT(steps); i++) {
        char said[1000];
        pack_clear_alarms(&pack);
        for (int alarm = 0; alarm < PACK_ALARM_COUNT && steps[i].warning != LOST; alarm++) {
            pack_alarm_at(&pack, alarm, ALARM_WARNING, steps[i].warning >> alarm & 1);
            pack_alarm_at(&pack, alarm, ALARM_PROTECTION, steps[i].protection >> alarm & 1);
        }
        pack.value[CURRENT_A] = steps[i].current;
        update(&summary, &source, steps[i].now, said, sizeof said);
        size_t length = strlen(steps[i].begins);
        if (strncmp(said, steps[i].begins, length) != 0 || (length == 0 && said[0]))
            fail_msg("%s: expected '%s...', got '%s'", steps[i].what, steps[i].begins, said);
    }
}
