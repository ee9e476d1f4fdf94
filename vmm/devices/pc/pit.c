/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <string.h>

#include "devices/fields.h"
#include "pit.h"

#define SECOND 1000000000ull

/* The shortest time between two calls of tick(), in PIT ticks: 100 us. */
#define MIN_PERIOD 120

#define PORT61_GATE2 0x01
#define PORT61_WRITABLE 0x0f
#define PORT61_REFRESH 0x10
#define PORT61_OUT2 0x20
#define REFRESH_TICKS 18 /* channel 1 of a PC: a refresh every 15 us */

#define STATUS_OUT 0x80
#define STATUS_NULL 0x40

/* Control word, bits 7:6 and 5:4 */
#define SELECT_READ_BACK 3
#define ACCESS_LATCH 0
#define ACCESS_LOW 1
#define ACCESS_HIGH 2
#define ACCESS_BOTH 3
#define READ_BACK_NO_COUNT 0x20
#define READ_BACK_NO_STATUS 0x10

/* The tick that began at or before now. */
static uint64_t tick_at(uint64_t now)
{
	return (unsigned __int128)now * PIT_HZ / SECOND;
}

/* The first ns of a tick. */
static uint64_t time_of(uint64_t tick)
{
	unsigned __int128 ns = ((unsigned __int128)tick * SECOND + PIT_HZ - 1) / PIT_HZ;

	return ns >= NEVER ? NEVER : ns;
}

static uint32_t modulus(const struct pit_channel *c)
{
	return c->bcd ? 10000 : 65536;
}

static uint32_t from_register(const struct pit_channel *c, uint16_t value)
{
	uint32_t n = value;

	if (c->bcd)
		n = (value >> 12) * 1000 + (value >> 8 & 15) * 100 + (value >> 4 & 15) * 10 +
		    (value & 15);
	n %= modulus(c);
	return n ? n : modulus(c);
}

static uint16_t to_register(const struct pit_channel *c, uint32_t n)
{
	n %= modulus(c);
	if (c->bcd)
		n = n / 1000 << 12 | n / 100 % 10 << 8 | n / 10 % 10 << 4 | n % 10;
	return n;
}

static bool periodic(const struct pit_channel *c)
{
	return c->mode == 2 || c->mode == 3;
}

/* How many ticks of a mode 3 period OUT is high: the longer half of an odd count. */
static uint32_t high_half(const struct pit_channel *c)
{
	return (c->count + 1) / 2;
}

static bool started(const struct pit_channel *c, uint64_t t)
{
	return c->loaded && (!c->counting || t >= c->start);
}

/* Ticks since the count was loaded. */
static uint64_t elapsed(const struct pit_channel *c, uint64_t t)
{
	if (!c->counting)
		return c->held;
	return t > c->start ? t - c->start : 0;
}

/* OUT, by the timing diagrams of 231164 "Mode Definitions". */
static bool out(const struct pit_channel *c, uint64_t t)
{
	uint64_t e = elapsed(c, t);

	if (periodic(c) && (!c->gate || !c->counting || c->count == 1))
		return true;
	if (!started(c, t))
		return c->out_before;
	switch (c->mode) {
	case 0:
	case 1:
		return e >= c->count;
	case 2:
		return e % c->count != c->count - 1;
	case 3:
		return e % c->count < high_half(c);
	default: /* 4, 5: low for the one tick at which the count is 0 */
		return e != c->count;
	}
}

/* What the guest reads as the count. */
static uint16_t count_value(const struct pit_channel *c, uint64_t t)
{
	uint64_t e = elapsed(c, t);
	uint32_t m = modulus(c);
	uint32_t phase;

	if (!c->loaded)
		return 0;
	if (!periodic(c))
		return to_register(c, c->count + m - e % m);
	phase = e % c->count;
	if (c->mode == 3) {
		/* Down by two, from the even number at or below the count, in either half. */
		if (phase >= high_half(c))
			phase -= high_half(c);
		return to_register(c, (c->count & ~1u) - 2 * phase);
	}
	return to_register(c, c->count - phase);
}

/* The first tick after t at which OUT rises, as things stand. */
static uint64_t next_rise(const struct pit_channel *c, uint64_t t)
{
	uint64_t at;

	if (!c->loaded || !c->counting)
		return NEVER;
	if (periodic(c)) {
		if (c->count == 1)
			return NEVER;
		return c->start + (elapsed(c, t) / c->count + 1) * c->count;
	}
	at = c->start + c->count + (c->mode >= 4);
	return at > t ? at : NEVER;
}

