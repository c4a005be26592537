// SPDX-License-Identifier: MIT
/*
 * The state file: what comes back after a restart, what a cut or changed file leads to, a disk that
 * cannot be written; and the day's highest state of charge.
 *
 * tests/run: 1 s
 */
#include "packs/kept.h"
#include "bms/count.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

/* A directory of the test's own, and the files in it. */
struct place {
    char directory[64];
    char path[80], aside[90], fresh[90], lock[90], copy[90], log[80];
    int standard_error;
};

static int open_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    /* In memory, because thousands of files are opened in it. */
    strcpy(place->directory, "/dev/shm/test_state.XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->path, sizeof place->path, "%s/state", place->directory);
    snprintf(place->aside, sizeof place->aside, "%s.bad", place->path);
    snprintf(place->fresh, sizeof place->fresh, "%s.tmp", place->path);
    snprintf(place->lock, sizeof place->lock, "%s.lock", place->path);
    snprintf(place->copy, sizeof place->copy, "%s.copy", place->path);
    snprintf(place->log, sizeof place->log, "%s/log", place->directory);
    *state = place;
    return 0;
}

static int close_place(void **state)
{
    struct place *place = *state;
    unlink(place->path);
    unlink(place->aside);
    unlink(place->fresh);
    unlink(place->lock);
    unlink(place->log);
    assert_int_equal(rmdir(place->directory), 0);
    free(place);
    return 0;
}

#define KEPT_TEST(name) TEST_WITH(name, open_place, close_place)

