// SPDX-License-Identifier: MIT
/* Writes what a search has found as a configuration. */
#include "found.h"

#include <math.h>
#include <string.h>

#define MOST_UNITS 247
#define SAME_CELL_MV 0.5
#define SAME_V 0.02

void found_add(struct found *found, const struct search_found *pack)
{
    if (found->count == FOUND_PACKS)
        return;
    const int address = pack->options.address;
    found->packs[found->count++] = (struct found_pack){
        .driver = pack->driver,
        .address = address >= 0 ? address : pack->driver->address_default,
        .variant = pack->options.variant,
        .baud = pack->baud,
        .framing = pack->framing,
        .values = *pack->values,
    };
}

void found_print_values(const struct pack *values, FILE *out)
{
    const char *before = "";
    if (pack_known(values, VOLTAGE_V)) {
        fprintf(out, "%.2f V", values->value[VOLTAGE_V]);
        before = ", ";
    }
    if (pack_known(values, CELL_COUNT)) {
        fprintf(out, "%s%.0f cells", before, values->value[CELL_COUNT]);
        before = ", ";
    }
    if (pack_known(values, SOC_PERCENT))
        fprintf(out, "%sSOC %.1f %%", before, values->value[SOC_PERCENT]);
}

/* ---- free names and units ---- */

struct taken {
    const struct config *beside;
    bool units[MOST_UNITS + 1];
    unsigned last_line, last_pack; /* last numbers used */
};

static void note_units(struct taken *taken)
{
    const struct config *beside = taken->beside;
    for (unsigned i = 0; beside && i < beside->pack_count; i++)
        taken->units[beside->packs[i].unit] = true;
    for (unsigned i = 0; beside && i < beside->bank_count; i++)
        taken->units[beside->banks[i].unit] = true;
}

static int next_unit(struct taken *taken)
{
    int unit = 1;
    while (unit < MOST_UNITS && taken->units[unit])
        unit++;
    taken->units[unit] = true;
    return unit;
}

/* Banks and packs share one set of names. */
static bool has_pack(const struct config *beside, const char *name)
{
    for (unsigned i = 0; beside && i < beside->pack_count; i++)
        if (strcmp(beside->packs[i].name, name) == 0)
            return true;
    for (unsigned i = 0; beside && i < beside->bank_count; i++)
        if (strcmp(beside->banks[i].name, name) == 0)
            return true;
    return false;
}

static bool has_line(const struct config *beside, const char *name)
{
    for (unsigned i = 0; beside && i < beside->line_count; i++)
        if (strcmp(beside->lines[i].name, name) == 0)
            return true;
    return false;
}

static void name_line(struct taken *taken, char name[NAME_SIZE])
{
    do {
        snprintf(name, NAME_SIZE, "line-%u", ++taken->last_line);
    } while (has_line(taken->beside, name));
}

static void name_pack(struct taken *taken, char name[NAME_SIZE])
{
    do {
        snprintf(name, NAME_SIZE, "pack-%u", ++taken->last_pack);
    } while (has_pack(taken->beside, name));
}

/* The line of the existing configuration with this port; NULL: none. */
static const struct line_config *line_with(const struct config *beside, const char *port)
{
    for (unsigned i = 0; beside && i < beside->line_count; i++)
        if (strcmp(beside->lines[i].port, port) == 0)
            return &beside->lines[i];
    return NULL;
}

static const struct pack_config *
pack_on(const struct config *beside, const struct line_config *line, const struct found_pack *pack)
{
    for (unsigned i = 0; line && i < beside->pack_count; i++) {
        const struct pack_config *other = &beside->packs[i];
        const int address =
            other->options.address >= 0 ? other->options.address : other->driver->address_default;
        if (other->line == line && other->driver == pack->driver && address == pack->address)
            return other;
    }
    return NULL;
}

/* ---- what can share a line ---- */

static bool is_loner(const struct bms_driver *driver)
{
    return bms_talks(driver) || driver->line.one_pack;
}

/* If packs with addresses were found, those without one cannot stay on the line; otherwise only
 * the first can. */
static bool is_apart(const struct found *found, const struct found_pack *pack)
{
    bool addressed = false;
    for (unsigned i = 0; i < found->count; i++)
        addressed |= !is_loner(found->packs[i].driver);
    return is_loner(pack->driver) && (addressed || pack != &found->packs[0]);
}

