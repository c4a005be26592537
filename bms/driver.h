// SPDX-License-Identifier: MIT
/*
 * The interface of a protocol. A driver is one const struct of functions at the end of its own
 * file, listed in drivers.c. It is pure: bytes in, struct pack out and back; no descriptor, no
 * clock, no log, no malloc.
 *
 * One poll cycle walks the driver's plan. For each step that is due, `build` makes the request,
 * the line sends it, `frame` finds whole frames in the received bytes and `decode` takes their
 * values, until it reports that the reply is complete. After all steps, their values are merged
 * and `finish` derives what needs more than one message.
 */
#pragma once

#include "count.h"
#include "pack.h"

#define BMS_REQUEST_MAX 64 /* bytes, longest request of any protocol */
#define BMS_FRAME_MAX 4352 /* bytes, longest reply: TopBMS, 4113 characters */
#define BMS_PLAN_MAX 40    /* steps of a plan */
#define BMS_MEMORY 1024    /* bytes of a driver's notes about one pack */
#define BMS_PASSWORD 8     /* characters of the password for switching */
#define BMS_REMARK 96      /* bytes of a driver's remark about a device, with the NUL */

/* How to find the sign of the current, if firmwares disagree. */
enum bms_current { BMS_CURRENT_AUTO, BMS_CURRENT_NORMAL, BMS_CURRENT_INVERTED };

struct modbus_user;

/* The configuration of one pack; zero is the default of each member. */
struct bms_options {
    int address; /* as the user counts it: board, group or bus address; -1: the driver's default */
    int adr; /* second address of some protocols (TopBMS behind a master); -1: same as address */
    int variant; /* index into the driver's `variants`; 0: the first, which is the default */
    enum bms_current current;
    bool shared;        /* its line has other packs, which may receive its requests */
    bool settable;      /* settings may be written, by this gateway or by an earlier one */
    double capacity_ah; /* for meters that do not report it; 0: not configured */
    char password[BMS_PASSWORD + 1]; /* required for switching; empty: not configured */
    const struct modbus_user *map;   /* `protocol = modbus`: the map of registers; NULL: none */
};

struct bms_driver;

/* One BMS as its driver sees it: a polled one or, in the simulator, an emulated one. */
struct bms {
    const struct bms_driver *driver;
    struct bms_options options;
    /* The driver's memory between messages and cycles: cell count, polarity, variant. bms_init and
     * bms_forget clear it. Use bms_memory. */
    union {
        uint64_t align;
        uint8_t bytes[BMS_MEMORY];
    } memory;
    /* The way of asking (variant, address form) that was answered last, in the driver's own
     * numbers; 0: none yet. It outlives the memory: after a silence or on a new connection it is
     * tried first. */
    uint8_t way;
    /* An oddity of this device that its owner should know, set by the driver; the line logs it
     * when it changes. Must never contain bytes of a frame that may hold a PIN. */
    char remark[BMS_REMARK];
};

/* A driver keeps its notes in a struct of its own, laid over bms->memory; _Static_assert its size
 * <= BMS_MEMORY. */
#define bms_memory(bms) ((void *) (bms)->memory.bytes)

struct bms_request {
    uint8_t bytes[BMS_REQUEST_MAX];
    size_t size; /* 0: nothing was asked: the device sends by itself, or the line is listened to */
};

/* What `frame` finds at the start of the received bytes. */
enum bms_span_kind {
    BMS_MORE,  /* may become a frame once more bytes arrive; size is not used */
    BMS_FRAME, /* `size` bytes are a whole frame; its checksum is right */
    BMS_SKIP,  /* `size` bytes (at least 1) are in no frame: noise, padding */
    BMS_DAMAGED /* looked like a frame but its checksum or end is wrong: drop `size` bytes and count it */
};
struct bms_span {
    enum bms_span_kind kind;
    size_t size;
};

