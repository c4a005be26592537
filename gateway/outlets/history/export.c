// SPDX-License-Identifier: MIT
/* Rows of the history as CSV, with or without a running gateway. */
#include "commands.h"

#include "past/query.h"
#include "past/when.h"

#include "bms/count.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DONE, FAILED, USAGE }; /* exit statuses of packgate */

struct export
{
    const char *file, *pack, *from, *to, *level;
    struct query_ask ask;
};

static void print_export_help(FILE *out)
{
    fputs("usage: packgate export [-c FILE] [--pack NAME] [--from TIME] [--to TIME]\n"
          "                       [--level recent|minute|hour|day] [--extremes]\n\n"
          "Prints the history of a pack or a bank as CSV.\n\n"
          "  -c, --config FILE   the configuration, which names the history,\n"
          "                      /etc/packgate/packgate.ini by default\n"
          "      --file FILE     the history itself\n"
          "      --pack NAME     the pack or bank; can be omitted if there is only one\n"
          "      --from TIME     2026-11-01, 2026-11-01T12:00, with Z or +01:00 for another\n"
          "                      zone, or seconds since 1970; a day before --to by default\n"
          "      --to TIME       the same; now by default\n"
          "      --level LEVEL   rows of 10 seconds, a minute, an hour or a day;\n"
          "                      minute by default\n"
          "      --extremes      lowest and highest values as well\n"
          "Exit status: 0, 1 when the history could not be read, 2 for a wrong call.\n",
          out);
}

/* Returns -1 to continue, else the exit status. */
static int parse_export_options(int argc, char **argv, struct export *export)
{
    const char **const texts[] = {&export->file, &export->pack, &export->from, &export->to,
                                  &export->level};
    static const struct option options[] = {{"file", required_argument, NULL, 0},
                                            {"pack", required_argument, NULL, 1},
                                            {"from", required_argument, NULL, 2},
                                            {"to", required_argument, NULL, 3},
                                            {"level", required_argument, NULL, 4},
                                            {"extremes", no_argument, NULL, 'e'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"config", required_argument, NULL, 'c'},
                                            {0}};
    int option;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (option == 'c')
            continue; /* packgate has found the file by it */
        if (option >= 0 && option < (int) COUNT(texts)) {
            *texts[option] = optarg;
        } else if (option == 'e') {
            export->ask.extremes = true;
        } else {
            print_export_help(option == 'h' ? stdout : stderr);
            return option == 'h' ? DONE : USAGE;
        }
    }
    if (optind < argc || !export->file) {
        print_export_help(stderr);
        return USAGE;
    }
    return -1;
}

static bool parse_time(const char *name, const char *text, int64_t *at)
{
    if (!text || when_parse(text, at))
        return true;
    fprintf(stderr, "packgate: %s %s is not a time; expected one such as 2026-11-01T12:00\n", name,
            text);
    return false;
}

/* Finds the pack by its name, or the only one. */
static bool find_pack(struct query *query, struct export *export, char *only, size_t size)
{
    char name[80];
    unsigned count = 0;
    bool found = false;
    for (; query_pack(query, count, name, sizeof name); count++) {
        if (count == 0)
            snprintf(only, size, "%s", name);
        found |= export->pack && strcmp(name, export->pack) == 0;
    }
    if (export->pack ? found : count == 1) {
        export->ask.pack = export->pack ? export->pack : only;
        return true;
    }
    if (count == 0)
        fprintf(stderr,
                "packgate: the history has no rows yet; try again a minute after the gateway's "
                "start, or if it cannot be asked, after its first `commit` (10 minutes)\n");
    else if (export->pack)
        fprintf(stderr, "packgate: the history has no rows of '%s'; it has those of", export->pack);
    else
        fprintf(stderr, "packgate: the history has several packs; choose one by --pack:");
    for (unsigned n = 0; n < count && query_pack(query, n, name, sizeof name); n++)
        fprintf(stderr, "%s %s", n > 0 ? "," : "", name);
    if (count > 0)
        fputc('\n', stderr);
    return false;
}

int history_export(int argc, char **argv)
{
    struct export export = {.ask.level = LEVEL_MINUTE};
    const int status = parse_export_options(argc, argv, &export);
    if (status >= 0)
        return status;
    export.ask.to = time(NULL);
    if (!parse_time("--to", export.to, &export.ask.to))
        return USAGE;
    export.ask.from = export.ask.to - DAY_S;
    if (!parse_time("--from", export.from, &export.ask.from))
        return USAGE;
    if (export.ask.from >= export.ask.to) {
        fprintf(stderr, "packgate: --from %s is not before --to %s\n", export.from,
                export.to ? export.to : "(now)");
        return USAGE;
    }
    if (export.level && !history_level_find(export.level, &export.ask.level)) {
        fprintf(stderr, "packgate: --level %s; expected recent, minute, hour or day\n",
                export.level);
        return USAGE;
    }
    char why[300], only[80];
    struct query *query = query_open(export.file, why, sizeof why);
    if (!query) {
        fprintf(stderr, "packgate: %s\n", why);
        return FAILED;
    }
    bool good = find_pack(query, &export, only, sizeof only), limits;
    if (good) {
        const unsigned cells = query_cells(query, &export.ask, &limits);
        query_want_all(&export.ask, cells, limits);
        struct query_rows rows;
        const struct history_row *row = NULL;
        query_begin(&rows, query, &export.ask);
        do
            csv_print(stdout, &export.ask, row);
        while (!ferror(stdout) && (row = query_next(&rows)));
        good = !query_why(query)[0];
        if (!good)
            fprintf(stderr, "packgate: %s\n", query_why(query));
    }
    query_close(query);
    return good && fflush(stdout) == 0 ? DONE : FAILED;
}
