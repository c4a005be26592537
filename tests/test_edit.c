// SPDX-License-Identifier: MIT
/* Changes of a configuration's text: examples, the shipped files, and generated files. */
#include "edit_property.h"

#include "config/load.h"
#include "unit.h"

#include <glob.h>

static void check_example(const char *name, const char *before, struct edit edit, const char *after)
{
    char why[EDIT_WHY];
    char *edited = config_edited(before, &edit, why);
    if (!edited != !after || (edited && strcmp(edited, after) != 0))
        fail_msg("%s: got\n%s", name, edited ? edited : why);
    free(edited);
}

#define SET(section, name, key, value)                                                             \
    {                                                                                              \
        EDIT_VALUE, section, name, key, value                                                      \
    }
#define LONG "a value of fifty characters and of as many bytes ....."

// clang-format off
static const struct {
    const char *name, *before;
    struct edit edit;
    const char *after;
} examples[] = {
    {"a value, its comment stays", "[pack a]\nunit = 1 ; first\nline = l\n", SET("pack", "a", "unit", "2"),
     "[pack a]\nunit = 2 ; first\nline = l\n"},
    {"as it is written", "\t[pack   a]\r\n  unit:1\t;x\r\n", SET("pack", "a", "unit", "2"),
     "\t[pack   a]\r\n  unit:2\t;x\r\n"},
    {"the section of that name", "[pack a]\nunit = 1\n[pack b]\nunit = 2\n", SET("pack", "b", "unit", "3"),
     "[pack a]\nunit = 1\n[pack b]\nunit = 3\n"},
    {"a new key behind the last one", "[pack a]\n# one\nunit = 1\n\n# two\n[pack b]\n", SET("pack", "a", "line", "l"),
     "[pack a]\n# one\nunit = 1\nline = l\n\n# two\n[pack b]\n"},
    {"a new key in an empty section", "[web]\n\n[history]\n", SET("web", "", "listen", "127.0.0.1:1"),
     "[web]\nlisten = 127.0.0.1:1\n\n[history]\n"},
    {"a new key without a last line end", "[web]\r\nframe = self", SET("web", "", "hosts", "any"),
     "[web]\r\nframe = self\r\nhosts = any"},
    {"a new section", "\xEF\xBB\xBF[web]\r\n", SET("pack", "a", "unit", "1"),
     "\xEF\xBB\xBF[web]\r\n\r\n[pack a]\r\nunit = 1\r\n"},
    {"a first section", "", SET("web", "", "hosts", "any"), "[web]\nhosts = any\n"},
    {"a list on several lines", "[bank b]\npacks = a,\npacks = b ; both\nunit = 9\n", SET("bank", "b", "packs", "a, b, c"),
     "[bank b]\npacks = a, b, c\nunit = 9\n"},
    {"removed", "[bank b]\npacks = a\n; why\nunit = 9\npacks = b\n", SET("bank", "b", "packs", NULL),
     "[bank b]\n; why\nunit = 9\n"},
    {"removed where it is not", "[bank b]\n", SET("bank", "b", "packs", NULL), "[bank b]\n"},
    {"no value yet", "[web]\nlisten = ; none\n", SET("web", "", "listen", "a:1"), "[web]\nlisten = a:1 ; none\n"},
    {"a line that is too long", "[web]\nhosts = " LONG LONG LONG LONG "\r\n", SET("web", "", "hosts", "any"), "[web]\nhosts = any\r\n"},
    {"what is commented out stays", "[web]\n;hosts = any\n", SET("web", "", "hosts", "b"), "[web]\nhosts = b\n;hosts = any\n"},
    {"umlauts and a semicolon", "[web]\n", SET("web", "", "hosts", "K\xC3\xBC;che"), "[web]\nhosts = K\xC3\xBC;che\n"},
    {"a line end in a value", "[web]\n", SET("web", "", "hosts", "a\n[pack x]"), NULL},
    {"a carriage return", "[web]\n", SET("web", "", "hosts", "a\rb"), NULL},
    {"a comment in a value", "[web]\n", SET("web", "", "hosts", "a ; b"), NULL},
    {"blanks at the end", "[web]\n", SET("web", "", "hosts", "a "), NULL},
    {"too long", "[web]\n", SET("web", "", "hosts", LONG LONG LONG LONG), NULL},
    {"a bracket in a name", "[web]\n", SET("pack", "a]", "unit", "1"), NULL},
    {"a line end in a name", "[web]\n", SET("pack", "a]\nunit = 2\n[pack b", "unit", "1"), NULL},
};
// clang-format on

TEST(examples)
{
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        bool made;
        const struct edit *edit = &examples[i].edit;
        check_example(examples[i].name, examples[i].before, *edit, examples[i].after);
        const char *wrong =
            edit_property(examples[i].before, strlen(examples[i].before), edit, &made);
        if (wrong)
            fail_msg("%s: %s", examples[i].name, wrong);
    }
}

#define PICK(list, seed) (list)[next_random(seed) % (sizeof(list) / sizeof *(list))]

static const char *const sections[] = {"pack a",  "pack  b", "bank all", "web",
                                       "gateway", "line l ", "nonsense"};
static const char *const keys[] = {"unit", "listen", "packs", "name", "poll"};
static const char *const values[] = {"1",
                                     "K\xC3\xBC"
                                     "che links",
                                     "a, b",
                                     "tcp://host:1",
                                     "10.0.0.0/8,",
                                     "x;y",
                                     "",
                                     "[web]",
                                     "a = b"};

