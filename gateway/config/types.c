// SPDX-License-Identifier: MIT
/*
 * The types of values in the configuration. Numbers are read strictly: what strtol and its sisters
 * forgive (blanks, signs, what follows the number, octal, "inf") is a mistake in a configuration.
 */
#include "types.h"

#include "bms/modbus/modbus_user.h"

#include "base/address.h"
#include "base/bluetooth.h"
#include "base/duration.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#define DIGITS "0123456789"
#define HEX_DIGITS "0123456789abcdefABCDEF"

static bool in_range(const struct config_key *key, double value)
{
    return value >= key->min && value <= key->max;
}

static bool read_whole(const struct config_key *key, const char *text, double *value)
{
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *digits = hex ? text + 2 : text;
    size_t length = strspn(digits, hex ? HEX_DIGITS : DIGITS);
    if (length == 0 || digits[length])
        return false;
    /* Saturates if the text is longer than any number, and is out of range then. */
    double found = (double) strtoull(digits, NULL, hex ? 16 : 10);
    if (!in_range(key, found))
        return false;
    *value = found;
    return true;
}

static bool parse_int(const struct config_key *key, const char *text, void *field)
{
    double value;
    if (!read_whole(key, text, &value))
        return false;
    *(int *) field = (int) value;
    return true;
}

static bool parse_unsigned(const struct config_key *key, const char *text, void *field)
{
    double value;
    if (!read_whole(key, text, &value))
        return false;
    *(unsigned *) field = (unsigned) value;
    return true;
}

static bool parse_u16(const struct config_key *key, const char *text, void *field)
{
    double value;
    if (!read_whole(key, text, &value))
        return false;
    *(uint16_t *) field = (uint16_t) value;
    return true;
}

static bool parse_u32(const struct config_key *key, const char *text, void *field)
{
    double value;
    if (!read_whole(key, text, &value))
        return false;
    *(uint32_t *) field = (uint32_t) value;
    return true;
}

static bool parse_also_at(const struct config_key *key, const char *text, void *field)
{
    if (strcasecmp(text, "none") != 0)
        return parse_int(key, text, field);
    *(int *) field = MAP_NONE;
    return true;
}

static bool parse_decimal(const struct config_key *key, const char *text, void *field)
{
    double value;
    const char *rest = decimal_read(text, &value);
    if (rest && key->unit && *rest == key->unit)
        rest++;
    if (!rest || *rest || !in_range(key, value))
        return false;
    *(double *) field = value;
    return true;
}

static bool parse_number(const struct config_key *key, const char *text, void *field)
{
    bool negative = text[0] == '-';
    double value;
    const char *rest = decimal_read(text + negative, &value);
    if (!rest || *rest)
        return false;
    value = negative ? -value : value;
    if (!in_range(key, value))
        return false;
    *(double *) field = value;
    return true;
}

/* Any number as C writes it, also 1e-3 or 0x10. */
static bool parse_real(const struct config_key *key, const char *text, void *field)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value))
        return false;
    *(double *) field = value;
    return true;
}

static void describe_real(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size, "a number");
}

static void describe_whole(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size, "a whole number from %.0f to %.0f", key->min, key->max);
}

static void describe_also_at(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size, "a whole number from %.0f to %.0f, or none", key->min, key->max);
}

static void describe_decimal(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size, "a number from %g to %.0f", key->min, key->max);
}

const struct config_type type_number = {.parse = parse_number, .describe = describe_decimal};
const struct config_type type_real = {.parse = parse_real, .describe = describe_real};
const struct config_type type_int = {.parse = parse_int, .describe = describe_whole};
const struct config_type type_unsigned = {.parse = parse_unsigned, .describe = describe_whole};
const struct config_type type_u16 = {.parse = parse_u16, .describe = describe_whole};
const struct config_type type_u32 = {.parse = parse_u32, .describe = describe_whole};
const struct config_type type_also_at = {.parse = parse_also_at, .describe = describe_also_at};
const struct config_type type_decimal = {.parse = parse_decimal, .describe = describe_decimal};

