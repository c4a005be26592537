// SPDX-License-Identifier: MIT
/*
 * The messages between the gateway and an outlet, over a SOCK_SEQPACKET pair: one message per
 * datagram, each with the version and its own size in front. Both ends are of one build and run on
 * one host, so numbers are sent in native form; an outlet of another build is detected by the
 * version and rejected. Pure: bytes in, structs out.
 *
 *     gateway -> outlet   config   its section and its packs; once, first
 *                         note     a line that the outlet has stored in the state file
 *                         ready    all notes were sent
 *                         values   one complete pack; at least once a second for each
 *                         done     the result of an order of this outlet
 *                         ordered  an order of any client has ended
 *                         end      the section was removed: withdraw what was announced, end
 *                         answer   to a question; its text is an attached file
 *                         commit   write what is only in memory; a report follows
 *     outlet -> gateway   order    switch something
 *                         note     store this line
 *                         report   the outlet's state, for `packgate status`
 *                         question about the gateway as a whole; its text is an attached file
 */
#pragma once

#include "config/config.h"
#include "packs/source.h"

#include <sys/types.h>

#define PIPE_VERSION 4
#define PIPE_MESSAGE_MAX (128 * 1024) /* a config; all others are below PIPE_SMALL_MAX */
#define PIPE_SMALL_MAX 2048
#define PIPE_PACKS_MAX 500 /* of one outlet: as many as a config has room for */
#define PIPE_ID_SIZE 9     /* eight hex digits and the NUL */
#define PIPE_KEY_SIZE 64
#define PIPE_NOTE_SIZE 192
#define OUTLET_ANSWER_S 15.0   /* time-out of a question */
#define OUTLET_END_S 5.0       /* time for an outlet to end after it was asked to */
#define OUTLET_WITHDRAW_S 30.0 /* the same if its section was removed and it has to withdraw */

enum pipe_type {
    PIPE_CONFIG = 1,
    PIPE_NOTE,
    PIPE_READY,
    PIPE_VALUES,
    PIPE_DONE,
    PIPE_ORDERED,
    PIPE_END,
    PIPE_ORDER,
    PIPE_REPORT,
    PIPE_QUESTION,
    PIPE_ANSWER,
    PIPE_COMMIT,
    PIPE_ALIVE /* says only that the gateway does */
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

struct pipe_config {
    char version[32];        /* of the program */
    char kind[NAME_SIZE];    /* "mqtt" */
    char section[NAME_SIZE]; /* its name; empty where there is only one */
    char id[PIPE_ID_SIZE];   /* of this gateway, the same for ever */
    bool id_kept;      /* false: there is no state file, it is derived from the machine's id */
    double started_at; /* of the gateway, by its clock */
    char gateway[TITLE_SIZE]; /* name of the gateway for people; empty: the name of the host */
    char page[192];           /* address of the web page; empty: none that others can reach */
    const void *settings;     /* the section's struct, inside of the message */
    size_t settings_size;
    unsigned pack_count;
};

struct pipe_values {
    unsigned pack;    /* its place in the config */
    unsigned changes; /* enum source_change, all since the message before */
    uint32_t
        sequence; /* one more for each published change: a larger step means that some were merged */
    double at;    /* when it was sent, by the clock of both */
    /* Time of day, of the same clock for all outlets: when it was published, or of a message without new values, up to
     * when all was sent that had been published. 0: not all was. */
    double wall;
    double good_until;
    double settle_s; /* seconds after the start during which silence is not reported yet */
    struct map_status
        status; /* of that moment; without pack_name; its texts and the bank lie behind it */
    char driver[NAME_SIZE], driver_title[80];
    struct map_bank bank;
    bool whole; /* `values` is filled; otherwise they are as they were */
    struct pack values;
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

struct pipe_question {
    uint64_t ticket; /* a file with its text comes along */
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

struct pipe_answer {
    uint64_t ticket;
    bool good; /* a file with the text came along */
};

/* A message that is being composed or parsed. */
struct pipe_message {
    uint8_t *bytes;
    size_t size; /* size of the buffer; of a received message its size */
    size_t at;   /* bytes so far */
    bool taking; /* it is being parsed */
    bool bad;    /* it did not fit, or is malformed */
};

/** An empty message of a type, in room for at least PIPE_SMALL_MAX bytes. */
struct pipe_message pipe_new(enum pipe_type type, uint8_t *bytes, size_t room);

/** Ends a composed message: returns its size; 0: it did not fit. */
size_t pipe_finish(struct pipe_message *message);

/** Opens a received message: returns its type, or 0 if version or size are wrong
 * (`*version_differs`: the version is). */
enum pipe_type pipe_open(struct pipe_message *message, uint8_t *bytes, size_t size,
                         bool *version_differs);

/*
 * These functions work in both directions: they compose a message, or parse it, so that the two
 * sides always agree. In parsed messages texts end with a NUL and numbers are in their range;
 * otherwise the message is marked bad and the struct must not be used.
 */
void pipe_config(struct pipe_message *message, struct pipe_config *config);
/** One for each pack, behind the config. */
void pipe_pack(struct pipe_message *message, struct pipe_pack *pack);
/** When parsed, texts and bank of the status point into the struct. */
void pipe_values(struct pipe_message *message, struct pipe_values *values);
void pipe_order(struct pipe_message *message, struct pipe_order *order);
void pipe_done(struct pipe_message *message, struct pipe_done *done);
void pipe_ordered(struct pipe_message *message, struct pipe_ordered *ordered);
void pipe_note(struct pipe_message *message, struct pipe_note *note);
void pipe_report(struct pipe_message *message, struct pipe_report *report);
void pipe_question(struct pipe_message *message, struct pipe_question *question);
void pipe_answer(struct pipe_message *message, struct pipe_answer *answer);

/** A file in memory with this text, to be attached; the caller closes it. -1: error. */
int pipe_text_file(const char *text, size_t size);
/** The text of such a file, terminated by a NUL; the caller frees it. NULL: it is another kind of
 * file, which could block, it has more than `most` bytes, or memory ran out. */
char *pipe_file_text(int file, size_t most, size_t *size);

/** Sends a message together with a file (-1: none), never waiting. False: it did not fit. */
bool pipe_send_file(int fd, const uint8_t *bytes, size_t size, int file);
/** Like recv, with the attached file, or -1, in `*file`; the caller closes it. */
ssize_t pipe_receive_file(int fd, uint8_t *bytes, size_t room, int *file);

/** Whether the whole message was parsed, and was well-formed. */
bool pipe_over(const struct pipe_message *message);