/* Whether all cells have exactly the same voltages: these are the values of one pack. */
static bool same_values(const struct pack *a, const struct pack *b)
{
    const double cells = a->value[CELL_COUNT];
    if (!pack_known(a, CELL_COUNT) || !pack_known(b, CELL_COUNT) || cells != b->value[CELL_COUNT])
        return false;
    for (unsigned i = 0; i < (unsigned) cells && i < MAX_CELLS; i++)
        if (!(fabs(a->value[CELL_MV + i] - b->value[CELL_MV + i]) < SAME_CELL_MV))
            return false;
    return fabs(a->value[VOLTAGE_V] - b->value[VOLTAGE_V]) < SAME_V;
}

/* An earlier pack with the same values; NULL: none. */
static const struct found_pack *find_twin(const struct found *found, const struct found_pack *pack)
{
    for (const struct found_pack *other = found->packs; other < pack; other++)
        if (same_values(&other->values, &pack->values))
            return other;
    return NULL;
}

/* ---- writing ---- */

/* A serial line without settings of its own uses those of its first pack's protocol. */
static void write_line_section(const struct found *found, const char *name, FILE *out)
{
    const struct found_pack *first = NULL;
    bool serial = false;
    for (unsigned i = 0; i < found->count; i++) {
        const struct found_pack *pack = &found->packs[i];
        if (is_apart(found, pack))
            continue;
        first = first ? first : pack;
        const struct bms_line *usual = &pack->driver->line;
        const bool told = found->serial || pack == first;
        serial |=
            told && (first->baud != usual->baud || strcmp(first->framing, usual->framing) != 0);
    }
    fprintf(out, "[line %s]\nport = %s\n", name, found->port);
    if (found->key_file && found->key_file[0])
        fprintf(out, "key_file = %s\n", found->key_file);
    if (first && serial)
        fprintf(out, "baud = %u %s\n", first->baud, first->framing);
}

unsigned found_write(const struct found *found, const struct config *beside, FILE *out)
{
    struct taken taken = {.beside = beside};
    char line[NAME_SIZE], name[NAME_SIZE];
    unsigned written = 0;
    const struct line_config *there = line_with(beside, found->port);
    note_units(&taken);
    if (there)
        snprintf(line, sizeof line, "%s", there->name);
    else
        name_line(&taken, line);
    for (unsigned i = 0; i < found->count; i++) {
        const struct found_pack *pack = &found->packs[i], *twin = find_twin(found, pack);
        const struct pack_config *known = pack_on(beside, there, pack);
        if (i > 0)
            fputc('\n', out);
        fprintf(out, "; %s, ", pack->driver->title);
        found_print_values(&pack->values, out);
        fputc('\n', out);
        if (pack->driver->guide.unseen)
            fprintf(out, "; %s\n", pack->driver->guide.unseen);
        if (twin)
            fprintf(out, "; has the same cell voltages as %s at %d: is it the same pack?\n",
                    twin->driver->name, twin->address);
        if (i == 0 && !there) {
            write_line_section(found, line, out);
            fputc('\n', out);
        } else if (i == 0) {
            fprintf(out, "; [line %s] exists already\n", line);
        }
        if (known) {
            fprintf(out, "; exists already: [pack %s]\n", known->name);
            continue;
        }
        const bool apart = is_apart(found, pack);
        name_pack(&taken, name);
        if (apart)
            fprintf(out, "; cannot share the line: protocol '%s' %s and needs a line of its own\n",
                    pack->driver->name,
                    bms_talks(pack->driver) ? "sends without being polled" : "has no addresses");
        const char *indent = apart ? "; " : "";
        const struct bms_driver *driver = pack->driver;
        const bool variant = driver->variants && pack->variant > 0;
        fprintf(out, "%s[pack %s]\n%sline = %s\n%sprotocol = %s%s%s\n", indent, name, indent, line,
                indent, driver->name, variant ? " " : "",
                variant ? driver->variants[pack->variant] : "");
        if (bms_has_address(driver))
            fprintf(out, "%saddress = %d\n", indent, pack->address);
        fprintf(out, "%sunit = %d\n", indent, next_unit(&taken));
        written += !apart;
    }
    return written;
}