static void load(struct pit_channel *c, uint32_t count, uint64_t t)
{
	c->out_before = out(c, t);
	c->count = count;
	c->start = t + 1;
	c->held = 0;
	c->next = 0;
	c->loaded = true;
}

/* A count that waits for the end of a period (mode 2) or half period (mode 3) takes over. */
static void take_next(struct pit_channel *c, uint64_t t)
{
	bool low;

	if (!c->next || !periodic(c) || !c->counting || t < c->next_at)
		return;
	low = c->mode == 3 && !out(c, c->next_at);
	c->count = c->next;
	c->next = 0;
	/* When the low half begins, the period it belongs to began a high half before. */
	c->start = c->next_at;
	if (low && c->start >= high_half(c))
		c->start -= high_half(c);
}

static uint64_t end_of_half(const struct pit_channel *c, uint64_t t)
{
	uint64_t e = elapsed(c, t);
	uint64_t period = c->start + e / c->count * c->count;

	if (c->mode == 3 && e % c->count < high_half(c))
		return period + high_half(c);
	return period + c->count;
}

static void write_count(struct pit_channel *c, uint16_t value, uint64_t t)
{
	uint32_t count = from_register(c, value);

	switch (c->mode) {
	case 0:
	case 4:
		load(c, count, t);
		c->out_before = c->mode == 4;
		c->counting = c->gate;
		break;
	case 1:
	case 5: /* waits for a trigger */
		c->next = count;
		break;
	case 2:
	case 3:
		if (c->loaded && c->counting && t >= c->start) {
			c->next = count;
			c->next_at = end_of_half(c, t);
		} else {
			load(c, count, t);
			c->out_before = true;
			c->counting = c->gate;
		}
		break;
	}
}

static void write_byte(struct pit_channel *c, uint8_t byte, uint64_t t)
{
	if (c->access == ACCESS_BOTH && !c->write_high) {
		c->write_low = byte;
		c->write_high = true;
		if (c->mode == 0) {
			/* The first byte stops the count and OUT is low at once. */
			c->loaded = false;
			c->counting = false;
			c->out_before = false;
		}
		return;
	}
	c->write_high = false;
	if (c->access == ACCESS_BOTH)
		write_count(c, c->write_low | byte << 8, t);
	else
		write_count(c, c->access == ACCESS_HIGH ? byte << 8 : byte, t);
}

static uint8_t read_byte(struct pit_channel *c, uint64_t t)
{
	uint16_t value;
	bool high;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	value = c->latched ? c->latch : count_value(c, t);
	high = c->access == ACCESS_HIGH || (c->access == ACCESS_BOTH && c->read_high);
	if (c->access == ACCESS_BOTH)
		c->read_high = !c->read_high;
	if (c->access != ACCESS_BOTH || high)
		c->latched = false;
	return high ? value >> 8 : value;
}

static void latch_count(struct pit_channel *c, uint64_t t)
{
	if (c->latched)
		return;
	c->latched = true;
	c->latch = count_value(c, t);
}

static void latch_status(struct pit_channel *c, uint64_t t)
{
	if (c->status_latched)
		return;
	c->status_latched = true;
	c->status = c->access << 4 | c->mode << 1 | c->bcd;
	if (out(c, t))
		c->status |= STATUS_OUT;
	if (!started(c, t) || c->next)
		c->status |= STATUS_NULL;
}

static void set_gate(struct pit_channel *c, bool gate, uint64_t t)
{
	if (gate == c->gate)
		return;
	if (!gate) {
		/* Modes 1 and 5 care only about the rising edge. */
		if (c->mode != 1 && c->mode != 5) {
			c->held = elapsed(c, t);
			c->counting = false;
		}
		c->gate = false;
		return;
	}
	switch (c->mode) {
	case 0:
	case 4: /* goes on where it stopped */
		if (c->loaded && !c->write_high) {
			c->start = t - c->held;
			c->counting = true;
		}
		break;
	case 1:
	case 5: /* trigger */
		if (c->next || c->loaded) {
			uint32_t count = c->next ? c->next : c->count;

			load(c, count, t);
			c->counting = true;
		}
		break;
	case 2:
	case 3: /* trigger, too */
		if (c->loaded) {
			load(c, c->next ? c->next : c->count, t);
			c->out_before = true;
			c->counting = true;
		}
		break;
	}
	c->gate = true;
}

static void set_mode(struct pit_channel *c, uint8_t value)
{
	bool gate = c->gate;
	uint8_t mode = value >> 1 & 7;

	memset(c, 0, sizeof(*c));
	c->gate = gate;
	c->access = value >> 4 & 3;
	c->mode = mode > 5 ? mode - 4 : mode; /* bit 2 is "don't care" in modes 2 and 3 */
	c->bcd = value & 1;
	c->out_before = c->mode != 0;
}

