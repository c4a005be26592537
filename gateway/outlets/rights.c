// SPDX-License-Identifier: MIT
#include "rights.h"

#include "base/log.h"
#include "bms/count.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define READING (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE)
#define ALL_FILES (LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1) /* what the first version knows of */

static void allow_path(int rules, const char *path, uint64_t access)
{
    struct landlock_path_beneath_attr beneath = {.allowed_access = access,
                                                 .parent_fd = open(path, O_PATH | O_CLOEXEC)};
    struct stat found;
    if (beneath.parent_fd < 0)
        return;
    if (fstat(beneath.parent_fd, &found) == 0 && !S_ISDIR(found.st_mode))
        beneath.allowed_access &= READING | LANDLOCK_ACCESS_FS_WRITE_FILE;
    syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
    close(beneath.parent_fd);
}

/* Of devices only harmless ones are kept. File permissions apply as before. */
void rights_give_up_devices(void)
{
    static const char *const harmless[] = {"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom",
                                           "/dev/shm"};
    const struct landlock_ruleset_attr all = {.handled_access_fs = ALL_FILES};
    int rules = (int) syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    DIR *root = rules >= 0 ? opendir("/") : NULL;
    for (const struct dirent *entry = NULL; root && (entry = readdir(root));) {
        char path[sizeof entry->d_name + 1];
        snprintf(path, sizeof path, "/%s", entry->d_name);
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "dev") != 0)
            allow_path(rules, path, ALL_FILES);
    }
    for (size_t i = 0; i < COUNT(harmless); i++)
        allow_path(rules, harmless[i], ALL_FILES);
    if (!root || syscall(SYS_landlock_restrict_self, rules, 0) < 0)
        log_debug("devices stay accessible: %s", strerror(errno));
    if (root)
        closedir(root);
    if (rules >= 0)
        close(rules);
}

#ifdef __s390__
#define CLONE_FLAGS SCMP_A1
#else
#define CLONE_FLAGS SCMP_A0
#endif

static int forbid(scmp_filter_ctx filter, const int *calls, size_t count)
{
    int error = 0;
    for (size_t i = 0; i < count; i++)
        error |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i], 0);
    return error;
}

#define FAMILY(number) (UINT64_C(1) << (number))

/* Forbids sockets of all families except those with a bit. */
static int forbid_sockets(scmp_filter_ctx filter, uint64_t families)
{
    int error = 0;
    for (uint64_t family = 0; family < AF_MAX; family++)
        if (!(families & FAMILY(family)))
            error |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                                      SCMP_A0(SCMP_CMP_EQ, family));
    return error | seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                                    SCMP_A0(SCMP_CMP_GE, AF_MAX));
}

/* The outlet could write to the gateway's Modbus server, which this host may do unless
 * `allow_write` says otherwise. Outlets connect through another process (names.h). */
static int forbid_connecting(scmp_filter_ctx filter)
{
    static const int call[] = {SCMP_SYS(connect)};
    int error = forbid(filter, call, COUNT(call));
    error |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(sendto), 1,
                              SCMP_A3(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN));
    error |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(sendmsg), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN));
    return error | seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(sendmmsg), 1,
                                    SCMP_A3(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN));
}

/* A user namespace of its own would return capabilities. The flags of clone3 are in memory, which
 * a filter cannot read: without clone3 the C library uses clone. */
static int forbid_namespaces(scmp_filter_ctx filter)
{
    static const uint64_t flags[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                     CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};
    int error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    for (size_t i = 0; i < COUNT(flags); i++)
        error |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                  CLONE_FLAGS(SCMP_CMP_MASKED_EQ, flags[i], flags[i]));
    return error;
}

/* An io_uring opens and connects sockets past the filter. An AF_UNIX socket would reach the
 * gateway's control socket and, through the system bus, every Bluetooth module. */
static void give_up_calls(const struct outlet_kind *kind)
{
    const bool local = kind->local || kind->programs;
    uint64_t families = local ? FAMILY(AF_UNIX) : 0;
    /* Netlink is how the C library finds out which addresses there are. */
    if (kind->network)
        families |= FAMILY(AF_INET) | FAMILY(AF_INET6) | FAMILY(AF_NETLINK);
    if (kind->network && kind->devices)
        families |= FAMILY(AF_CAN);
    static const int never[] = {SCMP_SYS(process_vm_readv),
                                SCMP_SYS(process_vm_writev),
                                SCMP_SYS(pidfd_getfd),
                                SCMP_SYS(io_uring_setup),
                                SCMP_SYS(io_uring_enter),
                                SCMP_SYS(io_uring_register),
                                SCMP_SYS(kexec_load),
                                SCMP_SYS(init_module),
                                SCMP_SYS(bpf),
                                SCMP_SYS(userfaultfd),
                                SCMP_SYS(perf_event_open),
                                SCMP_SYS(keyctl),
                                SCMP_SYS(unshare),
                                SCMP_SYS(setns)};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    bool failed = !filter || forbid(filter, never, COUNT(never)) || forbid_namespaces(filter);
#ifndef __SANITIZE_ADDRESS__ /* its runtime needs both */
    static const int look[] = {SCMP_SYS(ptrace)};
    static const int programs[] = {SCMP_SYS(execve), SCMP_SYS(execveat)};
    failed = failed || forbid(filter, look, COUNT(look)) ||
             (!kind->programs && forbid(filter, programs, COUNT(programs)));
#endif
    if (failed || forbid_sockets(filter, families) || (!local && forbid_connecting(filter)) ||
        seccomp_load(filter) < 0)
        log_debug("system calls are not limited");
    seccomp_release(filter);
}

void rights_give_up_programs(void)
{
    static const struct outlet_kind without = {.network = true, .devices = true};
    give_up_calls(&without);
}

void rights_give_up(const struct outlet_kind *kind)
{
    /* A core dump could contain passwords. */
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    /* A page with many viewers must not delay the gateway: a process of this scheduling class does not
     * preempt others when it wakes, and is not starved. */
    const struct sched_param priority = {0};
    if (sched_setscheduler(0, SCHED_BATCH, &priority) < 0)
        log_debug("it keeps the scheduling class of the gateway: %s", strerror(errno));
    /* Capabilities of the gateway (for a port below 1024) may be inherited over fork and exec. */
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (int i = 0; i <= CAP_LAST_CAP; i++)
        prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    syscall(SYS_capset, &header, none);
    if (!kind->devices)
        rights_give_up_devices();
    give_up_calls(kind);
}
