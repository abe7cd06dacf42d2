/* SPDX-License-Identifier: MIT */
#ifndef FRONTENDS_ANSWERS_H
#define FRONTENDS_ANSWERS_H

#include "frontends/include/hypercall.h"
#include "frontends/include/kernel.h"

/* Where a guest has nothing, and where it may not look. */
#define NOWHERE ((void *)0x00007fdead000000ul)
#define XENS    ((void *)0xffff830000001000ul)
#define BENT    0x0000900000000000ul /* not canonical */

/* Domains that do not exist: an odd number, and one kept for Xen's own use. */
#define NO_DOMAIN  31999
#define BAD_DOMAIN 0x7ffd

/*
 * One line `name: answer` on the console. The name is made by the format and
 * must be the same on every machine; so must the answer: an error by name,
 * another number as it is.
 */
void answer(long rc, const char *name, ...)
    __attribute__((format(printf, 2, 3)));
/* The same for a grant operation's GNTST_*. */
void answer_status(int status, const char *name, ...)
    __attribute__((format(printf, 2, 3)));
/* The same for a value that is no error; 0 is "no", another "yes". */
void answer_yes(bool yes, const char *name, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Runs fn(arg), and says whether it met an exception. Exceptions do not
 * return: fn ends there. The frame is as Xen pushed it.
 */
struct probe {
    long vector; /* -1: none */
    uint64_t error, rip, cs, rflags, rsp, ss, rcx, r11, cr2;
    bool masked; /* what evtchn_upcall_mask was in the handler */
};
void probe_init(void);
struct probe probe(void (*fn)(void *arg), void *arg);
/* One line: `name: none` or `name: #PF(2)`. */
void answer_probe(const char *name, void (*fn)(void *arg), void *arg);

/* A page of its own with its frame; freed with page_free(). */
struct frame {
    void *va;
    unsigned long mfn;
};
struct frame frame_alloc(void);
/* Maps a page of ours anew: 0 is not present. */
long frame_remap(const struct frame *f, uint64_t flags);

#define PTE_P        0x001ul
#define PTE_RW       0x002ul
#define PTE_U        0x004ul
#define PTE_A        0x020ul
#define PTE_D        0x040ul
#define PTE_PS       0x080ul
#define PTE_G        0x100ul
#define PTE_KERNEL   (1ul << 52)
#define PTE_RAM_RO   (PTE_P | PTE_U | PTE_A)
#define PTE_RAM_RW   (PTE_RAM_RO | PTE_RW | PTE_D)
#define PTE_FRAME(e) (((e)&0x000ffffffffff000ul) >> PAGE_SHIFT)

/* A file each. */
void answers_version(void);
void answers_events(void);
void answers_grants(void);
void answers_grant_maps(void);
void answers_memory(void);
void answers_pins(void);
void answers_updates(void);
void answers_context(void);
void answers_segments(void);
void answers_sched(void);
void answers_vcpu(void);
void answers_calls(void);
void answers_insns(void);
void answers_faults(void);

#endif
