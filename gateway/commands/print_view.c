// SPDX-License-Identifier: MIT
/*
 * Prints the registers of a view: defined, filled and copied ones, in the order of their
 * addresses. The columns are those of the map, so that programs that read its JSON or CSV can read
 * this.
 */
#include "print_view.h"

#include "config/row.h"
#include "registers/meaning.h"
#include "base/text.h"

#include "bms/count.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NAME_ROOM ROW_LINE
#define MEANING_ROOM 400

/* A register, a fill or a copy; a fill has neither unit nor scale. */
struct row {
    unsigned address, count;
    const char *type, *word_order;
    char name[NAME_ROOM];
    const char *unit;
    double scale, shift; /* value = register x scale + shift */
    int bit;             /* -1: none */
    char meaning[MEANING_ROOM];
};

/* ---- columns ---- */

/* The common unit of its values; none if they differ. */
static const char *register_unit(const struct register_row *reg)
{
    struct meaning meaning;
    char name[VALUE_NAME_SIZE];
    if (reg->type == REG_STRING || reg->pair_count > 0 || reg->bit >= 0)
        return "";
    for (unsigned i = 0; i < reg->term_count; i++) {
        if (reg->terms[i].what != ROW_VALUE)
            continue;
        value_format(&reg->terms[i].value, name);
        char *dot = strrchr(name, '.');
        if (dot && reg->terms[i].value.kind == VALUE_NUMBER)
            *dot = 0; /* the stem of a cell's name */
        return meaning_find(name, &meaning) ? meaning.unit : "";
    }
    return "";
}

static void add_substitute(struct text *text, const char *when, const struct substitute *substitute)
{
    static const char *const words[] = {
        [INSTEAD_UNKNOWN] = "unknown", [INSTEAD_EXCEPTION] = "exception", [INSTEAD_HOLD] = "hold"};
    if (substitute->kind == INSTEAD_NUMBER)
        text_format(text, "%s%s %.10g", text->size > 0 ? "; " : "", when, substitute->number);
    else
        text_format(text, "%s%s %s", text->size > 0 ? "; " : "", when, words[substitute->kind]);
}

/* What the other columns do not say. */
static void describe_register(const struct register_row *reg, char out[MEANING_ROOM])
{
    struct text text = text_in(out, MEANING_ROOM);
    if (config_row_is_constant(reg)) {
        text_add(&text, "constant");
        return;
    }
    for (unsigned i = 0; i < reg->pair_count; i++)
        text_format(&text, "%s%g is %g", i > 0 ? ", " : "", reg->pairs[i].in, reg->pairs[i].out);
    if (reg->scale != 1 || reg->offset != 0)
        text_format(&text, "%svalue x %g", text.size > 0 ? "; " : "", reg->scale);
    if (reg->offset != 0)
        text_format(&text, " %s %g", reg->offset < 0 ? "-" : "+", fabs(reg->offset));
    if (!isinf(reg->min))
        text_format(&text, "%sat least %g", text.size > 0 ? "; " : "", reg->min);
    if (!isinf(reg->max))
        text_format(&text, "%sat most %g", text.size > 0 ? "; " : "", reg->max);
    add_substitute(&text, "not known:", &reg->on_unknown);
    add_substitute(&text, "stale:", &reg->on_stale);
}

static struct row row_of_register(const struct register_row *reg)
{
    struct row row = {.address = reg->address,
                      .count = reg->size,
                      .type = map_types[reg->type].name,
                      .word_order = reg->size == 1 || reg->type == REG_STRING ? ""
                                    : reg->big_words                          ? "high first"
                                                                              : "low first",
                      .unit = register_unit(reg),
                      .scale = 1 / reg->scale,
                      .shift = reg->offset == 0 ? 0 : -reg->offset / reg->scale,
                      .bit = reg->bit};
    const char *start = reg->line + strspn(reg->line, " \t");
    snprintf(row.name, sizeof row.name, "%.*s", (int) reg->from_size, start);
    describe_register(reg, row.meaning);
    return row;
}

static struct row row_without_value(const char *type, unsigned address, unsigned count)
{
    return (struct row){.address = address,
                        .count = count,
                        .type = type,
                        .word_order = "",
                        .unit = "",
                        .scale = 1,
                        .bit = -1};
}

/* Sorts a register before the fill that it lies in. */
static int by_address(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    return x->count < y->count ? -1 : x->count > y->count;
}

