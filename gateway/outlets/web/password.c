// SPDX-License-Identifier: MIT
#include "password.h"

#include "base/regular.h"
#include "base/secret.h"

#include <crypt.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define FILE_DEFAULT "/etc/packgate/web-password"
#define SHORTEST 8

void password_compare(void *data, struct worker_result *result)
{
    struct password_check *check = data;
    char hash[CRYPT_OUTPUT_SIZE] = "";
    const char *why;
    if (!secret_read(check->file, 0, hash, sizeof hash, &why) && why)
        snprintf(result->why, sizeof result->why, "%s: %s", check->file, why);
    else if (hash[0] != '$' || !strchr(hash + 1, '$'))
        /* Only what crypt(3) accepts as a hash, so that a plain-text password does not work. */
        snprintf(result->why, sizeof result->why,
                 "%s has no hash in its first line; `packgate password` writes one", check->file);
    else {
        struct crypt_data *room = alloc_zeroed(1, sizeof *room);
        const char *found = crypt_r(check->password, hash, room);
        const bool same = found && found[0] != '*' && strcmp(found, hash) == 0;
        check->result = same ? PASSWORD_RIGHT : PASSWORD_WRONG;
        free(room);
    }
}

static bool read_line(char line[PASSWORD_MAX])
{
    if (!fgets(line, PASSWORD_MAX, stdin))
        return false;
    const size_t size = strcspn(line, "\r\n");
    /* No newline: the line is too long, or the last one of a pipe. */
    if (!line[size] && size == PASSWORD_MAX - 1)
        return false;
    line[size] = '\0';
    return true;
}

static bool ask_hidden(const char *what, char line[PASSWORD_MAX])
{
    struct termios shown, hidden;
    const bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &shown) == 0;
    if (!terminal)
        return read_line(line);
    fprintf(stderr, "%s: ", what);
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t) ECHO;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    const bool good = read_line(line);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    fputc('\n', stderr);
    return good;
}

/* Replaces the file, readable by its owner only. An existing file keeps its owner. */
static bool write_file(const char *file, const char *hash)
{
    char fresh[4096], line[CRYPT_OUTPUT_SIZE + 1];
    struct stat as = {.st_uid = geteuid(), .st_gid = getegid()};
    if (stat(file, &as) == 0 && geteuid() != 0 && as.st_uid != geteuid()) {
        errno = EPERM;
        return false;
    }
    as.st_mode = S_IRUSR | S_IWUSR;
    snprintf(fresh, sizeof fresh, "%s.fresh", file);
    snprintf(line, sizeof line, "%s\n", hash);
    return regular_replace(file, fresh, line, &as);
}

static void print_password_help(FILE *out)
{
    fputs(
        "usage: packgate password [FILE]\n\n"
        "Asks for the password that the page requires before it switches anything, and writes its\n"
        "hash to FILE (" FILE_DEFAULT " by default), which `password_file` of [web] must\n"
        "name. From a pipe it reads the first line. A running service uses the new password from\n"
        "the next login on.\n"
        "Exit status: 0 when it was written, 1 when not, 2 for a wrong call.\n",
        out);
}

int password_command(int argc, char **argv)
{
    char password[PASSWORD_MAX], again[PASSWORD_MAX];
    const char *file = argc > 1 ? argv[1] : FILE_DEFAULT;
    if (argc > 1 && (strcmp(file, "--help") == 0 || strcmp(file, "-h") == 0)) {
        print_password_help(stdout);
        return 0;
    }
    if (argc > 2 || file[0] == '-') {
        print_password_help(stderr);
        return 2;
    }
    /* Asks twice on a terminal, once on a pipe. */
    if (!ask_hidden("Password", password)) {
        fprintf(stderr,
                "packgate: no password, or one of more than %d characters; nothing was written\n",
                PASSWORD_MAX - 2);
        return 1;
    }
    if (strlen(password) < SHORTEST) {
        fprintf(stderr, "packgate: expected at least %d characters; nothing was written\n",
                SHORTEST);
        return 1;
    }
    if (isatty(STDIN_FILENO) && (!ask_hidden("Once more", again) || strcmp(again, password) != 0)) {
        fprintf(stderr, "packgate: the two passwords differ; nothing was written\n");
        return 1;
    }
    const char *setting = crypt_gensalt("$y$", 0, NULL, 0);
    struct crypt_data *room = alloc_zeroed(1, sizeof *room);
    const char *hash = setting ? crypt_r(password, setting, room) : NULL;
    explicit_bzero(password, sizeof password);
    if (!hash || hash[0] == '*') {
        fprintf(stderr, "packgate: this system has no yescrypt\n");
        free(room);
        return 1;
    }
    const bool written = write_file(file, hash);
    if (written)
        printf("%s: written\n", file);
    else
        fprintf(stderr, "packgate: %s: %s\n", file, strerror(errno));
    free(room);
    return written ? 0 : 1;
}
