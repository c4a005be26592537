// SPDX-License-Identifier: MIT
/* Proposals for invalid values. */
#include "types.h"

#include "base/address.h"
#include "base/alloc.h"
#include "base/bluetooth.h"
#include "bms/count.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MOST_PROTOCOLS 4 /* more are no help: the message lists them all anyway */

static bool propose(const struct config_key *key, const char *text, char out[HINT_SIZE])
{
    void *field = alloc_zeroed(1, key->size);
    const bool good = key->type->parse(key, text, field);
    free(field);
    if (good)
        snprintf(out, HINT_SIZE, "; did you mean '%s'?", text);
    return good;
}

static const char *usual_unit(const char *text)
{
    static const struct {
        const char *word, *unit;
    } words[] = {
        {"sec", "s"},   {"secs", "s"},   {"second", "s"},  {"seconds", "s"}, {"min", "m"},
        {"mins", "m"},  {"minute", "m"}, {"minutes", "m"}, {"hr", "h"},      {"hour", "h"},
        {"hours", "h"}, {"msec", "ms"},  {"msecs", "ms"},  {"millis", "ms"}, {"milliseconds", "ms"},
        {"s", "s"},     {"m", "m"},      {"h", "h"},       {"ms", "ms"},     {"day", "d"},
        {"days", "d"},  {"d", "d"},
    };
    for (size_t i = 0; i < COUNT(words); i++)
        if (strcasecmp(words[i].word, text) == 0)
            return words[i].unit;
    return NULL;
}

/* A bare number is taken in seconds, or in milliseconds if the key usually has them or the number
 * is large, as long as that is in range; else in days or hours. */
static bool hint_duration(const struct config_key *key, const char *text, char out[HINT_SIZE])
{
    static const char *const long_ones[] = {"s", "ms", "d", "h", NULL};
    static const char *const short_ones[] = {"ms", "s", "d", "h", NULL};
    const struct config_key *part = key->parts ? key->parts : key;
    bool seconds = part->size == sizeof(double) && strtod(text, NULL) < 100;
    if (part->type != &type_duration)
        return false;
    char guess[64];
    size_t digits = strspn(text, "0123456789.");
    const char *rest = text + digits + strspn(text + digits, " \t");
    if (digits == 0 || digits > 20)
        return false;
    if (*rest) {
        const char *unit = usual_unit(rest);
        snprintf(guess, sizeof guess, "%.*s%s", (int) digits, text, unit ? unit : "");
        return unit && propose(key, guess, out);
    }
    for (const char *const *unit = seconds ? long_ones : short_ones; *unit; unit++) {
        snprintf(guess, sizeof guess, "%s%s", text, *unit);
        if (propose(key, guess, out))
            return true;
    }
    return false;
}

static bool hint_yes_or_no(const struct config_key *key, const char *text, char out[HINT_SIZE])
{
    static const char *const words[] = {"true",  "on",  "1", "y", "enable",  "enabled",
                                        "false", "off", "0", "n", "disable", "disabled"};
    for (size_t i = 0; key->words && i < COUNT(words); i++)
        if (strcasecmp(words[i], text) == 0)
            return propose(key, i < COUNT(words) / 2 ? "yes" : "no", out);
    return false;
}

/* Has the form of an address, but no socket accepts it. */
static bool hint_unusable(const struct config_key *key, const char *text, char out[HINT_SIZE])
{
    struct endpoint endpoint;
    char four[16], guess[32];
    const char *address = strncmp(text, "tcp://", 6) == 0 ? text + 6 : text;
    if ((key->type != &type_listen && key->type != &type_port && key->type != &type_target) ||
        !endpoint_parse(address, &endpoint))
        return false;
    if (endpoint_lacks_interface(&endpoint)) {
        snprintf(out, HINT_SIZE,
                 "; a link-local address needs its interface, such as [%.60s%%eth0]:%u",
                 endpoint.host, endpoint.port);
        return true;
    }
    if (!endpoint_is_mapped(&endpoint, four))
        return false;
    snprintf(guess, sizeof guess, "%s:%u", four, endpoint.port);
    return propose(key, guess, out);
}

/* A device without its folder, a port of another operating system, a URL of another kind, a serial
 * server without its port number. */
