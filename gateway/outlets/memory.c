// SPDX-License-Identifier: MIT
#include "memory.h"

#include <link.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdbool.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__ /* it has its own memory layout */
#define GIVES_BACK_PAGES false
#else
#define GIVES_BACK_PAGES true
#endif

/* Whether the loader has written into read-only pages, or that cannot be found out. */
static bool is_patched(const struct dl_phdr_info *object)
{
    const ElfW(Dyn) *dynamic = NULL;
    for (int i = 0; i < object->dlpi_phnum; i++)
        if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
            dynamic = (const ElfW(Dyn) *) (object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
    for (const ElfW(Dyn) *at = dynamic; at && at->d_tag != DT_NULL; at++)
        if (at->d_tag == DT_TEXTREL || (at->d_tag == DT_FLAGS && at->d_un.d_val & DF_TEXTREL))
            return true;
    return !dynamic;
}

/* Skips writable segments, and those that were writable until the loader closed them (RELRO). */
static int give_back_object(struct dl_phdr_info *object, size_t size, void *data)
{
    const uintptr_t page = *(const uintptr_t *) data, vdso = getauxval(AT_SYSINFO_EHDR);
    if (is_patched(object))
        return 0;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        const uintptr_t at = object->dlpi_addr + part->p_vaddr, from = at & ~(page - 1);
        if (part->p_type == PT_LOAD && !(part->p_flags & PF_W) && from != vdso)
            madvise((void *) from, at + part->p_memsz - from, MADV_DONTNEED);
    }
    return 0;
}

void memory_be_small(void)
{
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 1);
#endif
}

void memory_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

void memory_give_back(void)
{
    memory_trim();
    uintptr_t page = (uintptr_t) sysconf(_SC_PAGESIZE);
    if (GIVES_BACK_PAGES)
        dl_iterate_phdr(give_back_object, &page);
}
