/* SPDX-License-Identifier: MIT */
/*
 * The few instructions that a PV guest's kernel may use though they fault in
 * ring 3.  The decoder knows no guest: bytes in, description out.
 */
#ifndef HV_PV_INSN_H
#define HV_PV_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSN_MAX 20 /* 15 and the forced-emulation prefix of 5 */

enum insn_kind {
    INSN_OTHER, /* none of these: the fault is the guest's own */
    INSN_IN,
    INSN_OUT,
    INSN_INS,
    INSN_OUTS,
    INSN_MOV_FROM_CR,
    INSN_MOV_TO_CR,
    INSN_MOV_FROM_DR,
    INSN_MOV_TO_DR,
    INSN_CLTS,
    INSN_WBINVD, /* and invd */
    INSN_RDMSR,
    INSN_WRMSR,
    INSN_RDTSC,
    INSN_RDTSCP,
    INSN_CPUID,
    INSN_XSETBV,
    INSN_CLI,
    INSN_STI,
    INSN_INT,
};

struct insn {
    enum insn_kind kind;
    uint8_t len;  /* bytes, prefixes included */
    uint8_t size; /* of a port access: 1, 2, 4 */
    bool port_dx; /* the port is in dx, else in imm */
    bool rep;     /* F2 or F3 */
    bool addr32;  /* 67 */
    bool forced;  /* behind Xen's ud2a; .ascii "xen" */
    uint8_t reg;  /* CR or DR number */
    uint8_t gpr;  /* the general register, 0 rax .. 15 r15 */
    uint8_t imm;  /* port or vector */
};

/* Decodes what starts at code, of which len bytes are known. */
struct insn insn_decode(const uint8_t *code, size_t len);

#endif
