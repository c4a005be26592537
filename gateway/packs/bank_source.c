// SPDX-License-Identifier: MIT
#include "bank_source.h"

#include "base/log.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>

#define NAMES_SIZE (MAX_BANK_PACKS * (NAME_SIZE + 2))

_Static_assert(MAX_BANK_PACKS <= 32, "`missing` has one bit per pack");

void bank_source_init(struct bank_source *bank, const struct bank_config *config,
                      struct kept_entry *kept, double now)
{
    bank->config = config;
    bank->kept = kept;
    bank->extras = (struct map_bank){.needed = config->min_packs,
                                     .missing = config->pack_count,
                                     .temp_max_c = NAN,
                                     .temp_min_c = NAN,
                                     .packs_current_a = NAN,
                                     .packs_soc_percent = NAN};
    bank->started_at = now;
    for (unsigned i = 0; i < config->pack_count; i++)
        bank->members[i] = &bank->parts[i]->source;
    bank->source = (struct source){.name = config->name,
                                   .title = config->title[0] ? config->title : config->name,
                                   .unit = (uint8_t) config->unit,
                                   .members = bank->members,
                                   .member_count = config->pack_count,
                                   .values = &bank->values,
                                   .read_at = NAN,
                                   .good_until = NAN};
    pack_clear(&bank->values);
    outlook_init(&bank->outlook);
    bank->shunt.differs_a = NAN;
}

bool bank_source_has(const struct bank_source *bank, const struct poller *poller)
{
    for (unsigned i = 0; i < bank->config->pack_count; i++)
        if (bank->parts[i]->poller == poller)
            return true;
    return bank->shunt_part && bank->shunt_part->poller == poller;
}

static bool is_missing(const struct bank_source *bank, unsigned place)
{
    return bank->missing >> place & 1;
}

/* Whether the pack still answers its first requests, or its line is only just being opened: without it the bank would
 * report part of the current. It does not wait for a silent pack, nor for a line that does not open. */
static bool is_starting(const struct bank_source *bank, const struct pack_source *pack, double now)
{
    const struct poller *poller = pack->poller;
    const bool opens = pack->line && line_facts(pack->line).troubles == 0 &&
                       now - bank->started_at < pack->source.settle_s;
    return (line_is_open(pack->line) || opens) && poller->presence.silent_cycles == 0 &&
           !poller->complete;
}

/* Seconds after the start before a missing pack is logged. */
static double longest_settle_s(const struct bank_source *bank)
{
    double longest = 0;
    for (unsigned i = 0; i < bank->config->pack_count; i++)
        longest = fmax(longest, bank->members[i]->settle_s);
    return longest;
}

static void report_missing_packs(struct bank_source *bank, double now)
{
    const struct bank_config *config = bank->config;
    if (bank->missing == bank->told_missing ||
        (bank->missing && now - bank->started_at < bank->source.settle_s))
        return;
    bank->told_missing = bank->missing;
    if (!bank->missing) {
        log_info("bank %s: all %u packs are present", config->name, config->pack_count);
        return;
    }
    char bytes[NAMES_SIZE], verdict[100] = "its values are computed from the others";
    struct text names = text_in(bytes, sizeof bytes);
    unsigned present = bank->extras.present;
    for (unsigned i = 0; i < config->pack_count; i++)
        if (is_missing(bank, i))
            text_format(&names, "%s%s", names.size > 0 ? ", " : "", bank->members[i]->name);
    if (present < config->min_packs)
        snprintf(verdict, sizeof verdict, "it is stale with fewer than %u (min_packs)",
                 config->min_packs);
    log_warn("bank %s: %u of %u packs, %s missing; %s", config->name, present, config->pack_count,
             bytes, verdict);
}

static void report_shunt(struct bank_source *bank, const struct pack *measured, double now)
{
    const char *name = bank->config->name, *shunt = bank->shunt_part->source.name;
    if (!measured != bank->told_shunt_missing && now - bank->started_at >= longest_settle_s(bank)) {
        bank->told_shunt_missing = !measured;
        if (measured)
            log_info("bank %s: %s, its shunt, is present", name, shunt);
        else
            log_warn("bank %s: %s, its shunt, is missing; current, power and state of charge are "
                     "unknown",
                     name, shunt);
    }
    if (bank->shunt.differs == bank->told_shunt_differs)
        return;
    bank->told_shunt_differs = bank->shunt.differs;
    if (bank->shunt.differs)
        log_warn("bank %s: %s measures %+.1f A more than the packs together, on average of some "
                 "minutes; both can be wrong by %.1f A: look for a pack or a load that only one of "
                 "them sees",
                 name, shunt, bank->shunt.differs_a, bank->shunt.may_a);
    else
        log_info("bank %s: %s and the packs together measure the same current again", name, shunt);
}

/* The values are as old as the oldest pack in them, and stay fresh until the first of its packs
 * turns stale: then they are combined again without it. */
