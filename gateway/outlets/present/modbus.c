// SPDX-License-Identifier: MIT
/*
 * Modbus RTU on the port of a [present] section: the same units, views, access rules and exceptions as on port 502, answered by
 * the same code. That code speaks Modbus TCP: it gets each request with an MBAP header, and its answer has one.
 *
 * When values turn stale, it answers like port 502 for PRESENT_STOP_S: exception 11 for values, while registers that exist even for
 * a silent pack can be read, such as the allowed currents, which are then 0. After that, and before the first values, it does not
 * answer at all.
 */
#include "present.h"
#include "rtu.h"

#include "modbus/answer.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#include "bms/count.h"
#include "config/config.h"
#include "config/load.h"
#include "registers/rows.h"
#include "registers/value.h"

#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An order in flight. It is answered later, unless its master sends another request first: the
 * master has then stopped waiting, and would take the answer for that of the new request. */
struct ordered {
    uint64_t ticket; /* 0: none */
    struct bus_link *link;
    uint8_t frame[MBAP_ADU_MAX];
};

enum echo { ECHO_UNKNOWN, ECHO_NO, ECHO_YES };

struct modbus {
    struct present *present;
    struct answerer answerer;
    struct units units;
    struct unit *served;
    unsigned count;
    struct config *view_config; /* NULL: no view */
    struct diagnostics counted;
    uint64_t tickets;
    struct ordered ordered;
    enum echo echo; /* whether a serial line echoes what we send */
    size_t sent_size;
    uint8_t sent[RTU_ADU_MAX]; /* the last answer; size 0: its echo can no longer come */
};

_Static_assert(offsetof(struct outlet_pack, source) == 0, "pack_of");

/* The pack or bank of a unit, which begins with its source; for a view the first one of the section. */
static const struct outlet_pack *pack_of(const struct modbus *modbus, const struct unit *unit)
{
    return unit->view ? modbus->present->pack : (const struct outlet_pack *) unit->source;
}

static const struct {
    const char *name;
    enum pack_value value;
} limit_names[] = {
    {"allowed_charge_voltage_v", CHARGE_VOLTAGE_LIMIT_V},
    {"allowed_charge_current_a", CHARGE_CURRENT_LIMIT_A},
    {"allowed_discharge_current_a", DISCHARGE_CURRENT_LIMIT_A},
    {"charge_voltage_limit_v", CHARGE_VOLTAGE_LIMIT_V},
    {"charge_current_limit_a", CHARGE_CURRENT_LIMIT_A},
    {"discharge_current_limit_a", DISCHARGE_CURRENT_LIMIT_A},
};

/* Limits of [limits], which are read first, take precedence over those of the BMS. */
static void set_limit(struct pack *told, size_t n, double number)
{
    if (!pack_known(told, limit_names[n].value))
        told->value[limit_names[n].value] = number;
}

static bool range_has(const struct mbap_range *range, unsigned address, unsigned size)
{
    return address >= range->address && address + size <= range->address + range->count;
}

static bool read_map(const struct unit *unit, const struct mbap_range *range, struct pack *told)
{
    bool any = false;
    for (size_t n = 0; n < COUNT(limit_names); n++) {
        const struct map_row *row = map_row_find(limit_names[n].name);
        const unsigned address = (unsigned) unit->settings->base + row->offset;
        if (!range_has(range, address, map_row_size(row)))
            continue;
        any = true;
        set_limit(told, n,
                  row->scale * map_number_of(row->type, unit->registers + address,
                                             map_row_high_first(unit->settings, row)));
    }
    return any;
}

/* The first limit among the terms of a register; COUNT(limit_names): none. */
static size_t limit_of(const struct register_row *entry)
{
    char name[VALUE_NAME_SIZE];
    for (unsigned i = 0; entry->bit < 0 && entry->type != REG_STRING && i < entry->term_count;
         i++) {
        if (entry->terms[i].what != ROW_VALUE)
            continue;
        value_format(&entry->terms[i].value, name);
        for (size_t n = 0; n < COUNT(limit_names); n++)
            if (strcmp(limit_names[n].name, name) == 0)
                return n;
    }
    return COUNT(limit_names);
}

static bool range_has_copy(const struct view_fills *copies, const struct mbap_range *range,
                           const struct register_row *entry)
{
    for (const struct view_fill *copy = copies->list; copy < copies->list + copies->count; copy++)
        if (entry->address >= copy->first && entry->address <= copy->last &&
            range_has(range, entry->address - copy->first + copy->value, entry->size))
            return true;
    return false;
}

