// SPDX-License-Identifier: MIT
/*
 * Random packs through every protocol and back: emulated, polled as the gateway does, and decoded.
 * What comes out is the pack, to the resolution of the protocol; what the protocol does not carry
 * stays unknown. The same for each alarm by itself, and for the switches; and over a rough line,
 * where replies are lost, damaged and late: what is read then is right or unknown.
 */
#include "property_protocols.h"

#include "lines/reply.h"
#include "lines/poller.h"
#include "answers.h"

#include "battery_random.h"
#include "bms/prng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pack_test.h"

#define ROWS(table) (sizeof(table) / sizeof *(table))
#define PACKS 100      /* random packs per protocol */
#define ROUGH_PACKS 30 /* the same over a lossy line, for so many cycles each: */
#define ROUGH_CYCLES 15
#define SETTLE 2     /* published cycles: values learned in the first one are used in the second */
#define CYCLES_MAX 8 /* cycles allowed for that, if a variant is found by trying */
#define PIECES_MAX 100 /* pieces in which an emulator may receive a request */

static double step_of(const struct protocol *protocol, int id)
{
    int stem = id >= TEMP_C ? TEMP_C : id >= CELL_MV ? CELL_MV : id;
    for (const struct carried *row = protocol->values; row->step > 0; row++)
        if (row->id == stem)
            return row->step;
    return 0;
}

struct bench {
    const struct protocol *protocol;
    struct line_config line;
    struct pack_config config;
    struct poller *poller;
    struct bms board;
    struct pack told;
    struct reply feed;
    uint64_t chance;
    bool echoes;            /* like a two-wire adapter */
    bool rough;             /* replies are lost, damaged or late */
    struct bms_output last; /* the previous reply of the board */
    double now;
};

static int find_variant(const struct bms_driver *driver, const char *name)
{
    for (int i = 0; name; i++) {
        assert_non_null(driver->variants[i]);
        if (strcmp(driver->variants[i], name) == 0)
            return i;
    }
    return 0;
}

static void open_bench(struct bench *bench, const struct protocol *protocol, uint64_t *seed)
{
    const struct bms_driver *driver = bms_driver_find(protocol->driver);
    assert_non_null(driver);
    memset(bench, 0, sizeof *bench);
    bench->protocol = protocol;
    bench->chance = prng_next(seed);
    bench->echoes = prng_range(seed, 0, 3) == 0;
    bms_init(&bench->board, driver);
    bench->board.options.variant = find_variant(driver, protocol->variant);
    bench->board.options.address = protocol->address
                                       ? protocol->address
                                       : prng_range(seed, driver->address.min, driver->address.max);
    bench->config = (struct pack_config){.line = &bench->line,
                                         .driver = driver,
                                         .options = bench->board.options,
                                         .unit = 1,
                                         .poll_s = 1,
                                         .stale_after_s = 10};
    /* Without a configured variant the result is the same. */
    bool detects =
        driver->variants && strcmp(driver->variants[0], "auto") == 0 && !protocol->undetected;
    if (detects && prng_range(seed, 0, 1) == 0)
        bench->config.options.variant = 0;
}

/* The poller copies its options when it is created. */
static void start_polling(struct bench *bench)
{
    if (bench->protocol->capacity_given)
        bench->config.options.capacity_ah = bench->told.value[RATED_AH];
    bench->poller = poller_new(&bench->config);
    assert_non_null(bench->poller);
}

static void close_bench(struct bench *bench)
{
    poller_free(bench->poller);
}

/* Serial servers deliver pieces of any size. */
static size_t piece_of(struct bench *bench, size_t size)
{
    size_t piece = (size_t) prng_range(&bench->chance, 1, 200);
    return piece < size ? piece : size;
}

/* Up to the end of the reply. */
static enum reply_state receive(struct bench *bench, const struct bms_request *request,
                                const uint8_t *bytes, size_t size, struct pack *pack)
{
    enum reply_state state = REPLY_WAITING;
    while (size > 0 && state == REPLY_WAITING) {
        size_t piece = piece_of(bench, size);
        assert_int_equal(reply_append(&bench->feed, bytes, piece), piece);
        state = reply_decode(&bench->feed, &bench->poller->bms, request, false, pack);
        bytes += piece;
        size -= piece;
    }
    return state;
}

