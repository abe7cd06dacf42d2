/* SPDX-License-Identifier: MIT */
/*
 * The grammar of xl.cfg without its meaning: tokens, and settings as a tree.
 * Private to dom0/config*.c.
 */
#ifndef DOM0_CONFIG_SYNTAX_H
#define DOM0_CONFIG_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>
#include "dom0/config.h"

/* Text under a name, kept by the caller as long as the tree. */
struct config_source {
    const char *name;
    const char *text;
    size_t len;
    bool is_override; /* from the command line: quotes may be missing */
};

/* A place in a source; line and column from 1. */
struct config_pos {
    const struct config_source *source;
    size_t offset;
    unsigned line, column;
};

enum config_token_type {
    TOKEN_END,
    TOKEN_NEWLINE,
    TOKEN_SEMICOLON,
    TOKEN_IDENT,
    TOKEN_STRING,
    TOKEN_NUMBER,
    TOKEN_ASSIGN,
    TOKEN_APPEND,
    TOKEN_COMMA,
    TOKEN_OPEN,
    TOKEN_CLOSE,
};

struct config_token {
    enum config_token_type type;
    struct config_pos pos;
    size_t len;   /* bytes of source it takes */
    char *str;    /* of identifiers, numbers and strings (unescaped) */
    bool escaped; /* str does not map byte by byte to the source */
};

struct config_lexer {
    struct config_pos at;
    struct config_error *err;
};

void config_lexer_init(struct config_lexer *lex,
                       const struct config_source *source,
                       struct config_error *err);

/* The next token; tok->str is the caller's. 0, -EINVAL (told), -ENOMEM. */
int config_lexer_next(struct config_lexer *lex, struct config_token *tok);

/* A bare word up to white space or the end, for overrides without quotes. */
int config_lexer_rest(struct config_lexer *lex, struct config_token *tok);

/* "'memory'", "a string", "the end of the line" ... for messages. */
void config_token_describe(const struct config_token *tok, char *buf,
                           size_t size);

enum config_type { CONFIG_STRING, CONFIG_NUMBER, CONFIG_LIST };

struct config_value {
    enum config_type type;
    struct config_pos pos;
    bool escaped;
    char *str; /* strings and numbers */
    struct config_value *items;
    size_t nr_items;
};

struct config_setting {
    char *name;
    struct config_pos pos;
    struct config_value value;
    unsigned replaced_line; /* the same file set it there before, or 0 */
    struct config_setting *next;
};

/* Settings in the order of their first appearance, each name once. */
struct config_tree {
    struct config_setting *first, **last;
};

void config_tree_init(struct config_tree *tree);

/* Adds a source's settings; later ones replace. 0, -EINVAL (told), -ENOMEM. */
int config_tree_parse(struct config_tree *tree,
                      const struct config_source *source,
                      struct config_error *err);
void config_tree_free(struct config_tree *tree);

/*
 * Fills *err with "file:line:column: message", the line and a caret, and
 * returns -EINVAL.
 */
int config_fail(struct config_error *err, const struct config_pos *pos,
                const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The place of byte `offset` of a string value. */
struct config_pos config_value_pos(const struct config_value *value,
                                   size_t offset);

#endif
