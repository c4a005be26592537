// SPDX-License-Identifier: MIT
/* Applies the edits of a browser. */
#include "edits.h"

#include "commands/asking.h"
#include "commands/command.h"

#include "config/load.h"
#include "config/ini/save.h"
#include "packs/json.h"
#include "base/alloc.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EDITS_MOST 2000

static bool parse_edit(json_t *from, struct edit *edit)
{
    const json_t *value = json_object_get(from, "value"), *secret = json_object_get(from, "secret");
    const json_t *before = json_object_get(from, "before");
    const json_t *what = value ? value : secret ? secret : before;
    edit->section = json_string_value(json_object_get(from, "section"));
    edit->name = asking_text(from, "name");
    edit->key = json_string_value(json_object_get(from, "key"));
    edit->value = json_string_value(what);
    edit->kind = value ? EDIT_VALUE : secret ? EDIT_SECRET : before ? EDIT_ORDER : EDIT_SECTION;
    const size_t fields = json_object_size(from) - (json_object_get(from, "name") != NULL);
    if (edit->kind == EDIT_SECTION)
        return edit->section && json_is_true(json_object_get(from, "remove")) && fields == 2;
    if (edit->kind == EDIT_ORDER)
        return edit->section && edit->value && fields == 2;
    return edit->section && edit->key && (edit->value || json_is_null(what)) && fields == 3;
}

static bool parse_edits(struct setup_edits *edits)
{
    const json_t *list = json_object_get(edits->request, "edits");
    size_t i;
    json_t *one;
    edits->count = json_array_size(list);
    if (!json_is_array(list) || edits->count > EDITS_MOST)
        return false;
    edits->edits = alloc_zeroed(edits->count, sizeof *edits->edits);
    json_array_foreach(list, i, one) if (!parse_edit(one, &edits->edits[i])) return false;
    return true;
}

char *setup_read(const char *path, const char *first)
{
    char *text = save_read(path);
    return text || errno != ENOENT || !first ? text : save_read(first);
}

/* Chooses a number that no secret file has yet: with PATH.old removed, numbers start over. */
static bool name_secrets(struct setup_edits *edits)
{
    char *copy = alloc_checked(strdup(edits->path)), path[PORT_SIZE];
    const char *folder = dirname(copy);
    bool fits = true, taken = true;
    for (unsigned number = save_number(edits->path); fits && taken; number++) {
        const int size = snprintf(edits->secrets, sizeof edits->secrets, "%s/%u-", folder, number);
        fits = size > 0 && (size_t) size < sizeof edits->secrets;
        taken = false;
        for (size_t i = 0; fits && i < edits->count; i++)
            taken |= edits->edits[i].kind == EDIT_SECRET &&
                     edits_secret_path(&edits->edits[i], edits->secrets, path) &&
                     access(path, F_OK) == 0;
    }
    free(copy);
    return fits;
}

static json_t *apply_request(struct setup_edits *edits, const char *first, bool tries)
{
    char why[EDIT_WHY];
    const char *hash = json_string_value(json_object_get(edits->request, "hash"));
    if (!(tries || (hash && json_object_size(edits->request) == 2)) || !parse_edits(edits))
        return setup_refusal(400, "expected {\"hash\":\"…\",\"edits\":[…]}");
    edits->old = setup_read(edits->path, first);
    if (!edits->old)
        return setup_refusal(503, "%s: %s", edits->path, strerror(errno));
    edits_hash(edits->old, edits->hash);
    if (!name_secrets(edits))
        return setup_refusal(503, "the path of the configuration is too long");
    edits->fresh = edits_apply(edits->old, edits->edits, edits->count, edits->secrets, why);
    if (!edits->fresh)
        return setup_refusal(403, "%s", why);
    if (tries || strcmp(hash, edits->hash) == 0)
        return NULL;
    json_t *answer = setup_refusal(409, "the configuration was edited meanwhile");
    json_object_set_new(answer, "hash", json_string(edits->hash));
    return answer;
}

bool setup_edits_make(struct setup_edits *edits, const char *path, const char *first,
                      const char *request, bool tries)
{
    *edits = (struct setup_edits){.path = path,
                                  .request = json_loads(request, JSON_REJECT_DUPLICATES, NULL)};
    edits->refusal = apply_request(edits, first, tries);
    return edits->fresh && !edits->refusal;
}

void setup_edits_free(struct setup_edits *edits)
{
    free(edits->old);
    free(edits->fresh);
    free(edits->edits);
    json_decref(edits->request);
}

json_t *setup_edits_remarks(const char *text, bool host, struct config **config)
{
    json_t *list = json_array();
    struct mistakes mistakes = {0};
    *config = config_read(text, strlen(text), &mistakes);
    if (*config && host)
        check_host(*config, &mistakes);
    for (const struct mistake *one = mistakes.list; one < mistakes.list + mistakes.listed; one++) {
        const char *said = one->text + (one->warning ? strlen(MISTAKE_WARNING) : 0);
        json_array_append_new(
            list, json_pack("{s:o, s:s, s:o}", "line",
                            one->line ? json_integer((json_int_t) one->line) : json_null(), "level",
                            one->warning ? "remark" : "error", "text", json_printable(said)));
    }
    mistakes_free(&mistakes);
    return list;
}

json_t *setup_edits_refuse(const struct setup_edits *edits)
{
    struct config *config;
    json_t *remarks = setup_edits_remarks(edits->fresh, false, &config);
    if (!config)
        return json_pack("{s:s, s:i, s:o}", "error", "the configuration has errors", "http", 422,
                         "remarks", remarks);
    json_decref(remarks);
    config_free(config);
    return NULL;
}