/* Between these two calls the log goes to a file. */
static void catch_log(struct place *place)
{
    place->standard_error = dup(STDERR_FILENO);
    int fd = open(place->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    assert_true(fd >= 0 && place->standard_error >= 0);
    dup2(fd, STDERR_FILENO);
    close(fd);
}

static void release_log(struct place *place, char *text, size_t size)
{
    dup2(place->standard_error, STDERR_FILENO);
    close(place->standard_error);
    FILE *file = fopen(place->log, "r");
    assert_non_null(file);
    size_t got = fread(text, 1, size - 1, file);
    text[got] = 0;
    fclose(file);
}

static unsigned count_lines(const char *text)
{
    unsigned count = 0;
    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static size_t read_bytes(const char *path, char *bytes, size_t size)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t got = fread(bytes, 1, size, file);
    fclose(file);
    return got;
}

static void write_bytes(const char *path, const char *bytes, size_t size)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

/* The contents of the file while it is locked. */
static struct kept *load_copy(const struct place *place)
{
    static char bytes[100000];
    char lock[100];
    write_bytes(place->copy, bytes, read_bytes(place->path, bytes, sizeof bytes));
    struct kept *loaded = kept_load(place->copy);
    snprintf(lock, sizeof lock, "%s.lock", place->copy);
    unlink(place->copy);
    unlink(lock);
    return loaded;
}

static void fill(struct kept *kept)
{
    struct kept_entry *house = kept_get(kept, "house-1");
    house->charged_wh = 123456.789;
    house->discharged_wh = 0.25;
    house->peak_percent = 100;
    house->peak_hour = 23;
    house->peak_minute = 59;
    house->peak_day = 20250630;
    house->full_at = 1800000000;
    kept_get(kept, "roof.2")->discharged_wh = 1e12;
}

static void save_example(const char *path)
{
    struct kept *kept = kept_load("");
    assert_non_null(kept);
    fill(kept);
    assert_int_equal(kept_save(kept, path), 0);
    kept_free(kept);
}

static bool is_empty(struct kept *kept)
{
    return kept_get(kept, "house-1")->peak_percent == -1 &&
           kept_get(kept, "house-1")->charged_wh == 0 &&
           kept_get(kept, "roof.2")->discharged_wh == 0;
}

KEPT_TEST(round_trip)
{
    const struct place *place = *state;
    save_example(place->path);
    assert_false(exists(place->fresh));
    struct kept *loaded = kept_load(place->path);
    const struct kept_entry *house = kept_get(loaded, "house-1");
    assert_string_equal(house->name, "house-1");
    assert_true(house->charged_wh == 123456.789);
    assert_true(house->discharged_wh == 0.25);
    assert_int_equal(house->peak_percent, 100);
    assert_int_equal(house->peak_hour, 23);
    assert_int_equal(house->peak_minute, 59);
    assert_int_equal(house->peak_day, 20250630);
    assert_true(house->full_at == 1800000000);
    const struct kept_entry *roof = kept_get(loaded, "roof.2");
    assert_true(roof->discharged_wh == 1e12);
    assert_int_equal(roof->peak_percent, -1);
    kept_free(loaded);
    assert_false(exists(place->aside));
}

KEPT_TEST(new_entry)
{
    struct kept *empty = kept_load("");
    struct kept_entry *entry = kept_get(empty, "a");
    assert_true(entry->charged_wh == 0 && entry->discharged_wh == 0);
    assert_int_equal(entry->peak_percent, -1);
    for (int i = 0; i < 300; i++) {
        char name[NAME_SIZE];
        snprintf(name, sizeof name, "pack-%d", i);
        assert_non_null(kept_get(empty, name));
    }
    assert_ptr_equal(kept_get(empty, "a"), entry);
    assert_int_equal(kept_save(empty, ""), 0);
    kept_free(empty);
    kept_free(NULL);
}

/* The first start: there is no file, and no message about it. */
KEPT_TEST(missing)
{
    struct place *place = *state;
    char text[1000];
    catch_log(place);
    struct kept *loaded = kept_load(place->path);
    bool empty = is_empty(loaded);
    kept_free(loaded);
    release_log(place, text, sizeof text);
    assert_true(empty);
    assert_string_equal(text, "");
    assert_false(exists(place->path));
}

/* A damaged file is kept for recovery, and reported once. */
static void expect_set_aside(struct place *place, const char *bytes, size_t size, const char *what)
{
    char text[1000], aside[2000];
    unlink(place->aside);
    write_bytes(place->path, bytes, size);
    catch_log(place);
    struct kept *loaded = kept_load(place->path);
    bool empty = is_empty(loaded);
    kept_free(loaded);
    release_log(place, text, sizeof text);
    if (!empty)
        fail_msg("%s: was believed", what);
    if (count_lines(text) != 1 || !strstr(text, "damaged"))
        fail_msg("%s: logged '%s'", what, text);
    assert_false(exists(place->path));
    assert_int_equal(read_bytes(place->aside, aside, sizeof aside), size);
    assert_memory_equal(aside, bytes, size);
}

KEPT_TEST(cut)
{
    struct place *place = *state;
    char bytes[2000], what[40];
    save_example(place->path);
    size_t size = read_bytes(place->path, bytes, sizeof bytes);
    assert_true(size > 100 && size < sizeof bytes);
    for (size_t length = 0; length < size; length++) {
        snprintf(what, sizeof what, "cut to %zu bytes", length);
        expect_set_aside(place, bytes, length, what);
    }
}

KEPT_TEST(flipped)
{
    struct place *place = *state;
    char bytes[2000], what[40];
    save_example(place->path);
    size_t size = read_bytes(place->path, bytes, sizeof bytes);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] = (char) (bytes[bit / 8] ^ 1 << bit % 8);
        snprintf(what, sizeof what, "bit %zu flipped", bit);
        expect_set_aside(place, bytes, size, what);
        bytes[bit / 8] = (char) (bytes[bit / 8] ^ 1 << bit % 8);
    }
}

KEPT_TEST(odd_files)
{
    struct place *place = *state;
    static char zeros[5000];
    expect_set_aside(place, zeros, 1500, "zeros, as a power cut leaves them");
    expect_set_aside(place, "hello\n", 6, "something else");
}

