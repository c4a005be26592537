// SPDX-License-Identifier: MIT
/*
 * The interface of a protocol. A driver is one const struct of functions at the end of its own
 * file, listed in drivers.c. It is pure: bytes in, struct pack out and back; no descriptor, no
 * clock, no log, no malloc.
 *
 * One poll cycle walks the driver's plan. For each step that is due, `build` makes the request, the
 * line sends it, `frame` finds whole frames in what comes back and `decode` takes their values,
 * until it says that the reply is complete. When all steps are through, their parts are merged and
 * `finish` settles what needs more than one message.
 */
#ifndef PACKGATE_BMS_DRIVER_H
#define PACKGATE_BMS_DRIVER_H

#include "pack.h"

#define BMS_REQUEST_MAX 64 /* longest request of any protocol */
#define BMS_FRAME_MAX 4352 /* longest reply: TopBMS, 4113 characters */
#define BMS_PLAN_MAX 40    /* steps of a plan */
#define BMS_MEMORY 1024    /* bytes of a driver's own notes about one pack */
#define BMS_PASSWORD 8     /* characters of the one that switching takes */
#define BMS_REMARK 96      /* what a driver has to say about a device, with the NUL */

/* How the current's sign is found where firmwares disagree. */
enum bms_current { BMS_CURRENT_AUTO, BMS_CURRENT_NORMAL, BMS_CURRENT_INVERTED };

struct modbus_user;

/* What the configuration says about one pack; zero is the default of each. */
struct bms_options {
    int address; /* as the user counts it: board, group or bus address; -1: the driver's default */
    int adr; /* where the protocol has a second address (TopBMS behind a master); -1: same as address */
    int variant; /* index into the driver's `variants`; 0: the first, which is the default */
    enum bms_current current;
    bool shared;        /* there are other packs on its line: others may hear what it is asked */
    bool settable;      /* its settings may be written, now or by who polled it before */
    double capacity_ah; /* for meters that do not know it; 0: not given */
    char password[BMS_PASSWORD + 1]; /* that it wants before it is switched; empty: not given */
    const struct modbus_user *map;   /* `protocol = modbus`: what stands where; NULL: not given */
};

struct bms_driver;

/* One BMS as its driver sees it: a polled one or, in the simulator, an emulated one. */
struct bms {
    const struct bms_driver *driver;
    struct bms_options options;
    /* What the driver remembers between messages and cycles: cell count, polarity, variant.
     * Zeroed by bms_init and bms_forget. Use bms_memory. */
    union {
        uint64_t align;
        uint8_t bytes[BMS_MEMORY];
    } memory;
    /* Which of several ways of asking it answered last, in the driver's own numbers; 0: none yet.
     * It outlives the memory: after a silence or on a new connection that way is tried first. */
    uint8_t way;
    /* Something odd about this device that its owner should know, set by the driver; the line
     * logs it when it changes. Never anything that a frame could put a PIN into. */
    char remark[BMS_REMARK];
};

/* A driver keeps its notes in a struct of its own, laid over bms->memory; _Static_assert its
 * size <= BMS_MEMORY. */
#define bms_memory(bms) ((void *) (bms)->memory.bytes)

struct bms_request {
    uint8_t bytes[BMS_REQUEST_MAX];
    size_t
        size; /* 0: nothing was asked; the device talks by itself, or the line is only listened to */
};

/* What the framer sees at the start of the received bytes. */
enum bms_span_kind {
    BMS_MORE,  /* may become a frame, more bytes are needed; size is not used */
    BMS_FRAME, /* `size` bytes are a whole frame; its checksum is right */
    BMS_SKIP,  /* `size` bytes (at least 1) belong to no frame: noise, padding */
    BMS_DAMAGED /* looked like a frame but its checksum or end is wrong: drop `size` bytes and count it */
};
struct bms_span {
    enum bms_span_kind kind;
    size_t size;
};

/* What the decoder made of a frame. */
enum bms_result {
    BMS_DONE,    /* the reply to the request is complete (a talker: a set of values is complete) */
    BMS_PARTIAL, /* belongs to the reply, further frames of it follow */
    BMS_FOREIGN, /* not for this request: late reply, echo, another pack or master; keep waiting */
    BMS_REFUSED, /* the BMS says that it does not know or do this: do not ask again soon */
    BMS_INVALID  /* answers this request but is malformed: counted as an error, keep waiting */
};

