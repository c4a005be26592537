// SPDX-License-Identifier: MIT
/* The encoder: writes a pack, and what the gateway knows of it, by the rows of the map. */
#include "map.h"

#include "rows.h"

#include <math.h>
#include <string.h>

#define UNKNOWN                                                                                    \
    ((double) NAN) /* NAN is a float: with a bare one, `? :` would round integers to float */

/* Everything that rows can refer to. Rows whose source is missing (NULL) are not written. */
struct sources {
    const double *numbers[OF_TEXT]; /* indexed by enum map_source */
    const char *texts[MAP_TEXTS];
};

#define KNOWN(thing, number) (thing ? (double) (number) : UNKNOWN)
#define PACK_OF(member) (bank && bank->member > 0 ? (double) bank->member : UNKNOWN)
/* A BMS that reports no alarms at all differs from one without active alarms. */
#define ALARMS(number) KNOWN(pack->alarms_known, number)
#define NUMBER_SET(symbol, number) numbers[symbol] = number;

static void gather_state(const struct map_settings *settings, const struct pack *pack,
                         const struct map_status *status, double numbers[PACK_STATE_NUMBERS])
{
    const uint32_t active = pack->alarms_warning | pack->alarms_protection;
    const double mean_c = pack->value[TEMP_AVG_C];
    double highest_c = UNKNOWN, lowest_c = UNKNOWN;
    for (int i = 0; i < MAX_TEMPS; i++) { /* of NaN and a number, fmax returns the number */
        highest_c = fmax(highest_c, pack->value[TEMP_C + i]);
        lowest_c = fmin(lowest_c, pack->value[TEMP_C + i]);
    }
    STATE_NUMBER_LIST(NUMBER_SET)
    for (unsigned i = 0; i < MAX_RAW_ALARMS; i++)
        numbers[RAW_ALARM + i] = i < pack->raw_alarm_count ? pack->raw_alarms[i] : UNKNOWN;
}

struct map_allowed map_allowed(const struct map_status *status, bool fresh)
{
    struct map_allowed allowed = status->allowed;
    if (fresh)
        return allowed;
    allowed.charge_current_a = 0;
    if (!allowed.discharges_stale)
        allowed.discharge_current_a = 0;
    allowed.charge_limited_by = allowed.discharge_limited_by = LIMITED_BY_STALE;
    allowed.charge_limited_pack = allowed.discharge_limited_pack = 0;
    allowed.charge_voltage_v = allowed.age_s = UNKNOWN;
    return allowed;
}

static void gather_gateway(const struct map_settings *settings, const struct map_status *status,
                           double numbers[GATEWAY_NUMBERS])
{
    const struct map_allowed now = map_allowed(status, status->state == MAP_STATE_FRESH);
    const struct map_allowed *allowed = now.configured ? &now : NULL;
    const struct map_soc_peak *peak = status->peak.percent < 0 ? NULL : &status->peak;
    GATEWAY_NUMBER_LIST(NUMBER_SET)
}

static void gather_bank(const struct map_bank *bank, double numbers[BANK_NUMBERS])
{
    BANK_NUMBER_LIST(NUMBER_SET)
}

static void put_numbers(const struct map_settings *settings, const struct map_row *row,
                        const double *numbers, uint16_t *registers)
{
    const struct map_type_info *type = &map_types[row->type];
    const bool compatibility = map_row_block(row) == COMPATIBILITY;
    uint16_t *to = registers + settings->base + row->offset;
    for (unsigned n = 0; n < row->count; n++, to += type->registers) {
        const double number = map_fit(row->type, numbers[n] / row->scale, !compatibility);
        const uint64_t unknown = compatibility ? 0 : type->unknown;
        map_put_words(to, isnan(numbers[n]) ? unknown : map_pattern(row->type, number),
                      type->registers, map_row_high_first(settings, row));
    }
}

