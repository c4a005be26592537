// SPDX-License-Identifier: MIT
#include "module.h"

#include "bms/count.h"

#include <string.h>
#include <strings.h>

/* Both are found by the part of their UUID that is their own, in the order in which pairs are tried. */
static const struct {
    const char *receive, *send;
} known[MODULE_PAIRS] = {
    {"0000fff1-", "0000fff2-"},                     /* Daly; JBD DH04 */
    {"0000ff01-", "0000ff02-"},                     /* JBD; newer Daly */
    {"0000ffe1-", "0000ffe1-"},                     /* JK */
    {"0000ffe1-", "0000ffe2-"},                     /* JK, old modules */
    {"0000fff1-", "0000ffd1-"},                     /* Renogy */
    {"0000fffc-", "0000fffb-"},                     /* Saihang */
    {"0000ffe4-", "0000ffe9-"},                     /* Creabest */
    {"6e400003-b5a3-f393-", "6e400002-b5a3-f393-"}, /* Vatrer: the serial line of Nordic's chips */
    {"00002760-08c2-11e1-9073-0e8ac72e0002", "00002760-08c2-11e1-9073-0e8ac72e0001"}, /* Buknuwo */
};

static void take(char out[BLUEZ_PATH], const char *path)
{
    if (strlen(path) < BLUEZ_PATH)
        strcpy(out, path);
}

void module_note(struct module *module, const struct bluez_object *object)
{
    for (size_t i = 0; object->uuid && i < MODULE_PAIRS; i++) {
        struct module_pair *pair = &module->pairs[i];
        if (strncasecmp(object->uuid, known[i].receive, strlen(known[i].receive)) == 0 &&
            object->flags & BLUEZ_NOTIFY)
            take(pair->receive, object->path);
        if (strncasecmp(object->uuid, known[i].send, strlen(known[i].send)) == 0 &&
            object->flags & (BLUEZ_WRITE | BLUEZ_WRITE_COMMAND)) {
            take(pair->send, object->path);
            pair->flags = object->flags;
        }
    }
}

unsigned module_next(const struct module *module, unsigned from)
{
    while (from < MODULE_PAIRS && !(module->pairs[from].receive[0] && module->pairs[from].send[0]))
        from++;
    return from;
}

const char *module_guess(const char *address, const char *name, unsigned services)
{
    static const struct {
        const char *address, *name; /* how they begin */
        const char *guess;
    } guesses[] = {
        {"", "DL-", "Daly: daly or daly-d2"},
        {"", "DALY", "Daly: daly or daly-d2"},
        {"", "JHB-", "Daly: daly or daly-d2"},
        {"", "JK-", "JK: jk02"},
        {"", "JK_", "JK: jk02"},
        {"", "JBD-", "JBD: jbd"},
        {"", "xiaoxiang", "JBD: jbd"},
        {"", "BT-TH-", "Renogy: renogy"},
        {"", "CDZG", "Buknuwo: modbus, with the map buknuwo.txt"},
        {"A4:C1:37", "", "JBD, by its address: jbd"},
        {"A4:C1:38", "", "JBD, by its address: jbd"},
        {"A5:C2:37", "", "JBD, by its address: jbd"},
        {"A5:C2:39", "", "JBD, by its address: jbd"},
        {"70:3E:97", "", "JBD, by its address: jbd"},
        {"10:A5:62", "", "JBD, by its address: jbd"},
    };
    for (size_t i = 0; i < COUNT(guesses); i++)
        if (strncasecmp(address, guesses[i].address, strlen(guesses[i].address)) == 0 &&
            strncasecmp(name, guesses[i].name, strlen(guesses[i].name)) == 0)
            return guesses[i].guess;
    return services & BLUEZ_SERVICE_VICTRON ? "Victron, Instant Readout: victron-ble"
           : services & BLUEZ_SERVICE_FFE0  ? "a serial line as JK has it: jk02?"
           : services & (BLUEZ_SERVICE_FFF0 | BLUEZ_SERVICE_FF00)
               ? "a serial line as Daly and JBD have it: daly, daly-d2 or jbd?"
               : NULL;
}
