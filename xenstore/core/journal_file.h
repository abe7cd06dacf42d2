/* SPDX-License-Identifier: MIT */
/* The journal's file and its records' form; for journal*.c alone. */
#ifndef XENSTORE_CORE_JOURNAL_FILE_H
#define XENSTORE_CORE_JOURNAL_FILE_H

#include "xenstore/core/journal.h"

struct touch;

enum jtype {
    J_NODE = 1,
    J_RM,
    J_SPECIAL,
    J_QUOTA,
    J_DOMAIN,
    J_CONN,
    J_IN,
    J_DONE,
    J_OUT,
    J_WATCH,
    J_UNWATCH,
    J_RESET,
    J_TXN,
    J_TXN_END,
    J_TXN_DOOMED,
    J_TOUCH,
    J_TXN_NODE,
    J_TXN_RM,
    J_SOCKET,
};

#define J_MAGIC "KXENSTJ1"

struct jheader {
    char magic[8];
    uint64_t committed; /* offset behind the last complete group */
    char pad[48];
};

struct jrecord {
    uint32_t type;
    uint32_t len; /* of what follows */
};

struct journal {
    int fd;
    char *path;
    char *map;
    size_t size;    /* of the file and its mapping */
    size_t end;     /* where the next record goes */
    size_t record;  /* where the one being written begins */
    size_t limit;   /* a checkpoint is due beyond */
    size_t touched; /* pages up to here are mapped already */
    bool broken;    /* no room: nothing is kept any more */
};

/* Opens or makes the file.  *j is freed by jfile_close(). */
int jfile_open(const char *path, bool fresh, struct journal **j);
void jfile_close(struct journal *j);

/* One record: begin, fields, end. */
void jrec_begin(struct journal *j, enum jtype type);
void jrec_u32(struct journal *j, uint32_t v);
void jrec_bytes(struct journal *j, const void *p, size_t len);
void jrec_string(struct journal *j, const char *s);
void jrec_data(struct journal *j, const struct ndata *d);
void jrec_end(struct journal *j);

/* Writes the whole store into an empty journal.  journal_dump.c */
void journal_dump(struct store *s, struct journal *j);

/* Writes one connection that has a shadow. */
void journal_dump_conn(struct journal *j, struct sconn *c);

/* Applies the complete groups of j.  journal_load.c */
int journal_load(struct store *s, const struct journal *j);

/* Records that the dump shares with the running journal. */
void jrec_domain(struct journal *j, const struct sdom *d);
void jrec_quota(struct journal *j, const struct sdom *d, int q, uint64_t value);
void jrec_special(struct journal *j, int which, const struct ndata *d);
void jrec_watch(struct journal *j, enum jtype type, const struct watch *w);
void jrec_touch(struct journal *j, uint32_t domid, uint32_t txn,
                const struct touch *t);
void jrec_txn_node(struct journal *j, uint32_t domid, uint32_t txn,
                   const char *path, const struct ndata *d);

#endif
