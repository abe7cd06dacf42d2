/* SPDX-License-Identifier: MIT */
#ifndef FRONTENDS_LIB_H
#define FRONTENDS_LIB_H

/*
 * The part of the guest that needs no Xen: it is compiled for the guest and,
 * as libfront.a, for the host's unit tests. On the host the C library serves
 * for mem* and str*.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if __STDC_HOSTED__
#include <errno.h>
#include <string.h>
#else
void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);

/* Linux numbering; functions return 0 or one of these negated. */
#define EPERM      1
#define ENOENT     2
#define EIO        5
#define ENXIO      6
#define E2BIG      7
#define EAGAIN     11
#define ENOMEM     12
#define EACCES     13
#define EFAULT     14
#define EBUSY      16
#define EEXIST     17
#define ENODEV     19
#define EISDIR     21
#define EINVAL     22
#define ENOSPC     28
#define EROFS      30
#define ENOSYS     38
#define ENOTEMPTY  39
#define EPROTO     71
#define EOPNOTSUPP 95
#define EISCONN    106
#define ETIMEDOUT  110
#endif

/* MIN and MAX evaluate the lesser or greater twice: no side effects. */
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)     ((a) < (b) ? (a) : (b))
#define MAX(a, b)     ((a) > (b) ? (a) : (b))
#define container_of(p, type, member)                                          \
    ((type *)((char *)(p)-offsetof(type, member)))

/*
 * printf into a buffer: %d %i %u %x %X %p %s %c %% with flags 0 and -, width,
 * precision (also *) and the sizes l, ll, z. Always terminates when size > 0;
 * returns the length the whole text would have had.
 */
int format_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
int format_snprintf(char *buf, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Number at *s in the given base (0: 0x means 16, else 10); *s is moved past
 * it. -EINVAL if there is no digit or it does not fit 64 bits.
 */
int front_parse_u64(const char **s, unsigned int base, uint64_t *out);
/* Host programs may link other archives with a function of the short name. */
#define parse_u64 front_parse_u64

/*
 * "key=value" words of a command line, separated by blanks. cmdline_get copies
 * the value of the n-th (from 0) word with that key into buf, cut to size, and
 * returns true; a word "key" alone has the value "1". cmdline_u64 accepts
 * K, M and G (binary) behind the number and gives dflt if there is none.
 */
bool cmdline_get(const char *line, const char *key, unsigned int n, char *buf,
                 size_t size);
uint64_t cmdline_u64(const char *line, const char *key, uint64_t dflt);

/*
 * A byte ring shared with a peer, as console and store use it: free-running
 * 32-bit indices, size a power of two. Both copy as much as fits and return
 * the count, or -EPROTO if the peer's index is out of range. The caller's own
 * index is published with release order, the peer's read with acquire.
 */
int bytering_put(char *ring, uint32_t size, const uint32_t *cons,
                 uint32_t *prod, const void *src, uint32_t len);
int bytering_get(const char *ring, uint32_t size, uint32_t *cons,
                 const uint32_t *prod, void *dst, uint32_t len);

/* FNV-1a, 64 bits: start with FNV_INIT. */
#define FNV_INIT 0xcbf29ce484222325ull
uint64_t fnv1a(uint64_t hash, const void *data, size_t len);

/*
 * Sector contents for the disk verifier, 512 bytes: made of (seed, disk
 * sector, round) alone, each sector carrying its own number and checksum.
 * pattern_check returns 0, or -EIO with a text in *why (static).
 */
void pattern_fill(void *sector, uint64_t seed, uint64_t number, uint32_t round);
int pattern_check(const void *sector, uint64_t seed, uint64_t number,
                  uint32_t round, const char **why);

/* Small, fast generator (xorshift64*); state must not be 0. */
uint64_t prng_next(uint64_t *state);

/* Sorts in place; then quantile q/1000 of n > 0 sorted values. */
void stats_sort(uint64_t *v, size_t n);
uint64_t stats_quantile(const uint64_t *sorted, size_t n, unsigned int q);

#endif
