// SPDX-License-Identifier: MIT
#include "stream.h"

#include "base/clock.h"
#include "base/late_turn.h"
#include "base/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TICK_S 1.0
#define BEAT_TICKS ((unsigned) (STREAM_BEAT_S / TICK_S))
/* Viewers served at a tick; with more, each is served only at every second or third one. */
#define TURN_VIEWERS 250
#define FRAME "event: pack\ndata: "

/* A pack as an event, as it was at a tick. */
struct rendering {
    uint64_t tick;
    uint32_t version; /* changes whenever more than the age has changed; 0: none yet */
    char *bytes;
    size_t size;
};

struct viewer {
    TAILQ_ENTRY(viewer) entry;
    struct stream *stream;
    struct http_request *request;
    char *bytes; /* HTTP_STREAM_MOST, of which those from `at` to `size` are still unsent */
    size_t at, size;
    double taken_at;
    unsigned number; /* decides at which ticks it is served if there are many viewers */
    bool beat_owed;
    unsigned owed_count;
    struct {
        bool detail, owed;
        uint32_t seen; /* the version that it got last */
    } packs[];
};

struct stream {
    struct outlet *outlet;
    const struct render_pack *packs;
    unsigned count, viewer_count;
    uint64_t ticks; /* ticks at which values were rendered */
    unsigned round, opened;
    ev_timer tick;
    TAILQ_HEAD(, viewer) viewers;
    struct {
        bool again; /* is sent even if unchanged */
        struct rendering brief, whole;
    } shown[]; /* by pack */
};

/* Whether two events of a pack differ only in the age and time of its values, which are between "age_s" and "alarms". */
static bool is_same_but_age(const char *a, const char *b)
{
    static const char age[] = "\"age_s\":", alarms[] = "\"alarms\":";
    const char *a_age = strstr(a, age), *b_age = strstr(b, age);
    if (!a_age || !b_age)
        return strcmp(a, b) == 0;
    const char *a_rest = strstr(a_age, alarms), *b_rest = strstr(b_age, alarms);
    return a_rest && b_rest && a_age - a == b_age - b && memcmp(a, b, (size_t) (a_age - a)) == 0 &&
           strcmp(a_rest, b_rest) == 0;
}

static const struct rendering *render(struct stream *stream, unsigned n, bool whole)
{
    struct rendering *rendering = whole ? &stream->shown[n].whole : &stream->shown[n].brief;
    if (rendering->tick == stream->ticks)
        return rendering;
    char bytes[sizeof FRAME + RENDER_WHOLE_MAX];
    const double now = clock_now();
    const bool fresh = outlet_fresh(stream->outlet, stream->packs[n].pack, now);
    /* The object is rendered separately: commas depend on what precedes. */
    struct text object = text_in(bytes + sizeof FRAME - 1, sizeof bytes - sizeof FRAME - 2);
    render_pack(&object, &stream->packs[n], whole, fresh, now);
    memcpy(bytes, FRAME, sizeof FRAME - 1);
    strcpy(object.bytes + object.size, "\n\n");
    if ((!rendering->bytes || !is_same_but_age(rendering->bytes, bytes)) &&
        ++rendering->version == 0)
        rendering->version = 1;
    rendering->size = sizeof FRAME - 1 + object.size + 2;
    rendering->bytes = alloc_checked(realloc(rendering->bytes, rendering->size + 1));
    memcpy(rendering->bytes, bytes, rendering->size + 1);
    rendering->tick = stream->ticks;
    return rendering;
}

static bool append_bytes(struct viewer *viewer, const char *bytes, size_t size)
{
    if (viewer->size == viewer->at)
        viewer->taken_at = clock_now(); /* from now on something waits */
    if (viewer->at > 0) {
        memmove(viewer->bytes, viewer->bytes + viewer->at, viewer->size - viewer->at);
        viewer->size -= viewer->at;
        viewer->at = 0;
    }
    if (size > HTTP_STREAM_MOST - viewer->size)
        return false;
    memcpy(viewer->bytes + viewer->size, bytes, size);
    viewer->size += size;
    return true;
}

/* Writes owed packs into the buffer as far as there is room. */
static void write_owed(struct viewer *viewer)
{
    struct stream *stream = viewer->stream;
    for (unsigned n = 0; n < stream->count && viewer->owed_count > 0; n++) {
        if (!viewer->packs[n].owed)
            continue;
        const struct rendering *rendering = render(stream, n, viewer->packs[n].detail);
        if (!append_bytes(viewer, rendering->bytes, rendering->size))
            return;
        viewer->packs[n].seen = rendering->version;
        viewer->packs[n].owed = false;
        viewer->owed_count--;
    }
}

static void owe_pack(struct viewer *viewer, unsigned n)
{
    viewer->owed_count += !viewer->packs[n].owed;
    viewer->packs[n].owed = true;
}

/* The library takes the buffer, and asks for the packs that did not fit. */
static void hand_out(struct viewer *viewer)
{
    if (viewer->size > viewer->at || viewer->owed_count > 0)
        http_wake(viewer->request);
}

