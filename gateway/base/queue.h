// SPDX-License-Identifier: MIT
/*
 * Linked lists whose links are embedded in their members, with the names of queue(3), which not
 * every C library has. Each member holds the address of the pointer to it, so that it can be
 * removed without a search.
 */
#pragma once

#include <assert.h>
#include <stddef.h>

/** The list. TAILQ_INIT makes it empty. It must not be copied. */
#define TAILQ_HEAD(name, type)                                                                     \
    struct name {                                                                                  \
        struct type *first;                                                                        \
        struct type **end; /* the pointer that will link the next member */                        \
    }

/** The links that a member of a list of `type` embeds. */
#define TAILQ_ENTRY(type)                                                                          \
    struct {                                                                                       \
        struct type *next;                                                                         \
        struct type **link; /* the pointer that links this member */                               \
    }

#define TAILQ_INIT(list) ((list)->first = NULL, (list)->end = &(list)->first)
#define TAILQ_EMPTY(list) ((list)->first == NULL)
#define TAILQ_FIRST(list) ((list)->first)
#define TAILQ_NEXT(member, entry) ((member)->entry.next)

/** Iterates from first to last. The body must not remove the current member. */
#define TAILQ_FOREACH(member, list, entry)                                                         \
    for ((member) = (list)->first; (member); (member) = (member)->entry.next)

#define TAILQ_INSERT_TAIL(list, member, entry)                                                     \
    ((member)->entry.next = NULL, (member)->entry.link = (list)->end, *(list)->end = (member),     \
     (list)->end = &(member)->entry.next)

#define TAILQ_INSERT_HEAD(list, member, entry)                                                     \
    ((member)->entry.next = (list)->first, (member)->entry.link = &(list)->first,                  \
     *((list)->first ? &(list)->first->entry.link : &(list)->end) = &(member)->entry.next,         \
     (list)->first = (member))

/** The member must be in the list: one that was removed before would tear out others. */
#define TAILQ_REMOVE(list, member, entry)                                                          \
    (assert(*(member)->entry.link == (member)),                                                    \
     *((member)->entry.next ? &(member)->entry.next->entry.link : &(list)->end) =                  \
         (member)->entry.link,                                                                     \
     *(member)->entry.link = (member)->entry.next)
