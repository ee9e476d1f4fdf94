/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A whole guest machine: RAM, vCPUs with a thread each, devices, and a serial console. Nothing is
 * global; a process may have several. Every function may be called from any thread.
 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock_spec.h"
#include "fermata.h"

struct machine;

struct machine_config {
	const char *kernel;	     /* path of a bzImage */
	const char *initrd;	     /* path, or NULL */
	const char *cmdline;	     /* of the kernel; NULL: empty */
	uint64_t memory;	     /* bytes, multiple of 4096 */
	unsigned vcpus;		     /* 1 .. FERMATA_MAX_VCPUS */
	bool no_tags;		     /* FERMATA_VM_NO_TAGS */
	struct clock_spec clock;     /* how it starts; zeroes: at rate 1, with the host's date */
	bool kvmclock;		     /* the guest is offered KVM's paravirtual clock */
	bool debug_exit;	     /* port F4h ends the machine, see MACHINE_DEBUG_EXIT */
	struct fermata_vm_config vm; /* paging and tags */
};

enum machine_end_kind {
	MACHINE_RUNNING,
	MACHINE_POWEROFF,
	MACHINE_RESET,	    /* the guest asked for a reset */
	MACHINE_DEBUG_EXIT, /* value: what the guest wrote to the port */
	MACHINE_DIED,	    /* why and report say how */
	MACHINE_STOPPED,    /* machine_stop() */
};

struct machine_end {
	enum machine_end_kind kind;
	uint32_t value;
	char why[256];	    /* MACHINE_DIED: one line without newline */
	const char *report; /* MACHINE_DIED: of the vCPU, several lines, or NULL; the machine's own */
	struct fermata_exit_stop stop; /* MACHINE_NEWS_STOPPED: by which rule, */
	unsigned stop_vcpu;	       /* on which vCPU, */
	uint64_t stop_rip;	       /* and where */
};

/*
 * Builds the machine and loads the guest. NULL: error[] holds one line without newline: what, why,
 * what to do. Nothing runs before machine_start().
 */
struct machine *machine_create(const struct machine_config *config, char *error, size_t error_size);
/* The same checks of kernel, initrd and command line against the memory, without any hypervisor. */
int machine_check(const struct machine_config *config, char *error, size_t error_size);
/* 0, or -1 with a line in error[]. Threads inherit the caller's blocked signals. */
int machine_start(struct machine *machine, char *error, size_t error_size);
/*
 * Holds the vCPUs: when it returns, none is in the guest and no device ticks, until machine_resume().
 * What is typed meanwhile waits in the console. Both do nothing when it is so already. 0; -ESRCH when
 * the machine has ended.
 */
int machine_pause(struct machine *machine);
int machine_resume(struct machine *machine);
bool machine_paused(struct machine *machine);
/* What is kept for the one who resumes it: that the pause's time is to be made up. Over with the resume. */
void machine_pause_advances(struct machine *machine, bool advances);
bool machine_pause_advancing(struct machine *machine);
/*
 * The guest's time stands still over a pause. This makes up what the last one took, after
 * machine_resume(): at once when it was less than a second, else at 60 times the guest's rate, which no
 * watchdog in the guest minds. Other changes of the clock end that where it is.
 */
int machine_clock_catch_up(struct machine *machine);

/*
 * ---- the guest's clock: what each does stands at struct fermata_clock_change. 0, or negative errno with
 * fermata_error(). Any of them may be called while the machine is paused, and counts from its end on.
 */
int machine_clock_rate(struct machine *machine, uint32_t num, uint32_t den);
int machine_clock_freeze(struct machine *machine);
int machine_clock_thaw(struct machine *machine);
int machine_clock_step(struct machine *machine, int64_t ns);
/* *ns: how far; then, how far it really went: not before the guest's TSC was 0. */
int machine_clock_jump(struct machine *machine, int64_t *ns);
/* The date that the RTC shows from now on, s since 1970; nothing else changes, and no alarm fires. */
void machine_clock_set_date(struct machine *machine, int64_t seconds);

#define MACHINE_CLOCK_SOURCES 8

