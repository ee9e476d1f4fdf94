/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a guest's server says ends on a terminal. It may be any program, in a box that was taken over for
 * instance, so its words are made plain first: text that cannot give orders to a terminal.
 */
#ifndef CONTROL_PLAIN_H
#define CONTROL_PLAIN_H

struct json_object;

/*
 * In place: control characters, C1's and DEL among them, and what is no UTF-8 become question marks, one for
 * each byte.
 */
void plain_text(char *text);
/*
 * The same for every string and member's name in what is said. The object is taken over; NULL: there is no
 * memory, or it is deeper than the protocol allows.
 */
struct json_object *plain_object(struct json_object *object);

#endif
