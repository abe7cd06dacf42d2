/* SPDX-License-Identifier: MIT */
#include "dom0/elf.h"
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <xen/xen.h>
#include <xen/elfnote.h>

#define TRY_PV                                                                 \
    "give a Xen PV kernel: Linux with CONFIG_XEN_PV, pvgrub2 "                 \
    "(grub-x86_64-xen.bin), or a guest of this project"

/* The canonical halves and what of them is Xen's own. */
#define CANONICAL_LOW_END    0x0000800000000000ull
#define CANONICAL_HIGH_START 0xffff800000000000ull

/* The reading of one file. */
struct elf_reader {
    const struct image *img;
    struct elf_kernel *kernel;
    struct image_error *err;
    Elf64_Ehdr eh;
    unsigned nr_notes; /* Xen's */
    bool has_pv;       /* a note that only a PV kernel has */
    bool has_pvh;
    bool has_entry;
};

static int fail(struct elf_reader *r, int rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct elf_reader *r, int rc, const char *fmt, ...)
{
    size_t n = snprintf(r->err->text, sizeof(r->err->text),
                        "cannot boot %.512s: ", r->img->path);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(r->err->text + n, sizeof(r->err->text) - n, fmt, ap);
    va_end(ap);
    return rc;
}

/* Copies bytes of the file; false when they are not all there. */
static bool read_at(const struct elf_reader *r, uint64_t offset, void *to,
                    size_t len)
{
    if (offset > r->img->len || len > r->img->len - offset)
        return false;
    memcpy(to, r->img->data + offset, len);
    return true;
}

static int check_ident(struct elf_reader *r)
{
    const uint8_t *id = r->eh.e_ident;

    if (!read_at(r, 0, r->eh.e_ident, EI_NIDENT) || memcmp(id, ELFMAG, SELFMAG))
        return fail(r, -ENOEXEC, "it is not an ELF file; " TRY_PV);
    if (id[EI_CLASS] == ELFCLASS32)
        return fail(r, -ENOEXEC,
                    "it is a 32-bit ELF file; use the 64-bit build of it");
    if (id[EI_CLASS] != ELFCLASS64 || id[EI_DATA] != ELFDATA2LSB)
        return fail(r, -ENOEXEC,
                    "it is not a little-endian 64-bit ELF file; " TRY_PV);
    return 0;
}

static int read_header(struct elf_reader *r)
{
    int rc = check_ident(r);

    if (rc)
        return rc;
    if (!read_at(r, 0, &r->eh, sizeof(r->eh)))
        return fail(r, -EINVAL,
                    "the file ends in its ELF header; it is "
                    "truncated, copy it again");
    if (r->eh.e_machine != EM_X86_64)
        return fail(r, -ENOEXEC,
                    "it is made for another machine (ELF machine %u, x86-64 "
                    "is %u); use the amd64 build of it",
                    r->eh.e_machine, EM_X86_64);
    if (r->eh.e_type != ET_EXEC && r->eh.e_type != ET_DYN)
        return fail(r, -ENOEXEC,
                    "it is an object file or core dump (ELF type %u), no "
                    "executable; " TRY_PV,
                    r->eh.e_type);
    if (r->eh.e_phentsize != sizeof(Elf64_Phdr))
        return fail(r, -EINVAL,
                    "its program headers are %u bytes each, not "
                    "%zu; the file is damaged",
                    r->eh.e_phentsize, sizeof(Elf64_Phdr));
    return 0;
}

/* Program header i; e_phoff + i * size cannot wrap unseen: both are checked. */
static int read_phdr(struct elf_reader *r, unsigned i, Elf64_Phdr *ph)
{
    if (r->eh.e_phoff <= r->img->len &&
        read_at(r, r->eh.e_phoff + (uint64_t)i * sizeof(*ph), ph, sizeof(*ph)))
        return 0;
    return fail(r, -EINVAL,
                "program header %u lies outside the file; it is "
                "truncated or damaged, copy it again",
                i);
}

/* A number of 1, 2, 4 or 8 bytes; others give 0. */
static uint64_t note_number(const uint8_t *desc, uint32_t len)
{
    uint64_t value = 0;

    if (len == 1 || len == 2 || len == 4 || len == 8)
        memcpy(&value, desc, len);
    return value;
}

static void note_string(const uint8_t *desc, uint32_t len, char *to,
                        size_t size)
{
    size_t n = 0;

    for (; n < len && n + 1 < size && desc[n]; n++)
        to[n] = desc[n] < ' ' || desc[n] > '~' ? '?' : desc[n];
    to[n] = '\0';
}

/* The version of Xen it was made for and its loader: others are refused. */
static int check_words(struct elf_reader *r, uint32_t type, const uint8_t *desc,
                       uint32_t len)
{
    char word[32];

    note_string(desc, len, word, sizeof(word));
    if (type == XEN_ELFNOTE_XEN_VERSION && strcmp(word, "xen-3.0"))
        return fail(r, -ENOEXEC,
                    "it is made for the Xen interface '%s'; this is xen-3.0",
                    word);
    if (type == XEN_ELFNOTE_LOADER && strcmp(word, "generic"))
        return fail(r, -ENOEXEC,
                    "it asks for the loader '%s'; this is the generic one",
                    word);
    return 0;
}

