/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The keys that are Fermata's own on a terminal: Ctrl-A and one more. A pure state machine. */
#ifndef CLI_ESCAPE_H
#define CLI_ESCAPE_H

#include <stdbool.h>
#include <stdint.h>

#define ESCAPE_KEY 0x01 /* Ctrl-A */

enum escape_action {
	ESCAPE_NOTHING,	     /* the byte was swallowed */
	ESCAPE_SEND,	     /* the byte goes to the guest */
	ESCAPE_END,	     /* Ctrl-A x: end the guest */
	ESCAPE_HELP,	     /* Ctrl-A h */
	ESCAPE_END_OF_INPUT, /* Ctrl-A d: the guest's input ends here */
};

struct escape {
	bool enabled; /* false: every byte goes to the guest */
	bool armed;   /* the last byte was Ctrl-A */
};

/* With ESCAPE_SEND the byte to send is `byte` itself (Ctrl-A Ctrl-A sends one Ctrl-A). */
enum escape_action escape_feed(struct escape *escape, uint8_t byte);

#endif
