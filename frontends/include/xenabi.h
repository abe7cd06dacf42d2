/* SPDX-License-Identifier: MIT */
#ifndef FRONTENDS_XENABI_H
#define FRONTENDS_XENABI_H

/*
 * Xen's public headers, seen as a guest of the newest interface sees them.
 * Everything in frontends/ that touches the ABI includes this one.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define __XEN_INTERFACE_VERSION__ __XEN_LATEST_INTERFACE_VERSION__

/* x86 keeps stores in order and loads in order; only store-load needs help. */
#define xen_mb()  __sync_synchronize()
#define xen_rmb() __asm__ volatile("" ::: "memory")
#define xen_wmb() __asm__ volatile("" ::: "memory")

#include <xen/xen.h>
#include <xen/callback.h>
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

#endif