/* What `decode` made of a frame. */
enum bms_result {
    BMS_DONE,    /* the reply is complete (for a talker: a set of values is complete) */
    BMS_PARTIAL, /* part of the reply, more frames follow */
    BMS_FOREIGN, /* not for this request: late reply, echo, another pack or master; keep waiting */
    BMS_REFUSED, /* the BMS does not know the request or rejects it: do not ask again soon */
    BMS_INVALID  /* the reply to this request, but malformed: counted as an error, keep waiting */
};

/* Where a search looks for devices of this protocol. */
struct bms_guess {
    int address; /* -1: the driver's default */
    int variant;
    unsigned baud;  /* 0: the usual one */
    unsigned polls; /* how often to ask before the next guess; 0: once */
};

/* What a step reads, of Modbus protocols (modbus/modbus.h) and others with registers. */
struct bms_read {
    uint8_t function;
    uint16_t start, count;
};

/* One request of a poll cycle. */
struct bms_step {
    const char *name;     /* for the log: "cell voltages" */
    unsigned every_s;     /* 0: in each cycle; else at most once in this time */
    bool vital;           /* the pack counts as silent if this request is not answered */
    struct bms_read read; /* for the driver's `build` */
};

#define BMS_FRAMING "8N1" /* of a serial line with any BMS, unless it is configured */

/* The usual settings of a line with such a BMS; the configuration can override all of them. */
struct bms_line {
    unsigned baud;
    unsigned reply_ms; /* silence after the request, or inside a reply, that means: no answer */
    unsigned gap_ms;   /* ms of silence before a request */
    unsigned tries;    /* attempts before a request counts as unanswered; 0: 3 */
    bool one_pack;     /* no addresses: a second pack on the line is a configuration mistake */
};

/* Values of options.address. */
struct bms_addresses {
    int min, max, usual;     /* min == max: not used */
    int sweep_last;          /* a search for all packs stops here; 0: at the usual limit */
    int dip_first, dip_last; /* further addresses that packs often have; both 0: none */
};

enum bms_switch { BMS_CHARGE_MOS, BMS_DISCHARGE_MOS };

/* The strength of the check that a damaged frame would have to pass. */
enum bms_check {
    BMS_CHECK_UNDECLARED, /* of no listed driver */
    BMS_CHECK_SUM,  /* a sum, or 8 bits of whatever: two wrong bits can make up for each other */
    BMS_CHECK_CRC16 /* finds any three wrong bits and any burst of 16 */
};

struct bms_output {
    uint8_t bytes[BMS_FRAME_MAX];
    size_t size;
};

/* For the owner, in docs/packs.md; Markdown, without '|'. */
struct bms_guide {
    const char *makes;     /* makes and boards, by the names on them */
    const char *port;      /* in a word or two: "RS485" */
    const char *wires;     /* the port, its plug and pins */
    const char *setting;   /* to be set in the maker's app or on the board; NULL: nothing */
    const char *address;   /* meaning of addresses and variants; NULL: nothing */
    const char *switching; /* its variants that can switch a MOS; NULL: all, if the driver can */
    const char *unseen; /* what no search can find and the owner has to configure; NULL: nothing */
};

/* A writable setting and its range. The pack value with the same id is the current setting, and
 * confirms a change. */
struct bms_setting {
    enum pack_value id;
    double min, max; /* both included */
    double step;     /* of the protocol: only multiples of it can be written */
    /* How many requests it takes, each sent after the previous one was answered; 0: one. The last
     * of several restores the device's state of before the first, and is sent in any case. */
    unsigned parts;
};

/* A command, or a register, that writes a value. */
struct bms_code {
    uint16_t code;
    uint8_t id; /* enum pack_value */
};

/* Local time, for protocols that set or check a clock. */
struct bms_moment {
    int year, month, day, hour, minute, second; /* 2026, 1…12, 1…31 */
};

struct modbus_map;
struct modbus_board;

