// SPDX-License-Identifier: MIT
/* Changes of the configuration from a browser. */
#include "edits.h"

#include "keys.h"
#include "types.h"

#include "ini/inifile.h"
#include "base/alloc.h"
#include "base/secret.h"

#include "bms/modbus/modbus.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Bytes of a secret: enough for long tokens, too little for other kinds of files. */
#define SECRET_MOST (SECRET_SIZE - 2)

/* Browsers cannot remove a section in which they can set no key, such as [limits]. */
static bool may_remove(const struct config_section *section)
{
    bool any = false;
    for (unsigned row = 0; row < section->key_count; row++)
        any |= section->keys[row].web;
    return any && section->times == SECTION_NAMED;
}

bool edits_is_port_good(const char *port)
{
    if (strncmp(port, "serial:", 7) == 0)
        return strncmp(port + 7, "/dev/", 5) == 0 && !strstr(port, "/..");
    return strncmp(port, "sim:", 4) != 0;
}

bool edits_is_value_good(const char *value)
{
    return value[0] != '/' && strcasecmp(value, "command") != 0 && edits_is_port_good(value);
}

static bool check_edit(const struct edit *edit, char why[EDIT_WHY])
{
    const struct config_section *section = config_section_find(edit->section);
    const struct config_key *key = edit->key ? config_key_of(edit->section, edit->key) : NULL;
    const bool named = section && section->times == SECTION_NAMED;
    char protocol[NAME_SIZE];
    /* `protocol = modbus FILE` reads a file. */
    const bool names_file = key && key->type == &type_protocol && edit->value &&
                            config_split(edit->value, protocol) &&
                            strcmp(protocol, modbus_user_driver.name) == 0;
    if (!section || (named ? !config_name_good(edit->name) : edit->name[0] != '\0'))
        snprintf(why, EDIT_WHY, "there is no section [%.40s%s%.40s]", edit->section,
                 edit->name[0] ? " " : "", edit->name);
    else if (edit->kind == EDIT_SECTION && !may_remove(section))
        snprintf(why, EDIT_WHY, "[%s] is not removed from a browser", section->word);
    else if (edit->kind == EDIT_ORDER && section != &pack_section)
        snprintf(why, EDIT_WHY, "[%s] is not moved from a browser", section->word);
    else if (edit->kind == EDIT_VALUE && !(key && key->web))
        snprintf(why, EDIT_WHY, "'%.40s' of [%s] is not set from a browser", edit->key,
                 section->word);
    else if (edit->kind == EDIT_VALUE && key->type == &type_title)
        return true;
    else if (edit->kind == EDIT_SECRET && !(key && key->secret))
        snprintf(why, EDIT_WHY, "'%.40s' of [%s] takes no secret from a browser", edit->key,
                 section->word);
    else if (edit->kind == EDIT_SECRET && edit->value && strlen(edit->value) > SECRET_MOST)
        snprintf(why, EDIT_WHY, "a secret of more than %d bytes", SECRET_MOST);
    else if (edit->kind == EDIT_VALUE && edit->value &&
             (!edits_is_value_good(edit->value) || names_file))
        snprintf(why, EDIT_WHY, "'%.40s' of [%s] is not set to this from a browser", edit->key,
                 section->word);
    else
        return true;
    return false;
}

bool edits_secret_path(const struct edit *edit, const char *secrets, char out[PORT_SIZE])
{
    const int size =
        snprintf(out, PORT_SIZE, "%s%s%s%s-%.*s", secrets, edit->section, edit->name[0] ? "-" : "",
                 edit->name, (int) strcspn(edit->key, "_"), edit->key);
    return size < PORT_SIZE;
}

bool edits_is_secret_file(const char *name, unsigned *number)
{
    char *rest;
    *number = (unsigned) strtoul(name, &rest, 10);
    if (name[0] < '1' || name[0] > '9' || *rest++ != '-')
        return false;
    for (unsigned s = 0; config_sections[s]; s++) {
        const struct config_section *section = config_sections[s];
        const size_t word = strlen(section->word), size = strlen(rest);
        for (unsigned row = 0; row < section->key_count; row++) {
            const char *key = section->keys[row].name;
            const size_t tail = strcspn(key, "_");
            if (section->keys[row].secret && size > word + tail + 2 &&
                strncmp(rest, section->word, word) == 0 && rest[word] == '-' &&
                rest[size - tail - 1] == '-' && strncmp(rest + size - tail, key, tail) == 0)
                return true;
        }
    }
    return false;
}

static char *apply_edit(const char *text, const struct edit *edit, const char *secrets,
                        char why[EDIT_WHY])
{
    char path[PORT_SIZE];
    struct edit written = *edit;
    if (edit->kind == EDIT_SECRET && edit->value) {
        if (!edits_secret_path(edit, secrets, path)) {
            snprintf(why, EDIT_WHY, "the path of the file with the secret is too long");
            return NULL;
        }
        written.value = path;
    }
    char *edited = config_edited(text, &written, why);
    if (!edited || edit->kind != EDIT_VALUE ||
        config_key_of(edit->section, edit->key)->type != &type_protocol)
        return edited;
    /* Another protocol has other variants: a separate key `variant`, as in older files, would become a mistake. */
    const struct edit gone = {EDIT_VALUE, edit->section, edit->name, "variant", NULL};
    char *shorter = config_edited(edited, &gone, why);
    free(edited);
    return shorter;
}