/* A random line of a configuration. */
static void write_random_line(FILE *out, unsigned *seed)
{
    static const char *const blanks[] = {"", "", " ", "\t", "  "};
    static const char *const comments[] = {"", "", " ; comment", "\t; a = b", " # no comment"};
    static const char *const others[] = {
        "# text",  "; [pack a]", "",    "   ", "nothing", "\xEF\xBB\xBF[pack z]",
        "[pack a", "[web] more", "= 1", "\x01"};
    switch (next_random(seed) % 8) {
    case 0:
        fprintf(out, "%s[%s%s]%s", PICK(blanks, seed), PICK(blanks, seed), PICK(sections, seed),
                PICK(comments, seed));
        break;
    case 1:
    case 2:
        fputs(PICK(others, seed), out);
        break;
    case 3:
        if (next_random(seed) % 4 == 0) {
            fprintf(out, "%s = %0200d", PICK(keys, seed), 7);
            break;
        }
        /* fall through */
    default:
        fprintf(out, "%s%s%s%c%s%s%s%s", PICK(blanks, seed), PICK(keys, seed), PICK(blanks, seed),
                next_random(seed) % 8 ? '=' : ':', PICK(blanks, seed), PICK(values, seed),
                PICK(comments, seed), PICK(blanks, seed));
    }
}

static char *make_text(size_t *size, unsigned *seed)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    assert_non_null(out);
    const char *end = next_random(seed) % 3 ? "\n" : "\r\n";
    if (next_random(seed) % 4 == 0)
        fputs("\xEF\xBB\xBF", out);
    for (unsigned lines = next_random(seed) % 25; lines > 0; lines--) {
        write_random_line(out, seed);
        if (lines > 1 || next_random(seed) % 3)
            fputs(end, out);
    }
    fclose(out);
    return text;
}

TEST(generated)
{
    unsigned seed = 28, done = 0, moves = 0;
    for (unsigned n = 0; n < 20000; n++) {
        size_t size = 0;
        char *text = make_text(&size, &seed), word[20], name[20] = "", other[20] = "";
        sscanf(PICK(sections, &seed), "%19s %19s", word, name);
        const struct edit edit = {EDIT_VALUE, word, name, PICK(keys, &seed),
                                  next_random(&seed) % 4 ? PICK(values, &seed) : NULL};
        bool made;
        const char *wrong = edit_property(text, size, &edit, &made);
        if (wrong)
            fail_msg("%s: [%s %s] %s = %s in\n%.*s", wrong, word, name, edit.key,
                     edit.value ? edit.value : "(removed)", (int) size, text);
        wrong = without_property(text, size, word, name);
        if (wrong)
            fail_msg("%s: without [%s %s] in\n%.*s", wrong, word, name, (int) size, text);
        done += made;
        sscanf(PICK(sections, &seed), "%*s %19s", other);
        wrong = moved_property(text, size, word, name, other, &made);
        if (wrong)
            fail_msg("%s: [%s %s] before [%s] in\n%.*s", wrong, word, name, other, (int) size,
                     text);
        moves += made;
        free(text);
    }
    assert_true(done > 18000);
    assert_true(moves > 500);
}

static const struct {
    const char *text, *name, *before, *moved;
} orders[] = {
    /* Comments go with the section below them, blank lines stay. */
    {"# the first\n[pack a]\nunit = 1\n# end\n\n; of b\n[pack b]\nunit = 2", "b", "a",
     "; of b\n[pack b]\nunit = 2\n\n# the first\n[pack a]\nunit = 1\n# end\n"},
    {"\xEF\xBB\xBF[pack a]\r\n\r\n\r\n[pack b]\r\n[web]\r\n[pack c]\r\nunit = 3\r\n", "a", "c",
     "\xEF\xBB\xBF[pack b]\r\n\r\n\r\n[web]\r\n[pack a]\r\n[pack c]\r\nunit = 3\r\n"},
    {"[pack a]\n[pack b]\n", "a", "b", "[pack a]\n[pack b]\n"},
    {"[pack a]\n[pack b]\n", "a", "c", NULL},
    {"[pack a]\n[pack b]\n[pack a]\n", "b", "a", NULL},
};

TEST(moved)
{
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        char name[20];
        snprintf(name, sizeof name, "case %zu", i);
        check_example(name, orders[i].text,
                      (struct edit){EDIT_ORDER, "pack", orders[i].name, NULL, orders[i].before},
                      orders[i].moved);
    }
}

/* Changes each key of each shipped file. */
TEST(shipped)
{
    glob_t files;
    assert_int_equal(glob("conf/*.ini", 0, NULL, &files), 0);
    for (size_t f = 0; f < files.gl_pathc; f++) {
        static char text[100000];
        FILE *file = fopen(files.gl_pathv[f], "r");
        assert_non_null(file);
        const size_t size = fread(text, 1, sizeof text - 1, file);
        fclose(file);
        text[size] = '\0';
        struct findings found = find_all(text, size);
        char word[300] = "", name[300] = "";
        for (unsigned i = 0; i < found.count; i++) {
            name[0] = found.list[i].what == 'h' ? 0 : name[0];
            if (found.list[i].what == 'h')
                sscanf(found.list[i].key, "%299[^ \t] %299[^\n]", word, name);
            const char *key = found.list[i].what == 'e' ? found.list[i].key : "new";
            bool made;
            const struct edit edit = {EDIT_VALUE, word, name, key, "value"};
            const char *wrong = edit_property(text, size, &edit, &made);
            if (wrong || !made)
                fail_msg("%s: [%s %s] %s: %s", files.gl_pathv[f], word, name, key, wrong);
            wrong = without_property(text, size, word, name);
            if (wrong)
                fail_msg("%s: without [%s %s]: %s", files.gl_pathv[f], word, name, wrong);
        }
        free_findings(&found);
    }
    globfree(&files);
}
