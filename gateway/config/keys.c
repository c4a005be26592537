// SPDX-License-Identifier: MIT
/* The table of keys, and the manual that is printed from it. */
#include "keys.h"

#include "types.h"

#include <string.h>

static const struct config_section_info sections[CONFIG_SECTIONS] = {
    [SECTION_GATEWAY] = {"gateway", false, "[gateway]",
                         "The program as a whole: where it listens and how it serves. Not needed "
                         "where the defaults do."},
    [SECTION_LINE] = {"line", true, "[line NAME]",
                      "A serial port, or a TCP connection to a serial server, with one or more "
                      "packs on it."},
    [SECTION_PACK] = {"pack", true, "[pack NAME]",
                      "A BMS on a line and the Modbus unit id under which it is served."},
    [SECTION_BANK] = {"bank", true, "[bank NAME]",
                      "Packs wired in parallel, served as one under a Modbus unit id of its own: "
                      "sums, averages and "
                      "worst cases of those that are fresh. The first bank also answers as units 0 "
                      "and 255, in place "
                      "of the first pack."},
    [SECTION_PUSH] =
        {"push", true, "[push NAME]",
         "A Modbus TCP server (PLC, inverter, SCADA) into whose registers values are written."},
};

// clang-format off
#define WORDS(...) .words = (const char *const[]) {__VA_ARGS__, NULL}
#define GATEWAY(member) .section = SECTION_GATEWAY, .offset = offsetof(struct gateway_config, member)
#define LINE(member) .section = SECTION_LINE, .offset = offsetof(struct line_config, member)
#define PACK(member) .section = SECTION_PACK, .offset = offsetof(struct pack_draft, member)
#define BANK(member) .section = SECTION_BANK, .offset = offsetof(struct bank_draft, member)
#define PUSH(member) .section = SECTION_PUSH, .offset = offsetof(struct push_draft, member)