/* Whether a key has the same value in both texts, or is in neither. A key that was missing has changed, too: before, messages were
 * sent to the address of their service. `*value` (NULL: not needed) is the value in `fresh`, NULL if it has none; the caller frees
 * it. */
static bool is_unchanged(const char *old, const char *fresh, const struct edit *edit,
                         const char *key, char **value)
{
    char *was = config_value(old, edit->section, edit->name, key);
    char *is = config_value(fresh, edit->section, edit->name, key);
    const bool same = was && is ? strcmp(was, is) == 0 : was == is;
    free(was);
    if (value)
        *value = is;
    else
        free(is);
    return same;
}

/* Whether an edit would send a stored secret to another address, or choose from which broker orders are accepted. A browser never
 * gets a secret back, so it must not have it sent to an address of its choice either. The reason is in `why`. */
static bool redirects_secret(const char *old, const char *fresh, const struct edit *edit,
                             char why[EDIT_WHY])
{
    const struct config_section *section = config_section_find(edit->section);
    const struct config_key *sends =
        edit->kind == EDIT_VALUE ? config_key_of(edit->section, edit->key) : NULL;
    bool leads = false;
    if (!sends || !sends->sends || is_unchanged(old, fresh, edit, edit->key, NULL))
        return false;
    for (unsigned row = 0; row < section->key_count && !leads; row++) {
        const struct config_key *key = &section->keys[row];
        const bool switching = strcmp(key->name, "switching") == 0;
        /* token_file is a key of older versions that files may still have. */
        const bool secret = key->secret || strcmp(key->name, "token_file") == 0;
        char *value = NULL;
        leads = (switching || secret) && is_unchanged(old, fresh, edit, key->name, &value) &&
                value &&
                (switching ? strcasecmp(value, "yes") == 0 : strcasecmp(value, "none") != 0);
        free(value);
        if (leads && switching)
            snprintf(why, EDIT_WHY,
                     "'%s' of [%s %s] is not set from a browser, as 'switching' is on", edit->key,
                     edit->section, edit->name);
        else if (leads)
            snprintf(why, EDIT_WHY,
                     "'%s' of [%s %s] has changed: enter the password again, which was for the one "
                     "before",
                     edit->key, edit->section, edit->name);
    }
    return leads;
}

struct follow {
    const char *old, *fresh;
    const struct edit *edit;
    char *why;
    bool leads;
};

static void follow_pack(void *user, unsigned line, const char *heading)
{
    struct follow *follow = user;
    char word[NAME_SIZE];
    const struct edit pack = {.section = word, .name = config_split(heading, word)};
    if (!pack.name || strcmp(word, pack_section.word) != 0)
        return;
    char *password;
    const bool kept = is_unchanged(follow->old, follow->fresh, &pack, "password_file", &password);
    char *on = config_value(follow->fresh, pack.section, pack.name, "line");
    const char *its = strcmp(follow->edit->section, pack.section) == 0 ? pack.name : on;
    if (kept && password && strcasecmp(password, "none") != 0 && its &&
        strcmp(its, follow->edit->name) == 0) {
        follow->leads = true;
        snprintf(follow->why, EDIT_WHY,
                 "'%s' of [%s %s] is not set from a browser, as [pack %.32s] has a 'password_file'",
                 follow->edit->key, follow->edit->section, follow->edit->name, pack.name);
    }
    free(password);
    free(on);
}

/* Whether an edit would send the password of a pack to another port than that of its line. Passwords of packs are never entered in a
 * browser. */
static bool leads_pack_away(const char *old, const char *fresh, const struct edit *edit,
                            char why[EDIT_WHY])
{
    static const struct inifile_events events = {.heading = follow_pack};
    struct follow follow = {.old = old, .fresh = fresh, .edit = edit, .why = why};
    const bool is_way = edit->kind == EDIT_VALUE &&
                        ((strcmp(edit->section, "line") == 0 && strcmp(edit->key, "port") == 0) ||
                         (strcmp(edit->section, "pack") == 0 && strcmp(edit->key, "line") == 0));
    if (is_way && !is_unchanged(old, fresh, edit, edit->key, NULL))
        inifile_read(fresh, strlen(fresh), &events, &follow);
    return follow.leads;
}

char *edits_apply(const char *text, const struct edit *edits, size_t count, const char *secrets,
                  char why[EDIT_WHY])
{
    char *now = alloc_checked(strdup(text));
    for (size_t i = 0; now && i < count; i++) {
        char *next = check_edit(&edits[i], why) ? apply_edit(now, &edits[i], secrets, why) : NULL;
        free(now);
        now = next;
    }
    for (size_t i = 0; now && i < count; i++)
        if (redirects_secret(text, now, &edits[i], why) ||
            leads_pack_away(text, now, &edits[i], why)) {
            free(now);
            now = NULL;
        }
    return now;
}

/* FNV-1a suffices: an attacker gains nothing if two texts have the same hash. */
void edits_hash(const char *text, char out[EDITS_HASH])
{
    uint64_t hash = 0xCBF29CE484222325;
    for (; *text; text++)
        hash = (hash ^ (uint8_t) *text) * 0x100000001B3;
    snprintf(out, EDITS_HASH, "%016" PRIx64, hash);
}
