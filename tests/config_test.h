// SPDX-License-Identifier: MIT
/* Shared by the tests of configurations: texts, and what is said of them. */
#pragma once

#include "bms/count.h"
#include "config/load.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

/* The file is called "f". The caller frees the configuration, and the messages. */
static inline struct config *parse_config(const char *text, char **messages)
{
    size_t size;
    FILE *errors = open_memstream(messages, &size);
    assert_non_null(errors);
    struct config *config = config_parse(text, "f", errors);
    fclose(errors);
    return config;
}

/* One that is accepted, whatever is said of it. */
static inline struct config *parse_accepted(const char *text)
{
    char *messages;
    struct config *config = parse_config(text, &messages);
    if (!config)
        fail_msg("%s:\n%s", text, messages);
    free(messages);
    return config;
}

/* One of which nothing is said. */
static inline struct config *parse_good(const char *text)
{
    char *messages;
    struct config *config = parse_config(text, &messages);
    if (!config || messages[0])
        fail_msg("expected a good file, got:\n%s\nof:\n%s", messages, text);
    free(messages);
    return config;
}

/* A text, and a part of what is said of it, which is a mistake unless it begins with "warning: "; NULL: nothing. */
struct said {
    const char *text, *part;
};

static inline void expect_said(const char *before, const struct said *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *text, *messages;
        const char *part = rows[i].part;
        assert_true(asprintf(&text, "%s%s", before, rows[i].text) > 0);
        struct config *config = parse_config(text, &messages);
        const bool good = !part || strncmp(part, "warning: ", strlen("warning: ")) == 0;
        if ((part ? !strstr(messages, part) : messages[0] != '\0') || (config != NULL) != good)
            fail_msg("%s\nexpected %s, %s:\n%s", rows[i].text, part ? part : "nothing",
                     config ? "accepted" : "refused", messages);
        config_free(config);
        free(messages);
        free(text);
    }
}
