/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The guest's time in the user's hands. The kernel part changes the clock; here is what lies beside it:
 * the date, devices when the TSC goes back, and the time that a pause took and that is to be made up.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "internal.h"

#define SECOND 1000000000ll
/* Time that a pause took is made up at this many times the guest's rate: an hour in a minute. */
#define CATCH_UP 60u
/* Less than this is made up at once: no watchdog and no timer of a guest is as short. */
#define LEAP_MAX SECOND

static int change(struct machine *machine, uint32_t verb, uint32_t num, uint32_t den, int64_t *ns)
{
	struct fermata_clock_change c = { .verb = verb, .num = num, .den = den, .ns = ns ? *ns : 0 };
	int result = fermata_clock_change(machine->vm, &c);

	if (ns)
		*ns = c.ns;
	/* Deadlines lie elsewhere now, and the timer thread sleeps by the old clock. */
	pthread_cond_signal(&machine->timer.wake);
	return result;
}

/* The rate is the user's again; where the clock is, it goes on. */
static int end_catch_up(struct machine *machine)
{
	int result;

	if (machine->time.catch_up == NEVER)
		return 0;
	machine->time.catch_up = NEVER;
	result = change(machine, FERMATA_CLOCK_RATE, machine->time.rate_num, machine->time.rate_den,
			NULL);
	return result ? result : change(machine, FERMATA_CLOCK_THAW, 0, 0, NULL);
}

/* The paravirtual clock's ns: those of the TSC, which go back where it does (core/pvclock.c). */
static uint64_t kvmclock_ns(const struct fermata_reading *reading)
{
	return (uint64_t)((unsigned __int128)reading->guest_tsc * reading->clock.ns_mult >> 32);
}

/* The paravirtual clock's date is the RTC's, as it is now. */
static int tell_date(struct machine *machine)
{
	struct fermata_reading now;
	uint64_t moment;
	__int128 date;
	int64_t ns;

	if (!machine->kvmclock)
		return 0;
	fermata_clock(machine->vm, &now);
	date = (__int128)rtc_date(&machine->board.rtc, now.guest_ns, &moment) * SECOND;
	date += (int64_t)(now.guest_ns - moment);
	date -= kvmclock_ns(&now);
	ns = date > INT64_MAX ? INT64_MAX : date < INT64_MIN ? INT64_MIN : (int64_t)date;
	return change(machine, FERMATA_CLOCK_DATE, 0, 0, &ns);
}

int time_start(struct machine *machine, const struct clock_spec *spec)
{
	int result = 0;

	if (spec->dated)
		rtc_set(&machine->board.rtc, fermata_now(machine->vm), spec->date);
	result = tell_date(machine);
	if (!result && spec->run_only)
		result = change(machine, FERMATA_CLOCK_RUN_ONLY_MODE, 0, 0, NULL);
	if (!result && spec->den)
		result = change(machine, FERMATA_CLOCK_RATE, spec->num, spec->den, NULL);
	if (!result && spec->frozen)
		result = change(machine, FERMATA_CLOCK_FREEZE, 0, 0, NULL);
	return result;
}

void time_tick(struct machine *machine, uint64_t now)
{
	if (machine->time.catch_up <= now)
		end_catch_up(machine);
}

void time_hold(struct machine *machine)
{
	struct fermata_reading reading;

	fermata_clock(machine->vm, &reading);
	/* What stands still loses nothing by a pause. */
	machine->time.losing = !(reading.clock.flags & FERMATA_CLOCK_FROZEN) ||
			       machine->time.catch_up != NEVER;
	machine->time.lost = 0;
	change(machine, FERMATA_CLOCK_HOLD, 0, 0, NULL);
	machine->time.held_at = host_ns();
}

void time_release(struct machine *machine)
{
	struct fermata_reading reading;

	fermata_clock(machine->vm, &reading);
	if (machine->time.catch_up == NEVER) {
		machine->time.rate_num = reading.clock.num;
		machine->time.rate_den = reading.clock.den;
	}
	if (machine->time.losing)
		machine->time.lost =
			(uint64_t)((unsigned __int128)(host_ns() - machine->time.held_at) *
				   machine->time.rate_num / machine->time.rate_den);
	change(machine, FERMATA_CLOCK_RELEASE, 0, 0, NULL);
}

/* The rate from now until the guest's clock is where it would be, and how far that is. */
static int fast(struct machine *machine, uint64_t lost)
{
	uint64_t num = machine->time.rate_num, den = machine->time.rate_den;
	int64_t way;
	int result;

	/* lost + rate * t = fast * t: with fast = k * rate they meet at lost * k / (k - 1). */
	if (num * CATCH_UP <= den * FERMATA_CLOCK_RATE_MAX && num * CATCH_UP <= UINT32_MAX) {
		num *= CATCH_UP;
		way = (int64_t)(lost / (CATCH_UP - 1) * CATCH_UP);
	} else { /* as fast as it may be */
		way = (int64_t)((unsigned __int128)lost * FERMATA_CLOCK_RATE_MAX * den /
				(FERMATA_CLOCK_RATE_MAX * den - num));
		num = FERMATA_CLOCK_RATE_MAX;
		den = 1;
	}
	result = change(machine, FERMATA_CLOCK_RATE, (uint32_t)num, (uint32_t)den, NULL);
	if (result)
		return result;
	/* A step ends exactly there, however late we look. */
	machine->time.catch_up = fermata_now(machine->vm) + (uint64_t)way;
	return change(machine, FERMATA_CLOCK_STEP, 0, 0, &way);
}