static unsigned gather(const struct view_config *view, struct row *rows)
{
    unsigned count = 0;
    for (unsigned i = 0; i < view->register_count; i++)
        rows[count++] = row_of_register(&view->registers[i]);
    for (unsigned i = 0; i < view->fills.count; i++) {
        const struct view_fill *fill = &view->fills.list[i];
        struct row *row = &rows[count++];
        *row = row_without_value("u16", fill->first, fill->last - fill->first + 1);
        snprintf(row->name, sizeof row->name, "%u", fill->value);
        snprintf(row->meaning, sizeof row->meaning, "each of them, unless a row says otherwise");
    }
    for (unsigned i = 0; i < view->copies.count; i++) {
        const struct view_copy *copy = &view->copies.list[i];
        struct row *row = &rows[count++];
        *row = row_without_value("copy", copy->to, copy->last - copy->first + 1);
        snprintf(row->name, sizeof row->name, "copy of %u to %u", copy->first, copy->last);
    }
    qsort(rows, count, sizeof *rows, by_address);
    return count;
}

/* ---- formats ---- */

static void print_md(const struct view_config *view, const struct row *rows, unsigned count,
                     FILE *out)
{
    fprintf(out, "# View %s\n\nUnit ", view->name);
    for (unsigned i = 0; i < view->units.count; i++)
        fprintf(out, "%s%u", i > 0 ? ", " : "", view->units.id[i]);
    for (unsigned i = 0; i < view->listen.count; i++)
        fprintf(out, "%s%s", i > 0 ? ", " : " on ", view->listen.at[i]);
    if (view->source[0])
        fprintf(out, "; values are those of %s unless a row names another", view->source);
    fprintf(out, ". Functions 3 and 4, addresses from 0; all others are rejected with "
                 "exception 2.\n\n"
                 "| address | registers | type | bit | what | unit | |\n"
                 "|---|---|---|---|---|---|---|\n");
    for (const struct row *row = rows; row < rows + count; row++) {
        fprintf(out, "| %u | %u | %s%s%s | ", row->address, row->count, row->type,
                row->word_order[0] ? ", " : "", row->word_order);
        if (row->bit >= 0)
            fprintf(out, "%d", row->bit);
        fputs(" | ", out);
        /* A vertical bar would end the table cell. */
        for (const char *c = row->name; *c; c++)
            fprintf(out, *c == '|' ? "\\%c" : "%c", *c);
        fprintf(out, " | %s | %s |\n", row->unit, row->meaning);
    }
}

static void print_json(const struct view_config *view, const struct row *rows, unsigned count,
                       FILE *out)
{
    json_t *array = json_array(), *units = json_array();
    for (unsigned i = 0; i < view->units.count; i++)
        json_array_append_new(units, json_integer(view->units.id[i]));
    for (const struct row *row = rows; row < rows + count; row++) {
        json_t *object = json_pack(
            "{s:s s:s s:O s:i s:s s:s s:i s:s s:f s:f s:s s:s s:s}", "table", "holding", "block",
            view->name, "units", units, "address", (int) row->address, "name", row->name, "type",
            row->type, "count", (int) row->count, "unit", row->unit, "scale", row->scale, "shift",
            row->shift, "access", "r", "word_order", row->word_order, "description", row->meaning);
        if (row->bit >= 0)
            json_object_set_new(object, "bit", json_integer(row->bit));
        json_array_append_new(array, object);
    }
    json_dumpf(array, out, JSON_INDENT(2));
    fputc('\n', out);
    json_decref(units);
    json_decref(array);
}

/* Doubles quotation marks. */
static void print_quoted(const char *text, FILE *out)
{
    fputc('"', out);
    for (; *text; text++)
        fprintf(out, *text == '"' ? "\"%c" : "%c", *text);
    fputc('"', out);
}

static void print_csv(const struct view_config *view, const struct row *rows, unsigned count,
                      FILE *out)
{
    fputs(
        "table,block,address,name,type,bit,count,unit,scale,shift,access,word_order,description\n",
        out);
    for (const struct row *row = rows; row < rows + count; row++) {
        fprintf(out, "holding,%s,%u,", view->name, row->address);
        print_quoted(row->name, out);
        fprintf(out, ",%s,", row->type);
        if (row->bit >= 0)
            fprintf(out, "%d", row->bit);
        fprintf(out, ",%u,\"%s\",%g,%g,r,%s,", row->count, row->unit, row->scale, row->shift,
                row->word_order);
        print_quoted(row->meaning, out);
        fputc('\n', out);
    }
}

bool print_view(const struct view_config *view, const char *format, FILE *out)
{
    static const struct {
        const char *format;
        void (*print)(const struct view_config *view, const struct row *rows, unsigned count,
                      FILE *out);
    } printers[] = {{"md", print_md}, {"json", print_json}, {"csv", print_csv}};
    struct row *rows = calloc(view->register_count + 2 * VIEW_FILLS, sizeof *rows);
    const unsigned count = rows ? gather(view, rows) : 0;
    bool found = false;
    for (size_t i = 0; rows && i < COUNT(printers); i++)
        if (strcmp(format, printers[i].format) == 0) {
            printers[i].print(view, rows, count, out);
            found = true;
        }
    free(rows);
    return found;
}
