/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The console between the guest's UART and the program that shows it.
 *
 * A guest's write to its UART must not wait for a terminal while the machine is locked, and waking
 * the reader for every byte would cost more than the exit itself. So bytes collect here; the reader
 * hears of them at the end of a line, or a moment after the first one.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* A guest that is not read waits when so much is here. */
#define OUTPUT_LIMIT (64u << 10)
#define FLUSH_BYTES 512
#define FLUSH_DELAY_NS 2000000u

static bool make_room(struct console *console, size_t n)
{
	size_t room = console->room ? console->room : 4096;
	uint8_t *bytes;

	if (console->room - console->start - console->length >= n)
		return true;
	if (console->start) {
		memmove(console->bytes, console->bytes + console->start, console->length);
		console->start = 0;
	}
	while (room - console->length < n)
		room *= 2;
	if (room == console->room)
		return true;
	bytes = realloc(console->bytes, room);
	if (!bytes)
		return false;
	console->bytes = bytes;
	console->room = room;
	return true;
}

void console_out(void *opaque, const uint8_t *bytes, size_t n)
{
	struct machine *machine = opaque;
	struct console *console = &machine->console;

	if (machine->stopping)
		return;
	if (!make_room(console, n)) {
		machine_finish(machine, MACHINE_DIED, 0,
			       "no memory left on the host for the console's output", NULL);
		return;
	}
	memcpy(console->bytes + console->start + console->length, bytes, n);
	console->length += n;
	console->full = console->length >= OUTPUT_LIMIT;
	if (console->length >= FLUSH_BYTES || memchr(bytes, '\n', n)) {
		console->flush_at = NEVER;
		news_raise(machine);
	} else if (console->flush_at == NEVER && !machine->news.raised) {
		console->flush_at = host_ns() + FLUSH_DELAY_NS;
	}
}

void console_room(void *opaque)
{
	news_raise(opaque);
}

void console_throttle(struct machine *machine)
{
	if (!atomic_load_explicit(&machine->console.full, memory_order_relaxed))
		return;
	pthread_mutex_lock(&machine->lock);
	while (machine->console.full && !machine->stopping && !machine->hold.on)
		pthread_cond_wait(&machine->console.taken, &machine->lock);
	pthread_mutex_unlock(&machine->lock);
}

size_t machine_console_read(struct machine *machine, void *bytes, size_t n)
{
	struct console *console = &machine->console;

	pthread_mutex_lock(&machine->lock);
	if (n > console->length)
		n = console->length;
	if (n)
		memcpy(bytes, console->bytes + console->start, n);
	console->start += n;
	console->length -= n;
	console->full = console->length >= OUTPUT_LIMIT;
	if (!console->length) {
		console->start = 0;
		console->flush_at = NEVER;
	}
	pthread_cond_broadcast(&machine->console.taken);
	pthread_mutex_unlock(&machine->lock);
	return n;
}

size_t machine_console_write(struct machine *machine, const void *bytes, size_t n)
{
	uint64_t now = board_enter(machine);

	n = serial_input(&machine->board.com1, now, bytes, n);
	bus_touch(&machine->board.bus, &machine->board.com1);
	board_leave(machine);
	return n;
}

void machine_console_end(struct machine *machine)
{
	uint64_t now = board_enter(machine);

	serial_input_end(&machine->board.com1, now);
	bus_touch(&machine->board.bus, &machine->board.com1);
	board_leave(machine);
}
