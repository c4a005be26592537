// SPDX-License-Identifier: MIT
#include "secret.h"

#include "log.h"
#include "regular.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

bool secret_read(const char *path, unsigned n, char *out, size_t size, const char **why)
{
    out[0] = '\0';
    FILE *file = regular_open(path, why);
    if (!file)
        return false;
    bool good = true;
    for (unsigned line = 0; good && line <= n; line++)
        good = fgets(out, (int) size, file) != NULL;
    *why = ferror(file) ? strerror(errno) : NULL;
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