static bool read_duration(const struct config_key *key, const char *text, double *seconds)
{
    double found;
    if (!duration_read(text, &found) || !in_range(key, found))
        return false;
    *seconds = found;
    return true;
}

static bool parse_seconds(const struct config_key *key, const char *text, void *field)
{
    return read_duration(key, text, field);
}

static bool parse_millis(const struct config_key *key, const char *text, void *field)
{
    double seconds;
    if (!read_duration(key, text, &seconds))
        return false;
    *(unsigned *) field = (unsigned) lround(seconds * 1e3);
    return true;
}

static void describe_duration(const struct config_key *key, char *out, size_t size)
{
    char from[32], to[32];
    duration_format(key->min, from, sizeof from);
    duration_format(key->max, to, sizeof to);
    snprintf(out, size, "a duration from %s to %s, such as 500ms, 1.5s, 2m or 1h", from, to);
}

static bool parse_gap(const struct config_key *key, const char *text, void *field)
{
    bool *set = (bool *) ((char *) field + key->size - sizeof *set);
    *set = parse_millis(key, text, field);
    return *set;
}

const struct config_type type_seconds = {.parse = parse_seconds, .describe = describe_duration};
const struct config_type type_millis = {.parse = parse_millis, .describe = describe_duration};
const struct config_type type_gap = {.parse = parse_gap, .describe = describe_duration};

static bool find_word(const struct config_key *key, const char *text, unsigned *index)
{
    for (unsigned i = 0; key->words[i]; i++) {
        if (strcasecmp(key->words[i], text) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

_Static_assert(sizeof(enum on_stale) == sizeof(unsigned) &&
                   sizeof(enum map_type) == sizeof(unsigned) &&
                   sizeof(enum rts_mode) == sizeof(unsigned) &&
                   sizeof(enum bms_current) == sizeof(unsigned),
               "an enum is stored as the unsigned that it is");

static bool parse_choice(const struct config_key *key, const char *text, void *field)
{
    return find_word(key, text, field);
}

static bool parse_flag(const struct config_key *key, const char *text, void *field)
{
    unsigned index;
    if (!find_word(key, text, &index))
        return false;
    *(bool *) field = index == 1;
    return true;
}

static void append_word(char *out, size_t size, const char *separator, const char *text)
{
    size_t used = strlen(out);
    snprintf(out + used, size - used, "%s%s", separator, text);
}

static void describe_words(const struct config_key *key, char *out, size_t size)
{
    out[0] = 0;
    for (unsigned i = 0; key->words[i]; i++)
        append_word(out, size, i == 0 ? "" : key->words[i + 1] ? ", " : " or ", key->words[i]);
}

static void offer_words(const struct config_key *key, struct suggest *suggest)
{
    for (unsigned i = 0; key->words[i]; i++)
        suggest_offer(suggest, key->words[i]);
}

const struct config_type type_choice = {
    .parse = parse_choice, .describe = describe_words, .offer = offer_words};
const struct config_type type_flag = {
    .parse = parse_flag, .describe = describe_words, .offer = offer_words};

static struct bms_span nothing_to_find(const struct bms *bms, const struct bms_request *request,
                                       const uint8_t *bytes, size_t size)
{
    return (struct bms_span){BMS_SKIP, size};
}

static const struct bms_step no_plan[1];

const struct bms_driver automatic_driver = {
    .name = "auto",
    .title = "what answers",
    .address_max = 255,
    .address_default = -1,
    .line = {.baud = 9600, .framing = "8N1"},
    .plan = no_plan,
    .steps = 0,
    .frame = nothing_to_find,
};

const char *config_variant_of(const char *protocol, char name[NAME_SIZE])
{
    const size_t size = strcspn(protocol, " \t");
    const char *variant = protocol + size + strspn(protocol + size, " \t");
    snprintf(name, NAME_SIZE, "%.*s", (int) size, protocol);
    return *variant ? variant : NULL;
}

static bool parse_protocol(const struct config_key *key, const char *text, void *field)
{
    char name[NAME_SIZE];
    const char *variant = config_variant_of(text, name);
    const bool modbus = strcmp(name, modbus_user_driver.name) == 0;
    const struct bms_driver *driver = strcmp(name, automatic_driver.name) == 0 ? &automatic_driver
                                      : modbus                                 ? &modbus_user_driver
                                               : bms_driver_find(name);
    if (!driver ||
        (variant && (modbus ? strlen(variant) >= PORT_SIZE : !config_name_good(variant))))
        return false;
    *(const struct bms_driver **) field = driver;
    return true;
}

static void describe_protocol(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size, "a protocol: ");
    for (unsigned i = 0; bms_drivers[i]; i++)
        append_word(out, size, i == 0 ? "" : ", ", bms_drivers[i]->name);
    append_word(out, size, ", ", modbus_user_driver.name);
    append_word(out, size, " or ", automatic_driver.name);
}

static void offer_protocols(const struct config_key *key, struct suggest *suggest)
{
    for (unsigned i = 0; bms_drivers[i]; i++)
        suggest_offer(suggest, bms_drivers[i]->name);
    suggest_offer(suggest, modbus_user_driver.name);
    suggest_offer(suggest, automatic_driver.name);
}

const struct config_type type_protocol = {
    .parse = parse_protocol, .describe = describe_protocol, .offer = offer_protocols};

/* The file is read once the protocol is known to be modbus. */
static bool parse_map(const struct config_key *key, const char *text, void *field)
{
    struct pack_map *map = field;
    if (!*text || strlen(text) >= sizeof map->path)
        return false;
    snprintf(map->path, sizeof map->path, "%s", text);
    return true;
}

static void describe_map(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size, "the path of a file");
}

/* A changed file is another map. */
static bool same_map(const void *a, const void *b)
{
    const struct pack_map *left = a, *right = b;
    if (!left->rows || !right->rows)
        return left->rows == right->rows;
    return left->rows->contents == right->rows->contents;
}

const struct config_type type_map = {
    .parse = parse_map, .describe = describe_map, .same = same_map};

static bool parse_framing(const struct config_key *key, const char *text, void *field)
{
    if (strlen(text) != 3 || !strchr("78", text[0]) || !strchr("NEOneo", text[1]) ||
        !strchr("12", text[2]))
        return false;
    char *out = field;
    memcpy(out, text, 4);
    out[1] = (char) (text[1] & ~0x20); /* upper case */
    return true;
}

static void describe_framing(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size, "data bits 7 or 8, parity N, E or O, stop bits 1 or 2, such as 8N1 or 7E1");
}

