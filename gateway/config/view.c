// SPDX-License-Identifier: MIT
/* What [view NAME] serves, and what [push NAME] writes. */
#include "draft.h"

#include "row.h"
#include "types.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REGISTERS 65536

/* Parses a register's address at the start of a text; NULL: none. */
static const char *parse_address(const char *text, unsigned *address)
{
    const bool hex = strncasecmp(text, "0x", 2) == 0 && isxdigit((unsigned char) text[2]);
    char *end;
    if (!isdigit((unsigned char) *text))
        return NULL;
    const unsigned long number = strtoul(text, &end, hex ? 16 : 10);
    *address = (unsigned) number;
    return number <= 65535 ? end : NULL;
}

/* Of the copies and the constants of a view, whichever it is. */
static bool parse_fill(const struct config_key *key, const char *text, void *field)
{
    struct view_config *view = field;
    struct view_fill fill;
    const char *rest = parse_address(text, &fill.first);
    fill.last = fill.first;
    /* "FROM-TO", or one register */
    if (rest && *rest == '-')
        rest = parse_address(rest + 1, &fill.last);
    rest = rest && fill.first <= fill.last ? rest + strspn(rest, " \t") : NULL;
    const bool copy = rest && strncmp(rest, "->", 2) == 0;
    struct view_fills *fills = copy ? &view->copies : &view->fills;
    if (copy)
        rest += 2 + strspn(rest + 2, " \t");
    else if (!rest || !isspace((unsigned char) rest[-1]))
        return false;
    const char *end = parse_address(rest, &fill.value);
    if (!end || *end || fills->count == VIEW_FILLS)
        return false;
    fills->list[fills->count++] = fill;
    return true;
}

static bool parse_units(const struct config_key *key, const char *text, void *field)
{
    static const struct config_key id = {.size = sizeof(uint8_t), .max = UINT8_MAX};
    struct view_units *list = field;
    if (list->count == VIEW_UNITS || !type_whole.parse(&id, text, &list->id[list->count]))
        return false;
    list->count++;
    return true;
}

static const struct config_type type_fill = {
    .parse = parse_fill,
    .expects = "FROM-TO VALUE, such as 256-331 0, or FROM-TO -> REGISTER, such as 40000-40131 -> "
               "0, at most " CONFIG_SHOW(VIEW_FILLS) " of each",
    .list = true};
static const struct config_type type_units = {
    .parse = parse_units,
    .expects =
        "unit ids from 0 to 255, at most " CONFIG_SHOW(VIEW_UNITS) " of them with commas between",
    .list = true};

/* The line of the n-th copy or constant of `fill`, and of `copy` in older files. */
static unsigned line_of(const struct config_draft *draft, bool copy, unsigned n)
{
    for (unsigned i = 0; i < draft->text_count; i++) {
        const struct config_entry *text = &draft->texts[i];
        if (text->key->type == &type_fill && (strstr(text->text, "->") != NULL) == copy && n-- == 0)
            return text->line;
    }
    return draft->heading;
}

static bool has_any(const struct view_config *view, const struct view_fill *copy, unsigned n)
{
    for (unsigned i = 0; i < view->register_count; i++)
        if (view->registers[i].address <= copy->last &&
            copy->first < view->registers[i].address + view->registers[i].size)
            return true;
    for (unsigned i = 0; i < view->fills.count; i++)
        if (view->fills.list[i].first <= copy->last && copy->first <= view->fills.list[i].last)
            return true;
    for (unsigned i = 0; i < n; i++) {
        const struct view_fill *other = &view->copies.list[i];
        if (other->value <= copy->last &&
            copy->first <= other->value + (other->last - other->first))
            return true;
    }
    return false;
}