/* Not a regular file: opening it does not block, and it is neither moved nor replaced. */
KEPT_TEST(no_file)
{
    struct place *place = *state;
    char text[2000];
    struct stat found;
    assert_int_equal(mkfifo(place->path, 0600), 0);
    catch_log(place);
    struct kept *loaded = kept_load(place->path);
    bool empty = is_empty(loaded);
    int result = kept_save(loaded, place->path);
    kept_free(loaded);
    release_log(place, text, sizeof text);
    assert_true(empty);
    assert_int_equal(result, -1);
    assert_int_equal(lstat(place->path, &found), 0);
    assert_true(S_ISFIFO(found.st_mode));
    assert_int_equal(count_lines(text), 2);
}

/* A missing folder is created, also when its parent appears later; but not a whole path. */
KEPT_TEST(missing_folder)
{
    struct place *place = *state;
    char path[100], folder[90], above[80], lock[110], text[2000];
    snprintf(above, sizeof above, "%s/later", place->directory);
    snprintf(folder, sizeof folder, "%s/packgate", above);
    snprintf(path, sizeof path, "%s/state", folder);
    snprintf(lock, sizeof lock, "%s.lock", path);
    catch_log(place);
    struct kept *kept = kept_load(path);
    fill(kept);
    int results[4];
    results[0] = kept_save(kept, path);
    results[1] = kept_save(kept, path);
    int made = mkdir(above, 0700);
    results[2] = kept_save(kept, path);
    results[3] = kept_save(kept, path);
    release_log(place, text, sizeof text);
    kept_free(kept);
    bool written = exists(path);
    unlink(path);
    unlink(lock);
    rmdir(folder);
    rmdir(above);
    assert_int_equal(made, 0);
    assert_int_equal(results[0], -1);
    assert_int_equal(results[1], -1);
    assert_int_equal(results[2], 0);
    assert_int_equal(results[3], 0);
    assert_true(written);
    /* The first failure is reported at the start with what to do, then the folder and the recovery. */
    assert_int_equal(count_lines(text), 3);
    assert_non_null(strstr(text, "cannot be written: No such file or directory"));
    assert_non_null(strstr(text, "set state_file"));
    assert_non_null(strstr(text, "created its folder"));
    assert_non_null(strstr(text, "can be written again"));
}

/* A full disk, simulated by a limit on file sizes: the old file must survive. */
KEPT_TEST(full_disk)
{
    struct place *place = *state;
    char before[2000], after[2000], text[2000];
    save_example(place->path);
    size_t size = read_bytes(place->path, before, sizeof before);
    struct kept *kept = kept_load(place->path);
    kept_get(kept, "house-1")->charged_wh += 1;
    catch_log(place);
    struct rlimit old, small;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){.rlim_cur = 50, .rlim_max = old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    int result = kept_save(kept, place->path);
    const int err = errno;
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, handler);
    int retried = kept_save(kept, place->path);
    release_log(place, text, sizeof text);
    kept_free(kept);
    assert_int_equal(result, -1);
    assert_int_equal(err, EFBIG);
    assert_false(exists(place->fresh));
    assert_int_equal(retried, 0);
    assert_int_equal(read_bytes(place->path, after, sizeof after), size);
    assert_memory_not_equal(before, after, size);
}

KEPT_TEST(full_disk_keeps_old)
{
    struct place *place = *state;
    char before[2000], after[2000], text[2000];
    save_example(place->path);
    size_t size = read_bytes(place->path, before, sizeof before);
    struct kept *kept = kept_load(place->path);
    kept_get(kept, "house-1")->charged_wh += 1;
    catch_log(place);
    assert_int_equal(mkdir(place->fresh, 0700), 0); /* no file can be created in its place */
    int result = kept_save(kept, place->path);
    rmdir(place->fresh);
    release_log(place, text, sizeof text);
    kept_free(kept);
    assert_int_equal(result, -1);
    assert_int_equal(read_bytes(place->path, after, sizeof after), size);
    assert_memory_equal(before, after, size);
    assert_int_equal(count_lines(text), 1);
}

