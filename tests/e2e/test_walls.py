# SPDX-License-Identifier: MIT
# tests/run: 30 s
"""An outlet under the control of an attacker: our code runs inside of each kind, in place of its loop, and tries
actions that would switch a pack, and actions that the outlet should have given up."""

import ctypes
import os
import re
import signal
import socket
import subprocess
import tempfile

from harness import Gateway, PACKGATE, PATIENCE, await_value, main, outlet_pid, preloading, read_value, simulate

ROOT = os.path.join(os.path.dirname(__file__), "../..")

# Runs in the thread that has dropped its rights, where the outlet would begin its loop. Prints "tried NAME ERROR" for
# each action, 0 if it worked.
INSIDE = r"""
#define _GNU_SOURCE
#include "outlets/pipe.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#define NEW_NAMESPACE 0x10000000 /* CLONE_NEWUSER */

static void tell(const char *name, long result)
{
    const int error = errno;
    char text[64] = "";
    const int size = snprintf(text, sizeof text, "tried %s %d\n", name, result < 0 ? error : 0);
    if (write(2, text, (size_t) size) < 0)
        _exit(9);
}

static long in_a_child(long pid)
{
    if (pid == 0)
        _exit(0);
    if (pid > 0)
        waitpid((pid_t) pid, NULL, 0);
    return pid;
}

static long clone_with(unsigned long flags)
{
#ifdef __s390__
    return in_a_child(syscall(SYS_clone, 0, flags | SIGCHLD, 0, 0, 0));
#else
    return in_a_child(syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0));
#endif
}

static long opens(const char *path, int how)
{
    int fd = open(path, how | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd;
}

static long new_socket(int family, int type)
{
    int fd = socket(family, type, 0);
    if (fd >= 0)
        close(fd);
    return fd;
}

static const struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_addr.s_addr = 0x0100007F, .sin_port = 0x0100};

static long connects(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    long result = syscall(SYS_connect, fd, (const struct sockaddr *) &nobody, sizeof nobody);
    if (fd >= 0)
        close(fd);
    return result;
}

/* As the libraries of the outlet do it. */
static long reaches(uint16_t port, int family, int type)
{
    const struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memcpy(&six.sin6_addr, "\0\0\0\0\0\0\0\0\0\0\377\377\177\0\0\1", 16);
    int fd = socket(family, type, 0);
    long result = family == AF_INET ? connect(fd, (const struct sockaddr *) &four, sizeof four)
                                    : connect(fd, (const struct sockaddr *) &six, sizeof six);
    if (fd >= 0)
        close(fd);
    return result;
}

static long reaches_local(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int pair[2] = {-1, -1};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", getenv("WALLS_CONTROL"));
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    return connect(pair[0], (const struct sockaddr *) &to, sizeof to);
}

static long sends_opening(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    long result = sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (const struct sockaddr *) &nobody, sizeof nobody);
    if (fd >= 0)
        close(fd);
    return result;
}

/* Whoever may ask for `send` gets an answer that is no refusal. */
static void ask_control(void)
{
    static const char question[] = "{\"ask\":\"send\",\"line\":\"a\",\"bytes\":\"A540DA080000000000000000C7\"}\n";
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char answer[300] = "";
    snprintf(to.sun_path, sizeof to.sun_path, "%s", getenv("WALLS_CONTROL"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *) &to, sizeof to) < 0) {
        tell("control", -1);
        return;
    }
    if (write(fd, question, sizeof question - 1) < 0 || read(fd, answer, sizeof answer - 1) <= 0)
        snprintf(answer, sizeof answer, "none");
    errno = EACCES;
    tell("control", strstr(answer, "for root and the user of the service only") ? -1 : 0);
    close(fd);
}

/* As the outlet's own code would: the discharge MOS of the first pack off, or its SOC set. */
static void order(void)
{
    struct pipe_message message = {.type = PIPE_ORDER, .order = {.ticket = 1, .what = {.wanted = {false, true}}}};
    if (getenv("WALLS_SETS"))
        message.order.what = (struct switches){.sets = true, .setting = 0, .value = 50};
    tell("order", send(3, &message, offsetof(struct pipe_message, order) + sizeof message.order, MSG_DONTWAIT));
}

/* The memory of the process that looks up and connects for this one. */
static long opens_helper(void)
{
    char path[80], pid[20] = "";
    snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long) syscall(SYS_gettid));
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%19s", pid) != 1)
        return 0;
    fclose(file);
    snprintf(path, sizeof path, "/proc/%s/mem", pid);
    return opens(path, O_RDWR);
}

/* A kernel without landlock. */
long syscall(long number, ...)
{
    long (*real)(long, ...) = (long (*)(long, ...)) dlsym(RTLD_NEXT, "syscall"), at[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        at[i] = va_arg(arguments, long);
    va_end(arguments);
    if (number == SYS_landlock_create_ruleset && getenv("WALLS_NO_LANDLOCK")) {
        errno = ENOSYS;
        return -1;
    }
    return real(number, at[0], at[1], at[2], at[3], at[4], at[5]);
}

static void try_all(void)
{
    char memory[40], *const arguments[] = {"true", NULL};
    uint64_t room[16] = {0};
    const pid_t gateway = getppid();
    snprintf(memory, sizeof memory, "/proc/%d/mem", (int) gateway);
    ask_control();
    order();
    tell("io_uring_setup", syscall(SYS_io_uring_setup, 4, room));
    tell("io_uring_enter", syscall(SYS_io_uring_enter, -1, 0, 0, 0, NULL, 0));
    tell("io_uring_register", syscall(SYS_io_uring_register, -1, 0, NULL, 0));
    tell("clone", clone_with(NEW_NAMESPACE));
    room[0] = NEW_NAMESPACE;
    room[4] = SIGCHLD;
    tell("clone3", in_a_child(syscall(SYS_clone3, room, 64)));
    tell("unshare", unshare(NEW_NAMESPACE));
    tell("setns", setns(open("/proc/self/ns/user", O_RDONLY), 0));
    tell("ptrace", ptrace(PTRACE_SEIZE, gateway, NULL, NULL));
    tell("process_vm_writev", syscall(SYS_process_vm_writev, gateway, NULL, 0, NULL, 0, 0));
    tell("pidfd_getfd", syscall(SYS_pidfd_getfd, -1, 0, 0));
    tell("memory", opens(memory, O_RDWR));
    tell("helper", opens_helper());
    tell("device", opens("/dev/ptmx", O_RDWR));
    tell("keyctl", syscall(SYS_keyctl, 0, 0, 0));
    tell("bpf", syscall(SYS_bpf, 0, NULL, 0));
    tell("local", new_socket(AF_UNIX, SOCK_STREAM));
    tell("datagrams", new_socket(AF_UNIX, SOCK_DGRAM));
    tell("network", new_socket(AF_INET, SOCK_STREAM));
    tell("network6", new_socket(AF_INET6, SOCK_STREAM));
    tell("packets", new_socket(AF_PACKET, SOCK_RAW));
    tell("connecting", connects());
    tell("fast_open", sends_opening());
    tell("server", reaches(1, AF_INET, SOCK_STREAM));
    tell("server6", reaches(1, AF_INET6, SOCK_STREAM));
    const uint16_t other = (uint16_t) atoi(getenv("WALLS_OTHER"));
    tell("other", reaches(other, AF_INET, SOCK_STREAM));
    tell("other6", reaches(other, AF_INET6, SOCK_STREAM));
    tell("name_server", reaches(other, AF_INET, SOCK_DGRAM));
    tell("reach_local", reaches_local());
    const pid_t child = fork();
    if (child == 0) {
        fcntl(2, F_SETFD, FD_CLOEXEC);
        execv("/bin/true", arguments);
        tell("program", -1);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    tell("end", 0);
}

int ev_run(struct ev_loop *loop, int flags)
{
    int (*real)(void *, int) = (int (*)(void *, int)) dlsym(RTLD_NEXT, "ev_run");
    if (strcmp(program_invocation_short_name, "packgate-outlet") == 0)
        try_all();
    return real(loop, flags);
}

/* The host knows walls.test by a service of its own, as it knows .local names by avahi. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **)) dlsym(RTLD_NEXT, "getaddrinfo");
    if (!host || strcmp(host, "walls.test") != 0)
        return real(host, service, hints, found);
    return new_socket(AF_UNIX, SOCK_STREAM) < 0 ? EAI_NONAME : real("127.0.0.1", service, hints, found);
}
"""

