/* SPDX-License-Identifier: MIT */
#include "dom0/config_syntax.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lists in lists go this deep; xl has no use for more than two. */
#define LIST_DEPTH_MAX 8

struct parser {
    struct config_lexer lex;
    struct config_token tok; /* the one looked at, its str owned */
    struct config_tree *tree;
    struct config_error *err;
};

static int next(struct parser *p)
{
    free(p->tok.str);
    return config_lexer_next(&p->lex, &p->tok);
}

static int expected(struct parser *p, const char *what)
{
    char found[80];

    config_token_describe(&p->tok, found, sizeof(found));
    return config_fail(p->err, &p->tok.pos, "expected %s, found %s", what,
                       found);
}

static int skip_newlines(struct parser *p)
{
    int rc = 0;

    while (!rc && p->tok.type == TOKEN_NEWLINE)
        rc = next(p);
    return rc;
}

static void value_free(struct config_value *value)
{
    for (size_t i = 0; i < value->nr_items; i++)
        value_free(&value->items[i]);
    free(value->items);
    free(value->str);
    *value = (struct config_value){0};
}

/* Moves *item to the end of the list; on failure it stays the caller's. */
static int list_append(struct config_value *list, struct config_value *item)
{
    struct config_value *items =
        reallocarray(list->items, list->nr_items + 1, sizeof(*items));

    if (!items)
        return -ENOMEM;
    list->items = items;
    items[list->nr_items++] = *item;
    *item = (struct config_value){0};
    return 0;
}

static int parse_value(struct parser *p, struct config_value *value, int depth);

static int parse_item(struct parser *p, struct config_value *list, int depth)
{
    struct config_value item = {0};
    int rc = parse_value(p, &item, depth);

    if (!rc)
        rc = list_append(list, &item);
    if (!rc)
        rc = skip_newlines(p);
    value_free(&item);
    return rc;
}

/* Behind an element: the ',' if another may follow. */
static int parse_comma(struct parser *p)
{
    int rc;

    if (p->tok.type == TOKEN_CLOSE || p->tok.type == TOKEN_END)
        return 0;
    if (p->tok.type != TOKEN_COMMA)
        return expected(p, "',' or ']' after a list's element");
    rc = next(p);
    return rc ? rc : skip_newlines(p);
}

/* Behind the '[', up to and with the ']'. */
static int parse_list(struct parser *p, struct config_value *list, int depth)
{
    int rc = skip_newlines(p);

    while (!rc && p->tok.type != TOKEN_CLOSE) {
        if (p->tok.type == TOKEN_END)
            return config_fail(p->err, &list->pos,
                               "expected a ']' for this list before the end "
                               "of the file");
        rc = parse_item(p, list, depth);
        if (!rc)
            rc = parse_comma(p);
    }
    return rc ? rc : next(p);
}

static int parse_value(struct parser *p, struct config_value *value, int depth)
{
    value->pos = p->tok.pos;
    if (p->tok.type == TOKEN_STRING || p->tok.type == TOKEN_NUMBER) {
        value->type =
            p->tok.type == TOKEN_STRING ? CONFIG_STRING : CONFIG_NUMBER;
        value->escaped = p->tok.escaped;
        value->str = p->tok.str;
        p->tok.str = NULL;
        return next(p);
    }
    if (p->tok.type != TOKEN_OPEN)
        return expected(p, "a value: a \"string\", a number or a [ list ]");
    if (depth == LIST_DEPTH_MAX)
        return config_fail(p->err, &value->pos,
                           "expected lists at most %d deep", LIST_DEPTH_MAX);
    value->type = CONFIG_LIST;
    int rc = next(p);

    return rc ? rc : parse_list(p, value, depth + 1);
}

/* What a shell leaves of  name="x y": the rest, unless it reads as a value. */
static int parse_override_value(struct parser *p, struct config_value *value)
{
    const struct config_source *s = p->lex.at.source;
    size_t at = p->lex.at.offset;

    while (at < s->len && s->text[at] == ' ')
        at++;
    if (at < s->len && !strchr("'\"[0123456789-", s->text[at])) {
        free(p->tok.str);
        int rc = config_lexer_rest(&p->lex, &p->tok);

        return rc ? rc : parse_value(p, value, 0);
    }
    int rc = next(p);

    return rc ? rc : parse_value(p, value, 0);
}

static struct config_setting *tree_find(struct config_tree *tree,
                                        const char *name)
{
    struct config_setting *s;

    for (s = tree->first; s; s = s->next)
        if (!strcmp(s->name, name))
            return s;
    return NULL;
}