/* Without changes nothing is written: a memory card supports only so many writes. */
KEPT_TEST(unchanged)
{
    const struct place *place = *state;
    struct kept *kept = kept_load(place->path);
    fill(kept);
    assert_int_equal(kept_save(kept, place->path), 0);
    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(kept_save(kept, place->path), 0);
    assert_false(exists(place->path));
    kept_get(kept, "house-1")->charged_wh += 0.001;
    assert_int_equal(kept_save(kept, place->path), 0);
    assert_true(exists(place->path));
    kept_free(kept);
}

static struct tm at(int year, int month, int day, int hour, int minute)
{
    return (struct tm){.tm_year = year - 1900,
                       .tm_mon = month - 1,
                       .tm_mday = day,
                       .tm_hour = hour,
                       .tm_min = minute};
}

/* The same through a child process, as in the running gateway. */
KEPT_TEST(in_child)
{
    struct place *place = *state;
    struct kept *kept = kept_load("");
    int status = 0;
    kept_get(kept, "house")->charged_wh = 1234.5;
    pid_t pid = kept_save_start(kept, place->path);
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    kept_save_finish(kept, place->path, status);
    assert_int_equal(kept_save_start(kept, place->path), 0); /* no changes */

    struct kept *loaded = load_copy(place);
    assert_true(kept_get(loaded, "house")->charged_wh == 1234.5);
    kept_free(loaded);

    /* A child that was killed has saved nothing: the next attempt writes again. */
    kept_get(kept, "house")->charged_wh = 2000;
    pid = kept_save_start(kept, place->path);
    assert_true(pid > 0);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    kept_save_finish(kept, place->path, SIGKILL);
    assert_int_equal(kept_save(kept, place->path), 0);
    loaded = load_copy(place);
    assert_true(kept_get(loaded, "house")->charged_wh == 2000);
    kept_free(loaded);
    kept_free(kept);
}

TEST(peak)
{
    const struct {
        const char *name;
        struct tm now;
        double soc;
        int percent, hour, minute; /* reported right after it */
    } steps[] = {
        {"nothing known", at(2025, 6, 7, 0, 0), NAN, -1, 0, 0},
        {"first value of the day", at(2025, 6, 7, 6, 30), 40, 40, 6, 30},
        {"falls", at(2025, 6, 7, 7, 0), 39, 40, 6, 30},
        {"unknown for a while", at(2025, 6, 7, 8, 0), NAN, 40, 6, 30},
        {"rises", at(2025, 6, 7, 11, 15), 92.4, 92, 11, 15},
        {"the same percent again", at(2025, 6, 7, 11, 20), 92.49, 92, 11, 15},
        {"the next percent, rounded", at(2025, 6, 7, 11, 40), 92.5, 93, 11, 40},
        {"reached again in the evening", at(2025, 6, 7, 21, 0), 93, 93, 11, 40},
        {"last minute of the day", at(2025, 6, 7, 23, 59), 94, 94, 23, 59},
        {"midnight", at(2025, 6, 8, 0, 0), 94, 94, 0, 0},
        {"lower on the new day", at(2025, 6, 8, 0, 1), 90, 94, 0, 0},
        {"a day without values", at(2025, 6, 10, 0, 0), NAN, -1, 0, 0},
        {"zero is a value", at(2025, 6, 10, 0, 1), 0, 0, 0, 1},
        {"end of the month", at(2025, 6, 30, 12, 0), 80, 80, 12, 0},
        {"the same time, next month", at(2025, 7, 30, 12, 0), 70, 70, 12, 0},
        {"end of the year", at(2025, 12, 31, 23, 59), 60, 60, 23, 59},
        {"new year", at(2026, 1, 1, 0, 0), 50, 50, 0, 0},
        {"a clock set back to the day before", at(2025, 12, 31, 23, 50), 55, 55, 23, 50},
    };
    struct kept_entry entry = {.peak_percent = -1};
    for (size_t i = 0; i < COUNT(steps); i++) {
        soc_peak_update(&entry, steps[i].soc, &steps[i].now);
        struct map_soc_peak peak = soc_peak_today(&entry, &steps[i].now);
        bool good = peak.percent == steps[i].percent;
        if (peak.percent >= 0)
            good = good && peak.hour == steps[i].hour && peak.minute == steps[i].minute;
        if (!good)
            fail_msg("%s: expected %d at %d:%02d, got %d at %d:%02d", steps[i].name,
                     steps[i].percent, steps[i].hour, steps[i].minute, peak.percent, peak.hour,
                     peak.minute);
    }
}

