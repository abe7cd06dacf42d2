/* SPDX-License-Identifier: MIT */
/*
 * Xen's own dump format, which the program crash reads: sections in place of
 * segments, pages by number.  Source: xen/elfnote.h, and Xen's
 * docs/misc/dump-core-format.txt for the sections.
 */
#include "dom0/core_private.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xen/elfnote.h>
#include <xen/version.h>

#define MAGIC_PV    0xf00febedull
#define P2M_ENTRIES 4096u

enum { S_NULL, S_STRTAB, S_NOTE, S_PRSTATUS, S_P2M, S_PAGES, NR_SECTIONS };

static const struct {
    const char *name;
    uint32_t type;
    uint64_t entsize;
} sections[NR_SECTIONS] = {
    [S_NULL] = {"", SHT_NULL, 0},
    [S_STRTAB] = {".shstrtab", SHT_STRTAB, 0},
    [S_NOTE] = {".note.Xen", SHT_NOTE, 0},
    [S_PRSTATUS] = {".xen_prstatus", SHT_PROGBITS,
                    sizeof(vcpu_guest_context_t)},
    [S_P2M] = {".xen_p2m", SHT_PROGBITS, 16},
    [S_PAGES] = {".xen_pages", SHT_PROGBITS, CORE_PAGE},
};

/* The notes, as one image. */
struct note_head {
    uint32_t namesz, descsz, type;
    char name[4];
};

struct notes {
    struct note_head none;
    struct note_head header;
    uint64_t magic, nr_vcpus, nr_pages, page_size;
    struct note_head version;
    struct {
        uint64_t major, minor;
        xen_extraversion_t extra;
        xen_compile_info_t compile;
        xen_capabilities_info_t capabilities;
        xen_changeset_info_t changeset;
        xen_platform_parameters_t platform;
        uint64_t pagesize;
    } xen;
    struct note_head format;
    uint64_t format_version;
};

static struct note_head note_head(uint32_t type, size_t len)
{
    return (struct note_head){4, len, type, "Xen"};
}

static void fill_notes(struct notes *n, const struct core_mem *mem,
                       const struct core_info *info)
{
    *n = (struct notes){
        .none = note_head(XEN_ELFNOTE_DUMPCORE_NONE, 0),
        .header = note_head(XEN_ELFNOTE_DUMPCORE_HEADER, 32),
        .magic = MAGIC_PV,
        .nr_vcpus = info->nr_vcpus,
        .nr_pages = mem->nr_pages,
        .page_size = CORE_PAGE,
        .version = note_head(XEN_ELFNOTE_DUMPCORE_XEN_VERSION, sizeof(n->xen)),
        .xen = {.major = 4, .minor = 17, .pagesize = CORE_PAGE},
        .format = note_head(XEN_ELFNOTE_DUMPCORE_FORMAT_VERSION, 8),
        .format_version = 1,
    };
}

static size_t strtab_fill(char *strtab, Elf64_Shdr *sh)
{
    size_t len = 0;

    for (int i = 0; i < NR_SECTIONS; i++) {
        sh[i].sh_name = len;
        strcpy(strtab + len, sections[i].name);
        len += strlen(sections[i].name) + 1;
    }
    return len;
}

static uint64_t align(uint64_t at, uint64_t to)
{
    return (at + to - 1) / to * to;
}

/* Where each section is and how long. */
static void place(Elf64_Shdr *sh, const struct core_mem *mem,
                  const struct core_info *info, size_t strtab)
{
    const uint64_t sizes[NR_SECTIONS] = {
        [S_STRTAB] = strtab,
        [S_NOTE] = sizeof(struct notes),
        [S_PRSTATUS] = info->nr_vcpus * sizeof(vcpu_guest_context_t),
        [S_P2M] = mem->nr_pages * 16,
        [S_PAGES] = mem->nr_pages * CORE_PAGE,
    };
    uint64_t at = sizeof(Elf64_Ehdr) + NR_SECTIONS * sizeof(*sh);

    for (int i = S_STRTAB; i < NR_SECTIONS; i++) {
        at = align(at, i == S_PAGES ? CORE_PAGE : 64);
        sh[i].sh_type = sections[i].type;
        sh[i].sh_entsize = sections[i].entsize;
        sh[i].sh_addralign = 1;
        sh[i].sh_offset = at;
        sh[i].sh_size = sizes[i];
        at += sizes[i];
    }
}

/* Pairs of the guest's and the machine's number of each page. */
static int write_p2m(int fd, off_t at, const struct core_mem *mem,
                     const uint64_t *m2p)
{
    uint64_t(*pairs)[2] = calloc(P2M_ENTRIES, sizeof(*pairs));
    uint64_t gfn = 0, i;
    int rc = pairs ? 0 : -ENOMEM;

    while (!rc && gfn < mem->nr_pages) {
        for (i = 0; i < P2M_ENTRIES && gfn + i < mem->nr_pages; i++) {
            pairs[i][0] = m2p ? m2p[gfn + i] : gfn + i;
            pairs[i][1] = gfn + i;
        }
        rc = core_write_all(fd, pairs, i * sizeof(*pairs),
                            at + gfn * sizeof(*pairs));
        gfn += i;
    }
    free(pairs);
    return rc;
}

static int write_vcpus(int fd, off_t at, const struct core_info *info)
{
    size_t size = sizeof(vcpu_guest_context_t);
    unsigned i;
    int rc = 0;

    for (i = 0; i < info->nr_vcpus && !rc; i++)
        rc = core_write_all(fd, &info->vcpus[i].ctx, size, at + i * size);
    return rc;
}

int core_write_xen(int fd, const struct core_mem *mem, const uint64_t *m2p,
                   const struct core_info *info, atomic_ullong *done)
{
    const Elf64_Ehdr e = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
                    EV_CURRENT},
        .e_type = ET_CORE,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_shoff = sizeof(e),
        .e_ehsize = sizeof(e),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = NR_SECTIONS,
        .e_shstrndx = S_STRTAB,
    };
    Elf64_Shdr sh[NR_SECTIONS] = {{0}};
    struct notes notes;
    char strtab[128];
    size_t len = strtab_fill(strtab, sh);
    int rc;

    place(sh, mem, info, len);
    fill_notes(&notes, mem, info);
    rc =
        ftruncate(fd, sh[S_PAGES].sh_offset + sh[S_PAGES].sh_size) ? -errno : 0;
    if (!rc)
        rc = core_write_all(fd, &e, sizeof(e), 0);
    if (!rc)
        rc = core_write_all(fd, sh, sizeof(sh), sizeof(e));
    if (!rc)
        rc = core_write_all(fd, strtab, len, sh[S_STRTAB].sh_offset);
    if (!rc)
        rc = core_write_all(fd, &notes, sizeof(notes), sh[S_NOTE].sh_offset);
    if (!rc)
        rc = write_vcpus(fd, sh[S_PRSTATUS].sh_offset, info);
    if (!rc)
        rc = write_p2m(fd, sh[S_P2M].sh_offset, mem, m2p);
    if (!rc)
        rc = core_write_memory(fd, mem, sh[S_PAGES].sh_offset, done);
    if (!rc && fsync(fd))
        rc = -errno;
    return rc;
}
