// SPDX-License-Identifier: MIT
/* `packgate listen` and `packgate send`: show the bytes on a line of the running gateway, and send one request on it. */
#include "asking.h"
#include "command.h"
#include "options.h"
#include "exchange.h"

#include <math.h>
#include <string.h>
#include <time.h>

static const char usage[] =
    "usage: packgate listen [-c FILE] [--time] LINE\n\n"
    "Prints the bytes on a line of the running gateway, as the text of an exchange file, until it "
    "is interrupted.\n"
    "PINs and passwords are blanked. The gateway is not disturbed.\n" ASKING_USAGE
    "      --time          prints a comment with the time before each line\n"
    "Exit status: 0 when its output is closed, 1 when no gateway answers or the connection ended, "
    "2 for a wrong call.\n";

static void print_piece(const json_t *piece, bool with_time)
{
    const char *passed = asking_text(piece, "passed");
    double withheld = asking_number(piece, "withheld");
    if (with_time && (passed[0] || !isnan(withheld))) {
        double at = asking_number(piece, "at");
        time_t second = (time_t) at;
        struct tm local;
        char text[40];
        localtime_r(&second, &local);
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
        printf("# %s.%03d\n", text, (int) ((at - (double) second) * 1000));
    }
    if (passed[0])
        printf("%s %s\n", passed, asking_text(piece, "bytes"));
    else if (!isnan(withheld))
        printf("# %.0f bytes of no whole frame are withheld\n", withheld);
}

int command_listen(int argc, char **argv)
{
    struct asking asking = {.config = CONFIG_DEFAULT, .command = "listen"};
    bool with_time = false;
    const struct option_row rows[] = {ASKING_OPTIONS(asking), {"time", 0, .flag = &with_time}, {0}};
    options_parse(argc, argv, rows, 1, usage);
    if (argc - optind != 1)
        return options_refuse(
            usage, "packgate listen: expected the name of one line of the configuration");
    json_t *piece =
        asking_open(&asking, json_pack("{s:s, s:s}", "ask", "listen", "line", argv[optind]));
    if (!piece)
        return EXIT_FAILED;
    char source[100];
    snprintf(source, sizeof source, "line %s, listened to by packgate " PACKGATE_VERSION,
             argv[optind]);
    exchange_write_head(stdout, asking_text(piece, "protocol"), source);
    /* A reader that has seen enough (head) closes the pipe. */
    bool open = fflush(stdout) == 0;
    json_decref(piece);
    while (open && (piece = asking_next(&asking))) {
        print_piece(piece, with_time);
        open = fflush(stdout) == 0;
        json_decref(piece);
    }
    if (open)
        fprintf(stderr, "packgate listen: %s\n", asking.why);
    asking_close(&asking);
    return open ? EXIT_FAILED : EXIT_DONE;
}

static const char send_usage[] =
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
    options_parse(argc, argv, rows, argc, send_usage);
    if (argc - optind < 2) {
        fputs(send_usage, stderr);
        return EXIT_USAGE;
    }
    char hex[4096] = "";
    for (int i = optind + 1; i < argc; i++) {
        if (strlen(hex) + strlen(argv[i]) + 2 > sizeof hex)
            return options_refuse(NULL, "packgate send: too many bytes");
        strcat(strcat(hex, " "), argv[i]);
    }
    json_t *answer = asking_once(
        &asking, json_pack("{s:s, s:s, s:s}", "ask", "send", "line", argv[optind], "bytes", hex));
    if (!answer)
        return EXIT_FAILED;
    const char *result = asking_text(answer, "result");
    print_pieces('>', json_object_get(answer, "sent"));
    print_pieces('<', json_object_get(answer, "received"));
    print_piece(answer, false); /* what was withheld */
    bool answered = strcmp(result, "answered") == 0;
    fflush(stdout);
    if (!answered)
        fprintf(stderr, "packgate send: %s\n", result);
    json_decref(answer);
    return answered ? EXIT_DONE : EXIT_FAILED;
}
