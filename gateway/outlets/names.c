// SPDX-License-Identifier: MIT
#include "names.h"

#include "pipe.h"
#include "rights.h"

#include "base/address.h"
#include "base/child.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FOUND_MAX 16 /* addresses of a name; libraries try one after the other */
#define PORTS_MAX 8  /* the server's, and those of proxies in the environment */

enum wanted { LOOK_UP, CONNECT, PERMIT };

struct question {
    enum wanted wanted;
    struct addrinfo hints;       /* without pointers */
    char host[256], service[33]; /* empty: none */
    unsigned port;               /* to be permitted */
    socklen_t size;
    struct sockaddr_storage address; /* to connect to */
};

/* An address as a library gets it; the entries of a list lie in one piece of memory. */
struct entry {
    struct addrinfo info;
    struct sockaddr_storage address;
};

struct answer {
    int error; /* as of getaddrinfo; 0: none */
    unsigned count;
    struct entry found[FOUND_MAX]; /* their pointers mean nothing */
};

static int looker = -1; /* socket of the process that looks names up and connects */

/* By the C library's own getaddrinfo. */
static void look_up(const struct question *question, struct answer *answer)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = NULL;
    void (*real_free)(struct addrinfo *) = NULL;
    *(void **) &real = dlsym(RTLD_NEXT, "getaddrinfo");
    *(void **) &real_free = dlsym(RTLD_NEXT, "freeaddrinfo");
    const struct addrinfo hints = {.ai_flags = question->hints.ai_flags & ~AI_CANONNAME,
                                   .ai_family = question->hints.ai_family,
                                   .ai_socktype = question->hints.ai_socktype,
                                   .ai_protocol = question->hints.ai_protocol};
    struct addrinfo *list = NULL;
    memset(answer, 0, sizeof *answer);
    answer->error = real && real_free
                        ? real(question->host[0] ? question->host : NULL,
                               question->service[0] ? question->service : NULL, &hints, &list)
                        : EAI_FAIL;
    if (answer->error == EAI_SYSTEM)
        answer->error = EAI_AGAIN; /* errno stays behind */
    for (const struct addrinfo *info = list; info && answer->count < FOUND_MAX;
         info = info->ai_next) {
        struct entry *entry = &answer->found[answer->count++];
        entry->info = *info;
        entry->info.ai_canonname = NULL;
        memcpy(&entry->address, info->ai_addr, info->ai_addrlen);
    }
    if (list)
        real_free(list);
}

/* By the system call, with the socket of the outlet. */
static int connect_socket(int fd, const struct sockaddr *address, socklen_t size)
{
    return syscall(SYS_connect, fd, address, size) < 0 ? errno : 0;
}

struct permitted {
    unsigned ports[PORTS_MAX];
    unsigned count;
    bool complete; /* set at the first connection: from then on the outlet talks to strangers */
};

static bool is_permitted(const struct permitted *permitted, unsigned port)
{
    for (unsigned i = 0; i < permitted->count; i++)
        if (permitted->ports[i] == port)
            return true;
    return false;
}

/* The outlet sends its socket right after the question, on the same connection. Datagram sockets may use any port: they can send
 * without a connection anyway, and no server of datagrams can switch a pack. */
static void connect_for(const struct permitted *permitted, const struct question *question, int to,
                        struct answer *answer)
{
    const struct sockaddr *address = (const struct sockaddr *) &question->address;
    const unsigned port = address_port(address);
    uint8_t none;
    int fd = -1, type = 0;
    socklen_t size = sizeof type;
    memset(answer, 0, sizeof *answer);
    answer->error = EACCES;
    if (pipe_receive_file(to, &none, sizeof none, &fd) >= 0 && fd >= 0 &&
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && port > 0 &&
        question->size <= sizeof question->address &&
        (type == SOCK_DGRAM || is_permitted(permitted, port)))
        answer->error = connect_socket(fd, address, question->size);
}

