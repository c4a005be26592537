// SPDX-License-Identifier: MIT
/* The sections and their keys. */
#include "draft.h"
#include "types.h"

#include <string.h>
#include <sys/un.h>

// clang-format off
#define WORDS(...) CONFIG_WORDS(__VA_ARGS__)
#define GATEWAY(member) CONFIG_FIELD(gateway_config, member)
#define LINE(member) CONFIG_FIELD(line_config, member), .on_change = CHANGE_LINE
#define PACK(member) CONFIG_FIELD(pack_config, member)
#define BANK(member) CONFIG_FIELD(bank_config, member)
#define TUNNEL(member) CONFIG_FIELD(tunnel_config, member), .on_change = CHANGE_SECTION
/* A reload compares the variant as well. */
#define PROTOCOL(owner, variant) \
    CONFIG_FIELD(owner, driver), .type = &type_protocol, \
    .parts = (const struct config_key[]) {{CONFIG_FIELD(owner, driver), .type = &type_protocol}, {CONFIG_FIELD(owner, variant), .type = &type_variant}, {0}}
/* And whether a gap is given: a configured one of 0 differs from none. */
#define GAP CONFIG_FIELD(line_config, gap_ms), .parts = (const struct config_key[]) {{CONFIG_FIELD(line_config, gap_ms), .type = &type_duration}, {CONFIG_FIELD(line_config, gap_set)}, {0}}
#define WHOLE(owner) .offset = 0, .size = sizeof(struct owner) /* of more than one field */

#define NUMBER_32(member) {GATEWAY(member), .type = &type_whole, .max = 4294967295.0}

#define SPIKE_ROW(name) CONFIG_WITHOUT_EFFECT(name, "as a reading that jumps is always read again before it is published")
#define SPIKE_ROWS SPIKE_ROW("spike_soc"), SPIKE_ROW("spike_voltage"), SPIKE_ROW("spike_cell"), SPIKE_ROW("spike_temperature")