struct bms_driver {
    const char *name;  /* as in the configuration: "daly" */
    const char *title; /* "Daly, UART (A5 frames)" */
    struct bms_guide guide;
    const char *const *variants; /* NULL-ended names, first is the default; NULL: none */
    struct bms_addresses address;
    struct bms_line line;
    enum bms_check check; /* of its weakest frame with values */
    bool advertises;      /* heard over Bluetooth, without a connection: a search needs the key */
    bool on_air;          /* also found behind Bluetooth modules */
    const struct bms_step *plan; /* NULL: the device sends without being polled */
    unsigned steps;
    unsigned ways; /* that `build` tries for the first variant while nothing answers; 0: one */
    const struct bms_guess *guesses; /* for searches, likely ones first; NULL: the defaults */
    unsigned guess_count;

    /** Builds the request of plan[step]. False: not needed now (no such cells, not supported). The
     * request may never be sent, because the line can be lost first. */
    bool (*build)(struct bms *bms, unsigned step, struct bms_request *request);

    /** Finds what is at bytes[0…size-1], size >= 1. Never reads beyond size, never needs more than
     * BMS_FRAME_MAX. Recognizes a frame by its own form and checksum; `request` is only needed if
     * a reply has no header. */
    struct bms_span (*frame)(const struct bms *bms, const struct bms_request *request,
                             const uint8_t *bytes, size_t size);

    /** Takes the values of one frame that `frame` found. Unknown values stay unset; nothing is set
     * unless the frame answers `request`. The request may come from another program (a recording):
     * only its bytes count. With an empty request it takes frames that identify themselves. */
    enum bms_result (*decode)(struct bms *bms, const struct bms_request *request,
                              const uint8_t *frame, size_t size, struct pack *pack);

    /** For a line that has another master and is only listened to: finds what is at
     * bytes[0…size-1], size >= 1. BMS_FRAME: a request of that master, and `address` is its
     * destination, as in options.address, or -1 if the protocol has none. Its first
     * BMS_REQUEST_MAX bytes are the request for `frame` and `decode`. BMS_MORE: may become one.
     * BMS_SKIP: anything else. NULL: replies of this protocol cannot be decoded this way. */
    struct bms_span (*question)(const struct bms *bms, const uint8_t *bytes, size_t size,
                                int *address);
    bool tells_itself; /* unsolicited frames identify their sender and content */

    /** Derives what needs several messages of one cycle, such as the sign of the current. May be
     * NULL. */
    void (*finish)(struct bms *bms, struct pack *pack);

    /** Builds the request that switches a charge or discharge MOS. False: not now (the state it
     * needs is unknown). NULL: not documented for this protocol. Its reply goes through `frame`
     * and `decode` like any other: BMS_DONE confirms, BMS_REFUSED rejects. The function is then
     * called once more; if it builds a different request, that one is sent as well: some boards
     * need a second form. */
    bool (*control)(struct bms *bms, enum bms_switch which, bool on, struct bms_request *request);
    bool control_blindly; /* the reply could be to any request: it confirms nothing */
    bool wants_password;  /* switching requires a password */

    /** The writable settings, only documented and reversible ones; and the function that builds the
     * request, or the given part of it, from 0. False: not now. The reply goes through `frame` and
     * `decode` but confirms nothing: only reading the value back does. NULL: none. */
    const struct bms_setting *settings;
    unsigned setting_count;
    bool (*set)(struct bms *bms, enum pack_value id, double value, unsigned part,
                const struct bms_moment *now, struct bms_request *request);

    /** Blanks PINs and passwords in a frame that `frame` found and corrects its checksum, so that
     * the frame can be logged and recorded. NULL: no frame of this protocol contains any. */
    void (*mask)(uint8_t *frame, size_t size);

