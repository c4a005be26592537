// SPDX-License-Identifier: MIT
/*
 * The options of a simulated bus. One table lists all numbers; the names of values are those of
 * struct pack.
 */
#include "options.h"

#include "base/suggest.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define ITEM_SIZE 100 /* bytes of the longest option, with its NUL */
#define SCRIPT_LONGEST_S 86400.0

// clang-format off
static const struct number_option {
    const char *key;
    size_t offset;
    double min, max, usual;
    bool whole;
    bool of_bus; /* of the whole bus, not of one BMS */
    bool once;   /* read at the start only */
    const char *help;
} numbers[] = {
#define AT(member) offsetof(struct simulator_options, member)
    /* key            member             min  max        usual  whole  of_bus  once   help */
    {"cells",      AT(cells),         1,   MAX_CELLS, 16,    true,  false,  true,  "number of cells"},
    {"temps",      AT(temps),         0,   MAX_TEMPS, 4,     true,  false,  true,  "temperature sensors"},
    {"capacity",   AT(capacity_ah),   1,   10000,     100,   false, false,  true,  "rated capacity, Ah"},
    {"soc",        AT(soc_percent),   0,   100,       55,    false, false,  true,  "state of charge at the start, %"},
    {"lag",        AT(lag_percent),   0,   100,       0,     false, false,  true,  "by how much less one cell is charged, %"},
    {"ambient",    AT(ambient_c),     -40, 80,        20,    false, false,  false, "of the pack's surroundings, °C"},
    {"seed",       AT(seed),          0,   1e9,       1,     true,  false,  true,  "of how packs and cells differ"},
    {"rate",       AT(rate_c),        .001,3,         0.2,   false, false,  false, "current of the profiles, capacities per hour"},
    {"speed",      AT(speed),         0,   10000,     1,     false, false,  false, "factor of the model's time"},
    {"delay",      AT(delay_ms),      0,   60000,     5,     false, false,  false, "milliseconds before a reply"},
    {"baud",       AT(baud),          0,   1e6,       0,     true,  true,   false, "pace of the bytes; 0: at once"},
    {"echo",       AT(echo),          0,   1,         0,     true,  true,   false, "1: requests come back as well"},
    {"split",      AT(split),         0,   1,         0,     true,  true,   false, "1: replies in random pieces"},
    {"first_lost", AT(first_lost),    0,   1,         0,     true,  true,   false, "1: lost after 10 s without requests"},
    {"silent",     AT(silent),        0,   1,         0,     true,  false,  false, "1: no reply ever"},
    {"close",      AT(close),         0,   1,         0,     true,  true,   false, "1: closes after each reply"},
    {"noise",      AT(noise),         0,   1,         0,     false, false,  false, "probability of junk in front"},
    {"cut",        AT(cut),           0,   1,         0,     false, false,  false, "probability of a cut reply"},
    {"flip",       AT(flip),          0,   1,         0,     false, false,  false, "probability of a wrong bit"},
    {"drop",       AT(drop),          0,   1,         0,     false, false,  false, "probability of a lost reply"},
    {"late",       AT(late),          0,   1,         0,     false, false,  false, "probability of a late reply"},
    {"late_ms",    AT(late_ms),       0,   60000,     2000,  false, false,  false, "by how many milliseconds"},
    {"stall",      AT(stall_s),       0,   3600,      0,     false, true,   false, "replies pause, seconds"},
    {"stall_every",AT(stall_every_s), 1,   86400,     60,    false, true,   false, "how often, seconds"},
    {"repeat",     AT(repeat_ms),     0,   60000,     0,     false, true,   false, "replies are repeated, ms later"},
    {"clock",      AT(clock),         0,   1,         0,     true,  false,  false, "1: values encode the time"},
    {"every",      AT(every_s),       0,   86400,     0,     false, true,   true,  "seconds after which +N: repeats; 0: never"},
#undef AT
};
// clang-format on
enum { NUMBERS = sizeof numbers / sizeof numbers[0] };

#define ALARM_PREFIX "alarm."

struct parser {
    struct simulator_options *options;
    double after_s, until_s; /* options of these times are set, the others are only checked */
    bool of_one;             /* the option is for one BMS only */
    bool later;              /* it has a time */
    char *error;
    size_t error_size;
};

__attribute__((format(printf, 2, 3))) static bool report_error(const struct parser *parser,
                                                               const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(parser->error, parser->error_size, format, arguments);
    va_end(arguments);
    return false;
}

static double *member(struct simulator_options *options, const struct number_option *number)
{
    return (double *) (void *) ((char *) options + number->offset);
}

static bool set_number(const struct parser *parser, const char *key, const char *text, double min,
                       double max, bool whole, double *out)
{
    char *end;
    double value = strtod(text, &end);
    bool good = end != text && *end == '\0' && value >= min && value <= max &&
                (!whole || value == floor(value));
    if (!good)
        return report_error(parser, "'%s' is '%s', expected a %snumber from %g to %g", key, text,
                            whole ? "whole " : "", min, max);
    *out = value;
    return true;
}