const struct config_type type_framing = {.parse = parse_framing, .describe = describe_framing};

static bool copy_text(const char *text, char *out, size_t size)
{
    size_t length = strlen(text);
    if (length >= size)
        return false;
    memcpy(out, text, length + 1);
    return true;
}

static bool parse_name(const struct config_key *key, const char *text, void *field)
{
    return config_name_good(text) && copy_text(text, field, NAME_SIZE);
}

static void describe_name(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size, "a name: 1 to %d of a-z, A-Z, 0-9, '-', '_' and '.'", NAME_SIZE - 1);
}

const struct config_type type_name = {.parse = parse_name, .describe = describe_name};

/* The name of another section, which is looked up once all sections are read. */
static bool parse_reference(const struct config_key *key, const char *text, void *field)
{
    return config_name_good(text);
}

static bool same_line_name(const void *a, const void *b)
{
    const struct line_config *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name) == 0;
}

const struct config_type type_line = {
    .parse = parse_reference, .describe = describe_name, .same = same_line_name, .later = true};
const struct config_type type_variant = {
    .parse = parse_reference, .describe = describe_name, .later = true};

static void describe_packs(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size, "names of packs such as house-1, at most %.0f of them with commas between",
             key->max);
}

static bool same_packs(const void *a, const void *b)
{
    const struct bank_config *x = a, *y = b;
    for (unsigned i = 0; i < x->pack_count && i < y->pack_count; i++)
        if (strcmp(x->packs[i]->name, y->packs[i]->name) != 0)
            return false;
    return x->pack_count == y->pack_count;
}

