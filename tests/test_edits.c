// SPDX-License-Identifier: MIT
/* What a browser may change in a configuration, the difference that it is shown, and how the file is replaced. */
#include "config/edits.h"
#include "config/ini/diff.h"
#include "config/ini/save.h"
#include "bms/count.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#define TEXT "[pack a]\nunit = 1 ; one\n\n[mqtt home]\nbroker = mqtt://h\n"

TEST(edits)
{
    const struct edit edits[] = {{EDIT_VALUE, "pack", "a", "unit", "2"},
                                 {EDIT_SECRET, "mqtt", "home", "password_file", "x"},
                                 {EDIT_VALUE, "pack", "b", "unit", "3"},
                                 {EDIT_ORDER, "pack", "b", NULL, "a"},
                                 {EDIT_SECTION, "pack", "a", NULL, NULL}};
    static const char *const after[] = {
        TEXT,
        "[pack a]\nunit = 2 ; one\n\n[mqtt home]\nbroker = mqtt://h\n",
        "[pack a]\nunit = 2 ; one\n\n[mqtt home]\nbroker = mqtt://h\npassword_file = "
        "/e/7-mqtt-home-password\n",
        "[pack a]\nunit = 2 ; one\n\n[mqtt home]\nbroker = mqtt://h\npassword_file = "
        "/e/7-mqtt-home-password\n\n[pack b]\nunit = 3\n",
        "[pack b]\nunit = 3\n\n[pack a]\nunit = 2 ; one\n\n[mqtt home]\nbroker = mqtt://h\n"
        "password_file = /e/7-mqtt-home-password\n",
        "[pack b]\nunit = 3\n\n[mqtt home]\nbroker = mqtt://h\n"
        "password_file = /e/7-mqtt-home-password\n"};
    char why[EDIT_WHY];
    for (size_t count = 0; count <= COUNT(edits); count++) {
        char *text = edits_apply(TEXT, edits, count, "/e/7-", why);
        assert_string_equal(text, after[count]);
        free(text);
    }
}