static const struct config_key gateway_keys[] = {
    {.name = "name", GATEWAY(title), .type = &type_title, .web = true,
     .otherwise = "the name of the host",
     .help = "The name of this gateway for people: on the page, in Home Assistant and in messages."},
    {.name = "listen", GATEWAY(listen), .type = &type_listen,
     .preset = "0.0.0.0:502", .on_change = CHANGE_RESTART, .also = "bind port",
     .help = "The addresses for Modbus TCP clients. Port 0 is any free port."},
    {.name = "allow", GATEWAY(allow), .type = &type_allow,
     .preset = "127.0.0.0/8, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, ::1/128, fc00::/7, fe80::/10",
     .help = "The networks from which clients are accepted; all others are rejected. The default is this host and "
             "all private networks."},
    {.name = "allow_write", GATEWAY(allow_write), .type = &type_allow,
     .preset = "127.0.0.0/8, ::1/128",
     .help = "The networks whose clients may switch the MOS, or write settings, of packs that are writable. The "
             "default is this host."},
    {.name = "base", CONFIG_PARTS(gateway_config, {GATEWAY(map.base), .type = &type_whole, .max = 65535, .required = true},
                                  {GATEWAY(map.also_at), .type = &type_whole, CONFIG_WORDS("none"), .max = 65535},
                                  {GATEWAY(map.fahrenheit), .type = &type_choice, WORDS("celsius", "fahrenheit")}),
     CONFIG_STARTS("290, 100 celsius"), .also = "offset",
     .help = "Address (zero-based) of the compatibility block; all other blocks follow from base + 110 on. Behind a "
             "comma the address of a copy of it, or none, and the unit of the block's average temperature."},
    {.name = "float_order", GATEWAY(map.big_floats), .type = &type_choice, WORDS("little", "big"),
     .preset = "little",
     .help = "Order of the two registers of a float: little is low word first, big is high word first."},
    {.name = "poll", GATEWAY(poll_s), .type = &type_duration, .web = true, .min = 0.1, .max = 3600,
     .preset = "1s", .on_change = CHANGE_LINE, .also = "interval",
     .help = "How often each pack is polled."},
    {.name = "stale_after", GATEWAY(stale_after_s), .type = &type_duration, .min = 1, .max = 86400,
     .otherwise = "five poll intervals, at least 10s; or two and a half rounds of the line, at most 60s, if that is longer",
     .on_change = CHANGE_LINE,
     .help = "The age at which values are stale, because the pack does not answer."},
    {.name = "on_stale", GATEWAY(on_stale), .type = &type_choice, WORDS("exception", "hold"),
     .preset = "exception",
     .help = "What clients get for stale values: exception 0x0B, or the last values with the failure flag set."},
    {.name = "display", CONFIG_PARTS(gateway_config, NUMBER_32(map.display[0]), NUMBER_32(map.display[1]), NUMBER_32(map.display[2])),
     .otherwise = "0, 0, 0",
     .help = "For displays that read them: the page number at base + 53, and two numbers at base + 54 and base + 56, "
             "high word first."},
    {.name = "state_file", GATEWAY(state_file), .type = &type_path,
     .preset = "/var/lib/packgate/state", .on_change = CHANGE_RESTART,
     .help = "Stores the day's highest state of charge and the energy counters over a restart, by the names of packs "
             "and banks. Each gateway needs its own file. A missing folder is created if its parent exists and is "
             "writable. The counters of up to 500 names that are no longer configured are kept, in case the name comes "
             "back."},
    {.name = "control", GATEWAY(control), .type = &type_path, .max = sizeof(((struct sockaddr_un *) NULL)->sun_path) - 1,
     .preset = "/run/packgate/control",
     .help = "The socket for `packgate status` and similar commands. The group of the service may read the status, "
             "only root and the service's own user may do more. A missing folder is created if its parent exists and "
             "is writable. Each gateway needs its own socket."},
    {.name = "location", .web = true,
     CONFIG_PARTS(gateway_config, {GATEWAY(location.latitude), .type = &type_number, .min = -180, .max = 180, .unknown = true},
                  {GATEWAY(location.longitude), .type = &type_number, .min = -180, .max = 180, .unknown = true}),
     .otherwise = "not known",
     .help = "Latitude and longitude of the gateway in degrees, north and east positive: for reports at sunrise and "
             "sunset."},
    {.name = "also_at", GATEWAY(map.also_at), .type = &type_whole, CONFIG_WORDS("none"), .min = 0, .max = 65535,
     CONFIG_FOLDED("write it in 'base', as in 'base = 290, 100'")},
    {.name = "temperature", GATEWAY(map.fahrenheit), .type = &type_choice, WORDS("c", "f"),
     CONFIG_FOLDED("leave c out, and write f in 'base', as in 'base = 290, 100 fahrenheit'")},
    {.name = "max_clients", GATEWAY(max_clients), .type = &type_whole, .min = 1, .max = 1000,
     .start = "256", .on_change = CHANGE_RESTART, CONFIG_FOLDED("leave it out, 256 clients are served at the same time")},
    SPIKE_ROW("spikes"),
    SPIKE_ROWS,
    {.name = "idle_timeout", GATEWAY(idle_timeout_s), .type = &type_duration, .min = 1, .max = 86400, .start = "10m",
     CONFIG_FOLDED("leave it out, a client is disconnected after 10 minutes without a request")},
    {.name = "dashboard_id", GATEWAY(map.display[0]), .type = &type_whole, .min = 0, .max = 65535,
     CONFIG_FOLDED("write 'display = 2, 0, 0', where it is the first")},
    {.name = "display_1", GATEWAY(map.display[1]), .type = &type_whole, .min = 0, .max = 4294967295.0,
     CONFIG_FOLDED("write 'display = 0, 1, 0', where it is the second")},
    {.name = "display_2", GATEWAY(map.display[2]), .type = &type_whole, .min = 0, .max = 4294967295.0,
     CONFIG_FOLDED("write 'display = 0, 0, 1', where it is the third")},
    {.name = "latitude", GATEWAY(location.latitude), .type = &type_number, .min = -90, .max = 90,
     CONFIG_FOLDED("write 'location = LATITUDE, LONGITUDE'")},
    {.name = "longitude", GATEWAY(location.longitude), .type = &type_number, .min = -180, .max = 180,
     CONFIG_FOLDED("write 'location = LATITUDE, LONGITUDE'")},
};

