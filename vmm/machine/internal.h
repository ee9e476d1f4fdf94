/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a machine consists of, and what the files of this folder call of each other. Calls go down only;
 * from the top: machine.c; vcpu.c, timer.c; wiring.c; log.c, console.c; hold.c; time.c; end.c, board.c,
 * dirty.c; news.c, load.c, cpuid.c.
 *
 * A field has a letter that says who may write it, and when:
 *   (c) machine_create(); constant afterwards
 *   (s) machine_start() and machine_wait(), and only they read it
 *   (l) whoever holds machine->lock; read under it, too
 *   (a) as (l), but it is atomic: others may look at it without the lock
 *   (o) whoever holds the struct's own lock
 */
#ifndef VMM_MACHINE_INTERNAL_H
#define VMM_MACHINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "boot/layout.h"
#include "devices/bus.h"
#include "devices/pc/acpi_pm.h"
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

struct boot_entry;

/* A vCPU and the thread that drives it. */
struct machine_vcpu {
	struct machine *machine; /* (c) */
	fermata_vcpu *vcpu;	 /* (c) */
	pthread_t thread;	 /* (s) */
	bool started;		 /* (s) */
};

/* The devices of the machine and what lies between them and the kernel part. */
struct board {
	struct bus bus; /* (l), as all devices */
	struct pic pic;
	struct ioapic ioapic;
	struct pit pit;
	struct rtc rtc;
	struct serial com1;
	struct acpi_pm pm;
	struct pci pci;
	struct i8042 i8042;
	struct debug_exit debug_exit;
	bool intr;				  /* (l) the level that LINT0 was last told */
	uint16_t foretold[FERMATA_MAX_FORECASTS]; /* (l) ports that the kernel part answers */
	unsigned foretold_count;		  /* (l) */
};

/* The thread that gives the devices their time. */
struct timer {
	pthread_t thread;    /* (s) */
	bool started;	     /* (s) */
	pthread_cond_t wake; /* with machine->lock: a deadline came closer, or it is to look around */
	uint64_t armed;	     /* (l) it sleeps until this guest ns; written by the thread alone */
	uint64_t armed_flush; /* (l) or until this host ns; likewise */
};

/* Bytes from the guest that nobody has read yet: a buffer that grows, but the guest waits beyond a limit. */
struct console {
	uint8_t *bytes;		    /* (l) */
	size_t start, length, room; /* (l) */
	uint64_t flush_at;	    /* (l) host ns when the reader must hear of them, or NEVER */
	atomic_bool full;	    /* (a) the limit is reached */
	pthread_cond_t taken;	    /* with machine->lock: output has been read */
};

/* The guest's time, as far as the kernel part does not keep it. */
struct machine_time {
	uint64_t held_at;   /* (l) host ns at which the last pause began */
	uint64_t lost;	    /* (l) guest ns that it took */
	bool losing;	    /* (l) the guest's clock would run if it were not held */
	uint64_t gone_back; /* (l) guest ns by which jumps have taken the TSC back */
	uint64_t catch_up; /* (l) guest ns at which the clock runs as the user wants again, or NEVER */
	uint32_t rate_num, rate_den; /* (l) what the user wants; valid from the first pause on */
};

/* Threads of vCPUs that are held, and how many there are of each kind. */
struct hold {
	atomic_bool on;	      /* (a) they are to wait */
	atomic_bool advances; /* any thread, any time; see machine_pause_advances() */
	unsigned running;     /* (l) threads that have not ended */
	unsigned held;	      /* (l) of these, those that wait to be released */
	unsigned halted;      /* (l) vCPUs that nothing can wake */
	pthread_cond_t more; /* with machine->lock: held has grown, or running shrunk, or stopping */
	pthread_cond_t released; /* with machine->lock: no longer on, or stopping */
};

/* The rules' log; the log itself is the kernel part's. */
struct log {
	pthread_mutex_t lock; /* who reads it */
	bool stop_untold;     /* (l) of machine->lock: by machine_take_stop() */
};

/* Which pages were written to; who was asked last, and when. */
struct dirty {
	pthread_mutex_t lock;
	bool on;	   /* (o) */
	uint64_t asked_at; /* (o) host ns */
};

/* How those outside hear that something happened. */
struct news {
	int event_fd;		    /* (c) */
	bool raised;		    /* (l) event_fd is readable */
	machine_listener *listener; /* (l) */
	void *opaque;		    /* (l) the listener's */
};

struct machine {
	fermata_vm *vm;	   /* (c) */
	uint8_t *ram;	   /* (c) */
	uint64_t ram_size; /* (c) */
	bool kvmclock;	   /* (c) */
	unsigned vcpus;	   /* (c) */
	struct machine_vcpu vcpu[FERMATA_MAX_VCPUS];

	pthread_mutex_t lock;	/* the one around all calls into devices */
	atomic_bool stopping;	/* (a) the machine has ended; never taken back */
	struct machine_end end; /* (l) its report is malloced */

	struct board board;
	struct timer timer;
	struct console console;
	struct machine_time time;
	struct hold hold;
	struct log log;
	struct dirty dirty;
	struct news news;
};

/* CLOCK_MONOTONIC */
static inline uint64_t host_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* load.c: kernel, initrd and tables into the guest's memory. 0, or -1 with a line in error[]. */
int load_guest(const struct machine_config *config, uint8_t *ram, bool gigabyte_pages,
	       struct boot_entry *entry, char *error, size_t error_size);

/* news.c; under lock */
void news_raise(struct machine *machine); /* event_fd becomes readable */
void news_tell(struct machine *machine, enum machine_news news);

/* end.c; under lock */
/* The first end counts. report: malloced or NULL, taken over. */
void machine_finish(struct machine *machine, enum machine_end_kind kind, uint32_t value,
		    const char *why, char *report);
/* All threads of the machine look at `stopping` and hold.on anew, wherever they are. */
void machine_wake_threads(struct machine *machine);

/* board.c */
/* Lock the machine and get its time; tell the timer thread of a nearer deadline and unlock. */
uint64_t board_enter(struct machine *machine);
void board_leave(struct machine *machine);
/* What the kernel part foretells of this device, or of all (NULL), is said anew; under lock. */
void board_foretell(struct machine *machine, const void *dev);

/* time.c; under lock */
/* Before the guest starts. 0 or negative errno with fermata_error(). */
int time_start(struct machine *machine, const struct clock_spec *spec);
void time_hold(struct machine *machine); /* the vCPUs are being held */
void time_release(struct machine *machine);
void time_tick(struct machine *machine, uint64_t now); /* not before catch_up, guest ns */

/* hold.c */
void hold_now(struct machine *machine);		  /* machine_pause() without waiting; under lock */
void hold_wait_released(struct machine *machine); /* a vCPU's thread, once it sees hold.on */
void hold_vcpu_gone(struct machine *machine);	  /* its last call */

/* console.c */
void console_out(void *machine, const uint8_t *bytes, size_t n); /* under lock */
void console_room(void *machine);				 /* under lock */
void console_throttle(struct machine *machine);			 /* a vCPU's thread, without lock */

/* log.c: a vCPU's thread, without lock */
void log_stopped_by_rule(struct machine_vcpu *v, const struct fermata_exit_stop *stop);

/* wiring.c: before anything runs. 0, or -1 with a line in error[]. */
int board_init(struct machine *machine, const struct machine_config *config, char *error,
	       size_t error_size);

/* timer.c, vcpu.c: the threads; argument: struct machine, struct machine_vcpu */
void *timer_thread(void *machine);
void *vcpu_thread(void *vcpu);

#endif
