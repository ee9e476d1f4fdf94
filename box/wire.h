/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The streams between the box on Bochs and its starter. Bochs has no virtio. Out of the box leads a
 * parallel port, whose every byte is written the moment the processor strobes it; into it a serial
 * line, whose interrupts wake the reader. Both carry frames.
 *
 * Out: kind, length (two bytes, low first), then so many bytes, except for WIRE_ROOM.
 * In: length (one byte), then so many bytes; length 0: the end of the input.
 */
#ifndef BOX_WIRE_H
#define BOX_WIRE_H

#include <sys/types.h>

#define WIRE_OUTPUT 1
#define WIRE_STATUS 2
/* The length is how many bytes more the agent takes: a serial line throws away what overruns it. */
#define WIRE_ROOM 3

#define WIRE_OUT_HEAD 3
#define WIRE_OUT_MAX 0xffff
#define WIRE_IN_MAX 0xff
/* In frames of one byte each it is twice as much; Linux's line discipline holds 4096. */
#define WIRE_WINDOW 1024

/*
 * Carries them until the box's end closes: `from` is the parallel port's bytes, `to` the serial
 * line, port[] as in machine.h.
 */
void wire_pump(int from, int to, const int port[]) __attribute__((noreturn));

#endif
