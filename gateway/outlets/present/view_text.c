// SPDX-License-Identifier: MIT
/* The [view] of a [present] section. */
#include "present.h"

#include "base/log.h"
#include "config/config.h"
#include "config/load.h"

#include <stdio.h>
#include <stdlib.h>

struct config *view_text_read(const struct present *present)
{
    char *text = NULL, *messages = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    /* Writes placeholders of the packs and banks, of which only names and kinds matter, and the
     * view. The view gets a port of its own, so that its unit ids collide with none. */
    struct outlet *outlet = present->outlet;
    const struct outlet_pack *pack;
    for (unsigned i = 0; (pack = outlet_pack(outlet, i)); i++)
        if (!pack->facts.is_bank)
            fprintf(out,
                    "[line l%u]\nport = sim:\nprotocol = daly\n[pack %s]\nline = l%u\nunit = %u\n",
                    i, pack->facts.name, i, (unsigned) pack->facts.unit);
    for (unsigned i = 0; (pack = outlet_pack(outlet, i)); i++) {
        if (!pack->facts.is_bank)
            continue;
        fprintf(out, "[bank %s]\nunit = %u\npacks = ", pack->facts.name,
                (unsigned) pack->facts.unit);
        for (unsigned n = 0; n < pack->facts.member_count; n++)
            fprintf(out, "%s%s", n > 0 ? ", " : "", pack->facts.members[n]);
        fputc('\n', out);
    }
    fprintf(out, "[view %s]\nlisten = 127.0.0.1:0\n%s", present->config->view,
            present->config->view_text);
    FILE *errors = fclose(out) == 0 ? open_memstream(&messages, &size) : NULL;
    struct config *config = errors ? config_parse(text, "view", errors) : NULL;
    if (errors)
        fclose(errors);
    if (!config)
        log_error("%s: its view cannot be read: %s", present->title, messages ? messages : "");
    free(text);
    free(messages);
    return config;
}