TEST(full_charge)
{
    struct kept_entry entry = {0};
    const double day = 86400;
    const time_t now = 1800000000, boot = 3600;
    assert_true(
        full_charge_due(&entry, 14 * day, now)); /* the time of the last full charge is unknown */
    assert_false(full_charge_due(&entry, 14 * day, boot));
    full_charge_reached(&entry, boot);
    assert_true(entry.full_at == 0);
    full_charge_reached(&entry, now);
    assert_false(full_charge_due(&entry, 14 * day, now + 14 * 86400 - 1));
    assert_true(full_charge_due(&entry, 14 * day, now + 14 * 86400));
    assert_false(full_charge_due(&entry, 14 * day, now - 86400)); /* the clock was set */
    assert_true(full_charge_due(&entry, 14 * day, now - 15 * 86400));
}

/* A host without a battery-backed clock starts in 1970 until the network sets it: the day's peak survives that. */
TEST(clock_not_set)
{
    struct kept_entry entry = {.peak_percent = -1};
    const struct tm morning = at(2025, 6, 7, 9, 0), boot = at(1970, 1, 1, 1, 0),
                    later = at(2025, 6, 7, 9, 5);
    soc_peak_update(&entry, 88, &morning);
    soc_peak_update(&entry, 90, &boot);
    assert_int_equal(soc_peak_today(&entry, &boot).percent, -1);
    soc_peak_update(&entry, 87, &later);
    const struct map_soc_peak peak = soc_peak_today(&entry, &later);
    assert_int_equal(peak.percent, 88);
    assert_int_equal(peak.hour, 9);
    assert_int_equal(peak.minute, 0);
}