    /** The device's side, for simulated packs: handles bytes that a host sent and replies from
     * `pack`; a control request changes `pack`. Returns how many bytes it has handled (0: needs
     * more); `out`, which is empty before, is the reply. A talker is called with size 0 once a
     * second and fills in `out` with its unsolicited frames. Called by bms_emulate. */
    size_t (*emulate)(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                      struct bms_output *out);

    /* Of a driver by the engine of modbus/modbus.h: what `modbus_decode` takes and `modbus_emulate`
     * answers. */
    const struct modbus_map *map;
    const struct modbus_board *board;
};

/* Members of struct bms_driver: a table and the number of its rows. */
#define BMS_PLAN(rows) .plan = rows, .steps = COUNT(rows)
#define BMS_GUESSES(rows) .guesses = rows, .guess_count = COUNT(rows)
#define BMS_SETTINGS(rows) .settings = rows, .setting_count = COUNT(rows)

/** Prepares `bms` for a driver with default options. */
void bms_init(struct bms *bms, const struct bms_driver *driver);

/** Forgets everything about the device, which may be another one by now, except the way of asking.
 */
void bms_forget(struct bms *bms);

/** The address to use: the configured one or, for -1, the driver's usual one. */
static inline int bms_address_of(const struct bms_driver *driver, int configured)
{
    return configured >= 0 ? configured : driver->address.usual;
}

static inline int bms_address(const struct bms *bms)
{
    return bms_address_of(bms->driver, bms->options.address);
}

/** Sets a value as pack_set does; current and power, of which positive ones charge, inverted if the
 * user has configured that. For all drivers that do not detect the sign themselves. */
void bms_set(const struct bms *bms, struct pack *pack, enum pack_value id, double value);

/** `control` of a driver whose `set` writes the values of the switches as well. */
bool bms_control_by_set(struct bms *bms, enum bms_switch which, bool on,
                        struct bms_request *request);

/** The row of a code; NULL: it is not in the list. */
const struct bms_code *bms_code_find(const struct bms_code *rows, size_t count, unsigned code);

/** The code of a value, which must be in the list. */
uint16_t bms_code_of(const struct bms_code *rows, size_t count, enum pack_value id);

/** Whether two requests are equal. */
bool bms_request_same(const struct bms_request *a, const struct bms_request *b);

/** The size of a request of this protocol at the start of bytes that another master sends: as the
 * driver's `question` finds it, or one of its plan. `address` is its destination, as in
 * options.address; -1: unknown. 0: no known request. */
size_t bms_request_end(const struct bms *bms, const uint8_t *bytes, size_t size, int *address);

/** Whether cells of 16 bits, in mV, add up to this voltage. A cell that reads 0 is not connected, or
 * its wire is broken: its voltage may or may not be part of the sum. */
bool bms_cells_fit(const uint8_t *cells, unsigned count, double volts);

/** Lets a simulated pack handle bytes: see `emulate` of struct bms_driver. */
size_t bms_emulate(struct bms *bms, struct pack *pack, const uint8_t *bytes, size_t size,
                   struct bms_output *out);

/** Appends text to a reply, as printf. */
void bms_print(struct bms_output *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Whether the device sends without being polled. */
static inline bool bms_talks(const struct bms_driver *driver)
{
    return driver->plan == NULL;
}

/** Whether a pack of this protocol has its line to itself. */
static inline bool bms_is_alone(const struct bms_driver *driver)
{
    return bms_talks(driver) || driver->line.one_pack;
}

/** Whether options.address distinguishes several of its devices. */
static inline bool bms_has_address(const struct bms_driver *driver)
{
    return driver->address.min != driver->address.max;
}

/** The row of a writable setting; NULL: it cannot be written. */
const struct bms_setting *bms_setting_find(const struct bms_driver *driver, enum pack_value id);

/** The drivers, NULL at the end, and one of them by its name (NULL: unknown). */
extern const struct bms_driver *const bms_drivers[];
const struct bms_driver *bms_driver_find(const char *name);
