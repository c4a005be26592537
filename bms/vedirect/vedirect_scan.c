// SPDX-License-Identifier: MIT
/* VE.Direct: blocks and HEX records out of a stream of bytes. */
#include "vedirect.h"

#include "bms/bytes.h"

#include <string.h>

#define BLOCK_MAX 2048 /* with HEX records in it; the longest text is 22 fields of 43 bytes */
#define RECORD_DIGITS (1 + 2 * VEDIRECT_DATA + 2)
#define CHECK 0x55 /* sum of command, data and check of a record */

enum state { IN_LABEL, IN_VALUE, AT_CHECKSUM };

struct scanner {
    enum state state;
    struct vedirect_field field;
    size_t length; /* of the label or value so far */
    uint8_t sum;
    bool spoilt;
};

/* ---- HEX records (section 3.1) ---- */

/* Upper case only: a flipped bit that turns a capital into a small letter would pass the check. */
static int capital_digit(uint8_t c)
{
    return c >= 'a' ? -1 : hex_digit(c);
}

struct bms_span vedirect_scan_record(const uint8_t *bytes, size_t size)
{
    size_t at = 1;
    while (at < size && at <= RECORD_DIGITS && capital_digit(bytes[at]) >= 0)
        at++;
    if (at > RECORD_DIGITS)
        return (struct bms_span){BMS_DAMAGED, at};
    if (at == size)
        return (struct bms_span){BMS_MORE, 0};
    if (bytes[at] == '\r' || bytes[at] == ':')
        return (struct bms_span){BMS_DAMAGED, at};
    struct vedirect_record record;
    bool good = vedirect_parse_record(bytes, at + 1, &record);
    return (struct bms_span){good ? BMS_FRAME : BMS_DAMAGED, at + 1};
}

bool vedirect_parse_record(const uint8_t *bytes, size_t size, struct vedirect_record *record)
{
    /* Colon, command, pairs of digits with the check at the end, LF. */
    if (size < 5 || size % 2 == 0 || size > RECORD_DIGITS + 2 || bytes[0] != ':' ||
        bytes[size - 1] != '\n')
        return false;
    for (size_t i = 1; i < size - 1; i++)
        if (capital_digit(bytes[i]) < 0)
            return false;
    record->command = (uint8_t) capital_digit(bytes[1]);
    record->size = (size - 5) / 2;
    uint8_t sum = record->command;
    for (size_t i = 0; i <= record->size; i++) {
        uint8_t byte =
            (uint8_t) (capital_digit(bytes[2 + 2 * i]) << 4 | capital_digit(bytes[3 + 2 * i]));
        sum = (uint8_t) (sum + byte);
        if (i < record->size)
            record->data[i] = byte;
    }
    return sum == CHECK;
}

size_t vedirect_write_record(uint8_t command, const uint8_t *data, size_t size, uint8_t *bytes)
{
    uint8_t check = (uint8_t) (CHECK - command);
    bytes[0] = ':';
    put_hex(bytes + 1, 1, command);
    for (size_t i = 0; i < size; i++) {
        check = (uint8_t) (check - data[i]);
        put_hex(bytes + 2 + 2 * i, 2, data[i]);
    }
    put_hex(bytes + 2 + 2 * size, 2, check);
    bytes[4 + 2 * size] = '\n';
    return 5 + 2 * size;
}

/* ---- text (section 2.3) ---- */