static void combine(struct bank_source *bank, double now)
{
    struct bank_member members[MAX_BANK_PACKS];
    bank->source.read_at = NAN;
    bank->source.good_until = INFINITY;
    for (unsigned i = 0; i < bank->config->pack_count; i++) {
        const struct source *member = bank->members[i];
        const bool fresh = !is_missing(bank, i);
        members[i] = (struct bank_member){.pack = member->values,
                                          .capacity_ah = member->capacity_ah,
                                          .fresh = fresh,
                                          .alarms = bank->parts[i]->alarms,
                                          .begins = !bank->parts[i]->poller->complete,
                                          .seen = &bank->parts[i]->seen};
        if (!fresh)
            continue;
        bank->source.read_at = fmin(bank->source.read_at, bank->parts[i]->poller->published_at);
        bank->source.good_until = fmin(bank->source.good_until, member->good_until);
    }
    bank_combine(members, bank->config->pack_count, &bank->values, &bank->extras);
    if (!bank->shunt_part)
        return;
    /* The measurements of the shunt replace the sums of the packs. */
    const struct source *shunt = &bank->shunt_part->source;
    const struct pack *measured = source_fresh(shunt, now) ? shunt->values : NULL;
    shunt_apply(measured, &bank->values, &bank->extras);
    if (measured) {
        bank->source.read_at = fmin(bank->source.read_at, bank->shunt_part->poller->published_at);
        bank->source.good_until = fmin(bank->source.good_until, shunt->good_until);
    }
    if (measured && bank->missing == 0)
        shunt_compare(&bank->shunt, measured, members, bank->config->pack_count, now);
    report_shunt(bank, measured, now);
}

static void refresh_status(struct bank_source *bank, const struct map_status *host,
                           const struct tm *local, double now)
{
    struct map_status *status = &bank->source.status;
    const struct map_status before = *status;
    *status = *host;
    bool open = false, is_read = !isnan(bank->source.read_at);
    int32_t bms = 0;
    for (unsigned i = 0; i < bank->config->pack_count; i++) {
        open |= line_is_open(bank->parts[i]->line);
        is_read &= is_missing(bank, i) || bank->members[i]->status.bms > 0;
        bms += bank->parts[i]->bms;
    }
    status->state = now <= bank->source.good_until ? MAP_STATE_FRESH
                    : !open                        ? MAP_STATE_NO_LINE
                    : isnan(bank->source.read_at)  ? MAP_STATE_NEVER
                                                   : MAP_STATE_STALE;
    status->age_s = now - bank->source.read_at;
    status->driver = "bank";
    /* Above 0 once the packs that count were read completely: an alarm that one of them still has is not over. */
    status->bms = is_read ? bms : -bms;
    status->pack_name = bank->config->name;
    status->peak = soc_peak_today(bank->kept, local);
    status->bank = &bank->extras;
    status->charged_wh = status->discharged_wh = 0;
    for (unsigned i = 0; i < bank->config->pack_count; i++) {
        const struct map_status *part = &bank->members[i]->status;
        status->polls += part->polls;
        status->timeouts += part->timeouts;
        status->checksum_errors += part->checksum_errors;
        status->reconnects += part->reconnects;
        status->implausible += part->implausible;
        status->spikes += part->spikes;
        status->charged_wh += part->charged_wh;
        status->discharged_wh += part->discharged_wh;
    }
    status->time_to_full_s = outlook_full_s(&bank->outlook, &bank->values, 0);
    status->time_to_empty_s = outlook_empty_s(&bank->outlook, &bank->values, 0);
    bank->source.settle_s = longest_settle_s(bank);
    kept_note_trouble(bank->kept, &before, &bank->source, now);
}

unsigned bank_source_update(struct bank_source *bank, bool published, const struct map_status *host,
                            const struct tm *local, double now)
{
    const unsigned count = bank->config->pack_count;
    const uint32_t before = bank->missing;
    bool waits = false;
    bank->missing = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct source *source = bank->members[i];
        const struct bank_member member = {.pack = source->values,
                                           .capacity_ah = source->capacity_ah};
        /* A pack joins once its capacity is known, or all its requests are answered: before, all
         * would weigh the same, and the state of charge would be wrong. */
        if (!source_fresh(source, now) ||
            !(bank->parts[i]->poller->complete || bank_weighs(&member)))
            bank->missing |= 1u << i;
        waits |= isnan(bank->source.read_at) && is_missing(bank, i) &&
                 is_starting(bank, bank->parts[i], now);
    }
    const struct pack_source *shunt = bank->shunt_part;
    waits |= isnan(bank->source.read_at) && shunt && isnan(shunt->poller->published_at) &&
             is_starting(bank, shunt, now);
    bank->extras.missing = (unsigned) __builtin_popcount(bank->missing);
    bank->extras.present = count - bank->extras.missing;
    /* The old values remain published; the number of present packs is updated all the same. */
    unsigned changes = SOURCE_AGED;
    const bool enough = bank->extras.present >= bank->config->min_packs;
    if (enough && bank->extras.present > 0 && !waits) {
        if (published || bank->missing != before || !(now <= bank->source.good_until))
            changes = SOURCE_PUBLISHED;
        combine(bank, now);
        outlook_add(&bank->outlook, &bank->values, now);
        soc_peak_update(bank->kept, bank->values.value[SOC_PERCENT], local);
    } else if (!isnan(bank->source.good_until)) {
        bank->source.good_until = -INFINITY;
    }
    refresh_status(bank, host, local, now);
    report_missing_packs(bank, now);
    return changes | summary_update(&bank->summary, "bank", &bank->source, now);
}