const struct config_key config_keys[] = {
    {.name = "listen", .section = SECTION_GATEWAY, .offset = 0, .type = &type_listen,
     .preset = "0.0.0.0:502",
     .help = "Where Modbus TCP clients connect. Port 0 takes any free port."},
    {.name = "allow", GATEWAY(allow), .type = &type_allow,
     .preset = "127.0.0.0/8, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, ::1/128, fc00::/7, fe80::/10",
     .help = "The networks that clients may come from; all others are turned away. The default is this "
             "host and all private networks."},
    {.name = "allow_write", GATEWAY(allow_write), .type = &type_allow,
     .preset = "127.0.0.0/8, ::1/128",
     .help = "The networks whose clients may switch the MOS of packs that are writable. The default is this host."},
    {.name = "base", GATEWAY(map.base), .type = &type_int, .min = 0, .max = 65535,
     .preset = "290",
     .help = "Address (zero-based) of the compatibility block; everything else follows at base + 110."},
    {.name = "also_at", GATEWAY(map.also_at), .type = &type_also_at, .min = 0, .max = 65535,
     .preset = "100",
     .help = "Address of a copy of the compatibility block."},
    {.name = "float_order", GATEWAY(map.big_floats), .type = &type_flag, WORDS("little", "big"),
     .preset = "little",
     .help = "Order of the two registers of a float: little is low word first, big is high word first."},
    {.name = "temperature", GATEWAY(map.fahrenheit), .type = &type_flag, WORDS("c", "f"),
     .preset = "c",
     .help = "Unit of the average temperature in the compatibility block: Celsius or Fahrenheit."},
    {.name = "poll", GATEWAY(poll_s), .type = &type_seconds, .min = 0.1, .max = 3600,
     .preset = "1s",
     .help = "How often each pack is read."},
    {.name = "stale_after", GATEWAY(stale_after_s), .type = &type_seconds, .min = 1, .max = 86400,
     .otherwise = "five poll intervals, at least 10s; two and a half rounds of a line that takes longer",
     .help = "For how long the values of a pack that does not answer are still served."},
    {.name = "on_stale", GATEWAY(on_stale), .type = &type_choice, WORDS("exception", "hold"),
     .preset = "exception",
     .help = "What a client gets after that: exception 0x0B, or the last values with the failure flag set."},
    {.name = "spike_soc", GATEWAY(spikes.soc_percent), .type = &type_decimal, .min = 0, .max = 100,
     .preset = "10",
     .help = "In percent: a state of charge that jumps further between two polls is held back until the next poll "
             "confirms it. 0 takes it as it comes."},
    {.name = "spike_voltage", GATEWAY(spikes.voltage_percent), .type = &type_decimal, .min = 0, .max = 100,
     .preset = "20",
     .help = "The same for the pack's voltage, in percent of the voltage before."},
    {.name = "spike_cell", GATEWAY(spikes.cell_mv), .type = &type_decimal, .min = 0, .max = 6000,
     .preset = "300",
     .help = "The same for the voltage of a cell, in mV."},
    {.name = "spike_temperature", GATEWAY(spikes.temperature_c), .type = &type_decimal, .min = 0, .max = 200,
     .preset = "10",
     .help = "The same for a temperature, in °C."},
    {.name = "max_clients", GATEWAY(max_clients), .type = &type_unsigned, .min = 1, .max = 1000,
     .preset = "256",
     .help = "Clients at one time; one more takes the place of the longest idle one."},
    {.name = "idle_timeout", GATEWAY(idle_timeout_s), .type = &type_seconds, .min = 1, .max = 86400,
     .preset = "10m",
     .help = "A client that asks nothing for so long is disconnected."},
    {.name = "dashboard_id", GATEWAY(map.dashboard_id), .type = &type_u16, .min = 0, .max = 65535,
     .preset = "0",
     .help = "Served at base + 53, for displays that ask for it."},
    {.name = "display_1", GATEWAY(map.display[0]), .type = &type_u32, .min = 0, .max = 4294967295.0,
     .preset = "0",
     .help = "Served at base + 54 and 55, high word first."},
    {.name = "display_2", GATEWAY(map.display[1]), .type = &type_u32, .min = 0, .max = 4294967295.0,
     .preset = "0",
     .help = "Served at base + 56 and 57, high word first."},
    {.name = "state_file", GATEWAY(state_file), .type = &type_path,
     .preset = "/var/lib/packgate/state",
     .help = "Keeps the day's highest state of charge and the energy counters over a restart."},

    {.name = "port", LINE(port), .type = &type_port,
     .help = "Where the packs are connected: a serial port (its name below /dev/serial/by-id/ stays the same "
             "whatever else is plugged in), the raw TCP port of a serial server, or simulated packs."},
    {.name = "protocol", LINE(driver), .type = &type_protocol,
     .otherwise = "each pack names its own",
     .help = "What the packs of this line speak."},
    {.name = "baud", LINE(baud), .type = &type_unsigned, .min = 300, .max = 4000000,
     .otherwise = "the protocol's",
     .help = "Speed of the serial port. A serial server has its own setting."},
    {.name = "framing", LINE(framing), .type = &type_framing,
     .otherwise = "the protocol's",
     .help = "Data bits, parity and stop bits of the serial port."},
    {.name = "reply_timeout", LINE(reply_ms), .type = &type_millis, .min = 0.01, .max = 60,
     .otherwise = "the protocol's",
     .help = "Silence that counts as no answer."},
    {.name = "gap", LINE(gap_ms), .type = &type_millis, .min = 0, .max = 10,
     .otherwise = "the protocol's",
     .help = "Silence before each request."},
    {.name = "tries", LINE(tries), .type = &type_unsigned, .min = 1, .max = 10,
     .otherwise = "the protocol's",
     .help = "How often a request is sent before it counts as unanswered."},
    {.name = "rts", LINE(rts), .type = &type_choice, WORDS("default", "on", "off", "rs485"),
     .preset = "default",
     .help = "The RTS line of the serial port: as the system sets it, held on or off (powers some adapters), or "
             "on while sending, for RS485 converters that have no automatic of their own."},

    {.name = "line", PACK(line), .type = &type_name,
     .help = "The line that the pack is on."},
    {.name = "protocol", PACK(pack.driver), .type = &type_protocol,
     .otherwise = "its line's",
     .help = "What the BMS speaks. auto: found out at the start, which takes up to 20 s, and remembered in the state "
             "file; for a pack that is alone on its line."},
    {.name = "address", PACK(pack.options.address), .type = &type_int, .min = 0, .max = 255,
     .otherwise = "the protocol's",
     .help = "The BMS's own address on the line, as set by its switches or its app."},
    {.name = "adr", PACK(pack.options.adr), .type = &type_int, .min = 0, .max = 255,
     .otherwise = "the same as address",
     .help = "Where the protocol has a second address, as topbms behind a master."},
    {.name = "variant", PACK(variant), .type = &type_name,
     .otherwise = "the protocol's first",
     .help = "Which make, where several share a protocol."},
    {.name = "current", PACK(pack.options.current), .type = &type_choice, WORDS("auto", "normal", "inverted"),
     .preset = "auto",
     .help = "Which way round the BMS reports the current. Positive must charge the pack; try inverted where it "
             "does not."},
    {.name = "capacity", PACK(pack.options.capacity_ah), .type = &type_decimal, .min = 0.1, .max = 100000,
     .otherwise = "what the BMS says",
     .help = "Capacity of the pack in Ah, for meters that do not know it."},
    {.name = "unit", PACK(pack.unit), .type = &type_int, .min = 1, .max = 247,
     .help = "The Modbus unit id under which the pack is served."},
    {.name = "poll", PACK(pack.poll_s), .type = &type_seconds, .min = 0.1, .max = 3600,
     .otherwise = "the gateway's",
     .help = "How often this pack is read."},
    {.name = "stale_after", PACK(pack.stale_after_s), .type = &type_seconds, .min = 1, .max = 86400,
     .otherwise = "the gateway's",
     .help = "For how long the values of this pack are still served when it does not answer."},
    {.name = "spike_soc", PACK(pack.spikes.soc_percent), .type = &type_decimal, .min = 0, .max = 100,
     .otherwise = "the gateway's",
     .help = "As in [gateway], for this pack alone."},
    {.name = "spike_voltage", PACK(pack.spikes.voltage_percent), .type = &type_decimal, .min = 0, .max = 100,
     .otherwise = "the gateway's",
     .help = "As in [gateway], for this pack alone."},
    {.name = "spike_cell", PACK(pack.spikes.cell_mv), .type = &type_decimal, .min = 0, .max = 6000,
     .otherwise = "the gateway's",
     .help = "As in [gateway], for this pack alone."},
    {.name = "spike_temperature", PACK(pack.spikes.temperature_c), .type = &type_decimal, .min = 0, .max = 200,
     .otherwise = "the gateway's",
     .help = "As in [gateway], for this pack alone."},
    {.name = "writable", PACK(pack.writable), .type = &type_flag, WORDS("no", "yes"),
     .preset = "no",
     .help = "Whether clients in allow_write may switch its charge and discharge MOS, where the protocol can."},

    {.name = "packs", BANK(packs), .type = &type_packs,
     .help = "Its packs, by the names of their sections."},
    {.name = "unit", BANK(bank.unit), .type = &type_int, .min = 1, .max = 247,
     .help = "The Modbus unit id under which the bank is served."},
    {.name = "min_packs", BANK(bank.min_packs), .type = &type_unsigned, .min = 1, .max = MAX_BANK_PACKS,
     .otherwise = "all of them",
     .help = "With fewer fresh packs the bank is stale, as a pack is that does not answer. With less than all of them "
             "the bank goes on without those that are missing: its current, power and capacities are then those of "
             "the others, and a missing pack is only told by the failure flag, an alarm and the number of packs, "
             "which an inverter may not look at."},

    {.name = "target", PUSH(push.target), .type = &type_target,
     .help = "The Modbus TCP server that values are written to."},
    {.name = "unit", PUSH(push.unit), .type = &type_unsigned, .min = 0, .max = 255,
     .preset = "1",
     .help = "The Modbus unit id of the server."},
    {.name = "interval", PUSH(push.interval_s), .type = &type_seconds, .min = 0.1, .max = 86400,
     .preset = "5s",
     .help = "How often all values are written."},
    {.name = "on_change", PUSH(push.on_change), .type = &type_flag, WORDS("no", "yes"),
     .preset = "no",
     .help = "Whether a value that changed by more than its dead band is also written at once, without waiting for "
             "the interval."},
    {.name = "reply_timeout", PUSH(push.timeout_s), .type = &type_seconds, .min = 0.1, .max = 60,
     .preset = "10s",
     .help = "A server that does not answer for so long is connected to anew."},
    {.name = "function", PUSH(push.function), .type = &type_choice, WORDS("auto", "6", "16"),
     .preset = "auto",
     .help = "The Modbus function that writes: 6 writes one register with each request, 16 neighbouring registers "
             "together; auto takes 6 where there is but one register to write."},
    {.name = "word_order", PUSH(push.big_words), .type = &type_flag, WORDS("little", "big"),
     .preset = "little",
     .help = "Order of the two registers of u32, s32 and float32: little is low word first, big is high word first."},
    {.name = "on_stale", PUSH(push.on_stale), .type = &type_substitute, .min = -4294967295.0, .max = 4294967295.0,
     .preset = "skip",
     .help = "What is written in place of a value that is stale or not known. skip: nothing, the server keeps what was "
             "written last. unknown: what stands for it in our own register map (NaN, 0xFFFF, 0x8000, 0xFFFFFFFF, "
             "0x80000000). A number: that number as it stands."},
    {.name = "write", .section = SECTION_PUSH, .offset = 0, .type = &type_write,
     .help = "A value and the register that it goes to; once for each value. NAME is a pack or a bank, VALUE one of its numbers "
             "under the name that `packgate read` or the register map has (house-1.cell_mv.1, house-1.charged_wh, "
             "bank.packs_missing, house-1.alarm.soc_low), or fresh (1 while its values are fresh, else 0). "
             "What the map has for a silent pack, too (connection_state, age_s, counters), is written all the time. "
             "gateway.seconds counts up while the gateway runs, 65535 is followed by 0. REGISTER counts from 0. "
             "TYPE is u16, s16, u32, s32 or float32. Behind it may stand, each with a blank and its value: "
             "scale and offset (value x scale + offset is what the register gets, rounded; what does not fit becomes "
             "the nearest that does), word_order and on_stale as above, and deadband in the unit of the value "
             "(a change up to that is not written at once). Neighbouring registers are written with one request."},
};

