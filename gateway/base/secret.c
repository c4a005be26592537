// SPDX-License-Identifier: MIT
#include "secret.h"

#include "log.h"
#include "regular.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

bool secret_read(const char *path, unsigned n, char *out, size_t size, const char **why)
{
    out[0] = '\0';
    FILE *file = regular_open(path, why);
    if (!file)
        return false;
    bool good = true;
    *why = NULL;
    for (unsigned line = 0; good && line <= n; line++) {
        good = fgets(out, (int) size, file) != NULL;
        if (good && strlen(out) == size - 1 && out[size - 2] != '\n') {
            *why = "a line of it is too long";
            good = false;
        }
    }
    if (ferror(file))
        *why = strerror(errno);
    fclose(file);
    out[good ? strcspn(out, "\r\n") : 0] = '\0';
    return good;
}

void secret_warn_of_readers(const char *who, const char *path, bool *told)
{
    struct stat found;
    if (*told || !path[0] || stat(path, &found) < 0 || !(found.st_mode & S_IROTH))
        return;
    log_warn("%s: %s can be read by everybody on this host: chmod 640", who, path);
    *told = true;
}

bool secret_token(char *token, size_t size)
{
    uint8_t random[128];
    const size_t bytes = (size - 1) / 2;
    if (getrandom(random, bytes, 0) != (ssize_t) bytes)
        return false;
    for (size_t i = 0; i < bytes; i++)
        snprintf(token + 2 * i, 3, "%02x", random[i]);
    return true;
}

bool secret_equals(const char *secret, const char *text)
{
    const size_t size = strlen(secret);
    unsigned difference = 0;
    if (size == 0 || strlen(text) != size)
        return false;
    for (size_t i = 0; i < size; i++)
        difference |= (unsigned) (secret[i] ^ text[i]);
    return difference == 0;
}