static void take_byte(struct scanner *scanner, struct vedirect_block *block, uint8_t byte)
{
    scanner->sum = (uint8_t) (scanner->sum + byte);
    bool label = scanner->state == IN_LABEL;
    if (byte == '\r')
        return;
    if (byte == '\n') {
        if (scanner->state == IN_VALUE) {
            if (block->field_count < VEDIRECT_FIELDS)
                block->fields[block->field_count++] = scanner->field;
            else
                scanner->spoilt = true;
        }
        memset(&scanner->field, 0, sizeof scanner->field);
        scanner->state = IN_LABEL;
        scanner->length = 0;
    } else if (byte == '\t' && label) {
        scanner->state = strcmp(scanner->field.label, "Checksum") == 0 ? AT_CHECKSUM : IN_VALUE;
        scanner->length = 0;
    } else if (scanner->length < (label ? VEDIRECT_LABEL : VEDIRECT_VALUE)) {
        (label ? scanner->field.label : scanner->field.value)[scanner->length++] = (char) byte;
    } else {
        scanner->spoilt = true;
    }
}

/* A record inside a block is not part of the block's sum. A record that a CR breaks off spoils the
 * block: it may also be a digit that was damaged into a colon, and the sum cannot detect this if
 * the digits after it happen to add up to 0. */
static size_t pass_record(struct scanner *scanner, struct vedirect_block *block,
                          const uint8_t *bytes, size_t at, size_t size)
{
    struct bms_span span = vedirect_scan_record(bytes + at, size - at);
    if (span.kind == BMS_MORE)
        return size;
    if (span.kind == BMS_FRAME && block->record_count < VEDIRECT_RECORDS)
        block->records[block->record_count++] = (struct vedirect_piece){at, span.size};
    if (span.kind == BMS_DAMAGED && at + span.size < size && bytes[at + span.size] == '\r')
        scanner->spoilt = true;
    return at + span.size;
}

void vedirect_scan_block(const uint8_t *bytes, size_t size, struct vedirect_block *block)
{
    struct scanner scanner = {.state = IN_LABEL};
    memset(block, 0, sizeof *block);
    size_t at = 0;
    while (at < size && at < BLOCK_MAX) {
        if (scanner.state == AT_CHECKSUM) {
            /* Any byte at all, a colon or LF as well: nothing else is looked at. */
            block->size = at + 1;
            block->sound = !scanner.spoilt && (uint8_t) (scanner.sum + bytes[at]) == 0;
            return;
        }
        if (bytes[at] == ':')
            at = pass_record(&scanner, block, bytes, at, size);
        else
            take_byte(&scanner, block, bytes[at++]);
    }
    block->size = at < BLOCK_MAX ? 0 : at;
}

struct bms_span vedirect_scan(const struct bms *bms, const struct bms_request *request,
                              const uint8_t *bytes, size_t size)
{
    if (bytes[0] == ':')
        return vedirect_scan_record(bytes, size);
    if (bytes[0] != '\r') {
        size_t at = 0;
        while (at < size && bytes[at] != ':' && bytes[at] != '\r')
            at++;
        return (struct bms_span){BMS_SKIP, at};
    }
    if (size == 1)
        return (struct bms_span){BMS_MORE, 0};
    if (bytes[1] != '\n')
        return (struct bms_span){BMS_SKIP, 1};
    struct vedirect_block block;
    vedirect_scan_block(bytes, size, &block);
    if (block.size == 0)
        return (struct bms_span){BMS_MORE, 0};
    if (block.sound)
        return (struct bms_span){BMS_FRAME, block.size};
    /* Where another block begins inside a damaged one, whose end was lost or that never was one.
     * Blocks begin with these fields; accepting any other field, one of 256 fragments would pass for
     * a block. */
    static const char *const starts[] = {"\r\nPID\t", "\r\nH1\t"};
    size_t first = block.size;
    for (size_t i = 0; i < COUNT(starts); i++) {
        const uint8_t *found = memmem(bytes + 1, first - 1, starts[i], strlen(starts[i]));
        first = found ? (size_t) (found - bytes) : first;
    }
    return (struct bms_span){BMS_DAMAGED, first};
}

const char *vedirect_value(const struct vedirect_block *block, const char *label)
{
    for (unsigned i = block->field_count; i > 0; i--)
        if (strcmp(block->fields[i - 1].label, label) == 0)
            return block->fields[i - 1].value;
    return NULL;
}
