/* SPDX-License-Identifier: MIT */
/*
 * Makes small PV kernels in memory for the tests of the ELF reader and of the
 * domain builder: two load segments (the second unaligned, with bss) and any
 * Xen notes.
 */
#ifndef TESTS_UNIT_TEST_ELF_MAKER_H
#define TESTS_UNIT_TEST_ELF_MAKER_H

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xen/elfnote.h>
#include "dom0/image.h"

#define MAKER_TEXT_AT  0x1000
#define MAKER_TEXT_LEN 0x1800
#define MAKER_DATA_LEN 0x345
#define MAKER_BSS_LEN  0x2000
#define MAKER_NOTES_AT 0x200
#define MAKER_FILE_LEN (MAKER_TEXT_AT + MAKER_TEXT_LEN + MAKER_DATA_LEN)
#define MAKER_PHDRS    3
#define MAKER_PADDR    0x2000 /* of the first segment */

struct maker {
    uint8_t file[MAKER_FILE_LEN];
    size_t notes_len;
};

static inline Elf64_Ehdr *maker_header(struct maker *m)
{
    return (Elf64_Ehdr *)m->file;
}

static inline Elf64_Phdr *maker_segment(struct maker *m, unsigned i)
{
    return (Elf64_Phdr *)(m->file + sizeof(Elf64_Ehdr)) + i;
}

static inline void maker_raw_note(struct maker *m, const char *owner,
                                  uint32_t type, const void *desc, uint32_t len)
{
    size_t at = MAKER_NOTES_AT + m->notes_len;
    Elf64_Nhdr nh = {strlen(owner) + 1, len, type};
    size_t name = (nh.n_namesz + 3) & ~3u;

    memcpy(&m->file[at], &nh, sizeof(nh));
    memcpy(&m->file[at + sizeof(nh)], owner, nh.n_namesz);
    memcpy(&m->file[at + sizeof(nh) + name], desc, len);
    m->notes_len += sizeof(nh) + name + ((len + 3) & ~3u);
    maker_segment(m, 2)->p_filesz = m->notes_len;
}

static inline void maker_note(struct maker *m, uint32_t type, uint64_t value)
{
    maker_raw_note(m, "Xen", type, &value, sizeof(value));
}

static inline void maker_word(struct maker *m, uint32_t type, const char *word)
{
    maker_raw_note(m, "Xen", type, word, strlen(word) + 1);
}

/* No notes yet; text bytes are 0x90, data bytes count up. */
static inline void maker_init(struct maker *m)
{
    memset(m, 0, sizeof(*m));
    *maker_header(m) = (Elf64_Ehdr){
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_entry = MAKER_PADDR + 0x10,
        .e_phoff = sizeof(Elf64_Ehdr),
        .e_ehsize = sizeof(Elf64_Ehdr),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = MAKER_PHDRS,
    };
    *maker_segment(m, 0) = (Elf64_Phdr){
        .p_type = PT_LOAD,
        .p_offset = MAKER_TEXT_AT,
        .p_vaddr = 0xdead000,
        .p_paddr = MAKER_PADDR,
        .p_filesz = MAKER_TEXT_LEN,
        .p_memsz = MAKER_TEXT_LEN,
    };
    *maker_segment(m, 1) = (Elf64_Phdr){
        .p_type = PT_LOAD,
        .p_offset = MAKER_TEXT_AT + MAKER_TEXT_LEN,
        .p_paddr = MAKER_PADDR + MAKER_TEXT_LEN,
        .p_filesz = MAKER_DATA_LEN,
        .p_memsz = MAKER_DATA_LEN + MAKER_BSS_LEN,
    };
    *maker_segment(m, 2) = (Elf64_Phdr){
        .p_type = PT_NOTE,
        .p_offset = MAKER_NOTES_AT,
    };
    memset(m->file + MAKER_TEXT_AT, 0x90, MAKER_TEXT_LEN);
    for (size_t i = 0; i < MAKER_DATA_LEN; i++)
        m->file[MAKER_TEXT_AT + MAKER_TEXT_LEN + i] = i + 1;
}

/* The notes every kernel has, for VIRT_BASE base. */
static inline void maker_init_pv(struct maker *m, uint64_t base)
{
    maker_init(m);
    maker_word(m, XEN_ELFNOTE_GUEST_OS, "maker");
    maker_word(m, XEN_ELFNOTE_XEN_VERSION, "xen-3.0");
    maker_word(m, XEN_ELFNOTE_LOADER, "generic");
    maker_note(m, XEN_ELFNOTE_VIRT_BASE, base);
    maker_note(m, XEN_ELFNOTE_ENTRY, base + MAKER_PADDR + 0x10);
}

/* A copy of exactly len bytes of the file, for image_free(). */
static inline struct image maker_image(const struct maker *m, size_t len)
{
    struct image img = {strdup("/made.elf"), malloc(len ? len : 1), len};

    memcpy(img.data, m->file, len);
    return img;
}

#endif