/* The reply of the board to all bytes of a request. */
static void ask_board(struct bench *bench, const struct bms_request *request,
                      struct bms_output *answer)
{
    struct bms_output out;
    size_t at = 0;
    answer->size = 0;
    for (int i = 0; i < PIECES_MAX && at < request->size; i++) {
        size_t used =
            bms_emulate(&bench->board, &bench->told, request->bytes + at, request->size - at, &out);
        assert_true(used <= request->size - at);
        assert_true(answer->size + out.size <= sizeof answer->bytes);
        memcpy(answer->bytes + answer->size, out.bytes, out.size);
        answer->size += out.size;
        if (used == 0)
            break;
        at += used;
    }
    assert_int_equal(at, request->size);
}

static void insert(struct bms_output *answer, const uint8_t *bytes, size_t size)
{
    if (answer->size + size > sizeof answer->bytes)
        return;
    memmove(answer->bytes + size, answer->bytes, answer->size);
    memcpy(answer->bytes, bytes, size);
    answer->size += size;
}

static void insert_noise(struct bench *bench, struct bms_output *answer)
{
    uint8_t noise[8];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t) prng_next(&bench->chance);
    insert(answer, noise, (size_t) prng_range(&bench->chance, 1, sizeof noise));
}

/* The effect of a bad line on a reply; half of them pass. */
static void roughen(struct bench *bench, struct bms_output *answer)
{
    static struct bms_output intact;
    intact = *answer;
    int last = (int) answer->size - 1;
    switch (prng_range(&bench->chance, 0, 9)) {
    case 0:
        answer->size = 0;
        break;
    case 1:
        if (last > 0)
            answer->size = (size_t) prng_range(&bench->chance, 0, last);
        break;
    case 2:
        if (last >= 0 && !bench->protocol->no_checksum)
            answer->bytes[prng_range(&bench->chance, 0, last)] ^=
                (uint8_t) (1 << prng_range(&bench->chance, 0, 7));
        break;
    case 3:
        insert(answer, bench->last.bytes, bench->last.size);
        break;
    case 4:
        insert_noise(bench, answer);
        break;
    }
    bench->last = intact;
}

static enum reply_state exchange(struct bench *bench, const struct bms_request *request,
                                 struct pack *pack)
{
    static struct bms_output answer;
    reply_clear(&bench->feed);
    ask_board(bench, request, &answer);
    if (bench->rough)
        roughen(bench, &answer);
    enum reply_state state = REPLY_WAITING;
    if (bench->echoes)
        state = receive(bench, request, request->bytes, request->size, pack);
    if (state == REPLY_WAITING)
        state = receive(bench, request, answer.bytes, answer.size, pack);
    if (state == REPLY_WAITING)
        state = reply_decode(&bench->feed, &bench->poller->bms, request, true, pack);
    return state;
}

/* Runs one cycle; returns whether it was published. */
static bool poll_cycle(struct bench *bench)
{
    struct bms_request request;
    bool published = false;
    while (next_request(bench->poller, bench->now, &request, &published)) {
        enum reply_state state = exchange(bench, &request, &bench->poller->incoming);
        if (state == REPLY_DONE)
            answer_request(bench->poller, bench->now);
        else if (state == REPLY_REFUSED)
            refuse_request(bench->poller, bench->now);
        else
            plan_unanswered(bench->poller, bench->now);
    }
    bench->now += 1;
    return published;
}

/* A second of what a device sends unasked; returns whether values were published. */
static bool listen_second(struct bench *bench)
{
    static struct bms_output said;
    const struct bms_request none = {.size = 0};
    bool heard = false;
    bms_emulate(&bench->board, &bench->told, NULL, 0, &said);
    if (bench->rough)
        roughen(bench, &said);
    for (size_t at = 0; at < said.size;) {
        size_t piece = piece_of(bench, said.size - at);
        assert_int_equal(reply_append(&bench->feed, said.bytes + at, piece), piece);
        at += piece;
        while (reply_decode(&bench->feed, &bench->poller->bms, &none, false,
                            &bench->poller->incoming) == REPLY_DONE) {
            heard |= poller_heard(bench->poller, bench->now, 0);
        }
    }
    bench->now += 1;
    return heard;
}

static bool poll_once(struct bench *bench)
{
    return bms_talks(bench->config.driver) ? listen_second(bench) : poll_cycle(bench);
}

