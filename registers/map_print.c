// SPDX-License-Identifier: MIT
/* The formats of the map: some written in C, and the client files, which are templates. */
#include "map.h"

#include "print.h"
#include "template.h"

#include "bms/count.h"

#include <string.h>

/* The compiled-in template of a format; NULL: there is none. Three sizes of a file come from one. */
static const char *find_template(const char *format)
{
    if (strcmp(format, "homeassistant-basic") == 0 || strcmp(format, "homeassistant-cells") == 0)
        format = "homeassistant";
    const struct template_file *file = template_files;
    while (file->name && strcmp(file->name, format) != 0)
        file++;
    return file->text;
}

bool map_print(const struct map_settings *settings, const char *format, FILE *out)
{
    static const struct {
        const char *format;
        void (*print)(const struct map_settings *settings, FILE *out);
    } printers[] = {
        {"md", print_md},
        {"json", print_json},
        {"csv", print_csv},
    };
    for (size_t i = 0; i < COUNT(printers); i++)
        if (strcmp(format, printers[i].format) == 0) {
            printers[i].print(settings, out);
            return true;
        }
    const char *text = find_template(format);
    struct template_fault fault;
    return text && template_print(text, format, settings, out, &fault);
}