static bool hint_port(const struct config_key *key, const char *text, char out[HINT_SIZE])
{
    char guess[PORT_SIZE + 32];
    const char *device = strncmp(text, "serial:", 7) == 0 ? text + 7 : text;
    if (strncasecmp(device, "com", 3) == 0 && strspn(device + 3, "0123456789") > 0) {
        snprintf(out, HINT_SIZE, "; `packgate probe` lists the serial ports that there are");
        return true;
    }
    if (strncmp(device, "tty", 3) == 0) {
        snprintf(guess, sizeof guess, "serial:/dev/%s", device);
        return propose(key, guess, out);
    }
    const char *slashes = strstr(text, "://");
    const char *host = slashes ? slashes + 3 : strncmp(text, "tcp:", 4) == 0 ? text + 4 : NULL;
    if (!host)
        return false;
    snprintf(guess, sizeof guess, "tcp://%s", host);
    if (propose(key, guess, out))
        return true;
    if (!*host || strchr(host, ':') || strchr(host, '/'))
        return false;
    snprintf(out, HINT_SIZE, "; the TCP port of the serial server is missing behind %.60s", host);
    return true;
}

/* Tries the usual prefixes and suffixes that are left out. */
static bool hint_address(const struct config_key *key, const char *text, char out[HINT_SIZE])
{
    static const struct {
        const struct config_type *type;
        const char *before, *behind;
    } ways[] = {
        {&type_port, "serial:", ""},      {&type_port, "tcp://", ""},
        {&type_target, "tcp://", ""},     {&type_target, "", ":502"},
        {&type_target, "tcp://", ":502"}, {&type_listen, "", ":502"},
        {&type_listen, "0.0.0.0:", ""},
    };
    char guess[PORT_SIZE + 16];
    if (strcmp(key->name, "broker") ==
        0) { /* most programs name one without a scheme, or with tcp:// */
        const char *scheme = strstr(text, "://");
        snprintf(guess, sizeof guess, "mqtt://%s", scheme ? scheme + 3 : text);
        return propose(key, guess, out);
    }
    if (key->type == &type_port && bluetooth_is_address(text)) {
        snprintf(guess, sizeof guess, "ble:%s", text);
        return propose(key, guess, out);
    }
    if (key->type == &type_port && hint_port(key, text, out))
        return true;
    for (size_t i = 0; i < COUNT(ways); i++) {
        const char *middle =
            key->type == &type_listen && strncmp(text, "*:", 2) == 0 ? text + 2 : text;
        snprintf(guess, sizeof guess, "%s%s%s", ways[i].before, middle, ways[i].behind);
        if (key->type == ways[i].type && propose(key, guess, out))
            return true;
    }
    return false;
}

/* For an unknown protocol, such as "pylontech" or "JK": the protocols of that make, with the variant if there is one. */
static void hint_protocol(const char *word, char out[HINT_SIZE])
{
    char found[MOST_PROTOCOLS][80];
    unsigned count = 0;
    struct text text = text_in(out, HINT_SIZE);
    for (unsigned i = 0; bms_drivers[i] && strlen(word) >= 2; i++) {
        const struct bms_driver *driver = bms_drivers[i];
        const char *const *variant = driver->variants;
        const size_t family = strcspn(driver->name, "-0123456789"); /* "jk" of jk-pb and of jk02 */
        if (strncasecmp(word, driver->name, strlen(word)) != 0 &&
            strncasecmp(word, driver->name, family) != 0 && !strcasestr(driver->title, word))
            continue;
        if (count == MOST_PROTOCOLS)
            return;
        while (variant && *variant && strncasecmp(*variant, word, strlen(word)) != 0)
            variant++;
        const bool has = variant && *variant;
        snprintf(found[count++], sizeof *found, "'%s%s%s'", driver->name, has ? " " : "",
                 has ? *variant : "");
    }
    text_add(&text, count > 0 ? "; did you mean " : "");
    for (unsigned i = 0; i < count; i++)
        config_list(&text, i, count, found[i]);
    text_add(&text, count > 1 ? "? `packgate probe` finds out which" : count > 0 ? "?" : "");
}

const char *config_hint(const struct config_key *key, const char *text, char out[HINT_SIZE])
{
    const size_t length = strlen(text);
    out[0] = '\0';
    if (length >= 2 && strchr("\"'", text[0]) && text[length - 1] == text[0]) {
        snprintf(out, HINT_SIZE, "; leave the quotes out");
        return out;
    }
    if (hint_duration(key, text, out) || hint_yes_or_no(key, text, out) ||
        hint_unusable(key, text, out) || hint_address(key, text, out))
        return out;
    struct suggest suggest = suggest_for(text);
    for (unsigned n = 0; key->type->word && key->type->word(key, n); n++)
        suggest_offer(&suggest, key->type->word(key, n));
    if (suggest.best[0])
        snprintf(out, HINT_SIZE, "; did you mean '%s'?", suggest.best);
    else if (key->type == &type_protocol)
        hint_protocol(text, out);
    if (strstr(text, " #"))
        snprintf(out + strlen(out), HINT_SIZE - strlen(out),
                 "; a comment behind a value starts with ' ;'");
    return out;
}
