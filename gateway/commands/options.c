// SPDX-License-Identifier: MIT
#include "options.h"
#include "command.h"

#include "config/load.h"
#include "base/alloc.h"
#include "bms/count.h"
#include "bms/modbus/modbus.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define MOST_ROWS 14
#define WITHOUT_LETTER 256 /* the value of the first row, for getopt */

int options_try(int argc, char **argv, const struct option_row *rows, int most)
{
    struct option options[MOST_ROWS + 2] = {{0}};
    char letters[2 * MOST_ROWS + 2] = "h", *end = letters + 1;
    int count = 0, option;
    for (const struct option_row *row = rows; row->name; row++) {
        options[count] = (struct option){row->name,
                                         !row->text  ? no_argument
                                         : row->flag ? optional_argument
                                                     : required_argument,
                                         NULL, WITHOUT_LETTER + count};
        if (row->letter)
            end += sprintf(end, "%c%s", row->letter, row->text ? ":" : "");
        count++;
    }
    options[count] = (struct option){"help", no_argument, NULL, 'h'};
    while ((option = getopt_long(argc, argv, letters, options, NULL)) != -1) {
        const struct option_row *row = rows;
        while (row->name && row->letter != option && WITHOUT_LETTER + (row - rows) != option)
            row++;
        if (!row->name)
            return option == 'h' ? EXIT_DONE : EXIT_USAGE;
        if (row->text)
            row->text[row->count ? (*row->count)++ : 0] = optarg;
        if (row->flag)
            *row->flag = true;
    }
    if (argc - optind <= most)
        return -1;
    fprintf(stderr, "packgate %s: unexpected argument '%s'\n\n", argv[0], argv[optind + most]);
    return EXIT_USAGE;
}

void options_parse(int argc, char **argv, const struct option_row *rows, int most,
                   const char *usage)
{
    const int status = options_try(argc, argv, rows, most);
    if (status < 0)
        return;
    fputs(usage, status == EXIT_DONE ? stdout : stderr);
    exit(status);
}

int options_refuse(const char *usage, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fprintf(stderr, "\n%s%s", usage ? "\n" : "", usage ? usage : "");
    return EXIT_USAGE;
}

const char *options_port(const char *port, char out[PORT_SIZE])
{
    snprintf(out, PORT_SIZE, "%s%s", port[0] == '/' ? "serial:" : "", port);
    return out;
}

/* A file as users type it, also relative to the current folder. NULL for NULL. */
static const char *whole_path(const char *path, char out[PORT_SIZE])
{
    char folder[PORT_SIZE];
    if (!path)
        return NULL;
    const bool inside = path[0] != '/' && path[0] != '\0' && getcwd(folder, sizeof folder);
    const int size =
        snprintf(out, PORT_SIZE, "%s%s%s", inside ? folder : "", inside ? "/" : "", path);
    return size < PORT_SIZE ? out : path; /* too long: checking the configuration reports it */
}

/* One line of the configuration; left out if it has no words. */
struct line {
    const char *option; /* "--baud"; NULL: not given by the user */
    const char *key;    /* NULL: none */
    const char *words[3];
};

/* A word must not contain a line break, which would add lines. */
static bool write_line(FILE *out, const struct line *line)
{
    bool any = false;
    for (size_t i = 0; i < COUNT(line->words); i++) {
        if (!line->words[i])
            continue;
        if (any)
            fputc(' ', out);
        else if (line->key)
            fprintf(out, "%s = ", line->key);
        for (const char *c = line->words[i]; *c; c++)
            fputc(*c == '\n' || *c == '\r' ? ' ' : *c, out);
        any = true;
    }
    fputs(any ? "\n" : "", out);
    return any;
}

struct config *options_config(const char *command, const struct option_pack *pack)
{
    char port[PORT_SIZE], key_file[PORT_SIZE];
    const char *of_protocol = pack->map ? "--map" : pack->variant ? "--variant" : "--protocol";
    const struct line lines[] = {
        {NULL, NULL, {"[line port]"}},
        {pack->port_name, "port", {options_port(pack->port, port)}},
        {pack->baud ? "--baud" : "--framing", "baud", {pack->baud, pack->framing}},
        {"--key-file", "key_file", {whole_path(pack->key_file, key_file)}},
        {NULL, NULL, {"[pack pack]"}},
        {NULL, "line", {"port"}},
        {NULL, "unit", {"1"}},
        {of_protocol, "protocol", {pack->protocol, pack->variant, pack->map}},
        {"--address", "address", {pack->address}},
    };
    if (pack->map && strcmp(pack->protocol, modbus_user_driver.name) != 0) {
        fprintf(stderr, "packgate %s: --map '%s': only protocol modbus has a map\n", command,
                pack->map);
        return NULL;
    }
    const char *options[COUNT(lines) + 1] = {NULL}; /* by line, from 1 */
    char *text = NULL;
    size_t size = 0;
    unsigned line = 0;
    FILE *out = alloc_checked(open_memstream(&text, &size));
    for (size_t i = 0; i < COUNT(lines); i++)
        if (write_line(out, &lines[i]))
            options[++line] = lines[i].option;
    fclose(out);
    struct mistakes mistakes = {0};
    struct config *config = config_read(text, size, &mistakes);
    for (unsigned i = 0; i < mistakes.listed; i++) {
        const char *option = options[mistakes.list[i].line];
        fprintf(stderr, "packgate %s: %s%s%s\n", command, option ? option : "", option ? ": " : "",
                mistakes.list[i].text);
    }
    mistakes_free(&mistakes);
    free(text);
    return config;
}