static ssize_t on_taken(void *data, uint64_t position, char *room, size_t most)
{
    struct viewer *viewer = data;
    if (viewer->at == viewer->size)
        write_owed(viewer);
    const size_t left = viewer->size - viewer->at, size = left < most ? left : most;
    /* In a late turn, values were rendered an unknown time ago: they are not sent, and the next turn
     * cuts all viewers (http.h). */
    if (size == 0 || late_turn_is_on(outlet_loop(viewer->stream->outlet), clock_now()))
        return http_pause(viewer->request);
    memcpy(room, viewer->bytes + viewer->at, size);
    viewer->at += size;
    viewer->taken_at = clock_now();
    return (ssize_t) size;
}

static void on_over(void *data)
{
    struct viewer *viewer = data;
    TAILQ_REMOVE(&viewer->stream->viewers, viewer, entry);
    viewer->stream->viewer_count--;
    free(viewer->bytes);
    free(viewer);
}

static size_t compose_beat(char text[64])
{
    const time_t now = time(NULL);
    return (size_t) snprintf(text, 64, "event: beat\ndata: {\"time\":%lld,\"zone\":%ld}\n\n",
                             (long long) now, clock_zone((double) now));
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct stream *stream = timer->data;
    const double now = clock_now();
    const bool hears = outlet_hears(stream->outlet, now);
    const unsigned turns = (stream->viewer_count + TURN_VIEWERS - 1) / TURN_VIEWERS;
    const bool beats = stream->round++ % BEAT_TICKS == 0;
    stream->ticks++;
    char beat[64];
    const size_t beat_size = compose_beat(beat);
    /* Silent packs are sent with each beat: nothing else reports them. */
    for (unsigned n = 0; n < stream->count; n++)
        stream->shown[n].again = beats && !outlet_fresh(stream->outlet, stream->packs[n].pack, now);
    struct viewer *viewer;
    TAILQ_FOREACH(viewer, &stream->viewers, entry)
    {
        viewer->beat_owed = (viewer->beat_owed || beats) && hears;
        /* A viewer that connected since the last tick has the latest already. */
        for (unsigned n = 0; n < stream->count; n++) {
            const struct rendering *rendering = render(stream, n, viewer->packs[n].detail);
            if (stream->shown[n].again || rendering->version != viewer->packs[n].seen)
                owe_pack(viewer, n);
        }
        if (viewer->number % turns != stream->round % turns)
            continue;
        const bool good = !viewer->beat_owed || append_bytes(viewer, beat, beat_size);
        viewer->beat_owed = false;
        write_owed(viewer);
        if (!good || (viewer->size > viewer->at && now - viewer->taken_at > STREAM_STALL_S))
            http_cut(viewer->request);
        else
            hand_out(viewer);
    }
}

void stream_event(struct stream *stream, const char *name, const char *data)
{
    char bytes[1024];
    struct text text = text_in(bytes, sizeof bytes);
    text_format(&text, "event: %s\ndata: %s\n\n", name, data);
    struct viewer *viewer;
    TAILQ_FOREACH(viewer, &stream->viewers, entry)
    {
        /* Events must not be lost: a viewer without room is cut, and reconnects to the current state. */
        if (text.cut || append_bytes(viewer, bytes, text.size))
            hand_out(viewer);
        else
            http_cut(viewer->request);
    }
}

void stream_open(struct stream *stream, struct http_request *request, const char *detail)
{
    struct viewer *viewer = alloc_zeroed(1, sizeof *viewer + stream->count * sizeof *viewer->packs);
    struct MHD_Response *response = alloc_checked(
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, HTTP_PIECE, on_taken, viewer, NULL));
    viewer->stream = stream;
    viewer->request = request;
    viewer->bytes = alloc_checked(malloc(HTTP_STREAM_MOST));
    viewer->number = stream->opened++;
    char hello[96];
    size_t size = (size_t) snprintf(hello, sizeof hello, "retry: 3000\n\n");
    if (outlet_hears(stream->outlet, clock_now()))
        size += compose_beat(hello + size);
    append_bytes(viewer, hello, size);
    /* Unknown names are ignored: a page may be older than a reload. */
    for (size_t name; *detail; detail += name + (detail[name] == ',')) {
        name = strcspn(detail, ",");
        const struct outlet_pack *pack = outlet_find(stream->outlet, detail, name);
        if (pack)
            viewer->packs[pack->index].detail = true;
    }
    for (unsigned n = 0; n < stream->count; n++)
        owe_pack(viewer, n);
    stream->ticks++; /* earlier renderings are older than this viewer */
    write_owed(viewer);
    TAILQ_INSERT_TAIL(&stream->viewers, viewer, entry);
    stream->viewer_count++;
    http_dress(response, "text/event-stream");
    http_replace_header(response, "Cache-Control", "no-store, no-transform");
    MHD_add_response_header(response, "X-Accel-Buffering", "no");
    MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    http_answer(request, MHD_HTTP_OK, response);
    http_is_stream(request, on_over, viewer);
}

struct stream *stream_new(struct outlet *outlet, const struct render_pack *packs, unsigned count)
{
    struct stream *stream = alloc_zeroed(1, sizeof *stream + count * sizeof *stream->shown);
    stream->outlet = outlet;
    stream->packs = packs;
    stream->count = count;
    TAILQ_INIT(&stream->viewers);
    ev_timer_init(&stream->tick, on_tick, TICK_S, TICK_S);
    stream->tick.data = stream;
    ev_timer_start(outlet_loop(outlet), &stream->tick);
    return stream;
}