struct machine_clock_source {
	const char *name, *unit;
	uint64_t value; /* its reading */
	int64_t error; /* ns from the clock to the moment that the reading stands for: it counts coarsely */
};

struct machine_clock {
	struct fermata_reading now;
	bool catching_up; /* machine_clock_catch_up() has not done yet */
	int64_t date;	  /* what the RTC shows, s since 1970 */
	unsigned sources;
	struct machine_clock_source source[MACHINE_CLOCK_SOURCES];
};
void machine_clock_show(struct machine *machine, struct machine_clock *clock);

/* Asks the vCPUs to leave the guest; MACHINE_STOPPED unless the machine has ended by itself. */
void machine_stop(struct machine *machine);
/* After machine_stop() or the machine's end: returns when its threads have ended. One thread calls it. */
void machine_wait(struct machine *machine);
/* Stops it, waits for its threads, and frees everything. */
void machine_destroy(struct machine *machine);

/*
 * Readable (poll for POLLIN) when the console has output, when it has room for input again, or when
 * the machine has ended. Then call machine_event_take(), and after it look for each of the three:
 * in this order nothing is missed.
 */
int machine_event_fd(struct machine *machine);
void machine_event_take(struct machine *machine);
/* False while it runs; then *end is filled in. It may still have output to read. */
bool machine_ended(struct machine *machine, struct machine_end *end);

/* What the guest wrote to its serial console; 0 when there is nothing now. A guest that writes
 * faster than this is called waits. */
size_t machine_console_read(struct machine *machine, void *bytes, size_t n);
/* Types into the console; returns how many bytes were taken. */
size_t machine_console_write(struct machine *machine, const void *bytes, size_t n);
/* The console's input ends after what was written so far. */
void machine_console_end(struct machine *machine);

/*
 * Rules and their log: fermata_rule_add() and the like, with the same results, for all vCPUs. Also
 * before the machine is started, and while it runs.
 */
int machine_rule_add(struct machine *machine, struct fermata_rule *rule);
int machine_rule_remove(struct machine *machine, unsigned id);
int machine_rule_get(struct machine *machine, struct fermata_rule *rule);
unsigned machine_log_read(struct machine *machine, struct fermata_record *out, unsigned room,
			  uint64_t *dropped);
bool machine_log_empty(struct machine *machine);
/* True once after a rule has stopped the guest: end->stop and the like say which and where. */
bool machine_take_stop(struct machine *machine, struct machine_end *end);

/*
 * Which of the guest's RAM is written to, by itself and for it: fermata_memory_log_dirty(). 0, or negative
 * errno with fermata_error().
 */
int machine_log_dirty(struct machine *machine, bool on);

#define MACHINE_DIRTY_RANGES 256
struct machine_dirty {
	uint64_t pages; /* of 4096 bytes, written to */
	uint64_t ns;	/* since the last answer, or since the log is on */
	unsigned ranges;
	struct machine_dirty_range {
		uint64_t gpa, pages;
	} range[MACHINE_DIRTY_RANGES]; /* the lowest addresses first */
	uint64_t left_out;	       /* ranges that are not among these */
};
/* What was written to since the last answer. 0; -ENOENT: there is no log; other negative errno. */
int machine_dirty(struct machine *machine, struct machine_dirty *dirty);

/* STOPPED: by a rule; PAUSED follows. */
enum machine_news {
	MACHINE_NEWS_PAUSED,
	MACHINE_NEWS_RESUMED,
	MACHINE_NEWS_ENDED,
	MACHINE_NEWS_STOPPED,
};

/*
 * Told by whichever thread it happens in, with the machine locked: the listener must not wait, and not
 * call the machine. end: how, when it is MACHINE_NEWS_ENDED or _STOPPED. One listener; NULL: nobody.
 */
typedef void machine_listener(void *opaque, enum machine_news news, const struct machine_end *end);
void machine_listen(struct machine *machine, machine_listener *listener, void *opaque);

/*
 * Of all vCPUs together, also while they run: each number is whole, but they are not of one moment.
 * Final after machine_wait(). Negative errno when the kernel has none.
 */
int machine_stats(struct machine *machine, struct fermata_stats *stats);

#endif