static bool read_view(struct view *view, const struct mbap_range *range, struct pack *told)
{
    bool any = false;
    const struct view_config *config = view->config;
    for (unsigned i = 0; i < config->register_count; i++) {
        const struct register_row *entry = &config->registers[i];
        const size_t n = limit_of(entry);
        if (n == COUNT(limit_names) || (!range_has(range, entry->address, entry->size) &&
                                        !range_has_copy(&config->copies, range, entry)))
            continue;
        const double shown =
            map_number_of(entry->type, view->registers + entry->address, entry->big_words);
        any = true;
        set_limit(told, n, (shown - entry->offset) / entry->scale);
    }
    return any;
}

static void send_pdu(struct modbus *modbus, struct bus_link *link, uint8_t address,
                     const uint8_t *pdu, size_t size)
{
    if (pdu[0] & 0x80) {
        modbus->counted.exceptions++;
        modbus->counted.busy += pdu[1] == MODBUS_EXCEPTION_SLAVE_OR_SERVER_BUSY;
    }
    modbus->sent_size = rtu_compose(address, pdu, size, modbus->sent);
    bus_send(link, modbus->sent, modbus->sent_size);
}

static void send_answer(struct modbus *modbus, struct bus_link *link, const uint8_t *frame,
                        const struct answers *answers)
{
    struct mbap_request request = {0};
    char what[64];
    const uint8_t *adu = answers->bytes, *pdu = adu + MBAP_HEADER;
    mbap_check(frame, mbap_find(frame, MBAP_ADU_MAX).size, &request);
    if (pdu[0] & 0x80)
        snprintf(what, sizeof what, "exception %u of unit %u", pdu[1], request.unit);
    else if (request.read.count > 0)
        snprintf(what, sizeof what, "%u from %u of unit %u", request.read.count,
                 request.read.address, request.unit);
    else
        snprintf(what, sizeof what, "function %u of unit %u", pdu[0], request.unit);
    send_pdu(modbus, link, adu[MBAP_HEADER - 1], pdu, answers->size - MBAP_HEADER);
    /* The limits in an answer. The registers of the unit have not changed since it was composed. */
    const bool reads =
        pdu[0] == MODBUS_FC_READ_HOLDING_REGISTERS || pdu[0] == MODBUS_FC_READ_INPUT_REGISTERS;
    const struct unit *unit = modbus->units.by_id[request.unit];
    struct pack told;
    pack_clear(&told);
    const bool limits = reads && (unit->view ? read_view(unit->view, &request.read, &told)
                                             : read_map(unit, &request.read, &told));
    present_answered(modbus->present, link, what, limits ? &told : NULL, clock_now());
}

/* Converts the RTU frame to an ADU of Modbus TCP, and answers that. */
static void answer_request(struct modbus *modbus, struct bus_link *link, const uint8_t *frame,
                           size_t size, double now)
{
    const struct present_config *config = modbus->present->config;
    uint8_t adu[MBAP_ADU_MAX];
    struct answers answers = {.size = 0};
    const struct question question = {.client = bus_client(link),
                                      .frame = adu,
                                      .size = MBAP_HEADER + size - 3,
                                      .ticket = modbus->tickets + 1};
    const uint8_t header[MBAP_HEADER] = {[MBAP_HEADER - 1] = frame[0]};
    mbap_reply_header(header, size - 3, adu);
    memcpy(adu + MBAP_HEADER, frame + 1, size - 3);
    static const struct allow_list
        on_the_line; /* empty: a master without an address is always allowed */
    modbus->answerer.allow_write = !config->switching    ? NULL
                                   : bus_is_shared(link) ? &on_the_line
                                                         : &config->allow_write;
    if (answer(&modbus->answerer, &question, now, &answers)) {
        send_answer(modbus, link, adu, &answers);
        return;
    }
    modbus->tickets++;
    modbus->ordered = (struct ordered){.ticket = question.ticket, .link = link};
    memcpy(modbus->ordered.frame, adu, question.size);
}

static void on_order_over(void *data, uint64_t ticket, enum order_result result)
{
    struct modbus *modbus = data;
    struct ordered *ordered = &modbus->ordered;
    if (ticket == 0 || ordered->ticket != ticket)
        return;
    ordered->ticket = 0;
    struct answers answers = {.size = 0};
    answer_order(&modbus->answerer, ordered->frame, switches_exception(result), &answers);
    send_answer(modbus, ordered->link, ordered->frame, &answers);
}

/* The callback answer_switch. */
static uint8_t carry_out(void *data, struct unit *unit, const struct switches *switches,
                         const struct sockaddr *client, uint64_t ticket)
{
    struct modbus *modbus = data;
    struct outlet *outlet = modbus->present->outlet;
    if (!present_has_gateway(modbus->present, clock_now()))
        return MODBUS_EXCEPTION_GATEWAY_TARGET;
    return outlet_order(outlet, pack_of(modbus, unit), switches, on_order_over, modbus, ticket)
               ? 0
               : MODBUS_EXCEPTION_SLAVE_OR_SERVER_BUSY;
}