/* Lines of outlets are restored for the same outlets, and the gateway keeps its id. */
KEPT_TEST(notes)
{
    const struct place *place = *state;
    struct kept *kept = kept_load(place->path);
    assert_non_null(kept);
    char id[KEPT_ID_SIZE];
    snprintf(id, sizeof id, "%s", kept->id);
    assert_int_equal(strspn(id, "0123456789abcdef"), KEPT_ID_SIZE - 1);
    kept_set_note(kept, "mqtt home", "pack.shed", "daly 12ab.0011");
    kept_set_note(kept, "mqtt away", "pack.shed", "other");
    kept_set_note(kept, "mqtt home", "topic", "before");
    kept_set_note(kept, "mqtt home", "topic", "packgate/a");
    kept_set_note(kept, "mqtt home", "gone", "x");
    kept_set_note(kept, "mqtt home", "gone", "");
    static const char *const odd[] = {"mqtts://[fe80::1%eth0]:8883", "a ; comment", "two\nlines",
                                      " \"h\xC3\xA4us#1\" = ", "100%41%"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        char key[8];
        snprintf(key, sizeof key, "odd%zu", i);
        kept_set_note(kept, "odd", key, odd[i]);
    }
    char most[KEPT_TEXT_SIZE + 1];
    memset(most, 'x', sizeof most);
    most[sizeof most - 1] = '\0';
    kept_set_note(kept, "long", "k", most + 1);
    /* More than the file has room for. */
    kept_set_note(kept, "mqtt home", "bad", most);
    memset(most, '#', sizeof most - 1);
    kept_set_note(kept, "mqtt home", "bad", most + 1);
    kept_set_note(kept, "mqtt home", "a=b", "x");
    assert_int_equal(kept_save(kept, place->path), 0);
    kept_free(kept);

    kept = kept_load(place->path);
    assert_non_null(kept);
    assert_string_equal(kept->id, id);
    const struct kept_note *note = kept_next_note(kept, "mqtt home", NULL);
    assert_non_null(note);
    assert_string_equal(note->key, "pack.shed");
    assert_string_equal(note->text, "daly 12ab.0011");
    note = kept_next_note(kept, "mqtt home", note);
    assert_non_null(note);
    assert_string_equal(note->key, "topic");
    assert_string_equal(note->text, "packgate/a");
    assert_null(kept_next_note(kept, "mqtt home", note));
    assert_string_equal(kept_next_note(kept, "mqtt away", NULL)->text, "other");
    assert_null(kept_next_note(kept, "print x", NULL));
    note = NULL;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        note = kept_next_note(kept, "odd", note);
        assert_non_null(note);
        assert_string_equal(note->text, odd[i]);
    }
    assert_int_equal(strlen(kept_next_note(kept, "long", NULL)->text), KEPT_TEXT_SIZE - 1);
    kept_free(kept);
}

/* Even if nothing can be stored, the id stays the same. */
TEST(id_without_file)
{
    struct kept *first = kept_load(""), *second = kept_load("");
    assert_non_null(first);
    assert_non_null(second);
    if (access("/etc/machine-id", R_OK) == 0)
        assert_string_equal(first->id, second->id);
    assert_int_equal(strlen(first->id), KEPT_ID_SIZE - 1);
    kept_free(first);
    kept_free(second);
}

/* A pipe or a link at the temporary name: the pipe does not block, and the target of the link is not touched. */
KEPT_TEST(odd_temporary)
{
    const struct place *place = *state;
    struct stat found;
    struct kept *kept = kept_load(place->path);
    fill(kept);
    assert_int_equal(mkfifo(place->fresh, 0600), 0);
    assert_int_equal(kept_save(kept, place->path), 0);
    assert_int_equal(lstat(place->path, &found), 0);
    assert_true(S_ISREG(found.st_mode));
    kept_get(kept, "house-1")->charged_wh += 1;
    write_bytes(place->copy, "precious", 8);
    assert_int_equal(symlink(place->copy, place->fresh), 0);
    assert_int_equal(kept_save(kept, place->path), 0);
    char bytes[20];
    assert_int_equal(read_bytes(place->copy, bytes, sizeof bytes), 8);
    unlink(place->copy);
    kept_free(kept);
    kept = kept_load(place->path);
    assert_true(kept_get(kept, "house-1")->charged_wh == 123457.789);
    kept_free(kept);
}

