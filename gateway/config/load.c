// SPDX-License-Identifier: MIT
/*
 * The configuration file: its sections and keys are gathered as drafts (config_draft), packed into the
 * structs that the gateway runs on, and checked as a whole (config_check).
 */
#include "load.h"

#include "draft.h"
#include "types.h"
#include "ini/inifile.h"

#include "base/alloc.h"
#include "base/regular.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LARGEST_FILE (1024 * 1024)
#define BLANK "***"
/* digits of an encryption key; no other value in a configuration has as many */
#define KEY_DIGITS 32

struct loader {
    struct config_drafts drafts;
    /* the section that keys belong to; NULL: none, that mistake was reported */
    struct config_draft *section;
    bool in_section; /* a heading was seen */
};

/* A repeated heading is a mistake; its keys are checked all the same. */
static void open_section(struct loader *loader, unsigned line, const struct config_section *section,
                         const char *name)
{
    const bool named = section->times == SECTION_NAMED, good = !named || config_name_good(name);
    struct config_draft *there =
        named ? NULL : config_drafts_find(&loader->drafts, NULL, section, NULL);
    if (!named && name[0])
        mistakes_add(loader->drafts.mistakes, line, "[%s %s] has a name; expected %s",
                     section->word, name, section->heading);
    loader->section =
        there ? there
              : config_drafts_add(&loader->drafts, section, named && good ? name : "", line);
    if (there && there->heading > 0)
        mistakes_add(loader->drafts.mistakes, line, "a second %s; the first is in line %u",
                     section->heading, there->heading);
    else
        loader->section->heading = line;
    if (!good)
        mistakes_add(loader->drafts.mistakes, line,
                     name[0] ? "'%s' is no name for a %s; expected %s with 1 to %d of a-z, A-Z, "
                               "0-9, '-', '_' and '.'"
                             : "[%s%s] has no name; expected %s with 1 to %d of a-z, A-Z, 0-9, "
                               "'-', '_' and '.'",
                     name, section->word, section->heading, NAME_SIZE - 1);
}

static void parse_heading(void *user, unsigned line, const char *text)
{
    struct loader *loader = user;
    char word[NAME_SIZE];
    const char *name = config_split(text, word);
    const struct config_section *section = config_section_find(word);
    loader->in_section = true;
    loader->section = NULL;
    if (section) {
        open_section(loader, line, section, name ? name : "");
        return;
    }
    char expected[400];
    struct text list = text_in(expected, sizeof expected);
    text_add(&list, "; expected ");
    struct suggest suggest = suggest_for(word);
    for (unsigned i = 0; config_sections[i]; i++) {
        suggest_offer(&suggest, config_sections[i]->word);
        config_list(&list, i, config_sections[i + 1] ? i + 2 : i + 1, config_sections[i]->heading);
    }
    mistakes_add(loader->drafts.mistakes, line, "unknown section [%s]%s", text,
                 suggest.best[0] ? suggest_hint(&suggest) : expected);
}

/* Lists all sections that have the key: "[gateway] or [pack NAME]". False: none has. */
static bool list_homes(const char *key, char *out, size_t size)
{
    const char *homes[20] = {NULL};
    unsigned count = 0;
    for (unsigned i = 0; config_sections[i] && count < 20; i++) {
        const int row = config_key_find(config_sections[i], key);
        if (row >= 0 && !config_sections[i]->keys[row].folded)
            homes[count++] = config_sections[i]->heading;
    }
    struct text list = text_in(out, size);
    for (unsigned i = 0; i < count; i++)
        config_list(&list, i, count, homes[i]);
    return count > 0;
}

static void report_key(struct loader *loader, unsigned line, const char *key)
{
    const struct config_draft *draft = loader->section;
    const char *alias = config_key_alias(draft->section, key);
    struct suggest suggest = suggest_for(key);
    for (unsigned row = 0; row < draft->section->key_count; row++)
        if (!draft->section->keys[row].folded)
            suggest_offer(&suggest, draft->section->keys[row].name);
    const char *nearest = alias ? alias : suggest.best;
    bool named = draft->section->times == SECTION_NAMED;
    char heading[NAME_SIZE + 16], homes[300], hint[330] = "";
    snprintf(heading, sizeof heading, "%s%s%s", draft->section->word, named ? " " : "",
             draft->name);
    if (!alias && list_homes(key, homes, sizeof homes))
        snprintf(hint, sizeof hint, "; it belongs in %s", homes);
    else if (nearest[0])
        snprintf(hint, sizeof hint, "; did you mean '%s'?", nearest);
    mistakes_add(loader->drafts.mistakes, line, "unknown key '%s' in [%s]%s", key, heading, hint);
}

