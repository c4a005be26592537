// SPDX-License-Identifier: MIT
/*
 * Follows the sheet `topbms`, sections 2 to 6, 8 and 9. A count is accepted only if the length confirms
 * it, and 42H only if the cells add up to the pack voltage: CHKSUM does not detect two swapped
 * characters, and the sum also proves the unit of the voltage.
 */
#include "topbms_reply.h"

#include "bms/bytes.h"

#include <string.h>

#define MAX_PACKS 16
#define ALL_VARIANTS ((1u << TOPBMS_IDS) - 2)
#define VOLTAGE_FIELD 1 /* of 42H, behind the current */

/* Section 3. Any other code is the command of an echo or of another master's request. */
static bool is_return_code(uint8_t code)
{
    return code <= RTN_NOT_DONE || code == RTN_ADDRESS || code == RTN_LINK ||
           code == RTN_TRANSFER || (code >= RTN_DEVICE && code <= RTN_PERMISSION);
}

/* Other programs' requests are read by their size: in one of Enjie's program (section 8.6) LENID counts bytes. */
static bool read_request(const struct bms_request *request, struct topbms_reply *reply)
{
    struct ydt_frame asked = {.info = request->bytes + YDT_HEAD_SIZE};
    uint8_t info[YDT_INFO_MAX];
    size_t size = 0;
    if (request->size < YDT_FRAME_SIZE(0) ||
        !ydt_read_head(request->bytes, request->size, &asked.head))
        return false;
    asked.info_size = request->size - YDT_FRAME_SIZE(0);
    if (!ydt_read_info(&asked, info, &size))
        return false;
    reply->asked = asked.head;
    reply->names_pack = size == 1;
    if (reply->names_pack)
        reply->number = info[0];
    return true;
}

/* Replies repeat ADR. Only PACE is known to differ (recorded by users of the Gobel add-on, its
 * issues 8, 11 and 52, and of Interster/PylonTechBattery): if requested through the master's RS232
 * jack with the pack's number as ADR and as COMMAND, the master answers with its own ADR, and a
 * pack that was asked as 00 answers with its real one. The group byte then has to be COMMAND, or
 * the number of packs if all were requested. */
static bool address_fits(const struct bms *bms, struct topbms_reply *reply)
{
    uint8_t address = reply->frame.head.address;
    if (reply->unasked)
        return bms->options.address < 0 || address == topbms_adr(bms);
    if (address == reply->asked.address || reply->asked.address == TOPBMS_ALL_PACKS)
        return true;
    bool values = reply->asked.code == TOPBMS_ANALOG || reply->asked.code == TOPBMS_STATUS;
    bool named = reply->asked.address == reply->number || reply->asked.address == 0;
    if (!values || reply->frame.head.code != RTN_OK || !reply->names_pack || !named)
        return false;
    reply->relayed = true;
    reply->variants &= 1u << ID_PACE;
    reply->status_variants &= 1u << ID_PACE;
    return reply->variants != 0;
}

