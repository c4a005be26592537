// SPDX-License-Identifier: MIT
/*
 * The interpreter of templates (docs/templates.md) is Lua's: a template is translated line by line, so that Lua's
 * messages have its line numbers. Text becomes a call that prints it, a tag what it says. template.lua has the
 * functions and loops; this file translates, and passes on what the map and the configuration hold.
 */
#include "template.h"

#include "rows.h"
#include "value.h"

#include "bms/count.h"

#include <jansson.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

/* Steps of Lua for each unit, and once more. The largest file takes less than a twentieth of that. */
#define STEPS_MOST 5000000

struct job {
    const struct map_settings *settings;
    const char *format;
    bool example;
    char *lua; /* the translated template */
    size_t size;
    struct template_fault *fault;
};

/* ---- from a template to Lua ---- */

#define LETTERS "abcdefghijklmnopqrstuvwxyz"

/* The variables of all loops, so that those of loops around one can be asked for. */
static const char before[] =
    "local unit, group, row, input, coil, connection, dashboard, n, first, last; ";
static const char behind[] = " return printed()";

static const struct {
    const char *name, *variables, *items;
} loops[] = {
    {"unit", "unit", "lists.unit"},
    {"group", "group", "lists.group"},
    {"row", "row", "rows(unit, group)"},
    {"input", "input", "lists.input"},
    {"coil", "coil", "lists.coil"},
    {"connection", "connection", "lists.connection"},
    {"dashboard", "dashboard", "dashboards(connection)"},
    {"n", "n, row", "numbers(row, "},
};

/* Tags, and what stands before and behind the rest of them. */
static const struct {
    const char *word, *before, *behind;
} tags[] = {
    {"if", " if ", " then "}, {"elseif", " elseif ", " then "},
    {"else", " else ", ""},   {"end", " end ", ""},
    {"set", " ", ";"},        {"json", " for _ in captured() do ", ""},
};

/* Where this begins outside of quotes; NULL: nowhere. */
static char *find(char *at, const char *what)
{
    char quote = '\0';
    for (; *at; at++) {
        if (!quote && strncmp(at, what, strlen(what)) == 0)
            return at;
        if (quote && *at == '\\' && at[1])
            at++;
        else if (quote ? *at == quote : *at == '"' || *at == '\'')
            quote = quote ? '\0' : *at;
    }
    return NULL;
}

/* row, row if CONDITION, n to NUMBER, n to NUMBER if CONDITION */
static const char *put_loop(FILE *lua, char *text)
{
    const size_t size = strspn(text, LETTERS);
    char *condition = find(text, " if "), *most = find(text, " to ");
    if (condition)
        *condition = '\0';
    for (size_t i = 0; i < COUNT(loops); i++)
        if (strlen(loops[i].name) == size && strncmp(loops[i].name, text, size) == 0) {
            fprintf(lua, " for first, last, %s in loop(function(%s) return %s end, %s%s%s) do ",
                    loops[i].variables, loops[i].variables, condition ? condition + 4 : "true",
                    loops[i].items, most ? most + 4 : text + size, most ? ")" : "");
            return NULL;
        }
    return "unknown loop; expected unit, group, row, input, coil, connection, dashboard or n to";
}

/* Returns the reason if it is none. */
static const char *put_tag(FILE *lua, char *text)
{
    text += strspn(text, " \t");
    const size_t size = strspn(text, LETTERS);
    char *rest = text + size + strspn(text + size, " \t");
    for (size_t i = 0; i < COUNT(tags); i++)
        if (strlen(tags[i].word) == size && strncmp(tags[i].word, text, size) == 0) {
            fprintf(lua, "%s%s%s", tags[i].before, rest, tags[i].behind);
            return NULL;
        }
    return size == 3 && strncmp(text, "for", size) == 0
               ? put_loop(lua, rest)
               : "expected for, if, else, elseif, end, set or json";
}

/* Text up to its end or that of its line. A line feed in it is one in Lua, too. */
static void put_text(FILE *lua, const char *text, size_t size)
{
    fputs(" put\"", lua);
    for (size_t i = 0; i < size; i++)
        if (text[i] == '\r')
            fputs("\\r", lua);
        else
            fprintf(lua, strchr("\"\\\n", text[i]) ? "\\%c" : "%c", text[i]);
    fputs("\";", lua);
}

static const char *closing_of(const char *at)
{
    return *at != '{'     ? NULL
           : at[1] == '{' ? "}}"
           : at[1] == '%' ? "%}"
           : at[1] == '#' ? "#}"
                          : NULL;
}

