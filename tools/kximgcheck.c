/* SPDX-License-Identifier: MIT */
/*
 * Looks at a disk image from the host: does it hold what the verifying guest
 * wrote?  Every sector of its pattern names itself and carries a checksum.
 */
#include "frontends/include/lib.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR      512u
#define CHUNK       2048u /* sectors read at a time */
#define WRONG_SHOWN 10u

/* The start of a pattern sector, as frontends/pattern.c lays it out. */
struct head {
    uint64_t magic, number, round;
};

struct tally {
    uint64_t good, wrong, other; /* sectors */
    uint64_t first_round, last_round;
};

static void usage(FILE *to)
{
    fprintf(to,
            "usage: kximgcheck IMAGE SEED [MIN]\n\n"
            "Checks that every sector of IMAGE that bears the verifying "
            "guest's pattern\nis whole, in its place and made from SEED, and "
            "that there are at least MIN\n(default 1) of them.  Status 0 if "
            "so, 2 if not, 1 if it cannot be read.\n");
}

static int parse_number(const char *text, uint64_t *n)
{
    const char *end = text;

    if (!parse_u64(&end, 0, n) && !*end)
        return 0;
    fprintf(stderr, "kximgcheck: expected a number, found '%s'\n", text);
    return -EINVAL;
}

/* The pattern of sector 0 in round 0 tells the magic. */
static uint64_t pattern_magic(void)
{
    unsigned char sector[SECTOR] __attribute__((aligned(8)));
    struct head head;

    pattern_fill(sector, 1, 0, 0);
    memcpy(&head, sector, sizeof(head));
    return head.magic;
}

static void check_sector(struct tally *t, const void *sector, uint64_t seed,
                         uint64_t number, uint64_t magic)
{
    struct head head;
    const char *why;

    memcpy(&head, sector, sizeof(head));
    if (head.magic != magic) {
        t->other++;
        return;
    }
    if (pattern_check(sector, seed, number, (uint32_t)head.round, &why)) {
        if (t->wrong++ < WRONG_SHOWN)
            printf("sector %llu: %s\n", (unsigned long long)number, why);
        return;
    }
    if (!t->good || head.round < t->first_round)
        t->first_round = head.round;
    if (!t->good || head.round > t->last_round)
        t->last_round = head.round;
    t->good++;
}

static int check_image(int fd, uint64_t seed, struct tally *t)
{
    char *chunk = aligned_alloc(SECTOR, CHUNK * SECTOR);
    uint64_t number = 0, magic = pattern_magic();
    ssize_t n;

    if (!chunk)
        return -ENOMEM;
    while ((n = pread(fd, chunk, CHUNK * SECTOR, (off_t)(number * SECTOR))) >=
           (ssize_t)SECTOR)
        for (ssize_t at = 0; at + SECTOR <= n; at += SECTOR)
            check_sector(t, chunk + at, seed, number++, magic);
    n = n < 0 ? -errno : 0;
    free(chunk);
    return (int)n;
}

static int report(const struct tally *t, uint64_t min)
{
    printf("%llu sectors hold the pattern (rounds %llu to %llu), %llu are "
           "wrong, %llu hold something else\n",
           (unsigned long long)t->good, (unsigned long long)t->first_round,
           (unsigned long long)t->last_round, (unsigned long long)t->wrong,
           (unsigned long long)t->other);
    if (t->good < min)
        printf("expected at least %llu\n", (unsigned long long)min);
    return t->wrong || t->good < min ? 2 : 0;
}

int main(int argc, char **argv)
{
    struct tally t = {0};
    uint64_t seed, min = 1;
    int fd, rc;

    if (argc == 2 && !strcmp(argv[1], "--help")) {
        usage(stdout);
        return 0;
    }
    if (argc < 3 || argc > 4) {
        usage(stderr);
        return 1;
    }
    if (parse_number(argv[2], &seed) ||
        (argc > 3 && parse_number(argv[3], &min)))
        return 1;
    fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    rc = fd < 0 ? -errno : check_image(fd, seed, &t);
    if (fd >= 0)
        close(fd);
    if (rc) {
        fprintf(stderr, "kximgcheck: cannot read %s: %s\n", argv[1],
                strerror(-rc));
        return 1;
    }
    return report(&t, min);
}
