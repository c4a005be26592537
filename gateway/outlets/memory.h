// SPDX-License-Identifier: MIT
/*
 * What an outlet keeps of the memory that only starting, or a new connection, has needed.
 *
 * libcurl brings thirty libraries along. Loading them touches most of their pages, and the first
 * request those of TLS; afterwards a small part is used. All of that is counted as resident, in the
 * process and in a limit of a service or container, until memory is short.
 */
#ifndef PACKGATE_OUTLETS_MEMORY_H
#define PACKGATE_OUTLETS_MEMORY_H

/** Before anything is allocated: a thread, which looks up names, gets no heap of its own. */
void memory_be_small(void);

/** Gives back free heap. */
void memory_trim(void);

/** Gives back free heap, and the pages of program and libraries that are only read: they come back
 * from the page cache, or the disk, as they are used. */
void memory_give_back(void);

#endif
