/* SPDX-License-Identifier: MIT */
/*
 * Proves that a kernel's ELF file and Xen notes are read as libxenguest reads
 * them, that what is no Xen PV kernel is refused with its reason, and that no
 * damaged file (every prefix, every header byte spoilt, every size at its
 * extremes) makes the reader touch a byte outside it or give out a segment
 * that is not in it.  pvgrub2 is read too where grub-xen-host is installed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <unistd.h>
#include "dom0/elf.h"
#include "tests/unit/test_elf_maker.h"

#define LINUX_BASE 0xffffffff80000000ull
#define PVGRUB     "/usr/lib/grub-xen/grub-x86_64-xen.bin"

static int parse(const struct maker *m, struct elf_kernel *k,
                 struct image_error *err)
{
    struct image img = maker_image(m, sizeof(m->file));
    int rc = elf_parse(&img, k, err);

    image_free(&img);
    return rc;
}

static void fails(const struct maker *m, int rc, const char *words)
{
    struct elf_kernel k;
    struct image_error err = {""};

    int got = parse(m, &k, &err);

    if (got != rc || !strstr(err.text, words))
        print_error("wanted %d '%s', got %d %s\n", rc, words, got, err.text);
    assert_int_equal(got, rc);
    assert_non_null(strstr(err.text, "/made.elf"));
    assert_non_null(strstr(err.text, words));
}

static void test_notes(void **state)
{
    struct maker m;
    struct elf_kernel k;
    struct image_error err;
    uint32_t one = 1;

    (void)state;
    maker_init_pv(&m, LINUX_BASE);
    maker_note(&m, XEN_ELFNOTE_HYPERCALL_PAGE, LINUX_BASE + MAKER_PADDR);
    maker_note(&m, XEN_ELFNOTE_INIT_P2M, 0x8000000000);
    maker_raw_note(&m, "Xen", XEN_ELFNOTE_MOD_START_PFN, &one, 4);
    maker_raw_note(&m, "GNU", XEN_ELFNOTE_VIRT_BASE, &one, 4);
    maker_note(&m, 999, 5);
    assert_int_equal(parse(&m, &k, &err), 0);
    assert_int_equal(k.virt_base, LINUX_BASE);
    assert_int_equal(k.virt_entry, LINUX_BASE + MAKER_PADDR + 0x10);
    assert_int_equal(k.hypercall_page, LINUX_BASE + MAKER_PADDR);
    assert_int_equal(k.init_p2m, 0x8000000000);
    assert_true(k.mod_start_pfn);
    assert_false(k.suspend_cancel);
    assert_string_equal(k.guest_os, "maker");
    assert_int_equal(k.virt_start, LINUX_BASE + MAKER_PADDR);
    assert_int_equal(k.virt_end, LINUX_BASE + MAKER_PADDR + MAKER_TEXT_LEN +
                                     MAKER_DATA_LEN + MAKER_BSS_LEN);
    assert_int_equal(k.nr_segments, 2);
    assert_int_equal(k.segments[1].vaddr,
                     LINUX_BASE + MAKER_PADDR + MAKER_TEXT_LEN);
}

static void test_defaults(void **state)
{
    struct maker m;
    struct elf_kernel k;
    struct image_error err;

    (void)state;
    maker_init(&m);
    maker_word(&m, XEN_ELFNOTE_LOADER, "generic");
    assert_int_equal(parse(&m, &k, &err), 0);
    assert_int_equal(k.virt_base, 0);
    assert_int_equal(k.virt_entry, MAKER_PADDR + 0x10);
    assert_int_equal(k.hypercall_page, ELF_ADDR_UNSET);
    assert_int_equal(k.init_p2m, ELF_ADDR_UNSET);
    assert_false(k.mod_start_pfn);
}

/* Old kernels write virtual addresses into p_paddr and say so. */
static void test_paddr_offset(void **state)
{
    struct maker m;
    struct elf_kernel k;
    struct image_error err;

    (void)state;
    maker_init_pv(&m, LINUX_BASE);
    maker_note(&m, XEN_ELFNOTE_PADDR_OFFSET, LINUX_BASE);
    maker_segment(&m, 0)->p_paddr += LINUX_BASE;
    maker_segment(&m, 1)->p_paddr += LINUX_BASE;
    assert_int_equal(parse(&m, &k, &err), 0);
    assert_int_equal(k.virt_start, LINUX_BASE + MAKER_PADDR);
}

