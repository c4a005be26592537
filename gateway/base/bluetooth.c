// SPDX-License-Identifier: MIT
#include "bluetooth.h"

#include <ctype.h>
#include <string.h>

bool bluetooth_is_address(const char *text)
{
    for (unsigned i = 0; i < BLUETOOTH_ADDRESS - 1; i++)
        if (i % 3 == 2 ? text[i] != ':' : !isxdigit((unsigned char) text[i]))
            return false;
    return text[BLUETOOTH_ADDRESS - 1] == '\0';
}

bool bluetooth_parse(const char *text, struct bluetooth_device *out)
{
    struct bluetooth_device device = {0};
    /* A leading "hci0/". */
    const size_t digits = strncmp(text, "hci", 3) == 0 ? strspn(text + 3, "0123456789") : 0;
    const size_t adapter = digits > 0 && text[3 + digits] == '/' ? 3 + digits : 0;
    if (adapter >= sizeof device.adapter)
        return false;
    memcpy(device.adapter, text, adapter);
    if (adapter > 0)
        text += adapter + 1;
    if (bluetooth_is_address(text)) {
        for (unsigned i = 0; text[i]; i++)
            device.address[i] = (char) toupper((unsigned char) text[i]);
    } else if (text[0] && strlen(text) < sizeof device.name) {
        strcpy(device.name, text);
    } else {
        return false;
    }
    *out = device;
    return true;
}
