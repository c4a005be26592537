// SPDX-License-Identifier: MIT
/* The language of client files: the output of templates, and the messages about mistakes. */
#include "registers/template.h"
#include "bms/count.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

static const struct map_unit units[] = {
    {.name = "house-1", .unit = 3, .cells = 2, .sensors = 1},
    {.name = "bank", .unit = 100},
};
static const struct map_mqtt mqtts[] = {
    {.name = "one", .host = "h", .user = "a\"b", .topic = "t1", .pack = "house-1", .cells = 2},
    {.name = "two", .host = "i", .user = "", .topic = "t2", .pack = "bank", .connection = 1},
    {.name = "three", .host = "h", .user = "a\"b", .topic = "t3", .pack = "bank", .dashboard = 1},
};
static const struct map_clients clients = {.host = "192.0.2.7",
                                           .port = 502,
                                           .units = units,
                                           .count = COUNT(units),
                                           .mqtts = mqtts,
                                           .mqtt_count = COUNT(mqtts)};
static const struct map_settings configured = {.base = 290, .also_at = 100, .clients = &clients};

/* Returns what a template prints; the caller frees it. */
static char *print(const char *text, struct template_fault *fault, bool *good)
{
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    *good = template_print(text, "mine", &configured, out, fault);
    fclose(out);
    return printed;
}

TEST(what_is_printed)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", ""},
        {"plain { text } 100 % # \n", "plain { text } 100 % # \n"},
        {"{{ host }}:{{port}} {{ format }}", "192.0.2.7:502 mine"},
        {"{{ \"{{\" }} {{ \"a\\\"b\" }} {{ \"}}\" }}", "{{ a\"b }}"},
        {"a {# {{ host }} #}b", "a b"},
        {"{{ base + 2 * 3 - 1 }} {{ (base + 2) * 3 }}", "295 876"},
        {"{{ hex(base, 4) }} {{ hex(10, 2) }}", "0122 0A"},
        {"{{ replace(\"a_b.c\", \"_.\", \" \") }}", "a b c"},
        {"{{ json(\"a\\\"b\") }}", "\"a\\\"b\""},
        {"{{ pick(2, 1, \"one\", 2, \"two\", \"other\") }} {{ pick(3, 1, \"one\", \"other\") }}",
         "two other"},
        {"{{ pick(3, 1, \"one\") }}.", "."},
        {"{% if 1 < 2 and not example %}yes{% else %}no{% end %}", "yes"},
        {"{% if example or 2 == 3 %}yes{% elseif 1 == 1 %}else{% else %}no{% end %}", "else"},
        {"{% if one_of(\"b\", \"a\nb\") %}in{% end %}{% if one_of(\"a\", \"ab\") %}in{% end %}",
         "in"},
        {"{% if example %}{% if nothing %}{% else %}{% end %}{{ \"%}\" }}{{ nothing }}{% end %}.",
         "."},
        {"{% set a = \"x\" %}{% set a = pick(a, \"x\", 5) %}{{ a + 1 }}", "6"},
        {"{% for n to 3 %}{{ n }}{% if not last %}, {% end %}{% end %}", "1, 2, 3"},
        {"{% for n to 5 if 3 < n %}{% if first %}>{% end %}{{ n }}{% end %}", ">45"},
        {"{% for n to 0 %}{{ nothing }}{% end %}.", "."},
        {"{% for unit %}{{ unit.id }}: {{ unit.name }}\n{% end %}", "3: house-1\n100: bank\n"},
        {"{% for unit %}\n  {% for n to unit.cells %}\n  {{ n }}\n  {% end %}\n{% end %}",
         "  1\n  2\n"},
        {"{% for row if row.name == \"voltage_v\" and row.block == \"extended\" %}"
         "{{ row.address }} {{ row.type }} {{ row.unit }} {{ row.high_first and 1 or 0 }}{% end %}",
         "500 float32 V 0"},
        {"{% for unit if unit.id == 3 %}{% for row if row.name == \"cell_mv\" and row.block == "
         "\"extended\" %}{% for n to row.known %}{{ row.name }}@{{ row.address }} {% end %}{% end "
         "%}{% end %}",
         "cell_mv.1@601 cell_mv.2@602 "},
        {"{% for group if group.title == \"State\" %}{% for row %}{{ row.name }} {% end %}{% end "
         "%}",
         "map_version connection_state packs_present packs_missing packs_needed "},
        {"{% for input if input.number < 2 %}{{ input.name }} {{ input.of }} {% end %}",
         "alarm state alarm.cell_over_voltage alarm "},
        {"{% for connection %}{{ connection.number }}{{ json(connection.user) }}:"
         "{% for dashboard %} {{ dashboard.number }} {{ dashboard.topic }}{% end %};{% end %}",
         "1\"a\\\"b\": 1 t1 2 t3;2\"\": 1 t2;"},
        {"{% json %}\na \"b\"\n{{ host }}{% end %}\n", "\"a \\\"b\\\"\\n192.0.2.7\"\n"},
        {"a\n \t{% set x = 1 %} {# and #}\nb\n{{ x }}", "a\nb\n1"},
        {"{% set x\n = 1 %}\n{{ x }}", "1"},
        {"{%\tfor\tunit %}{{\tunit.id }},{%\tend\t%}", "3,100,"},
        {"a {% if base %}\nb{% end %}\n", "a \nb\n"},
        {"{{ 0.1 }} {{ 2^3 }} {{ 7 // 2 }} {{ also_at }} {{ (\"x\"):upper() }}\\\r",
         "0.1 8 3 100 X\\\r"},
        {"{{ false }}{{ row == nil }}", "true"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct template_fault fault;
        bool good;
        char *printed = print(cases[i].text, &fault, &good);
        if (!good)
            fail_msg("%s: line %u: %s", cases[i].text, fault.line, fault.reason);
        assert_string_equal(printed, cases[i].expected);
        free(printed);
    }
}

