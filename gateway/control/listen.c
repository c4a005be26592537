// SPDX-License-Identifier: MIT
/* Shows the bytes on a line, and sends single requests by hand. */
#include "listen.h"

#include "packs/json.h"
#include "lines/line.h"
#include "config/keys.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/queue.h"
#include "base/text.h"

#include "bms/bytes.h"

#include <stdlib.h>

#define HEX_ROOM (3 * 2 * BMS_FRAME_MAX + 1)
#define LINE_ROOM (HEX_ROOM + 100)

/* A client that listens in, or that waits for the response to its own request. */
struct onlooker {
    struct onlookers *all;
    struct control_client *client;
    char name[NAME_SIZE]; /* of the line */
    struct line *line;    /* NULL: there is no line of that name at the moment */
    struct line_tap tap;
    bool sends;
    struct loan loan;
    bool begun;
    double begun_at;
    json_t *sent, *received; /* pieces in hexadecimal */
    size_t withheld;
    TAILQ_ENTRY(onlooker) entry;
};

struct onlookers {
    const struct overview *overview;
    TAILQ_HEAD(, onlooker) list;
    unsigned dropped;
    char text[LINE_ROOM]; /* preallocated: nothing is allocated while packs are polled */
};

static void free_onlooker(struct onlooker *onlooker)
{
    if (onlooker->line)
        line_unwatch(onlooker->line, &onlooker->tap);
    TAILQ_REMOVE(&onlooker->all->list, onlooker, entry);
    json_decref(onlooker->sent);
    json_decref(onlooker->received);
    free(onlooker);
}

static void on_gone(void *data)
{
    ((struct onlooker *) data)->line = NULL;
}

static void watch(struct onlooker *onlooker)
{
    onlooker->line = overview_line(onlooker->all->overview, onlooker->name);
    if (onlooker->line)
        line_watch(onlooker->line, &onlooker->tap);
}

static struct onlooker *new_onlooker(struct onlookers *all, struct control_client *client,
                                     const char *name, mask_show *passed)
{
    struct onlooker *onlooker = calloc(1, sizeof *onlooker);
    if (!onlooker)
        return NULL;
    onlooker->all = all;
    onlooker->client = client;
    snprintf(onlooker->name, sizeof onlooker->name, "%s", name);
    onlooker->tap = (struct line_tap){.passed = passed, .gone = on_gone, .data = onlooker};
    TAILQ_INSERT_HEAD(&all->list, onlooker, entry);
    watch(onlooker);
    return onlooker;
}

/* Why a line cannot be used; NULL: it can. */
static json_t *refuse_line(const struct onlookers *all, const char *name)
{
    if (overview_line(all->overview, name))
        return NULL;
    if (config_struct_find(packs_config(all->overview->packs), &line_section, name))
        return json_refusal(
            "line %s is not polled yet: the protocol of its pack is still being searched", name);
    return json_refusal("there is no [line %s]", name);
}

static void add_hex(struct text *text, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        static const char digits[] = "0123456789ABCDEF";
        const char hex[] = {digits[bytes[i] >> 4], digits[bytes[i] & 15], i + 1 < size ? ' ' : 0,
                            0};
        text_add(text, hex);
    }
}

static void on_passed(void *data, char direction, const uint8_t *bytes, size_t size)
{
    struct onlooker *onlooker = data;
    struct onlookers *all = onlooker->all;
    struct text text = text_in(all->text, sizeof all->text);
    text_add(&text, "{\"at\":");
    text_number(&text, clock_wall(), 3);
    if (direction == '#') {
        text_format(&text, ",\"withheld\":%zu}", size);
    } else {
        text_format(&text, ",\"passed\":\"%c\",\"bytes\":\"", direction);
        add_hex(&text, bytes, size);
        text_add(&text, "\"}");
    }
    if (control_tell(onlooker->client, all->text))
        return;
    all->dropped++;
    log_warn("control socket: process %d listens on line %s but does not read; disconnected",
             (int) control_peer(onlooker->client)->pid, onlooker->name);
    control_close(onlooker->client);
    free_onlooker(onlooker);
}

json_t *listen_begin(struct onlookers *all, struct control_client *client, const char *line)
{
    json_t *refusal = refuse_line(all, line);
    if (refusal)
        return refusal;
    struct onlooker *onlooker = new_onlooker(all, client, line, on_passed);
    char *head = onlooker ? json_text(json_pack("{s:s, s:s}", "listening", line, "protocol",
                                                line_protocol(onlooker->line)))
                          : NULL;
    if (!head || !control_watch(client)) {
        free(head);
        if (onlooker)
            free_onlooker(onlooker);
        return json_refusal("out of memory");
    }
    control_tell(client, head);
    free(head);
    return NULL;
}