/* Two-wire adapters echo what is sent. A repeated write request looks like the echo of our answer:
 * it counts as an echo until the line is known to have none. Returns how many bytes are echo. */
static size_t skip_echo(struct modbus *modbus, const uint8_t *bytes, size_t size)
{
    const size_t sent = modbus->sent_size;
    if (sent == 0)
        return 0;
    modbus->sent_size = 0;
    if (size < sent || memcmp(bytes, modbus->sent, sent) != 0) {
        if (modbus->echo == ECHO_UNKNOWN)
            modbus->echo = ECHO_NO;
        return 0;
    }
    if (rtu_find_last(modbus->sent, sent).kind == RTU_ANSWER)
        modbus->echo = ECHO_YES;
    return modbus->echo == ECHO_NO ? 0 : sent;
}

static void handle_request(struct modbus *modbus, struct bus_link *link, const uint8_t *frame,
                           size_t size, double now)
{
    const struct unit *unit = modbus->units.by_id[frame[0]];
    const bool to_all = frame[0] == 0;
    if (modbus->ordered.link == link) /* a request to another device counts, too */
        modbus->ordered.ticket = 0;
    if (!unit && !to_all)
        return;
    modbus->counted.ours++;
    if (to_all || !present_answers(modbus->present, pack_of(modbus, unit), now)) {
        modbus->counted.unanswered++;
    } else if (frame[1] == DIAGNOSTICS_FC) {
        uint8_t answer[DIAGNOSTICS_ANSWER];
        const uint8_t exception = diagnostics_answer(&modbus->counted, frame + 1, size - 3, answer);
        const uint8_t refusal[] = {DIAGNOSTICS_FC | 0x80, exception};
        if (exception)
            send_pdu(modbus, link, frame[0], refusal, sizeof refusal);
        else
            send_pdu(modbus, link, frame[0], answer, sizeof answer);
        present_answered(modbus->present, link, "diagnostics", NULL, now);
    } else {
        answer_request(modbus, link, frame, size, now);
    }
}

static void handle_frame(struct modbus *modbus, struct bus_link *link, const uint8_t *frame,
                         const struct rtu_span *span, double now)
{
    char what[32];
    modbus->counted.messages++;
    if (span->kind == RTU_REQUEST) {
        handle_request(modbus, link, frame, span->size, now);
    } else if (bus_is_shared(link) && modbus->units.by_id[frame[0]]) {
        snprintf(what, sizeof what, "at address %u", frame[0]);
        present_note_duplicate(modbus->present, what, now);
    }
}

/* Silence ends a frame. Bytes that form no frame may be the first half of one whose rest an adapter
 * has delayed, so they are kept. */
static size_t handle_serial(struct modbus *modbus, struct bus_link *link, const uint8_t *bytes,
                            size_t size, bool quiet, double now)
{
    if (size > RTU_ADU_MAX) {
        modbus->counted.overruns++;
        return size - RTU_ADU_MAX;
    }
    if (!quiet)
        return 0;
    const size_t echo = skip_echo(modbus, bytes, size);
    if (echo == size)
        return size;
    const struct rtu_span span = rtu_find_last(bytes + echo, size - echo);
    if (span.kind == RTU_NOTHING) {
        modbus->counted.errors++;
        return echo;
    }
    handle_frame(modbus, link, bytes + echo + span.at, &span, now);
    return size;
}

static size_t heard(void *self, struct bus_link *link, const uint8_t *bytes, size_t size,
                    bool quiet, double now)
{
    struct modbus *modbus = self;
    size_t over = 0;
    if (bus_is_shared(link))
        return handle_serial(modbus, link, bytes, size, quiet, now);
    while (over < size) {
        const struct rtu_span span = rtu_find_first(bytes + over, size - over);
        if (span.kind == RTU_NOTHING)
            break;
        modbus->counted.errors += span.kind == RTU_NOISE || span.at > 0;
        if (span.kind != RTU_NOISE)
            handle_frame(modbus, link, bytes + over + span.at, &span, now);
        over += span.at + span.size;
    }
    return over;
}

static void gone(void *self, const struct bus_link *link)
{
    struct modbus *modbus = self;
    if (modbus->ordered.link == link)
        modbus->ordered.ticket = 0;
    modbus->echo = ECHO_UNKNOWN;
    modbus->sent_size = 0;
}

static void changed(void *self, struct outlet_pack *pack, unsigned changes, double now)
{
    struct modbus *modbus = self;
    const struct source *source = &pack->source;
    for (unsigned i = 0; i < modbus->count; i++) {
        struct unit *unit = &modbus->served[i];
        if (unit->view)
            view_update(unit->view);
        else if (unit->source == source)
            unit_update(unit, changes & SOURCE_PUBLISHED && !isnan(source->good_until), now);
    }
}

