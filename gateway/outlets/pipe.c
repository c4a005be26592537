// SPDX-License-Identifier: MIT
/*
 * Messages between the gateway and an outlet. A message starts with version, type and size:
 *
 *     01 00 | 04 00 | 9C 03 00 00 | ...        values, 924 bytes in all
 */
#include "pipe.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_SIZE 8
#define SIZE_AT 4

/* ---- one field, both ways ---- */

static void pass_field(struct pipe_message *message, void *field, size_t size)
{
    if (message->bad || size > message->size - message->at) {
        message->bad = true;
        return;
    }
    uint8_t *at = message->bytes + message->at;
    if (message->taking)
        memcpy(field, at, size);
    else
        memcpy(at, field, size);
    message->at += size;
}

static void pass_u32(struct pipe_message *message, uint32_t *number)
{
    pass_field(message, number, sizeof *number);
}

static void pass_double(struct pipe_message *message, double *number)
{
    pass_field(message, number, sizeof *number);
}

/* A number from 0 to `max`. */
static unsigned pass_number(struct pipe_message *message, unsigned number, unsigned max)
{
    uint32_t passed = number;
    pass_u32(message, &passed);
    if (passed > max) {
        message->bad = true;
        return 0;
    }
    return passed;
}

static void pass_flag(struct pipe_message *message, bool *flag)
{
    uint8_t passed = message->taking ? 0 : *flag;
    pass_field(message, &passed, sizeof passed);
    *flag = passed == 1;
    message->bad |= passed > 1;
}

/* Only its used length is sent, with the length in front. */
static void pass_text(struct pipe_message *message, char *text, size_t room)
{
    uint32_t size = message->taking ? 0 : (uint32_t) strnlen(text, room);
    pass_u32(message, &size);
    if (size >= room) {
        message->bad = true;
        return;
    }
    pass_field(message, text, size);
    if (message->bad)
        return;
    if (message->taking)
        text[size] = '\0';
    message->bad |= memchr(text, '\0', size) != NULL;
}

/* ---- messages ---- */

static void pass_head(struct pipe_message *message, uint16_t *version, uint16_t *type,
                      uint32_t *size)
{
    pass_field(message, version, sizeof *version);
    pass_field(message, type, sizeof *type);
    pass_u32(message, size);
}

struct pipe_message pipe_new(enum pipe_type type, uint8_t *bytes, size_t room)
{
    struct pipe_message message = {.bytes = bytes, .size = room};
    uint16_t version = PIPE_VERSION, number = (uint16_t) type;
    uint32_t size = 0;
    pass_head(&message, &version, &number, &size);
    return message;
}

size_t pipe_finish(struct pipe_message *message)
{
    if (message->bad)
        return 0;
    uint32_t size = (uint32_t) message->at;
    memcpy(message->bytes + SIZE_AT, &size, sizeof size);
    return message->at;
}

enum pipe_type pipe_open(struct pipe_message *message, uint8_t *bytes, size_t size,
                         bool *version_differs)
{
    *message = (struct pipe_message){.bytes = bytes, .size = size, .taking = true};
    uint16_t version = 0, type = 0;
    uint32_t told = 0;
    pass_head(message, &version, &type, &told);
    *version_differs = !message->bad && version != PIPE_VERSION;
    if (message->bad || *version_differs || told != size || type < PIPE_CONFIG || type > PIPE_ALIVE)
        return 0;
    return (enum pipe_type) type;
}

bool pipe_over(const struct pipe_message *message)
{
    return !message->bad && message->at == message->size;
}

void pipe_config(struct pipe_message *message, struct pipe_config *config)
{
    pass_text(message, config->version, sizeof config->version);
    pass_text(message, config->kind, sizeof config->kind);
    pass_text(message, config->section, sizeof config->section);
    pass_text(message, config->id, sizeof config->id);
    pass_flag(message, &config->id_kept);
    pass_double(message, &config->started_at);
    pass_text(message, config->gateway, sizeof config->gateway);
    pass_text(message, config->page, sizeof config->page);
    config->pack_count = pass_number(message, config->pack_count, PIPE_PACKS_MAX);
    config->settings_size =
        pass_number(message, (unsigned) config->settings_size, PIPE_MESSAGE_MAX);
    /* Settings are used in place, so they are aligned as a struct needs. */
    message->at = (message->at + 15) / 16 * 16;
    if (message->bad || message->at > message->size ||
        config->settings_size > message->size - message->at) {
        message->bad = true;
        return;
    }
    if (message->taking)
        config->settings = message->bytes + message->at;
    else
        memcpy(message->bytes + message->at, config->settings, config->settings_size);
    message->at += config->settings_size;
}

