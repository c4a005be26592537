// SPDX-License-Identifier: MIT
/* Handles the messages of outlets. */
#include "running.h"

#include "base/clock.h"
#include "base/late_turn.h"
#include "base/log.h"
#include "base/timer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAST_MESSAGES 1000 /* more than its pipe holds */
#define TURN_MESSAGES 32   /* messages of one outlet, before others have their turn */
#define REST_S 0.02 /* seconds, after TURN_MESSAGES or a message that takes time to carry out */

static void send_done(struct process *process, uint64_t ticket, enum order_result result)
{
    tell_event(process, &(struct pipe_message){.type = PIPE_DONE, .done = {ticket, result}});
}

struct process *hear_asker(const struct outlets *outlets, uint64_t ticket)
{
    for (struct process *process = outlets->first; process; process = process->next)
        if (process->fd >= 0 && (uint64_t) process->pid == ticket >> 32)
            return process;
    return NULL;
}

static void on_order_over(void *data, uint64_t ticket, enum order_result result)
{
    struct process *process = hear_asker(data, ticket);
    if (process)
        send_done(process, ticket & UINT32_MAX, result);
}

/* An outlet sends orders only if its section permits it. One that sends them without permission
 * has been taken over through its network, or is broken. */
static bool may_order(struct process *process, const struct switches *what)
{
    const bool may = process->may_order && (!what->sets || process->kind->may_set);
    if (!may && !process->trespassed)
        log_error("outlet %s: rejected an order that its section does not allow; the process may "
                  "be compromised",
                  process->title);
    process->trespassed |= !may;
    return may;
}

static void handle_order(struct process *process, const struct pipe_order *order, bool late)
{
    struct outlets *outlets = process->outlets;
    if (order->pack >= process->source_count || order->ticket > UINT32_MAX)
        return;
    if (!may_order(process, &order->what)) {
        send_done(process, order->ticket, ORDER_NOT_ALLOWED);
        return;
    }
    uint64_t ticket = (uint64_t) process->pid << 32 | order->ticket;
    enum order_result result =
        late ? ORDER_TOO_LATE
             : packs_order(outlets->packs, process->sources[order->pack],
                           &(struct order_request){order->what, process->title, on_order_over,
                                                   outlets, ticket});
    if (result != ORDER_PENDING)
        send_done(process, order->ticket, result);
}

/* A late question may be one that opens a tunnel: it is not answered. */
static void handle_question(struct process *process, const struct pipe_question *question, int file,
                            bool late)
{
    const struct outlets *outlets = process->outlets;
    size_t size = 0;
    if (question->ticket > UINT32_MAX)
        return;
    char *text = outlets->asked && !late ? pipe_file_text(file, PIPE_QUESTION_MOST, &size) : NULL;
    const uint64_t ticket = (uint64_t) process->pid << 32 | question->ticket;
    if (text)
        outlets->asked(outlets->asked_data,
                       &(struct pipe_heard){process->title, process->may_order, text, ticket});
    else
        hear_answer(process, ticket, NULL);
    free(text);
}

void hear_answer(struct process *process, uint64_t ticket, const char *text)
{
    const int fd = text ? pipe_text_file(text, strlen(text)) : -1;
    const struct pipe_message answer = {.type = PIPE_ANSWER,
                                        .answer = {ticket & UINT32_MAX, fd >= 0}};
    /* If the pipe is full the answer is lost: the outlet gives up after OUTLET_ANSWER_S. */
    if (!pipe_send(process->fd, &answer, fd))
        process->refused++;
    if (fd >= 0)
        close(fd);
}

/* `late`: the message may have waited in the pipe for long. Returns whether handling it took time.
 */
static bool handle_message(struct process *process, const struct pipe_message *message, int file,
                           bool late)
{
    late |= late_turn_is_on(process->outlets->loop, clock_now());
    switch (message->type) {
    case PIPE_ORDER:
        handle_order(process, &message->order, late);
        return true;
    case PIPE_NOTE:
        kept_set_note(process->outlets->kept, process->title, message->note.key,
                      message->note.text);
        break;
    case PIPE_REPORT:
        process->report = message->report;
        break;
    case PIPE_QUESTION:
        if (!process->deaf)
            handle_question(process, &message->question, file, late);
        return true;
    default:
        log_debug("outlet %s: received a malformed message", process->title);
    }
    return false;
}

void hear_no_more(struct process *process)
{
    if (process->fd < 0)
        return;
    ev_io_stop(process->outlets->loop, &process->readable);
    ev_timer_stop(process->outlets->loop, &process->rest);
    close(process->fd);
    process->fd = -1;
    process->event_count = 0;
}

/* Receives and handles one message; `*through`: handling it took time. Returns as recv does. */
static ssize_t handle_next(struct process *process, bool late, bool *through)
{
    int file;
    struct pipe_message message;
    const ssize_t size = pipe_receive(process->fd, &message, &file);
    if (size > 0)
        *through = handle_message(process, &message, file, late);
    if (file >= 0)
        close(file);
    return size;
}

static void handle_all(struct process *process, bool late)
{
    bool through;
    for (int i = 0; i < LAST_MESSAGES && process->fd >= 0; i++)
        if (handle_next(process, late, &through) <= 0)
            return;
}

void hear_late(struct process *process)
{
    handle_all(process, true);
}

void hear_last(struct process *process)
{
    process->deaf = true;
    handle_all(process, false);
}

void hear_on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct process *process = io->data;
    bool through = false;
    for (int i = 0; i < TURN_MESSAGES && process->fd >= 0 && !through; i++) {
        const ssize_t size = handle_next(process, false, &through);
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (size > 0)
            continue;
        /* The outlet has closed its pipe: it is killed if it does not end soon. */
        hear_no_more(process);
        timer_restart(loop, &process->timer, PROCESS_END_S);
    }
    if (process->fd < 0)
        return;
    ev_io_stop(loop, &process->readable);
    timer_restart(loop, &process->rest, REST_S);
}

void hear_on_rested(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct process *process = timer->data;
    ev_io_start(loop, &process->readable);
}
