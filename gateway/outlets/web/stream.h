// SPDX-License-Identifier: MIT
/*
 * Live values as Server-Sent Events. A pack is rendered once per tick for all viewers, and sent when
 * something in it has changed; a silent pack is sent with each beat. A slow viewer gets the latest
 * values later, never a queue of old ones: each viewer has a bounded buffer and a list of packs that
 * are still to be sent.
 */
#pragma once

#include "http/http.h"
#include "render.h"

#define STREAM_STALL_S 20.0 /* a viewer that reads nothing for this long is cut */
#define STREAM_BEAT_S 10.0

struct stream;

/** For `count` packs, which must outlive it. */
struct stream *stream_new(struct outlet *outlet, const struct render_pack *packs, unsigned count);

/** Answers a request with the stream. `detail`: comma-separated names of packs of which all values
 * are sent; for the others only those of the overview. */
void stream_open(struct stream *stream, struct http_request *request, const char *detail);

/** Sends an event at once. `data` is JSON in one line. */
void stream_event(struct stream *stream, const char *name, const char *data);