/* The second gateway names the first one and does not touch the file; after the first has ended, the file is free. */
KEPT_TEST(two_gateways)
{
    struct place *place = *state;
    char text[2000], process[40], before[2000], after[2000];
    save_example(place->path);
    struct kept *first = kept_load(place->path);
    const size_t size = read_bytes(place->path, before, sizeof before);
    catch_log(place);
    struct kept *second = kept_load(place->path);
    const bool empty = is_empty(second);
    kept_get(second, "house-1")->charged_wh = 5;
    const int saved = kept_save(second, place->path);
    const pid_t started = kept_save_start(second, place->path);
    kept_free(second);
    release_log(place, text, sizeof text);
    assert_true(empty);
    assert_int_equal(saved, -1);
    assert_int_equal(started, -1);
    assert_int_equal(read_bytes(place->path, after, sizeof after), size);
    assert_memory_equal(before, after, size);
    snprintf(process, sizeof process, "process %d:", (int) getpid());
    assert_int_equal(count_lines(text), 1);
    assert_non_null(strstr(text, "error: state file "));
    assert_non_null(strstr(text, "in use by another gateway"));
    assert_non_null(strstr(text, process));
    /* A damaged file of another running gateway is not moved either. */
    write_bytes(place->path, "x", 1);
    catch_log(place);
    kept_free(kept_load(place->path));
    release_log(place, text, sizeof text);
    assert_true(exists(place->path) && !exists(place->aside));
    write_bytes(place->path, before, size);
    kept_free(first);
    second = kept_load(place->path);
    assert_false(is_empty(second));
    kept_free(second);
}

/* The first damaged file is kept, because it has the most data. */
KEPT_TEST(damaged_twice)
{
    struct place *place = *state;
    char text[4000], name[110], bytes[20];
    catch_log(place);
    for (int n = 1; n <= 11; n++) {
        const size_t size = (size_t) snprintf(bytes, sizeof bytes, "damage %d", n);
        write_bytes(place->path, bytes, size);
        kept_free(kept_load(place->path));
    }
    release_log(place, text, sizeof text);
    for (int n = 1; n <= 9; n++) {
        char expected[20];
        if (n == 1)
            snprintf(name, sizeof name, "%s", place->aside);
        else
            snprintf(name, sizeof name, "%s.%d", place->aside, n);
        const size_t size = read_bytes(name, bytes, sizeof bytes);
        unlink(name);
        bytes[size] = 0;
        snprintf(expected, sizeof expected, "damage %d", n < 9 ? n : 11);
        assert_string_equal(bytes, expected);
    }
    assert_non_null(strstr(text, "state.bad.2, all counters"));
    assert_int_equal(count_lines(text), 11);
}

/* A file that was written here is accepted, however large it is. */
KEPT_TEST(large)
{
    const struct place *place = *state;
    struct stat found;
    char name[48];
    struct kept *kept = kept_load(place->path);
    for (int i = 0; i < 6000; i++) {
        snprintf(name, sizeof name, "pack-with-a-long-name-%d", i);
        kept_get(kept, name)->charged_wh = i;
    }
    assert_int_equal(kept_save(kept, place->path), 0);
    kept_free(kept);
    assert_int_equal(stat(place->path, &found), 0);
    assert_true(found.st_size > 1024 * 1024);
    kept = kept_load(place->path);
    assert_true(kept_get(kept, "pack-with-a-long-name-5999")->charged_wh == 5999);
    kept_free(kept);
    assert_false(exists(place->aside));
}

/* A configuration that contains only names. */
static void take_up(struct kept *kept, const char *const *names, unsigned count, int year)
{
    struct pack_config packs[8] = {0};
    struct bank_config bank = {.name = "all"};
    const struct config config = {
        .packs = packs, .pack_count = count, .banks = &bank, .bank_count = 1};
    const struct tm local = at(year, 6, 7, 9, 0);
    assert_true(count <= COUNT(packs));
    for (unsigned i = 0; i < count; i++)
        snprintf(packs[i].name, sizeof packs[i].name, "%s", names[i]);
    kept_take_up(kept, &config, &local);
    for (unsigned i = 0; i < count; i++)
        kept_get(kept, names[i]);
    kept_get(kept, "all");
}

