// SPDX-License-Identifier: MIT
/*
 * Returns memory that an outlet needed only to start, or to open a connection.
 *
 * libcurl loads thirty libraries. Loading them touches most of their pages, and the first request
 * those of TLS; later only a small part is used. All of it counts as resident, in the process and
 * in the limit of a service or container, until memory is short.
 */
#pragma once

/** Call it before anything is allocated: threads, which look up names, get no heap of their own. */
void memory_be_small(void);

/** Returns free heap to the system. */
void memory_trim(void);

/** Also returns the read-only pages of the program and its libraries: they are loaded again from
 * the page cache or the disk when used. */
void memory_give_back(void);