/* The end of a line that contains only tags or comments, which is not printed; NULL: another kind of line. */
static const char *end_of_tag_line(const char *line)
{
    for (const char *at = line;;) {
        const char *begin = at + strspn(at, " \t"), *closing = closing_of(begin), *end;
        if (!*begin || *begin == '\n')
            return at > line ? begin + (*begin == '\n') : NULL;
        if (!closing || begin[1] == '{' || !(end = strstr(begin, closing)))
            return NULL;
        at = end + 2;
    }
}

/* Translates a template, which is changed. */
static bool translate(char *text, FILE *lua, struct template_fault *fault)
{
    const char *silent_to = text, *reason = NULL;
    fputs(before, lua);
    fault->line = 1;
    for (char *at = text, *end; *at; at = end) {
        const char *closing = closing_of(at), *tags_to = NULL;
        if (at == text || at[-1] == '\n')
            tags_to = end_of_tag_line(at);
        silent_to = tags_to ? tags_to : silent_to;
        if (!closing) {
            end = at + 1 + (*at == '\n' ? 0 : strcspn(at + 1, "{\n"));
            end += *at != '\n' && *end == '\n';
            if (at >= silent_to)
                put_text(lua, at, (size_t) (end - at));
            else if (end[-1] == '\n')
                fputc('\n', lua);
            fault->line += end[-1] == '\n';
            continue;
        }
        const char kind = at[1];
        end = kind == '#' ? strstr(at + 2, closing) : find(at + 2, closing);
        if (!end) {
            snprintf(fault->reason, sizeof fault->reason, "expected '%s'", closing);
            return false;
        }
        *end = '\0';
        unsigned lines = 0;
        for (char *c = at; (c = strchr(c, '\n')) != NULL; lines++)
            *c = ' ';
        if (kind == '{')
            fprintf(lua, " put(%s);", at + 2);
        else if (kind == '%')
            reason = put_tag(lua, at + 2);
        if (reason) {
            snprintf(fault->reason, sizeof fault->reason, "%s", reason);
            return false;
        }
        fault->line += lines;
        while (lines-- > 0)
            fputc('\n', lua);
        end += 2;
    }
    fputs(behind, lua);
    return true;
}

/* ---- what a template can ask for; each sets members of the table at the top ---- */

static void set_text(lua_State *lua, const char *name, const char *text)
{
    lua_pushstring(lua, text ? text : "");
    lua_setfield(lua, -2, name);
}

static void set_number(lua_State *lua, const char *name, lua_Integer number)
{
    lua_pushinteger(lua, number);
    lua_setfield(lua, -2, name);
}

static void set_flag(lua_State *lua, const char *name, bool is)
{
    lua_pushboolean(lua, is);
    lua_setfield(lua, -2, name);
}

static void set_unit(lua_State *lua, const struct map_settings *settings, unsigned at)
{
    const struct map_unit *unit = &settings->clients->units[at];
    set_text(lua, "name", unit->name);
    set_text(lua, "title", unit->title);
    set_number(lua, "id", unit->unit);
    set_number(lua, "cells", unit->cells);
    set_number(lua, "sensors", unit->sensors);
}

static void set_group(lua_State *lua, const struct map_settings *settings, unsigned at)
{
    const struct map_group *group = &map_groups[at];
    bool has_arrays = false;
    for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++)
        has_arrays |= map_group_has(group, row) && row->count > 1;
    set_text(lua, "title", group->title);
    set_text(lua, "text", group->text);
    set_number(lua, "offset", group->offset);
    set_number(lua, "size", group->size);
    set_number(lua, "poll_s", group->poll_s);
    set_flag(lua, "has_arrays", has_arrays);
}