int machine_clock_catch_up(struct machine *machine)
{
	int result = 0;
	int64_t lost;

	pthread_mutex_lock(&machine->lock);
	lost = (int64_t)machine->time.lost;
	machine->time.lost = 0;
	if (machine->time.catch_up !=
	    NEVER) { /* of a pause before, and not done when this one came */
		uint64_t now = fermata_now(machine->vm);

		if (machine->time.catch_up > now)
			lost += (int64_t)((machine->time.catch_up - now) / CATCH_UP *
					  (CATCH_UP - 1));
		result = end_catch_up(machine);
	}
	if (!result && lost > LEAP_MAX &&
	    2ull * machine->time.rate_num <=
		    (uint64_t)machine->time.rate_den * FERMATA_CLOCK_RATE_MAX) {
		result = fast(machine, (uint64_t)lost);
		lost = 0;
	}
	if (!result && lost)
		result = change(machine, FERMATA_CLOCK_JUMP, 0, 0, &lost);
	pthread_mutex_unlock(&machine->lock);
	return result;
}

/* ---- the user's verbs */

int machine_clock_rate(struct machine *machine, uint32_t num, uint32_t den)
{
	int result;

	pthread_mutex_lock(&machine->lock);
	result = end_catch_up(machine);
	if (!result)
		result = change(machine, FERMATA_CLOCK_RATE, num, den, NULL);
	pthread_mutex_unlock(&machine->lock);
	return result;
}

static int simple(struct machine *machine, uint32_t verb, int64_t *ns)
{
	int result;

	pthread_mutex_lock(&machine->lock);
	result = end_catch_up(machine);
	if (!result)
		result = change(machine, verb, 0, 0, ns);
	/* The devices' time goes on; what shows a date or a count of all time goes back. */
	if (!result && verb == FERMATA_CLOCK_JUMP && *ns < 0) {
		uint64_t now = fermata_now(machine->vm);

		machine->time.gone_back += (uint64_t)-*ns;
		rtc_back(&machine->board.rtc, now, (uint64_t)-*ns);
		acpi_pm_back(&machine->board.pm, now, (uint64_t)-*ns);
		board_foretell(machine, &machine->board.pm);
	}
	pthread_mutex_unlock(&machine->lock);
	return result;
}

int machine_clock_freeze(struct machine *machine)
{
	return simple(machine, FERMATA_CLOCK_FREEZE, NULL);
}

int machine_clock_thaw(struct machine *machine)
{
	return simple(machine, FERMATA_CLOCK_THAW, NULL);
}

int machine_clock_step(struct machine *machine, int64_t ns)
{
	return simple(machine, FERMATA_CLOCK_STEP, &ns);
}

int machine_clock_jump(struct machine *machine, int64_t *ns)
{
	return simple(machine, FERMATA_CLOCK_JUMP, ns);
}

void machine_clock_set_date(struct machine *machine, int64_t seconds)
{
	pthread_mutex_lock(&machine->lock);
	rtc_set(&machine->board.rtc, fermata_now(machine->vm), seconds);
	tell_date(machine);
	pthread_cond_signal(&machine->timer.wake);
	pthread_mutex_unlock(&machine->lock);
}

/* ---- what it is now */

static void add_source(struct machine_clock *clock, const char *name, const char *unit,
		       uint64_t value, uint64_t stands_for)
{
	clock->source[clock->sources++] = (struct machine_clock_source){
		.name = name,
		.unit = unit,
		.value = value,
		.error = (int64_t)(stands_for - clock->now.guest_ns),
	};
}

void machine_clock_show(struct machine *machine, struct machine_clock *clock)
{
	const struct fermata_clock *c = &clock->now.clock;
	struct board *board = &machine->board;
	uint64_t now, moment, value;

	memset(clock, 0, sizeof(*clock));
	pthread_mutex_lock(&machine->lock);
	fermata_clock(machine->vm, &clock->now);
	clock->catching_up = machine->time.catch_up != NEVER;
	now = clock->now.guest_ns;
	add_source(clock, "TSC", "ticks", clock->now.guest_tsc,
		   c->ns_start +
			   (uint64_t)(((unsigned __int128)(clock->now.guest_tsc - c->tsc_start) *
					       c->ns_mult +
				       c->ns_fraction) >>
				      32));
	add_source(clock, "APIC timer", "bus cycles of 1 ns", now, now);
	clock->date = rtc_date(&board->rtc, now, &moment);
	add_source(clock, "RTC", "s since 1970", (uint64_t)clock->date, moment);
	value = acpi_pm_count(&board->pm, now, &moment);
	add_source(clock, "PM timer", "ticks of 3,579,545 Hz", value, moment);
	value = pit_count(&board->pit, 0, now, &moment);
	add_source(clock, "PIT channel 0", "count at 1,193,182 Hz", value, moment);
	if (machine->kvmclock)
		add_source(clock, "KVM clock", "ns", kvmclock_ns(&clock->now),
			   kvmclock_ns(&clock->now) + machine->time.gone_back);
	pthread_mutex_unlock(&machine->lock);
}
