// SPDX-License-Identifier: MIT
#include "pipe.h"

#include "base/alloc.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t size_of(const struct pipe_message *message)
{
    static const size_t sizes[PIPE_TYPES] = {
        [PIPE_NOTE] = sizeof message->note,       [PIPE_DONE] = sizeof message->done,
        [PIPE_ORDERED] = sizeof message->ordered, [PIPE_ORDER] = sizeof message->order,
        [PIPE_REPORT] = sizeof message->report,   [PIPE_QUESTION] = sizeof message->question,
        [PIPE_ANSWER] = sizeof message->answer,
    };
    const size_t head = offsetof(struct pipe_message, values);
    if (message->type != PIPE_VALUES)
        return head + sizes[message->type];
    return head +
           (message->values.whole ? sizeof message->values : offsetof(struct pipe_values, values));
}

/* A bool that is neither 0 nor 1 must not even be read as one. */
static bool are_flags(const void *flags, size_t count)
{
    const uint8_t *bytes = flags;
    for (size_t i = 0; i < count; i++)
        if (bytes[i] > 1)
            return false;
    return true;
}

static bool is_valid(const struct pipe_message *message)
{
    const struct switches *what = &message->order.what;
    switch (message->type) {
    case PIPE_ORDER:
        return are_flags(what->wanted, sizeof what->wanted) &&
               are_flags(what->on, sizeof what->on) && are_flags(&what->sets, 1) &&
               (!what->sets || (what->setting < PACK_VALUES && isfinite(what->value)));
    case PIPE_NOTE:
        return memchr(message->note.key, '\0', PIPE_KEY_SIZE) &&
               memchr(message->note.text, '\0', PIPE_NOTE_SIZE);
    case PIPE_REPORT:
        return are_flags(&message->report.connected, 1) &&
               memchr(message->report.words, '\0', sizeof message->report.words);
    default:
        return true;
    }
}

bool pipe_send(int fd, const struct pipe_message *message, int file)
{
    return pipe_send_file(fd, message, size_of(message), file);
}

ssize_t pipe_receive(int fd, struct pipe_message *message, int *file)
{
    *message = (struct pipe_message){.type = 0};
    const ssize_t size = pipe_receive_file(fd, message, sizeof *message, file);
    if (message->type < PIPE_CONFIG || message->type >= PIPE_TYPES ||
        (size_t) size != size_of(message) || !is_valid(message))
        message->type = 0;
    return size;
}

/* Without members that a pack does not have. */
static size_t pack_size(const struct pipe_pack *pack)
{
    return offsetof(struct pipe_pack, members) + pack->member_count * sizeof *pack->members;
}

char *pipe_compose(struct pipe_config *config, const struct source *const *sources, size_t *size)
{
    const void *settings = config->settings;
    char *bytes = NULL;
    FILE *out = alloc_checked(open_memstream(&bytes, size));
    config->settings = NULL;
    snprintf(config->version, sizeof config->version, "%s", PACKGATE_VERSION);
    fwrite(config, sizeof *config, 1, out);
    fwrite(settings, config->settings_size, 1, out);
    for (unsigned n = 0; n < config->pack_count; n++) {
        const struct source *source = sources[n];
        struct pipe_pack pack;
        memset(&pack, 0, sizeof pack); /* padding as well: configs are compared byte by byte */
        pack.unit = source->unit;
        pack.writable = source->writable;
        pack.settable = source->settable;
        pack.is_bank = source->members != NULL;
        pack.capacity_ah = source->capacity_ah;
        pack.member_count = source->member_count;
        snprintf(pack.name, sizeof pack.name, "%s", source->name);
        snprintf(pack.title, sizeof pack.title, "%s", source->title);
        if (source->line)
            snprintf(pack.line, sizeof pack.line, "%s", source->line);
        for (unsigned i = 0; i < source->member_count; i++)
            snprintf(pack.members[i], sizeof pack.members[i], "%s", source->members[i]->name);
        fwrite(&pack, pack_size(&pack), 1, out);
    }
    return alloc_checked(fclose(out) == 0 ? bytes : NULL);
}

const char *pipe_parse(const char *bytes, size_t size, struct pipe_config *config)
{
    if (size >= sizeof config->version)
        memcpy(config->version, bytes, sizeof config->version - 1);
    if (size < sizeof *config || strcmp(config->version, PACKGATE_VERSION) != 0)
        return NULL;
    memcpy(config, bytes, sizeof *config);
    config->settings = bytes + sizeof *config;
    return bytes + sizeof *config + config->settings_size;
}

const char *pipe_parse_pack(const char *at, struct pipe_pack *pack)
{
    memcpy(pack, at, offsetof(struct pipe_pack, members));
    memcpy(pack->members, at + offsetof(struct pipe_pack, members),
           pack->member_count * sizeof *pack->members);
    return at + pack_size(pack);
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

bool pipe_send_file(int fd, const void *bytes, size_t size, int file)
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

ssize_t pipe_receive_file(int fd, void *bytes, size_t room, int *file)
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
