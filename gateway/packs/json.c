// SPDX-License-Identifier: MIT
#include "json.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS 12    /* significant digits, so that 53.58 does not read 53.579999999999998 */
#define FRACTION 1e4 /* rounding to 4 decimals: finer than any protocol; averages need a limit */

json_t *json_number(double value, int decimals)
{
    if (decimals == 0)
        return json_integer((json_int_t) round(value));
    return json_real(round(value * FRACTION) / FRACTION + 0.0);
}

void json_count(json_t *object, const char *name, uint64_t count)
{
    json_object_set_new(object, name, json_integer((json_int_t) count));
}

json_t *json_of_pack(const struct pack *pack)
{
    json_t *object = json_object();
    char name[VALUE_NAME_SIZE];
    for (int i = 0; object && i < PACK_VALUES; i++) {
        const struct pack_value_info *info = pack_value_info((enum pack_value) i);
        if (info->name && pack_known(pack, (enum pack_value) i))
            json_object_set_new(object, pack_value_name((enum pack_value) i, name),
                                json_number(pack->value[i], info->decimals));
    }
    for (int i = 0; object && i < PACK_ALARM_COUNT; i++) {
        snprintf(name, sizeof name, "alarm.%s", pack_alarm_name((enum pack_alarm) i));
        if (pack->alarms_known >> i & 1)
            json_object_set_new(object, name,
                                json_integer(pack_alarm_active(pack, (enum pack_alarm) i)));
    }
    for (int i = 0; object && i < PACK_TEXTS; i++)
        if (pack->text[i][0])
            json_object_set_new(object, pack_text_name((enum pack_text) i),
                                json_string(pack->text[i]));
    return object;
}

json_t *json_printable(const char *text)
{
    json_t *string = json_string(text);
    char *plain = string ? NULL : strdup(text);
    for (char *c = plain; c && *c; c++)
        *c = (unsigned char) *c < 0x80 ? *c : '?';
    if (plain)
        string = json_string(plain);
    free(plain);
    return string;
}

json_t *json_alarms(uint32_t warning, uint32_t protection)
{
    json_t *alarms = json_array();
    for (int i = 0; i < PACK_ALARM_COUNT; i++)
        if ((warning | protection) >> i & 1)
            json_array_append_new(
                alarms, json_pack("{s:s, s:s}", "name", pack_alarm_name((enum pack_alarm) i),
                                  "level", protection >> i & 1 ? "protection" : "warning"));
    return alarms;
}

json_t *json_refusal(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    json_t *refusal = json_pack("{s:o}", "error", json_vsprintf(format, values));
    va_end(values);
    return refusal;
}

char *json_text(json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(DIGITS)) : NULL;
    json_decref(object);
    return text;
}

void json_print(FILE *out, json_t *object, bool indented)
{
    json_dumpf(object, out,
               (indented ? JSON_INDENT(2) : JSON_COMPACT) | JSON_REAL_PRECISION(DIGITS));
    fputc('\n', out);
    json_decref(object);
}