/* Only reads: the board has the same state afterwards. */
static void poll(struct bench *bench)
{
    const struct pack before = bench->told;
    unsigned published = 0;
    for (int i = 0; i < CYCLES_MAX && published < SETTLE; i++)
        published += poll_once(bench);
    assert_int_equal(published, SETTLE);
    assert_memory_equal(&bench->told, &before, sizeof before);
}

/* A random pack within the limits of the protocol. */
static void invent_pack(struct bench *bench, uint64_t *seed)
{
    const struct protocol *protocol = bench->protocol;
    struct pack *told = &bench->told;
    unsigned cells =
        (unsigned) prng_range(seed, (int) protocol->cells_min, (int) protocol->cells_max);
    unsigned temps =
        (unsigned) prng_range(seed, (int) protocol->temps_min, (int) protocol->temps_max);
    if (protocol->temp_per_cell)
        temps = cells;
    battery_random(told, seed, cells ? cells : 16, temps);
    double mask = fmod(told->value[BALANCE_MASK], ldexp(1, (int) protocol->mask_bits));
    if (protocol->mask_bits > 0) {
        pack_set(told, BALANCE_MASK, mask);
        pack_set(told, BALANCING, mask > 0);
    }
    if (protocol->hottest_mos_c > 0)
        pack_set(told, MOS_TEMP_C, fmin(told->value[MOS_TEMP_C], protocol->hottest_mos_c));
    for (unsigned i = 0; protocol->no_zero_celsius && i < temps; i++)
        if (told->value[TEMP_C + i] == 0)
            pack_set_temp(told, i + 1, 1);
    unsigned mos_sensor = protocol->mos_sensor_last ? temps : protocol->mos_sensor;
    if (mos_sensor > 0)
        pack_set(told, MOS_TEMP_C, told->value[TEMP_C + mos_sensor - 1]);
    if (protocol->capacity_given)
        pack_set(told, RATED_AH, told->value[FULL_AH]);
    for (int i = 0; i < PACK_TEXTS; i++)
        if (protocol->texts[i])
            snprintf(told->text[i], TEXT_SIZE, "%s", protocol->texts[i]);
    pack_unset(told, TEMP_AVG_C);
    pack_derive(told);
}

static const enum pack_value of_cells[] = {CELL_MAX_MV,    CELL_MIN_MV,   CELL_MAX_INDEX,
                                           CELL_MIN_INDEX, CELL_DELTA_MV, CELL_AVG_MV};

/* The tolerance of a value; negative: it must be unknown. */
static double allowed(const struct protocol *protocol, const struct pack *told, int id)
{
    double step = step_of(protocol, id);
    double volt_step = step_of(protocol, VOLTAGE_V), ampere_step = step_of(protocol, CURRENT_A);
    if (id == POWER_W && volt_step > 0 && ampere_step > 0)
        return fmax(step / 2, volt_step / 2 * (fabs(told->value[CURRENT_A]) + ampere_step) +
                                  ampere_step / 2 * told->value[VOLTAGE_V]);
    if (step > 0)
        return step / 2;
    if (id == TEMP_AVG_C && step_of(protocol, TEMP_C) > 0)
        return step_of(protocol, TEMP_C) / 2;
    if (id == BALANCING && step_of(protocol, BALANCE_MASK) > 0)
        return 0;
    for (size_t i = 0; i < ROWS(of_cells); i++)
        if (of_cells[i] == (enum pack_value) id && step_of(protocol, CELL_MV) > 0)
            return step_of(protocol, CELL_MV) / 2;
    return -1;
}

static bool value_fits(double told, double read, double off)
{
    if (off < 0 || isnan(told))
        return isnan(read);
    return fabs(read - told) <= off + 1e-6;
}

static unsigned count_wrong_values(const struct bench *bench, const struct pack *read)
{
    char name[VALUE_NAME_SIZE];
    unsigned wrong = 0;
    for (int id = 0; id < PACK_VALUES; id++) {
        double told = bench->told.value[id];
        double off = allowed(bench->protocol, &bench->told, id);
        if (id == FLOW || value_fits(told, read->value[id], off))
            continue;
        wrong++;
        print_error("%s: told %g, read %g, may be off by %g\n",
                    pack_value_name((enum pack_value) id, name), told, read->value[id], off);
    }
    return wrong;
}

