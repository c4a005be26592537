// SPDX-License-Identifier: MIT
/* `packgate limits`: examples for the section [limits]. */
#include "command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char usage[] = "usage: packgate limits --example lfp\n\n"
                            "Prints a section [limits] to begin with. Compare it with the data "
                            "sheet of the cells; what is not in it\n"
                            "depends on the installation and must be filled in.\n\n"
                            "  -e, --example KIND   lfp: lithium iron phosphate (LiFePO4)\n"
                            "Exit status: 0, 2 for a wrong call.\n";

/* In the words of the configuration, so that it can be copied. */
static const char lfp[] =
    "[limits NAME]\n"
    "; For lithium iron phosphate (LiFePO4). Compare it with the data sheet of your cells. These "
    "five are those of your\n"
    "; installation:\n"
    ";of = NAME                  ; the pack or bank\n"
    ";charge_current =           ; A, the most that cables, fuses and cells may be charged with\n"
    ";discharge_current =        ; A, the same for discharging\n"
    ";cells =                    ; in series\n"
    ";sensors =                  ; temperature sensors of each pack, all of which must be known\n"
    "cell_full = 3.45\n"
    "cell_float = 3.375\n"
    "soc_again = 90\n"
    "cell_high = 3.375:1, 3.40:0.25, 3.425:0.05, 3.45:0.005, 3.50:0\n"
    "cell_low = 3.19:1, 3.10:0.25, 3.00:0.05, 2.90:0.005, 2.80:0\n"
    "temperature = 0:0, 2:0.25, 5:0.5, 10:1, 40:1, 45:0.5, 50:0.25, 55:0\n"
    "; Only where the BMS reports them:\n"
    ";mos_temperature = 70:1, 80:0.25, 90:0\n"
    ";soc_high = 95:1, 100:0.2\n"
    ";soc_low = 10:0, 20:1\n";

int command_limits(int argc, char **argv)
{
    static const struct option options[] = {
        {"example", required_argument, NULL, 'e'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *example = NULL;
    for (int option; (option = getopt_long(argc, argv, "e:h", options, NULL)) != -1;) {
        if (option == 'h') {
            fputs(usage, stdout);
            return EXIT_DONE;
        }
        if (option != 'e') {
            fputs(usage, stderr);
            return EXIT_USAGE;
        }
        example = optarg;
    }
    if (example && optind == argc && strcmp(example, "lfp") == 0) {
        fputs(lfp, stdout);
        return EXIT_DONE;
    }
    if (example && strcmp(example, "lfp") != 0)
        fprintf(stderr, "packgate limits: no example '%s'; expected lfp\n\n", example);
    fputs(usage, stderr);
    return EXIT_USAGE;
}