/* Where to look for a device of which nothing is known but that it may speak this protocol. */
struct bms_guess {
    int address; /* -1: the driver's default */
    int variant;
    unsigned baud;  /* 0: the usual one */
    unsigned polls; /* how often to ask before the next guess has its turn; 0: once */
};

/* What a step of a Modbus protocol reads; see modbus/modbus.h. */
struct bms_read {
    uint8_t function;
    uint16_t start, count;
};

/* One request of a poll cycle. */
struct bms_step {
    const char *name;     /* for the log: "cell voltages" */
    unsigned every_s;     /* 0: each cycle; else not more often than that */
    bool vital;           /* the pack counts as silent when this one is not answered */
    struct bms_read read; /* all 0: the driver's own `build` knows */
};

/* The usual settings of a line with such a BMS; all can be overridden in the configuration. */
struct bms_line {
    unsigned baud;
    const char *framing; /* "8N1" */
    unsigned
        reply_ms; /* silence after the request's last byte (or inside the reply) that means: no answer */
    unsigned gap_ms; /* silence before a request */
    unsigned tries;  /* how often a request is sent before it counts as unanswered; 0: 3 */
    bool one_pack;   /* no addresses: a second pack on the line is a mistake in the configuration */
};

enum bms_switch { BMS_CHARGE_MOS, BMS_DISCHARGE_MOS };

/* How strong the check is that a damaged frame would have to pass. */
enum bms_check {
    BMS_CHECK_UNDECLARED, /* of no listed driver */
    BMS_CHECK_SUM,  /* a sum, or 8 bits of whatever: two wrong bits can make up for each other */
    BMS_CHECK_CRC16 /* finds any three wrong bits and any burst of 16 */
};

struct bms_output {
    uint8_t bytes[BMS_FRAME_MAX];
    size_t size;
};

/* What its owner should know, for docs/packs.md; Markdown, without '|'. */
struct bms_guide {
    const char *makes;   /* makes and boards, by the names on them */
    const char *port;    /* in a word or two: "RS485" */
    const char *wires;   /* the port, its plug and pins */
    const char *setting; /* what is set in the maker's app or on the board; "": nothing */
    const char *address; /* what its range leaves open, the names of its variants; "": nothing */
    const char
        *switching;     /* which of its variants can switch a MOS; NULL: all, if the driver can */
    const char *unseen; /* what no search sees and its owner has to set; NULL: nothing */
};

/* A setting that can be written, and what may be set. The value of the pack with the same id is
 * what it is now, and confirms it. */
struct bms_setting {
    enum pack_value id;
    double min, max; /* both included */
    double step;     /* of the protocol: what is written is a multiple of it */
    /* How many requests that takes, each sent when the one before was answered; 0: one. The last of
     * several brings the device back to where it was before the first, and is sent in any case. */
    unsigned parts;
};

/* Local time, for what wants to know it. */
struct bms_moment {
    int year, month, day, hour, minute, second; /* 2026, 1…12, 1…31 */
};

struct bms_driver {
    const char *name;  /* as in the configuration: "daly" */
    const char *title; /* "Daly, UART (A5 frames)" */
    struct bms_guide guide;
    const char *const *variants; /* NULL-ended names, first is the default; NULL: none */
    int address_min, address_max, address_default; /* of options.address; min == max: not used */
    int sweep_last;          /* a search for all packs goes no further; 0: as far as is usual */
    int dip_first, dip_last; /* but here packs are often found, too; both 0: nowhere */
    struct bms_line line;
    enum bms_check check; /* of its weakest frame that carries values */
    bool advertises;      /* heard over Bluetooth, without a connection: a search wants the key */
    bool on_air;          /* it is met behind Bluetooth modules, too */
    const struct bms_step *plan; /* NULL: the device talks unasked */
    unsigned steps;
    unsigned
        ways; /* of asking that `build` goes through for the first variant while nothing answers; 0: one */
    const struct bms_guess *guesses; /* for probing, likely ones first; NULL: the defaults */
    unsigned guess_count;

    /** The request of plan[step] from what is known so far. False: not needed now (no such
     * cells, not supported). What is built may never be sent, as the line can be lost first. */
    bool (*build)(struct bms *bms, unsigned step, struct bms_request *request);