EPERM, EACCES, ENOSYS, EAFNOSUPPORT, ECONNREFUSED = 1, 13, 38, 97, 111
FORBIDDEN = {"io_uring_setup": EPERM, "io_uring_enter": EPERM, "io_uring_register": EPERM, "clone": EPERM, "clone3": ENOSYS,
             "unshare": EPERM, "setns": EPERM, "process_vm_writev": EPERM, "pidfd_getfd": EPERM, "keyctl": EPERM, "bpf": EPERM,
             "packets": EAFNOSUPPORT}
SANITIZED = "sanitized" in PACKGATE

PACK = "[line a]\nport = {}\nprotocol = daly\n[pack a]\nline = a\nunit = 1\npoll = 100ms\nwritable = yes\n"
NETWORK, CONNECT, LOCAL, PROGRAMS, DEVICES = "network", "connect", "local", "program", "device"

# Each kind with its rights: network sockets, connections to others, local sockets, other programs, devices.
KINDS = {
    "history": ("[history]\nfile = {folder}/history.db\n", ()),
    "print": ("[print x]\n", ()),
    "present": ("[present x]\nof = a\nprotocol = modbus-rtu\nport = tcp-listen:127.0.0.1:0\n", (NETWORK,)),
    "present on a serial port": ("[present x]\nof = a\nprotocol = modbus-rtu\nport = serial:{folder}/none\n", (NETWORK, DEVICES)),
    "web": ("[web]\nlisten = 127.0.0.1:0\n", (NETWORK,)),
    "mqtt": ("[mqtt x]\nbroker = mqtt://127.0.0.1:1\n", (NETWORK, CONNECT)),
    "influx": ("[influx x]\nurl = http://127.0.0.1:1/write?db=x\n", (NETWORK, CONNECT)),
    "notify": ("[notify x]\ntype = webhook\nurl = http://127.0.0.1:1/\nevents = started\n", (NETWORK, CONNECT)),
    "notify by a command": ("[notify x]\ntype = command\nurl = /bin/true\n", (NETWORK, CONNECT, LOCAL, PROGRAMS)),
}