/* In a child process: a look-up may take minutes, and others must not wait for it. */
static void answer_apart(const struct permitted *permitted, struct question *question, int to)
{
    const pid_t parent = getpid();
    if (fork() != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    struct answer answer;
    question->host[sizeof question->host - 1] = '\0';
    question->service[sizeof question->service - 1] = '\0';
    if (question->wanted == CONNECT)
        connect_for(permitted, question, to, &answer);
    else
        look_up(question, &answer);
    if (send(to, &answer, sizeof answer, MSG_NOSIGNAL) < 0)
        _exit(1);
    _exit(0);
}

static _Noreturn void serve(int fd, pid_t parent)
{
    static const struct outlet_kind kind = {.name = "names", .network = true, .local = true};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    prctl(PR_SET_NAME, "packgate-names");
    prctl(PR_SET_DUMPABLE, 0); /* without landlock, the outlet must not rewrite what may connect */
    /* A service manager signals all processes at once: an ending outlet may need a name. */
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGCHLD, SIG_IGN); /* the kernel reaps the children that answer */
    fd = child_settle(fd);
    rights_give_up(&kind);
    struct permitted permitted = {.count = 0};
    for (;;) {
        struct question question;
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        int to;
        if (poll(&ready, 1, -1) < 0 && errno != EINTR)
            _exit(1);
        const ssize_t size = pipe_receive_file(fd, &question, sizeof question, &to);
        if (size == 0)
            _exit(0);
        if (size == sizeof question && question.wanted == PERMIT) {
            if (!permitted.complete && !is_permitted(&permitted, question.port) &&
                permitted.count < PORTS_MAX)
                permitted.ports[permitted.count++] = question.port;
        } else if (size == sizeof question && to >= 0) {
            answer_apart(&permitted, &question, to);
        }
        permitted.complete |= size == sizeof question && question.wanted == CONNECT;
        if (to >= 0)
            close(to);
    }
}

bool names_begin(void)
{
    int pair[2];
    const pid_t parent = getpid();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return false;
    const pid_t pid = fork();
    if (pid == 0)
        serve(pair[1], parent);
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return false;
    }
    looker = pair[0];
    child_keep_too(looker); /* a child of base/resolver.c calls this getaddrinfo as well */
    return true;
}

/* `fd`: the socket to connect; -1: none. False: the process that answers is gone. */
static bool ask_process(const struct question *question, int fd, struct answer *answer)
{
    const uint8_t none = 0;
    int pair[2];
    if (looker < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return false;
    const bool asked = (fd < 0 || pipe_send_file(pair[0], &none, sizeof none, fd)) &&
                       pipe_send_file(looker, question, sizeof *question, pair[1]);
    /* It is gone: the outlet ends as if it was asked to, and the gateway restarts it. */
    if (!asked && (errno == EPIPE || errno == ECONNRESET)) {
        kill(getpid(), SIGTERM);
        looker = -1;
    }
    close(pair[1]);
    ssize_t size = -1;
    while (asked && (size = recv(pair[0], answer, sizeof *answer, 0)) < 0 && errno == EINTR)
        ;
    close(pair[0]);
    if (asked && (size != sizeof *answer || answer->count > FOUND_MAX))
        *answer = (struct answer){.error = fd < 0 ? EAI_AGAIN : ECONNABORTED};
    return asked;
}

/* Replaces the C library's, for this program and its libraries. */
int getaddrinfo(const char *restrict host, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict list)
{
    struct question question = {.hints.ai_family = AF_UNSPEC};
    struct answer answer;
    if ((host && strlen(host) >= sizeof question.host) ||
        (service && strlen(service) >= sizeof question.service))
        return EAI_NONAME;
    if (host)
        strcpy(question.host, host);
    if (service)
        strcpy(question.service, service);
    if (hints)
        question.hints = *hints;
    if (!ask_process(&question, -1, &answer))
        look_up(&question, &answer);
    if (answer.error)
        return answer.error;
    if (answer.count == 0)
        return EAI_NONAME;
    struct entry *entries = calloc(answer.count, sizeof *entries);
    if (!entries)
        return EAI_MEMORY;
    memcpy(entries, answer.found, answer.count * sizeof *entries);
    for (unsigned i = 0; i < answer.count; i++) {
        entries[i].info.ai_addr = (struct sockaddr *) &entries[i].address;
        entries[i].info.ai_next = i + 1 < answer.count ? &entries[i + 1].info : NULL;
    }
    *list = &entries->info;
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    free(list);
}

void names_permit(unsigned port)
{
    const struct question question = {.wanted = PERMIT, .port = port};
    if (looker >= 0)
        pipe_send_file(looker, &question, sizeof question, -1);
}

int connect(int fd, const struct sockaddr *address, socklen_t size)
{
    struct question question = {.wanted = CONNECT, .size = size};
    struct answer answer;
    if (size > sizeof question.address) {
        errno = EINVAL;
        return -1;
    }
    memcpy(&question.address, address, size);
    if (!ask_process(&question, fd, &answer))
        answer.error = connect_socket(fd, address, size);
    errno = answer.error;
    return answer.error ? -1 : 0;
}
