// SPDX-License-Identifier: MIT
#include "options.h"
#include "command.h"

#include "config/load.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_LINES 16
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

/* A value must not contain a line break, which would add lines. */
static void write_option_line(FILE *out, const struct option_line *line)
{
    if (line->key)
        fprintf(out, "%s = ", line->key);
    for (const char *c = line->value; *c; c++)
        fputc(*c == '\n' || *c == '\r' ? ' ' : *c, out);
    fputc('\n', out);
}

struct config *options_config(const char *command, const struct option_line *lines, unsigned count)
{
    const char *options[MOST_LINES + 1] = {NULL}; /* by line, from 1 */
    char *text = NULL;
    size_t size = 0;
    unsigned line = 0;
    FILE *out = open_memstream(&text, &size);
    struct config *config = NULL;
    struct mistakes mistakes = {0};
    for (unsigned i = 0; out && i < count && line < MOST_LINES; i++)
        if (lines[i].value) {
            write_option_line(out, &lines[i]);
            options[++line] = lines[i].option;
        }
    if (out && fclose(out) == 0)
        config = config_read(text, size, &mistakes);
    for (unsigned i = 0; i < mistakes.listed; i++) {
        const char *option = options[mistakes.list[i].line];
        fprintf(stderr, "packgate %s: %s%s%s\n", command, option ? option : "", option ? ": " : "",
                mistakes.list[i].text);
    }
    mistakes_free(&mistakes);
    free(text);
    return config;
}

const char *options_port(const char *port, char out[PORT_SIZE])
{
    snprintf(out, PORT_SIZE, "%s%s", port[0] == '/' ? "serial:" : "", port);
    return out;
}

const char *options_file(const char *path, char out[PORT_SIZE])
{
    char folder[PORT_SIZE];
    if (!path)
        return NULL;
    const bool inside = path[0] != '/' && path[0] != '\0' && getcwd(folder, sizeof folder);
    const int size =
        snprintf(out, PORT_SIZE, "%s%s%s", inside ? folder : "", inside ? "/" : "", path);
    return size < PORT_SIZE ? out : path; /* too long: checking the configuration reports it */
}