static void put_rows(const struct map_settings *settings, const struct sources *from,
                     uint16_t *registers)
{
    const bool with_settings = map_has_settings(settings);
    for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++) {
        if (row->offset >= MAP_SETTINGS_OFFSET && !with_settings)
            continue;
        if (row->source == OF_TEXT && from->texts[row->id]) {
            /* ASCII, the first character in the high byte, padded with spaces. */
            const char *text = from->texts[row->id];
            uint16_t *to = registers + settings->base + row->offset;
            for (unsigned i = 0; i < map_row_size(row); i++) {
                unsigned high = *text ? (uint8_t) *text++ : ' ';
                unsigned low = *text ? (uint8_t) *text++ : ' ';
                to[i] = (uint16_t) (high << 8 | low);
            }
        }
        if (row->source != OF_TEXT && from->numbers[row->source])
            put_numbers(settings, row, from->numbers[row->source] + row->id, registers);
    }
}

void map_encode(const struct map_settings *settings, const struct pack *pack,
                const struct map_status *status, uint16_t *registers)
{
    static const double raised = 1;
    double state[PACK_STATE_NUMBERS], gateway[GATEWAY_NUMBERS], bank[BANK_NUMBERS];
    gather_gateway(settings, status, gateway);
    gather_bank(status->bank, bank);
    struct sources from = {
        .numbers = {[OF_GATEWAY] = gateway, [OF_BANK] = bank},
        .texts = {[OUR_DRIVER] = status->driver ? status->driver : "",
                  [OUR_PACK_NAME] = status->pack_name ? status->pack_name : ""},
    };
    if (pack) {
        gather_state(settings, pack, status, state);
        from.numbers[OF_PACK] = pack->value;
        from.numbers[OF_STATE] = state;
        for (int i = 0; i < PACK_TEXTS; i++)
            from.texts[i] = pack->text[i];
        memset(registers, 0, map_size(settings) * sizeof *registers);
    }
    put_rows(settings, &from, registers);
    for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++)
        if (status->state != MAP_STATE_FRESH && row->source == OF_STATE && row->id == FAILURE)
            put_numbers(settings, row, &raised, registers);
    if (map_has_copy(settings))
        memcpy(registers + settings->also_at, registers + settings->base,
               MAP_COMPAT_SIZE * sizeof *registers);
}

/* Names of the pack's own numbers are in pack.h. */
bool map_is_number(const struct map_row *row)
{
    return map_row_block(row) == EXTENDED && row->count == 1 && row->source != OF_PACK &&
           row->source != OF_TEXT;
}

double map_number(const struct map_row *row, const struct pack *pack,
                  const struct map_status *status)
{
    /* Settings only affect the form of registers, and the compatibility block. */
    static const struct map_settings none;
    double state[PACK_STATE_NUMBERS], gateway[GATEWAY_NUMBERS], bank[BANK_NUMBERS];
    const double *const numbers[] = {[OF_STATE] = state, [OF_GATEWAY] = gateway, [OF_BANK] = bank};
    gather_state(&none, pack, status, state);
    gather_gateway(&none, status, gateway);
    gather_bank(status->bank, bank);
    return numbers[row->source][row->id];
}

double map_number_named(const char *name, const struct pack *pack, const struct map_status *status)
{
    for (const struct map_row *row = map_rows; row < map_rows + map_row_count; row++)
        if (map_is_number(row) && strcmp(row->name, name) == 0)
            return map_number(row, pack, status);
    return NAN;
}

static bool bit_of(const struct map_bit *bit, const struct pack *pack, const bool *states)
{
    return bit->source == BIT_OF_ALARM  ? pack_alarm_active(pack, (enum pack_alarm) bit->id)
           : bit->source == BIT_OF_PACK ? pack->value[bit->id] > 0
                                        : states[bit->id];
}

void map_encode_bits(const struct pack *pack, const struct map_status *status,
                     uint8_t inputs[MAP_INPUTS], uint8_t coils[MAP_COILS])
{
    bool numbers[BIT_STATES];
    BIT_STATE_LIST(NUMBER_SET)
    memset(inputs, 0, MAP_INPUTS);
    memset(coils, 0, MAP_COILS);
    for (unsigned i = 0; i < map_input_count; i++)
        inputs[map_inputs[i].number] = bit_of(&map_inputs[i], pack, numbers);
    for (unsigned i = 0; i < map_coil_count; i++)
        coils[map_coils[i].number] = pack_known(pack, (enum pack_value) map_coils[i].id)
                                         ? bit_of(&map_coils[i], pack, numbers)
                                         : MAP_COIL_UNKNOWN;
}