static int append_string(struct config_value *to,
                         const struct config_value *more)
{
    char *joined;

    if (asprintf(&joined, "%s%s", to->str, more->str) < 0)
        return -ENOMEM;
    free(to->str);
    to->str = joined;
    to->escaped = true; /* its bytes no longer lie in one place */
    return 0;
}

/* key += value, the key having a value already. */
static int append_value(struct config_setting *s, struct config_value *value,
                        struct config_error *err)
{
    int rc = 0;

    if ((s->value.type == CONFIG_LIST) != (value->type == CONFIG_LIST))
        return config_fail(
            err, &value->pos, "expected %s, as '%s' holds one since line %u",
            s->value.type == CONFIG_LIST ? "a [ list ]" : "a \"string\"",
            s->name, s->pos.line);
    if (value->type != CONFIG_LIST)
        return append_string(&s->value, value);
    for (size_t i = 0; !rc && i < value->nr_items; i++)
        rc = list_append(&s->value, &value->items[i]);
    return rc;
}

static int tree_add(struct config_tree *tree, const char *name,
                    const struct config_pos *pos, struct config_value *value)
{
    struct config_setting *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->name = strdup(name);
    if (!s->name) {
        free(s);
        return -ENOMEM;
    }
    s->pos = *pos;
    s->value = *value;
    *value = (struct config_value){0};
    *tree->last = s;
    tree->last = &s->next;
    return 0;
}

/* Takes *value over, or leaves it to the caller to free. */
static int tree_set(struct parser *p, const char *name,
                    const struct config_pos *pos, bool append,
                    struct config_value *value)
{
    struct config_setting *s = tree_find(p->tree, name);

    if (!s)
        return tree_add(p->tree, name, pos, value);
    if (append)
        return append_value(s, value, p->err);
    if (s->pos.source == pos->source)
        s->replaced_line = s->pos.line;
    value_free(&s->value);
    s->value = *value;
    s->pos = *pos;
    *value = (struct config_value){0};
    return 0;
}

static int end_statement(struct parser *p)
{
    if (p->tok.type == TOKEN_END)
        return 0;
    if (p->tok.type != TOKEN_NEWLINE && p->tok.type != TOKEN_SEMICOLON)
        return expected(p, "the end of the line or ';' after the value");
    return next(p);
}

/* Behind the key: '=' or '+=', and the value. */
static int parse_assignment(struct parser *p, const char *name,
                            const struct config_pos *pos)
{
    struct config_value value = {0};
    bool append = p->tok.type == TOKEN_APPEND;
    int rc;

    if (!append && p->tok.type != TOKEN_ASSIGN)
        return expected(p, "'=' or '+=' after the key");
    if (p->lex.at.source->is_override) {
        rc = parse_override_value(p, &value);
    } else {
        rc = next(p);
        if (!rc)
            rc = parse_value(p, &value, 0);
    }
    if (!rc)
        rc = tree_set(p, name, pos, append, &value);
    value_free(&value);
    return rc;
}

static int parse_statement(struct parser *p)
{
    struct config_pos pos = p->tok.pos;
    char *name = NULL;
    int rc;

    if (p->tok.type == TOKEN_NEWLINE || p->tok.type == TOKEN_SEMICOLON)
        return next(p);
    if (p->tok.type != TOKEN_IDENT)
        return expected(p, "a key, as in key = value");
    name = p->tok.str;
    p->tok.str = NULL;
    rc = next(p);
    if (!rc)
        rc = parse_assignment(p, name, &pos);
    if (!rc)
        rc = end_statement(p);
    free(name);
    return rc;
}

int config_tree_parse(struct config_tree *tree,
                      const struct config_source *source,
                      struct config_error *err)
{
    struct parser p = {.tree = tree, .err = err};
    int rc;

    config_lexer_init(&p.lex, source, err);
    rc = next(&p);
    while (!rc && p.tok.type != TOKEN_END)
        rc = parse_statement(&p);
    free(p.tok.str);
    return rc;
}

void config_tree_init(struct config_tree *tree)
{
    tree->first = NULL;
    tree->last = &tree->first;
}

void config_tree_free(struct config_tree *tree)
{
    struct config_setting *s;

    while ((s = tree->first)) {
        tree->first = s->next;
        value_free(&s->value);
        free(s->name);
        free(s);
    }
    tree->last = &tree->first;
}

struct config_pos config_value_pos(const struct config_value *value,
                                   size_t offset)
{
    struct config_pos pos = value->pos;
    bool quoted = pos.offset < pos.source->len &&
                  strchr("'\"", pos.source->text[pos.offset]);

    if (!value->escaped && value->type == CONFIG_STRING) {
        pos.offset += offset + quoted;
        pos.column += offset + quoted;
    }
    return pos;
}
