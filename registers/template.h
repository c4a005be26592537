// SPDX-License-Identifier: MIT
/*
 * Client files from templates: text with the values of the map put in. docs/templates.md has the language; the templates of
 * conf/clients/ are compiled in.
 */
#ifndef PACKGATE_REGISTERS_TEMPLATE_H
#define PACKGATE_REGISTERS_TEMPLATE_H

#include "map.h"

struct template_fault {
    unsigned line; /* of the template, from 1 */
    char reason[200];
};

/** Prints a template. `format` is its name, for templates that serve several formats. False: `fault` says where and why,
 * and a part of it may be printed. */
bool template_print(const char *text, const char *format, const struct map_settings *settings,
                    FILE *out, struct template_fault *fault);

/* Those of conf/clients/, up to one without a name. */
struct template_file {
    const char *name, *text;
};
extern const struct template_file template_files[];

/** The template of a format that is compiled in; NULL: there is none. */
const char *template_find(const char *format);

#endif
