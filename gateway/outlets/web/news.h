// SPDX-License-Identifier: MIT
/*
 * Events: sent to all viewers, and kept for later ones. An event consists of kind, name and level,
 * never of a sentence, because the page shows it in its reader's language.
 */
#pragma once

#include "web.h"

/** Records what has changed in a source. */
void news_changed(struct web *web, unsigned pack, unsigned changes, bool fresh);
void news_ordered(struct web *web, const struct source *source, const struct order_report *report);
/** Records the start of the outlet, or of the gateway. */
void news_begin(struct web *web);

/** Appends events of the history from before the start, up to the length of the list. Reads the
 * file: call it in a worker (worker.h). */
void news_add_past(const struct web *web, json_t *list, char *why, size_t size);