const struct config_type type_packs = {.parse = parse_reference,
                                       .describe = describe_packs,
                                       .same = same_packs,
                                       .list = true,
                                       .later = true};

static bool parse_text(const struct config_key *key, const char *text, void *field)
{
    return copy_text(text, field, key->size);
}

static void describe_text(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size, "a text of 1 to %zu bytes", key->size - 1);
}

const struct config_type type_text = {.parse = parse_text, .describe = describe_text};

/* The next character of UTF-8; 0: malformed, not printable, or one that changes the writing
 * direction. */
static unsigned printed_character(const unsigned char **text)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *at = *text;
    const unsigned size = at[0] < 0x80   ? 1
                          : at[0] < 0xC0 ? 0
                          : at[0] < 0xE0 ? 2
                          : at[0] < 0xF0 ? 3
                          : at[0] < 0xF8 ? 4
                                         : 0;
    unsigned code = size == 1 ? at[0] : at[0] & (0x7Fu >> size);
    for (unsigned i = 1; i < size; i++) {
        if ((at[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3F);
    }
    *text += size;
    const bool control = code < 0x20 || (code >= 0x7F && code < 0xA0);
    const bool directs = code == 0x061C || (code >= 0x200B && code <= 0x200F) ||
                         (code >= 0x2028 && code <= 0x202E) || (code >= 0x2060 && code <= 0x206F) ||
                         code == 0xFEFF;
    const bool is_none =
        size == 0 || code < least[size] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000);
    return control || directs || is_none ? 0 : code;
}

static bool parse_title(const struct config_key *key, const char *text, void *field)
{
    const unsigned char *at = (const unsigned char *) text;
    unsigned count = 0;
    for (; *at; count++)
        if (!printed_character(&at))
            return false;
    return count >= 1 && count <= TITLE_CHARACTERS && copy_text(text, field, key->size);
}

static void describe_title(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size, "a name of 1 to %d characters (UTF-8)", TITLE_CHARACTERS);
}

const struct config_type type_title = {.parse = parse_title, .describe = describe_title};

static bool parse_path(const struct config_key *key, const char *text, void *field)
{
    if (strcasecmp(text, "none") == 0)
        return copy_text("", field, PORT_SIZE);
    size_t length = strlen(text);
    return text[0] == '/' && text[length - 1] != '/' && copy_text(text, field, PORT_SIZE);
}

static void describe_path(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size, "the path of a file, starting with '/', or none");
}

const struct config_type type_path = {.parse = parse_path, .describe = describe_path};

static bool parse_ca_file(const struct config_key *key, const char *text, void *field)
{
    return strcmp(text, "any") == 0 ? copy_text(text, field, PORT_SIZE)
                                    : parse_path(key, text, field);
}

static void describe_ca_file(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size, "the path of a file, starting with '/', none or any");
}

const struct config_type type_ca_file = {.parse = parse_ca_file, .describe = describe_ca_file};

static bool parse_socket(const struct config_key *key, const char *text, void *field)
{
    return strlen(text) < sizeof((struct sockaddr_un *) NULL)->sun_path &&
           parse_path(key, text, field);
}

static void describe_socket(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size, "the path of a socket, starting with '/', at most %zu bytes, or none",
             sizeof((struct sockaddr_un *) NULL)->sun_path - 1);
}

const struct config_type type_socket = {.parse = parse_socket, .describe = describe_socket};

static bool parse_listen(const struct config_key *key, const char *text, void *field)
{
    struct listen_list *list = field;
    struct endpoint endpoint;
    char four[16];
    if (list->count == MAX_LISTEN || !endpoint_parse(text, &endpoint) || !endpoint.numeric ||
        endpoint_lacks_interface(&endpoint) || endpoint_is_mapped(&endpoint, four) ||
        !copy_text(text, list->at[list->count], sizeof *list->at))
        return false;
    list->count++;
    return true;
}

static void describe_listen(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size,
             "ADDRESS:PORT such as 0.0.0.0:502 or [::]:502, at most %d of them with commas between",
             MAX_LISTEN);
}

