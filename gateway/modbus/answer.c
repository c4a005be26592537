// SPDX-License-Identifier: MIT
/*
 * Answers one request. Exceptions are sent with modbus_reply_exception, because modbus_reply
 * (3.1.6) sleeps for the response time-out before it sends most of its own and discards whatever
 * else was received on the socket. modbus_reply itself only handles reads of registers or bits
 * that exist.
 */
#include "answer.h"

#include "identity.h"
#include "mbap.h"

#include "base/address.h"
#include "base/alloc.h"
#include "base/log.h"

#include "bms/count.h"

#include <errno.h>
#include <string.h>

/* s between log messages for one unit: some clients retry every second */
#define REFUSALS_APART_S 60.0

void answerer_open(struct answerer *answerer, const struct units *units)
{
    *answerer =
        (struct answerer){.modbus = alloc_checked(modbus_new_tcp("127.0.0.1", 0)), .units = units};
    /* Nothing here should wait for this time-out; if anything does, it ends at once. */
    modbus_set_response_timeout(answerer->modbus, 0, 1);
}

void answerer_close(struct answerer *answerer)
{
    modbus_free(answerer->modbus);
    answerer->modbus = NULL;
}

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

static const char *describe_refusal(uint8_t exception)
{
    switch (exception) {
    case MODBUS_EXCEPTION_ILLEGAL_FUNCTION:
        return "this function cannot write here";
    case MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS:
        return "no writable switch or setting at that address";
    case MODBUS_EXCEPTION_ILLEGAL_DATA_VALUE:
        return "the value is out of range";
    case MODBUS_EXCEPTION_SLAVE_OR_SERVER_BUSY:
        return "another order is in progress";
    case MODBUS_EXCEPTION_GATEWAY_TARGET:
        return "the pack does not answer";
    default:
        return "the request is malformed";
    }
}

/* Logs a rejected order. The outcome of an accepted one is logged by the pack. */
static void log_refusal(const struct answerer *answerer, struct unit *unit,
                        const struct question *question, const struct mbap_request *request,
                        uint8_t exception, double now)
{
    struct switches switches;
    char address[ADDRESS_TEXT], what[SWITCHES_TEXT] = "";
    if (now - unit->refused_at < REFUSALS_APART_S)
        return;
    unit->refused_at = now;
    const bool foreign =
        exception == MODBUS_EXCEPTION_ILLEGAL_FUNCTION &&
        access_decide(question->client, MODBUS_FC_WRITE_SINGLE_COIL, true, answerer->allow_write);
    if (access_sets(request->function) &&
        switches_read(unit->settings, request, question->frame, &switches) == 0)
        switches_format(&switches, what);
    if (!*what)
        snprintf(what, sizeof what, "function %u", request->function);
    log_warn("pack %s: client %s orders %s: refused with exception %u, %s", unit->name,
             question->client ? address_format(question->client, address) : "on a serial line",
             what, exception,
             foreign ? "the client is not in allow_write" : describe_refusal(exception));
}

static int send_exception(struct answerer *answerer, const uint8_t *frame, uint8_t exception)
{
    uint8_t head[MBAP_HEADER + 1];
    memcpy(head, frame, sizeof head);
    /* libmodbus adds 0x80: a code from 0x81 on would turn into a normal response to function 1. */
    head[MBAP_HEADER] &= 0x7F;
    answerer->exceptions++;
    return modbus_reply_exception(answerer->modbus, head, exception);
}

static int send_pdu(struct answerer *answerer, const uint8_t *frame, const uint8_t *pdu,
                    size_t pdu_size)
{
    uint8_t adu[MBAP_ADU_MAX];
    const size_t size = MBAP_HEADER + pdu_size;
    mbap_reply_header(frame, pdu_size, adu);
    memcpy(adu + MBAP_HEADER, pdu, pdu_size);
    const ssize_t sent = send(modbus_get_socket(answerer->modbus), adu, size, MSG_NOSIGNAL);
    if (sent >= 0 && (size_t) sent < size) {
        errno = EAGAIN;
        return -1;
    }
    return (int) sent;
}

static int send_identity(struct answerer *answerer, const struct unit *unit, const uint8_t *frame)
{
    const struct identity_object objects[] = {
        {IDENTITY_VENDOR, "packgate"},
        {IDENTITY_PRODUCT_CODE, "packgate"},
        {IDENTITY_REVISION, PACKGATE_VERSION},
        {IDENTITY_PRODUCT_NAME, "packgate, Modbus TCP gateway for battery packs"},
        {IDENTITY_APPLICATION_NAME, unit->name},
    };
    struct identity_reply reply;
    const uint8_t exception = identity_read(objects, COUNT(objects), frame + MBAP_HEADER, &reply);
    if (exception)
        return send_exception(answerer, frame, exception);

    return send_pdu(answerer, frame, reply.pdu, reply.size);
}

static enum answer_result result_of(int sent)
{
    /* libmodbus reports this if the socket accepted only part of the response. */
    if (sent < 0 && errno == EMBBADDATA)
        errno = EAGAIN;
    return sent < 0 ? ANSWER_FAILED : ANSWER_SENT;
}

enum answer_result answer(struct answerer *answerer, const struct question *question, double now)
{
    struct mbap_request request;
    const uint8_t malformed = mbap_check(question->frame, question->size, &request);
    struct unit *unit = units_find(answerer->units, request.unit);
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
    modbus_set_socket(answerer->modbus, question->fd);
    if (!exception && mbap_writes(request.function)) {
        exception = order_switch(answerer, unit, question, &request);
        if (!exception)
            return ANSWER_PENDING;
    }
    if (exception && unit && (unit->writable || unit->settable) && mbap_writes(request.function))
        log_refusal(answerer, unit, question, &request, exception, now);
    if (exception)
        return result_of(send_exception(answerer, question->frame, exception));
    if (request.function == MBAP_FC_IDENTIFY)
        return result_of(send_identity(answerer, unit, question->frame));
    return result_of(
        modbus_reply(answerer->modbus, question->frame, (int) question->size, &unit->mapping));
}

/* All four write functions are answered with the first five bytes of the request. */
#define WRITE_ANSWER 5

enum answer_result answer_order(struct answerer *answerer, int fd, const uint8_t *frame,
                                uint8_t exception)
{
    modbus_set_socket(answerer->modbus, fd);
    if (exception)
        return result_of(send_exception(answerer, frame, exception));
    return result_of(send_pdu(answerer, frame, frame + MBAP_HEADER, WRITE_ANSWER));
}
