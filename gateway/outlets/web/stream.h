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
#define STREAM_STALL_S 20.0           /* who takes nothing of it for so long is cut */
#define STREAM_BEAT_S 10.0

struct stream;

/** For these packs, which must outlive it, and at most so many viewers. NULL: out of memory. */
struct stream *stream_new(struct outlet *outlet, const struct render_pack *packs, unsigned count,
                          unsigned max_viewers);
/** After the server: nobody looks any more. */
void stream_free(struct stream *stream);

/** Answers a request with the stream. `detail`: names of packs with commas between, of which all is
 * sent; of the others the values that an overview shows. */
void stream_open(struct stream *stream, struct http_request *request, const char *detail);

/** A pack was heard of; what it has changed goes out with the next tick. */
void stream_changed(struct stream *stream, unsigned pack);

/** Something happened: it goes out at once. `data` is JSON in one line. */
void stream_event(struct stream *stream, const char *name, const char *data);

#endif