static unsigned count_wrong_texts(const struct bench *bench, const struct pack *read)
{
    unsigned wrong = 0;
    for (int i = 0; i < PACK_TEXTS; i++) {
        const char *expected = bench->protocol->texts[i] ? bench->protocol->texts[i] : "";
        if (strcmp(read->text[i], expected) == 0)
            continue;
        wrong++;
        print_error("%s: expected '%s', read '%s'\n", pack_text_name((enum pack_text) i), expected,
                    read->text[i]);
    }
    return wrong;
}

static uint32_t can_warn(const struct protocol *protocol)
{
    return protocol->warnings | protocol->unsaid_warnings;
}

static uint32_t can_protect(const struct protocol *protocol)
{
    return protocol->protections | protocol->always_off;
}

static bool alarms_known(const struct protocol *protocol, const struct pack *read)
{
    return read->alarms_known == (protocol->warnings | can_protect(protocol)) &&
           read->alarms_can_warn == can_warn(protocol) &&
           read->alarms_can_protect == can_protect(protocol);
}

static uint32_t with_twins(const struct protocol *protocol, uint32_t alarms)
{
    for (const uint8_t(*pair)[2] = protocol->twins; pair && (*pair)[0] != (*pair)[1]; pair++) {
        uint32_t both = 1u << (*pair)[0] | 1u << (*pair)[1];
        if (alarms & both)
            alarms |= both;
    }
    return alarms;
}

/* The alarms that may be reported when all are active: those that are sent and carried. If random MOS states decide
 * the direction of a temperature alarm, either direction is right. */
static bool alarms_fit(const struct bench *bench, const struct pack *read)
{
    const struct protocol *protocol = bench->protocol;
    uint32_t told = bench->told.alarms_warning | bench->told.alarms_protection;
    uint32_t active = read->alarms_warning | read->alarms_protection;
    uint32_t must = bench->told.alarms_protection & protocol->protections;
    if (protocol->twins_by_mos)
        must &= ~with_twins(protocol, must);
    if (protocol->alarms_are_reasons)
        must = 0;
    return alarms_known(protocol, read) && (active & ~with_twins(protocol, told)) == 0 &&
           (must & ~read->alarms_protection) == 0;
}

static unsigned try_random_pack(const struct protocol *protocol, uint64_t *seed)
{
    struct bench bench;
    open_bench(&bench, protocol, seed);
    invent_pack(&bench, seed);
    start_polling(&bench);
    poll(&bench);
    const struct pack *read = &bench.poller->values;
    unsigned wrong = count_wrong_values(&bench, read) + count_wrong_texts(&bench, read);
    if (!alarms_fit(&bench, read)) {
        wrong++;
        print_error("alarms: told %08X %08X, read %08X %08X of %08X\n", bench.told.alarms_warning,
                    bench.told.alarms_protection, read->alarms_warning, read->alarms_protection,
                    read->alarms_known);
    }
    wrong += read->implausible;
    close_bench(&bench);
    return wrong;
}

static void test_packs(void **state)
{
    const struct protocol *protocol = *state;
    uint64_t seed = 1;
    for (int i = 0; i < PACKS; i++) {
        uint64_t start = seed;
        if (try_random_pack(protocol, &seed) > 0)
            fail_msg("%s %s: seed %llu", protocol->driver,
                     protocol->variant ? protocol->variant : "", (unsigned long long) start);
    }
}

static void test_turned(void **state)
{
    const struct protocol *protocol = *state;
    uint64_t seed = 4;
    for (int i = 0; i < PACKS / 4; i++) {
        struct bench bench;
        open_bench(&bench, protocol, &seed);
        invent_pack(&bench, &seed);
        bench.config.options.current = BMS_CURRENT_INVERTED;
        start_polling(&bench);
        poll(&bench);
        pack_set(&bench.told, CURRENT_A, -bench.told.value[CURRENT_A]);
        pack_set(&bench.told, POWER_W, -bench.told.value[POWER_W]);
        assert_int_equal(count_wrong_values(&bench, &bench.poller->values), 0);
        close_bench(&bench);
    }
}

/* Extremes and averages are computed from the available values. */
static bool follows_from_others(const struct protocol *protocol, int id)
{
    for (size_t i = 0; i < ROWS(of_cells); i++)
        if (of_cells[i] == (enum pack_value) id)
            return true;
    return id == TEMP_AVG_C || (id == TEMP_COUNT && protocol->counts_temps_read);
}

