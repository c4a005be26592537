// SPDX-License-Identifier: MIT
/* Topics. */
#include "topics.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PACK_SIZE 33

void topic_expand(const char *topic, const char *host, char *out, size_t size)
{
    struct text text = text_in(out, size);
    text_expand(&text, topic, host);
    for (char *c = out; *c; c++)
        if ((unsigned char) *c <= 0x20 || strchr("+#\x7F", *c))
            *c = '_';
}

const char *topic_of(const char *base, const char *pack, const char *leaf, char out[TOPIC_SIZE])
{
    snprintf(out, TOPIC_SIZE, "%s%s%s/%s", base, pack ? "/" : "", pack ? pack : "", leaf);
    return out;
}

static enum order_topic order_of_word(const char *word, const char *charge, const char *discharge)
{
    if (strcmp(word, charge) == 0)
        return TOPIC_CHARGE_MOS;
    return strcmp(word, discharge) == 0 ? TOPIC_DISCHARGE_MOS : TOPIC_UNKNOWN;
}

enum order_topic topic_parse(const char *base, bool smartbms, const char *topic, char pack[33])
{
    pack[0] = '\0';
    const size_t size = strlen(base);
    if (strncmp(topic, base, size) != 0 || topic[size] != '/')
        return TOPIC_NOT_OURS;
    const char *rest = topic + size + 1;
    if (smartbms)
        return order_of_word(rest, "CMS", "DMS");
    const char *slash = strchr(rest, '/');
    if (!slash || slash == rest || slash - rest >= PACK_SIZE ||
        strncmp(slash, "/set/", strlen("/set/")) != 0)
        return TOPIC_NOT_OURS;
    snprintf(pack, PACK_SIZE, "%.*s", (int) (slash - rest), rest);
    const char *word = slash + strlen("/set/");
    /* Our own response comes back, because the subscription covers it. */
    if (strcmp(word, "result") == 0)
        return TOPIC_NOT_OURS;
    return order_of_word(word, "charge_mos", "discharge_mos");
}

int order_payload(const void *payload, size_t size)
{
    static const struct {
        const char *word;
        int on;
    } words[] = {{"1", 1}, {"0", 0}, {"on", 1}, {"off", 0}, {"true", 1}, {"false", 0}};
    const char *text = payload;
    while (size > 0 && isspace((unsigned char) text[0]))
        text++, size--;
    while (size > 0 && isspace((unsigned char) text[size - 1]))
        size--;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i].word) == size && strncasecmp(text, words[i].word, size) == 0)
            return words[i].on;
    return -1;
}