static void set_row(lua_State *lua, const struct map_settings *settings, unsigned at)
{
    static const char *const blocks[] = {
        [COMPATIBILITY] = "compatibility", [EXTENDED] = "extended"};
    const struct map_row *row = &map_rows[at];
    const bool of_pack = row->source == OF_PACK,
               shown = row->source == OF_STATE && row->id == SHOWN_TEMP_AVG;
    const char *unit = shown && settings->fahrenheit ? "°F" : row->unit;
    const lua_Integer pattern = (lua_Integer) map_types[row->type].unknown;
    set_text(lua, "name", row->name);
    set_text(lua, "meaning", row->meaning);
    set_text(lua, "block",
             row->offset >= MAP_SETTINGS_OFFSET ? "settings" : blocks[map_row_block(row)]);
    set_text(lua, "of", of_pack ? "pack" : row->source == OF_BANK ? "bank" : "gateway");
    set_text(lua, "unit", unit);
    set_text(lua, "type", map_types[row->type].name);
    set_text(lua, "access", map_row_access(settings, row));
    set_text(lua, "device_class", meaning_device_class(row->name, unit));
    set_text(lua, "state_class", meaning_state_class(unit, row->type == REG_U32));
    /* The member of a unit that says how many elements it has. */
    set_text(lua, "elements",
             !of_pack || row->count == 1 ? ""
             : row->id == CELL_MV        ? "cells"
             : row->id == TEMP_C         ? "sensors"
                                         : "");
    set_number(lua, "offset", row->offset);
    set_number(lua, "count", row->count);
    set_number(lua, "registers", map_types[row->type].registers);
    lua_pushnumber(lua, row->scale);
    lua_setfield(lua, -2, "scale");
    set_number(lua, "decimals",
               pack_value_info(of_pack ? (enum pack_value) row->id : TEMP_C)->decimals);
    set_flag(lua, "high_first", map_row_high_first(settings, row));
    if (row->type == REG_FLOAT32 || row->type == REG_STRING)
        set_text(lua, "unknown", "");
    else
        set_number(lua, "unknown", row->type == REG_S16 ? pattern - 0x10000 : pattern);
}

static void set_bit(lua_State *lua, const struct map_settings *settings, const struct map_bit *bit)
{
    static const char *const owners[] = {
        [BIT_OF_ALARM] = "alarm", [BIT_OF_PACK] = "pack", [BIT_OF_STATE] = "state"};
    set_text(lua, "name", bit->name);
    set_text(lua, "of", owners[bit->source]);
    set_text(lua, "access", map_access(settings, bit->class));
    set_text(lua, "meaning", bit->meaning);
    set_number(lua, "number", bit->number);
}

static void set_input(lua_State *lua, const struct map_settings *settings, unsigned at)
{
    set_bit(lua, settings, &map_inputs[at]);
}

static void set_coil(lua_State *lua, const struct map_settings *settings, unsigned at)
{
    set_bit(lua, settings, &map_coils[at]);
}

static void set_dashboard(lua_State *lua, const struct map_settings *settings, unsigned at)
{
    const struct map_mqtt *mqtt = &settings->clients->mqtts[at];
    set_text(lua, "name", mqtt->name);
    set_text(lua, "host", mqtt->host);
    set_text(lua, "user", mqtt->user);
    set_text(lua, "password", mqtt->password);
    set_text(lua, "topic", mqtt->topic);
    set_text(lua, "pack", mqtt->pack);
    set_number(lua, "number", mqtt->dashboard + 1);
    set_number(lua, "connection", mqtt->connection + 1);
    set_number(lua, "port", mqtt->port);
    set_number(lua, "cells", mqtt->cells);
    set_flag(lua, "has_password", mqtt->password != NULL);
    set_flag(lua, "tls", mqtt->tls);
    set_flag(lua, "switching", mqtt->switching);
}

static void set_gateway(lua_State *lua, const struct job *job)
{
    const struct map_settings *settings = job->settings;
    set_text(lua, "host", settings->clients->host);
    set_text(lua, "format", job->format);
    set_number(lua, "port", settings->clients->port);
    set_number(lua, "version", MAP_VERSION);
    set_number(lua, "base", settings->base);
    set_number(lua, "inputs", MAP_INPUTS);
    set_flag(lua, "example", job->example);
    set_flag(lua, "writable", settings->writable);
    set_flag(lua, "high_first", settings->big_floats);
    if (map_has_copy(settings))
        set_number(lua, "also_at", settings->also_at);
    else
        set_text(lua, "also_at", "");
}

static void set_lists(lua_State *lua, const struct map_settings *settings)
{
    const struct {
        const char *name;
        unsigned count;
        void (*set)(lua_State *lua, const struct map_settings *settings, unsigned at);
    } lists[] = {{"unit", settings->clients->count, set_unit},
                 {"group", map_group_count, set_group},
                 {"row", map_row_count, set_row},
                 {"input", map_input_count, set_input},
                 {"coil", map_coil_count, set_coil},
                 {"dashboard", settings->clients->mqtt_count, set_dashboard}};
    for (size_t i = 0; i < COUNT(lists); i++) {
        lua_newtable(lua);
        for (unsigned at = 0; at < lists[i].count; at++) {
            lua_newtable(lua);
            lists[i].set(lua, settings, at);
            lua_rawseti(lua, -2, at + 1);
        }
        lua_setfield(lua, -2, lists[i].name);
    }
}

/* ---- running it ---- */

/* A text in quotes; nil: not UTF-8. */
static int quote(lua_State *lua)
{
    size_t size;
    const char *bytes = luaL_checklstring(lua, 1, &size);
    json_t *text = json_stringn(bytes, size);
    char *quoted = text ? json_dumps(text, JSON_ENCODE_ANY) : NULL;
    lua_pushstring(lua, quoted);
    free(quoted);
    json_decref(text);
    return 1;
}

