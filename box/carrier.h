/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The outer end of the relay (relay.h): a thread that carries until it is stopped. */
#ifndef BOX_CARRIER_H
#define BOX_CARRIER_H

#include <stdbool.h>
#include <stddef.h>

struct carrier;

/* port: a socket, non-blocking, that stays the caller's. NULL with error[] set. */
struct carrier *carrier_start(int port, char *error, size_t error_size);
/* As relay_begin(), from any thread. */
bool carrier_begin(struct carrier *carrier, int fd, const char *path);
/* Ends all connections; what has come for them is passed on first. */
void carrier_stop(struct carrier *carrier);

#endif