/* A source_find. */
static const struct source *find_source(const void *data, const char *name)
{
    const struct present *present = data;
    const struct outlet_pack *pack = outlet_find(present->outlet, name, strlen(name));
    return pack ? &pack->source : NULL;
}

/* Parses the [view] of the section. The gateway passes it on as text, because its size has no limit that a struct could hold. The
 * caller frees the result with config_free. NULL: it cannot be parsed; the reason is logged. */
static struct config *parse_view(const struct present *present)
{
    char *text = NULL, *messages = NULL;
    size_t size;
    FILE *out = alloc_checked(open_memstream(&text, &size));
    /* Writes placeholders of the packs and banks, of which only names and kinds matter, and the
     * view. The view gets a port of its own, so that its unit ids collide with none. */
    struct outlet *outlet = present->outlet;
    const struct outlet_pack *pack;
    for (unsigned i = 0; (pack = outlet_pack(outlet, i)); i++)
        if (!pack->facts.is_bank)
            fprintf(out,
                    "[line l%u]\nport = sim:\nprotocol = daly\n[pack %s]\nline = l%u\nunit = %u\n",
                    i, pack->facts.name, i, (unsigned) pack->facts.unit);
    for (unsigned i = 0; (pack = outlet_pack(outlet, i)); i++) {
        if (!pack->facts.is_bank)
            continue;
        fprintf(out, "[bank %s]\nunit = %u\npacks = ", pack->facts.name,
                (unsigned) pack->facts.unit);
        for (unsigned n = 0; n < pack->facts.member_count; n++)
            fprintf(out, "%s%s", n > 0 ? ", " : "", pack->facts.members[n]);
        fputc('\n', out);
    }
    fprintf(out, "[view %s]\nlisten = 127.0.0.1:0\n%s", present->config->view,
            present->config->view_text);
    FILE *errors = alloc_checked(fclose(out) == 0 ? open_memstream(&messages, &size) : NULL);
    struct config *config = config_parse(text, "view", errors);
    fclose(errors);
    if (!config)
        log_error("%s: its view cannot be read: %s", present->title, messages);
    free(text);
    free(messages);
    return config;
}

static bool serve_view(struct modbus *modbus, double now)
{
    struct present *present = modbus->present;
    const struct present_config *config = present->config;
    modbus->view_config = parse_view(present);
    if (!modbus->view_config)
        return false;
    unit_open_view(modbus->served, view_new(&modbus->view_config->views[0], find_source, present,
                                            outlet_config(present->outlet)->started_at, now));
    modbus->count = 1;
    if (config->address < 0)
        units_add_view(&modbus->units, modbus->served);
    else
        modbus->units.by_id[config->address] = modbus->served;
    /* On a bus, 0 addresses all devices, and 248 to 255 are reserved. */
    modbus->units.by_id[0] = NULL;
    for (unsigned id = UNIT_LAST + 1; id <= UINT8_MAX; id++)
        modbus->units.by_id[id] = NULL;
    return true;
}

static bool serve_pack(struct modbus *modbus, struct outlet_pack *pack, int id)
{
    const struct present_config *config = modbus->present->config;
    struct unit *unit = &modbus->served[modbus->count++];
    unit_open(unit, (uint8_t) id, &pack->source, &config->map, STALE_EXCEPTION);
    unit->writable = pack->facts.writable && config->switching;
    unit->settable = pack->facts.settable && config->switching;
    unit_update(unit, false, 0);
    return units_add(&modbus->units, unit);
}

static bool serve_packs(struct modbus *modbus)
{
    const struct present_config *config = modbus->present->config;
    struct outlet_pack *of = modbus->present->pack;
    bool good = serve_pack(modbus, of, config->address < 0 ? of->facts.unit : config->address);
    for (unsigned i = 0; good && config->address < 0 && i < of->facts.member_count; i++) {
        const char *name = of->facts.members[i];
        struct outlet_pack *member = outlet_find(modbus->present->outlet, name, strlen(name));
        good = !member || serve_pack(modbus, member, member->facts.unit);
    }
    return good;
}

static void *start_modbus(struct present *present, double now)
{
    struct modbus *modbus = alloc_zeroed(1, sizeof *modbus);
    modbus->present = present;
    modbus->served = alloc_zeroed(MAX_BANK_PACKS + 1, sizeof *modbus->served);
    modbus->answerer.units = &modbus->units;
    if (!(present->config->view[0] ? serve_view(modbus, now) : serve_packs(modbus))) {
        log_error("%s: cannot serve its units", present->title);
        return NULL;
    }
    modbus->answerer.carry_out = carry_out;
    modbus->answerer.data = modbus;
    return modbus;
}

const struct speaker modbus_speaker = {
    .start = start_modbus,
    .changed = changed,
    .events = {.heard = heard, .gone = gone},
};