static unsigned count_made_up(const struct bench *bench, const struct pack *read)
{
    char name[VALUE_NAME_SIZE];
    unsigned wrong = 0;
    for (int id = 0; id < PACK_VALUES; id++) {
        double told = bench->told.value[id];
        double off = allowed(bench->protocol, &bench->told, id);
        if (!pack_value_info((enum pack_value) id)->name ||
            !pack_known(read, (enum pack_value) id) || follows_from_others(bench->protocol, id) ||
            value_fits(told, read->value[id], off))
            continue;
        wrong++;
        print_error("%s: told %g, read %g over a rough line\n",
                    pack_value_name((enum pack_value) id, name), told, read->value[id]);
    }
    for (int i = 0; i < PACK_TEXTS; i++)
        wrong += read->text[i][0] && strcmp(read->text[i], bench->protocol->texts[i]) != 0;
    uint32_t told = bench->told.alarms_warning | bench->told.alarms_protection;
    wrong += ((read->alarms_warning | read->alarms_protection) &
              ~with_twins(bench->protocol, told)) != 0;
    return wrong;
}

static unsigned try_rough_line(const struct protocol *protocol, uint64_t *seed)
{
    static struct bench bench;
    open_bench(&bench, protocol, seed);
    invent_pack(&bench, seed);
    bench.rough = true;
    start_polling(&bench);
    unsigned published = 0;
    for (int i = 0; i < ROUGH_CYCLES; i++) {
        if (!poll_once(&bench))
            continue;
        published++;
        if (count_made_up(&bench, &bench.poller->values) > 0)
            fail_msg("%s %s: cycle %d", protocol->driver,
                     protocol->variant ? protocol->variant : "", i);
    }
    close_bench(&bench);
    return published;
}

static void test_rough_line(void **state)
{
    uint64_t seed = 5;
    unsigned published = 0;
    for (int i = 0; i < ROUGH_PACKS; i++)
        published += try_rough_line(*state, &seed);
    assert_true(published > ROUGH_PACKS);
}

/* With a single alarm, and the MOS states that a board then has: if temperature alarms have no direction, the MOS
 * that is off gives it. */
static void tell_alarm(const struct protocol *protocol, struct pack *told, enum pack_alarm alarm,
                       int level)
{
    bool charge = alarm == CHARGE_OVER_TEMPERATURE || alarm == CHARGE_UNDER_TEMPERATURE;
    bool discharge = alarm == DISCHARGE_OVER_TEMPERATURE || alarm == DISCHARGE_UNDER_TEMPERATURE;
    pack_clear_alarms(told);
    for (int i = 0; i < PACK_ALARM_COUNT; i++)
        pack_alarm(told, (enum pack_alarm) i, (enum pack_alarm) i == alarm ? level : 0);
    set_values(told, {CURRENT_A, 0}, {POWER_W, 0}, {FLOW, FLOW_IDLE});
    bool opens_both = protocol->alarms_are_reasons && level != 0;
    pack_set(told, CHARGE_MOS, !charge && !opens_both);
    pack_set(told, DISCHARGE_MOS, !discharge && !opens_both);
}

/* The alarm itself and no other, and no protection if a warning was sent and the protocol has warnings. */
static bool shows_only(const struct protocol *protocol, const struct pack *read,
                       enum pack_alarm alarm, int level)
{
    uint32_t self = 1u << alarm;
    bool warns = level == ALARM_WARNING;
    bool carried = ((warns ? protocol->warnings : protocol->protections) & self) != 0;
    if (!protocol->twins_by_mos)
        self = with_twins(protocol, self);
    uint32_t active = read->alarms_warning | read->alarms_protection;
    uint32_t at_level = warns ? read->alarms_warning : read->alarms_protection;
    if (active & ~self)
        return false;
    if (!carried)
        return true;
    return at_level == self && !(warns && read->alarms_protection);
}

