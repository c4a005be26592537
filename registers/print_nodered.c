// SPDX-License-Identifier: MIT
/*
 * A flow for Node-RED with node-red-contrib-modbus, of each pack: for each group a node that reads
 * it and a function that makes of its registers an object, unknown values null. A pack that is
 * silent sends no message.
 */
#include "map.h"

#include "print.h"

#include <jansson.h>

#define FLOW "packgate-flow"
#define CLIENT "packgate-client"
#define SHOW "packgate-show"
#define LINE_HEIGHT 60

static const char decode_registers[] =
    "const registers = msg.payload;\n"
    "function wide(at) {\n"
    "    const [a, b] = [registers[at], registers[at + 1]];\n"
    "    return highFirst ? a * 65536 + b : b * 65536 + a;\n"
    "}\n"
    "function real(at) {\n"
    "    const bytes = Buffer.alloc(4);\n"
    "    bytes.writeUInt32BE(wide(at));\n"
    "    const value = bytes.readFloatBE();\n"
    "    return Number.isNaN(value) ? null : Number(value.toPrecision(7));\n"
    "}\n"
    "function text(at) {\n"
    "    const codes = registers.slice(at, at + 16).flatMap(r => [r >> 8, r & 255]);\n"
    "    return String.fromCharCode(...codes).trim() || null;\n"
    "}\n"
    "const known = (value, unknown) => value === unknown ? null : value;\n"
    "const read = {\n"
    "    u16: at => known(registers[at], 0xFFFF),\n"
    "    s16: at => known(registers[at] << 16 >> 16, -0x8000),\n"
    "    u32: at => known(wide(at), 0xFFFFFFFF),\n"
    "    float32: real,\n"
    "    string: text,\n"
    "};\n"
    "msg.payload = {};\n"
    "for (const row of rows)\n"
    "    msg.payload[row.name] = read[row.type](row.at);\n"
    "return msg;\n";

static const char decode_bits[] = "const bits = msg.payload;\n"
                                  "msg.payload = {};\n"
                                  "for (const row of rows)\n"
                                  "    msg.payload[row.name] = Boolean(bits[row.at]);\n"
                                  "return msg;\n";

/* A group as it is read: its registers or bits, and where in them each value stands. */
struct reading {
    char title[80];
    const char *kind;
    unsigned unit, address, quantity, rate_s;
    json_t *rows;
    const char *settings, *decode;
};

static void append_row(json_t *rows, const char *name, unsigned at, const char *type)
{
    json_array_append_new(rows,
                          json_pack("{s:s s:i s:s}", "name", name, "at", (int) at, "type", type));
}

static json_t *make_function(const char *id, const struct reading *reading, int y)
{
    char *rows = json_dumps(reading->rows, JSON_COMPACT);
    json_t *code = json_sprintf("%sconst rows = %s;\n%s", reading->settings, rows, reading->decode);
    free(rows);
    return json_pack("{s:s+ s:s s:s s:s s:o s:i s:i s:i s:[[s]]}", "id", id, "-decode", "type",
                     "function", "z", FLOW, "name", reading->title, "func", code, "outputs", 1, "x",
                     500, "y", y, "wires", SHOW);
}

static json_t *make_read(const char *id, const struct reading *reading, int y)
{
    json_t *node = json_pack("{s:s s:s s:s s:s s:s s:s s:s}", "id", id, "type", "modbus-read", "z",
                             FLOW, "name", reading->title, "topic", reading->title, "dataType",
                             reading->kind, "rateUnit", "s");
    json_t *more = json_pack(
        "{s:o s:o s:o s:o s:s s:b s:b s:b s:b s:i s:i s:[[s+][]]}", "unitid",
        json_sprintf("%u", reading->unit), "adr", json_sprintf("%u", reading->address), "quantity",
        json_sprintf("%u", reading->quantity), "rate", json_sprintf("%u", reading->rate_s),
        "server", CLIENT, "showErrors", 1, "emptyMsgOnFail", 0, "useIOFile", 0, "useIOForPayload",
        0, "x", 200, "y", y, "wires", id, "-decode");
    json_object_update(node, more);
    json_decref(more);
    return node;
}

