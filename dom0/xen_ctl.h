/* SPDX-License-Identifier: MIT */
/*
 * Xen's control interfaces.  Their headers want to be asked for as tools, and
 * that before any other Xen header: include this one first.
 */
#ifndef DOM0_XEN_CTL_H
#define DOM0_XEN_CTL_H

#ifndef __XEN_TOOLS__
#define __XEN_TOOLS__ 1
#endif

#include <stdint.h>
#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/sched.h>
#include <xen/sysctl.h>

#endif