void pipe_pack(struct pipe_message *message, struct pipe_pack *pack)
{
    pass_text(message, pack->name, sizeof pack->name);
    pass_text(message, pack->title, sizeof pack->title);
    pass_text(message, pack->line, sizeof pack->line);
    pack->unit = (int) pass_number(message, (unsigned) pack->unit, 255);
    pass_flag(message, &pack->writable);
    pass_flag(message, &pack->settable);
    pass_flag(message, &pack->is_bank);
    pass_double(message, &pack->capacity_ah);
    pack->member_count = pass_number(message, pack->member_count, MAX_BANK_PACKS);
    for (unsigned i = 0; i < pack->member_count && !message->bad; i++)
        pass_text(message, pack->members[i], sizeof pack->members[i]);
}

static void pass_bank(struct pipe_message *message, struct map_bank *bank)
{
    pass_u32(message, &bank->present);
    pass_u32(message, &bank->missing);
    pass_u32(message, &bank->needed);
    pass_u32(message, &bank->cell_max_pack);
    pass_u32(message, &bank->cell_min_pack);
    pass_double(message, &bank->temp_max_c);
    pass_double(message, &bank->temp_min_c);
    pass_u32(message, &bank->temp_max_pack);
    pass_u32(message, &bank->temp_min_pack);
    pass_double(message, &bank->packs_current_a);
    pass_double(message, &bank->packs_soc_percent);
}

static void pass_status(struct pipe_message *message, struct map_status *status)
{
    status->state =
        (enum map_state) pass_number(message, (unsigned) status->state, MAP_STATE_NO_LINE);
    pass_double(message, &status->age_s);
    pass_u32(message, &status->polls);
    pass_u32(message, &status->timeouts);
    pass_u32(message, &status->checksum_errors);
    pass_u32(message, &status->reconnects);
    pass_u32(message, &status->implausible);
    pass_u32(message, &status->spikes);
    pass_field(message, &status->memory_mib, sizeof status->memory_mib);
    pass_field(message, &status->seconds, sizeof status->seconds);
    pass_field(message, &status->timezone_hours, sizeof status->timezone_hours);
    pass_field(message, &status->peak, sizeof status->peak);
    pass_double(message, &status->charged_wh);
    pass_double(message, &status->discharged_wh);
    pass_field(message, &status->allowed, sizeof status->allowed);
    pass_double(message, &status->time_to_full_s);
    pass_double(message, &status->time_to_empty_s);
}

static void pass_values(struct pipe_message *message, struct pack *pack)
{
    pass_field(message, pack->value, sizeof pack->value);
    pass_u32(message, &pack->alarms_known);
    pass_u32(message, &pack->alarms_warning);
    pass_u32(message, &pack->alarms_protection);
    pass_u32(message, &pack->alarms_can_warn);
    pass_u32(message, &pack->alarms_can_protect);
    pack->raw_alarm_count = pass_number(message, pack->raw_alarm_count, MAX_RAW_ALARMS);
    pass_field(message, pack->raw_alarms, sizeof *pack->raw_alarms * pack->raw_alarm_count);
    for (int i = 0; i < PACK_TEXTS; i++)
        pass_text(message, pack->text[i], sizeof pack->text[i]);
    pass_u32(message, &pack->implausible);
}

void pipe_values(struct pipe_message *message, struct pipe_values *values)
{
    bool is_bank = values->status.bank != NULL;
    values->pack = pass_number(message, values->pack, PIPE_PACKS_MAX - 1);
    pass_u32(message, &values->changes);
    pass_u32(message, &values->sequence);
    pass_double(message, &values->at);
    pass_double(message, &values->wall);
    pass_double(message, &values->good_until);
    pass_double(message, &values->settle_s);
    pass_status(message, &values->status);
    pass_text(message, values->driver, sizeof values->driver);
    pass_text(message, values->driver_title, sizeof values->driver_title);
    pass_flag(message, &is_bank);
    if (is_bank)
        pass_bank(message, &values->bank);
    pass_flag(message, &values->whole);
    if (values->whole)
        pass_values(message, &values->values);
    if (message->taking) {
        values->status.driver = values->driver[0] ? values->driver : NULL;
        values->status.driver_title = values->driver_title[0] ? values->driver_title : NULL;
        values->status.bank = is_bank ? &values->bank : NULL;
    }
}