/* What other programs call our keys. */
static const struct {
    enum config_section section;
    const char *foreign, *name;
} aliases[] = {
    {SECTION_GATEWAY, "bind",      "listen"},
    {SECTION_GATEWAY, "port",      "listen"},
    {SECTION_GATEWAY, "interval",  "poll"},
    {SECTION_GATEWAY, "offset",    "base"},
    {SECTION_GATEWAY, "timeout",   "idle_timeout"},
    {SECTION_LINE,    "device",    "port"},
    {SECTION_LINE,    "host",      "port"},
    {SECTION_LINE,    "driver",    "protocol"},
    {SECTION_LINE,    "speed",     "baud"},
    {SECTION_LINE,    "baudrate",  "baud"},
    {SECTION_LINE,    "data",      "framing"},
    {SECTION_LINE,    "databits",  "framing"},
    {SECTION_LINE,    "data_bits", "framing"},
    {SECTION_LINE,    "bytesize",  "framing"},
    {SECTION_LINE,    "parity",    "framing"},
    {SECTION_LINE,    "stop",      "framing"},
    {SECTION_LINE,    "stopbits",  "framing"},
    {SECTION_LINE,    "stop_bits", "framing"},
    {SECTION_LINE,    "timeout",   "reply_timeout"},
    {SECTION_LINE,    "delay",     "gap"},
    {SECTION_LINE,    "retries",   "tries"},
    {SECTION_LINE,    "retry",     "tries"},
    {SECTION_PACK,    "port",      "line"},
    {SECTION_PACK,    "driver",    "protocol"},
    {SECTION_PACK,    "id",        "unit"},
    {SECTION_PACK,    "unit_id",   "unit"},
    {SECTION_PACK,    "slave",     "unit"},
    {SECTION_PACK,    "slave_id",  "unit"},
    {SECTION_PACK,    "interval",  "poll"},
    {SECTION_PACK,    "invert",    "current"},
    {SECTION_BANK,    "pack",      "packs"},
    {SECTION_BANK,    "members",   "packs"},
    {SECTION_BANK,    "id",        "unit"},
    {SECTION_BANK,    "unit_id",   "unit"},
    {SECTION_BANK,    "slave",     "unit"},
    {SECTION_BANK,    "slave_id",  "unit"},
    {SECTION_BANK,    "minimum",   "min_packs"},
    {SECTION_PUSH,    "host",      "target"},
    {SECTION_PUSH,    "port",      "target"},
    {SECTION_PUSH,    "poll",      "interval"},
    {SECTION_PUSH,    "every",     "interval"},
    {SECTION_PUSH,    "timeout",   "reply_timeout"},
    {SECTION_PUSH,    "id",        "unit"},
    {SECTION_PUSH,    "unit_id",   "unit"},
    {SECTION_PUSH,    "slave",     "unit"},
    {SECTION_PUSH,    "slave_id",  "unit"},
    {SECTION_PUSH,    "register",  "write"},
    {SECTION_PUSH,    "float_order", "word_order"},
};
// clang-format on

