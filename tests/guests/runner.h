/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The runner's parts: runner.c drives guests and says what became of them, the others are the machine. */
#ifndef GUESTS_RUNNER_H
#define GUESTS_RUNNER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <fermata.h>
#include "abi.h"

#define MAX_VCPUS 4
#define FIFO_SIZE 65536

extern uint32_t vm_flags; /* FERMATA_VM_*: of every machine */

struct machine {
	const char *name;
	const struct guest_header *header;
	uint32_t run;
	fermata_vm *vm;
	uint8_t *ram, *rom, *high, *extra;

	struct processor {
		struct machine *machine;
		fermata_vcpu *vcpu;
		pthread_t thread;
		_Atomic pid_t tid;
		bool started;
		bool ended;	 /* the guest's doing, or its death */
		uint32_t reason; /* FERMATA_EXIT_* it died of, 0: PORT_EXIT */
		char *why;	 /* an error that is no exit */
		char *report;
		uint32_t argument, result; /* PORT_CALL */
	} processor[MAX_VCPUS];

	pthread_mutex_t lock;
	pthread_cond_t changed;
	atomic_bool stop;
	bool finished; /* under lock: one processor ended the run */
	bool exited;
	uint32_t status; /* written to PORT_EXIT */

	/* the device side; the guest's processors take turns through device_lock */
	pthread_mutex_t device_lock;
	uint8_t device[DEVICE_SIZE];
	uint8_t echo[8];
	uint8_t fifo[FIFO_SIZE];
	size_t fifo_head, fifo_tail;
	uint32_t mmio_count, mmio_size, mmio_offset, mmio_write, rom_writes;
	uint32_t eoi_count, eoi_vector;
	uint32_t stops, stop_event, stop_number;
	char line[300];
	size_t line_length;

	pthread_t churn, migrate, delayed;
	bool churn_started, migrate_started, delayed_started;
	atomic_bool churning;
	uint32_t delayed_call, delayed_vector;

	uint64_t dirty[RAM_SIZE / 4096 / 64]; /* CALL_DIRTY's last answer */
	uint8_t *copy;			      /* of EXTRA */
	pthread_t copier;
	bool copier_started;
	atomic_bool copying;
	uint32_t copied;

	pthread_t pressure;
	bool pressure_started;
	atomic_bool pressing;

	struct clocks *clocks;
	pthread_t storm;
	bool storm_started;
	_Atomic uint32_t storm_left;
	int32_t span;
};

/* runner.c */
void tap_line(const char *name, const char *line);

/* runner_machine.c. On failure false, fermata_error() says why. */
bool machine_make(struct machine *m, const uint8_t *image, size_t size);
void machine_free(struct machine *m);

/* runner_bus.c */
struct fermata_bus machine_bus(struct processor *p);

/* runner_clock.c: a PC's clocks, under device_lock; false: not one of their ports. And CALL_CLOCK, ... */
bool clocks_make(struct machine *m);
void clocks_free(struct machine *m);
bool clocks_read(struct machine *m, uint16_t port, unsigned size, uint32_t *value);
bool clocks_write(struct machine *m, uint16_t port, unsigned size, uint32_t value);
uint32_t clocks_call(struct machine *m, uint32_t call, uint32_t argument);
void clocks_stop(struct machine *m);

/* runner_dirty.c: CALL_LOG_DIRTY to CALL_COPIED */
uint32_t dirty_call(struct machine *m, uint32_t call, uint32_t argument);
void dirty_stop(struct machine *m);

/* runner_pressure.c: CALL_SHADOW_TABLES to CALL_PRESSURE */
uint32_t pressure_call(struct machine *m, uint32_t call, uint32_t argument);
void pressure_stop(struct machine *m);

/* runner_host.c: what the host does to a machine's memory and threads, and its timers */
uint32_t host_call(struct processor *p, uint32_t call, uint32_t argument);
/* CALL_TOLD waits for SIGUSR1 from here on. */
void host_expect_signal(void);
bool host_migrate_start(struct machine *m);
void host_stop(struct machine *m);

#endif
