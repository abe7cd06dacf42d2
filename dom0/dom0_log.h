/* SPDX-License-Identifier: MIT */
/* Dom0's log: one line to stderr, with time and severity. */
#ifndef DOM0_DOM0_LOG_H
#define DOM0_DOM0_LOG_H

#define LOG_FN(name)                                                           \
    void name(const char *fmt, ...) __attribute__((format(printf, 1, 2)))

/* Shown only with KXEN_DEBUG in the environment. */
LOG_FN(dom0_debug);
LOG_FN(dom0_info);
LOG_FN(dom0_warn);
LOG_FN(dom0_error);

#undef LOG_FN

#endif