static bool parse_allow(const struct config_key *key, const char *text, void *field)
{
    return allow_add(field, text);
}

static void describe_allow(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size,
             "networks such as 192.168.0.0/16 or fe80::/10, at most %d of them with commas between",
             MAX_ALLOW);
}

static bool parse_port(const struct config_key *key, const char *text, void *field)
{
    struct endpoint endpoint;
    bool serial = strncmp(text, "serial:/", 8) == 0 && text[8];
    bool tcp = strncmp(text, "tcp://", 6) == 0 && endpoint_parse(text + 6, &endpoint) &&
               endpoint.port > 0 && !endpoint_lacks_interface(&endpoint);
    bool simulated = strncmp(text, "sim:", 4) == 0;
    struct bluetooth_device device;
    if (strncmp(text, "ble:", 4) == 0 && bluetooth_parse(text + 4, &device)) {
        snprintf(field, PORT_SIZE, "ble:%s%s%s%s", device.adapter, device.adapter[0] ? "/" : "",
                 device.address, device.name);
        return true;
    }
    return (serial || tcp || simulated) && copy_text(text, field, PORT_SIZE);
}

static bool parse_target(const struct config_key *key, const char *text, void *field)
{
    return strncmp(text, "tcp://", 6) == 0 && parse_port(key, text, field);
}

static void describe_target(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size, "tcp://HOST:PORT, such as tcp://192.0.2.10:502");
}

static void describe_port(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size, "serial:/dev/..., tcp://HOST:PORT, ble:ADDRESS or sim:");
}

static bool same_listen(const void *a, const void *b)
{
    const struct listen_list *x = a, *y = b;
    for (unsigned i = 0; i < x->count && i < y->count; i++)
        if (strcmp(x->at[i], y->at[i]) != 0)
            return false;
    return x->count == y->count;
}

const struct config_type type_listen = {
    .parse = parse_listen, .describe = describe_listen, .same = same_listen, .list = true};
const struct config_type type_allow = {
    .parse = parse_allow, .describe = describe_allow, .list = true};
const struct config_type type_port = {.parse = parse_port, .describe = describe_port};
const struct config_type type_target = {.parse = parse_target, .describe = describe_target};

static const char *const substitutes[] = {[INSTEAD_SKIP] = "skip",
                                          [INSTEAD_UNKNOWN] = "unknown",
                                          [INSTEAD_EXCEPTION] = "exception",
                                          [INSTEAD_HOLD] = "hold"};

/* Accepts some of the words, and any number in the key's range. */
static bool parse_substitute(const struct config_key *key, const char *text, void *field)
{
    struct substitute found = {.kind = INSTEAD_NUMBER};
    unsigned index;
    if (find_word(key, text, &index)) {
        found.kind = INSTEAD_SKIP;
        while (strcmp(substitutes[found.kind], key->words[index]) != 0)
            found.kind++;
    } else if (!parse_number(key, text, &found.number)) {
        return false;
    }
    *(struct substitute *) field = found;
    return true;
}

static void describe_substitute(const struct config_key *key, char *out, size_t size)
{
    out[0] = 0;
    for (unsigned i = 0; key->words[i]; i++)
        append_word(out, size, i == 0 ? "" : ", ", key->words[i]);
    append_word(out, size, " or ", "a number");
}

static bool same_substitute(const void *a, const void *b)
{
    const struct substitute *x = a, *y = b;
    return x->kind == y->kind && (x->kind != INSTEAD_NUMBER || x->number == y->number);
}

const struct config_type type_substitute = {.parse = parse_substitute,
                                            .describe = describe_substitute,
                                            .offer = offer_words,
                                            .same = same_substitute};

/* ---- several values in one key ---- */

static bool parse_several(const struct config_key *key, const char *text, void *field)
{
    const struct config_type *type = key->type;
    const struct config_key one = {
        .type = type->item, .size = type->item_size, .min = key->min, .max = key->max};
    char *copy = strdup(text), *rest = copy, *item;
    bool good = copy;
    for (size_t n = 0; good && (item = strsep(&rest, ",")); n++) {
        item += strspn(item, " \t");
        for (size_t end = strlen(item); end > 0 && strchr(" \t", item[end - 1]); end--)
            item[end - 1] = '\0';
        good = n < key->size / type->item_size &&
               type->item->parse(&one, item, (char *) field + n * type->item_size);
    }
    free(copy);
    return good;
}

