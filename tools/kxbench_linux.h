/* SPDX-License-Identifier: MIT */
/* kxbench linux: the same program in one Linux under several machines. */
#ifndef TOOLS_KXBENCH_LINUX_H
#define TOOLS_KXBENCH_LINUX_H

#include "tools/kxbench.h"

/* What every machine boots, absolute paths. */
struct kxb_linux_files {
    char kernel[4200], initramfs[4200], program[4200], disk[4200];
};

/*
 * Fetches Debian's cloud kernel if need be, and makes an initramfs and a disk
 * in b->work_dir.  0, or -Exxx after saying what to do.
 */
int kxb_linux_setup(struct kxb *b, struct kxb_linux_files *files);
/* Removes what it made. */
void kxb_linux_cleanup(const struct kxb_linux_files *files);

/* A program whose output is read line by line while it runs. */
struct kxb_watch {
    char *const *argv;
    char *const *env; /* in front of ours */
    unsigned limit_s; /* until the first line that got it somewhere */
    unsigned rest_s;  /* and then until it is done */
    /* 1: that was the last line wanted; 2: it got somewhere; 0: go on. */
    int (*line)(void *arg, const char *line, uint64_t ns_since_start);
    void *arg;
};

/*
 * Runs it, and ends it after the last line wanted.  0; -ETIMEDOUT; -EPIPE: it
 * ended before; -Exxx.  What it has said on stderr is in err.
 */
int kxb_watch(const struct kxb_watch *w, char *err, size_t err_size);

#endif
