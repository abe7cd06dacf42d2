/* SPDX-License-Identifier: MIT */
#ifndef FRONTENDS_LAYOUT_H
#define FRONTENDS_LAYOUT_H

/* Shared by start.S, kernel.ld and C. */
#define VIRT_BASE       0xffffffff80000000
#define STACK_SIZE      32768
#define CPU_SIZE        128 /* struct cpu, at the top of each stack */
#define TRAP_VECTORS    32
#define TRAP_ENTRY_SIZE 16
#define TRAP_FAILSAFE   127

#endif
