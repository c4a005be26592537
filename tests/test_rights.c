// SPDX-License-Identifier: MIT
/* What an outlet can still do after it has dropped its rights: tried in child processes, because
 * rights cannot be regained. */
#include "outlets/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

static bool opens(const char *path, int how)
{
    int fd = open(path, how | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int socket_error(int family)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int error = fd < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return error;
}

static bool knows_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 1;
}

/* Returns the first thing that is wrong; NULL: none. */
static const char *try_all(bool network, bool local)
{
    const bool landlock = knows_landlock();
    const struct outlet_kind kind = {.name = "x", .network = network, .local = local};
    char name[] = "/tmp/packgate-rights-XXXXXX";
    rights_give_up(&kind);
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return "new privileges";
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 2)
        return "no filter of system calls";
    if (!opens("/etc/passwd", O_RDONLY) || !opens("/dev/null", O_RDWR) ||
        !opens("/dev/urandom", O_RDONLY))
        return "what it needs cannot be read";
    int fd = mkstemp(name);
    if (fd < 0 || close(fd) < 0 || unlink(name) < 0)
        return "a database cannot be written";
    if (landlock && (opens("/dev/ptmx", O_RDWR) || errno != EACCES))
        return "a device can be opened";
    if (socket_error(AF_INET) != (network ? 0 : EAFNOSUPPORT))
        return "sockets of the network";
    if (socket_error(AF_UNIX) != (local ? 0 : EAFNOSUPPORT))
        return "sockets of this host";
    if (socket_error(AF_PACKET) != EAFNOSUPPORT)
        return "sockets of other kinds";
#ifndef __SANITIZE_ADDRESS__
    char *const arguments[] = {(char[]){"true"}, NULL};
    execv("/bin/true", arguments);
    if (errno != EPERM)
        return "another program";
#endif
    return NULL;
}

static void check(bool network, bool local)
{
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        const char *wrong = try_all(network, local);
        if (wrong && write(pipes[1], wrong, strlen(wrong)) < 0)
            _exit(2);
        _exit(wrong != NULL);
    }
    int status = -1;
    char wrong[100] = "";
    close(pipes[1]);
    if (read(pipes[0], wrong, sizeof wrong - 1) < 0)
        fail();
    close(pipes[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("network %d: %s, status %d", network, wrong, status);
}

TEST(without_network)
{
    check(false, false);
}

TEST(with_network)
{
    check(true, false);
    check(true, true);
}
