// SPDX-License-Identifier: MIT
/* What [push NAME] writes. */
#include "check.h"

#include "row.h"

#include <math.h>
#include <string.h>

/* A register that an earlier push writes into the same server. */
static void check_others(const struct config_draft *draft, const struct register_row *write)
{
    for (CONFIG_BEFORE(other, draft)) {
        if (strcmp(other->as.push->target, draft->as.push->target) != 0 ||
            other->as.push->unit != draft->as.push->unit)
            continue;
        const struct push_config *push = other->as.push;
        for (unsigned i = 0; i < push->write_count; i++)
            if (config_rows_overlap(write, &push->writes[i])) {
                config_mistake_at(
                    draft, write->line_number, "register %u is already written in [push %s]",
                    (unsigned) fmax(write->address, push->writes[i].address), other->name);
                return;
            }
    }
}

void config_check_push(struct config_draft *draft)
{
    struct push_config *push = draft->as.push;
    const struct row_rules rules = {.key = "write",
                                    .thing = "a write",
                                    .source = "",
                                    .write = true,
                                    .big_words = push->big_words,
                                    .on_stale = push->on_stale};
    config_rows_read(&rules, draft, &push->writes, &push->write_count);
    for (unsigned i = 0; i < push->write_count; i++) {
        const struct register_row *write = &push->writes[i];
        check_others(draft, write);
        if (write->deadband > 0 && !push->on_change)
            config_warn_at(
                draft, write->line_number,
                "'deadband' has no effect here: [push %s] has no 'on_change' behind its 'interval'",
                draft->name);
    }
}