bool topbms_read_reply(const struct bms *bms, const struct bms_request *request,
                       const uint8_t *bytes, size_t size, struct topbms_reply *reply)
{
    *reply = (struct topbms_reply){.unasked = request->size == 0};
    bool echo = request->size == size && memcmp(request->bytes, bytes, size) == 0;
    if (echo || !ydt_parse(bytes, size, &reply->frame))
        return false;
    if (!reply->unasked && !read_request(request, reply))
        return false;
    /* TDT boards (recorded in syssi/esphome-seplos-bms, issue 71) answer 42H with 42, not with RTN
     * 00. An echo or another master's request has COMMAND as INFO and no more. */
    uint8_t code = reply->frame.head.code;
    reply->is_tdt = (code == TOPBMS_ANALOG || code == TOPBMS_STATUS) && code == reply->asked.code &&
                    reply->frame.info_size > 2;
    if (reply->is_tdt)
        reply->frame.head.code = RTN_OK;
    /* CID1 of batteries; packs of 14 ternary cells and EG4 have others than 46. */
    if (!(reply->frame.head.device == 0x46 || reply->frame.head.device == 0x4A ||
          reply->frame.head.device == 0x4E || reply->frame.head.device == 0x4F) ||
        !is_return_code(reply->frame.head.code))
        return false;
    /* The variants that remain possible by the configuration, or else by VER of request or reply. */
    enum topbms_id configured = topbms_configured(bms);
    reply->variants = reply->status_variants = 1u << configured;
    if (configured == ID_AUTO) {
        reply->variants = 0;
        uint8_t version = reply->frame.head.version;
        for (unsigned id = ID_AUTO + 1; id < TOPBMS_IDS; id++) {
            const struct topbms_variant *variant = &topbms_variants[id];
            bool asked = !reply->unasked && reply->asked.version == variant->version;
            bool answered = version == variant->version || version == variant->reply_version;
            if (asked || (answered && !variant->no_group))
                reply->variants |= 1u << id;
        }
        /* Only PACE has that VER, and its newer 44H are as long as some of others. */
        const bool pace = reply->variants == 1u << ID_PACE;
        reply->status_variants = reply->variants == 0 ? 0 : pace ? 1u << ID_PACE : ALL_VARIANTS;
    }
    if (reply->variants == 0 || !address_fits(bms, reply))
        return false;
    if (!ydt_read_info(&reply->frame, reply->info, &reply->size))
        reply->size = 0;
    return true;
}

struct bms_span topbms_question(const struct bms *bms, const uint8_t *bytes, size_t size,
                                int *address)
{
    struct ydt_frame frame;
    uint8_t info[YDT_INFO_MAX];
    size_t length = 0;
    struct bms_span span = ydt_frame(bms, NULL, bytes, size);
    if (span.kind != BMS_FRAME)
        return span;
    bool asks = ydt_parse(bytes, span.size, &frame) && !is_return_code(frame.head.code) &&
                ydt_read_info(&frame, info, &length);
    /* With more than the number of a pack it is a reply of TDT boards. */
    if (asks && (frame.head.code == TOPBMS_ANALOG || frame.head.code == TOPBMS_STATUS))
        asks = length <= 1;
    if (asks)
        *address = length == 1 ? info[0] : frame.head.address;
    else
        span.kind = BMS_SKIP;
    return span;
}

/* ---- the structure of 42H and 44H ---- */

enum fit { MISFIT, FITS_LOOSELY, FITS };

static bool read_head(const struct topbms_variant *variant, enum topbms_kind kind, const uint8_t *d,
                      size_t size, struct topbms_layout *layout)
{
    size_t width = kind == KIND_ANALOG ? 2 : 1;
    if (size < 1 || d[0] < 1 || d[0] > MAX_CELLS)
        return false;
    size_t n_at = 1 + d[0] * width;
    if (size <= n_at || d[n_at] + variant->uncounted_sensors > MAX_TEMPS)
        return false;
    size_t sensor_count = d[n_at] + (size_t) variant->uncounted_sensors;
    size_t rest_at = n_at + 1 + sensor_count * width;
    if (size < rest_at)
        return false;
    layout->variant = variant;
    layout->cells = d + 1;
    layout->cell_count = d[0];
    layout->sensors = d + n_at + 1;
    layout->sensor_count = (unsigned) sensor_count;
    layout->rest = d + rest_at;
    layout->rest_size = size - rest_at;
    return true;
}

/* ---- 42H ---- */

static bool sensors_legal(const struct topbms_layout *layout)
{
    const struct topbms_variant *variant = layout->variant;
    for (unsigned i = 0; i < layout->sensor_count; i++) {
        const uint16_t raw = be16(layout->sensors + 2 * i);
        const bool legal =
            variant->sensor_signed
                ? (int16_t) raw >= -variant->sensor_min && (int16_t) raw <= variant->sensor_max
                : raw == 0 || raw == TOPBMS_NO_SENSOR ||
                      (raw >= variant->sensor_min && raw <= variant->sensor_max);
        if (!legal)
            return false;
    }
    return true;
}

/* Finds the unit of the pack voltage in which it equals the sum of the cells: the variant's own one,
 * else some firmware has 1 mV in place of 10, or 10 in place of 1. */