const struct config_section gateway_section = {
    .word = "gateway", .heading = "[gateway]", .times = SECTION_ALWAYS,
    .help = "The program as a whole: where it listens and how it serves. Not needed if the defaults fit.",
    .size = sizeof(struct gateway_config), .at = offsetof(struct config, gateway),
    CONFIG_KEYS(gateway_keys), .check = config_check_gateway,
};

static const struct config_key line_keys[] = {
    {.name = "port", LINE(port), .type = &type_port, .web = true,
     .also = "device host",
     .help = "Where the packs are connected: a serial port (its name below /dev/serial/by-id/ stays the same when "
             "other adapters are plugged in), the raw TCP port of a serial server, a Bluetooth module "
             "(ble:AA:BB:CC:DD:EE:FF; packgate probe ble: lists devices in reach), or simulated packs."},
    {.name = "protocol", PROTOCOL(line_config, variant), .web = true,
     .otherwise = "each pack names its own", .on_change = CHANGE_LINE, .also = "driver",
     .help = "The protocol of the packs on this line; behind it its variant, if several makes share it: topbms pace."},
    {.name = "baud", CONFIG_SERIAL(line_config), .web = true,
     .otherwise = "the protocol's", .on_change = CHANGE_LINE, .also = "speed baudrate data databits data_bits bytesize parity stop stopbits stop_bits",
     .help = "Speed, data bits, parity and stop bits of the serial port, and its RTS line: as the system sets it, "
             "held on or off (powers some adapters), or rs485: on while sending, for RS485 converters that do not "
             "switch by themselves. A serial server has its own settings."},
    {.name = "reply_timeout", LINE(reply_ms), .type = &type_duration, .web = true, .min = 0.01, .max = 60,
     .otherwise = "the protocol's", .also = "timeout",
     .help = "The time after which a request counts as unanswered. If replies regularly come later, the line waits "
             "for them for up to 30 s, and the log says what to set."},
    {.name = "gap", GAP, .type = &type_duration, .web = true, .max = 10,
     .otherwise = "the protocol's", .on_change = CHANGE_LINE, .also = "delay",
     .help = "Silence before each request."},
    {.name = "settle", LINE(settle_ms), .type = &type_duration, .web = true, .max = 30,
     .preset = "0s",
     .help = "For a line behind radio or UDP that repeats or reorders replies: after each exchange nothing is sent "
             "for this time, and received bytes are discarded."},
    {.name = "key_file", LINE(key_file), .type = &type_path, .secret = true,
     .otherwise = "none", .also = "key",
     .help = "A file with the encryption key of the device's advertisements (protocol victron-ble): 32 hexadecimal "
             "digits, as VictronConnect shows them. It is read when the line is opened, and never shown."},
    {.name = "listen", LINE(listen), .type = &type_choice, .web = true, WORDS("no", "yes"),
     .preset = "no",
     .help = "yes: an inverter or a master pack already polls this line. packgate decodes the bytes and never sends."},
    {.name = "tries", LINE(tries), .type = &type_whole, .min = 1, .max = 10,
     CONFIG_FOLDED("leave it out, the protocol says how often a request is sent")},
    {.name = "framing", LINE(framing), .type = &type_framing,
     CONFIG_FOLDED("write it behind the speed, as in 'baud = 9600 8N1'")},
    {.name = "rts", LINE(rts), .type = &type_choice, WORDS(CONFIG_RTS),
     CONFIG_FOLDED("write it in 'baud', as in 'baud = 9600 8N1 rs485'")},
};

const struct config_section line_section = {
    .word = "line", .heading = "[line NAME]", CONFIG_NAMED(line_config, lines, line_count),
    .help = "A serial port, or a TCP connection to a serial server, with one or more packs on it.",
    CONFIG_KEYS(line_keys), .check = config_check_line,
};