    /** What stands at bytes[0…size-1], size >= 1. Never reads beyond size, never wants more than
     * BMS_FRAME_MAX. A frame is recognised by its own form and checksum; `request` helps only
     * where a reply has no header. */
    struct bms_span (*frame)(const struct bms *bms, const struct bms_request *request,
                             const uint8_t *bytes, size_t size);

    /** Takes the values of one frame that `frame` found. Unknown stays unset; nothing is set
     * unless the frame is an answer to `request`. The request may come from another program (a
     * recording): only its bytes count. With an empty request, take what identifies itself. */
    enum bms_result (*decode)(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack);

    /** For a line that has another master and is only listened to: what stands at bytes[0…size-1],
     * size >= 1. BMS_FRAME: a question or an order of that master, and `address` is whom it is for,
     * as in options.address, or -1 where the protocol has none. Its first BMS_REQUEST_MAX bytes are
     * the request for `frame` and `decode`. BMS_MORE: may become one. BMS_SKIP: anything else. NULL:
     * its replies cannot be understood in this way. */
    struct bms_span (*question)(const struct bms *bms, const uint8_t *bytes, size_t size,
                                int *address);
    bool tells_itself; /* frames come unasked that say whose they are and what is in them */

    /** Settles what needs several messages of one cycle, such as the sign of the current. May be
     * NULL. */
    void (*finish)(struct bms *bms, struct pack *pack);

    /** The request that switches charge or discharge MOS. False: not now (the state it builds on
     * is unknown). NULL: not documented for this protocol. Its answer goes through `frame` and
     * `decode` like any other: BMS_DONE confirms, BMS_REFUSED denies. After that it is asked once more,
     * and what is another request than the one before is sent as well: some know a second way. */
    bool (*control)(struct bms *bms, enum bms_switch which, bool on, struct bms_request *request);
    bool control_blindly; /* that answer can be one to any request: it confirms nothing */
    bool wants_password;  /* it cannot be switched without one */

    /** Settings that can be written, only what is documented and can be put back as it was; and
     * the request that does it, or the given part of it, from 0. False: not now. The answer goes through
     * `frame` and `decode` and confirms nothing: what the value is then read as does. NULL: none. */
    const struct bms_setting *settings;
    unsigned setting_count;
    bool (*set)(struct bms *bms, enum pack_value id, double value, unsigned part,
                const struct bms_moment *now, struct bms_request *request);

    /** Blanks PINs and passwords in a frame that `frame` found and keeps its checksum right, so
     * that it can be logged and recorded. NULL: no frame of this protocol holds any. */
    void (*mask)(uint8_t *frame, size_t size);

    /** The other side, for simulated packs: consumes bytes that a host sent and answers out of
     * `pack`; a control request changes `pack`. Returns how many bytes it is through with (0:
     * more are needed); `out` holds the answer, size 0 for none. A talker is called with size 0
     * once a second and fills `out` with what it says unasked. */
    size_t (*emulate)(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out);
};

/** Prepares `bms` for a driver with default options. */
void bms_init(struct bms *bms, const struct bms_driver *driver);

/** Forgets the device, which may be another one by now, all but the way in which it was asked. */
void bms_forget(struct bms *bms);

/** The address to use: the configured one or the driver's default. */
int bms_address(const struct bms *bms);

/** Sets CURRENT_A from what the protocol calls charging (positive) and discharging, turned round
 * where the user says that it is inverted. Drivers set the current with it, all but those that
 * find its sign out by themselves. */
void bms_set_current(const struct bms *bms, struct pack *pack, double current_a);

/** Whether two requests say the same. */
bool bms_request_same(const struct bms_request *a, const struct bms_request *b);

/** How many of the bytes, which somebody else sends, are one request of this protocol: as the driver's `question` finds
 * them, or one of its plan. `address` is whom it is for, as in options.address; -1: not known. 0: none that is known. */
size_t bms_request_end(const struct bms *bms, const uint8_t *bytes, size_t size, int *address);

/** True for a device that talks unasked. */
bool bms_talks(const struct bms_driver *driver);

/** Whether several of its devices are told apart by options.address. */
bool bms_has_address(const struct bms_driver *driver);

/** The row of a setting that can be written; NULL: this one cannot. */
const struct bms_setting *bms_setting_find(const struct bms_driver *driver, enum pack_value id);

/** The drivers, NULL at the end, and one of them by its name (NULL: none has it). */
extern const struct bms_driver *const bms_drivers[];
const struct bms_driver *bms_driver_find(const char *name);

#endif