static void parse_entry(void *user, unsigned line, const char *key, const char *value)
{
    struct loader *loader = user;
    if (!loader->in_section)
        mistakes_add(loader->drafts.mistakes, line, "'%s' stands before the first [section]", key);
    if (!loader->section)
        return;
    int row = config_key_find(loader->section->section, key);
    if (row < 0)
        report_key(loader, line, key);
    else
        config_draft_set(loader->section, (unsigned) row, value, line);
}

static void parse_mistake(void *user, unsigned line, const char *message)
{
    struct loader *loader = user;
    mistakes_add(loader->drafts.mistakes, line, "%s", message);
}

/* Moves the structs of all drafts into the configuration, where they can refer to one another. */
static struct config *build_config(struct config_drafts *drafts)
{
    struct config *config = alloc_zeroed(1, sizeof *config);
    for (unsigned i = 0; config_sections[i]; i++) {
        const struct config_section *section = config_sections[i];
        unsigned count = 0;
        for (unsigned d = 0; d < drafts->count; d++)
            count += drafts->list[d].section == section;
        if (section->times == SECTION_NAMED)
            memcpy((char *) config + section->count, &count, sizeof count);
        if (section->times == SECTION_NAMED || (section->times == SECTION_ONCE && count > 0)) {
            void *structs = alloc_zeroed(count, section->size);
            memcpy((char *) config + section->at, &structs, sizeof structs);
        }
        char *next = config_structs(config, section);
        for (struct config_draft *at = drafts->list; at < drafts->list + drafts->count; at++)
            if (at->section == section) {
                memcpy(next, at->as.any, at->section->size);
                free(at->as.any);
                at->as.any = next;
                next += at->section->size;
            }
    }
    drafts->config = config;
    return config;
}

struct config *config_read(const char *text, size_t size, struct mistakes *mistakes)
{
    static const struct inifile_events events = {
        .heading = parse_heading, .entry = parse_entry, .mistake = parse_mistake};
    struct loader loader = {.drafts = {.mistakes = mistakes}};
    struct config_drafts *drafts = &loader.drafts;
    for (unsigned i = 0; config_sections[i]; i++)
        if (config_sections[i]->times == SECTION_ALWAYS)
            config_drafts_add(drafts, config_sections[i], "", 0);
    const unsigned last_line = inifile_read(text, size, &events, &loader);
    for (unsigned i = 0; i < drafts->count; i++)
        config_draft_complete(&drafts->list[i]);
    struct config *config = build_config(drafts);
    /* An editor or a full disk may have emptied the file: that must not remove the packs. */
    if (loader.in_section)
        config_check(drafts, last_line);
    else
        mistakes_add(mistakes, last_line, "there is no [section]");
    /* The texts are kept for the comparison with a later configuration. */
    unsigned count = 0;
    for (unsigned i = 0; i < drafts->count; i++)
        count += drafts->list[i].text_count;
    if (mistakes->count == 0)
        config->entries = alloc_zeroed(count, sizeof *config->entries);
    for (unsigned d = 0; config->entries && d < drafts->count; d++) {
        struct config_draft *draft = &drafts->list[d];
        for (unsigned i = 0; i < draft->text_count; i++)
            config->entries[config->entry_count++] = draft->texts[i];
        draft->text_count = 0;
    }
    config_drafts_free(drafts);
    if (mistakes->count == 0)
        return config;
    config_free(config);
    return NULL;
}

struct config *config_parse(const char *text, const char *name, FILE *errors)
{
    struct mistakes mistakes = {0};
    struct config *config = config_read(text, strlen(text), &mistakes);
    mistakes_print(&mistakes, name, errors);
    mistakes_free(&mistakes);
    return config;
}

/* The text of a file with a NUL at its end, on the heap; NULL: it cannot be read, which is a mistake. `again`: while packs are polled,
 * it must not block, as opening a pipe without a writer would. */
static char *read_file(const char *path, bool again, size_t *size, struct mistakes *mistakes)
{
    const bool standard = strcmp(path, "-") == 0;
    const char *why = NULL;
    FILE *file = standard ? stdin : again ? regular_open(path, &why) : fopen(path, "re");
    if (!file) {
        mistakes_add(mistakes, 0, "cannot be opened: %s", why ? why : strerror(errno));
        return NULL;
    }
    char *text = alloc_checked(malloc(LARGEST_FILE + 2));
    *size = fread(text, 1, LARGEST_FILE + 1, file);
    text[*size] = '\0';
    const bool failed = ferror(file);
    if (failed)
        mistakes_add(mistakes, 0, "cannot be read: %s", strerror(errno));
    else if (*size > LARGEST_FILE)
        mistakes_add(mistakes, 0, "larger than %d bytes; expected a configuration", LARGEST_FILE);
    if (!standard)
        fclose(file);
    if (!failed && *size <= LARGEST_FILE)
        return text;
    free(text);
    return NULL;
}

