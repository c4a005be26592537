// SPDX-License-Identifier: MIT
/*
 * The smallest outlet: prints values and changes on standard output, one JSON object per line. For
 * tests, and as the pattern of an outlet.
 */
#include "outlets/outlet.h"

#include "packs/json.h"
#include "bms/count.h"

#include <stdlib.h>
#include <unistd.h>

static json_t *names_of(unsigned changes)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {
        {SOURCE_PUBLISHED, "published"}, {SOURCE_AGED, "aged"},         {SOURCE_STATE, "state"},
        {SOURCE_FLOW, "flow"},           {SOURCE_SWITCHES, "switches"}, {SOURCE_ALARMS, "alarms"},
        {SOURCE_IDENTITY, "identity"},
    };
    json_t *list = json_array();
    for (size_t i = 0; i < COUNT(names); i++)
        if (changes & names[i].bit)
            json_array_append_new(list, json_string(names[i].name));
    return list;
}

static void print_change(void *self, struct outlet_pack *pack, unsigned changes, double now)
{
    json_t *object = json_of_pack(pack->source.values);
    json_object_set_new(object, "pack", json_string(pack->source.name));
    json_object_set_new(object, "fresh", json_boolean(outlet_fresh(self, pack, now)));
    json_object_set_new(object, "changes", names_of(changes));
    json_object_set_new(object, "sequence", json_integer(pack->last.sequence));
    json_print(stdout, object, false);
}

static void print_order(void *self, const struct outlet_pack *pack,
                        const struct order_report *report)
{
    char text[SWITCHES_TEXT];
    json_t *object = json_pack("{s:s, s:s, s:s, s:i}", "pack", pack->source.name, "ordered",
                               switches_format(&report->ordered, text), "from", report->from,
                               "result", (int) report->result);
    json_print(stdout, object, false);
}

static void on_answer(void *data, const char *text)
{
    json_t *status = text ? json_loads(text, 0, NULL) : NULL;
    json_t *version = json_object_get(status, "version");
    json_print(stdout,
               json_pack("{s:s?, s:I}", "gateway", json_string_value(version), "packs",
                         (json_int_t) json_array_size(json_object_get(status, "packs"))),
               false);
    json_decref(status);
}

static void print_packs(struct outlet *outlet)
{
    for (unsigned i = 0; outlet_pack(outlet, i); i++) {
        const struct pipe_pack *facts = &outlet_pack(outlet, i)->facts;
        json_print(stdout,
                   json_pack("{s:s, s:i, s:s, s:b, s:b}", "known", facts->name, "unit", facts->unit,
                             "line", facts->line, "writable", facts->writable, "bank",
                             facts->is_bank),
                   false);
    }
    json_print(stdout,
               json_pack("{s:s, s:i}", "ready", outlet_config(outlet)->id, "pid", (int) getpid()),
               false);
}

static void *start_print(struct outlet *outlet)
{
    setlinebuf(stdout);
    print_packs(outlet);
    outlet_ask(outlet, "status", on_answer, outlet);
    return outlet;
}

static void stop_print(void *self, bool gone)
{
    json_print(stdout, json_pack("{s:b}", "gone", gone), false);
    outlet_over(self);
}

const struct outlet_kind outlet_print = {
    .name = "print",
    .settings_size = sizeof(struct print_config),
    .start = start_print,
    .changed = print_change,
    .ordered = print_order,
    .stop = stop_print,
};