const unsigned config_key_count = sizeof config_keys / sizeof *config_keys;
_Static_assert(sizeof config_keys / sizeof *config_keys <= CONFIG_KEYS_MAX, "raise the limit");

const struct config_section_info *config_section_info(enum config_section section)
{
    return &sections[section];
}

int config_key_find(enum config_section section, const char *name)
{
    for (unsigned i = 0; i < config_key_count; i++)
        if (config_keys[i].section == section && strcmp(config_keys[i].name, name) == 0)
            return (int) i;
    return -1;
}

const char *config_key_alias(enum config_section section, const char *name)
{
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (aliases[i].section == section && strcmp(aliases[i].foreign, name) == 0)
            return aliases[i].name;
    return NULL;
}

const char *config_key_expected(const struct config_key *key, char out[EXPECTED_SIZE])
{
    key->type->describe(key, out, EXPECTED_SIZE);
    return out;
}

static void print_key(const struct config_key *key, FILE *out)
{
    char expected[EXPECTED_SIZE];
    fprintf(out, "  %s\n      %s\n", key->name, key->help);
    fprintf(out, "      Value: %s\n", config_key_expected(key, expected));
    if (key->preset)
        fprintf(out, "      Default: %s\n", key->preset);
    else if (key->otherwise)
        fprintf(out, "      Default: %s\n", key->otherwise);
    else
        fprintf(out, "      Must be given.\n");
}

void config_print_keys(FILE *out)
{
    for (unsigned section = 0; section < CONFIG_SECTIONS; section++) {
        fprintf(out, "%s%s\n    %s\n\n", section > 0 ? "\n" : "", sections[section].heading,
                sections[section].help);
        for (unsigned i = 0; i < config_key_count; i++)
            if (config_keys[i].section == section)
                print_key(&config_keys[i], out);
    }
}
