/* SPDX-License-Identifier: MIT */
/*
 * Messages of the privcmd socket (SOCK_SEQPACKET), hv's and the client's.  A
 * request is one packet, its reply another; a descriptor travels beside
 * either.  Numbers are the host's.
 */
#ifndef KXEN_PRIVCMD_H
#define KXEN_PRIVCMD_H

#include <stdint.h>

#define PRIVCMD_VERSION    1
#define PRIVCMD_ARENA_SIZE (2u << 20)
#define PRIVCMD_KEY_MAX    64
#define PRIVCMD_TEXT_MAX   256
#define PRIVCMD_NR_STATS   10

enum privcmd_op {
    /* args[0] = version. Reply: fd = arena, vals[0] = its size. */
    PRIVCMD_HELLO = 1,
    /* args[0] = address at which the client has mapped the arena. */
    PRIVCMD_ARENA,
    /* args[0] = number, args[1..6] its arguments. rc = result. */
    PRIVCMD_HYPERCALL,
    /* args[0] = port of this connection. Reply: fd = its eventfd. */
    PRIVCMD_PORT_FD,
    /* Reply: fd = the domain's memory, vals[0] = frames in it. */
    PRIVCMD_DOMAIN_MEM,
    /* key, args[0] = size. Reply: fd. */
    PRIVCMD_INFLIGHT_GET,
    /* key. */
    PRIVCMD_INFLIGHT_DROP,
    /* args = struct kxen_trapped; fd beside it. Reply: vals[0] = base. */
    PRIVCMD_TRAPPED_ADD,
    /* Reply: text. */
    PRIVCMD_CRASH_REASON,
    /* args[0] = ref, args[1] = domain granted to, args[2] = frame. */
    PRIVCMD_GNTTAB_SEED,
    /* Only this domain can be named on this connection from now on. */
    PRIVCMD_RESTRICT,
    /* Reply: vals[0] = fields, text unused, stats[] filled. */
    PRIVCMD_STATS,
    /* args[0] = 0: fd = the notify page, 1: nudge, 2 + n: vCPU n's wake. */
    PRIVCMD_NOTIFY_FD,
    /* fd beside it: where the domain's hypercalls are written, as text. */
    PRIVCMD_TRACE,
    /* Reply: fd = what it has cost, as JSON text. */
    PRIVCMD_COUNTERS,
};

struct privcmd_req {
    uint32_t op;
    uint32_t domid;
    uint64_t args[7];
    char key[PRIVCMD_KEY_MAX];
};

struct privcmd_rep {
    int64_t rc;
    uint64_t vals[2];
    uint64_t stats[PRIVCMD_NR_STATS];
    char text[PRIVCMD_TEXT_MAX];
};

_Static_assert(sizeof(struct privcmd_req) == 128, "privcmd_req layout");
_Static_assert(sizeof(struct privcmd_rep) == 360, "privcmd_rep layout");

#endif
