/* SPDX-License-Identifier: MIT */
#include "dom0/config_syntax.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void config_lexer_init(struct config_lexer *lex,
                       const struct config_source *source,
                       struct config_error *err)
{
    lex->at = (struct config_pos){.source = source, .line = 1, .column = 1};
    lex->err = err;
}

/* The byte `ahead` of the lexer, or -1 past the end. */
static int peek(const struct config_lexer *lex, size_t ahead)
{
    const struct config_source *s = lex->at.source;

    if (ahead >= s->len - lex->at.offset)
        return -1;
    return (unsigned char)s->text[lex->at.offset + ahead];
}

static void advance(struct config_lexer *lex, size_t n)
{
    lex->at.offset += n;
    lex->at.column += n;
}

static void advance_line(struct config_lexer *lex)
{
    lex->at.offset++;
    lex->at.line++;
    lex->at.column = 1;
}

static void skip_blank(struct config_lexer *lex)
{
    int c;

    while ((c = peek(lex, 0)) == ' ' || c == '\t' || c == '\r')
        advance(lex, 1);
    if (c != '#')
        return;
    while ((c = peek(lex, 0)) >= 0 && c != '\n')
        advance(lex, 1);
}

static int take(struct config_lexer *lex, struct config_token *tok,
                enum config_token_type type, size_t len)
{
    const char *start = lex->at.source->text + lex->at.offset;

    tok->type = type;
    tok->len = len;
    if (type == TOKEN_IDENT || type == TOKEN_NUMBER || type == TOKEN_STRING) {
        tok->str = strndup(start, len);
        if (!tok->str)
            return -ENOMEM;
    }
    if (type == TOKEN_NEWLINE)
        advance_line(lex);
    else
        advance(lex, len);
    return 0;
}

static size_t ident_length(const struct config_lexer *lex)
{
    size_t n = 0;

    while (peek(lex, n) == '_' || isalnum(peek(lex, n)))
        n++;
    return n;
}

/* xl takes any mix of hexadecimal digits and x; its value is judged later. */
static size_t number_length(const struct config_lexer *lex)
{
    size_t n = peek(lex, 0) == '-';

    while (peek(lex, n) == 'x' || isxdigit(peek(lex, n)))
        n++;
    return n;
}

static int hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \x41: exactly two digits. */
static int escape_hex(struct config_lexer *lex)
{
    int hi = hex_digit(peek(lex, 2)),
        lo = hi < 0 ? -1 : hex_digit(peek(lex, 3));

    if (lo < 0)
        return config_fail(lex->err, &lex->at,
                           "expected two hexadecimal digits after '\\x'");
    advance(lex, 4);
    return hi * 16 + lo;
}

/* \101: one to three octal digits. */
static int escape_octal(struct config_lexer *lex)
{
    int value = 0, digits = 0, c;

    while (digits < 3 && (c = peek(lex, 1 + digits)) >= '0' && c <= '7') {
        value = value * 8 + c - '0';
        digits++;
    }
    if (value > 255)
        return config_fail(lex->err, &lex->at,
                           "expected an octal escape up to '\\377'");
    advance(lex, 1 + digits);
    return value;
}

/* The byte an escape stands for, 1..255, or -EINVAL. */
static int read_escape(struct config_lexer *lex)
{
    static const char from[] = "abfnrtv'\"\\", to[] = "\a\b\f\n\r\t\v'\"\\";
    struct config_pos start = lex->at;
    int c = peek(lex, 1), value;
    const char *p = c > 0 ? strchr(from, c) : NULL;

    if (p) {
        advance(lex, 2);
        return to[p - from];
    }
    if (c != 'x' && !(c >= '0' && c <= '7'))
        return config_fail(lex->err, &start,
                           "expected a quote, a backslash, a digit or one of "
                           "abfnrtvx after the backslash");
    value = c == 'x' ? escape_hex(lex) : escape_octal(lex);
    if (value == 0)
        return config_fail(lex->err, &start,
                           "expected no zero byte in a string");
    return value;
}