static void check_copy(const struct config_draft *draft, unsigned n)
{
    const struct view_config *view = draft->as.view;
    const struct view_fill *copy = &view->copies.list[n];
    const unsigned line = line_of(draft, true, n);
    const unsigned end = copy->value + (copy->last - copy->first);
    if (end >= REGISTERS) {
        config_mistake_at(draft, line, "the copy would reach to %u, %u is the last register", end,
                          REGISTERS - 1);
        return;
    }
    if (copy->value <= copy->last && copy->first <= end)
        config_mistake_at(draft, line, "the copy (%u to %u) overlaps what it is made of",
                          copy->value, end);
    else if (!has_any(view, copy, n))
        config_mistake_at(draft, line,
                          "nothing is defined from %u to %u, so there is nothing to copy",
                          copy->first, copy->last);
    for (unsigned i = 0; i < view->register_count; i++) {
        const struct register_row *reg = &view->registers[i];
        if (reg->address <= end && copy->value < reg->address + reg->size) {
            config_mistake_at(draft, line, "register %u is already that of line %u",
                              (unsigned) fmax(reg->address, copy->value), reg->line_number);
            return;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        const struct view_fill *other = &view->copies.list[i];
        if (other->value <= end && copy->value <= other->value + (other->last - other->first)) {
            config_mistake_at(draft, line, "register %u is already copied to in line %u",
                              (unsigned) fmax(other->value, copy->value), line_of(draft, true, i));
            return;
        }
    }
}

/* The last of these addresses that leaves no room for `text`, or NULL. Views share an address that is written alike. */
static const char *find_taken(const char *text, const struct listen_list *list, unsigned count,
                              bool itself)
{
    while (count-- > 0)
        if (config_listen_collide(text, list->at[count]) &&
            (itself || strcmp(text, list->at[count]) != 0))
            return list->at[count];
    return NULL;
}

static void check_listen(const struct config_draft *draft)
{
    const struct listen_list *listen = &draft->as.view->listen;
    for (unsigned i = 0; i < listen->count; i++) {
        const char *text = listen->at[i];
        const struct listen_list *gateway = &draft->drafts->config->gateway.listen;
        const char *taken = find_taken(text, gateway, gateway->count, true), *by = NULL;
        for (CONFIG_EACH(other, draft, &view_section)) {
            if (taken || other > draft)
                break;
            const struct listen_list *list = &other->as.view->listen;
            taken = find_taken(text, list, other == draft ? i : list->count, other == draft);
            by = other->name;
        }
        if (taken)
            config_mistake_at(draft, config_draft_text(draft, "listen", i)->line,
                              "'listen' has %s, which %s of [%s%s] takes already%s", text, taken,
                              by ? "view " : "gateway", by ? by : "",
                              by ? "" : "; leave 'listen' out to be served there");
    }
}

/* Whether two views are served at the same place. */
static bool same_place(const struct view_config *a, const struct view_config *b)
{
    if (a->listen.count == 0 || b->listen.count == 0)
        return a->listen.count == b->listen.count;
    for (unsigned i = 0; i < a->listen.count; i++)
        for (unsigned n = 0; n < b->listen.count; n++)
            if (strcmp(a->listen.at[i], b->listen.at[n]) == 0)
                return true;
    return false;
}

/* The section that already serves a unit id where the view is served, or NULL. */
static const struct config_draft *find_owner(const struct config_draft *draft, uint8_t id)
{
    const struct view_config *view = draft->as.view;
    for (CONFIG_BEFORE(other, draft)) {
        const struct view_units *units = &other->as.view->units;
        if (same_place(view, other->as.view) && memchr(units->id, id, units->count))
            return other;
    }
    return view->listen.count == 0 ? config_unit_owner(draft, id) : NULL;
}

static void check_units(const struct config_draft *draft)
{
    const struct view_units *units = &draft->as.view->units;
    for (unsigned i = 0; i < units->count; i++) {
        const unsigned line = config_draft_text(draft, "unit", i)->line;
        if (memchr(units->id, units->id[i], i))
            config_mistake_at(draft, line, "unit %u is given twice", units->id[i]);
        const struct config_draft *owner = find_owner(draft, units->id[i]);
        if (owner)
            config_mistake_at(draft, line, "unit %u is already that of [%s %s] in line %u%s",
                              units->id[i], owner->section->word, owner->name,
                              config_draft_line(owner, "unit"),
                              owner->section == &view_section
                                  ? ""
                                  : "; expected another one, or a 'listen' of its own");
    }
}

static void check_view(struct config_draft *draft)
{
    if (config_draft_given(draft, "source") && config_draft_usable(draft, "source"))
        config_draft_refer(draft, "source", NULL, draft->as.view->source);
    check_listen(draft);
    check_units(draft);
    const unsigned before = draft->drafts->mistakes->count;
    struct view_config *view = draft->as.view;
    const struct row_rules rules = {.key = "register",
                                    .thing = "a register",
                                    .source = view->source,
                                    .big_words = view->big_words,
                                    .on_unknown = view->on_unknown,
                                    .on_stale = view->on_stale};
    config_rows_read(&rules, draft, &view->registers, &view->register_count);
    for (unsigned i = 0; i < view->fills.count; i++)
        for (unsigned n = 0; n < i; n++) {
            const struct view_fill *a = &view->fills.list[i], *b = &view->fills.list[n];
            if (a->first > b->last || b->first > a->last)
                continue;
            config_mistake_at(draft, line_of(draft, false, i),
                              "register %u is already filled in line %u",
                              (unsigned) fmax(a->first, b->first), line_of(draft, false, n));
            break;
        }
    /* If a register was rejected, a copy of it is not reported as well. */
    for (unsigned i = 0; draft->drafts->mistakes->count == before && i < view->copies.count; i++)
        check_copy(draft, i);
}

/* A register that an earlier push writes into the same server. */
static void check_others(const struct config_draft *draft, const struct register_row *write)
{
    for (CONFIG_BEFORE(other, draft)) {
        if (strcmp(other->as.push->target, draft->as.push->target) != 0 ||
            other->as.push->unit != draft->as.push->unit)
            continue;
        const struct push_config *push = other->as.push;
        for (unsigned i = 0; i < push->write_count; i++)
            if (config_rows_overlap(write, &push->writes[i])) {
                config_mistake_at(
                    draft, write->line_number, "register %u is already written in [push %s]",
                    (unsigned) fmax(write->address, push->writes[i].address), other->name);
                return;
            }
    }
}

static void check_push(struct config_draft *draft)
{
    struct push_config *push = draft->as.push;
    const struct row_rules rules = {.key = "write",
                                    .thing = "a write",
                                    .source = "",
                                    .write = true,
                                    .big_words = push->big_words,
                                    .on_stale = push->on_stale};
    config_rows_read(&rules, draft, &push->writes, &push->write_count);
    for (unsigned i = 0; i < push->write_count; i++) {
        const struct register_row *write = &push->writes[i];
        check_others(draft, write);
        if (write->deadband > 0 && !push->on_change)
            config_warn_at(
                draft, write->line_number,
                "'deadband' has no effect here: [push %s] has no 'on_change' behind its 'interval'",
                draft->name);
    }
}

// clang-format off
#define PUSH(member) CONFIG_FIELD(push_config, member), .on_change = CHANGE_SECTION
#define VIEW(member) CONFIG_FIELD(view_config, member)

static const struct config_key push_keys[] = {
    {.name = "target", PUSH(target), .type = &type_target,
     .also = "host port",
     .help = "The Modbus TCP server to which values are written."},
    {.name = "unit", PUSH(unit), .type = &type_whole, .min = 0, .max = 255,
     .preset = "1", .also = "id unit_id slave slave_id",
     .help = "The Modbus unit id of the server."},
    {.name = "interval", CONFIG_INTERVAL(push_config, 0.1, 86400),
     .preset = "5s", .on_change = CHANGE_SECTION, .also = "poll every",
     .help = "How often all values are written. on_change: a value that changed by more than its dead band is also "
             "written at once."},
    {.name = "on_stale", PUSH(on_stale), .type = &type_substitute, CONFIG_WORDS("skip", "unknown"), .min = -4294967295.0, .max = 4294967295.0,
     .preset = "skip",
     .help = "Replaces a stale or unknown value. skip: nothing is written, the server keeps the last value. unknown: "
             "the pattern for unknown in packgate's own register map (NaN, 0xFFFF, 0x8000, 0xFFFFFFFF, 0x80000000). A "
             "number: it is written unchanged."},
    {.name = "write", .offset = 0, .size = sizeof(struct push_config), .type = &type_write,
     .on_change = CHANGE_SECTION, .also = "register",
     .help = "A value and its register; once for each value. NAME is a pack or a bank, VALUE one of its numbers as "
             "named by `packgate read` or the register map (house-1.cell_mv.1, house-1.charged_wh, "
             "bank.packs_missing, house-1.alarm.soc_low), or fresh (1 while its values are fresh, else 0). Values "
             "that the map serves even for a silent pack (connection_state, age_s, counters) are always written. "
             "gateway.seconds is a counter of the running gateway, which wraps after 65535. REGISTER counts from "
             "0. TYPE is u16, s16, u32, s32 or float32. These words can follow, each with a blank and its value: "
             "map, scale, offset, min and max as in `register` of a view (the register gets value x scale + offset, "
             "rounded; a number that does not fit is replaced by the nearest one), word_order of u32, s32 and float32 "
             "(little, which is low word first, or big), on_stale as above, and deadband in the unit of the value (smaller changes are not written at once). Neighbouring registers are written with one request."},
    {.name = "word_order", PUSH(big_words), .type = &type_choice, CONFIG_WORDS("little", "big"),
     CONFIG_FOLDED("leave little out, and write big behind each value, as in 'write = house-1.power_w -> 46 s32 word_order big'")},
    {.name = "on_change", PUSH(on_change), .type = &type_choice, CONFIG_WORDS("no", "yes"),
     CONFIG_FOLDED("write it behind the interval, as in 'interval = 5s on_change'")},
    CONFIG_WITHOUT_EFFECT("function", "as a server that refuses function 6 or 16 gets the other one"),
    {.name = "reply_timeout", PUSH(timeout_s), .type = &type_duration, .min = 0.1, .max = 60, .start = "10s",
     CONFIG_FOLDED("leave it out, packgate reconnects after 10 seconds without a reply")},
};

const struct config_section push_section = {
    .word = "push", .heading = "[push NAME]", CONFIG_NAMED(push_config, pushes, push_count),
    .help = "A Modbus TCP server (PLC, inverter, SCADA) into whose registers values are written.",
    CONFIG_KEYS(push_keys), .check = check_push, .owned = offsetof(struct push_config, writes),
};

static const struct config_key view_keys[] = {
    {.name = "source", VIEW(source), .type = &type_name,
     .otherwise = "none: each value has the name of its pack or bank", .also = "pack bank",
     .help = "The pack or bank of values without a name."},
    {.name = "unit", VIEW(units), .type = &type_units,
     .also = "id units unit_id slave slave_id",
     .help = "The Modbus unit ids under which the view is served. Without a port of its own, a view with 0 or 255 replaces the "
             "first pack or bank there."},
    {.name = "listen", VIEW(listen), .type = &type_listen,
     .otherwise = "where the packs are served", .also = "port",
     .help = "Its own ports, which serve only views with the same port: all unit ids are free there, and clients "
             "that scan and misinterpret registers do not see the packs. [gateway] allow applies there, too."},
    {.name = "word_order", VIEW(big_words), .type = &type_choice, CONFIG_WORDS("little", "big"),
     .preset = "big", .also = "float_order",
     .help = "Order of the registers of wider types: little is low word first, big is high word first."},
    {.name = "on_unknown", VIEW(on_unknown), .type = &type_substitute, CONFIG_WORDS("unknown", "exception"),
     .min = -4294967295.0, .max = 4294967295.0,
     .preset = "unknown",
     .help = "What clients read for a value that the pack does not report. unknown: the pattern for unknown in "
             "packgate's own register map (NaN, 0xFFFF, 0x8000, 0xFFFFFFFF, 0x80000000; a text: NUL). exception: a read "
             "that includes it gets exception 0x0B. A number: it is served unchanged."},
    {.name = "on_stale", VIEW(on_stale), .type = &type_substitute, CONFIG_WORDS("exception", "unknown", "hold"),
     .min = -4294967295.0, .max = 4294967295.0,
     .preset = "exception",
     .help = "What clients read while the pack does not answer. exception: a read that includes it gets exception "
             "0x0B. hold: its last value. unknown and numbers as in on_unknown. Constants can always be read."},
    {.name = "register", .offset = 0, .size = sizeof(struct view_config), .type = &type_register,
     .also = "write registers",
     .help = "The content of a register; once for each. VALUE is as in `write` of a push, but without NAME for "
             "values of the source. It can be a number (0x8000) or, for a string, a text in double quotes, pack_name, "
             "serial, model, firmware or driver. Further values are level.ALARM (0, 1 warning, 2 protection), "
             "warning.ALARM, protection.ALARM and direction (0 idle, 1 charging, 2 discharging). Combine several "
             "values with blanks and + or - between them (unknown if one is), with | for the highest of those that "
             "are known, or with & for the lowest. REGISTER counts from 0. TYPE is u16, s16, u32, s32, u64, s64, "
             "float32, float64, bits16, bits32 or string N (N registers, padded with NUL). These words can follow, "
             "each with a blank and its value: map (IN:OUT pairs separated by blanks; other numbers are unknown), "
             "scale and offset, min and max, bit (several lines may then have the same register, and a bit is set "
             "if one of its lines is not 0), word_order, on_unknown and on_stale. A number that does not fit is "
             "replaced by the nearest one."},
    {.name = "fill", CONFIG_FIELDS(view_config, {VIEW(fills)}, {VIEW(copies)}), .type = &type_fill,
     .otherwise = "none",
     .help = "Further registers. FROM-TO VALUE: a constant where no `register` is defined. FROM-TO -> REGISTER: these "
             "registers can also be read from another address on. A read that includes any other register "
             "gets exception 0x02."},
    {.name = "copy", CONFIG_FIELDS(view_config, {VIEW(copies)}), .type = &type_fill,
     CONFIG_FOLDED("write it as 'fill', as in 'fill = 40000-40131 -> 0'")},
};

const struct config_section view_section = {
    .word = "view", .heading = "[view NAME]", CONFIG_NAMED(view_config, views, view_count),
    .help = "Registers at the addresses that another program expects: a Modbus unit of its own, whose registers are "
            "chosen one by one. docs/views.md lists ready-made ones.",
    CONFIG_KEYS(view_keys), .check = check_view, .owned = offsetof(struct view_config, registers),
};
// clang-format on