static int take_note(struct elf_reader *r, uint32_t type, const uint8_t *desc,
                     uint32_t len)
{
    struct elf_kernel *k = r->kernel;
    uint64_t number = note_number(desc, len);

    r->nr_notes++;
    switch (type) {
    case XEN_ELFNOTE_ENTRY:
        k->virt_entry = number;
        r->has_entry = r->has_pv = true;
        break;
    case XEN_ELFNOTE_HYPERCALL_PAGE:
        k->hypercall_page = number;
        r->has_pv = true;
        break;
    case XEN_ELFNOTE_VIRT_BASE:
        k->virt_base = number;
        r->has_pv = true;
        break;
    case XEN_ELFNOTE_PADDR_OFFSET:
        k->paddr_offset = number;
        break;
    case XEN_ELFNOTE_INIT_P2M:
        k->init_p2m = number;
        break;
    case XEN_ELFNOTE_MOD_START_PFN:
        k->mod_start_pfn = number != 0;
        break;
    case XEN_ELFNOTE_SUSPEND_CANCEL:
        k->suspend_cancel = number != 0;
        break;
    case XEN_ELFNOTE_PHYS32_ENTRY:
        r->has_pvh = true;
        break;
    case XEN_ELFNOTE_GUEST_OS:
        note_string(desc, len, k->guest_os, sizeof(k->guest_os));
        break;
    case XEN_ELFNOTE_GUEST_VERSION:
        note_string(desc, len, k->guest_version, sizeof(k->guest_version));
        break;
    case XEN_ELFNOTE_XEN_VERSION:
    case XEN_ELFNOTE_LOADER:
        return check_words(r, type, desc, len);
    }
    return 0;
}

static uint64_t align_up(uint64_t n)
{
    return (n + 3) & ~3ull;
}

/*
 * The notes in [offset, offset + size) of the file, padded to 4 bytes as
 * Xen's always are, whatever the segment says.  Sizes are 32 bits, so sums of
 * a few in 64 bits cannot wrap.  A note that ends behind the area ends the
 * walk: other tools' notes are not for us to judge.
 */
static int read_notes(struct elf_reader *r, uint64_t offset, uint64_t size)
{
    const uint8_t *base = r->img->data + offset;
    uint64_t at = 0;
    int rc = 0;

    while (!rc && at + sizeof(Elf64_Nhdr) <= size) {
        Elf64_Nhdr nh;

        memcpy(&nh, base + at, sizeof(nh));
        uint64_t name = at + sizeof(nh);
        uint64_t desc = name + align_up(nh.n_namesz);
        uint64_t end = desc + nh.n_descsz;

        if (end > size)
            break;
        if (nh.n_namesz == 4 && !memcmp(base + name, "Xen", 4))
            rc = take_note(r, nh.n_type, base + desc, nh.n_descsz);
        at = desc + align_up(nh.n_descsz);
    }
    return rc;
}

static int read_notes_checked(struct elf_reader *r, uint64_t offset,
                              uint64_t size)
{
    if (offset > r->img->len || size > r->img->len - offset)
        return fail(r, -EINVAL,
                    "its notes end behind the file; it is truncated or "
                    "damaged, copy it again");
    return read_notes(r, offset, size);
}

static int notes_of_segments(struct elf_reader *r)
{
    Elf64_Phdr ph;
    int rc = 0;

    for (unsigned i = 0; !rc && i < r->eh.e_phnum; i++) {
        rc = read_phdr(r, i, &ph);
        if (!rc && ph.p_type == PT_NOTE)
            rc = read_notes_checked(r, ph.p_offset, ph.p_filesz);
    }
    return rc;
}

/* For images whose notes have no segment.  Odd sections are passed over. */
static int notes_of_sections(struct elf_reader *r)
{
    Elf64_Shdr sh;
    int rc = 0;

    if (r->eh.e_shentsize != sizeof(sh) || r->eh.e_shoff > r->img->len)
        return 0;
    for (unsigned i = 0; !rc && i < r->eh.e_shnum; i++) {
        if (!read_at(r, r->eh.e_shoff + (uint64_t)i * sizeof(sh), &sh,
                     sizeof(sh)))
            return 0;
        if (sh.sh_type == SHT_NOTE)
            rc = read_notes_checked(r, sh.sh_offset, sh.sh_size);
    }
    return rc;
}

static int read_all_notes(struct elf_reader *r)
{
    int rc = notes_of_segments(r);

    if (!rc && !r->nr_notes)
        rc = notes_of_sections(r);
    if (rc)
        return rc;
    if (!r->nr_notes)
        return fail(r, -ENOEXEC,
                    "it has no Xen ELF notes, so it is not made "
                    "for Xen; " TRY_PV);
    if (r->has_pvh && !r->has_pv)
        return fail(r, -ENOEXEC,
                    "its Xen notes are for PVH only (PHYS32_ENTRY); " TRY_PV);
    return 0;
}

