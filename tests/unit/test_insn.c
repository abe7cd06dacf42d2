/* SPDX-License-Identifier: MIT */
/*
 * Proves that the decoder behind PV emulation knows each instruction that Xen
 * emulates, its length with all prefixes, its registers and ports; that it
 * takes nothing else for one; and that no cut-off or overlong instruction is
 * ever carried out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "hv/pv/insn.h"

static const struct {
    const char *code;
    uint8_t len;
    struct insn want;
} known[] = {
    {"\x0f\x06", 2, {.kind = INSN_CLTS}},
    {"\x0f\x08", 2, {.kind = INSN_WBINVD}},
    {"\x0f\x09", 2, {.kind = INSN_WBINVD}},
    {"\x0f\x30", 2, {.kind = INSN_WRMSR}},
    {"\x0f\x32", 2, {.kind = INSN_RDMSR}},
    {"\x0f\x31", 2, {.kind = INSN_RDTSC}},
    {"\x0f\x01\xf9", 3, {.kind = INSN_RDTSCP}},
    {"\x0f\x01\xd1", 3, {.kind = INSN_XSETBV}},
    {"\x0f\xa2", 2, {.kind = INSN_CPUID}},
    {"\x0f\x0bxen\x0f\xa2", 7, {.kind = INSN_CPUID, .forced = true}},
    {"\xfa", 1, {.kind = INSN_CLI}},
    {"\xfb", 1, {.kind = INSN_STI}},
    {"\xcd\x80", 2, {.kind = INSN_INT, .imm = 0x80}},
    {"\x0f\x20\xc0", 3, {.kind = INSN_MOV_FROM_CR}},
    {"\x0f\x20\xd9", 3, {.kind = INSN_MOV_FROM_CR, .reg = 3, .gpr = 1}},
    {"\x41\x0f\x22\xe7", 4, {.kind = INSN_MOV_TO_CR, .reg = 4, .gpr = 15}},
    {"\x44\x0f\x20\xc0", 4, {.kind = INSN_MOV_FROM_CR, .reg = 8}},
    {"\x0f\x21\xf8", 3, {.kind = INSN_MOV_FROM_DR, .reg = 7}},
    {"\x0f\x23\xf8", 3, {.kind = INSN_MOV_TO_DR, .reg = 7}},
    {"\xe4\x61", 2, {.kind = INSN_IN, .size = 1, .imm = 0x61}},
    {"\xe5\x61", 2, {.kind = INSN_IN, .size = 4, .imm = 0x61}},
    {"\xec", 1, {.kind = INSN_IN, .size = 1, .port_dx = true}},
    {"\x66\xed", 2, {.kind = INSN_IN, .size = 2, .port_dx = true}},
    {"\xe6\x80", 2, {.kind = INSN_OUT, .size = 1, .imm = 0x80}},
    {"\xef", 1, {.kind = INSN_OUT, .size = 4, .port_dx = true}},
    {"\xf3\x6d",
     2,
     {.kind = INSN_INS, .size = 4, .port_dx = true, .rep = true}},
    {"\xf3\x66\x6f",
     3,
     {.kind = INSN_OUTS, .size = 2, .port_dx = true, .rep = true}},
    {"\x67\x6c",
     2,
     {.kind = INSN_INS, .size = 1, .port_dx = true, .addr32 = true}},
};

#define NR_KNOWN (sizeof(known) / sizeof(known[0]))

static void knows_each(void **state)
{
    (void)state;
    for (size_t i = 0; i < NR_KNOWN; i++) {
        struct insn want = known[i].want, got;

        want.len = known[i].len;
        got = insn_decode((const uint8_t *)known[i].code, known[i].len);
        assert_int_equal(got.kind, want.kind);
        assert_int_equal(got.len, want.len);
        assert_int_equal(got.size, want.size);
        assert_int_equal(got.imm, want.imm);
        assert_int_equal(got.reg, want.reg);
        assert_int_equal(got.gpr, want.gpr);
        assert_int_equal(got.port_dx, want.port_dx);
        assert_int_equal(got.rep, want.rep);
        assert_int_equal(got.addr32, want.addr32);
        assert_int_equal(got.forced, want.forced);
    }
}

/* At the end of what is mapped, bytes are missing. */
static void refuses_cut_off(void **state)
{
    (void)state;
    for (size_t i = 0; i < NR_KNOWN; i++)
        for (uint8_t n = 0; n < known[i].len; n++) {
            uint8_t *exact = malloc(n ? n : 1);
            struct insn got;

            memcpy(exact, known[i].code, n);
            got = insn_decode(exact, n);
            free(exact);
            assert_int_equal(got.kind, INSN_OTHER);
        }
}

static void refuses_overlong(void **state)
{
    uint8_t code[INSN_MAX];

    (void)state;
    memset(code, 0x66, sizeof(code));
    code[14] = 0xec;
    assert_int_equal(insn_decode(code, sizeof(code)).kind, INSN_IN);
    code[14] = 0x66;
    code[15] = 0xec;
    assert_int_equal(insn_decode(code, sizeof(code)).kind, INSN_OTHER);
}

static void refuses_others(void **state)
{
    static const char *const others[] = {
        "\xf4",         /* hlt: not in a PV guest */
        "\x0f\x01\xd0", /* xgetbv */
        "\x0f\x01\x38", /* invlpg */
        "\x0f\x33",     /* rdpmc */
        "\x0f\x0b",     /* ud2 alone */
        "\x48\x89\xc8", "\xcc", "\x0f\x05", "\x90",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(
            insn_decode((const uint8_t *)others[i], strlen(others[i])).kind,
            INSN_OTHER);
}

/* Whatever the bytes, it reads no further and reports a sane length. */
static void stands_noise(void **state)
{
    uint32_t x = 12345;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        size_t n = i % (INSN_MAX + 1);
        uint8_t *code = malloc(n ? n : 1);
        struct insn got;

        for (size_t k = 0; k < n; k++) {
            x = x * 1664525 + 1013904223;
            code[k] = x >> 24;
        }
        got = insn_decode(code, n);
        free(code);
        assert_true(got.kind == INSN_OTHER || got.len <= n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_each),       cmocka_unit_test(refuses_cut_off),
        cmocka_unit_test(refuses_overlong), cmocka_unit_test(refuses_others),
        cmocka_unit_test(stands_noise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
