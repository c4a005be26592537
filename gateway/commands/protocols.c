// SPDX-License-Identifier: MIT
/* `packgate protocols`: lists the supported protocols, from the descriptions in the drivers. */
#include "command.h"
#include "options.h"

#include "bms/count.h"
#include "bms/modbus/modbus.h"
#include "packs/json.h"

#include <stdio.h>
#include <string.h>

static const char usage[] = "usage: packgate protocols [--format FORMAT]\n"
                            "\n"
                            "Prints the protocols with the makes and boards that speak them.\n"
                            "  -f, --format FORMAT  text (the default); json: for programs; md: "
                            "docs/packs.md; makes: the table of README\n"
                            "Exit status: 0, 2 for a wrong call.\n";

/* The driver for map files is not in the list of drivers, because a search cannot try it. */
static const struct bms_driver *driver_at(size_t index)
{
    size_t count = 0;
    while (bms_drivers[count])
        count++;
    return index < count ? bms_drivers[index] : index == count ? &modbus_user_driver : NULL;
}

static bool can_listen(const struct bms_driver *driver)
{
    return bms_talks(driver) || driver->question;
}

static void print_makes(void)
{
    printf("| makes and boards | `protocol` | port |\n|---|---|---|\n");
    const struct bms_driver *driver;
    for (size_t i = 0; (driver = driver_at(i)); i++) {
        printf("| %s | `%s` | %s", driver->guide.makes, driver->name, driver->guide.port);
        if (!driver->advertises) /* a device that only advertises has no baud rate */
            printf(", %u", driver->line.baud);
        printf(" |\n");
    }
}

static void print_page(void)
{
    printf("# Packs and protocols\n"
           "\n"
           "<!-- Written by `packgate protocols --format md` (make docs): edit the drivers. -->\n"
           "\n"
           "Makes and boards are on the left; the middle column is the value for `protocol`. Many "
           "batteries contain a BMS of another make:\n"
           "look for the name of the maker's app. [wiring.md](wiring.md) describes ports, "
           "adapters and serial servers.\n"
           "\n");
    print_makes();
    printf(
        "\n"
        "## Wires and settings\n"
        "\n"
        "All lines are 8N1. *Switch*: packgate can [switch](switching.md) the charge and discharge "
        "MOS. *Listen*: packgate can listen on a bus\n"
        "that has [another master](listening.md). The lines that start with `source` in "
        "[tests/captures](../tests/captures) say what each\n"
        "protocol has been tested with: recordings of real packs, or examples from its document.\n"
        "\n"
        "| `protocol` | port and wires | baud | in the maker's app or on the board | `address`; "
        "variants | switch | listen |\n"
        "|---|---|---|---|---|---|---|\n");
    const struct bms_driver *driver;
    for (size_t i = 0; (driver = driver_at(i)); i++) {
        printf("| `%s` | %s | ", driver->name, driver->guide.wires);
        if (driver->advertises)
            printf("- | ");
        else
            printf("%u | ", driver->line.baud);
        printf("%s | ", driver->guide.setting ? driver->guide.setting : "-");
        if (bms_is_alone(driver))
            printf("one per line");
        else
            printf("%d…%d", driver->address.min, driver->address.max);
        if (driver->guide.address)
            printf("%s%s", bms_is_alone(driver) ? ". " : "; ", driver->guide.address);
        /* Limits of a variant are in the note of the protocol. */
        const char *switching = driver->guide.switching ? driver->guide.switching : "yes";
        printf(" | %s | %s |\n", driver->control ? switching : "no",
               can_listen(driver) ? "yes" : "no");
    }
    printf("\n"
           "The CAN port and the inverter port of a BMS are not supported. For Bluetooth "
           "modules of Daly, JBD and JK packs see [bluetooth.md](bluetooth.md).\n");
}

static void print_text(void)
{
    const struct bms_driver *driver;
    for (size_t i = 0; (driver = driver_at(i)); i++) {
        printf("%-16s %s\n%16s %s; ", driver->name, driver->guide.makes, "", driver->guide.port);
        if (!driver->advertises)
            printf("%u baud; ", driver->line.baud);
        if (bms_is_alone(driver))
            printf("one per line");
        else
            printf("address %d to %d", driver->address.min, driver->address.max);
        for (unsigned v = 0; driver->variants && driver->variants[v]; v++)
            printf("%s%s", v == 0 ? "; variant " : ", ", driver->variants[v]);
        printf("%s%s\n", driver->control ? "; switches" : "",
               can_listen(driver) ? "; can be listened to" : "");
    }
}

static json_t *json_of_driver(const struct bms_driver *driver)
{
    json_t *variants = json_array();
    for (unsigned v = 0; driver->variants && driver->variants[v]; v++)
        json_array_append_new(variants, json_string(driver->variants[v]));
    json_t *settings = json_array();
    for (unsigned i = 0; i < driver->setting_count; i++) {
        const struct bms_setting *setting = &driver->settings[i];
        char name[VALUE_NAME_SIZE];
        json_array_append_new(settings, json_pack("{s:s, s:o, s:o, s:o}", "name",
                                                  pack_value_name(setting->id, name), "min",
                                                  json_number(setting->min, 3), "max",
                                                  json_number(setting->max, 3), "step",
                                                  json_number(setting->step, 3)));
    }
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:o, s:b, s:b, s:b, s:b, s:b, s:o}", "name", driver->name,
                  "makes", driver->guide.makes, "port", driver->guide.port, "variants", variants,
                  "switches", driver->control != NULL, "wants_password", driver->wants_password,
                  "listens", can_listen(driver), "wants_map", driver == &modbus_user_driver,
                  "advertises", driver->advertises, "settings", settings);
    if (!driver->advertises)
        json_object_set_new(object, "baud", json_integer(driver->line.baud));
    if (!bms_is_alone(driver))
        json_object_set_new(object, "address",
                            json_pack("{s:i, s:i, s:i}", "min", driver->address.min, "max",
                                      driver->address.max, "default", driver->address.usual));
    return object;
}

static void print_json(void)
{
    json_t *list = json_array();
    for (size_t i = 0; driver_at(i); i++)
        json_array_append_new(list, json_of_driver(driver_at(i)));
    json_print(stdout, list, true);
}

int command_protocols(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } formats[] = {
        {"text", print_text}, {"json", print_json}, {"md", print_page}, {"makes", print_makes}};
    const char *format = "text";
    const struct option_row rows[] = {{"format", 'f', .text = &format}, {0}};
    options_parse(argc, argv, rows, 0, usage);
    void (*print)(void) = NULL;
    for (size_t i = 0; i < COUNT(formats); i++)
        if (strcmp(format, formats[i].name) == 0)
            print = formats[i].print;
    if (!print)
        return options_refuse(usage, "packgate: unknown format '%s'", format);
    print();
    return EXIT_DONE;
}