static const struct config_key pack_keys[] = {
    {.name = "name", PACK(title), .type = &type_title, .web = true,
     .otherwise = "the word in the heading",
     .help = "The name for people: on the page, in Home Assistant, in messages and reports. The word in the heading "
             "remains the id: in topics, the history and counters."},
    {.name = "line", PACK(line), .type = &type_line, .web = true,
     .on_change = CHANGE_LINE, .also = "port",
     .help = "The line to which the pack is connected."},
    {.name = "protocol", PROTOCOL(pack_config, options.variant), .web = true,
     .otherwise = "its line's", .on_change = CHANGE_LINE, .also = "driver",
     .help = "The protocol of the BMS, and behind it its variant, if several makes share it: topbms pace. modbus "
             "FILE: as the file describes the registers of the BMS, see docs/modbus-map.md; a path without / at its "
             "start is relative to the folder in which the gateway is started, which for the service is /. auto: found out at the start, which takes up to 20 s, or a minute or two for "
             "several packs on a line, and stored in the state file. Other packs of the line are not polled until "
             "then; if they are on a serial port, the line needs its baud. docs/finding.md says what cannot be found."},
    {.name = "address", .web = true,
     CONFIG_PARTS(pack_config, {PACK(options.address), .type = &type_whole, .max = 255, .unknown = true},
                  {PACK(options.adr), .type = &type_whole, .max = 255, .unknown = true}),
     .otherwise = "the protocol's", .on_change = CHANGE_LINE,
     .help = "The BMS's own address on the line, as set by its switches or its app. If the protocol has two, as "
             "topbms behind a master, the second one follows after a comma; it is usually the same."},
    {.name = "current", PACK(options.current), .type = &type_choice, .web = true, WORDS("auto", "normal", "inverted"),
     .preset = "auto", .on_change = CHANGE_LINE, .also = "invert",
     .help = "The sign of the current that the BMS reports. In packgate, positive current charges the pack. normal "
             "is the sign in the protocol's document, inverted the opposite. auto is normal, except for Daly, where "
             "the state that is sent with the current decides; if that selects inverted, auto and inverted are the "
             "same. If auto is wrong, try the other two."},
    {.name = "capacity", PACK(options.capacity_ah), .type = &type_number, .web = true, .min = 0.1, .max = 100000,
     .otherwise = "what the BMS says", .on_change = CHANGE_LINE,
     .help = "Capacity of the pack in Ah, for meters that do not report it."},
    {.name = "unit", PACK(unit), .type = &type_whole, .web = true, .min = 1, .max = 247,
     .also = "id unit_id slave slave_id",
     .help = "The Modbus unit id under which the pack is served."},
    {.name = "poll", PACK(poll_s), .type = &type_duration, .web = true, .min = 0.1, .max = 3600,
     .otherwise = "the gateway's", .on_change = CHANGE_LINE, .also = "interval",
     .help = "How often this pack is polled."},
    {.name = "stale_after", PACK(stale_after_s), .type = &type_duration, .min = 1, .max = 86400,
     .otherwise = "the gateway's", .on_change = CHANGE_LINE,
     .help = "The age at which the values of this pack are stale."},
    {.name = "frozen_after", PACK(frozen_after_s), .type = &type_duration, .min = 10, .max = 86400,
     .otherwise = "never",
     .help = "If all values of this pack stay the same for this time, although a current flows, its BMS counts as "
             "hung: the protection alarm communication_fault is active until a value changes. Choose a longer time "
             "than a steady load can leave all values unchanged."},
    {.name = "writable", PACK(writable), .type = &type_choice, WORDS("no", "yes", "settings", "all"),
     .preset = "no",
     .help = "What clients in allow_write may change, if the protocol can: yes, the charge and discharge MOS; "
             "settings, see docs/settings.md; all, both."},
    {.name = "password_file", PACK(password_file), .type = &type_path,
     .otherwise = "none", .on_change = CHANGE_LINE,
     .help = "For protocol ant: the file with the password of 8 characters that the board requires before it "
             "switches its MOS. It is read at the start and on a reload."},
    {.name = "variant", PACK(options.variant), .type = &type_variant,
     .on_change = CHANGE_LINE, CONFIG_FOLDED("write it behind the protocol, as in 'protocol = topbms pace'")},
    {.name = "map", PACK(map), .type = &type_map,
     .on_change = CHANGE_LINE, CONFIG_FOLDED("write it behind the protocol, as in 'protocol = modbus /etc/packgate/my-bms.txt'")},
    {.name = "adr", PACK(options.adr), .type = &type_whole, .min = 0, .max = 255,
     .on_change = CHANGE_LINE, CONFIG_FOLDED("write 'address = ADDRESS, ADR'")},
    SPIKE_ROWS,
};

