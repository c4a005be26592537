// SPDX-License-Identifier: MIT
#include "answer.h"

#include "identity.h"
#include "mbap.h"

#include "base/address.h"
#include "base/log.h"

#include "bms/bytes.h"
#include "bms/count.h"

#include <modbus.h>
#include <string.h>

/* s between log messages for one unit: some clients retry every second */
#define REFUSALS_APART_S 60.0

/* Passes an order to switch on to the pack. */
static uint8_t order_switch(struct answerer *answerer, struct unit *unit,
                            const struct question *question, const struct mbap_request *request)
{
    struct switches switches;
    const uint8_t exception = switches_read(unit->settings, request, question->frame, &switches);
    if (exception)
        return exception;
    if (switches.sets ? !unit->settable : !unit->writable)
        return MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS;
    if (!answerer->carry_out)
        return MODBUS_EXCEPTION_ILLEGAL_FUNCTION;
    return answerer->carry_out(answerer->data, unit, &switches, question->client, question->ticket);
}

/* Logs a rejected order. The outcome of an accepted one is logged by the pack. */
static void log_refusal(const struct answerer *answerer, struct unit *unit,
                        const struct question *question, const struct mbap_request *request,
                        uint8_t exception, double now)
{
    static const char *const reasons[] = {
        [MODBUS_EXCEPTION_ILLEGAL_FUNCTION] = "this function cannot write here",
        [MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS] = "no writable switch or setting at that address",
        [MODBUS_EXCEPTION_ILLEGAL_DATA_VALUE] = "the value is out of range",
        [MODBUS_EXCEPTION_SLAVE_OR_SERVER_BUSY] = "another order is in progress",
        [MODBUS_EXCEPTION_GATEWAY_TARGET] = "the pack does not answer"};
    const char *reason = exception < COUNT(reasons) ? reasons[exception] : NULL;
    struct switches switches;
    char address[ADDRESS_TEXT], what[SWITCHES_TEXT] = "";
    if (now - unit->refused_at < REFUSALS_APART_S)
        return;
    unit->refused_at = now;
    if (exception == MODBUS_EXCEPTION_ILLEGAL_FUNCTION &&
        access_decide(question->client, MODBUS_FC_WRITE_SINGLE_COIL, true, answerer->allow_write))
        reason = "the client is not in allow_write";
    if (access_sets(request->function) &&
        switches_read(unit->settings, request, question->frame, &switches) == 0)
        switches_format(&switches, what);
    if (!*what)
        snprintf(what, sizeof what, "function %u", request->function);
    log_warn("pack %s: client %s orders %s: refused with exception %u, %s", unit->name,
             question->client ? address_format(question->client, address) : "on a serial line",
             what, exception, reason ? reason : "the request is malformed");
}

static void append_pdu(struct answers *answers, const uint8_t *frame, const uint8_t *pdu,
                       size_t size)
{
    uint8_t *adu = answers->bytes + answers->size;
    mbap_reply_header(frame, size, adu);
    memcpy(adu + MBAP_HEADER, pdu, size);
    answers->size += MBAP_HEADER + size;
}

static void append_exception(struct answerer *answerer, const uint8_t *frame, uint8_t exception,
                             struct answers *answers)
{
    const uint8_t pdu[] = {frame[MBAP_HEADER] | 0x80, exception};
    answerer->exceptions++;
    append_pdu(answers, frame, pdu, sizeof pdu);
}

/* Function, number of bytes, and the values: bits from the lowest of each byte on, registers with the high byte first. */
static void append_values(const struct unit *unit, const struct mbap_request *request,
                          const uint8_t *frame, struct answers *answers)
{
    const bool coils = request->function == MODBUS_FC_READ_COILS;
    const bool bits = coils || request->function == MODBUS_FC_READ_DISCRETE_INPUTS;
    const uint8_t *bit = coils ? unit->coils : unit->inputs;
    const unsigned address = request->read.address, count = request->read.count;
    uint8_t pdu[MBAP_PDU_MAX] = {request->function};
    pdu[1] = (uint8_t) (bits ? (count + 7) / 8 : 2 * count);
    for (unsigned i = 0; i < count; i++)
        if (bits)
            pdu[2 + i / 8] |= (uint8_t) (bit[address + i] << i % 8);
        else
            put_be16(pdu + 2 + 2 * i, unit->registers[address + i]);
    append_pdu(answers, frame, pdu, 2u + pdu[1]);
}

bool answer(struct answerer *answerer, const struct question *question, double now,
            struct answers *answers)
{
    struct identity_reply identity;
    struct mbap_request request;
    const uint8_t malformed = mbap_check(question->frame, question->size, &request);
    struct unit *unit = answerer->units->by_id[request.unit];
    if (unit)
        unit_judge(unit, now);
    /* In the order of the state diagrams of the specification: does the function exist (for this
     * client on this unit), then lengths and quantities, then addresses, then values. A gateway
     * without a path to the unit reports that first. */
    uint8_t exception = unit ? 0 : MODBUS_EXCEPTION_GATEWAY_PATH;
    if (unit && !unit->view)
        exception = access_decide(question->client, request.function,
                                  unit->writable || unit->settable, answerer->allow_write);
    if (!exception)
        exception = malformed ? malformed : unit_check(unit, &request);

    answerer->requests++;
    if (!exception && mbap_writes(request.function)) {
        exception = order_switch(answerer, unit, question, &request);
        if (!exception)
            return false;
    }
    if (exception && unit && (unit->writable || unit->settable) && mbap_writes(request.function))
        log_refusal(answerer, unit, question, &request, exception, now);
    const bool identifies = request.function == MBAP_FC_IDENTIFY;
    if (!exception && identifies)
        exception = identity_read(unit->name, question->frame + MBAP_HEADER, &identity);
    if (exception)
        append_exception(answerer, question->frame, exception, answers);
    else if (identifies)
        append_pdu(answers, question->frame, identity.pdu, identity.size);
    else
        append_values(unit, &request, question->frame, answers);
    return true;
}

/* All four write functions are answered with the first five bytes of the request. */
#define WRITE_ANSWER 5

void answer_order(struct answerer *answerer, const uint8_t *frame, uint8_t exception,
                  struct answers *answers)
{
    if (exception)
        append_exception(answerer, frame, exception, answers);
    else
        append_pdu(answers, frame, frame + MBAP_HEADER, WRITE_ANSWER);
}