static void append_reading(const struct map_settings *settings, json_t *flow,
                           const struct reading *reading)
{
    char id[48];
    int y = LINE_HEIGHT * (int) (1 + json_array_size(flow) / 2);
    if (clients_are_example(settings))
        snprintf(id, sizeof id, "packgate-%s-%u", reading->kind, reading->address);
    else
        snprintf(id, sizeof id, "packgate-%u-%s-%u", reading->unit, reading->kind,
                 reading->address);
    json_array_append_new(flow, make_read(id, reading, y));
    json_array_append_new(flow, make_function(id, reading, y));
}

/* Of the example only what it is, else whose. */
static void make_title(const struct map_settings *settings, const struct map_unit *unit,
                       const char *title, struct reading *reading)
{
    bool example = clients_are_example(settings);
    snprintf(reading->title, sizeof reading->title, "%s%s%s", example ? "" : unit->name,
             example ? "" : " ", title);
}

static void append_group(const struct map_settings *settings, const struct map_unit *unit,
                         const struct map_group *group, json_t *flow)
{
    char name[VALUE_NAME_SIZE];
    struct reading reading = {
        .kind = "HoldingRegister",
        .unit = unit->unit,
        .address = (unsigned) settings->base + group->offset,
        .rate_s = group->poll_s,
        .rows = json_array(),
        .settings =
            settings->big_floats ? "const highFirst = true;\n" : "const highFirst = false;\n",
        .decode = decode_registers,
    };
    make_title(settings, unit, group->title, &reading);
    for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++) {
        if (!row_is_polled(group, row))
            continue;
        unsigned count = clients_are_example(settings) ? row->count : unit_elements(unit, row);
        for (unsigned n = 0; n < count; n++) {
            unsigned at = map_row_offset(row, n) - group->offset;
            append_row(reading.rows, element_name(row, n, name), at, map_types[row->type].name);
            reading.quantity = at + map_types[row->type].registers;
        }
    }
    if (reading.quantity > 0)
        append_reading(settings, flow, &reading);
    json_decref(reading.rows);
}

/* Not the switches: a bit cannot say that the BMS does not report them. */
static void append_inputs(const struct map_settings *settings, const struct map_unit *unit,
                          json_t *flow)
{
    struct reading reading = {
        .kind = "Input",
        .unit = unit->unit,
        .quantity = MAP_INPUTS,
        .rate_s = 10,
        .rows = json_array(),
        .settings = "",
        .decode = decode_bits,
    };
    make_title(settings, unit, "Alarms and states", &reading);
    for (const struct map_bit *bit = map_inputs; bit < map_inputs + map_input_count; bit++)
        if (bit->source != BIT_OF_PACK)
            append_row(reading.rows, bit->name, bit->number, "bit");
    append_reading(settings, flow, &reading);
    json_decref(reading.rows);
}

void print_nodered(const struct map_settings *settings, FILE *out)
{
    const struct map_clients *clients = clients_of(settings);
    json_t *flow = json_pack(
        "[{s:s s:s s:s s:s}"
        " {s:s s:s s:s s:s s:s s:o s:s s:s s:i s:i s:b s:i s:b}"
        " {s:s s:s s:s s:s s:b s:b s:s s:s s:i s:i s:[]}]",
        "id", FLOW, "type", "tab", "label", "packgate", "info",
        clients_are_example(settings)
            ? "One pack behind packgate, as printed by packgate map --format nodered. Needs "
              "node-red-contrib-modbus. Set the host in the node packgate; for another pack the "
              "unit id in each node that reads."
            : "The packs and banks behind packgate, as printed by packgate map --format nodered -c "
              "FILE. Needs node-red-contrib-modbus.",
        "id", CLIENT, "type", "modbus-client", "name", "packgate", "clienttype", "tcp", "tcpHost",
        clients->host, "tcpPort", json_sprintf("%u", clients->port), "tcpType", "DEFAULT",
        "unit_id", "1", "commandDelay", 1, "clientTimeout", 5000, "reconnectOnTimeout", 1,
        "reconnectTimeout", 2000, "bufferCommands", 1, "id", SHOW, "type", "debug", "z", FLOW,
        "name", "values", "active", 1, "tosidebar", 1, "complete", "payload", "targetType", "msg",
        "x", 780, "y", LINE_HEIGHT, "wires");
    for (unsigned n = 0; n < clients->count; n++) {
        for (const struct map_group *group = map_groups; group < map_groups + map_group_count;
             group++)
            append_group(settings, &clients->units[n], group, flow);
        append_inputs(settings, &clients->units[n], flow);
    }
    json_dumpf(flow, out, JSON_INDENT(2));
    fputc('\n', out);
    json_decref(flow);
}
