/* SPDX-License-Identifier: MIT */
#include "frontends/include/lib.h"

#define FNV_PRIME  0x100000001b3ull
#define SECTOR     512
#define WORDS      (SECTOR / sizeof(uint64_t))
#define BODY_WORDS (WORDS - 4)
#define MAGIC      0x6b78656e76657266ull

/* One sector: who it is, what is in it, and the sum over both. */
struct sector {
    uint64_t magic, number, round;
    uint64_t body[BODY_WORDS];
    uint64_t sum;
};

_Static_assert(sizeof(struct sector) == SECTOR, "a sector of 512 bytes");

uint64_t fnv1a(uint64_t hash, const void *data, size_t len)
{
    const unsigned char *p = data;

    while (len--)
        hash = (hash ^ *p++) * FNV_PRIME;
    return hash;
}

uint64_t prng_next(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1dull;
}

/* Word-wise, or filling would cost more than the I/O it is to check. */
static uint64_t sum_words(const uint64_t *w, size_t n)
{
    uint64_t h = FNV_INIT;

    while (n--)
        h = (h ^ *w++) * FNV_PRIME;
    return h;
}

static uint64_t body_state(uint64_t seed, uint64_t number, uint32_t round)
{
    uint64_t x =
        seed ^ (number * 0x9e3779b97f4a7c15ull) ^ ((uint64_t)round << 40);

    return x ? x : 1;
}

void pattern_fill(void *sector, uint64_t seed, uint64_t number, uint32_t round)
{
    struct sector *s = sector;
    uint64_t state = body_state(seed, number, round);
    size_t i;

    s->magic = MAGIC;
    s->number = number;
    s->round = round;
    for (i = 0; i < BODY_WORDS; i++)
        s->body[i] = prng_next(&state);
    s->sum = sum_words((const uint64_t *)s, WORDS - 1);
}

int pattern_check(const void *sector, uint64_t seed, uint64_t number,
                  uint32_t round, const char **why)
{
    const struct sector *s = sector;
    uint64_t state = body_state(seed, number, round);
    size_t i;

    *why = NULL;
    if (s->magic != MAGIC)
        *why = "not a pattern sector";
    else if (s->number != number)
        *why = "another sector's contents";
    else if (s->round != round)
        *why = "another round's contents";
    else if (s->sum != sum_words((const uint64_t *)s, WORDS - 1))
        *why = "checksum wrong";
    for (i = 0; i < BODY_WORDS && !*why; i++)
        if (s->body[i] != prng_next(&state))
            *why = "wrong bytes under a right checksum (another seed?)";
    return *why ? -EIO : 0;
}
