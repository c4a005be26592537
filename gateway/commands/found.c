// SPDX-License-Identifier: MIT
#include "found.h"

#include "config/keys.h"

#include <math.h>
#include <string.h>

#define MOST_UNITS 247
#define SAME_CELL_MV 0.5
#define SAME_V 0.02

void found_add(struct found *found, const struct search_found *pack)
{
    if (found->count == FOUND_PACKS)
        return;
    found->packs[found->count++] = (struct found_pack){
        .driver = pack->driver,
        .address = bms_address_of(pack->driver, pack->options.address),
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

static bool has_unit(const struct config *beside, int unit)
{
    bool any = false;
    for (unsigned i = 0; i < beside->pack_count; i++)
        any |= beside->packs[i].unit == unit;
    for (unsigned i = 0; i < beside->bank_count; i++)
        any |= beside->banks[i].unit == unit;
    for (unsigned i = 0; i < beside->view_count; i++) {
        const struct view_config *view = &beside->views[i];
        /* One with an address of its own has units of its own. */
        for (unsigned n = 0; view->listen.count == 0 && n < view->units.count; n++)
            any |= (int) view->units.id[n] == unit;
    }
    return any;
}

static const struct pack_config *
pack_on(const struct config *beside, const struct line_config *line, const struct found_pack *pack)
{
    for (unsigned i = 0; line && i < beside->pack_count; i++) {
        const struct pack_config *other = &beside->packs[i];
        if (other->line == line && other->driver == pack->driver &&
            bms_address_of(other->driver, other->options.address) == pack->address)
            return other;
    }
    return NULL;
}

/* If packs with addresses were found, those without one cannot stay on the line; otherwise only
 * the first can. */
static bool is_apart(const struct found *found, const struct found_pack *pack)
{
    bool addressed = false;
    for (unsigned i = 0; i < found->count; i++)
        addressed |= !bms_is_alone(found->packs[i].driver);
    return bms_is_alone(pack->driver) && (addressed || pack != &found->packs[0]);
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
        const bool told = found->serial || pack == first;
        serial |= told && (first->baud != pack->driver->line.baud ||
                           strcmp(first->framing, BMS_FRAMING) != 0);
    }
    fprintf(out, "[line %s]\nport = %s\n", name, found->port);
    if (found->key_file && found->key_file[0])
        fprintf(out, "key_file = %s\n", found->key_file);
    if (first && serial)
        fprintf(out, "baud = %u %s\n", first->baud, first->framing);
}

unsigned found_write(const struct found *found, const struct config *beside, FILE *out)
{
    static const struct config none;
    if (!beside)
        beside = &none;
    int unit = 0;
    unsigned last_line = 0, last_pack = 0;
    char line[NAME_SIZE], name[NAME_SIZE];
    unsigned written = 0;
    const struct line_config *there = config_line_on(beside, found->port);
    snprintf(line, sizeof line, "%s", there ? there->name : "");
    while (!there && (!line[0] || config_struct_find(beside, &line_section, line)))
        snprintf(line, sizeof line, "line-%u", ++last_line);
    for (unsigned i = 0; i < found->count; i++) {
        const struct found_pack *pack = &found->packs[i], *twin = found->packs;
        while (twin < pack && !same_values(&twin->values, &pack->values))
            twin++;
        const struct pack_config *known = pack_on(beside, there, pack);
        if (i > 0)
            fputc('\n', out);
        fprintf(out, "; %s, ", pack->driver->title);
        found_print_values(&pack->values, out);
        fputc('\n', out);
        if (pack->driver->guide.unseen)
            fprintf(out, "; %s\n", pack->driver->guide.unseen);
        if (twin < pack)
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
        do /* banks and packs share one set of names */
            snprintf(name, sizeof name, "pack-%u", ++last_pack);
        while (config_struct_find(beside, &pack_section, name) ||
               config_struct_find(beside, &bank_section, name));
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
        while (unit < MOST_UNITS && has_unit(beside, ++unit))
            continue;
        fprintf(out, "%sunit = %d\n", indent, unit);
        written += !apart;
    }
    return written;
}
