/* SPDX-License-Identifier: MIT */
/*
 * A PV kernel's ELF file: its load segments and Xen notes, checked so that the
 * builder can follow them blindly.  Source: xen/elfnote.h.
 */
#ifndef DOM0_ELF_H
#define DOM0_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "dom0/image.h"

#define ELF_SEGMENTS_MAX 32
#define ELF_ADDR_UNSET   UINT64_MAX

/* Bytes [offset, offset + filesz) of the file go to vaddr, zeros behind. */
struct elf_segment {
    uint64_t vaddr; /* p_paddr - PADDR_OFFSET + VIRT_BASE */
    uint64_t memsz;
    uint64_t filesz;
    uint64_t offset;
};

struct elf_kernel {
    uint64_t virt_base;
    uint64_t virt_entry;
    uint64_t virt_start, virt_end; /* of all segments */
    uint64_t hypercall_page;       /* ELF_ADDR_UNSET without the note */
    uint64_t init_p2m;             /* ELF_ADDR_UNSET without the note */
    uint64_t paddr_offset;
    bool mod_start_pfn; /* takes its ramdisk unmapped */
    bool suspend_cancel;
    char guest_os[32]; /* "" without the note */
    char guest_version[32];
    unsigned nr_segments;
    struct elf_segment segments[ELF_SEGMENTS_MAX];
};

/*
 * Reads img into *kernel, which refers to img->data by offset only.  0, or
 * with *err filled: -ENOEXEC (not an ELF file, wrong class, machine or type,
 * no Xen notes, not for PV), -EINVAL (damaged or contradictory).
 */
int elf_parse(const struct image *img, struct elf_kernel *kernel,
              struct image_error *err);

#endif
