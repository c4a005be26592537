// SPDX-License-Identifier: MIT
/*
 * The messages between the gateway and an outlet, over a SOCK_SEQPACKET pair: one struct per
 * datagram, as it is, because both ends are of one build and run on one host. An outlet of another
 * build detects this by the config and is not started. The gateway checks what it receives: an
 * outlet may have been taken over through its network.
 */
#pragma once

#include "config/config.h"
#include "packs/source.h"

#include <sys/types.h>

#define PIPE_ID_SIZE 9 /* eight hex digits and the NUL */
#define PIPE_KEY_SIZE 64
#define PIPE_NOTE_SIZE 192
#define OUTLET_ANSWER_S 15.0   /* time-out of a question */
#define OUTLET_END_S 5.0       /* time for an outlet to end after it was asked to */
#define OUTLET_WITHDRAW_S 30.0 /* the same if its section was removed and it has to withdraw */

enum pipe_type {
    PIPE_CONFIG = 1, /* to the outlet: a file: its config, section, packs and notes; once, first */
    PIPE_NOTE,       /* from it: store this line */
    PIPE_VALUES,     /* to it: one complete pack; at least once a second for each */
    PIPE_DONE,       /* to it: the result of an order of this outlet */
    PIPE_ORDERED,    /* to it: an order of any client has ended */
    PIPE_END,        /* to it: the section was removed: withdraw what was announced, end */
    PIPE_ORDER,      /* from it: switch something */
    PIPE_REPORT,     /* from it: its state, for `packgate status` */
    PIPE_QUESTION,   /* from it: about the gateway as a whole; its text is an attached file */
    PIPE_ANSWER,     /* to it: to a question, likewise */
    PIPE_COMMIT,     /* to it: write what is only in memory; a report follows */
    PIPE_ALIVE,      /* to it: says only that the gateway does */
    PIPE_TYPES
};

/* Facts about a pack or a bank beside its values. */
struct pipe_pack {
    char name[NAME_SIZE];
    char title[TITLE_SIZE]; /* empty: the name */
    char line[NAME_SIZE];   /* empty: a bank */
    int unit;               /* Modbus unit id */
    bool writable;          /* its MOS may be switched */
    bool settable;          /* its settings may be written */
    bool is_bank;
    double capacity_ah; /* as configured; 0: not given */
    unsigned member_count;
    char members[MAX_BANK_PACKS][NAME_SIZE];
};

/* Of this file's structs the only one whose first member must never change: it is read before anything is known about
 * the other end. */
struct pipe_config {
    _Alignas(16) char version[32]; /* of the program */
    char kind[NAME_SIZE];          /* "mqtt" */
    char section[NAME_SIZE];       /* its name; empty where there is only one */
    char id[PIPE_ID_SIZE];         /* of this gateway, the same for ever */
    bool id_kept;      /* false: there is no state file, it is derived from the machine's id */
    double started_at; /* of the gateway, by its clock */
    char gateway[TITLE_SIZE]; /* name of the gateway for people; empty: the name of the host */
    char page[192];           /* address of the web page; empty: none that others can reach */
    const void *settings;     /* the section's struct */
    size_t settings_size;
    unsigned pack_count;
};

struct pipe_values {
    unsigned pack;     /* its place in the config */
    unsigned changes;  /* enum source_change, all since the message before */
    uint32_t sequence; /* one more for each published change; a larger step: some were merged */
    double at;         /* when it was sent, by the clock of both */
    /* Time of day, of the same clock for all outlets: when it was published, or of a message without new values, up to
     * when all was sent that had been published. 0: not all was. */
    double wall;
    double good_until;
    double settle_s;          /* seconds after the start during which silence is not reported yet */
    struct map_status status; /* of that moment, without what it points to */
    char driver[NAME_SIZE], driver_title[80]; /* empty: none */
    bool is_bank;
    struct map_bank bank;
    bool whole;         /* `values` is sent; otherwise they are as they were */
    struct pack values; /* the last member */
};

struct pipe_order {
    uint64_t ticket;
    unsigned pack;
    struct switches what;
};

struct pipe_done {
    uint64_t ticket;
    enum order_result result;
};

/* An order, from any client, is over. */
struct pipe_ordered {
    unsigned pack;
    struct switches what;
    enum order_result result;
    char from[64];
};

/* A line of the state file. An empty text removes it. */
struct pipe_note {
    char key[PIPE_KEY_SIZE];
    char text[PIPE_NOTE_SIZE];
};

struct pipe_report {
    bool connected;
    uint32_t sent, dropped, failed; /* messages; failed: connections */
    uint32_t refused;               /* orders received by the outlet and not carried out */
    uint32_t queued;
    uint32_t behind_s; /* age of the oldest unsent values; 0: all were sent */
    char words[480];   /* the latest trouble: "connection refused" */
};

/* A file with its text comes along; without one an answer says that there is none. */
struct pipe_question {
    uint64_t ticket;
};

#define PIPE_QUESTION_MOST (128 * 1024) /* bytes of its text */

/* A question as received by the gateway. */
struct pipe_heard {
    const char *from; /* the outlet: "mqtt home" */
    bool may_order;   /* its section permits orders */
    const char *text; /* "status"; valid during the call */
    uint64_t ticket;
};
typedef void pipe_asked(void *data, const struct pipe_heard *question);

struct pipe_message {
    enum pipe_type type; /* 0: a received one is malformed */
    union {              /* nothing for those that have no struct */
        struct pipe_values values;
        struct pipe_done done;
        struct pipe_ordered ordered;
        struct pipe_order order;
        struct pipe_note note;
        struct pipe_report report;
        struct pipe_question question, answer;
    };
};

/** Sends a message together with a file (-1: none), never waiting. False with errno. */
bool pipe_send(int fd, const struct pipe_message *message, int file);
/** Receives one, never waiting; returns as recv does. A file that came along, or -1, is in `*file`; the caller closes it. */
ssize_t pipe_receive(int fd, struct pipe_message *message, int *file);

/** The content of a config's file; sets the version. The caller frees it. */
char *pipe_compose(struct pipe_config *config, const struct source *const *sources, size_t *size);
/** Reads it; texts of `config` stay in `bytes`. Returns where the packs begin; NULL: it was made by another version, whose
 * number is in `config`. */
const char *pipe_parse(const char *bytes, size_t size, struct pipe_config *config);
/** Reads a pack and returns where the next one begins; behind the last one are the notes, to the end. */
const char *pipe_parse_pack(const char *at, struct pipe_pack *pack);

/** A file in memory with this text, to be attached; the caller closes it. -1: error. */
int pipe_text_file(const char *text, size_t size);
/** The text of such a file, terminated by a NUL; the caller frees it. NULL: it is another kind of
 * file, which could block, it has more than `most` bytes, or memory ran out. */
char *pipe_file_text(int file, size_t most, size_t *size);

/** The same as pipe_send and pipe_receive for any bytes. */
bool pipe_send_file(int fd, const void *bytes, size_t size, int file);
ssize_t pipe_receive_file(int fd, void *bytes, size_t room, int *file);