KEPT_TEST(renamed)
{
    struct place *place = *state;
    static const char *const old[] = {"house-1", "house-2"},
                             *const renamed[] = {"cellar", "house-2"}, *const fewer[] = {"house-2"};
    char text[4000];
    struct kept *kept = kept_load(place->path);
    catch_log(place);
    take_up(kept, old, 2, 2025); /* the first start */
    release_log(place, text, sizeof text);
    assert_string_equal(text, "");
    kept_get(kept, "house-1")->charged_wh = 4711;

    catch_log(place);
    take_up(kept, old, 2, 2025); /* a reload that changes nothing */
    release_log(place, text, sizeof text);
    assert_string_equal(text, "");

    catch_log(place);
    take_up(kept, renamed, 2, 2025);
    release_log(place, text, sizeof text);
    assert_int_equal(count_lines(text), 1);
    assert_non_null(strstr(text, "warning: 'house-1' is no longer in the configuration"));
    assert_non_null(strstr(text, "counted from 0: cellar."));
    assert_true(kept_get(kept, "cellar")->charged_wh == 0);

    /* Also after a restart; and it is reported once. */
    assert_int_equal(kept_save(kept, place->path), 0);
    kept_free(kept);
    kept = kept_load(place->path);
    catch_log(place);
    take_up(kept, renamed, 2, 2025);
    release_log(place, text, sizeof text);
    assert_string_equal(text, "");

    catch_log(place);
    take_up(kept, old, 2, 2025);
    release_log(place, text, sizeof text);
    assert_int_equal(count_lines(text), 1);
    assert_non_null(strstr(text, "'house-1' is in the configuration again"));
    assert_true(kept_get(kept, "house-1")->charged_wh == 4711);

    /* The section was removed without a replacement. */
    catch_log(place);
    take_up(kept, fewer, 1, 2025);
    release_log(place, text, sizeof text);
    assert_int_equal(count_lines(text), 1);
    assert_null(strstr(text, "warning"));
    kept_free(kept);
}

/* The configuration was changed while the program did not run. */
KEPT_TEST(renamed_before_a_start)
{
    struct place *place = *state;
    static const char *const fresh[] = {"cellar"};
    char text[2000];
    save_example(place->path);
    struct kept *kept = kept_load(place->path);
    catch_log(place);
    take_up(kept, fresh, 1, 2025);
    release_log(place, text, sizeof text);
    kept_free(kept);
    assert_non_null(strstr(text, "'house-1' is no longer in the configuration"));
    assert_non_null(strstr(text, "'roof.2' is no longer in the configuration"));
    assert_non_null(strstr(text, "cellar"));
}

/* Entries are kept, whatever the clock says, until there are more than 500; then the oldest make room. */
KEPT_TEST(gone_for_long)
{
    struct place *place = *state;
    static const char *const some[] = {"house-2"};
    char text[200000];
    struct kept *kept = kept_load(place->path);
    catch_log(place);
    take_up(kept, some, 1, 2025);
    kept_get(kept, "house-1")->charged_wh = 4711;
    take_up(kept, some, 1, 1970); /* a clock that is not set */
    take_up(kept, some, 1, 2025);
    take_up(kept, some, 1, 2061); /* one that is years ahead */
    take_up(kept, some, 1, 2025);
    const bool kept_before = kept_get(kept, "house-1")->charged_wh == 4711;
    for (int i = 0; i < 600; i++) {
        char name[NAME_SIZE];
        snprintf(name, sizeof name, "old-%d", i);
        kept_get(kept, name)->charged_wh = 1;
    }
    take_up(kept, some, 1, 2028);
    take_up(kept, some, 1, 2028);
    assert_int_equal(kept_save(kept, place->path), 0);
    release_log(place, text, sizeof text);
    const bool kept_after = kept_get(kept, "house-1")->charged_wh == 4711;
    kept_free(kept);
    assert_true(kept_before);
    assert_false(kept_after);
    assert_non_null(strstr(text, "'house-1' has not been in the configuration since 20250607"));
    static char bytes[1000000];
    bytes[read_bytes(place->path, bytes, sizeof bytes - 1)] = 0;
    unsigned count = 0;
    for (const char *c = bytes; (c = strstr(c, "[pack old-")); c++)
        count++;
    assert_in_range(count, 490, 500);
}
