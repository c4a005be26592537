// SPDX-License-Identifier: MIT
/*
 * The configuration file: its sections and keys are gathered as drafts (config_draft), checked as a
 * whole (config_check) and then packed into the structs that the gateway runs on.
 */
#include "config.h"

#include "check.h"
#include "inifile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST_FILE (1024 * 1024)

struct loader {
    struct config_drafts drafts;
    struct config_draft *section; /* where keys go; NULL: nowhere, that mistake is reported */
    bool in_section;              /* a heading was seen */
    struct mistakes mistakes;
};

static const char *list_sections(char *out, size_t size)
{
    snprintf(out, size, "; expected ");
    for (unsigned i = 0; i < CONFIG_SECTIONS; i++) {
        size_t used = strlen(out);
        const char *before = i == 0 ? "" : i + 1 < CONFIG_SECTIONS ? ", " : " or ";
        snprintf(out + used, size - used, "%s%s", before,
                 config_section_info((enum config_section) i)->heading);
    }
    return out;
}

static void report_section(struct loader *loader, unsigned line, const char *text, const char *word)
{
    struct suggest suggest;
    suggest_init(&suggest, word);
    for (unsigned i = 0; i < CONFIG_SECTIONS; i++)
        suggest_offer(&suggest, config_section_info(i)->word);
    char hint[SUGGEST_HINT_SIZE], expected[200];
    mistakes_add(&loader->mistakes, line, "unknown section [%s]%s", text,
                 suggest.best ? suggest_hint(&suggest, hint)
                              : list_sections(expected, sizeof expected));
}

static bool find_section(const char *word, enum config_section *section)
{
    for (unsigned i = 0; i < CONFIG_SECTIONS; i++) {
        if (strcmp(config_section_info(i)->word, word) == 0) {
            *section = (enum config_section) i;
            return true;
        }
    }
    return false;
}

/* There is one, which the drafts begin with; a second heading is a mistake, its keys are looked at
 * all the same. */
static void open_gateway(struct loader *loader, unsigned line, const char *name)
{
    struct config_draft *gateway = &loader->drafts.list[0];
    loader->section = gateway;
    if (name[0])
        mistakes_add(&loader->mistakes, line, "[gateway %s] has a name; expected [gateway]", name);
    if (gateway->heading > 0)
        mistakes_add(&loader->mistakes, line, "a second [gateway]; the first is in line %u",
                     gateway->heading);
    else
        gateway->heading = line;
}

static void open_named(struct loader *loader, unsigned line, enum config_section section,
                       const char *name)
{
    bool good = config_name_good(name);
    loader->section = config_drafts_add(&loader->drafts, section, good ? name : "", line);
    if (!loader->section)
        mistakes_add(&loader->mistakes, line, "out of memory");
    else if (!good)
        mistakes_add(&loader->mistakes, line,
                     "'%s' is no name for a %s; expected %s with 1 to %d letters, digits, '-', '_' "
                     "or '.'",
                     name, config_section_info(section)->word,
                     config_section_info(section)->heading, NAME_SIZE - 1);
}

static void take_heading(void *user, unsigned line, const char *text)
{
    struct loader *loader = user;
    char word[256];
    size_t length = strcspn(text, " \t");
    snprintf(word, sizeof word, "%.*s", (int) length, text);
    const char *name = text + length + strspn(text + length, " \t");
    enum config_section section;
    loader->in_section = true;
    loader->section = NULL;
    if (!find_section(word, &section))
        report_section(loader, line, text, word);
    else if (config_section_info(section)->named)
        open_named(loader, line, section, name);
    else
        open_gateway(loader, line, name);
}

static const char *nearest_key(enum config_section section, const char *key)
{
    const char *alias = config_key_alias(section, key);
    if (alias)
        return alias;
    struct suggest suggest;
    suggest_init(&suggest, key);
    for (unsigned row = 0; row < config_key_count; row++)
        if (config_keys[row].section == section)
            suggest_offer(&suggest, config_keys[row].name);
    return suggest.best;
}

