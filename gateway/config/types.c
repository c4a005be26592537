// SPDX-License-Identifier: MIT
/*
 * The types of values in the configuration. Numbers are read strictly: what strtol and its sisters
 * forgive (blanks, signs, what follows the number, octal, "inf") is a mistake in a configuration.
 */
#include "types.h"

#include "bms/count.h"
#include "bms/modbus/modbus.h"

#include "base/address.h"
#include "base/bluetooth.h"
#include "base/duration.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DIGITS "0123456789"
#define HEX_DIGITS "0123456789abcdefABCDEF"

static bool find_word(const struct config_key *key, const char *text, unsigned *index)
{
    for (unsigned i = 0; key->words && key->words[i]; i++)
        if (strcasecmp(key->words[i], text) == 0) {
            *index = i;
            return true;
        }
    return false;
}

static bool in_range(const struct config_key *key, double value)
{
    return value >= key->min && value <= key->max;
}

/* A minus sign only where numbers can be negative. */
static bool parse_sign(const struct config_key *key, const char **text)
{
    const bool negative = **text == '-' && key->min < 0;
    *text += negative;
    return negative;
}

static bool parse_whole(const struct config_key *key, const char *text, void *field)
{
    unsigned index;
    double value = 0;
    if (find_word(key, text, &index)) {
        value = -1.0 - index;
    } else {
        const bool negative = parse_sign(key, &text);
        const bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
        const char *digits = hex ? text + 2 : text;
        const size_t length = strspn(digits, hex ? HEX_DIGITS : DIGITS);
        /* Saturates if the text is longer than any number, and is out of range then. */
        value = (double) strtoull(digits, NULL, hex ? 16 : 10);
        value = negative ? -value : value;
        if (length == 0 || digits[length] || !in_range(key, value))
            return false;
    }
    if (key->size == sizeof(uint8_t))
        *(uint8_t *) field = (uint8_t) value;
    else if (key->size == sizeof(uint16_t))
        *(uint16_t *) field = (uint16_t) value;
    else
        *(uint32_t *) field = (uint32_t) (int64_t) value;
    return true;
}

