/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The streams between the box on Bochs and its starter. Bochs has no virtio. Out of the box leads a
 * parallel port, whose every byte is written the moment the processor strobes it; into it a serial
 * line, whose interrupts wake the reader. Both carry frames.
 *
 * Out: kind, length (two bytes, low first), then so many bytes, except for WIRE_ROOM and WIRE_LINE.
 * In: kind (WIRE_INPUT, WIRE_RELAY), length (one byte), then so many bytes; WIRE_INPUT of length 0: its end.
 */
#ifndef BOX_WIRE_H
#define BOX_WIRE_H

#include <sys/types.h>

#define WIRE_OUTPUT 1
#define WIRE_STATUS 2
#define WIRE_RELAY 3 /* of relay.h */
/* The length is how many bytes more of the input the agent takes: the command may not read it. */
#define WIRE_ROOM 4
/*
 * The length is how many bytes more may be on the line. A serial line throws away what overruns it, and
 * while a guest runs in the box, its interrupt may be served late: no more than the UART's FIFO holds.
 */
#define WIRE_LINE 5
#define WIRE_INPUT 6

#define WIRE_OUT_HEAD 3
#define WIRE_OUT_MAX 0xffff
#define WIRE_IN_HEAD 2
#define WIRE_WINDOW 1024
#define WIRE_FIFO 16

/*
 * Carries them until the box's end closes: `from` is the parallel port's bytes, `to` the serial
 * line, port[] as in machine.h.
 */
void wire_pump(int from, int to, const int port[]) __attribute__((noreturn));

#endif