def knows_landlock():
    return ctypes.CDLL(None).syscall(444, None, 0, 1) >= 1


def tries(gateway):
    """{name: error} of the outlet."""
    found = {}
    while "end" not in found:
        match = gateway.wait_for(r"tried (\w+) (\d+)")
        found[match[1]] = int(match[2])
    return found


class Taken:
    """A gateway in which one outlet is replaced by our code."""

    def __init__(self, text):
        self.folder = tempfile.TemporaryDirectory(prefix="packgate-walls-")
        path = os.path.join(self.folder.name, "inside")
        with open(f"{path}.c", "w") as file:
            file.write(INSIDE)
        subprocess.run([os.environ.get("CC", "cc"), f"-I{ROOT}", f"-I{ROOT}/gateway", "-shared", "-fPIC", "-o", f"{path}.so", f"{path}.c", "-ldl"], check=True)
        self.server, url = simulate("daly", "profile=fixed")
        control = f"{self.folder.name}/control"
        # A stand-in for the gateway's Modbus server: another port of this host than that of the outlet's own server.
        self.other = socket.create_server(("127.0.0.1", 0))
        self.other.setblocking(False)
        history = "" if "[history]" in text else "[history]\nfile = none\n"
        with preloading(f"{path}.so", WALLS_CONTROL=control, WALLS_OTHER=str(self.other.getsockname()[1])):
            self.gateway = Gateway(PACK.format(url) + history + text.replace("{folder}", self.folder.name), control=control)

    def __enter__(self):
        self.server.__enter__()
        self.gateway.__enter__()
        return self.gateway

    def __exit__(self, *arguments):
        self.other.close()
        self.gateway.__exit__(*arguments)
        self.server.__exit__(*arguments)
        self.folder.cleanup()