static void try_alarm(const struct protocol *protocol, enum pack_alarm alarm, int level,
                      uint64_t *seed)
{
    struct bench bench;
    open_bench(&bench, protocol, seed);
    invent_pack(&bench, seed);
    tell_alarm(protocol, &bench.told, alarm, level);
    start_polling(&bench);
    poll(&bench);
    const struct pack *read = &bench.poller->values;
    if (!alarms_known(protocol, read) || !shows_only(protocol, read, alarm, level))
        fail_msg("%s %s: %s at level %d: warning %08X of %08X, protection %08X of %08X, not of "
                 "%08X and %08X",
                 protocol->driver, protocol->variant ? protocol->variant : "",
                 pack_alarm_name(alarm), level, read->alarms_warning, read->alarms_can_warn,
                 read->alarms_protection, read->alarms_can_protect, can_warn(protocol),
                 can_protect(protocol));
    close_bench(&bench);
}

static void test_alarms(void **state)
{
    uint64_t seed = 2;
    for (int alarm = 0; alarm < PACK_ALARM_COUNT; alarm++) {
        try_alarm(*state, (enum pack_alarm) alarm, ALARM_WARNING, &seed);
        try_alarm(*state, (enum pack_alarm) alarm, ALARM_PROTECTION, &seed);
    }
}

/* Both MOS off and on again: the next cycles show a confirmed command, a rejected one changes nothing, and the other
 * MOS stays as it was. */
static void test_switches(void **state)
{
    static const struct {
        enum bms_switch which;
        bool on;
    } commands[] = {{BMS_CHARGE_MOS, false},  {BMS_CHARGE_MOS, true}, {BMS_DISCHARGE_MOS, false},
                    {BMS_CHARGE_MOS, false},  {BMS_CHARGE_MOS, true}, {BMS_DISCHARGE_MOS, true},
                    {BMS_DISCHARGE_MOS, true}};
    const struct protocol *protocol = *state;
    struct bench bench;
    uint64_t seed = 3;
    open_bench(&bench, protocol, &seed);
    if (!bench.config.driver->control)
        return;
    invent_pack(&bench, &seed);
    tell_alarm(protocol, &bench.told, CELL_OVER_VOLTAGE, 0);
    start_polling(&bench);
    poll(&bench);
    double mos[] = {1, 1};
    for (size_t i = 0; i < ROWS(commands); i++) {
        struct bms_request request = {.size = 0};
        struct pack pack = cleared_pack();
        bool built = bench.config.driver->control(&bench.poller->bms, commands[i].which,
                                                  commands[i].on, &request);
        if (!built && i == 0)
            break;
        assert_true(built);
        enum reply_state confirmed = exchange(&bench, &request, &pack);
        assert_int_not_equal(confirmed, REPLY_WAITING);
        if (confirmed == REPLY_DONE)
            mos[commands[i].which] = commands[i].on;
        poll(&bench);
        poll(&bench);
        assert_true(bench.poller->values.value[CHARGE_MOS] == mos[BMS_CHARGE_MOS]);
        assert_true(bench.poller->values.value[DISCHARGE_MOS] == mos[BMS_DISCHARGE_MOS]);
    }
    close_bench(&bench);
}

static bool has_row(const struct bms_driver *driver, const char *variant)
{
    for (size_t i = 0; i < ROWS(protocols); i++)
        if (strcmp(protocols[i].driver, driver->name) == 0 &&
            (!variant || (protocols[i].variant && strcmp(protocols[i].variant, variant) == 0)))
            return true;
    return false;
}

/* What a protocol carries according to its driver. A value may be off by the last digit that most boards send; values
 * that are coarser or special need a row in property_protocols.h, which defines their exact resolution. */
struct learned {
    struct protocol row;
    struct carried values[PACK_VALUES + 1];
    size_t count;
    char texts[PACK_TEXTS][TEXT_SIZE]; /* any text must come back unchanged */
};

static double usual_step(enum pack_value id)
{
    static const struct {
        const char *unit;
        double step;
    } units[] = {{"V", 0.2}, {"A", 0.2}, {"mV", 2}, {"Ah", 2}, {"%", 2}, {"°C", 2}, {"W", 2}};
    for (size_t i = 0; i < ROWS(units); i++)
        if (strcmp(pack_value_info(id)->unit, units[i].unit) == 0)
            return units[i].step;
    return 0.5; /* counts and switches are exact */
}

static void learn_value(struct learned *learned, const struct pack *told, const struct pack *read,
                        enum pack_value id)
{
    if (id == FLOW || !pack_known(read, id) || allowed(&learned->row, told, id) >= 0)
        return;
    learned->values[learned->count++] = (struct carried){(uint8_t) id, usual_step(id)};
}

