/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A 16550A UART (National PC16550D, June 1995; TI TL16C550C, SLLS177I).
 *
 * Transmission takes no time: a byte leaves when it is written. Received bytes come from a bounded
 * queue, so the line never overruns the FIFO; only loopback mode can.
 *
 * Input waits in the queue until the guest's driver listens, which is when it has set IER.ERBFI.
 * What a driver's start-up would throw away (reads of RBR "for luck", FIFO resets) is thus kept:
 * a FIFO reset, too, puts unread bytes back into the queue, and they arrive again one character
 * time later. A guest that polls with ERBFI clear receives nothing.
 *
 * Once the guest has raised RTS, input also waits while RTS is low (stty crtscts in the guest).
 *
 * End of input is a state and not a byte: once everything queued has been read, the guest gets
 * ^D (04h), and again every second of guest time while it listens and has read the one before. One
 * byte would not do: a ^D after a half line only ends that line, and a login or an editor that
 * flushes its terminal (tcflush) would drop it.
 */
#ifndef VMM_SERIAL_H
#define VMM_SERIAL_H

#include <stddef.h>

#include "devices/bus.h"

#define SERIAL_COM1 0x3f8 /* IRQ 4 */
#define SERIAL_PORTS 8
#define SERIAL_FIFO 16
#define SERIAL_QUEUE 1024

struct serial_char {
	uint8_t byte;
	bool queued; /* came from the queue, not from loopback */
};

struct serial {
	/* wiring */
	struct wire irq;
	void (*out)(void *opaque, const uint8_t *bytes, size_t n);
	void *out_opaque;
	void (*room)(void *opaque);
	void *room_opaque;
	/* registers, PC16550D section 8 */
	uint8_t ier, fcr, lcr, mcr, msr, scr;
	uint16_t divisor;
	bool overrun;	   /* LSR.OE */
	bool level;	   /* on the wire */
	bool thre_pending; /* THRE interrupt not yet taken by a read of IIR or a write of THR */
	/* receiver */
	struct serial_char fifo[SERIAL_FIFO];
	unsigned fifo_head, fifo_count;
	uint64_t timeout_at; /* when unread characters become a timeout interrupt, or NEVER */
	bool timeout;
	uint64_t receive_at; /* no queued byte arrives before this time */
	/* the sender's side */
	uint8_t queue[SERIAL_QUEUE];
	unsigned queue_head, queue_count;
	bool queue_full; /* the sender was refused, and is owed a call of room() */
	bool flow;	 /* the guest raised RTS, so the sender obeys it from then on */
	bool ended;
	uint64_t eof_at;
	uint64_t now; /* latest time seen */
};

/* out is called with each byte the guest sends. */
void serial_init(struct serial *serial, struct wire irq,
		 void (*out)(void *opaque, const uint8_t *bytes, size_t n), void *opaque);
int serial_attach(struct serial *serial, struct bus *bus, uint16_t port);

/* Takes as many bytes as there is room for and says how many; none after serial_input_end(). */
size_t serial_input(struct serial *serial, uint64_t now, const uint8_t *bytes, size_t n);
size_t serial_input_room(const struct serial *serial);
/* room (may be NULL) is called when serial_input() took less than it was given and there is room
 * again; it must not call back into the device. */
void serial_on_room(struct serial *serial, void (*room)(void *opaque), void *opaque);
void serial_input_end(struct serial *serial, uint64_t now);

extern const struct device_ops serial_ops;

#endif
