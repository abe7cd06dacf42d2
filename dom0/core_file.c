/* SPDX-License-Identifier: MIT */
#include "dom0/core_private.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <unistd.h>

#define CHUNK  (1u << 20)
#define PAGES  (CHUNK / CORE_PAGE)
#define NT_WHY 0x4b78656e /* of the note "Kxen": text; no number of others */

/* What stands before the memory. */
struct head {
    uint8_t *buf;
    size_t len, size;
};

static int head_put(struct head *h, const void *data, size_t len)
{
    size_t padded = (len + 3) & ~(size_t)3;

    if (h->len + padded > h->size)
        return -ENOMEM; /* sized beforehand: cannot be */
    memcpy(h->buf + h->len, data, len);
    h->len += padded;
    return 0;
}

static size_t note_size(const char *name, size_t len)
{
    return sizeof(Elf64_Nhdr) + ((strlen(name) + 4) & ~(size_t)3) +
           ((len + 3) & ~(size_t)3);
}

static int put_note(struct head *h, const char *name, uint32_t type,
                    const void *data, size_t len)
{
    Elf64_Nhdr n = {
        .n_namesz = strlen(name) + 1, .n_descsz = len, .n_type = type};
    int rc = head_put(h, &n, sizeof(n));

    if (!rc)
        rc = head_put(h, name, strlen(name) + 1);
    return rc ? rc : head_put(h, data, len);
}

static void fill_regs(struct user_regs_struct *to, const struct core_vcpu *v)
{
    const struct cpu_user_regs *r = &v->ctx.user_regs;
    bool kernel = v->ctx.flags & VGCF_in_kernel;

    *to = (struct user_regs_struct){
        .r15 = r->r15,
        .r14 = r->r14,
        .r13 = r->r13,
        .r12 = r->r12,
        .rbp = r->rbp,
        .rbx = r->rbx,
        .r11 = r->r11,
        .r10 = r->r10,
        .r9 = r->r9,
        .r8 = r->r8,
        .rax = r->rax,
        .rcx = r->rcx,
        .rdx = r->rdx,
        .rsi = r->rsi,
        .rdi = r->rdi,
        .orig_rax = ~0ull, /* not in a system call */
        .rip = r->rip,
        .cs = r->cs,
        .eflags = r->rflags,
        .rsp = r->rsp,
        .ss = r->ss,
        .fs_base = v->ctx.fs_base,
        .gs_base = kernel ? v->ctx.gs_base_kernel : v->ctx.gs_base_user,
        .ds = r->ds,
        .es = r->es,
        .fs = r->fs,
        .gs = r->gs,
    };
}

static int put_vcpu(struct head *h, const struct core_vcpu *v)
{
    struct elf_prstatus st = {.pr_pid = v->id + 1};
    struct user_regs_struct regs;

    fill_regs(&regs, v);
    _Static_assert(sizeof(regs) == sizeof(st.pr_reg), "one layout");
    memcpy(&st.pr_reg, &regs, sizeof(regs));
    return put_note(h, "CORE", NT_PRSTATUS, &st, sizeof(st));
}

static int put_notes(struct head *h, const struct core_info *info)
{
    struct elf_prpsinfo ps = {.pr_sname = 'R', .pr_pid = 1};
    unsigned i;
    int rc = 0;

    /* Both may be cut, and need no NUL then. */
    memcpy(ps.pr_fname, info->name,
           strnlen(info->name, sizeof(ps.pr_fname) - 1));
    memcpy(ps.pr_psargs, info->name,
           strnlen(info->name, sizeof(ps.pr_psargs) - 1));
    for (i = 0; i < info->nr_vcpus && !rc; i++) {
        rc = put_vcpu(h, &info->vcpus[i]);
        if (!rc && !i)
            rc = put_note(h, "CORE", NT_PRPSINFO, &ps, sizeof(ps));
    }
    if (!rc)
        rc = put_note(h, "Kxen", NT_WHY, info->story, strlen(info->story) + 1);
    return rc;
}

static size_t notes_size(const struct core_info *info)
{
    return info->nr_vcpus * note_size("CORE", sizeof(struct elf_prstatus)) +
           note_size("CORE", sizeof(struct elf_prpsinfo)) +
           note_size("Kxen", strlen(info->story) + 1);
}

