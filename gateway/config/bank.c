// SPDX-License-Identifier: MIT
/* Checks of [bank NAME]. */
#include "bank.h"

#include <string.h>

/* Packs and banks share what they are named by, in the state file and where values are pushed
 * from. */
static void check_name(const struct config_drafts *drafts, const struct config_draft *bank,
                       struct mistakes *mistakes)
{
    const struct config_draft *pack = config_drafts_find(drafts, SECTION_PACK, bank->name);
    if (pack && bank->name[0])
        mistakes_add(mistakes, bank->heading,
                     "[bank %s] has the name of [pack %s] in line %u; expected another one",
                     bank->name, pack->name, pack->heading);
}

static void report_pack(const struct config_drafts *drafts, const struct config_draft *bank,
                        const char *name, struct mistakes *mistakes)
{
    char hint[SUGGEST_HINT_SIZE];
    struct suggest suggest;
    suggest_init(&suggest, name);
    for (unsigned i = 0; i < drafts->count; i++)
        if (drafts->list[i].section == SECTION_PACK)
            suggest_offer(&suggest, drafts->list[i].name);
    mistakes_add(mistakes, config_draft_line(bank, "packs"), "there is no [pack %s]%s", name,
                 suggest_hint(&suggest, hint));
}

static void check_packs(const struct config_drafts *drafts, const struct config_draft *bank,
                        struct mistakes *mistakes)
{
    const struct pack_names *packs = &bank->as.bank.packs;
    for (unsigned i = 0; i < packs->count; i++) {
        const char *name = packs->list[i];
        unsigned before = 0;
        while (before < i && strcmp(packs->list[before], name) != 0)
            before++;
        if (before < i)
            mistakes_add(mistakes, config_draft_line(bank, "packs"),
                         "[pack %s] is in [bank %s] twice", name, bank->name);
        else if (!config_drafts_find(drafts, SECTION_PACK, name))
            report_pack(drafts, bank, name, mistakes);
    }
}

static int unit_of(const struct config_draft *draft)
{
    return draft->section == SECTION_BANK ? draft->as.bank.bank.unit : draft->as.pack.pack.unit;
}

/* Against all packs, which have been compared with each other, and the banks before it. */
static void check_unit(const struct config_drafts *drafts, const struct config_draft *bank,
                       struct mistakes *mistakes)
{
    if (!config_draft_usable(bank, "unit"))
        return;
    for (const struct config_draft *other = drafts->list; other < drafts->list + drafts->count;
         other++) {
        bool counts =
            other->section == SECTION_PACK || (other->section == SECTION_BANK && other < bank);
        if (!counts || !config_draft_usable(other, "unit") || unit_of(other) != unit_of(bank))
            continue;
        mistakes_add(mistakes, config_draft_line(bank, "unit"),
                     "unit %d is already that of [%s %s] in line %u", unit_of(bank),
                     config_section_info(other->section)->word, other->name,
                     config_draft_line(other, "unit"));
        return;
    }
}

static void settle_min_packs(struct config_draft *draft, struct mistakes *mistakes)
{
    struct bank_config *bank = &draft->as.bank.bank;
    unsigned count = draft->as.bank.packs.count;
    if (!config_draft_given(draft, "min_packs"))
        bank->min_packs = count;
    if (config_draft_usable(draft, "packs") && bank->min_packs > count)
        mistakes_add(mistakes, config_draft_line(draft, "min_packs"),
                     "'min_packs' is %u; expected at most %u, which is all packs of [bank %s]",
                     bank->min_packs, count, draft->name);
}

void config_bank_check(const struct config_drafts *drafts, struct config_draft *bank,
                       struct mistakes *mistakes)
{
    check_name(drafts, bank, mistakes);
    check_packs(drafts, bank, mistakes);
    check_unit(drafts, bank, mistakes);
    settle_min_packs(bank, mistakes);
}
