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
#include <unistd.h>

#include "internal.h"

#define FLUSH_BYTES 512
#define FLUSH_DELAY_NS 2000000u

void console_raise_event(struct machine *machine)
{
	uint64_t one = 1;

	if (machine->event_raised)
		return;
	/* An eventfd takes 2^64 - 2 of these before a write could fail. */
	if (write(machine->event_fd, &one, sizeof(one)) == sizeof(one))
		machine->event_raised = true;
}

static bool make_room(struct output *output, size_t n)
{
	size_t room = output->room ? output->room : 4096;
	uint8_t *bytes;

	if (output->room - output->start - output->length >= n)
		return true;
	if (output->start) {
		memmove(output->bytes, output->bytes + output->start, output->length);
		output->start = 0;
	}
	while (room - output->length < n)
		room *= 2;
	if (room == output->room)
		return true;
	bytes = realloc(output->bytes, room);
	if (!bytes)
		return false;
	output->bytes = bytes;
	output->room = room;
	return true;
}

void console_out(void *opaque, const uint8_t *bytes, size_t n)
{
	struct machine *machine = opaque;
	struct output *output = &machine->output;

	if (machine->stopping)
		return;
	if (!make_room(output, n)) {
		machine_finish(machine, MACHINE_DIED, 0,
			       "no memory left on the host for the console's output", NULL);
		return;
	}
	memcpy(output->bytes + output->start + output->length, bytes, n);
	output->length += n;
	output->full = output->length >= OUTPUT_LIMIT;
	if (output->length >= FLUSH_BYTES || memchr(bytes, '\n', n)) {
		output->flush_at = NEVER;
		console_raise_event(machine);
	} else if (output->flush_at == NEVER && !machine->event_raised) {
		output->flush_at = host_ns() + FLUSH_DELAY_NS;
	}
}

void console_room(void *opaque)
{
	console_raise_event(opaque);
}

void console_throttle(struct machine *machine)
{
	if (!atomic_load_explicit(&machine->output.full, memory_order_relaxed))
		return;
	pthread_mutex_lock(&machine->lock);
	while (machine->output.full && !machine->stopping && !machine->hold)
		pthread_cond_wait(&machine->output_read, &machine->lock);
	pthread_mutex_unlock(&machine->lock);
}

int machine_event_fd(struct machine *machine)
{
	return machine->event_fd;
}

void machine_event_take(struct machine *machine)
{
	uint64_t count;

	pthread_mutex_lock(&machine->lock);
	if (machine->event_raised && read(machine->event_fd, &count, sizeof(count)) > 0)
		machine->event_raised = false;
	pthread_mutex_unlock(&machine->lock);
}

size_t machine_console_read(struct machine *machine, void *bytes, size_t n)
{
	struct output *output = &machine->output;

	pthread_mutex_lock(&machine->lock);
	if (n > output->length)
		n = output->length;
	if (n)
		memcpy(bytes, output->bytes + output->start, n);
	output->start += n;
	output->length -= n;
	output->full = output->length >= OUTPUT_LIMIT;
	if (!output->length) {
		output->start = 0;
		output->flush_at = NEVER;
	}
	pthread_cond_broadcast(&machine->output_read);
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