static bool parse_alarm(const struct parser *parser, int alarm, const char *key, const char *text)
{
    /* 1: both levels, because each protocol has at least one of them */
    const bool both = strcmp(text, "1") == 0;
    const bool warning = both || strcmp(text, "warning") == 0;
    const bool protection = both || strcmp(text, "protection") == 0;
    struct simulator_fixed *fixed = &parser->options->fixed;
    if (warning || protection || strcmp(text, "0") == 0) {
        uint32_t bit = UINT32_C(1) << alarm;
        fixed->alarms |= bit;
        fixed->alarms_warning = (fixed->alarms_warning & ~bit) | (warning ? bit : 0);
        fixed->alarms_protection = (fixed->alarms_protection & ~bit) | (protection ? bit : 0);
        return true;
    }
    return report_error(parser, "'%s' is '%s', expected 0, 1, warning or protection", key, text);
}

static bool set_text(const struct parser *parser, enum pack_text id, const char *key,
                     const char *text)
{
    struct simulator_fixed *fixed = &parser->options->fixed;
    size_t length = strlen(text);
    bool good = length < TEXT_SIZE;
    for (size_t i = 0; i < length; i++)
        good &= text[i] >= 0x20 && text[i] <= 0x7E;
    if (!good)
        return report_error(parser, "'%s' is '%s', expected at most %d ASCII characters", key, text,
                            TEXT_SIZE - 1);
    fixed->text_is_fixed[id] = true;
    memcpy(fixed->text[id], text, length + 1);
    return true;
}

static bool fail_unknown(const struct parser *parser, const char *key)
{
    char name[VALUE_NAME_SIZE];
    struct suggest suggest = suggest_for(key);
    suggest_offer(&suggest, "profile");
    for (int i = 0; i < NUMBERS; i++)
        suggest_offer(&suggest, numbers[i].key);
    for (int i = 0; i < PACK_TEXTS; i++)
        suggest_offer(&suggest, pack_text_name((enum pack_text) i));
    for (int id = 0; id < PACK_VALUES; id++)
        suggest_offer(&suggest, pack_value_name((enum pack_value) id, name));
    for (int i = 0; i < PACK_ALARM_COUNT; i++) {
        snprintf(name, VALUE_NAME_SIZE, ALARM_PREFIX "%s", pack_alarm_name((enum pack_alarm) i));
        suggest_offer(&suggest, name);
    }
    if (suggest.best[0])
        return report_error(parser, "unknown option '%s', did you mean '%s'?", key, suggest.best);
    return report_error(parser, "unknown option '%s'", key);
}

static bool parse_assignment(const struct parser *parser, char *item)
{
    char name[VALUE_NAME_SIZE];
    char *equals = strchr(item, '=');
    if (!equals || equals == item)
        return report_error(parser, "'%s' is not an option, expected KEY=VALUE", item);
    *equals = '\0';
    const char *text = equals + 1;
    for (int i = 0; i < NUMBERS; i++) {
        const struct number_option *number = &numbers[i];
        if (strcmp(number->key, item) != 0)
            continue;
        if (number->of_bus && parser->of_one)
            return report_error(parser, "'%s' applies to the whole bus, not to one BMS", item);
        if (number->once && parser->later)
            return report_error(parser, "'%s' is only read at the start, without +SECONDS:", item);
        return set_number(parser, item, text, number->min, number->max, number->whole,
                          member(parser->options, number));
    }
    if (strcmp(item, "profile") == 0) {
        for (int i = 0; i < BATTERY_PROFILES; i++)
            if (strcmp(battery_profile_names[i], text) == 0) {
                parser->options->profile = (enum battery_profile) i;
                return true;
            }
        return report_error(
            parser, "'profile' is '%s', expected cycle, idle, charge, discharge or fixed", text);
    }
    for (int id = 0; id < PACK_VALUES; id++)
        if (strcmp(pack_value_name((enum pack_value) id, name), item) == 0) {
            struct simulator_fixed *fixed = &parser->options->fixed;
            const struct pack_value_info *info = pack_value_info((enum pack_value) id);
            fixed->is_fixed[id] = true;
            fixed->value[id] = NAN;
            return strcmp(text, "none") == 0 ||
                   set_number(parser, item, text, info->min, info->max, false, &fixed->value[id]);
        }
    const char *alarm =
        strncmp(item, ALARM_PREFIX, strlen(ALARM_PREFIX)) == 0 ? item + strlen(ALARM_PREFIX) : "";
    for (int i = 0; i < PACK_ALARM_COUNT; i++)
        if (strcmp(pack_alarm_name((enum pack_alarm) i), alarm) == 0)
            return parse_alarm(parser, i, item, text);
    for (int i = 0; i < PACK_TEXTS; i++)
        if (strcmp(pack_text_name((enum pack_text) i), item) == 0)
            return set_text(parser, (enum pack_text) i, item, text);
    return fail_unknown(parser, item);
}

