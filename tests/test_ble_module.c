// SPDX-License-Identifier: MIT
/* The serial lines of Bluetooth modules: which pair of characteristics is used, in which order, and
 * the guesses about devices. */
#include "ports/ble/module.h"

#include "bms/count.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"

#define N BLUEZ_NOTIFY
#define W BLUEZ_WRITE
#define C BLUEZ_WRITE_COMMAND

#define NORDIC(n) "6e40000" n "-b5a3-f393-e0a9-e50e24dcca9e"
#define BUKNUWO(n) "00002760-08c2-11e1-9073-0e8ac72e" n

/* The sheet `ble`, section 1. Pairs are numbered in the order of the table: fff1/fff2, ff01/ff02, ffe1/ffe1, ffe1/ffe2,
 * fff1/ffd1, fffc/fffb, ffe4/ffe9, Nordic, Buknuwo. */
static const struct {
    const char *what;
    struct {
        const char *uuid;
        unsigned flags;
    } characteristics[6];
    const char *pairs; /* pairs that can be used */
} cases[] = {
    {"Daly", {{"fff1", N}, {"fff2", W | C}}, "0"},
    {"JBD", {{"ff01", N}, {"ff02", C}}, "1"},
    {"newer Daly: both are there", {{"ff01", N}, {"ff02", C}, {"fff1", N}, {"fff2", W}}, "01"},
    {"JK: one for both", {{"ffe1", N | W | C}}, "2"},
    {"JK: two of one name", {{"ffe1", C}, {"ffe1", N}}, "2"},
    {"JK, old", {{"ffe1", N}, {"ffe2", C}}, "3"},
    {"JK, both ways to write", {{"ffe1", N | C}, {"ffe2", C}}, "23"},
    {"capital letters", {{"FFF1", N}, {"FFF2", W}}, "0"},
    {"Renogy", {{"fff1", N}, {"ffd1", C}}, "4"},
    {"Saihang", {{"fffc", N}, {"fffb", W}}, "5"},
    {"Creabest", {{"ffe4", N}, {"ffe9", C}}, "6"},
    {"Vatrer", {{NORDIC("2"), W | C}, {NORDIC("3"), N}}, "7"},
    {"Buknuwo", {{BUKNUWO("0001"), C}, {BUKNUWO("0002"), N}}, "8"},
    {"Buknuwo, capital letters",
     {{"00002760-08C2-11E1-9073-0E8AC72E0001", C}, {BUKNUWO("0002"), N}},
     "8"},
    {"Buknuwo, others of its numbers", {{BUKNUWO("0003"), C}, {BUKNUWO("0004"), N}}, ""},
    {"nothing to hear", {{"fff1", W}, {"fff2", W}}, ""},
    {"nothing to write to", {{"fff1", N}, {"fff2", N}}, ""},
    {"half of one and half of another", {{"fff1", N}, {"ff02", W}}, ""},
    {"none of these", {{"2a29", N}, {"2a2a", W}}, ""},
};

TEST(pairs)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct module module = {0};
        char usable[MODULE_PAIRS + 1] = "", uuid[40], path[40];
        for (unsigned c = 0; c < 6 && cases[i].characteristics[c].uuid; c++) {
            const char *number = cases[i].characteristics[c].uuid;
            bool whole = strlen(number) > 4;
            snprintf(uuid, sizeof uuid, "%s%s%s", whole ? "" : "0000", number,
                     whole ? "" : "-0000-1000-8000-00805f9b34fb");
            snprintf(path, sizeof path, "/char%u", c);
            module_note(&module,
                        &(struct bluez_object){.path = path,
                                               .uuid = uuid,
                                               .flags = cases[i].characteristics[c].flags});
        }
        for (unsigned p = module_next(&module, 0); p < MODULE_PAIRS;
             p = module_next(&module, p + 1))
            usable[strlen(usable)] = (char) ('0' + p);
        if (strcmp(usable, cases[i].pairs) != 0)
            fail_msg("%s: pairs %s, got %s", cases[i].what, cases[i].pairs, usable);
    }
}

/* Two characteristics of the same name: each is used for what it supports. */
TEST(two_of_one_name)
{
    struct module module = {0};
    static const char uuid[] = "0000ffe1-0000-1000-8000-00805f9b34fb";
    module_note(&module, &(struct bluez_object){.path = "/writes", .uuid = uuid, .flags = C});
    module_note(&module, &(struct bluez_object){.path = "/notifies", .uuid = uuid, .flags = N});
    assert_string_equal(module.pairs[2].receive, "/notifies");
    assert_string_equal(module.pairs[2].send, "/writes");
    assert_int_equal(module.pairs[2].flags, C);
    /* A vendor's own UUID is another one; so is a characteristic without a UUID. */
    module_note(&module, &(struct bluez_object){.path = "/x",
                                                .uuid = "02f00000-0000-0000-0000-00000000ff01",
                                                .flags = N});
    module_note(&module, &(struct bluez_object){.path = "/y", .flags = N | W});
    assert_int_equal(module_next(&module, 3), MODULE_PAIRS);
    assert_int_equal(module_next(&module, 0), 2);
    char longer[BLUEZ_PATH + 8];
    memset(longer, 'p', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    struct module other = {0};
    module_note(&other, &(struct bluez_object){.path = longer, .uuid = uuid, .flags = N | C});
    assert_int_equal(module_next(&other, 0), MODULE_PAIRS);
}

TEST(guesses)
{
    static const struct {
        const char *address, *name;
        unsigned services;
        const char *guess; /* how the guess begins; NULL: none */
    } known[] = {
        {"40:11:22:33:44:55", "DL-40D9", BLUEZ_SERVICE_FFF0, "Daly"},
        {"40:11:22:33:44:55", "dl-40d9", 0, "Daly"},
        {"40:11:22:33:44:55", "JK-BD6A24S", BLUEZ_SERVICE_FFE0, "JK"},
        {"40:11:22:33:44:55", "JK_B2A8S20P", 0, "JK"},
        {"40:11:22:33:44:55", "xiaoxiang BMS", BLUEZ_SERVICE_FF00, "JBD"},
        {"A4:C1:38:11:22:33", "SP04S034", BLUEZ_SERVICE_FF00, "JBD, by its address"},
        {"a5:c2:37:11:22:33", "", 0, "JBD, by its address"},
        {"40:11:22:33:44:55", "BT-TH-1234ABCD", 0, "Renogy"},
        {"40:11:22:33:44:55", "CDZG000123", 0, "Buknuwo"},
        {"40:11:22:33:44:55", "my shed", BLUEZ_SERVICE_FFE0, "a serial line as JK"},
        {"40:11:22:33:44:55", "", BLUEZ_SERVICE_FF00, "a serial line as Daly and JBD"},
        {"40:11:22:33:44:55", "SmartShunt", BLUEZ_SERVICE_VICTRON, "Victron"},
        {"40:11:22:33:44:55", "a lamp", 0, NULL},
        {"", "", 0, NULL},
    };
    for (size_t i = 0; i < COUNT(known); i++) {
        const char *guess = module_guess(known[i].address, known[i].name, known[i].services);
        if (!guess != !known[i].guess ||
            (guess && strncmp(guess, known[i].guess, strlen(known[i].guess)) != 0))
            fail_msg("'%s' at %s is '%s'", known[i].name, known[i].address, guess ? guess : "");
    }
}
