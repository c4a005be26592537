// SPDX-License-Identifier: MIT
/*
 * TopBMS and siblings: decides which frame can answer a request. Follows the sheet `topbms`,
 * sections 2, 3, 8 and 9.
 */
#include "topbms_reply.h"

#include <string.h>

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
    reply->unasked = request->size == 0;
    reply->relayed = reply->names_pack = false;
    reply->asked = (struct ydt_head){0};
    reply->size = 0;
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
        reply->status_variants = reply->variants ? (1u << TOPBMS_IDS) - 2 : 0;
    }
    if (reply->variants == 0 || !address_fits(bms, reply))
        return false;
    if (!ydt_read_info(&reply->frame, reply->info, &reply->size))
        reply->size = 0;
    return true;
}

bool topbms_read_question(const uint8_t *bytes, size_t size, int *address)
{
    struct ydt_frame frame;
    uint8_t info[YDT_INFO_MAX];
    size_t length = 0;
    if (!ydt_parse(bytes, size, &frame) || is_return_code(frame.head.code) ||
        !ydt_read_info(&frame, info, &length))
        return false;
    const bool values = frame.head.code == TOPBMS_ANALOG || frame.head.code == TOPBMS_STATUS;
    if (values && length > 1)
        return false; /* a reply of TDT boards */
    *address = length == 1 ? info[0] : frame.head.address;
    return true;
}
