/* SPDX-License-Identifier: MIT */
/* Why a domain is down, for people. */
#include "dom0/dom0.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAIL_BYTES 65536 /* of the console's log, to find last words in */
#define WORDS_MAX  256

/* Text of the guest's: only what is plainly printable. */
static void copy_line(char *to, size_t size, const char *line, size_t len)
{
    size_t i, n = 0;

    for (i = 0; i < len && n < size - 1; i++)
        if (line[i] >= 0x20 && line[i] < 0x7f)
            to[n++] = line[i];
    to[n] = 0;
}

/* "panic: why" of many, "Kernel panic - not syncing: why" of Linux. */
static bool says_panic(const char *line)
{
    return (strstr(line, "panic: ") || strstr(line, "panic - ")) &&
           !strstr(line, "[ end");
}

/* The last line that speaks of a panic, else the last that says anything. */
static void last_words(char *text, size_t len, char words[WORDS_MAX])
{
    char line[WORDS_MAX], *end;
    bool panic = false;

    while (len) {
        end = memchr(text, '\n', len);
        copy_line(line, sizeof(line), text, end ? (size_t)(end - text) : len);
        if (says_panic(line) || (!panic && *line)) {
            panic = says_panic(line);
            strcpy(words, line);
        }
        len -= end ? (size_t)(end + 1 - text) : len;
        text = end ? end + 1 : text;
    }
}

static void console_words(struct dom *dom, char words[WORDS_MAX])
{
    char path[512], *text = malloc(TAIL_BYTES);
    off_t size;
    ssize_t n;
    int fd;

    words[0] = 0;
    snprintf(path, sizeof(path), "%s/console/%u.log", dom->d0->run_dir,
             dom->domid);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    n = text && size > 0 ? pread(fd, text, TAIL_BYTES,
                                 size > TAIL_BYTES ? size - TAIL_BYTES : 0)
                         : 0;
    if (n > 0)
        last_words(text, n, words);
    if (fd >= 0)
        close(fd);
    free(text);
}

void dom_story(struct dom *dom, char *buf, size_t size)
{
    char words[WORDS_MAX];

    *buf = 0;
    kxctrl_crash_reason(dom->d0->hv, dom->domid, buf, size);
    if (!strstr(buf, "SHUTDOWN_crash"))
        return;
    console_words(dom, words);
    if (*words)
        snprintf(buf + strlen(buf), size - strlen(buf), "; its console: %s",
                 words);
}