/* The heading of another section that has the key, or NULL. */
static const char *home_of(const char *key)
{
    for (unsigned i = 0; i < CONFIG_SECTIONS; i++)
        if (config_key_find((enum config_section) i, key) >= 0)
            return config_section_info((enum config_section) i)->heading;
    return NULL;
}

static void report_key(struct loader *loader, unsigned line, const char *key)
{
    const struct config_draft *draft = loader->section;
    const struct config_section_info *info = config_section_info(draft->section);
    const char *nearest = nearest_key(draft->section, key), *home = home_of(key);
    char heading[NAME_SIZE + 16], hint[100] = "";
    snprintf(heading, sizeof heading, "%s%s%s", info->word, info->named ? " " : "", draft->name);
    if (nearest)
        snprintf(hint, sizeof hint, "; did you mean '%s'?", nearest);
    else if (home)
        snprintf(hint, sizeof hint, "; it belongs in %s", home);
    mistakes_add(&loader->mistakes, line, "unknown key '%s' in [%s]%s", key, heading, hint);
}

static void take_entry(void *user, unsigned line, const char *key, const char *value)
{
    struct loader *loader = user;
    if (!loader->in_section)
        mistakes_add(&loader->mistakes, line, "'%s' stands before the first [section]", key);
    if (!loader->section)
        return;
    int row = config_key_find(loader->section->section, key);
    if (row < 0)
        report_key(loader, line, key);
    else
        config_draft_set(loader->section, (unsigned) row, value, line, &loader->mistakes);
}

static void take_mistake(void *user, unsigned line, const char *message)
{
    struct loader *loader = user;
    mistakes_add(&loader->mistakes, line, "%s", message);
}

static void read_drafts(struct loader *loader, const char *text, size_t size)
{
    static const struct inifile_events events = {
        .heading = take_heading, .entry = take_entry, .mistake = take_mistake};
    unsigned last_line = inifile_read(text, size, &events, loader);
    for (unsigned i = 0; i < loader->drafts.count; i++)
        config_draft_complete(&loader->drafts.list[i], &loader->mistakes);
    config_check(&loader->drafts, last_line, &loader->mistakes);
}

static unsigned count_section(const struct config_drafts *drafts, enum config_section section)
{
    unsigned count = 0;
    for (unsigned i = 0; i < drafts->count; i++)
        count += drafts->list[i].section == section;
    return count;
}

static void take_line(struct config *config, const struct config_draft *draft)
{
    struct line_config *line = &config->lines[config->line_count++];
    *line = draft->as.line;
    memcpy(line->name, draft->name, sizeof line->name);
    line->gap_set = config_draft_given(draft, "gap");
}

static void take_pack(struct config *config, const struct config_draft *draft)
{
    struct pack_config *pack = &config->packs[config->pack_count++];
    *pack = draft->as.pack.pack;
    memcpy(pack->name, draft->name, sizeof pack->name);
    for (unsigned i = 0; i < config->line_count; i++)
        if (strcmp(config->lines[i].name, draft->line->name) == 0)
            pack->line = &config->lines[i];
}

static void note_company(struct config *config)
{
    for (unsigned i = 0; i < config->pack_count; i++)
        for (unsigned j = 0; j < config->pack_count; j++)
            config->packs[i].options.shared |=
                i != j && config->packs[i].line == config->packs[j].line;
}

static const struct pack_config *find_pack(const struct config *config, const char *name)
{
    for (unsigned i = 0; i < config->pack_count; i++)
        if (strcmp(config->packs[i].name, name) == 0)
            return &config->packs[i];
    return NULL;
}

static void take_bank(struct config *config, const struct config_draft *draft)
{
    const struct pack_names *names = &draft->as.bank.packs;
    struct bank_config *bank = &config->banks[config->bank_count++];
    *bank = draft->as.bank.bank;
    memcpy(bank->name, draft->name, sizeof bank->name);
    for (unsigned i = 0; i < names->count; i++)
        bank->packs[bank->pack_count++] = find_pack(config, names->list[i]);
}

static bool take_push(struct config *config, const struct config_draft *draft)
{
    struct push_config *push = &config->pushes[config->push_count++];
    *push = draft->as.push.push;
    memcpy(push->name, draft->name, sizeof push->name);
    push->writes = calloc(push->write_count, sizeof *push->writes);
    if (push->writes)
        memcpy(push->writes, draft->as.push.push.writes, push->write_count * sizeof *push->writes);
    return push->writes != NULL;
}

