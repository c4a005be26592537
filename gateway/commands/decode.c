// SPDX-License-Identifier: MIT
/* `packgate decode FILE.exch`: the values of a recorded exchange as JSON. */
#include "command.h"
#include "options.h"
#include "exchange.h"

#include "packs/json.h"

#include <string.h>

static const char usage[] =
    "usage: packgate decode [--variant NAME] [--current auto|normal|inverted] FILE.exch\n\n"
    "Prints the values of a recorded exchange as one JSON object ('-' reads standard input).\n"
    "  --variant NAME the variant of the file's protocol, as in the configuration; by default the "
    "one that the file names, or the first\n"
    "  --current HOW  overrides the detection of the direction of the current, on which firmwares "
    "disagree\n"
    "Exit status: 0, 1 when nothing could be decoded (the reason goes to standard error), 2 for a "
    "wrong call.\n";

/* The index of a variant; -1: the protocol has no such variant, which is reported. */
static int find_variant(const struct bms_driver *driver, const char *name)
{
    const char *const *variants = driver->variants;
    for (int i = 0; variants && variants[i]; i++)
        if (strcmp(variants[i], name) == 0)
            return i;
    fprintf(stderr, "packgate decode: --variant: protocol %s has no variant '%s'; expected ",
            driver->name, name);
    for (int i = 0; variants && variants[i]; i++)
        fprintf(stderr, "%s%s", i > 0 ? ", " : "", variants[i]);
    fputs(variants ? "\n" : "none: it has no variants\n", stderr);
    return -1;
}

static int decode_exchange(const struct exchange *exchange, const char *path, int variant,
                           enum bms_current current)
{
    struct bms bms;
    struct pack pack;
    struct reply_counters counters;
    bms_init(&bms, exchange->driver);
    bms.options.variant = variant;
    bms.options.current = current;
    exchange_replay(exchange, &bms, &pack, &counters);
    if (counters.frames <= counters.foreign + counters.refused + counters.invalid) {
        fprintf(stderr,
                "packgate: %s: no frame could be decoded: %u frames (%u not for the request, %u "
                "refused, %u malformed), %u with a wrong checksum, %u bytes of no frame\n",
                path, counters.frames, counters.foreign, counters.refused, counters.invalid,
                counters.damaged, counters.skipped_bytes);
        return EXIT_FAILED;
    }
    json_t *values = json_of_pack(&pack);
    if (!values || json_object_size(values) == 0) {
        json_decref(values);
        fprintf(stderr, "packgate: %s: the frames hold no values\n", path);
        return EXIT_FAILED;
    }
    json_print(stdout, values, true);
    return EXIT_DONE;
}

int command_decode(int argc, char **argv)
{
    static const char *const currents[] = {"auto", "normal", "inverted"};
    int current = BMS_CURRENT_AUTO;
    const char *variant_name = NULL, *wanted = currents[current];
    const struct option_row rows[] = {
        {"variant", 0, .text = &variant_name}, {"current", 0, .text = &wanted}, {0}};
    options_parse(argc, argv, rows, 1, usage);
    for (current = 0; current < 3 && strcmp(wanted, currents[current]) != 0;)
        current++;
    if (optind != argc - 1 || current == 3) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    const char *path = argv[optind];
    struct exchange *exchange = exchange_load(path);
    if (!exchange)
        return EXIT_FAILED;
    const int variant =
        variant_name ? find_variant(exchange->driver, variant_name) : exchange->variant;
    const int status = variant < 0
                           ? EXIT_USAGE
                           : decode_exchange(exchange, path, variant, (enum bms_current) current);
    exchange_free(exchange);
    return status;
}
