/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <string.h>

#include "devices/fields.h"
#include "serial.h"

/* PC16550D section 8, table II */
enum {
	RBR = 0,
	THR = 0,
	DLL = 0,
	IER = 1,
	DLM = 1,
	IIR = 2,
	FCR = 2,
	LCR = 3,
	MCR = 4,
	LSR = 5,
	MSR = 6,
	SCR = 7,
};

#define IER_ERBFI 0x01 /* received data */
#define IER_ETBEI 0x02 /* transmitter empty */
#define IER_ELSI 0x04  /* line status */
#define IER_EDSSI 0x08 /* modem status */

#define IIR_MODEM 0x00
#define IIR_NONE 0x01
#define IIR_THRE 0x02
#define IIR_DATA 0x04
#define IIR_LINE 0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFOS 0xc0

#define FCR_ENABLE 0x01
#define FCR_RESET_RX 0x02
#define FCR_KEPT 0xc9 /* enable, DMA mode, trigger level */

#define LCR_DLAB 0x80

#define MCR_DTR 0x01
#define MCR_RTS 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10

#define LSR_DR 0x01
#define LSR_OE 0x02
#define LSR_THRE 0x20
#define LSR_TEMT 0x40

#define MSR_DCTS 0x01
#define MSR_DDSR 0x02
#define MSR_TERI 0x04
#define MSR_DDCD 0x08
#define MSR_CTS 0x10
#define MSR_DSR 0x20
#define MSR_RI 0x40
#define MSR_DCD 0x80

#define CLOCK_HZ 1843200ull
#define SECOND 1000000000ull
#define END_OF_TRANSMISSION 0x04

static bool fifo_enabled(const struct serial *s)
{
	return s->fcr & FCR_ENABLE;
}

static unsigned fifo_depth(const struct serial *s)
{
	return fifo_enabled(s) ? SERIAL_FIFO : 1;
}

static unsigned trigger_level(const struct serial *s)
{
	static const uint8_t level[] = { 1, 4, 8, 14 };

	return fifo_enabled(s) ? level[s->fcr >> 6] : 1;
}

/* Start bit, data bits, parity and stop bits at the programmed rate. A divisor of 0 acts as 1. */
static uint64_t char_time(const struct serial *s)
{
	unsigned bits = 1 + 5 + (s->lcr & 3) + !!(s->lcr & 0x08) + (s->lcr & 0x04 ? 2 : 1);
	uint64_t divisor = s->divisor ? s->divisor : 1;

	return bits * divisor * 16 * SECOND / CLOCK_HZ;
}

static uint64_t after(uint64_t now, uint64_t delta)
{
	return now > NEVER - delta ? NEVER : now + delta;
}

/* PC16550D table IV: the highest pending source wins. */
static uint8_t interrupt_id(const struct serial *s)
{
	if ((s->ier & IER_ELSI) && s->overrun)
		return IIR_LINE;
	if ((s->ier & IER_ERBFI) && s->fifo_count >= trigger_level(s))
		return IIR_DATA;
	if ((s->ier & IER_ERBFI) && s->timeout)
		return IIR_TIMEOUT;
	if ((s->ier & IER_ETBEI) && s->thre_pending)
		return IIR_THRE;
	if ((s->ier & IER_EDSSI) && (s->msr & 0x0f))
		return IIR_MODEM;
	return IIR_NONE;
}

/*
 * On a PC the interrupt pin reaches the bus through a gate that OUT2 opens; loopback forces the
 * OUT2 pin inactive (PC16550D 8.7).
 */
