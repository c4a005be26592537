// SPDX-License-Identifier: MIT
#include "check_files.h"

#include "bms/count.h"
#include "config/keys.h"
#include "base/regular.h"

#include <stdlib.h>
#include <string.h>

#define LINE_MOST 512 /* bytes; longer lines are checked in parts */

static const char *judge_secret(const char *line)
{
    return line[0] ? NULL : "its first line is empty; expected the secret there";
}

static const char *judge_hash(const char *line)
{
    return line[0] == '$' && strchr(line + 1, '$')
               ? NULL
               : "its first line is not a hash; expected one written by `packgate password`";
}

static const char *judge_certificate(const char *line)
{
    return strstr(line, "-----BEGIN ") && strstr(line, "CERTIFICATE-----")
               ? NULL
               : "there is no certificate in it; expected PEM, with a line -----BEGIN "
                 "CERTIFICATE-----";
}

static const char *judge_key(const char *line)
{
    if (strstr(line, "ENCRYPTED"))
        return "its key has a passphrase; expected a key without one";
    return strstr(line, "-----BEGIN ") && strstr(line, "PRIVATE KEY-----")
               ? NULL
               : "there is no private key in it; expected PEM, with a line -----BEGIN PRIVATE "
                 "KEY-----";
}

/* What the file of a key must contain: in its first line, or in any line. */
static const struct {
    const struct config_section *section; /* NULL: any section */
    const char *key;
    const char *(*judge)(const char *line);
    bool any_line;
} files[] = {
    {&web_section, "password_file", judge_hash, false},
    {NULL, "password_file", judge_secret, false},
    {NULL, "token_file", judge_secret, false},
    {NULL, "key_file", judge_secret, false},
    {NULL, "url_file", judge_secret, false},
    {&notify_section, "url", judge_secret, false}, /* where it is the path of a file */
    {NULL, "ca_file", judge_certificate, true},
    {NULL, "client_cert", judge_certificate, true},
    {NULL, "tls_cert", judge_certificate, true},
    {NULL, "client_key", judge_key, true},
    {NULL, "tls_key", judge_key, true},
};

static const char *judge_lines(FILE *file, const char *(*judge)(const char *line), bool any_line)
{
    char line[LINE_MOST] = "";
    const char *why;
    do {
        const bool more = fgets(line, sizeof line, file) != NULL;
        line[more ? strcspn(line, "\r\n") : 0] = '\0';
        why = judge(line);
        if (!more)
            break;
    } while (why && any_line && !strstr(line, "-----BEGIN ENCRYPTED"));
    explicit_bzero(line, sizeof line);
    return why;
}

static const char *judge_file(const char *path, const char *(*judge)(const char *line),
                              bool any_line)
{
    const char *why;
    FILE *file = regular_open(path, &why);
    if (!file)
        return why;
    why = judge_lines(file, judge, any_line);
    fclose(file);
    return why;
}

/* "CERTIFICATE, KEY", or the first alone. */
static const char *judge_files(const char *text, const char *(*judge)(const char *line),
                               bool any_line)
{
    char first[PORT_SIZE];
    const char *comma = judge == judge_certificate ? strchr(text, ',') : NULL;
    if (!comma)
        return judge_file(text, judge, any_line);
    snprintf(first, sizeof first, "%.*s", (int) (comma - text), text);
    first[strcspn(first, " ")] = '\0';
    const char *why = judge_file(first, judge, any_line);
    return why ? why : judge_file(comma + 1 + strspn(comma + 1, " "), judge_key, true);
}

const char *check_file(const struct config_entry *entry)
{
    for (size_t i = 0; i < COUNT(files); i++) {
        /* A pack's password is checked with the rest of its section. */
        if (strcmp(files[i].key, entry->key->name) != 0 || entry->section == &pack_section ||
            (files[i].section && files[i].section != entry->section) ||
            (strcmp(files[i].key, "url") == 0 && entry->text[0] != '/') ||
            strcmp(entry->text, "none") == 0)
            continue;
        return judge_files(entry->text, files[i].judge, files[i].any_line);
    }
    return NULL;
}