static void pass_switches(struct pipe_message *message, struct switches *switches)
{
    for (int i = 0; i < ORDER_SWITCHES; i++) {
        pass_flag(message, &switches->wanted[i]);
        pass_flag(message, &switches->on[i]);
    }
    pass_flag(message, &switches->sets);
    if (!switches->sets)
        return;
    switches->setting =
        (enum pack_value) pass_number(message, (unsigned) switches->setting, PACK_VALUES - 1);
    pass_double(message, &switches->value);
    message->bad |= message->taking && !isfinite(switches->value);
    switches->before = NAN;
}

static void pass_result(struct pipe_message *message, enum order_result *result)
{
    *result = (enum order_result) pass_number(message, (unsigned) *result, ORDER_RESULTS - 1);
}

void pipe_order(struct pipe_message *message, struct pipe_order *order)
{
    pass_field(message, &order->ticket, sizeof order->ticket);
    order->pack = pass_number(message, order->pack, PIPE_PACKS_MAX - 1);
    pass_switches(message, &order->what);
}

void pipe_done(struct pipe_message *message, struct pipe_done *done)
{
    pass_field(message, &done->ticket, sizeof done->ticket);
    pass_result(message, &done->result);
}

void pipe_ordered(struct pipe_message *message, struct pipe_ordered *ordered)
{
    ordered->pack = pass_number(message, ordered->pack, PIPE_PACKS_MAX - 1);
    pass_switches(message, &ordered->what);
    pass_result(message, &ordered->result);
    pass_text(message, ordered->from, sizeof ordered->from);
}

void pipe_note(struct pipe_message *message, struct pipe_note *note)
{
    pass_text(message, note->key, sizeof note->key);
    pass_text(message, note->text, sizeof note->text);
}

void pipe_report(struct pipe_message *message, struct pipe_report *report)
{
    pass_flag(message, &report->connected);
    pass_u32(message, &report->sent);
    pass_u32(message, &report->dropped);
    pass_u32(message, &report->failed);
    pass_u32(message, &report->refused);
    pass_u32(message, &report->queued);
    pass_u32(message, &report->behind_s);
    pass_text(message, report->words, sizeof report->words);
}

void pipe_question(struct pipe_message *message, struct pipe_question *question)
{
    pass_field(message, &question->ticket, sizeof question->ticket);
}

void pipe_answer(struct pipe_message *message, struct pipe_answer *answer)
{
    pass_field(message, &answer->ticket, sizeof answer->ticket);
    pass_flag(message, &answer->good);
}

int pipe_text_file(const char *text, size_t size)
{
    const int file = memfd_create("packgate text", MFD_CLOEXEC);
    if (file >= 0 && write(file, text, size) == (ssize_t) size && lseek(file, 0, SEEK_SET) == 0)
        return file;
    if (file >= 0)
        close(file);
    return -1;
}

/* Only files in memory have seals. */
char *pipe_file_text(int file, size_t most, size_t *size)
{
    struct stat found;
    if (file < 0 || fcntl(file, F_GET_SEALS) < 0 || fstat(file, &found) < 0 ||
        (uintmax_t) found.st_size > most)
        return NULL;
    char *text = malloc((size_t) found.st_size + 1);
    if (!text)
        return NULL;
    *size = (size_t) found.st_size;
    if (pread(file, text, *size, 0) != found.st_size) {
        free(text);
        return NULL;
    }
    text[*size] = '\0';
    return text;
}

/* Room for one descriptor in a control message. */
union passenger {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
};

bool pipe_send_file(int fd, const uint8_t *bytes, size_t size, int file)
{
    union passenger passenger = {.bytes = {0}};
    struct iovec part = {.iov_base = (void *) (uintptr_t) bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (file >= 0) {
        message.msg_control = passenger.bytes;
        message.msg_controllen = sizeof passenger.bytes;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof file);
        memcpy(CMSG_DATA(head), &file, sizeof file);
    }
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

ssize_t pipe_receive_file(int fd, uint8_t *bytes, size_t room, int *file)
{
    union passenger passenger;
    struct iovec part = {.iov_base = bytes, .iov_len = room};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = passenger.bytes,
                             .msg_controllen = sizeof passenger.bytes};
    *file = -1;
    ssize_t size = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *head = size > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
        memcpy(file, CMSG_DATA(head), sizeof *file);
    return size;
}
