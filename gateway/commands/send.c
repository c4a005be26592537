// SPDX-License-Identifier: MIT
/* `packgate send`: sends one request by hand on a line of the running gateway. */
#include "asking.h"
#include "command.h"
#include "options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: packgate send [-c FILE] LINE HEX...\n\n"
    "Sends bytes on a line of the running gateway, between two polls, and prints the response, "
    "as the text of an\n"
    "exchange file. The bytes are not checked: a wrong request can change the settings of a "
    "BMS. The log of the\n"
    "gateway records them with the user. For root and the service's own user only.\n" ASKING_USAGE
    "HEX are bytes as pairs of hexadecimal digits, such as 'A5 40 90 08' or A5409008.\n"
    "Exit status: 0 when a response was received, 1 when not, 2 for a wrong call.\n";

static void print_pieces(char direction, const json_t *pieces)
{
    size_t i;
    json_t *piece;
    json_array_foreach(pieces, i, piece)
    {
        printf("%c %s\n", direction, json_string_value(piece));
    }
}

int command_send(int argc, char **argv)
{
    struct asking asking = {.config = CONFIG_DEFAULT, .command = "send"};
    const struct option_row rows[] = {ASKING_OPTIONS(asking), {0}};
    options_parse(argc, argv, rows, argc, usage);
    if (argc - optind < 2) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    char hex[4096] = "";
    for (int i = optind + 1; i < argc; i++) {
        if (strlen(hex) + strlen(argv[i]) + 2 > sizeof hex) {
            fprintf(stderr, "packgate send: too many bytes\n");
            return EXIT_USAGE;
        }
        strcat(strcat(hex, " "), argv[i]);
    }
    json_t *answer = asking_once(
        &asking, json_pack("{s:s, s:s, s:s}", "ask", "send", "line", argv[optind], "bytes", hex));
    if (!answer)
        return EXIT_FAILED;
    const char *result = asking_text(answer, "result");
    print_pieces('>', json_object_get(answer, "sent"));
    print_pieces('<', json_object_get(answer, "received"));
    double withheld = asking_number(answer, "withheld");
    if (!isnan(withheld))
        printf("# %.0f bytes of no whole frame are withheld\n", withheld);
    bool answered = strcmp(result, "answered") == 0;
    fflush(stdout);
    if (!answered)
        fprintf(stderr, "packgate send: %s\n", result);
    json_decref(answer);
    return answered ? EXIT_DONE : EXIT_FAILED;
}