static void write_control(struct pit *pit, uint8_t value, uint64_t t)
{
	unsigned select = value >> 6;

	if (select == SELECT_READ_BACK) {
		for (unsigned i = 0; i < 3; i++) {
			if (!(value & 2u << i))
				continue;
			if (!(value & READ_BACK_NO_COUNT))
				latch_count(&pit->channel[i], t);
			if (!(value & READ_BACK_NO_STATUS))
				latch_status(&pit->channel[i], t);
		}
	} else if ((value >> 4 & 3) == ACCESS_LATCH) {
		latch_count(&pit->channel[select], t);
	} else {
		set_mode(&pit->channel[select], value);
	}
}

static void drive(struct pit *pit, bool level)
{
	if (level == pit->out)
		return;
	pit->out = level;
	wire_set(&pit->irq, level);
}

/* Delivers at most one rising edge of channel 0 for (seen, t]. */
static void deliver_edges(struct pit *pit, uint64_t t)
{
	struct pit_channel *c = &pit->channel[0];

	if (next_rise(c, pit->seen) <= t) {
		drive(pit, false);
		drive(pit, true);
		pit->last_edge = t;
	}
	pit->seen = t;
}

/* Brings all channels to tick t and says which tick it really is: time does not go back. */
static uint64_t run_to(struct pit *pit, uint64_t now)
{
	struct pit_channel *c = &pit->channel[0];
	uint64_t t = tick_at(now);

	if (t < pit->seen)
		t = pit->seen;
	if (c->next && periodic(c) && c->counting && c->next_at > pit->seen && c->next_at <= t)
		deliver_edges(pit, c->next_at);
	for (unsigned i = 0; i < 3; i++)
		take_next(&pit->channel[i], t);
	deliver_edges(pit, t);
	drive(pit, out(c, t));
	return t;
}

static uint64_t pit_read(void *dev, uint64_t now, uint64_t offset, unsigned size)
{
	struct pit *pit = dev;
	uint64_t t = run_to(pit, now);

	return offset < 3 ? read_byte(&pit->channel[offset], t) : 0xff;
}

static void pit_write(void *dev, uint64_t now, uint64_t offset, unsigned size, uint64_t value)
{
	struct pit *pit = dev;
	uint64_t t = run_to(pit, now);

	if (offset < 3)
		write_byte(&pit->channel[offset], value, t);
	else
		write_control(pit, value, t);
	drive(pit, out(&pit->channel[0], t));
}

static uint64_t pit_port61_read(void *dev, uint64_t now, uint64_t offset, unsigned size)
{
	struct pit *pit = dev;
	uint64_t t = run_to(pit, now);
	uint8_t value = pit->port61;

	if (t / REFRESH_TICKS & 1)
		value |= PORT61_REFRESH;
	if (out(&pit->channel[2], t))
		value |= PORT61_OUT2;
	return value;
}

static void pit_port61_write(void *dev, uint64_t now, uint64_t offset, unsigned size, uint64_t value)
{
	struct pit *pit = dev;
	uint64_t t = run_to(pit, now);

	pit->port61 = value & PORT61_WRITABLE;
	set_gate(&pit->channel[2], value & PORT61_GATE2, t);
}

static void pit_tick(void *dev, uint64_t now)
{
	run_to(dev, now);
}

static uint64_t pit_deadline(void *dev)
{
	struct pit *pit = dev;
	struct pit_channel *c = &pit->channel[0];
	uint64_t at = next_rise(c, pit->seen);

	if (c->next && periodic(c) && c->counting && c->next_at < at)
		at = c->next_at;
	if (at == NEVER)
		return NEVER;
	if (at < pit->last_edge + MIN_PERIOD)
		at = pit->last_edge + MIN_PERIOD;
	return time_of(at);
}

/*
 * Counts that run down through their whole range, read as two bytes; and OUT of channel 2 in mode 0.
 * These are what operating systems poll to learn how fast their processor is.
 */
static bool runs_freely(const struct pit_channel *c)
{
	return c->loaded && c->counting && !c->next && !c->bcd && !c->write_high;
}

static void pit_forecast(void *dev, uint64_t offset, struct forecast *forecast)
{
	const struct pit *pit = dev;
	const struct pit_channel *c;

	if (offset > 2)
		return;
	c = &pit->channel[offset];
	if (!runs_freely(c) || (periodic(c) && (c->mode == 3 || c->count != 65536)) ||
	    c->access != ACCESS_BOTH || c->latched || c->status_latched || c->read_high)
		return;
	*forecast = (struct forecast){ .kind = FORECAST_COUNTER,
				       .size = 1,
				       .hz = PIT_HZ,
				       .from = c->start,
				       .base = c->start + c->count,
				       .mask = 0xffff,
				       .down = true,
				       .halves = true };
}