struct config *config_load(const char *path, FILE *errors)
{
    struct config_file file = {0};
    struct config *config = config_file_load(&file, path, 0);
    mistakes_print(&file.mistakes, config_file_name(path), errors);
    config_file_free(&file);
    return config;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (unsigned i = 0; config_sections[i]; i++) {
        const struct config_section *section = config_sections[i];
        char *structs = config_structs(config, section);
        const unsigned count = section->owned > 0 ? config_struct_count(config, section) : 0;
        for (unsigned n = 0; n < count; n++) {
            void *owned;
            memcpy(&owned, structs + n * section->size + section->owned, sizeof owned);
            free(owned);
        }
        if (section->times != SECTION_ALWAYS)
            free(structs);
    }
    for (unsigned i = 0; i < config->entry_count; i++)
        free(config->entries[i].text);
    free(config->entries);
    free(config);
}

/* Whether a key holds a secret: an unknown one whose name suggests it. Where the path of a file is expected, the value may
 * be the password itself, by mistake. */
static bool is_secret(const char *name, size_t size, const char *value)
{
    static const char *const words[] = {"pass", "secret", "token", "pin", "key", "crypt"};
    bool known = false;
    for (unsigned s = 0; config_sections[s]; s++)
        for (unsigned k = 0; k < config_sections[s]->key_count; k++) {
            const struct config_key *key = &config_sections[s]->keys[k];
            known |= strlen(key->name) == size && strncasecmp(key->name, name, size) == 0;
        }
    bool is_file = size > 5 && strncasecmp(name + size - 5, "_file", 5) == 0;
    if (is_file)
        return value[0] != '/' && strncasecmp(value, "none", 4) != 0;
    for (size_t i = 0; !known && i < sizeof words / sizeof *words; i++)
        for (size_t at = 0; at + strlen(words[i]) <= size; at++)
            if (strncasecmp(name + at, words[i], strlen(words[i])) == 0)
                return true;
    return false;
}

/* Keys belong into files, but get pasted anywhere: long hex strings are masked in any text. */
static void write_text(FILE *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        size_t digits = 0;
        while (i + digits < size && isxdigit((unsigned char) text[i + digits]))
            digits++;
        if (digits >= KEY_DIGITS)
            fputs(BLANK, out);
        else
            fwrite(text + i, 1, digits, out);
        i += digits;
        if (i < size)
            fputc(text[i++], out);
    }
}

/* "tcp://user:password@host": what precedes the @ is masked. */
static void write_value(FILE *out, const char *value, size_t size)
{
    const char *address = memmem(value, size, "://", 3);
    const char *at = address ? memrchr(address, '@', size - (size_t) (address - value)) : NULL;
    if (at) {
        fwrite(value, 1, (size_t) (address + 3 - value), out);
        fputs(BLANK, out);
    }
    write_text(out, at ? at : value, size - (size_t) (at ? at - value : 0));
}

/* A comment may hold an entry that was used before. */
static void write_blanked_line(FILE *out, const char *line, size_t size)
{
    const size_t begin = strspn(line, ";# \t\v\f\r");
    const char *equals = memchr(line + begin, '=', size - begin);
    const char *colon = memchr(line + begin, ':', size - begin);
    const char *sign = equals ? equals : colon;
    if (!sign) {
        write_value(out, line, size);
        return;
    }
    size_t name_size = (size_t) (sign - line) - begin;
    while (name_size > 0 && isspace((unsigned char) line[begin + name_size - 1]))
        name_size--;
    const size_t value = (size_t) (sign + 1 + strspn(sign + 1, " \t") - line);
    write_text(out, line, value);
    if (value < size && is_secret(line + begin, name_size, line + value))
        fputs(BLANK, out);
    else
        write_value(out, line + value, size - value);
}

char *config_masked(const char *text)
{
    char *masked = NULL;
    size_t size = 0;
    FILE *out = alloc_checked(open_memstream(&masked, &size));
    while (*text) {
        const size_t length = strcspn(text, "\n");
        write_blanked_line(out, text, length);
        fputs(text[length] ? "\n" : "", out);
        text += length + (text[length] != '\0');
    }
    return alloc_checked(fclose(out) == 0 ? masked : NULL);
}

struct config *config_file_load(struct config_file *file, const char *path, double now)
{
    size_t size;
    const bool again = file->path;
    config_file_free(file);
    char *text = read_file(path, again, &size, &file->mistakes);
    struct config *config = text ? config_read(text, size, &file->mistakes) : NULL;
    file->text = text ? config_masked(text) : NULL;
    free(text);
    char *real = realpath(path, NULL);
    file->path = real ? real : alloc_checked(strdup(path));
    file->in_force = config != NULL;
    file->read_at = now;
    return config;
}

void config_file_free(struct config_file *file)
{
    free(file->path);
    free(file->text);
    mistakes_free(&file->mistakes);
    *file = (struct config_file){0};
}
