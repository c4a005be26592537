// SPDX-License-Identifier: MIT
/*
 * Live values for everybody who looks: Server-Sent Events. A pack is put into words once a tick,
 * however many look at it, and sent when something in it has changed; a silent one with each beat. Who reads slowly gets the latest values later, never old ones in a row:
 * each viewer has a bounded buffer and a list of packs that it is owed.
 */
#ifndef PACKGATE_OUTLETS_WEB_STREAM_H
#define PACKGATE_OUTLETS_WEB_STREAM_H

#include "http.h"
#include "render.h"

#define STREAM_BUFFER_MAX (64 * 1024) /* of one viewer */
#define STREAM_STALL_S 20.0           /* a viewer that reads nothing for so long is cut */
#define STREAM_BEAT_S 10.0

struct stream;

/** For these packs, which must outlive it, and at most so many viewers. NULL: out of memory. */
struct stream *stream_new(struct outlet *outlet, const struct render_pack *packs, unsigned count,
                          unsigned max_viewers);
/** Call after the server was freed: no viewers are left. */
void stream_free(struct stream *stream);

/** Answers a request with the stream. `detail`: comma-separated names of packs of which all values
 * are sent; for the others only those of the overview. */
void stream_open(struct stream *stream, struct http_request *request, const char *detail);

/** A pack may have changed; changes are sent with the next tick. */
void stream_changed(struct stream *stream, unsigned pack);

/** Sends an event at once. `data` is JSON in one line. */
void stream_event(struct stream *stream, const char *name, const char *data);

#endif
