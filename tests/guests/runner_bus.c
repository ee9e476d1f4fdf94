/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The ports and the device memory of abi.h. */
#include <string.h>

#include "runner.h"

static void print(struct machine *m, char c)
{
	if (c != '\n' && m->line_length < sizeof(m->line) - 1) {
		m->line[m->line_length++] = c;
		return;
	}
	m->line[m->line_length] = 0;
	m->line_length = 0;
	tap_line(m->name, m->line);
}

static void io_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
	struct processor *p = opaque;
	struct machine *m = p->machine;

	if (port == PORT_CALL && size == 4) { /* these take the lock themselves, or sleep */
		p->result = host_call(p, value, p->argument);
		return;
	}
	pthread_mutex_lock(&m->device_lock);
	if (clocks_write(m, port, size, value)) {
		pthread_mutex_unlock(&m->device_lock);
		return;
	}
	switch (port) {
	case PORT_PRINT:
		print(m, value);
		break;
	case PORT_EXIT:
		m->exited = true;
		m->status = value;
		p->ended = true;
		break;
	case PORT_ECHO ... PORT_ECHO + 7:
		if (port + size <= PORT_ECHO + 8)
			memcpy(m->echo + (port - PORT_ECHO), &value, size);
		break;
	case PORT_FIFO:
		for (unsigned i = 0; i < size && m->fifo_tail < FIFO_SIZE; i++)
			m->fifo[m->fifo_tail++] = value >> 8 * i;
		break;
	case PORT_ARGUMENT:
		p->argument = value;
	}
	pthread_mutex_unlock(&m->device_lock);
}

static void io_read(void *opaque, uint16_t port, unsigned size, uint32_t *value)
{
	struct processor *p = opaque;
	struct machine *m = p->machine;

	pthread_mutex_lock(&m->device_lock);
	*value = ~0u;
	if (clocks_read(m, port, size, value)) {
		pthread_mutex_unlock(&m->device_lock);
		return;
	}
	switch (port) {
	case PORT_ECHO ... PORT_ECHO + 7:
		if (port + size <= PORT_ECHO + 8)
			memcpy(value, m->echo + (port - PORT_ECHO), size);
		break;
	case PORT_FIFO:
		for (unsigned i = 0; i < size && m->fifo_head < m->fifo_tail; i++)
			((uint8_t *)value)[i] = m->fifo[m->fifo_head++];
		if (m->fifo_head == m->fifo_tail)
			m->fifo_head = m->fifo_tail = 0;
		break;
	case PORT_CALL:
		*value = p->result;
	}
	pthread_mutex_unlock(&m->device_lock);
}

static void note(struct machine *m, uint64_t gpa, unsigned size, bool write)
{
	m->mmio_count++;
	m->mmio_size = size;
	m->mmio_offset = gpa - DEVICE_BASE;
	m->mmio_write = write;
}

static bool in_device(uint64_t gpa, unsigned size)
{
	return gpa >= DEVICE_BASE && gpa + size <= DEVICE_BASE + DEVICE_SIZE;
}

static void mem_read(void *opaque, uint64_t gpa, unsigned size, uint64_t *value)
{
	struct machine *m = ((struct processor *)opaque)->machine;

	pthread_mutex_lock(&m->device_lock);
	note(m, gpa, size, false);
	*value = 0;
	if (in_device(gpa, size))
		memcpy(value, m->device + (gpa - DEVICE_BASE), size);
	pthread_mutex_unlock(&m->device_lock);
}

static void mem_write(void *opaque, uint64_t gpa, unsigned size, uint64_t value)
{
	struct machine *m = ((struct processor *)opaque)->machine;

	pthread_mutex_lock(&m->device_lock);
	if (gpa >= ROM_BASE && gpa < ROM_BASE + ROM_SIZE) {
		m->rom_writes++;
	} else {
		note(m, gpa, size, true);
		if (in_device(gpa, size))
			memcpy(m->device + (gpa - DEVICE_BASE), &value, size);
	}
	pthread_mutex_unlock(&m->device_lock);
}

struct fermata_bus machine_bus(struct processor *p)
{
	return (struct fermata_bus){ .opaque = p,
				     .io_read = io_read,
				     .io_write = io_write,
				     .mem_read = mem_read,
				     .mem_write = mem_write };
}