/* All lines before the first pack, all packs before the first bank: the file may have another
 * order. False: out of memory. */
static bool fill(struct config *config, const struct config_drafts *drafts)
{
    config->gateway = drafts->list[0].as.gateway;
    for (unsigned i = 0; i < drafts->count; i++)
        if (drafts->list[i].section == SECTION_LINE)
            take_line(config, &drafts->list[i]);
    for (unsigned i = 0; i < drafts->count; i++)
        if (drafts->list[i].section == SECTION_PACK)
            take_pack(config, &drafts->list[i]);
    note_company(config);
    for (unsigned i = 0; i < drafts->count; i++)
        if (drafts->list[i].section == SECTION_BANK)
            take_bank(config, &drafts->list[i]);
    bool ok = true;
    for (unsigned i = 0; i < drafts->count; i++)
        if (drafts->list[i].section == SECTION_PUSH)
            ok &= take_push(config, &drafts->list[i]);
    return ok;
}

static struct config *build(const struct config_drafts *drafts)
{
    struct config *config = calloc(1, sizeof *config);
    if (!config)
        return NULL;
    config->lines = calloc(count_section(drafts, SECTION_LINE), sizeof *config->lines);
    config->packs = calloc(count_section(drafts, SECTION_PACK), sizeof *config->packs);
    config->banks = calloc(count_section(drafts, SECTION_BANK) + 1, sizeof *config->banks);
    config->pushes = calloc(count_section(drafts, SECTION_PUSH) + 1, sizeof *config->pushes);
    if (!config->lines || !config->packs || !config->banks || !config->pushes ||
        !fill(config, drafts)) {
        config_free(config);
        return NULL;
    }
    return config;
}

static struct config *parse(const char *text, size_t size, const char *name, FILE *errors)
{
    struct loader *loader = calloc(1, sizeof *loader);
    struct config *config = NULL;
    if (loader && config_drafts_add(&loader->drafts, SECTION_GATEWAY, "", 0)) {
        read_drafts(loader, text, size);
        mistakes_print(&loader->mistakes, name, errors);
        if (loader->mistakes.count == 0)
            config = build(&loader->drafts);
    }
    if (!loader || (!config && loader->mistakes.count == 0))
        fprintf(errors, "%s: out of memory\n", name);
    if (loader) {
        mistakes_free(&loader->mistakes);
        config_drafts_free(&loader->drafts);
        free(loader);
    }
    return config;
}

struct config *config_parse(const char *text, const char *name, FILE *errors)
{
    return parse(text, strlen(text), name, errors);
}

static struct config *load(FILE *file, const char *name, FILE *errors)
{
    struct config *config = NULL;
    char *text = malloc(LARGEST_FILE + 1);
    size_t size = text ? fread(text, 1, LARGEST_FILE + 1, file) : 0;
    if (!text)
        fprintf(errors, "%s: out of memory\n", name);
    else if (ferror(file))
        fprintf(errors, "%s: cannot be read: %s\n", name, strerror(errno));
    else if (size > LARGEST_FILE)
        fprintf(errors, "%s: larger than %d bytes; expected a configuration\n", name, LARGEST_FILE);
    else
        config = parse(text, size, name, errors);
    free(text);
    return config;
}

struct config *config_load(const char *path, FILE *errors)
{
    if (strcmp(path, "-") == 0)
        return load(stdin, "standard input", errors);
    FILE *file = fopen(path, "re");
    if (!file) {
        fprintf(errors, "%s: cannot be opened: %s\n", path, strerror(errno));
        return NULL;
    }
    struct config *config = load(file, path, errors);
    fclose(file);
    return config;
}

bool config_name_good(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t length = strlen(name);
    return length > 0 && length < NAME_SIZE && strspn(name, allowed) == length;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    free(config->lines);
    free(config->packs);
    free(config->banks);
    for (unsigned i = 0; i < config->push_count; i++)
        free(config->pushes[i].writes);
    free(config->pushes);
    free(config);
}