static int put_headers(struct head *h, const struct core_map *map, size_t notes,
                       uint64_t data)
{
    Elf64_Ehdr e = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
                    EV_CURRENT},
        .e_type = ET_CORE,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_phoff = sizeof(e),
        .e_ehsize = sizeof(e),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = map->nr + 1,
    };
    Elf64_Phdr p = {
        .p_type = PT_NOTE,
        .p_offset = sizeof(e) + (map->nr + 1) * sizeof(p),
        .p_filesz = notes,
        .p_align = 4,
    };
    int rc = head_put(h, &e, sizeof(e));
    size_t i;

    if (!rc)
        rc = head_put(h, &p, sizeof(p));
    for (i = 0; i < map->nr && !rc; i++) {
        const struct core_run *run = &map->runs[i];

        p = (Elf64_Phdr){
            .p_type = PT_LOAD,
            .p_flags = PF_R | PF_W | PF_X,
            .p_offset = data + run->gfn * CORE_PAGE,
            .p_vaddr = run->va,
            .p_paddr = run->pfn * CORE_PAGE,
            .p_filesz = run->nr * CORE_PAGE,
            .p_memsz = run->nr * CORE_PAGE,
            .p_align = CORE_PAGE,
        };
        rc = head_put(h, &p, sizeof(p));
    }
    return rc;
}

int core_write_all(int fd, const void *buf, size_t len, off_t at)
{
    const char *p = buf;

    while (len) {
        ssize_t n = pwrite(fd, p, len, at);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            p += n;
            at += n;
            len -= n;
        }
    }
    return 0;
}

static bool is_zero(const uint8_t *page)
{
    return !*page && !memcmp(page, page + 1, CORE_PAGE - 1);
}

/* The pages of one chunk that are not zero, neighbours together. */
static int write_chunk(int fd, const uint8_t *buf, uint64_t nr, off_t at)
{
    uint64_t i, from;
    int rc = 0;

    for (i = 0; i < nr && !rc; i++) {
        if (is_zero(buf + i * CORE_PAGE))
            continue;
        for (from = i; i + 1 < nr && !is_zero(buf + (i + 1) * CORE_PAGE);)
            i++;
        rc = core_write_all(fd, buf + from * CORE_PAGE,
                            (i + 1 - from) * CORE_PAGE, at + from * CORE_PAGE);
    }
    return rc;
}

/* The first frame from gfn on that has memory behind it. */
static uint64_t next_data(const struct core_mem *mem, uint64_t gfn)
{
    off_t at = lseek(mem->fd, gfn * CORE_PAGE, SEEK_DATA);

    if (at < 0)
        return errno == ENXIO ? mem->nr_pages : gfn;
    return (uint64_t)at / CORE_PAGE;
}

int core_write_memory(int fd, const struct core_mem *mem, off_t data,
                      atomic_ullong *done)
{
    uint8_t *buf = malloc(CHUNK);
    uint64_t gfn = 0, nr;
    ssize_t n;
    int rc = buf ? 0 : -ENOMEM;

    while (!rc && (gfn = next_data(mem, gfn)) < mem->nr_pages) {
        if (mem->abort && atomic_load(mem->abort)) {
            rc = -ECANCELED;
            break;
        }
        nr = mem->nr_pages - gfn < PAGES ? mem->nr_pages - gfn : PAGES;
        n = pread(mem->fd, buf, nr * CORE_PAGE, gfn * CORE_PAGE);
        if (n < (ssize_t)CORE_PAGE)
            rc = n < 0 ? -errno : -EIO;
        else
            rc = write_chunk(fd, buf, n / CORE_PAGE, data + gfn * CORE_PAGE);
        if (!rc)
            gfn += n / CORE_PAGE;
        atomic_store(done, gfn);
    }
    free(buf);
    return rc;
}

int core_write(int fd, const struct core_mem *mem, const struct core_map *map,
               const struct core_info *info, atomic_ullong *done)
{
    size_t notes = notes_size(info);
    struct head h = {.size = sizeof(Elf64_Ehdr) +
                             (map->nr + 1) * sizeof(Elf64_Phdr) + notes};
    uint64_t data = (h.size + CORE_PAGE - 1) / CORE_PAGE * CORE_PAGE;
    int rc = -ENOMEM;

    h.buf = calloc(1, h.size);
    if (!h.buf)
        return rc;
    rc = put_headers(&h, map, notes, data);
    if (!rc)
        rc = put_notes(&h, info);
    if (!rc && ftruncate(fd, data + mem->nr_pages * CORE_PAGE))
        rc = -errno;
    if (!rc)
        rc = core_write_all(fd, h.buf, h.len, 0);
    if (!rc)
        rc = core_write_memory(fd, mem, data, done);
    if (!rc && fsync(fd))
        rc = -errno;
    free(h.buf);
    return rc;
}