static void test_notes_in_a_section(void **state)
{
    struct maker m;
    struct elf_kernel k;
    struct image_error err;

    (void)state;
    maker_init_pv(&m, LINUX_BASE);
    Elf64_Shdr sh = {.sh_type = SHT_NOTE,
                     .sh_offset = MAKER_NOTES_AT,
                     .sh_size = m.notes_len};

    maker_segment(&m, 2)->p_type = PT_NULL;
    memcpy(m.file + 0x800, &sh, sizeof(sh));
    fails(&m, -ENOEXEC, "no Xen ELF notes");
    maker_header(&m)->e_shoff = 0x800;
    maker_header(&m)->e_shnum = 1;
    maker_header(&m)->e_shentsize = sizeof(sh);
    assert_int_equal(parse(&m, &k, &err), 0);
    assert_int_equal(k.virt_base, LINUX_BASE);
}

static void test_not_ours(void **state)
{
    struct maker m;

    (void)state;
    maker_init(&m);
    fails(&m, -ENOEXEC, "no Xen ELF notes");
    maker_note(&m, XEN_ELFNOTE_PHYS32_ENTRY, 0x100000);
    fails(&m, -ENOEXEC, "for PVH only");
    maker_init_pv(&m, 0);
    m.file[0] = 'M';
    fails(&m, -ENOEXEC, "not an ELF file");
    maker_init_pv(&m, 0);
    m.file[EI_CLASS] = ELFCLASS32;
    fails(&m, -ENOEXEC, "32-bit");
    maker_init_pv(&m, 0);
    m.file[EI_DATA] = ELFDATA2MSB;
    fails(&m, -ENOEXEC, "little-endian");
    maker_init_pv(&m, 0);
    maker_header(&m)->e_machine = EM_AARCH64;
    fails(&m, -ENOEXEC, "another machine (ELF machine 183");
    maker_init_pv(&m, 0);
    maker_header(&m)->e_type = ET_REL;
    fails(&m, -ENOEXEC, "object file");
    maker_init(&m);
    maker_word(&m, XEN_ELFNOTE_XEN_VERSION, "xen-9.9");
    fails(&m, -ENOEXEC, "'xen-9.9'");
    maker_init(&m);
    maker_word(&m, XEN_ELFNOTE_LOADER, "special");
    fails(&m, -ENOEXEC, "'special'");
}

static void test_contradictions(void **state)
{
    struct maker m;

    (void)state;
    maker_init_pv(&m, 0);
    maker_segment(&m, 1)->p_paddr -= 1;
    fails(&m, -EINVAL, "overlaps");
    maker_init_pv(&m, 0);
    maker_segment(&m, 0)->p_offset = UINT64_MAX - 4;
    fails(&m, -EINVAL, "behind the file");
    maker_init_pv(&m, 0);
    maker_segment(&m, 0)->p_filesz = UINT64_MAX;
    fails(&m, -EINVAL, "behind the file");
    maker_init_pv(&m, 0);
    maker_segment(&m, 0)->p_memsz = 1;
    fails(&m, -EINVAL, "more bytes than it takes");
    maker_init_pv(&m, 0);
    maker_segment(&m, 1)->p_memsz = UINT64_MAX - 5;
    fails(&m, -EINVAL, "does not exist");
    maker_init_pv(&m, LINUX_BASE);
    maker_segment(&m, 1)->p_paddr = 0x80000000;
    fails(&m, -EINVAL, "does not exist");
    maker_init_pv(&m, LINUX_BASE);
    maker_note(&m, XEN_ELFNOTE_PADDR_OFFSET, MAKER_PADDR + 1);
    fails(&m, -EINVAL, "does not exist");
    maker_init_pv(&m, 0);
    maker_note(&m, XEN_ELFNOTE_ENTRY, 0x100000);
    fails(&m, -EINVAL, "entry point 0x100000");
    maker_init_pv(&m, 0);
    maker_note(&m, XEN_ELFNOTE_HYPERCALL_PAGE, MAKER_PADDR + 8);
    fails(&m, -EINVAL, "hypercall page");
    maker_init_pv(&m, 0);
    maker_note(&m, XEN_ELFNOTE_HYPERCALL_PAGE, 0x100000);
    fails(&m, -EINVAL, "hypercall page");
    maker_init_pv(&m, 0);
    maker_segment(&m, 0)->p_type = maker_segment(&m, 1)->p_type = PT_NULL;
    fails(&m, -EINVAL, "nothing to load");
    maker_init_pv(&m, 0);
    maker_segment(&m, 2)->p_filesz = UINT64_MAX;
    fails(&m, -EINVAL, "notes end behind");
    maker_init_pv(&m, 0);
    maker_header(&m)->e_phoff = UINT64_MAX - 100;
    fails(&m, -EINVAL, "program header 0");
    maker_init_pv(&m, 0);
    maker_header(&m)->e_phnum = 0xffff;
    fails(&m, -EINVAL, "damaged");
    maker_init_pv(&m, 0);
    maker_header(&m)->e_phentsize = 1;
    fails(&m, -EINVAL, "program headers are 1 bytes");
}