const struct config_section pack_section = {
    .word = "pack", .heading = "[pack NAME]", CONFIG_NAMED(pack_config, packs, pack_count),
    .help = "A BMS on a line and the Modbus unit id under which it is served.",
    CONFIG_KEYS(pack_keys), .check = config_check_pack, .owned = offsetof(struct pack_config, map.rows),
};

static const struct config_key bank_keys[] = {
    {.name = "name", BANK(title), .type = &type_title, .web = true,
     .otherwise = "the word in the heading",
     .help = "The name for people: on the page, in Home Assistant, in messages and reports. The word in the heading "
             "remains the id: in topics, the history and counters."},
    {.name = "packs", WHOLE(bank_config), .type = &type_packs, .web = true, .max = MAX_BANK_PACKS,
     .also = "pack members",
     .help = "Its packs, by the names of their sections."},
    {.name = "unit", BANK(unit), .type = &type_whole, .web = true, .min = 1, .max = 247,
     .also = "id unit_id slave slave_id",
     .help = "The Modbus unit id under which the bank is served."},
    {.name = "min_packs", BANK(min_packs), .type = &type_whole, .web = true, .min = 1, .max = MAX_BANK_PACKS,
     .otherwise = "all of them", .also = "minimum",
     .help = "With fewer fresh packs the bank is stale. If this is less than all of them, the bank continues without "
             "the missing ones: its current, power and capacities are then those of the others, and only the failure "
             "flag, an alarm and the number of packs show this, which an inverter may ignore."},
    {.name = "shunt", BANK(shunt), .type = &type_name,
     .otherwise = "none",
     .help = "A pack that is not in 'packs', such as a SmartShunt, and measures all of them together: the bank "
             "reports its current, power and state of charge. While it does not answer, these three are unknown."},
};

const struct config_section bank_section = {
    .word = "bank", .heading = "[bank NAME]", CONFIG_NAMED(bank_config, banks, bank_count),
    .help = "Packs wired in parallel, served as one under their own Modbus unit id: sums, averages and worst cases "
            "of those that are fresh. The first bank also answers as units 0 and 255, in place of the first pack.",
    CONFIG_KEYS(bank_keys), .check = config_check_bank,
};

static const struct config_key tunnel_keys[] = {
    {.name = "listen", TUNNEL(listen), .type = &type_listen,
     .also = "port",
     .help = "The address for the program, by raw TCP, while the tunnel is open. Programs must be in the networks of "
             "allow_write; one program at a time. Port 0 is any free port."},
    {.name = "share", TUNNEL(share), .type = &type_choice, WORDS("no", "yes"),
     .preset = "yes",
     .help = "yes: the program's requests are sent between two polls, one exchange at a time, and values stay fresh. "
             "no: nothing is polled while a program is connected, and the values of the packs become stale."},
    {.name = "line", TUNNEL(line), .type = &type_name,
     CONFIG_FOLDED("write its value into the heading, [tunnel NAME], and leave it out")},
    {.name = "idle", TUNNEL(idle_s), .type = &type_duration, .min = 1, .max = 86400, .start = "2m",
     CONFIG_FOLDED("leave it out, a program is disconnected after 2 minutes without a byte")},
};

const struct config_section tunnel_section = {
    .word = "tunnel", .heading = "[tunnel NAME]", CONFIG_NAMED(tunnel_config, tunnels, tunnel_count),
    .help = "Access for the maker's own program to the line NAME, which is polled: closed until `packgate tunnel NAME --for 10m` "
            "opens it.",
    CONFIG_KEYS(tunnel_keys), .check = config_check_tunnel,
};

/* A section refers only to those before it. */
const struct config_section *const config_sections[] = {
    &gateway_section, &line_section, &pack_section, &bank_section, &limits_section, &push_section, &view_section, &tunnel_section,
    &mqtt_section, &history_section, &web_section, &influx_section, &notify_section, &present_section, &print_section, NULL
};
// clang-format on