TEST(mistakes)
{
    static const struct {
        const char *text;
        unsigned line;
        const char *reason;
    } cases[] = {
        {"a\nb {{ nothing }}", 2, "there is no 'nothing' here"},
        {"{% for row %}\n{{ row.nothing }}{% end %}", 2, "there is no 'row.nothing' here"},
        {"{% for unit %}\n{% end %}\n{{ unit.name }}", 3,
         "attempt to index a nil value (local 'unit')"},
        {"{# a\n#}{% if base\n > 0 %}\n{{ nothing }}{% end %}", 4, "there is no 'nothing' here"},
        {"{{ host }", 1, "expected '}}'"},
        {"{{ }}", 1, "a value is missing"},
        {"\n{{ \"a }}", 2, "expected '}}'"},
        {"{{ host + 1 }}", 1, "attempt to add a 'string' with a 'number'"},
        {"{{ upper(host) }}", 1, "there is no 'upper' here"},
        {"{{ os }}", 1, "there is no 'os' here"},
        {"{{ address(\"nothing\") }}", 1, "there is no value 'nothing' in the map"},
        {"\n{{ hex(\"x\", 2) }}", 2, "bad argument #1 to 'format' (number expected, got string)"},
        {"\n{{ json(\"\\255\") }}", 2, "this text is not UTF-8"},
        {"{% json %}\n{{ \"\\255\" }}\n{% end %}", 1, "this text is not UTF-8"},
        {"\n{% for pack %}{% end %}", 2,
         "unknown loop; expected unit, group, row, input, coil, connection, dashboard or n to"},
        {"{% while 1 %}", 1, "expected for, if, else, elseif, end, set or json"},
        {"{% if 1 %}\n\n", 3, "'end' expected (to close 'if' at line 1) near <eof>"},
        {"{% for unit %}", 1, "'end' expected near <eof>"},
        {"{% for unit %}{% else %}{% end %}", 1, "'end' expected near 'else'"},
        {"{% for unit row %}{% end %}", 1, "')' expected near 'row'"},
        {"{% for n 5 %}{% end %}", 1, "')' expected near 'do'"},
        {"{% end %}", 1, "<eof> expected near 'end'"},
        {"{% if 0 %}{{ a", 1, "expected '}}'"},
        {"{# a", 1, "expected '#}'"},
        {"\n{% set a = function() return a() end %}{{ a() }}", 2, "it does not end"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct template_fault fault;
        bool good;
        free(print(cases[i].text, &fault, &good));
        if (good || fault.line != cases[i].line || strcmp(fault.reason, cases[i].reason) != 0)
            fail_msg("%s: line %u: %s", cases[i].text, fault.line, good ? "none" : fault.reason);
    }
}

/* Unclosed blocks and parentheses do not exhaust the stack. */
TEST(depth)
{
    static const char *const repeated[] = {"{% if 1 %}", "{% if 0 %}", "{{ (", "{{ json("};
    for (size_t i = 0; i < COUNT(repeated); i++) {
        char text[100000] = "";
        struct template_fault fault;
        bool good;
        const size_t size = strlen(repeated[i]);
        for (size_t at = 0; at + size < sizeof text; at += i < 2 || at == 0 ? size : size - 3)
            strcpy(text + at, repeated[i] + (i < 2 || at == 0 ? 0 : 3));
        free(print(text, &fault, &good));
        assert_false(good);
    }
}

/* Each template, cut anywhere: parsing ends, and a mistake has a line. */
TEST(cut)
{
    for (const struct template_file *file = template_files; file->name; file++) {
        char *text = strdup(file->text);
        for (size_t size = strlen(text); size > 0; size -= size > 17 ? 17 : size) {
            struct template_fault fault;
            bool good;
            text[size] = '\0';
            free(print(text, &fault, &good));
            assert_true(good || (fault.line > 0 && fault.reason[0]));
        }
        free(text);
    }
}