/* Whatever was read, its segments lie in the file and apart. */
static void check_sound(const struct elf_kernel *k, size_t len)
{
    assert_true(k->nr_segments > 0 && k->nr_segments <= ELF_SEGMENTS_MAX);
    for (unsigned i = 0; i < k->nr_segments; i++) {
        const struct elf_segment *s = &k->segments[i];

        assert_true(s->offset <= len && s->filesz <= len - s->offset);
        assert_true(s->filesz <= s->memsz);
        assert_true(s->vaddr >= k->virt_base);
        assert_true(s->vaddr + s->memsz >= s->vaddr);
        if (i)
            assert_true(s->vaddr >= s[-1].vaddr + s[-1].memsz);
    }
}

static void try(const struct maker *m, size_t len)
{
    struct image img = maker_image(m, len);
    struct elf_kernel k;
    struct image_error err = {""};

    if (!elf_parse(&img, &k, &err))
        check_sound(&k, len);
    else
        assert_true(strlen(err.text) > 0);
    image_free(&img);
}

static void test_every_prefix(void **state)
{
    struct maker m;

    (void)state;
    maker_init_pv(&m, LINUX_BASE);
    for (size_t len = 0; len < sizeof(m.file); len++) {
        struct image img = maker_image(&m, len);
        struct elf_kernel k;
        struct image_error err;

        assert_true(elf_parse(&img, &k, &err) < 0);
        image_free(&img);
    }
}

static void test_every_byte_spoilt(void **state)
{
    static const uint8_t spoil[] = {0, 1, 4, 0x7f, 0x80, 0xff};
    struct maker m;

    (void)state;
    for (size_t i = 0; i < 0x400; i++)
        for (size_t j = 0; j < sizeof(spoil); j++) {
            maker_init_pv(&m, LINUX_BASE);
            m.file[i] = spoil[j];
            try(&m, sizeof(m.file));
        }
}

static void test_every_word_extreme(void **state)
{
    static const uint64_t extreme[] = {
        0,
        1,
        0xfff,
        UINT32_MAX,
        (uint64_t)1 << 47,
        (uint64_t)1 << 63,
        UINT64_MAX - 0xfff,
        UINT64_MAX,
    };
    struct maker m;

    (void)state;
    for (size_t i = 0; i < 0x400; i += 4)
        for (size_t j = 0; j < sizeof(extreme) / sizeof(extreme[0]); j++) {
            maker_init_pv(&m, LINUX_BASE);
            memcpy(m.file + i, &extreme[j], 8);
            try(&m, sizeof(m.file));
        }
}

static void test_pvgrub(void **state)
{
    struct image img;
    struct elf_kernel k;
    struct image_error err;

    (void)state;
    if (access(PVGRUB, R_OK)) {
        printf("skip: no " PVGRUB " (package grub-xen-host)\n");
        skip();
    }
    assert_int_equal(image_load_kernel(PVGRUB, IMAGE_MAX_BYTES, &img, &err), 0);
    assert_int_equal(elf_parse(&img, &k, &err), 0);
    assert_string_equal(k.guest_os, "GRUB");
    assert_int_equal(k.virt_base, 0);
    assert_int_equal(k.virt_entry, 0);
    assert_int_equal(k.nr_segments, 2);
    image_free(&img);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notes),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_paddr_offset),
        cmocka_unit_test(test_notes_in_a_section),
        cmocka_unit_test(test_not_ours),
        cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_every_byte_spoilt),
        cmocka_unit_test(test_every_word_extreme),
        cmocka_unit_test(test_pvgrub),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