/* One byte of a string: >0, 0 at its closing quote, or -EINVAL. */
static int string_byte(struct config_lexer *lex, struct config_token *tok,
                       int quote)
{
    int c = peek(lex, 0);

    if (c < 0 || c == '\n')
        return config_fail(lex->err, &tok->pos,
                           "expected a closing %c for this string before the "
                           "end of the %s",
                           quote, c < 0 ? "file" : "line");
    if (c == 0)
        return config_fail(lex->err, &lex->at,
                           "expected text, found a zero byte");
    if (c == '\\') {
        tok->escaped = true;
        return read_escape(lex);
    }
    advance(lex, 1);
    return c == quote ? 0 : c;
}

static int read_string(struct config_lexer *lex, struct config_token *tok)
{
    int quote = peek(lex, 0), c;
    size_t n = 0, size = lex->at.source->len - lex->at.offset;
    const char *start = lex->at.source->text + lex->at.offset;
    const char *line_end = memchr(start, '\n', size);

    if (line_end)
        size = line_end - start;
    tok->type = TOKEN_STRING;
    tok->str = malloc(size + 1);
    if (!tok->str)
        return -ENOMEM;
    advance(lex, 1);
    while ((c = string_byte(lex, tok, quote)) > 0)
        tok->str[n++] = c;
    tok->str[n] = '\0';
    tok->len = lex->at.offset - tok->pos.offset;
    return c;
}

static int bad_byte(struct config_lexer *lex, int c)
{
    if (c > ' ' && c < 0x7f)
        return config_fail(lex->err, &lex->at,
                           "expected a key, a value or an operator, found "
                           "'%c'",
                           c);
    return config_fail(lex->err, &lex->at,
                       "expected text, found the byte 0x%02x", c);
}

static int next_token(struct config_lexer *lex, struct config_token *tok)
{
    static const struct {
        int byte;
        enum config_token_type type;
    } single[] = {
        {'\n', TOKEN_NEWLINE}, {';', TOKEN_SEMICOLON}, {'=', TOKEN_ASSIGN},
        {',', TOKEN_COMMA},    {'[', TOKEN_OPEN},      {']', TOKEN_CLOSE},
    };
    int c = peek(lex, 0);

    if (c < 0)
        return take(lex, tok, TOKEN_END, 0);
    for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++)
        if (single[i].byte == c)
            return take(lex, tok, single[i].type, 1);
    if (c == '+' && peek(lex, 1) == '=')
        return take(lex, tok, TOKEN_APPEND, 2);
    if (c == '\'' || c == '"')
        return read_string(lex, tok);
    if (isdigit(c) || (c == '-' && isdigit(peek(lex, 1))))
        return take(lex, tok, TOKEN_NUMBER, number_length(lex));
    if (c == '_' || isalpha(c))
        return take(lex, tok, TOKEN_IDENT, ident_length(lex));
    return bad_byte(lex, c);
}

int config_lexer_next(struct config_lexer *lex, struct config_token *tok)
{
    int rc;

    skip_blank(lex);
    *tok = (struct config_token){.pos = lex->at};
    rc = next_token(lex, tok);
    if (rc < 0) {
        free(tok->str);
        tok->str = NULL;
    }
    return rc;
}

int config_lexer_rest(struct config_lexer *lex, struct config_token *tok)
{
    const struct config_source *s = lex->at.source;

    while (isspace(peek(lex, 0)))
        advance(lex, 1);
    *tok = (struct config_token){.pos = lex->at};
    return take(lex, tok, TOKEN_STRING, s->len - lex->at.offset);
}

void config_token_describe(const struct config_token *tok, char *buf,
                           size_t size)
{
    static const char *const words[] = {
        [TOKEN_END] = "the end of the file",
        [TOKEN_NEWLINE] = "the end of the line",
        [TOKEN_SEMICOLON] = "';'",
        [TOKEN_ASSIGN] = "'='",
        [TOKEN_APPEND] = "'+='",
        [TOKEN_COMMA] = "','",
        [TOKEN_OPEN] = "'['",
        [TOKEN_CLOSE] = "']'",
    };

    if (tok->type == TOKEN_STRING)
        snprintf(buf, size, "the string \"%.40s\"", tok->str);
    else if (tok->str)
        snprintf(buf, size, "'%.40s'", tok->str);
    else
        snprintf(buf, size, "%s", words[tok->type]);
}
