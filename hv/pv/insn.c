/* SPDX-License-Identifier: MIT */
#include "hv/pv/insn.h"

#include <string.h>

#define REX_W 8
#define REX_R 4
#define REX_B 1

struct decoder {
    const uint8_t *p;
    size_t left;
    uint8_t rex;
    bool opsize16;
    struct insn out;
};

/* The next byte; past the end 0, and the length shows it. */
static uint8_t next(struct decoder *d)
{
    d->out.len++;
    if (!d->left)
        return 0;
    d->left--;
    return *d->p++;
}

static void take_forced_prefix(struct decoder *d)
{
    static const uint8_t prefix[] = {0x0f, 0x0b, 'x', 'e', 'n'};

    if (d->left < sizeof(prefix) || memcmp(d->p, prefix, sizeof(prefix)))
        return;
    d->p += sizeof(prefix);
    d->left -= sizeof(prefix);
    d->out.len = sizeof(prefix);
    d->out.forced = true;
}

/* The first byte behind all prefixes. */
static uint8_t take_prefixes(struct decoder *d)
{
    for (;;) {
        uint8_t b = next(d);

        switch (b) {
        case 0x66:
            d->opsize16 = true;
            break;
        case 0x67:
            d->out.addr32 = true;
            break;
        case 0xf2:
        case 0xf3:
            d->out.rep = true;
            break;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
        case 0x64:
        case 0x65:
            break;
        default:
            if ((b & 0xf0) != 0x40)
                return b;
            d->rex = b;
            return next(d);
        }
    }
}

static enum insn_kind control_register(struct decoder *d, enum insn_kind kind)
{
    uint8_t modrm = next(d);

    d->out.reg = (modrm >> 3 & 7) | (d->rex & REX_R ? 8 : 0);
    d->out.gpr = (modrm & 7) | (d->rex & REX_B ? 8 : 0);
    return kind;
}

static enum insn_kind group_0f01(struct decoder *d)
{
    switch (next(d)) {
    case 0xd1:
        return INSN_XSETBV;
    case 0xf9:
        return INSN_RDTSCP;
    default:
        return INSN_OTHER;
    }
}

static enum insn_kind two_bytes(struct decoder *d)
{
    switch (next(d)) {
    case 0x01:
        return group_0f01(d);
    case 0x06:
        return INSN_CLTS;
    case 0x08:
    case 0x09:
        return INSN_WBINVD;
    case 0x20:
        return control_register(d, INSN_MOV_FROM_CR);
    case 0x21:
        return control_register(d, INSN_MOV_FROM_DR);
    case 0x22:
        return control_register(d, INSN_MOV_TO_CR);
    case 0x23:
        return control_register(d, INSN_MOV_TO_DR);
    case 0x30:
        return INSN_WRMSR;
    case 0x31:
        return INSN_RDTSC;
    case 0x32:
        return INSN_RDMSR;
    case 0xa2:
        return INSN_CPUID;
    default:
        return INSN_OTHER;
    }
}

static enum insn_kind port(struct decoder *d, uint8_t op, enum insn_kind kind)
{
    d->out.size = !(op & 1) ? 1 : d->opsize16 ? 2 : 4;
    d->out.port_dx = op >= 0xec || op <= 0x6f;
    if (!d->out.port_dx)
        d->out.imm = next(d);
    return kind;
}

static enum insn_kind one_byte(struct decoder *d, uint8_t op)
{
    switch (op) {
    case 0x0f:
        return two_bytes(d);
    case 0x6c:
    case 0x6d:
        return port(d, op, INSN_INS);
    case 0x6e:
    case 0x6f:
        return port(d, op, INSN_OUTS);
    case 0xcd:
        d->out.imm = next(d);
        return INSN_INT;
    case 0xe4:
    case 0xe5:
    case 0xec:
    case 0xed:
        return port(d, op, INSN_IN);
    case 0xe6:
    case 0xe7:
    case 0xee:
    case 0xef:
        return port(d, op, INSN_OUT);
    case 0xfa:
        return INSN_CLI;
    case 0xfb:
        return INSN_STI;
    default:
        return INSN_OTHER;
    }
}

struct insn insn_decode(const uint8_t *code, size_t len)
{
    struct decoder d = {.p = code, .left = len};
    uint8_t forced_len;

    take_forced_prefix(&d);
    forced_len = d.out.len;
    d.out.kind = one_byte(&d, take_prefixes(&d));
    if (d.out.len > len || d.out.len - forced_len > 15)
        d.out.kind = INSN_OTHER;
    return d.out;
}