static bool prove_voltage(struct topbms_layout *layout)
{
    const double own = layout->variant->fields[VOLTAGE_FIELD].unit;
    const double units[] = {own, own == 0.001 ? 0.01 : 0.001};
    bool fits = false;
    for (unsigned i = 0; i < (own > 0.01 ? 1 : COUNT(units)) && !fits; i++) {
        layout->voltage_v = be16(layout->rest + 2) * units[i];
        fits = bms_cells_fit(layout->cells, layout->cell_count, layout->voltage_v);
    }
    return fits;
}

/* The n-th valid length for the count byte of this reply; 0: there are no more; for n = 0: this
 * variant does not have that count. */
static size_t expected_length(const struct topbms_layout *layout, unsigned n)
{
    const struct topbms_variant *variant = layout->variant;
    if (layout->rest_size <= variant->count_at)
        return 0;
    for (unsigned i = 0; i < TOPBMS_LENGTHS; i++) {
        const struct topbms_length *length = &variant->lengths[i];
        if (length->size > 0 &&
            (length->count == 0 || length->count == layout->rest[variant->count_at]) && n-- == 0)
            return length->size;
    }
    return 0;
}

/* Firmwares differ in the fields at the end (section 4): a longer rest fits, too, and for some
 * variants a shorter one, if no other layout fits better. */
static enum fit fit_analog(struct topbms_layout *layout)
{
    if (expected_length(layout, 0) == 0 || !sensors_legal(layout) || !prove_voltage(layout))
        return MISFIT;
    bool enough = layout->variant->may_end_early;
    for (unsigned n = 0; expected_length(layout, n) > 0; n++) {
        if (expected_length(layout, n) == layout->rest_size)
            return FITS;
        enough |= expected_length(layout, n) < layout->rest_size;
    }
    return enough ? FITS_LOOSELY : MISFIT;
}

/* ---- 44H ---- */

static bool items_legal(const uint8_t *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (items[i] > 2 && (items[i] < 0x80 || items[i] > 0xF0))
            return false;
    return true;
}

static enum fit fit_status(struct topbms_layout *layout)
{
    if (!items_legal(layout->cells, layout->cell_count) ||
        !items_legal(layout->sensors, layout->sensor_count))
        return MISFIT;
    for (unsigned i = 0; i < TOPBMS_TAILS; i++) {
        layout->tail = &layout->variant->tails[i];
        if (layout->tail->size > 0 && layout->tail->size == layout->rest_size)
            return items_legal(layout->rest, 2) ? FITS : MISFIT;
    }
    return MISFIT;
}

static enum fit fit_block(const struct topbms_variant *variant, enum topbms_kind kind,
                          const uint8_t *d, size_t size, struct topbms_layout *layout)
{
    if (!read_head(variant, kind, d, size, layout))
        return MISFIT;
    return kind == KIND_ANALOG ? fit_analog(layout) : fit_status(layout);
}

/* The size of the block at d if its rest has the n-th length of its kind; 0: there is no n-th
 * length. */
static size_t block_size(const struct topbms_variant *variant, enum topbms_kind kind,
                         const uint8_t *d, size_t size, unsigned n)
{
    struct topbms_layout layout;
    if (!read_head(variant, kind, d, size, &layout))
        return 0;
    size_t rest = kind == KIND_ANALOG ? expected_length(&layout, n)
                  : n < TOPBMS_TAILS  ? variant->tails[n].size
                                      : 0;
    return rest > 0 && rest <= layout.rest_size ? (size_t) (layout.rest - d) + rest : 0;
}

/* Whether `packs` blocks of the n-th length, separated by `between` bytes, fill d exactly; returns
 * the size of the first block. */
static size_t walk_blocks(const struct topbms_variant *variant, enum topbms_kind kind,
                          const uint8_t *d, size_t size, unsigned packs, unsigned n, size_t between)
{
    size_t first = block_size(variant, kind, d, size, n), at = first;
    for (unsigned i = 1; i < packs; i++) {
        if (at == 0 || at + between >= size)
            return 0;
        size_t next = block_size(variant, kind, d + at + between, size - at - between, n);
        at = next > 0 ? at + between + next : 0;
    }
    return at == size ? first : 0;
}

/* COMMAND FFH returns several packs in one reply (section 9). Their blocks, which some firmwares
 * separate by a byte, have to fill INFO exactly. The first block is that of the pack that answers.
 */