/* Records only the bytes of the loan: earlier polls pass through this tap, too. */
static void on_own(void *data, char direction, const uint8_t *bytes, size_t size)
{
    struct onlooker *onlooker = data;
    if (!onlooker->begun)
        return;
    struct text text = text_in(onlooker->all->text, sizeof onlooker->all->text);
    add_hex(&text, bytes, size);
    if (direction == '#')
        onlooker->withheld += size;
    else
        json_array_append_new(direction == '>' ? onlooker->sent : onlooker->received,
                              json_string(text.bytes));
}

static void on_begun(void *data)
{
    struct onlooker *onlooker = data;
    onlooker->begun = true;
    onlooker->begun_at = clock_now();
}

/* Only counts: the tap delivers the bytes that may be shown. */
static void on_bytes(void *data, const uint8_t *bytes, size_t size)
{
}

static void on_done(void *data, enum loan_result result)
{
    static const char *const words[] = {
        [LOAN_ANSWERED] = "answered",
        [LOAN_UNANSWERED] = "no answer",
        [LOAN_LOST] = "the connection to the line was lost",
        [LOAN_TOO_LATE] = "the line was busy for too long, nothing was sent",
        [LOAN_NO_LINE] = "the line is down, nothing was sent",
    };
    struct onlooker *onlooker = data;
    json_t *answer =
        json_pack("{s:s, s:s, s:O, s:O}", "line", onlooker->name, "result", words[result], "sent",
                  onlooker->sent, "received", onlooker->received);
    if (onlooker->begun)
        json_object_set_new(answer, "seconds", json_number(clock_now() - onlooker->begun_at, 3));
    if (onlooker->withheld > 0)
        json_object_set_new(answer, "withheld", json_integer((json_int_t) onlooker->withheld));
    const char *sent = json_string_value(json_array_get(onlooker->sent, 0));
    log_info("line %s: %s: %s", onlooker->name, sent ? sent : "a request by hand", words[result]);
    struct control_client *client = onlooker->client;
    free_onlooker(onlooker);
    control_answer(client, json_text(answer));
}

json_t *listen_send(struct onlookers *all, struct control_client *client, const char *line,
                    const char *hex)
{
    struct loan loan = {.begun = on_begun, .received = on_bytes, .done = on_done};
    json_t *refusal = refuse_line(all, line);
    if (refusal)
        return refusal;
    if (*hex_bytes(hex, loan.bytes, LOAN_BYTES, &loan.size) || loan.size == 0)
        return json_refusal("expected 1 to %d bytes as pairs of hexadecimal digits", LOAN_BYTES);
    struct onlooker *onlooker = new_onlooker(all, client, line, on_own);
    if (!onlooker)
        return json_refusal("out of memory");
    loan.data = onlooker;
    loan.queued_at = clock_now();
    onlooker->loan = loan;
    onlooker->sends = true;
    onlooker->sent = json_array();
    onlooker->received = json_array();
    if (!onlooker->line || !line_lend(onlooker->line, &onlooker->loan)) {
        free_onlooker(onlooker);
        return json_refusal("line %s is down, or its device sends without being polled", line);
    }
    const struct control_peer *peer = control_peer(client);
    log_info("line %s: user %u (process %d) sends %zu bytes by hand", line, (unsigned) peer->uid,
             (int) peer->pid, loan.size);
    return NULL;
}

void listen_left(struct onlookers *all, struct control_client *client)
{
    struct onlooker *onlooker = TAILQ_FIRST(&all->list);
    while (onlooker && onlooker->client != client)
        onlooker = TAILQ_NEXT(onlooker, entry);
    if (!onlooker)
        return;
    /* A request that was not sent yet is cancelled: its client is gone. */
    if (onlooker->sends && onlooker->line)
        line_take_back(onlooker->line, &onlooker->loan);
    if (onlooker->sends)
        log_info("line %s: the client that sent by hand has disconnected%s", onlooker->name,
                 onlooker->begun ? "" : ", nothing was sent");
    free_onlooker(onlooker);
}

void listen_renew(struct onlookers *all)
{
    struct onlooker *onlooker;
    TAILQ_FOREACH(onlooker, &all->list, entry)
    if (!onlooker->line && !onlooker->sends)
        watch(onlooker);
}

json_t *listen_status(const struct onlookers *all)
{
    unsigned count = 0;
    const struct onlooker *onlooker;
    TAILQ_FOREACH(onlooker, &all->list, entry)
    count += !onlooker->sends;
    return json_pack("{s:I, s:I}", "listeners", (json_int_t) count, "dropped",
                     (json_int_t) all->dropped);
}

struct onlookers *listen_new(const struct overview *overview)
{
    struct onlookers *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    all->overview = overview;
    TAILQ_INIT(&all->list);
    return all;
}