static void learn_values(struct learned *learned, const struct pack *told, const struct pack *read)
{
    /* Values from which others are computed. */
    static const enum pack_value first[] = {VOLTAGE_V, CURRENT_A, CELL_MV, TEMP_C, BALANCE_MASK};
    for (size_t i = 0; i < ROWS(first); i++)
        learn_value(learned, told, read, first[i]);
    for (int id = 0; id < PACK_VALUES; id++)
        learn_value(learned, told, read, (enum pack_value) id);
}

static void learn_row(struct learned *learned, const struct bms_driver *driver, const char *variant)
{
    struct bench bench;
    uint64_t seed = 6;
    *learned = (struct learned){.row = {.driver = driver->name,
                                        .variant = variant,
                                        .cells_min = 16,
                                        .cells_max = 16,
                                        .temps_min = 4,
                                        .temps_max = 4,
                                        .capacity_given = true}};
    struct protocol *row = &learned->row;
    row->values = learned->values;
    open_bench(&bench, row, &seed);
    invent_pack(&bench, &seed);
    start_polling(&bench);
    poll(&bench);
    const struct pack *read = &bench.poller->values;
    learn_values(learned, &bench.told, read);
    row->cells_min = row->cells_max =
        pack_known(read, CELL_COUNT) ? (unsigned) read->value[CELL_COUNT] : 0;
    row->temps_min = row->temps_max =
        pack_known(read, TEMP_COUNT) ? (unsigned) read->value[TEMP_COUNT] : 0;
    row->mask_bits = pack_known(read, BALANCE_MASK) ? row->cells_max : 0;
    for (int i = 0; i < PACK_TEXTS; i++) {
        snprintf(learned->texts[i], TEXT_SIZE, "%s", read->text[i]);
        row->texts[i] = learned->texts[i][0] ? learned->texts[i] : NULL;
    }
    row->warnings = read->alarms_can_warn;
    row->protections = read->alarms_can_protect;
    close_bench(&bench);
}

static void try_learned(const struct bms_driver *driver, const char *variant)
{
    static const CMUnitTestFunction tests[] = {test_packs, test_alarms, test_switches, test_turned,
                                               test_rough_line};
    struct learned learned;
    learn_row(&learned, driver, variant);
    assert_true(learned.count > 0);
    union {
        const struct protocol *row;
        void *state;
    } initial = {.row = &learned.row};
    for (size_t i = 0; i < ROWS(tests); i++)
        tests[i](&initial.state);
}

/* A new driver has no row: what it carries is determined by running it, and then tested. Drivers with a row show that
 * this works. */
TEST(without_a_row)
{
    static const char *const none[] = {NULL, NULL};
    try_learned(bms_driver_find("jbd-addressed"), NULL);
    try_learned(bms_driver_find("daren"), NULL);
    for (size_t i = 0; bms_drivers[i]; i++) {
        const char *const *variants = bms_drivers[i]->variants ? bms_drivers[i]->variants : none;
        for (size_t n = 0; n == 0 || variants[n]; n++)
            if (!has_row(bms_drivers[i], variants[n]))
                try_learned(bms_drivers[i], variants[n]);
    }
}

/* Runs the test for a row, under its name. */
static struct CMUnitTest make_test(const struct protocol *protocol, const char *what,
                                   CMUnitTestFunction test)
{
    char *name = malloc(100);
    if (!name)
        abort();
    snprintf(name, 100, "%s %s%s%d-%u cells: %s", protocol->driver,
             protocol->variant ? protocol->variant : "", protocol->variant ? " " : "",
             protocol->cells_min, protocol->cells_max, what);
    union {
        const struct protocol *row;
        void *state;
    } initial = {.row = protocol};
    return (struct CMUnitTest){.name = name, .test_func = test, .initial_state = initial.state};
}

BEFORE_ALL
{
    for (size_t i = 0; i < ROWS(protocols); i++) {
        unit_register(make_test(&protocols[i], "packs", test_packs), __LINE__);
        unit_register(make_test(&protocols[i], "alarms", test_alarms), __LINE__);
        unit_register(make_test(&protocols[i], "switches", test_switches), __LINE__);
        unit_register(make_test(&protocols[i], "turned current", test_turned), __LINE__);
        unit_register(make_test(&protocols[i], "rough line", test_rough_line), __LINE__);
    }
}
