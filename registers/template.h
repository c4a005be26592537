// SPDX-License-Identifier: MIT
/*
 * The map and client files from templates: text into which values of the map are inserted. docs/templates.md
 * describes the language; the templates of formats/ and of conf/clients/ are compiled in.
 */
#pragma once

#include "map.h"

struct template_fault {
    unsigned line; /* of the template, from 1 */
    char reason[200];
};

/** Prints a template. `format` is its name, for templates that serve several formats. False:
 * `fault` says where and why; part of the output may have been printed. */
bool template_print(const char *text, const char *format, const struct map_settings *settings,
                    FILE *out, struct template_fault *fault);

/* The templates of formats/ and of conf/clients/; the last one has no name. */
struct template_file {
    const char *name, *text;
};
extern const struct template_file template_files[];
extern const char template_lua[];
