/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the files of this folder share. */
#ifndef VMM_MACHINE_INTERNAL_H
#define VMM_MACHINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "boot/layout.h"
#include "devices/pc/acpi_pm.h"
#include "devices/bus.h"
#include "devices/pc/debug_exit.h"
#include "devices/pc/i8042.h"
#include "devices/pc/ioapic.h"
#include "devices/pc/pci.h"
#include "devices/pc/pic.h"
#include "devices/pc/pit.h"
#include "devices/pc/rtc.h"
#include "devices/pc/serial.h"
#include "fermata.h"
#include "machine.h"

/* The devices of the machine and the wires between them. */
struct board {
	struct bus bus;
	struct pic pic;
	struct ioapic ioapic;
	struct pit pit;
	struct rtc rtc;
	struct serial com1;
	struct acpi_pm pm;
	struct pci pci;
	struct i8042 i8042;
	struct debug_exit debug_exit;
	bool intr; /* the level that LINT0 was last told */
	/* Ports that the kernel part answers by itself now. */
	uint16_t foretold[FERMATA_MAX_FORECASTS];
	unsigned foretold_count;
};

/* Bytes from the guest that nobody has read yet; grows, but the guest waits beyond OUTPUT_LIMIT. */
struct output {
	uint8_t *bytes;
	size_t start, length, room;
	uint64_t flush_at; /* host ns when the reader must hear of them, or NEVER */
	atomic_bool full;  /* OUTPUT_LIMIT is reached; written under lock */
};
#define OUTPUT_LIMIT (64u << 10)

struct machine_vcpu {
	struct machine *machine;
	fermata_vcpu *vcpu;
	pthread_t thread;
	bool started;
};

struct machine {
	/* constant after machine_create() */
	char name[80];
	fermata_vm *vm;
	uint8_t *ram;
	uint64_t ram_size;
	unsigned vcpus;
	bool kvmclock;
	int event_fd;
	struct machine_vcpu vcpu[FERMATA_MAX_VCPUS];
	pthread_t timer;
	bool timer_started;

	atomic_bool stopping;	    /* set once, under lock */
	pthread_mutex_t log_lock;   /* who reads the log */
	pthread_mutex_t dirty_lock; /* who asks about dirty pages; the next two: */
	bool logs_dirty;
	uint64_t asked_at;    /* host ns */
	atomic_bool hold;     /* written under lock: the vCPUs' threads are to wait */
	atomic_bool advances; /* of a pause; see machine_pause_advances() */

	/* The one lock around all device calls; everything below is under it. */
	pthread_mutex_t lock;
	struct board board;
	struct output output;
	bool event_raised;
	bool stop_untold;	    /* by machine_take_stop() */
	pthread_cond_t output_read; /* output has been taken */
	pthread_cond_t timer_wake;  /* a deadline came closer, or stopping */
	uint64_t armed;		    /* guest ns the timer thread sleeps until */
	uint64_t armed_flush;	    /* host ns, likewise */
	uint64_t held_at, lost;	    /* host ns of the last pause; guest ns that it took */
	bool losing;
	uint64_t gone_back; /* guest ns by which jumps have taken the TSC back */
	uint64_t catch_up;  /* guest ns at which the clock runs as the user wants again; or NEVER */
	uint32_t rate_num, rate_den; /* ... which is this */
	unsigned halted;	     /* vCPUs that nothing can wake */
	unsigned running;	     /* vCPU threads that have not ended */
	unsigned held;		     /* of these, those that wait to be released */
	pthread_cond_t held_more;    /* held has grown, or running shrunk, or stopping */
	pthread_cond_t released;     /* hold is over, or stopping */
	machine_listener *listener;
	void *listener_opaque;
	struct machine_end end;
	char *report;
};

uint64_t host_ns(void); /* CLOCK_MONOTONIC */

/* machine.c: the first end counts; under lock. report: malloced or NULL, taken over. */
void machine_finish(struct machine *machine, enum machine_end_kind kind, uint32_t value,
		    const char *why, char *report);

/* hold.c; the first three under lock */
void machine_hold(struct machine *machine); /* as machine_pause(), from any thread, without waiting */
void machine_kick_all(struct machine *machine);
void machine_tell(struct machine *machine, enum machine_news news);
void machine_wait_released(struct machine *machine); /* a vCPU's thread, once it sees `hold` */
void machine_vcpu_gone(struct machine *machine);     /* its last call */

/* board.c */
int board_init(struct machine *machine, const struct machine_config *config, char *error,
	       size_t error_size);
/* Lock the machine and get its time; tell the timer thread of a nearer deadline and unlock. */
uint64_t board_enter(struct machine *machine);
void board_leave(struct machine *machine);
/* What the kernel part foretells of this device is said anew; under lock. */
void board_foretell(struct machine *machine, const void *dev);

/* time.c; under lock */
/* Before the guest starts. 0 or negative errno with fermata_error(). */
int clock_start(struct machine *machine, const struct clock_spec *spec);
void clock_hold(struct machine *machine); /* the vCPUs are being held */
void clock_release(struct machine *machine);
void clock_tick(struct machine *machine, uint64_t now); /* not before catch_up, guest ns */

/* log.c */
void machine_stopped_by_rule(struct machine_vcpu *v, const struct fermata_exit_stop *stop);

/* console.c */
void console_out(void *machine, const uint8_t *bytes, size_t n); /* under lock */
void console_raise_event(struct machine *machine);		 /* under lock */
void console_room(void *machine);				 /* under lock */
void console_throttle(struct machine *machine);			 /* without lock */

/* timer.c, vcpu.c: the threads; argument: struct machine, struct machine_vcpu */
void *machine_timer_thread(void *machine);
void *machine_vcpu_thread(void *vcpu);

/* cpuid.c: how `vcpus` processors describe themselves. */
void machine_cpuid_topology(struct fermata_cpuid *cpuid, unsigned vcpus);
bool machine_cpuid_has_1g_pages(const struct fermata_cpuid *cpuid);

#endif