/* Parses the number in front of a ':', such as 3 in "3:soc=20". Returns what follows; NULL: it has none, or one out of range. */
static const char *parse_prefix(const char *text, double max, double *number)
{
    char *end;
    *number = strtod(text, &end);
    return end != text && *end == ':' && *number >= 0 && *number <= max ? end + 1 : NULL;
}

/* "+30:" is a time, "@3:" the BMS at address 3; options for another time or address are only checked. */
static bool parse_item(const struct parser *parser, const char *text, size_t length, int address)
{
    char item[ITEM_SIZE];
    struct simulator_options unused = {0};
    struct parser one = *parser;
    double number = 0;
    if (length >= sizeof item)
        return report_error(parser, "'%.40s...' is too long", text);
    memcpy(item, text, length);
    item[length] = '\0';
    const char *at = item;
    one.later = *at == '+';
    if (one.later && !(at = parse_prefix(at + 1, SCRIPT_LONGEST_S, &number)))
        return report_error(parser, "'%s' is not an option, expected +SECONDS:KEY=VALUE", item);
    bool applies = number > parser->after_s && number <= parser->until_s;
    one.of_one = *at == '@';
    if (one.of_one) {
        if (!(at = parse_prefix(at + 1, UINT8_MAX, &number)) || number != floor(number))
            return report_error(parser, "'%s' is not an option, expected @ADDRESS:KEY=VALUE", item);
        applies &= number == address;
    }
    if (!applies)
        one.options = &unused;
    return parse_assignment(&one, item + (at - item));
}

static bool parse_items(const struct parser *parser, const char *text, int address)
{
    while (*text) {
        text += strspn(text, " ");
        size_t length = strcspn(text, ",");
        size_t bare = length;
        while (bare > 0 && text[bare - 1] == ' ')
            bare--;
        if (bare > 0 && !parse_item(parser, text, bare, address))
            return false;
        text += length;
        text += *text == ',';
    }
    return true;
}

bool simulator_options_parse(const char *text, int address, struct simulator_options *options,
                             char *error, size_t error_size)
{
    const struct parser parser = {
        .options = options, .after_s = -1, .error = error, .error_size = error_size};
    memset(options, 0, sizeof *options);
    for (int i = 0; i < NUMBERS; i++)
        *member(options, &numbers[i]) = numbers[i].usual;
    return parse_items(&parser, text, address);
}

void simulator_options_change(const char *text, int address, double after_s, double until_s,
                              struct simulator_options *options)
{
    char error[ITEM_SIZE];
    const struct parser parser = {.options = options,
                                  .after_s = after_s,
                                  .until_s = until_s,
                                  .error = error,
                                  .error_size = sizeof error};
    parse_items(&parser, text, address);
}

struct battery_settings simulator_options_battery(const struct simulator_options *options,
                                                  unsigned n)
{
    return (struct battery_settings){.cells = (unsigned) options->cells,
                                     .temps = (unsigned) options->temps,
                                     .capacity_ah = options->capacity_ah,
                                     .soc_percent = options->soc_percent,
                                     .lag_percent = options->lag_percent,
                                     .ambient_c = options->ambient_c,
                                     .profile = options->profile,
                                     .rate_c = options->rate_c,
                                     .seed = (uint64_t) options->seed + n};
}

#define TICKS_IN_SECOND 4
#define TICK_MV 10

double simulator_clock_cell_mv(double at)
{
    double ticks = floor(fmod(at, SIMULATOR_CLOCK_S) * TICKS_IN_SECOND);
    return SIMULATOR_CLOCK_FROM_MV + TICK_MV * ticks;
}

void simulator_options_print(FILE *out)
{
    static const char format[] = "  %-11s %-10s %-6s %s\n";
    fprintf(out, format, "profile", "", battery_profile_names[0],
            "cycle, idle, charge, discharge, or fixed: values never move");
    for (int i = 0; i < NUMBERS; i++) {
        char range[40], usual[20];
        snprintf(range, sizeof range, "%g-%g", numbers[i].min, numbers[i].max);
        snprintf(usual, sizeof usual, "%g", numbers[i].usual);
        fprintf(out, format, numbers[i].key, range, usual, numbers[i].help);
    }
    fprintf(
        out,
        "  Names of values hold them fixed: voltage_v=53.2, current_a=-3, cell_mv.3=3410,\n"
        "  temp_c.1=-4, charge_mos=0, alarm.soc_low=1 (or warning, protection, 0), serial=ABC;\n"
        "  \"none\" makes a number unknown. A switch is held until a command changes it.\n"
        "  @N: before an option applies it to the BMS at address N only: soc=60,@2:soc=40. It "
        "cannot\n"
        "  be used with options of the whole bus:");
    for (int i = 0; i < NUMBERS; i++)
        if (numbers[i].of_bus)
            fprintf(out, " %s", numbers[i].key);
    fprintf(out, "\n  +N: before an option sets it after N seconds: "
                 "ambient=15,+60:ambient=-5,+90:@2:silent=1. "
                 "Options that are\n  read at the start have no time:");
    for (int i = 0; i < NUMBERS; i++)
        if (numbers[i].once)
            fprintf(out, " %s", numbers[i].key);
    fputc('\n', out);
}