static void pit_port61_forecast(void *dev, uint64_t offset, struct forecast *forecast)
{
	const struct pit *pit = dev;
	const struct pit_channel *c = &pit->channel[2];

	if (!runs_freely(c) || c->mode != 0)
		return;
	*forecast = (struct forecast){ .kind = FORECAST_STEP,
				       .size = 1,
				       .hz = PIT_HZ,
				       .from = c->start,
				       .at = c->start + c->count,
				       .before = pit->port61,
				       .after = pit->port61 | PORT61_OUT2,
				       .flip = PORT61_REFRESH,
				       .flip_ticks = REFRESH_TICKS };
}

/* The chip's state is undefined after power-on. Here: silent, mode 0 without a count, OUT low. */
static void pit_reset(void *dev)
{
	struct pit *pit = dev;

	for (unsigned i = 0; i < 3; i++) {
		pit->channel[i].gate = i < 2;
		set_mode(&pit->channel[i], ACCESS_BOTH << 4);
	}
	pit->port61 = 0;
	drive(pit, false);
}

/* Later ticks than any that the end of time has. Sums of such numbers do not wrap. */
#define TICKS_MAX (1ull << 55)

static const struct field channel_rows[] = {
	FIELD(pit_channel, mode, .max = 5),
	FIELD(pit_channel, access, .max = ACCESS_BOTH),
	FLAG(pit_channel, bcd),
	FLAG(pit_channel, gate),
	FLAG(pit_channel, loaded),
	FLAG(pit_channel, counting),
	FLAG(pit_channel, out_before),
	FIELD(pit_channel, count, .max = 65536),
	FIELD(pit_channel, start, .max = TICKS_MAX),
	FIELD(pit_channel, held, .max = TICKS_MAX),
	FIELD(pit_channel, next, .max = 65536),
	FIELD(pit_channel, next_at, .max = TICKS_MAX),
	FLAG(pit_channel, write_high),
	FLAG(pit_channel, read_high),
	FIELD(pit_channel, write_low),
	FLAG(pit_channel, latched),
	FLAG(pit_channel, status_latched),
	FIELD(pit_channel, latch),
	FIELD(pit_channel, status),
	{ 0 },
};

static const char *check(const void *dev)
{
	const struct pit *pit = dev;

	for (unsigned i = 0; i < 3; i++) {
		const struct pit_channel *c = &pit->channel[i];

		if (c->access < ACCESS_LOW)
			return "a channel has no way to its count";
		if (c->loaded && !c->count)
			return "a channel counts down from nothing";
		if (c->held > pit->seen)
			return "a channel has counted for longer than there was time";
	}
	return NULL;
}

static const struct field rows[] = {
	WIRING(pit, irq),
	ARRAY(pit, channel, .part = channel_rows),
	FIELD(pit, port61, .bits = PORT61_WRITABLE),
	FLAG(pit, out),
	FIELD(pit, seen, .max = TICKS_MAX),
	FIELD(pit, last_edge, .max = TICKS_MAX),
	{ 0 },
};

static const struct fields fields = {
	.name = "pit",
	.version = 1,
	.size = sizeof(struct pit),
	.row = rows,
	.check = check,
};

const struct device_ops pit_ops = {
	.name = "pit",
	.width = 1,
	.read = pit_read,
	.write = pit_write,
	.tick = pit_tick,
	.deadline = pit_deadline,
	.reset = pit_reset,
	.forecast = pit_forecast,
	.fields = &fields,
};

const struct device_ops pit_port61_ops = {
	.name = "port61",
	.width = 1,
	.read = pit_port61_read,
	.write = pit_port61_write,
	.forecast = pit_port61_forecast,
};

void pit_init(struct pit *pit, struct wire irq0)
{
	memset(pit, 0, sizeof(*pit));
	pit->irq = irq0;
	pit_reset(pit);
}

int pit_attach(struct pit *pit, struct bus *bus)
{
	int err = bus_add(bus, BUS_PORT, 0x40, 4, &pit_ops, pit);

	if (!err)
		err = bus_add(bus, BUS_PORT, 0x61, 1, &pit_port61_ops, pit);
	return err;
}

uint16_t pit_count(const struct pit *pit, unsigned channel, uint64_t now, uint64_t *moment)
{
	*moment = time_of(tick_at(now));
	return count_value(&pit->channel[channel], tick_at(now));
}
