// SPDX-License-Identifier: MIT
/* What the gateway sends to an outlet's process: values that had to wait for room in its pipe are as old as they are. */
#include "outlets/process.h"

#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit.h"

#define READ_AT 100.0

static struct outlets outlets;
static struct process process;
static struct filled_source {
    struct pack values;
    struct source source;
} shed, barn;
static int ends[2];

/* Fresh values that were read a moment before the status was refreshed, as the gateway does it each second. */
static void fill_source(struct filled_source *of, const char *name)
{
    pack_clear(&of->values);
    of->source = (struct source){.name = name,
                                 .values = &of->values,
                                 .read_at = READ_AT,
                                 .good_until = READ_AT + 10,
                                 .status = {.state = MAP_STATE_FRESH,
                                            .age_s = 0.25,
                                            .allowed = {.configured = true, .age_s = 0.5}}};
}

static bool receive(struct pipe_message *message)
{
    int file;
    return pipe_receive(ends[1], message, &file) > 0;
}

TEST(age_after_a_full_pipe)
{
    const struct source *sources[] = {&shed.source, &barn.source};
    static struct feed feeds[2];
    struct pipe_message message;
    fill_source(&shed, "shed");
    fill_source(&barn, "barn");
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
    process_init(&process);
    process.kind = config_sections[0];
    process.outlets = &outlets;
    process.fd = ends[0];
    process.sources = sources;
    process.feeds = feeds;
    process.source_count = 2;
    outlets.first = &process;

    unsigned filled = 0;
    while (process_send(&process, &(struct pipe_message){.type = PIPE_ALIVE}))
        filled++;
    process_tell_changed(&outlets, &shed.source, SOURCE_PUBLISHED, READ_AT + 0.25);
    assert_true(feeds[0].owed & SOURCE_PUBLISHED);
    for (; filled > 0; filled--)
        assert_true(receive(&message));
    assert_false(receive(&message));

    /* The next turn of any pack sends what is owed. The status of the first pack is not refreshed before that. */
    process_tell_changed(&outlets, &barn.source, SOURCE_PUBLISHED, READ_AT + 1);
    assert_true(receive(&message));
    assert_int_equal(message.values.pack, 0);
    assert_true(fabs(message.values.at - message.values.status.age_s - READ_AT) < 1e-9);
    assert_true(fabs(message.values.status.allowed.age_s - 1.25) < 1e-9);
    assert_true(receive(&message));
    assert_int_equal(message.values.pack, 1);
    assert_true(fabs(message.values.at - message.values.status.age_s - READ_AT) < 1e-9);
    close(ends[0]);
    close(ends[1]);
}