/* A variant in a separate key is removed with its protocol. */
TEST(older_variant)
{
    static const struct {
        const char *key, *value, *after;
    } cases[] = {
        {"protocol", "topbms pace", "protocol = topbms pace\n"},
        {"protocol", "jbd", "protocol = jbd\n"},
        {"protocol", NULL, ""},
        {"unit", "1", "protocol = topbms\nvariant = eg4\nunit = 1\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char after[200], why[EDIT_WHY];
        const struct edit edit = {EDIT_VALUE, "pack", "a", cases[i].key, cases[i].value};
        snprintf(after, sizeof after, "[pack a]\n%s", cases[i].after);
        char *text =
            edits_apply("[pack a]\nprotocol = topbms\nvariant = eg4\n", &edit, 1, "/e/7-", why);
        assert_non_null(text);
        assert_string_equal(text, after);
        free(text);
    }
}

/* A name for people is neither a path nor a command. */
TEST(names)
{
    static const char *const names[] = {"Command", "/ship", "serial: the grey one"};
    for (size_t i = 0; i < COUNT(names); i++) {
        char why[EDIT_WHY];
        const struct edit edit = {EDIT_VALUE, "pack", "a", "name", names[i]};
        char *text = edits_apply(TEXT, &edit, 1, "/e/7-", why);
        if (!text || !strstr(text, names[i]))
            fail_msg("%s: %s", names[i], text ? text : why);
        free(text);
    }
}

TEST(edits_that_are_refused)
{
    static const struct edit bad[] = {
        {EDIT_VALUE, "pack", "a", "writable", "yes"},
        {EDIT_VALUE, "pack", "a", "writable", NULL},
        {EDIT_VALUE, "mqtt", "home", "password_file", "/etc/shadow"},
        {EDIT_VALUE, "notify", "x", "type", "command"},
        {EDIT_VALUE, "pack", "a", "protocol", "modbus \t/etc/shadow"},
        {EDIT_VALUE, "line", "l", "protocol", "modbus map.txt"},
        {EDIT_VALUE, "notify", "x", "url", "/etc/shadow"},
        {EDIT_VALUE, "line", "l", "port", "sim:"},
        {EDIT_VALUE, "gateway", "", "on_stale", "hold"},
        {EDIT_VALUE, "gateway", "", "stale_after", "24h"},
        {EDIT_VALUE, "pack", "a", "stale_after", "24h"},
        {EDIT_VALUE, "web", "", "setup", "yes"},
        {EDIT_VALUE, "pack", "", "unit", "1"},
        {EDIT_VALUE, "pack", "../x", "unit", "1"},
        {EDIT_VALUE, "gateway", "x", "poll", "1s"},
        {EDIT_VALUE, "pack", "a", "name", "x\nwritable = yes"},
        {EDIT_SECRET, "pack", "a", "password_file", "x"},
        {EDIT_SECRET, "mqtt", "../x", "password_file", "x"},
        {EDIT_SECTION, "web", "", NULL, NULL},
        {EDIT_SECTION, "limits", "x", NULL, NULL},
        {EDIT_ORDER, "limits", "x", NULL, "y"},
        {EDIT_ORDER, "pack", "a", NULL, "nobody"},
    };
    char why[EDIT_WHY];
    for (size_t i = 0; i < COUNT(bad); i++) {
        why[0] = '\0';
        char *text = edits_apply(TEXT, &bad[i], 1, "/e/7-", why);
        if (text || !why[0])
            fail_msg("%zu: %s", i, text ? text : "no reason");
    }
    char *large = calloc(2000, 1);
    memset(large, 'x', 1999);
    const struct edit secret = {EDIT_SECRET, "mqtt", "home", "password_file", large};
    assert_null(edits_apply(TEXT, &secret, 1, "/e/7-", why));
    free(large);
}

/* The password of a board is sent only to the port that its line has in the file. */
TEST(password_of_a_pack)
{
    static const char text[] = "[line a]\nport = tcp://h:1\n[line b]\nport = tcp://h:2\n"
                               "[pack  p]\nline = a\npassword_file = /p\nunit = 1\n"
                               "[pack q]\nline = b\nunit = 2\n";
    static const struct {
        bool good;
        struct edit edits[2];
    } cases[] = {
        {false, {{EDIT_VALUE, "line", "a", "port", "tcp://x:1"}}},
        {false, {{EDIT_VALUE, "line", "a", "port", NULL}}},
        {false, {{EDIT_VALUE, "pack", "p", "line", "b"}}},
        {false,
         {{EDIT_VALUE, "pack", "p", "line", "c"}, {EDIT_VALUE, "line", "c", "port", "tcp://x:1"}}},
        {false,
         {{EDIT_SECTION, "line", "a", NULL, NULL}, {EDIT_VALUE, "line", "a", "port", "tcp://x:1"}}},
        {true, {{EDIT_VALUE, "line", "a", "port", "tcp://h:1"}}},
        {true,
         {{EDIT_VALUE, "line", "b", "port", "tcp://x:1"}, {EDIT_VALUE, "pack", "q", "line", "a"}}},
        {true,
         {{EDIT_SECTION, "pack", "p", NULL, NULL}, {EDIT_VALUE, "line", "a", "port", "tcp://x:1"}}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char why[EDIT_WHY] = "";
        const size_t count = cases[i].edits[1].section ? 2 : 1;
        char *after = edits_apply(text, cases[i].edits, count, "/e/7-", why);
        if (!after == cases[i].good || (!after && !strstr(why, "[pack p] has a 'password_file'")))
            fail_msg("%zu: %s", i, after ? after : why);
        free(after);
    }
}

static void add_line(void *data, char op, unsigned number, const char *text, size_t size)
{
    char *out = data;
    snprintf(out + strlen(out), 2000 - strlen(out), "%c%u%.*s\n", op, number, (int) size, text);
}

static void check_diff(const char *old, const char *fresh, const char *expected)
{
    char out[2000] = "";
    diff_lines(old, fresh, add_line, out);
    assert_string_equal(out, expected);
}

TEST(diff)
{
    check_diff("", "", "");
    check_diff("a\nb\n", "a\nb\n", "");
    check_diff("", "a\n", "+1a\n");
    check_diff("a\n", "", "-1a\n");
    check_diff("a\nb\nc\n", "a\nB\nc\n", " 1a\n-2b\n+2B\n 3c\n");
    check_diff("a\nb\nc", "a\nc", " 1a\n-2b\n 2c\n");
    check_diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\n5\n6\n7\n8\n9\nx\n",
               " 7"
               "7\n 8"
               "8\n 9"
               "9\n+10x\n");
    /* Two changed places: equal lines between them are skipped. */
    check_diff("a\n1\n2\n3\n4\n5\n6\n7\n8\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\n8\nB\n",
               "-1a\n+1A\n 2"
               "1\n 3"
               "2\n 4"
               "3\n 7"
               "6\n 8"
               "7\n 9"
               "8\n-10b\n+10B\n");
    check_diff("x\na\nb\nc\n", "a\nb\nc\nx\n", "-1x\n 1a\n 2b\n 3c\n+4x\n");
}

/* The calls of config/ini/save.c that reach the disk. Before call number `steps_left` the power fails: this process
 * exits, and files that were written but not synced lose their contents. */
static unsigned steps_left; /* 0: the power does not fail */
static int unsynced = -1;

static void step(void)
{
    if (steps_left == 0 || --steps_left > 0)
        return;
    if (unsynced >= 0 && ftruncate(unsynced, 0) < 0)
        _exit(2);
    _exit(1);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    step();
    unsynced = steps_left > 0 ? fd : -1;
    return syscall(SYS_write, fd, bytes, size);
}

int fsync(int fd)
{
    step();
    unsynced = -1;
    return (int) syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
    step();
    return (int) syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int link(const char *from, const char *to)
{
    step();
    return (int) syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *name)
{
    step();
    return (int) syscall(SYS_unlinkat, AT_FDCWD, name, 0);
}

static char folder[40], path[60];

static int make_folder(void **state)
{
    strcpy(folder, "/tmp/packgate-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.ini", folder);
    return 0;
}

static int remove_folder(void **state)
{
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

#define EDITS_TEST(name) TEST_WITH(name, make_folder, remove_folder)

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void expect_file(const char *behind, const char *text)
{
    char name[100];
    snprintf(name, sizeof name, "%s%s", path, behind);
    char *found = save_read(name);
    if (!text && !found)
        return;
    assert_non_null(found);
    assert_string_equal(found, text);
    free(found);
}

EDITS_TEST(keep_and_undo)
{
    write_file(path, "one");
    assert_int_equal(chmod(path, 0640), 0);
    assert_true(save_begin(path, "two"));
    assert_true(save_is_pending(path));
    assert_false(save_begin(path, "three")); /* the one before is kept or undone first */
    expect_file("", "two");
    expect_file(".before", "one");
    assert_true(save_keep(path));
    expect_file("", "two");
    expect_file(".before", NULL);
    expect_file(".old/1", "one");
    assert_true(save_begin(path, "three"));
    assert_true(save_undo(path));
    expect_file("", "two");
    expect_file(".old/2", "three");
    assert_true(save_undo(path)); /* there is nothing to undo */
    expect_file("", "two");
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode & 0777, 0640);
}

EDITS_TEST(no_file_before)
{
    assert_true(save_begin(path, "one"));
    expect_file("", "one");
    assert_true(save_undo(path));
    expect_file("", NULL);
    assert_false(save_is_pending(path));
    assert_true(save_begin(path, "one"));
    assert_true(save_keep(path));
    expect_file("", "one");
    assert_false(save_is_pending(path));
    assert_int_equal(save_number(path),
                     3); /* secret files of the next configuration get other names */
}

/* Runs an action in a process whose power fails at the given step. False: the action ended before. */
static bool cut_at(unsigned number, bool (*work)(void))
{
    int status = 0;
    const pid_t pid = fork();
    if (pid == 0) {
        steps_left = number;
        const bool good = work();
        steps_left = 0;
        _exit(good ? 0 : 3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 1));
    return WEXITSTATUS(status) == 1;
}

static bool begin(void)
{
    return save_begin(path, "two");
}

static bool keep(void)
{
    return save_keep(path);
}

static bool undo(void)
{
    return save_undo(path);
}

/* Whenever the power fails, the next start finds the previous file, or the kept one. */
EDITS_TEST(power_cuts)
{
    static const struct {
        const char *before; /* NULL: no file */
        bool (*work)(void);
    } cases[] = {{"one", begin}, {"one", keep}, {"one", undo}, {"\n", undo},
                 {NULL, begin},  {NULL, keep},  {NULL, undo}};
    for (size_t i = 0; i < COUNT(cases); i++)
        for (unsigned number = 1; number < 100; number++) {
            if (cases[i].before)
                write_file(path, cases[i].before);
            else
                unlink(path);
            if (cases[i].work != begin)
                assert_true(begin());
            const bool cut = cut_at(number, cases[i].work);
            const bool kept = cases[i].work == keep && !save_is_pending(path);
            if (cut) {
                assert_true(save_undo(path));
                expect_file("", kept ? "two" : cases[i].before);
                continue;
            }
            assert_true(number > 3);
            save_undo(path);
            break;
        }
}

/* An empty file is a configuration, too. */
EDITS_TEST(empty_file_before)
{
    write_file(path, "");
    assert_true(begin() && undo());
    assert_int_equal(access(path, F_OK), 0);
}

/* At each moment in which the power may fail, the files on the disk lead back to the previous one. */
EDITS_TEST(cut_short)
{
    char name[100];
    write_file(path, "one");
    snprintf(name, sizeof name, "%s.before", path);
    write_file(name, "one"); /* nothing but this was written */
    assert_true(save_undo(path));
    expect_file("", "one");
    write_file(name, "one");
    snprintf(name, sizeof name, "%s.new", path);
    write_file(name, "tw"); /* half of the new one as well */
    assert_true(save_undo(path));
    expect_file("", "one");
    assert_true(save_begin(path, "two")); /* the half does not matter */
    expect_file("", "two");
    assert_true(save_undo(path));
    expect_file("", "one");
    expect_file(".new", NULL);
}

EDITS_TEST(links_are_not_followed)
{
    char name[100], other[100];
    write_file(path, "one");
    snprintf(name, sizeof name, "%s.new", path);
    snprintf(other, sizeof other, "%s/other", folder);
    write_file(other, "mine");
    assert_int_equal(symlink(other, name), 0);
    assert_true(save_begin(path, "two"));
    char *text = save_read(other);
    assert_string_equal(text, "mine");
    free(text);
    snprintf(name, sizeof name, "%s/secret", folder);
    assert_int_equal(symlink(other, name), 0);
    assert_false(save_secret(name, "x", geteuid(), getegid()));
}

EDITS_TEST(only_ten_old_ones)
{
    char text[10];
    write_file(path, "0");
    for (unsigned n = 1; n <= 15; n++) {
        snprintf(text, sizeof text, "%u", n);
        assert_true(save_begin(path, text) && save_keep(path));
        assert_int_equal(save_number(path), n + 1);
    }
    expect_file(".old/5", NULL);
    expect_file(".old/6", "5");
    expect_file(".old/15", "14");
}