static bool parse_number(const struct config_key *key, const char *text, void *field)
{
    const bool negative = parse_sign(key, &text);
    double value;
    const char *rest = decimal_read(text, &value);
    if (rest && key->unit && *rest == key->unit)
        rest++;
    if (!rest || *rest || !in_range(key, negative ? -value : value))
        return false;
    *(double *) field = negative ? -value : value;
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

static void describe_whole(const struct config_key *key, struct text *text)
{
    text_format(text, "a whole number from %.0f to %.0f%s%s", key->min, key->max,
                key->words ? ", or " : "", key->words ? key->words[0] : "");
}

const struct config_type type_whole = {.parse = parse_whole, .describe = describe_whole};
const struct config_type type_number = {.parse = parse_number, .expects = "a number from %l to %m"};
const struct config_type type_real = {.parse = parse_real, .expects = "a number"};

static bool parse_duration(const struct config_key *key, const char *text, void *field)
{
    double seconds;
    if (!duration_read(text, &seconds) || !in_range(key, seconds))
        return false;
    if (key->size == sizeof(double))
        *(double *) field = seconds;
    else
        *(unsigned *) field = (unsigned) lround(seconds * 1e3);
    return true;
}

const struct config_type type_duration = {
    .parse = parse_duration, .expects = "a duration from %f to %t, with the unit ms, s, m, h or d"};

_Static_assert(sizeof(enum on_stale) == sizeof(unsigned) &&
                   sizeof(enum map_type) == sizeof(unsigned) &&
                   sizeof(enum rts_mode) == sizeof(unsigned) &&
                   sizeof(enum bms_current) == sizeof(unsigned),
               "an enum is stored as the unsigned that it is");

static bool parse_choice(const struct config_key *key, const char *text, void *field)
{
    unsigned index;
    if (!find_word(key, text, &index))
        return false;
    if (key->size == sizeof(bool))
        *(bool *) field = index == 1;
    else
        *(unsigned *) field = index;
    return true;
}

static const char *choice_word(const struct config_key *key, unsigned n)
{
    return key->words[n];
}

const struct config_type type_choice = {
    .parse = parse_choice, .expects = "%w", .word = choice_word};

static struct bms_span nothing_to_find(const struct bms *bms, const struct bms_request *request,
                                       const uint8_t *bytes, size_t size)
{
    return (struct bms_span){BMS_SKIP, size};
}

static const struct bms_step no_plan[1];

const struct bms_driver automatic_driver = {
    .name = "auto",
    .title = "what answers",
    .address = {.max = 255, .usual = -1},
    .line = {.baud = 9600},
    .plan = no_plan,
    .steps = 0,
    .frame = nothing_to_find,
};

const char *config_split(const char *text, char word[NAME_SIZE])
{
    const size_t size = strcspn(text, " \t");
    const char *rest = text + size + strspn(text + size, " \t");
    snprintf(word, NAME_SIZE, "%.*s", (int) size, text);
    return *rest ? rest : NULL;
}

static bool parse_protocol(const struct config_key *key, const char *text, void *field)
{
    char name[NAME_SIZE];
    const char *variant = config_split(text, name);
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

static const char *protocol_word(const struct config_key *key, unsigned n)
{
    unsigned i = 0;
    while (i < n && bms_drivers[i])
        i++;
    const char *const others[] = {modbus_user_driver.name, automatic_driver.name};
    return bms_drivers[i] ? bms_drivers[i]->name : n - i < COUNT(others) ? others[n - i] : NULL;
}

const struct config_type type_protocol = {
    .parse = parse_protocol, .expects = "a protocol: %w", .word = protocol_word};

/* The file is read once the protocol is known to be modbus. */
static bool parse_map(const struct config_key *key, const char *text, void *field)
{
    struct pack_map *map = field;
    return config_copy(text, map->path, sizeof map->path);
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
    .parse = parse_map, .expects = "the path of a file", .same = same_map};

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

const struct config_type type_framing = {
    .parse = parse_framing,
    .expects = "data bits 7 or 8, parity N, E or O, stop bits 1 or 2, such as 8N1 or 7E1"};

bool config_copy(const char *text, char *out, size_t size)
{
    size_t length = strlen(text);
    if (length >= size)
        return false;
    memcpy(out, text, length + 1);
    return true;
}

const char *config_address_host(const char *text, const char *const *schemes)
{
    while (*schemes && strncmp(text, *schemes, strlen(*schemes)) != 0)
        schemes++;
    const char *host = *schemes ? text + strlen(*schemes) : "";
    const size_t size = strcspn(host, "/?");
    if (size == 0 || memchr(host, '@', size))
        return NULL;
    for (const char *c = text; *c; c++)
        if ((unsigned char) *c <= 0x20 || (unsigned char) *c >= 0x7F)
            return NULL;
    return host;
}

static bool parse_name(const struct config_key *key, const char *text, void *field)
{
    return config_name_good(text) && config_copy(text, field, NAME_SIZE);
}

_Static_assert(NAME_SIZE == 33, "as NAME_EXPECTED says");
#define NAME_EXPECTED "a name: 1 to 32 of a-z, A-Z, 0-9, '-', '_' and '.'"
const struct config_type type_name = {.parse = parse_name, .expects = NAME_EXPECTED};

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
    .parse = parse_reference, .expects = NAME_EXPECTED, .same = same_line_name, .later = true};
const struct config_type type_variant = {
    .parse = parse_reference, .expects = NAME_EXPECTED, .later = true};

static bool same_packs(const void *a, const void *b)
{
    const struct bank_config *x = a, *y = b;
    for (unsigned i = 0; i < x->pack_count && i < y->pack_count; i++)
        if (strcmp(x->packs[i]->name, y->packs[i]->name) != 0)
            return false;
    return x->pack_count == y->pack_count;
}

const struct config_type type_packs = {
    .parse = parse_reference,
    .expects = "names of packs such as house-1, at most %m of them with commas between",
    .same = same_packs,
    .list = true,
    .later = true};

static bool parse_text(const struct config_key *key, const char *text, void *field)
{
    return config_copy(text, field, key->size);
}

const struct config_type type_text = {.parse = parse_text, .expects = "a text of 1 to %s bytes"};

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
    return count >= 1 && count <= TITLE_CHARACTERS && config_copy(text, field, key->size);
}

const struct config_type type_title = {
    .parse = parse_title,
    .expects = "a name of 1 to " CONFIG_SHOW(TITLE_CHARACTERS) " characters (UTF-8)"};

/* Or one of the words, if the key has some. */
static bool parse_path(const struct config_key *key, const char *text, void *field)
{
    const size_t length = strlen(text);
    unsigned index;
    if (strcasecmp(text, "none") == 0)
        return config_copy("", field, key->size);
    if (find_word(key, text, &index))
        return config_copy(key->words[index], field, key->size);
    return text[0] == '/' && text[length - 1] != '/' &&
           (key->max == 0 || (double) length <= key->max) && config_copy(text, field, key->size);
}

static void describe_path(const struct config_key *key, struct text *text)
{
    text_format(text, "the path of a %s, starting with '/', ", key->max > 0 ? "socket" : "file");
    if (key->max > 0)
        text_format(text, "at most %.0f bytes, ", key->max);
    text_format(text, "%sor %s", key->words ? "none " : "", key->words ? key->words[0] : "none");
}

const struct config_type type_path = {.parse = parse_path, .describe = describe_path};

static bool parse_listen(const struct config_key *key, const char *text, void *field)
{
    struct listen_list *list = field;
    struct endpoint endpoint;
    char four[16];
    if (list->count == MAX_LISTEN || !endpoint_parse(text, &endpoint) || !endpoint.numeric ||
        endpoint_lacks_interface(&endpoint) || endpoint_is_mapped(&endpoint, four) ||
        !config_copy(text, list->at[list->count], sizeof *list->at))
        return false;
    list->count++;
    return true;
}

static bool parse_allow(const struct config_key *key, const char *text, void *field)
{
    return allow_add(field, text);
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
    return (serial || tcp || simulated) && config_copy(text, field, PORT_SIZE);
}

