// SPDX-License-Identifier: MIT
#include "table.h"

#include "base/alloc.h"

#include <string.h>

#define COLUMNS 20

/* Counts characters, not bytes: °C has three bytes and two columns. */
static size_t width_of(const char *cell, size_t size)
{
    size_t width = 0;
    for (size_t i = 0; i < size; i++)
        width += ((unsigned char) cell[i] & 0xC0) != 0x80;
    return width;
}

static void print_columns(const char *text)
{
    size_t widths[COLUMNS] = {0};
    for (int pass = 0; pass < 2; pass++) {
        unsigned column = 0;
        for (const char *cell = text; *cell;) {
            size_t size = strcspn(cell, "\t\n"), width = width_of(cell, size);
            bool last = cell[size] != '\t';
            if (pass == 0 && width > widths[column] && !last)
                widths[column] = width;
            if (pass == 1)
                printf("%.*s%*s%s", (int) size, cell, last ? 0 : (int) (widths[column] - width), "",
                       last ? "\n" : "  ");
            column = last || column + 1 == COLUMNS ? 0 : column + 1;
            cell += size + (cell[size] != '\0');
        }
    }
}

void table_begin(struct table *table, const char *heading)
{
    *table = (struct table){.heading = strlen(heading) + 1};
    table->out = alloc_checked(open_memstream(&table->text, &table->size));
    fprintf(table->out, "%s\n", heading);
}

void table_end(struct table *table, const char *before, const char *after)
{
    fclose(table->out);
    if (before && table->size > table->heading) {
        fputs(before, stdout);
        print_columns(table->text);
        fputs(after, stdout);
    }
    free(table->text);
}