static bool is_canonical(uint64_t start, uint64_t end)
{
    if (end < start)
        return false;
    return end <= CANONICAL_LOW_END || start >= CANONICAL_HIGH_START;
}

/* Where a segment goes, by p_paddr: p_vaddr may be anything. */
static int place_segment(struct elf_reader *r, unsigned i, const Elf64_Phdr *ph,
                         struct elf_segment *s)
{
    const struct elf_kernel *k = r->kernel;

    if (ph->p_offset > r->img->len || ph->p_filesz > r->img->len - ph->p_offset)
        return fail(r, -EINVAL,
                    "segment %u ends behind the file; it is "
                    "truncated, copy it again",
                    i);
    if (ph->p_filesz > ph->p_memsz)
        return fail(r, -EINVAL,
                    "segment %u holds more bytes than it takes in "
                    "memory; the file is damaged",
                    i);
    s->offset = ph->p_offset;
    s->filesz = ph->p_filesz;
    s->memsz = ph->p_memsz;
    s->vaddr = ph->p_paddr - k->paddr_offset + k->virt_base;
    if (s->vaddr < k->virt_base || s->memsz > UINT64_MAX - s->vaddr ||
        !is_canonical(s->vaddr, s->vaddr + s->memsz))
        return fail(r, -EINVAL,
                    "segment %u would go to address 0x%llx, %llu bytes, which "
                    "does not exist above VIRT_BASE 0x%llx; its notes or "
                    "headers are wrong",
                    i, (unsigned long long)s->vaddr,
                    (unsigned long long)s->memsz,
                    (unsigned long long)k->virt_base);
    return 0;
}

/* Keeps the segments sorted by address; two may not share a byte. */
static int add_segment(struct elf_reader *r, unsigned i,
                       const struct elf_segment *s)
{
    struct elf_kernel *k = r->kernel;
    unsigned at = k->nr_segments;

    if (at == ELF_SEGMENTS_MAX)
        return fail(r, -EINVAL, "it has more than %d load segments",
                    ELF_SEGMENTS_MAX);
    while (at > 0 && k->segments[at - 1].vaddr > s->vaddr)
        at--;
    if ((at > 0 &&
         s->vaddr - k->segments[at - 1].vaddr < k->segments[at - 1].memsz) ||
        (at < k->nr_segments && k->segments[at].vaddr - s->vaddr < s->memsz))
        return fail(r, -EINVAL,
                    "segment %u overlaps another one; its headers "
                    "are wrong",
                    i);
    memmove(&k->segments[at + 1], &k->segments[at],
            (k->nr_segments - at) * sizeof(*s));
    k->segments[at] = *s;
    k->nr_segments++;
    return 0;
}

static int read_segments(struct elf_reader *r)
{
    struct elf_segment s;
    Elf64_Phdr ph;
    int rc = 0;

    for (unsigned i = 0; !rc && i < r->eh.e_phnum; i++) {
        rc = read_phdr(r, i, &ph);
        if (rc || ph.p_type != PT_LOAD || !ph.p_memsz)
            continue;
        rc = place_segment(r, i, &ph, &s);
        if (!rc)
            rc = add_segment(r, i, &s);
    }
    return rc;
}

static int check_addresses(struct elf_reader *r)
{
    struct elf_kernel *k = r->kernel;
    const struct elf_segment *last;

    if (!k->nr_segments)
        return fail(r, -EINVAL, "it has nothing to load (no PT_LOAD segment)");
    last = &k->segments[k->nr_segments - 1];
    k->virt_start = k->segments[0].vaddr;
    k->virt_end = last->vaddr + last->memsz;
    if (!r->has_entry)
        k->virt_entry = r->eh.e_entry;
    if (k->virt_entry < k->virt_start || k->virt_entry >= k->virt_end)
        return fail(r, -EINVAL,
                    "its entry point 0x%llx lies outside what it loads; its "
                    "notes or headers are wrong",
                    (unsigned long long)k->virt_entry);
    if (k->hypercall_page != ELF_ADDR_UNSET &&
        ((k->hypercall_page & 0xfff) || k->hypercall_page < k->virt_start ||
         k->hypercall_page >= k->virt_end))
        return fail(r, -EINVAL,
                    "its hypercall page 0x%llx is not a page of what it loads; "
                    "its notes are wrong",
                    (unsigned long long)k->hypercall_page);
    return 0;
}

int elf_parse(const struct image *img, struct elf_kernel *kernel,
              struct image_error *err)
{
    struct elf_reader r = {.img = img, .kernel = kernel, .err = err};
    int rc;

    *kernel = (struct elf_kernel){
        .hypercall_page = ELF_ADDR_UNSET,
        .init_p2m = ELF_ADDR_UNSET,
    };
    rc = read_header(&r);
    if (!rc)
        rc = read_all_notes(&r);
    if (!rc)
        rc = read_segments(&r);
    if (!rc)
        rc = check_addresses(&r);
    return rc;
}