static void update_irq(struct serial *s)
{
	bool gate = (s->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
	bool level = gate && interrupt_id(s) != IIR_NONE;

	if (level == s->level)
		return;
	s->level = level;
	wire_set(&s->irq, level);
}

static void fifo_restart_timeout(struct serial *s)
{
	s->timeout = false;
	s->timeout_at = fifo_enabled(s) && s->fifo_count ? after(s->now, 4 * char_time(s)) : NEVER;
}

static void fifo_push(struct serial *s, uint8_t byte, bool queued)
{
	unsigned last;

	if (s->fifo_count == fifo_depth(s)) {
		/* 8.4: a FIFO keeps what it has; without it the new character replaces the old. */
		s->overrun = true;
		if (fifo_enabled(s))
			return;
		s->fifo_count = 0;
	}
	last = (s->fifo_head + s->fifo_count++) % SERIAL_FIFO;
	s->fifo[last] = (struct serial_char){ .byte = byte, .queued = queued };
	fifo_restart_timeout(s);
}

/* Empties the FIFO. What came from the queue goes back to its head, and arrives again later. */
static void fifo_reset(struct serial *s)
{
	while (s->fifo_count) {
		struct serial_char *c = &s->fifo[(s->fifo_head + --s->fifo_count) % SERIAL_FIFO];

		if (c->queued && s->queue_count < SERIAL_QUEUE) {
			s->queue_head = (s->queue_head + SERIAL_QUEUE - 1) % SERIAL_QUEUE;
			s->queue[s->queue_head] = c->byte;
			s->queue_count++;
		}
	}
	s->fifo_head = 0;
	fifo_restart_timeout(s);
	s->receive_at = after(s->now, char_time(s));
}

static bool listening(const struct serial *s)
{
	if (!(s->ier & IER_ERBFI) || (s->mcr & MCR_LOOP))
		return false;
	return !s->flow || (s->mcr & MCR_RTS);
}

static bool eof_waiting(const struct serial *s)
{
	return s->ended && !s->queue_count && !s->fifo_count;
}

/* Lets queued characters arrive, as far as the guest listens and has room for them. */
static void receive(struct serial *s)
{
	if (!listening(s) || s->now < s->receive_at)
		return;
	while (s->queue_count && s->fifo_count < fifo_depth(s)) {
		fifo_push(s, s->queue[s->queue_head], true);
		s->queue_head = (s->queue_head + 1) % SERIAL_QUEUE;
		s->queue_count--;
	}
	if (eof_waiting(s) && s->now >= s->eof_at) {
		fifo_push(s, END_OF_TRANSMISSION, false);
		s->eof_at = after(s->now, SECOND);
	}
	/* Half empty, so that a sender is not woken for every byte. */
	if (s->queue_full && s->queue_count <= SERIAL_QUEUE / 2) {
		s->queue_full = false;
		if (s->room)
			s->room(s->room_opaque);
	}
}

static void advance(struct serial *s, uint64_t now)
{
	if (now > s->now)
		s->now = now;
	if (s->timeout_at <= s->now) {
		s->timeout_at = NEVER;
		s->timeout = true;
	}
	receive(s);
}

static void update_modem(struct serial *s)
{
	uint8_t old = s->msr;
	uint8_t lines = MSR_DCD | MSR_DSR | MSR_CTS; /* a terminal is connected and ready */

	if (s->mcr & MCR_LOOP) {
		lines = (s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
			(s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0);
	}
	s->msr = lines | (old & 0x0f);
	if ((old ^ lines) & MSR_CTS)
		s->msr |= MSR_DCTS;
	if ((old ^ lines) & MSR_DSR)
		s->msr |= MSR_DDSR;
	if ((old ^ lines) & MSR_DCD)
		s->msr |= MSR_DDCD;
	if (old & ~lines & MSR_RI) /* trailing edge only */
		s->msr |= MSR_TERI;
}

static uint8_t read_rbr(struct serial *s)
{
	uint8_t byte = 0;

	if (s->fifo_count) {
		byte = s->fifo[s->fifo_head].byte;
		s->fifo_head = (s->fifo_head + 1) % SERIAL_FIFO;
		s->fifo_count--;
	}
	fifo_restart_timeout(s);
	/* The wire must fall before the next characters raise it again: IRQ 4 is an edge. */
	update_irq(s);
	receive(s);
	return byte;
}

static uint8_t read_iir(struct serial *s)
{
	uint8_t id = interrupt_id(s);

	if (id == IIR_THRE)
		s->thre_pending = false;
	return id | (fifo_enabled(s) ? IIR_FIFOS : 0);
}

static uint8_t read_lsr(struct serial *s)
{
	uint8_t value = LSR_THRE | LSR_TEMT;

	if (s->fifo_count)
		value |= LSR_DR;
	if (s->overrun)
		value |= LSR_OE;
	s->overrun = false;
	return value;
}

static void write_thr(struct serial *s, uint8_t byte)
{
	/* The register is full for an instant: the interrupt goes away and comes back. */
	s->thre_pending = false;
	update_irq(s);
	if (s->mcr & MCR_LOOP)
		fifo_push(s, byte, false);
	else if (s->out)
		s->out(s->out_opaque, &byte, 1);
	s->thre_pending = true;
}

static void write_ier(struct serial *s, uint8_t value)
{
	uint8_t rising = value & ~s->ier;

	s->ier = value & 0x0f;
	/* The holding register is empty whenever the guest can look: enabling asks at once. */
	if (rising & IER_ETBEI)
		s->thre_pending = true;
	if ((rising & IER_ERBFI) && s->receive_at <= s->now)
		s->receive_at = after(s->now, char_time(s));
}

static void write_fcr(struct serial *s, uint8_t value)
{
	uint8_t old = s->fcr;

	/* 8.6: the other bits are taken only together with the enable bit. */
	s->fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
	if ((old ^ s->fcr) & FCR_ENABLE)
		fifo_reset(s);
	else if ((value & FCR_ENABLE) && (value & FCR_RESET_RX))
		fifo_reset(s);
}

static uint64_t serial_read(void *dev, uint64_t now, uint64_t offset, unsigned size)
{
	struct serial *s = dev;
	uint8_t value = 0xff;

	advance(s, now);
	switch (offset) {
	case RBR:
		value = s->lcr & LCR_DLAB ? s->divisor & 0xff : read_rbr(s);
		break;
	case IER:
		value = s->lcr & LCR_DLAB ? s->divisor >> 8 : s->ier;
		break;
	case IIR:
		value = read_iir(s);
		break;
	case LCR:
		value = s->lcr;
		break;
	case MCR:
		value = s->mcr;
		break;
	case LSR:
		value = read_lsr(s);
		break;
	case MSR:
		value = s->msr;
		s->msr &= 0xf0;
		break;
	case SCR:
		value = s->scr;
		break;
	}
	update_irq(s);
	return value;
}

static void serial_write(void *dev, uint64_t now, uint64_t offset, unsigned size, uint64_t value)
{
	struct serial *s = dev;
	uint8_t byte = value;

	advance(s, now);
	switch (offset) {
	case THR:
		if (s->lcr & LCR_DLAB)
			s->divisor = (s->divisor & 0xff00) | byte;
		else
			write_thr(s, byte);
		break;
	case IER:
		if (s->lcr & LCR_DLAB)
			s->divisor = (s->divisor & 0x00ff) | byte << 8;
		else
			write_ier(s, byte);
		break;
	case FCR:
		write_fcr(s, byte);
		break;
	case LCR:
		s->lcr = byte;
		break;
	case MCR:
		s->mcr = byte & 0x1f;
		if ((s->mcr & (MCR_RTS | MCR_LOOP)) == MCR_RTS)
			s->flow = true;
		update_modem(s);
		break;
	case SCR:
		s->scr = byte;
		break;
	}
	receive(s);
	update_irq(s);
}

static void serial_tick(void *dev, uint64_t now)
{
	struct serial *s = dev;

	advance(s, now);
	update_irq(s);
}

static uint64_t serial_deadline(void *dev)
{
	struct serial *s = dev;
	uint64_t at = NEVER;

	if (s->ier & IER_ERBFI)
		at = s->timeout_at;
	if (listening(s) && s->queue_count && s->fifo_count < fifo_depth(s) && s->receive_at < at)
		at = s->receive_at;
	if (listening(s) && eof_waiting(s)) {
		uint64_t eof = s->eof_at > s->receive_at ? s->eof_at : s->receive_at;

		if (eof < at)
			at = eof;
	}
	return at;
}

/* PC16550D table III. Divisor and SCR are undefined after reset; 9,600 baud is as good as any. */
static void serial_reset(void *dev)
{
	struct serial *s = dev;

	fifo_reset(s);
	s->ier = s->fcr = s->lcr = s->mcr = s->scr = 0;
	s->divisor = 12;
	s->overrun = s->thre_pending = s->flow = false;
	s->msr = MSR_DCD | MSR_DSR | MSR_CTS;
	update_irq(s);
}

static const struct field char_rows[] = {
	FIELD(serial_char, byte),
	FLAG(serial_char, queued),
	{ 0 },
};

static const char *check(const void *dev)
{
	const struct serial *s = dev;

	return s->fifo_count > fifo_depth(s) ? "more is received than there is room for" : NULL;
}

static const struct field rows[] = {
	WIRING(serial, irq),
	WIRING(serial, out),
	WIRING(serial, out_opaque),
	WIRING(serial, room),
	WIRING(serial, room_opaque),
	FIELD(serial, ier, .bits = 0x0f),
	FIELD(serial, fcr, .bits = FCR_KEPT),
	FIELD(serial, lcr),
	FIELD(serial, mcr, .bits = 0x1f),
	FIELD(serial, msr),
	FIELD(serial, scr),
	FIELD(serial, divisor),
	FLAG(serial, overrun),
	FLAG(serial, level),
	FLAG(serial, thre_pending),
	ARRAY(serial, fifo, .part = char_rows),
	FIELD(serial, fifo_head, .max = SERIAL_FIFO - 1),
	FIELD(serial, fifo_count, .max = SERIAL_FIFO),
	FIELD(serial, timeout_at),
	FLAG(serial, timeout),
	FIELD(serial, receive_at),
	ARRAY(serial, queue),
	FIELD(serial, queue_head, .max = SERIAL_QUEUE - 1),
	FIELD(serial, queue_count, .max = SERIAL_QUEUE),
	FLAG(serial, queue_full),
	FLAG(serial, flow),
	FLAG(serial, ended),
	FIELD(serial, eof_at),
	FIELD(serial, now),
	{ 0 },
};

static const struct fields fields = {
	.name = "serial",
	.version = 1,
	.size = sizeof(struct serial),
	.row = rows,
	.check = check,
};

const struct device_ops serial_ops = {
	.name = "serial",
	.width = 1,
	.read = serial_read,
	.write = serial_write,
	.tick = serial_tick,
	.deadline = serial_deadline,
	.reset = serial_reset,
	.fields = &fields,
};

void serial_init(struct serial *serial, struct wire irq,
		 void (*out)(void *opaque, const uint8_t *bytes, size_t n), void *opaque)
{
	memset(serial, 0, sizeof(*serial));
	serial->irq = irq;
	serial->out = out;
	serial->out_opaque = opaque;
	serial_reset(serial);
	serial->receive_at = 0;
}

int serial_attach(struct serial *serial, struct bus *bus, uint16_t port)
{
	return bus_add(bus, BUS_PORT, port, SERIAL_PORTS, &serial_ops, serial);
}

/* Room for a FIFO's worth is kept back, so that a reset can always return unread bytes. */
size_t serial_input_room(const struct serial *s)
{
	size_t limit = SERIAL_QUEUE - SERIAL_FIFO;

	return s->ended || s->queue_count >= limit ? 0 : limit - s->queue_count;
}

size_t serial_input(struct serial *s, uint64_t now, const uint8_t *bytes, size_t n)
{
	size_t room = serial_input_room(s);

	if (n > room) {
		n = room;
		s->queue_full = true;
	}
	for (size_t i = 0; i < n; i++)
		s->queue[(s->queue_head + s->queue_count++) % SERIAL_QUEUE] = bytes[i];
	advance(s, now);
	update_irq(s);
	return n;
}

void serial_on_room(struct serial *s, void (*room)(void *opaque), void *opaque)
{
	s->room = room;
	s->room_opaque = opaque;
}

void serial_input_end(struct serial *s, uint64_t now)
{
	s->ended = true;
	advance(s, now);
	update_irq(s);
}
