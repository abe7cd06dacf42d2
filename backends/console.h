/* SPDX-License-Identifier: MIT */
/*
 * Attaching to a domain's console, and what is said on the socket.
 *
 * Every stream of a domain has two files in <run>/console: a log of all it
 * ever put out, and a socket.  "console" is <domid>.log and <domid>.sock; a
 * stream with another name, as "uart", is <domid>.uart.log and .uart.sock.
 *
 * A client connects (SOCK_STREAM) and sends one line, {"from": N}: the number
 * of bytes of output it has already, 0 for all there is, -1 for none of what
 * was before.  The answer is a line too, {"from": M}: M is N, or more if the
 * log no longer goes back that far.  Then bytes, both ways.  The end of file
 * comes after the last byte when the domain is gone; it comes early when dom0
 * dies, and a client that connects again with the offset it has reached
 * misses nothing.
 */
#ifndef BACKENDS_CONSOLE_H
#define BACKENDS_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

#define CONSOLE_LINE_MAX 256 /* either line, with its newline */

/*
 * Connects to a stream (NULL: "console") of domain domid and does the two
 * lines; run_dir NULL: kxen_run_dir().  Tries for timeout_ms, as the socket
 * may be about to appear.  *start (may be NULL) is where the output begins.
 * The connected socket, or -Exxx: -ENOENT, -ECONNREFUSED no such console,
 * -EPROTO no sense in the answer.
 */
int console_attach(const char *run_dir, uint32_t domid, const char *stream,
                   int64_t from, int timeout_ms, int64_t *start);

/* The path of a stream's "log" or "sock". 0 or -ENAMETOOLONG. */
int console_path(char *buf, size_t size, const char *run_dir, uint32_t domid,
                 const char *stream, const char *what);

#endif
