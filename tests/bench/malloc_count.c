// SPDX-License-Identifier: MIT
/*
 * Counts the calls of the allocator in whatever program it is loaded into (LD_PRELOAD), in a file
 * that others can map meanwhile: MALLOC_COUNT names it, of at least the size of struct counts. Once
 * `show` in it is not 0, that many allocations say on standard error where they come from. glibc
 * only, which has its own functions under second names.
 */
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define TRACE_DEPTH 12

/* As bench.py reads it. */
struct counts {
    uint64_t got, freed;
    uint64_t show; /* how many allocations are still to be shown */
};

/* NOLINTBEGIN: the names are glibc's */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);
void *memalign(size_t alignment, size_t size);
/* NOLINTEND */

static struct counts before_start;
static struct counts *counts = &before_start;
static __thread int showing;

static void show_caller(void)
{
    void *trace[TRACE_DEPTH];
    if (showing || __atomic_load_n(&counts->show, __ATOMIC_RELAXED) == 0)
        return;
    showing = 1;
    counts->show--;
    const int depth = backtrace(trace, TRACE_DEPTH);
    backtrace_symbols_fd(trace, depth, STDERR_FILENO);
    if (write(STDERR_FILENO, "\n", 1) != 1)
        counts->show = 0;
    showing = 0;
}

static void count_one(void)
{
    __atomic_add_fetch(&counts->got, 1, __ATOMIC_RELAXED);
    show_caller();
}

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("MALLOC_COUNT");
    void *first[1];
    const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *shared = fd >= 0 ? mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                           : MAP_FAILED;
    if (fd >= 0)
        close(fd);
    if (shared == MAP_FAILED)
        abort();
    backtrace(first, 1); /* gets its memory now */
    counts = shared;
}

void *malloc(size_t size)
{
    count_one();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    count_one();
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    count_one();
    return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size)
{
    count_one();
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    count_one();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    count_one();
    void *memory = __libc_memalign(alignment, size);
    if (!memory)
        return ENOMEM;
    *out = memory;
    return 0;
}

void free(void *memory)
{
    if (memory)
        __atomic_add_fetch(&counts->freed, 1, __ATOMIC_RELAXED);
    __libc_free(memory);
}