static bool parse_target(const struct config_key *key, const char *text, void *field)
{
    return strncmp(text, "tcp://", 6) == 0 && parse_port(key, text, field);
}

const struct config_type type_listen = {
    .parse = parse_listen,
    .expects = "ADDRESS:PORT such as 0.0.0.0:502 or [::]:502, at most " CONFIG_SHOW(
        MAX_LISTEN) " of them with commas between",
    .list = true};
const struct config_type type_allow = {
    .parse = parse_allow,
    .expects = "networks such as 192.168.0.0/16 or fe80::/10, at most " CONFIG_SHOW(
        MAX_ALLOW) " of them with commas between",
    .list = true};
const struct config_type type_port = {
    .parse = parse_port, .expects = "serial:/dev/..., tcp://HOST:PORT, ble:ADDRESS or sim:"};
const struct config_type type_target = {.parse = parse_target,
                                        .expects = "tcp://HOST:PORT, such as tcp://192.0.2.10:502"};

static const char *const substitutes[] = {[INSTEAD_SKIP] = "skip",
                                          [INSTEAD_UNKNOWN] = "unknown",
                                          [INSTEAD_EXCEPTION] = "exception",
                                          [INSTEAD_HOLD] = "hold"};

/* Accepts some of the words, and any number in the key's range. */
static bool parse_substitute(const struct config_key *key, const char *text, void *field)
{
    struct substitute *substitute = field;
    const struct config_key one = {.size = sizeof(double), .min = key->min, .max = key->max};
    enum instead kind = INSTEAD_NUMBER;
    double number = 0;
    unsigned index;
    if (find_word(key, text, &index))
        for (kind = INSTEAD_SKIP; strcmp(substitutes[kind], key->words[index]) != 0;)
            kind++;
    else if (!parse_number(&one, text, &number))
        return false;
    substitute->kind = kind;
    substitute->number = number;
    return true;
}

const struct config_type type_substitute = {
    .parse = parse_substitute, .expects = "%c or a number", .word = choice_word};

/* Finds the first part, of those that `done` does not have, that accepts the text. */
static bool parse_part(const struct config_key *key, const char *text, void *field, unsigned *done)
{
    for (unsigned i = 0; key->parts[i].type; i++) {
        const struct config_key *part = &key->parts[i];
        if (!(*done >> i & 1) && part->type->parse(part, text, (char *) field + part->offset)) {
            *done |= 1u << i;
            return true;
        }
    }
    return false;
}

/* Values with blanks between them. As much as a part accepts at a time, since a duration may have a blank in it. */
static bool parse_piece(const struct config_key *key, char *piece, void *field, unsigned *done)
{
    static const char blanks[] = " \t";
    bool good = false;
    while (*(piece += strspn(piece, blanks))) {
        size_t size = strlen(piece);
        for (good = false; size > 0; size--) {
            const char behind = piece[size];
            if (strchr(blanks, piece[size - 1]) || (behind && !strchr(blanks, behind)))
                continue;
            piece[size] = '\0';
            good = parse_part(key, piece, field, done);
            piece[size] = behind;
            if (good)
                break;
        }
        if (!good)
            return false;
        piece += size;
    }
    return good;
}

static bool alike(const struct config_key *a, const struct config_key *b)
{
    return a->type == b->type && a->min == b->min && a->max == b->max && a->words == b->words;
}

static bool parse_parts(const struct config_key *key, const char *text, void *field)
{
    char *copy = strdup(text), *rest = copy, *piece;
    /* The place of alike parts counts, so none can be left out. */
    const bool gaps = !alike(&key->parts[0], &key->parts[1]);
    unsigned done = 0;
    bool good = copy;
    while (good && (piece = strsep(&rest, ",")))
        good = (gaps && !piece[strspn(piece, " \t")]) || parse_piece(key, piece, field, &done);
    free(copy);
    return good && done && (done & 1 || !key->parts[0].required);
}

/* Several of one kind are described once. */
static void describe_parts(const struct config_key *key, struct text *text)
{
    for (unsigned i = 0, count; key->parts[i].type; i += count) {
        for (count = 1; alike(&key->parts[i], &key->parts[i + count]);)
            count++;
        text_add(text, i > 0 ? "; " : "");
        config_describe(&key->parts[i], text);
        if (count > 1)
            text_format(text, ", up to %u of them with commas between", count);
    }
}

static const char *parts_word(const struct config_key *key, unsigned n)
{
    for (unsigned i = 0; key->parts[i].type; i++) {
        const struct config_key *part = &key->parts[i];
        const char *word;
        for (unsigned k = 0; part->type->word && (word = part->type->word(part, k)); k++)
            if (n-- == 0)
                return word;
    }
    return NULL;
}

const struct config_type type_parts = {
    .parse = parse_parts, .describe = describe_parts, .word = parts_word};

static bool parse_ignored(const struct config_key *key, const char *text, void *field)
{
    return true;
}

const struct config_type type_ignored = {.parse = parse_ignored, .expects = "nothing"};