static void describe_several(const struct config_key *key, char *out, size_t size)
{
    key->type->item->describe(key, out, size);
    const size_t used = strlen(out);
    snprintf(out + used, size - used, ", up to %zu of them with commas between",
             key->size / key->type->item_size);
}

// clang-format off
#define SEVERAL(one, bytes) {.parse = parse_several, .describe = describe_several, .item = &(one), .item_size = (bytes)}
const struct config_type type_several_seconds = SEVERAL(type_seconds, sizeof(double));
const struct config_type type_several_unsigned = SEVERAL(type_unsigned, sizeof(unsigned));
const struct config_type type_several_int = SEVERAL(type_int, sizeof(int));
const struct config_type type_several_u32 = SEVERAL(type_u32, sizeof(uint32_t));
const struct config_type type_several_decimal = SEVERAL(type_decimal, sizeof(double));
const struct config_type type_several_number = SEVERAL(type_number, sizeof(double));
const struct config_type type_several_paths = SEVERAL(type_path, PORT_SIZE);
// clang-format on

/* ---- values of several kinds in one key ---- */

/* What a part is parsed and described by. */
static struct config_key key_of(const struct config_part *part)
{
    return (struct config_key){.type = part->type,
                               .size = part->size,
                               .min = part->min,
                               .max = part->max,
                               .unit = part->unit,
                               .words = part->words};
}

/* Finds the first part, of those that `done` does not have, that accepts the text. */
static bool parse_part(const struct config_key *key, const char *text, void *field, unsigned *done)
{
    for (unsigned i = 0; key->parts[i].type; i++) {
        const struct config_key one = key_of(&key->parts[i]);
        if (!(*done >> i & 1) &&
            one.type->parse(&one, text, (char *) field + key->parts[i].offset)) {
            *done |= 1u << i;
            return true;
        }
    }
    return false;
}

/* As much as a part accepts at a time, since a duration may have a blank in it. */
static bool parse_parts(const struct config_key *key, const char *text, void *field)
{
    static const char separators[] = " \t,";
    unsigned done = 0;
    bool good = true;
    for (text += strspn(text, separators); good && *text; text += strspn(text, separators)) {
        char *piece = strdup(text);
        size_t size = strlen(text);
        for (good = false; piece && size > 0; size--) {
            piece[size] = '\0';
            good = (!text[size] || strchr(separators, text[size])) &&
                   !strchr(separators, text[size - 1]) && parse_part(key, piece, field, &done);
            if (good)
                break;
        }
        text += size;
        free(piece);
    }
    return good && (done & 1 || !key->parts[0].required);
}

static void describe_parts(const struct config_key *key, char *out, size_t size)
{
    size_t used = 0;
    for (unsigned i = 0; key->parts[i].type && used < size; i++) {
        const struct config_key one = key_of(&key->parts[i]);
        used += (size_t) snprintf(out + used, size - used, "%s", i > 0 ? "; " : "");
        if (used < size)
            one.type->describe(&one, out + used, size - used);
        used += strlen(out + used);
    }
}

static void offer_parts(const struct config_key *key, struct suggest *suggest)
{
    for (unsigned i = 0; key->parts[i].type; i++) {
        const struct config_key one = key_of(&key->parts[i]);
        if (one.type->offer)
            one.type->offer(&one, suggest);
    }
}

const struct config_type type_parts = {
    .parse = parse_parts, .describe = describe_parts, .offer = offer_parts};

static bool parse_ignored(const struct config_key *key, const char *text, void *field)
{
    return true;
}

static void describe_ignored(const struct config_key *key, char *out, size_t size)
{
    snprintf(out, size, "nothing");
}

const struct config_type type_ignored = {.parse = parse_ignored, .describe = describe_ignored};