def check(kind, landlock=True):
    text, rights = KINDS[kind]
    wanted = dict(FORBIDDEN)
    for name in ("network", "network6"):
        wanted[name] = 0 if NETWORK in rights else EAFNOSUPPORT
    for name in ("local", "datagrams"):
        wanted[name] = 0 if LOCAL in rights else EAFNOSUPPORT
    wanted["connecting"] = ECONNREFUSED if PROGRAMS in rights else EPERM
    if PROGRAMS not in rights:
        wanted["fast_open"] = EPERM
    if CONNECT in rights and PROGRAMS not in rights:
        wanted.update(server=ECONNREFUSED, server6=ECONNREFUSED, name_server=0, helper=EACCES)
    if PROGRAMS not in rights:
        wanted["other"] = wanted["other6"] = EACCES if CONNECT in rights else EPERM
        wanted["reach_local"] = EACCES if CONNECT in rights else EPERM
    # If it can connect, it is rejected.
    wanted["control"] = EACCES if LOCAL in rights else EAFNOSUPPORT
    if not SANITIZED:
        wanted["ptrace"] = EPERM
        if PROGRAMS not in rights:
            wanted["program"] = EPERM
    if knows_landlock() and landlock:
        wanted["memory"] = EACCES
        wanted["device"] = 0 if DEVICES in rights else EACCES
    with Taken(text) as gateway:
        found = tries(gateway)
        assert {name: found.get(name) for name in wanted} == wanted, (kind, found)
        assert SANITIZED or ("program" in found) == (PROGRAMS not in rights), found
        said = "rejected an order that its section does not allow"
        if not any(said in line for line in gateway.lines):
            gateway.wait_for(said)
        with gateway.client() as client:
            polls = read_value(client, "polls", 1)
            await_value(client, "polls", 1, lambda now: now >= polls + 3)
            assert read_value(client, "discharge_mos", 1) == 1, kind


def case(kind):
    def run():
        check(kind)
    run.__name__ = kind.replace(" ", "_")
    return run


def tries_each_kind():
    """The kinds that this build has."""
    folder = os.path.dirname(PACKGATE)
    built = {name.split("-")[2] for name in os.listdir(folder) if re.fullmatch(r"packgate-outlet-[a-z]+", name)}
    assert built and built <= {kind.split()[0] for kind in KINDS}, built


def holds_without_landlock():
    os.environ["WALLS_NO_LANDLOCK"] = "1"
    check("mqtt", landlock=False)


def orders_where_its_section_lets_it():
    """Requests like the rejected ones above switch here."""
    with Taken("[mqtt x]\nbroker = mqtt://127.0.0.1:1\nswitching = yes\n") as gateway, gateway.client() as client:
        gateway.wait_published("a")
        await_value(client, "discharge_mos", 1, lambda now: now == 0)


def sets_nothing_although_it_switches():
    os.environ["WALLS_SETS"] = "1"
    with Taken("[mqtt x]\nbroker = mqtt://127.0.0.1:1\nswitching = yes\n") as gateway:
        gateway.wait_for("rejected an order that its section does not allow")


def finds_its_server_all_the_same():
    """A name that the host looks up through a socket that the outlet does not have."""
    for text in ("[mqtt x]\nbroker = mqtt://walls.test:{}\n", "[influx x]\nurl = http://walls.test:{}/write?db=x\ninterval = 10s\n",
                 "[notify x]\ntype = webhook\nurl = http://walls.test:{}/\nevents = started\n"):
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(PATIENCE)
            with Taken(text.format(server.getsockname()[1])) as gateway:
                assert tries(gateway)["local"] == EAFNOSUPPORT
                server.accept()[0].close()


def finds_a_proxy():
    """A proxy named by the environment, on another port."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(PATIENCE)
        os.environ["http_proxy"] = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        with Gateway(PACK.format("tcp://127.0.0.1:1") + "[notify x]\ntype = webhook\nurl = http://walls.test:81/\nevents = started\n"):
            connection = proxy.accept()[0]
            connection.settimeout(PATIENCE)
            assert connection.recv(100).startswith(b"POST http://walls.test:81/ "), "the proxy was asked for something else"
            connection.close()


def comes_back_without_its_helper():
    """The process that looks up and connects for an outlet is killed, as when memory runs out."""
    with socket.create_server(("127.0.0.1", 0)) as server, \
            Gateway(PACK.format("tcp://127.0.0.1:1") + "[mqtt x]\nbroker = mqtt://127.0.0.1:{}\n".format(server.getsockname()[1])) as gateway:
        server.settimeout(PATIENCE)
        connection = server.accept()[0]
        helpers = subprocess.run(["pgrep", "-x", "packgate-names", "-P", str(outlet_pid(gateway, "mqtt"))], check=True, capture_output=True, text=True)
        os.kill(int(helpers.stdout), signal.SIGKILL)
        connection.close()
        server.accept()[0].close()


if __name__ == "__main__":
    main([case(kind) for kind in KINDS] + [holds_without_landlock, orders_where_its_section_lets_it, sets_nothing_although_it_switches, finds_its_server_all_the_same,
                                            finds_a_proxy, comes_back_without_its_helper, tries_each_kind], at_once=4)