static enum fit fit_packs(const struct topbms_variant *variant, enum topbms_kind kind,
                          const uint8_t *d, size_t size, unsigned packs,
                          struct topbms_layout *layout)
{
    for (unsigned n = 0; n < TOPBMS_TAILS; n++)
        for (size_t between = 0; between <= 1; between++) {
            size_t first = walk_blocks(variant, kind, d, size, packs, n, between);
            enum fit fit = first > 0 ? fit_block(variant, kind, d, first, layout) : MISFIT;
            if (fit != MISFIT)
                return fit;
        }
    return MISFIT;
}

static enum fit fit_info(const struct topbms_reply *reply, const struct topbms_variant *variant,
                         enum topbms_kind kind, size_t flag, struct topbms_layout *layout)
{
    const size_t head = flag + (variant->no_group ? 0 : 1);
    if (reply->size < head + 1)
        return MISFIT;
    uint8_t group = variant->no_group ? reply->number : reply->info[flag];
    const uint8_t *d = reply->info + head;
    size_t size = reply->size - head;
    layout->flag = flag ? reply->info[0] : 0;
    if (!reply->names_pack || reply->number != TOPBMS_ALL_PACKS) {
        /* The group byte repeats COMMAND, except that a pack at address 00 calls itself 01 (Seplos,
         * PACE). */
        const bool fits = !reply->names_pack || group == reply->number ||
                          (reply->number == 0 && group == 1 && !reply->relayed);
        if (!fits)
            return MISFIT;
        /* Surplus bytes may be additions of its firmware, but not further packs. If another master
         * has requested all packs, their number is in the place of the group byte. */
        struct topbms_layout first;
        enum fit fit = fit_block(variant, kind, d, size, layout);
        bool several = fit == FITS_LOOSELY && group > 1 && group <= MAX_PACKS &&
                       fit_packs(variant, kind, d, size, group, &first) != MISFIT;
        return several ? MISFIT : fit;
    }
    if (group == 1)
        return fit_block(variant, kind, d, size, layout);
    bool master = (reply->asked.address & 0x0F) <= variant->master ||
                  reply->asked.address == TOPBMS_ALL_PACKS;
    if (!master || group < 1 || group > MAX_PACKS)
        return MISFIT;
    return fit_packs(variant, kind, d, size, group, layout);
}

/* Finds the best interpretation of the reply as one kind. `doubt`: another one, with the cells
 * elsewhere, fits as well. If two variants interpret the bytes alike, the first one is used. */
static enum fit find_best(const struct topbms_reply *reply, enum topbms_kind kind,
                          struct topbms_layout *layout, bool *doubt)
{
    unsigned wanted = kind == KIND_ANALOG ? reply->variants : reply->status_variants;
    enum fit best_fit = MISFIT;
    *doubt = false;
    for (unsigned id = ID_AUTO + 1; id < TOPBMS_IDS; id++)
        for (size_t flag = 0; flag <= 1; flag++) {
            const struct topbms_variant *variant = &topbms_variants[id];
            if (!(wanted >> id & 1) || !(flag ? variant->flag_stands : variant->flag_absent))
                continue;
            struct topbms_layout tried = {.id = (enum topbms_id) id};
            enum fit fit = fit_info(reply, variant, kind, flag, &tried);
            if (fit > best_fit) {
                *layout = tried;
                best_fit = fit;
                *doubt = false;
            } else if (fit != MISFIT && fit == best_fit) {
                *doubt |= tried.cells != layout->cells;
            }
        }
    return best_fit;
}

bool topbms_find_layout(const struct topbms_reply *reply, enum topbms_kind kind,
                        struct topbms_layout *layout)
{
    struct topbms_layout other;
    bool doubt;
    /* It may be 44H, even if it also fits 42H. As 44H, the item bytes of a 42H are invalid if one of
     * its first cells is connected; but a 44H, mostly zeros, can look like a 42H whose cell wires are
     * broken. */
    if (kind == KIND_ANALOG && find_best(reply, KIND_STATUS, &other, &doubt) != MISFIT)
        return false;
    return find_best(reply, kind, layout, &doubt) != MISFIT && !doubt;
}