/* Called with the message of a mistake: notes the line of the template that led there. */
static int note_line(lua_State *lua)
{
    struct job *job = lua_touserdata(lua, lua_upvalueindex(1));
    lua_Debug at;
    for (int level = 0; lua_getstack(lua, level, &at) && job->fault->line == 0; level++) {
        lua_getinfo(lua, "Sl", &at);
        if (strcmp(at.source, "=template") == 0)
            job->fault->line = (unsigned) at.currentline;
    }
    return 1;
}

static void stop(lua_State *lua, lua_Debug *at)
{
    luaL_error(lua, "it does not end");
}

static void load(lua_State *lua, const char *text, size_t size, const char *name)
{
    if (luaL_loadbufferx(lua, text, size, name, "t") != LUA_OK)
        lua_error(lua);
}

static int run(lua_State *lua)
{
    const struct job *job = lua_touserdata(lua, 1);
    lua_sethook(lua, stop, LUA_MASKCOUNT, STEPS_MOST * (1 + (int) job->settings->clients->count));
    luaL_requiref(lua, LUA_GNAME, luaopen_base, 1);
    luaL_requiref(lua, LUA_TABLIBNAME, luaopen_table, 1);
    luaL_requiref(lua, LUA_STRLIBNAME, luaopen_string, 1);
    load(lua, template_lua, strlen(template_lua), "=template.lua");
    lua_newtable(lua);
    set_gateway(lua, job);
    lua_newtable(lua);
    set_lists(lua, job->settings);
    lua_pushcfunction(lua, quote);
    lua_call(lua, 3, 1);
    load(lua, job->lua, job->size, "=template");
    lua_insert(lua, -2);
    lua_setupvalue(lua, -2, 1); /* its names are those of the environment alone */
    lua_call(lua, 0, 1);
    return 1;
}

/* Takes the place, "template:12: ", off a message; of a mistake in the form of the template that is its only line. */
static void take_message(const char *message, struct template_fault *fault)
{
    static const char place[] = "template";
    char *rest;
    if (strncmp(message, place, strlen(place)) == 0 && (message = strchr(message, ':'))) {
        const unsigned line = (unsigned) strtoul(message + 1, &rest, 10);
        fault->line = fault->line ? fault->line : line;
        message = rest + strspn(rest, ": ");
    }
    fault->line = fault->line ? fault->line : 1;
    snprintf(fault->reason, sizeof fault->reason, "%s", message);
}

bool template_print(const char *text, const char *format, const struct map_settings *settings,
                    FILE *out, struct template_fault *fault)
{
    static const struct map_unit unit = {
        .name = "Battery", .title = "Battery", .unit = 1, .cells = 16, .sensors = 4};
    static const struct map_clients example = {
        .host = "192.0.2.1", .port = 502, .units = &unit, .count = 1};
    struct map_settings usual = *settings;
    struct job job = {
        .settings = &usual, .format = format, .example = !settings->clients, .fault = fault};
    char *copy = strdup(text);
    FILE *translated = open_memstream(&job.lua, &job.size);
    lua_State *lua = luaL_newstate();
    bool good = false;
    *fault = (struct template_fault){.line = 1, .reason = "out of memory"};
    usual.clients = settings->clients ? settings->clients : &example;
    if (copy && translated && lua)
        good = translate(copy, translated, fault);
    if (translated && fclose(translated) != 0)
        good = false;
    if (good) {
        fault->line = 0;
        lua_pushlightuserdata(lua, &job);
        lua_pushcclosure(lua, note_line, 1);
        lua_pushcfunction(lua, run);
        lua_pushlightuserdata(lua, &job);
        good = lua_pcall(lua, 1, 1, 1) == LUA_OK;
        if (good)
            fputs(lua_tostring(lua, -1), out);
        else
            take_message(lua_tostring(lua, -1), fault);
    }
    if (lua)
        lua_close(lua);
    free(job.lua);
    free(copy);
    return good;
}

bool map_print(const struct map_settings *settings, const char *format, FILE *out)
{
    const struct template_file *file = template_files;
    struct template_fault fault;
    /* Three sizes of a file come from one template. */
    const char *name =
        strcmp(format, "homeassistant-basic") == 0 || strcmp(format, "homeassistant-cells") == 0
            ? "homeassistant"
            : format;
    while (file->name && strcmp(file->name, name) != 0)
        file++;
    return file->text && template_print(file->text, format, settings, out, &fault);
}
