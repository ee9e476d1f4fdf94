/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <string.h>

#include "devices/fields.h"
#include "rtc.h"

#define SECOND 1000000000ull
#define DAY 86400
#define CRYSTAL_HZ 32768

/* MC146818A, figures 7 and 12 */
enum {
	SECONDS = 0,
	SECONDS_ALARM,
	MINUTES,
	MINUTES_ALARM,
	HOURS,
	HOURS_ALARM,
	WEEKDAY,
	DAY_OF_MONTH,
	MONTH,
	YEAR,
	REG_A,
	REG_B,
	REG_C,
	REG_D,
};

#define A_UIP 0x80
#define A_RATE 0x0f
#define A_DIVIDER_RESET 0x60 /* DV = 11x holds the divider chain */
#define A_32KHZ 0x20

#define B_SET 0x80
#define B_PIE 0x40
#define B_AIE 0x20
#define B_UIE 0x10
#define B_BINARY 0x04
#define B_24H 0x02

#define C_IRQF 0x80
#define C_PF 0x40
#define C_AF 0x20
#define C_UF 0x10
#define C_SOURCES 0x70

#define D_VRT 0x80 /* RAM and time are valid: the battery is good */

#define ALARM_ANY 0xc0

#define HOUR_PM 0x80

/* tBUC + tUC with a 32 kHz crystal: how long UIP announces and covers an update, in ns. */
#define UPDATE_NS (244000 + 1984000)

/* Years 0 to 9999: what the century and year registers can say. */
#define TIME_MIN (-62167219200ll)
#define TIME_MAX 253402300799ll

struct date {
	int64_t year;
	int month, day; /* 1.. */
	int hour, minute, second;
};

static bool leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1 January of year 0 (proleptic Gregorian) to 1 January of year >= 0. */
static int64_t days_before_year(int64_t year)
{
	int64_t y = year - 1;

	return year ? year * 365 + y / 4 - y / 100 + y / 400 + 1 : 0;
}

static int days_in_month(int64_t year, int month)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && leap(year));
}

#define DAYS_TO_1970 719528

static int64_t date_to_seconds(const struct date *d)
{
	int64_t days = days_before_year(d->year) - DAYS_TO_1970 + d->day - 1;

	for (int month = 1; month < d->month; month++)
		days += days_in_month(d->year, month);
	return days * DAY + d->hour * 3600 + d->minute * 60 + d->second;
}

static int64_t clamp_time(int64_t seconds)
{
	if (seconds < TIME_MIN)
		return TIME_MIN;
	return seconds > TIME_MAX ? TIME_MAX : seconds;
}

/* seconds lies between TIME_MIN and TIME_MAX. */
static struct date seconds_to_date(int64_t seconds)
{
	int64_t since_0 = seconds - TIME_MIN;
	int64_t days = since_0 / DAY;
	int rest = since_0 % DAY;
	struct date d = { .hour = rest / 3600, .minute = rest / 60 % 60, .second = rest % 60 };

	d.year = days / 366; /* at or before the right one */
	while (days_before_year(d.year + 1) <= days)
		d.year++;
	days -= days_before_year(d.year);
	for (d.month = 1; days >= days_in_month(d.year, d.month); d.month++)
		days -= days_in_month(d.year, d.month);
	d.day = days + 1;
	return d;
}

static uint8_t encode(const struct rtc *rtc, unsigned n)
{
	return rtc->cmos[REG_B] & B_BINARY ? n : n / 10 << 4 | n % 10;
}

static unsigned decode(const struct rtc *rtc, uint8_t value)
{
	return rtc->cmos[REG_B] & B_BINARY ? value : (value >> 4) * 10 + (value & 15);
}

static uint8_t encode_hour(const struct rtc *rtc, unsigned hour)
{
	if (rtc->cmos[REG_B] & B_24H)
		return encode(rtc, hour);
	return encode(rtc, (hour + 11) % 12 + 1) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned decode_hour(const struct rtc *rtc, uint8_t value)
{
	if (rtc->cmos[REG_B] & B_24H)
		return decode(rtc, value);
	return decode(rtc, value & ~HOUR_PM) % 12 + (value & HOUR_PM ? 12 : 0);
}

static bool is_time(unsigned index)
{
	return index == SECONDS || index == MINUTES || index == HOURS ||
	       (index >= WEEKDAY && index <= YEAR) || index == RTC_CENTURY;
}

static bool divider_held(const struct rtc *rtc)
{
	return (rtc->cmos[REG_A] & A_DIVIDER_RESET) == A_DIVIDER_RESET;
}

static bool standing(const struct rtc *rtc)
{
	return (rtc->cmos[REG_B] & B_SET) || divider_held(rtc);
}

static uint64_t seconds_passed(const struct rtc *rtc, uint64_t now)
{
	return ((unsigned __int128)now + rtc->phase) / SECOND;
}

static int64_t wall_time(const struct rtc *rtc, uint64_t now)
{
	return clamp_time(rtc->base + (int64_t)seconds_passed(rtc, now));
}

/* The registers from the clock. */
static void store_time(struct rtc *rtc, int64_t seconds)
{
	struct date d = seconds_to_date(seconds);
	uint8_t *r = rtc->cmos;

	r[SECONDS] = encode(rtc, d.second);
	r[MINUTES] = encode(rtc, d.minute);
	r[HOURS] = encode_hour(rtc, d.hour);
	/* 1 January of year 0 was a Saturday; Sunday is 1. */
	r[WEEKDAY] = encode(rtc, ((seconds - TIME_MIN) / DAY + 6) % 7 + 1);
	r[DAY_OF_MONTH] = encode(rtc, d.day);
	r[MONTH] = encode(rtc, d.month);
	r[YEAR] = encode(rtc, d.year % 100);
	r[RTC_CENTURY] = encode(rtc, d.year / 100);
}

/* The clock from the registers. What is no date becomes one: the clock is the guest's affair. */
static int64_t load_time(const struct rtc *rtc)
{
	const uint8_t *r = rtc->cmos;
	unsigned month = decode(rtc, r[MONTH]), day = decode(rtc, r[DAY_OF_MONTH]);
	struct date d = {
		.year = decode(rtc, r[RTC_CENTURY]) % 100 * 100 + decode(rtc, r[YEAR]) % 100,
		.month = month < 1  ? 1 :
			 month > 12 ? 12 :
				      month,
		.day = day < 1	? 1 :
		       day > 31 ? 31 :
				  day,
		.hour = decode_hour(rtc, r[HOURS]) % 24,
		.minute = decode(rtc, r[MINUTES]) % 60,
		.second = decode(rtc, r[SECONDS]) % 60,
	};

	return clamp_time(date_to_seconds(&d));
}

static void set_wall_time(struct rtc *rtc, int64_t seconds)
{
	rtc->base = seconds - (int64_t)seconds_passed(rtc, rtc->now);
	rtc->second = seconds_passed(rtc, rtc->now);
}

/* Ticks of the 32 kHz crystal in one period, or 0. Rates 1 and 2 are those of 8 and 9. */
static unsigned period_ticks(const struct rtc *rtc)
{
	unsigned rate = rtc->cmos[REG_A] & A_RATE;

	if (!rate || divider_held(rtc))
		return 0;
	return 1u << (rate < 3 ? rate + 6 : rate - 1);
}

static uint64_t periods_passed(const struct rtc *rtc, uint64_t now)
{
	unsigned ticks = period_ticks(rtc);

	if (!ticks)
		return 0;
	return ((unsigned __int128)now + rtc->phase) * CRYSTAL_HZ / SECOND / ticks;
}

static bool alarm_matches(const struct rtc *rtc, unsigned reg, int value)
{
	uint8_t alarm = rtc->cmos[reg];

	if ((alarm & ALARM_ANY) == ALARM_ANY)
		return true;
	return (reg == HOURS_ALARM ? decode_hour(rtc, alarm) : decode(rtc, alarm)) ==
	       (unsigned)value;
}

static bool alarm_possible(const struct rtc *rtc, unsigned reg, unsigned limit)
{
	uint8_t alarm = rtc->cmos[reg];

	return (alarm & ALARM_ANY) == ALARM_ANY || decode(rtc, alarm) < limit;
}

/* Seconds from wall time t to the first alarm after it, or -1 when the registers name no time. */
static int64_t next_alarm(const struct rtc *rtc, int64_t t)
{
	int from = (t - TIME_MIN) % DAY + 1;
	int s = from;

	/* With these, the loop takes at most 60 + 60 + 24 steps, and as many on the next day. */
	if (!alarm_possible(rtc, SECONDS_ALARM, 60) || !alarm_possible(rtc, MINUTES_ALARM, 60))
		return -1;
	while (s < from + DAY) {
		int of_day = s % DAY;

		if (!alarm_matches(rtc, HOURS_ALARM, of_day / 3600))
			s += 3600 - of_day % 3600;
		else if (!alarm_matches(rtc, MINUTES_ALARM, of_day / 60 % 60))
			s += 60 - of_day % 60;
		else if (!alarm_matches(rtc, SECONDS_ALARM, of_day % 60))
			s++;
		else
			return s - from + 1;
	}
	return -1;
}

static void update_irq(struct rtc *rtc)
{
	uint8_t *c = &rtc->cmos[REG_C];
	bool level;

	*c &= C_SOURCES;
	if (*c & rtc->cmos[REG_B])
		*c |= C_IRQF;
	level = *c & C_IRQF;
	if (level == rtc->level)
		return;
	rtc->level = level;
	wire_set(&rtc->irq, level);
}

/* Sets the flags of what happened since the last look. */
static void advance(struct rtc *rtc, uint64_t now)
{
	uint64_t second, period;

	if (now < rtc->now)
		now = rtc->now;
	second = seconds_passed(rtc, now);
	period = periods_passed(rtc, now);
	if (period != rtc->period)
		rtc->cmos[REG_C] |= C_PF;
	if (second != rtc->second && !standing(rtc)) {
		int64_t alarm = next_alarm(rtc, wall_time(rtc, rtc->now));

		rtc->cmos[REG_C] |= C_UF;
		if (alarm > 0 && second - rtc->second >= (uint64_t)alarm)
			rtc->cmos[REG_C] |= C_AF;
	}
	rtc->second = second;
	rtc->period = period;
	rtc->now = now;
	update_irq(rtc);
}

static bool updating(const struct rtc *rtc)
{
	uint64_t into = ((unsigned __int128)rtc->now + rtc->phase) % SECOND;

	return !standing(rtc) && into >= SECOND - UPDATE_NS;
}

/* Changes register A or B: the clock stops at the time it shows, or goes on from what it holds. */
static void write_control(struct rtc *rtc, unsigned index, uint8_t value)
{
	bool stood = standing(rtc), held = divider_held(rtc);

	if (!stood)
		store_time(rtc, wall_time(rtc, rtc->now));
	rtc->cmos[index] = value;
	/* The first update comes half a second after the divider is released. */
	if (held && !divider_held(rtc))
		rtc->phase = (SECOND + SECOND / 2 - rtc->now % SECOND) % SECOND;
	if (stood && !standing(rtc))
		set_wall_time(rtc, load_time(rtc));
	rtc->second = seconds_passed(rtc, rtc->now);
	rtc->period = periods_passed(rtc, rtc->now);
}

static uint8_t read_cmos(struct rtc *rtc)
{
	uint8_t value;

	if (is_time(rtc->index) && !standing(rtc))
		store_time(rtc, wall_time(rtc, rtc->now));
	value = rtc->cmos[rtc->index];
	switch (rtc->index) {
	case REG_A:
		return value | (updating(rtc) ? A_UIP : 0);
	case REG_C: /* reading takes the flags and the interrupt away */
		rtc->cmos[REG_C] = 0;
		update_irq(rtc);
		return value;
	}
	return value;
}

static void write_cmos(struct rtc *rtc, uint8_t value)
{
	switch (rtc->index) {
	case REG_A:
		write_control(rtc, REG_A, value & ~A_UIP);
		break;
	case REG_B:
		/* MC146818A: a SET clears UIE. */
		if (value & ~rtc->cmos[REG_B] & B_SET)
			value &= ~B_UIE;
		write_control(rtc, REG_B, value);
		update_irq(rtc);
		break;
	case REG_C:
	case REG_D:
		break;
	default:
		if (!is_time(rtc->index) || standing(rtc)) {
			rtc->cmos[rtc->index] = value;
			break;
		}
		store_time(rtc, wall_time(rtc, rtc->now));
		rtc->cmos[rtc->index] = value;
		set_wall_time(rtc, load_time(rtc));
	}
}

static uint64_t rtc_read(void *dev, uint64_t now, uint64_t offset, unsigned size)
{
	struct rtc *rtc = dev;

	if (offset != 1)
		return 0xff;
	advance(rtc, now);
	return read_cmos(rtc);
}

static void rtc_write(void *dev, uint64_t now, uint64_t offset, unsigned size, uint64_t value)
{
	struct rtc *rtc = dev;

	advance(rtc, now);
	if (offset == 1) {
		write_cmos(rtc, value);
		return;
	}
	rtc->nmi_masked = value & 0x80;
	rtc->index = value & (RTC_CMOS_SIZE - 1);
}

static void rtc_tick(void *dev, uint64_t now)
{
	advance(dev, now);
}

/* The first ns at which (now + phase) * hz / 10^9 reaches count. */
static uint64_t time_of(const struct rtc *rtc, unsigned __int128 count, unsigned hz)
{
	unsigned __int128 at = (count * SECOND + hz - 1) / hz;

	if (at <= rtc->phase)
		return 0;
	return at - rtc->phase >= NEVER ? NEVER : at - rtc->phase;
}

/* Only flags that are clear and enabled need a call: what is set holds the wire up already. */
static uint64_t rtc_deadline(void *dev)
{
	struct rtc *rtc = dev;
	uint8_t wanted = rtc->cmos[REG_B] & ~rtc->cmos[REG_C];
	uint64_t first = NEVER, at;

	if (rtc->cmos[REG_C] & C_IRQF)
		return NEVER;
	if ((wanted & B_PIE) && period_ticks(rtc)) {
		at = time_of(rtc, (unsigned __int128)(rtc->period + 1) * period_ticks(rtc),
			     CRYSTAL_HZ);
		first = at;
	}
	if (standing(rtc))
		return first;
	if (wanted & B_UIE) {
		at = time_of(rtc, (unsigned __int128)rtc->second + 1, 1);
		first = at < first ? at : first;
	}
	if (wanted & B_AIE) {
		int64_t alarm = next_alarm(rtc, wall_time(rtc, rtc->now));

		at = alarm < 0 ? NEVER : time_of(rtc, (unsigned __int128)rtc->second + alarm, 1);
		first = at < first ? at : first;
	}
	return first;
}

/* MC146818A, RESET pin: interrupts off; time, memory and divider stay. */
static void rtc_reset(void *dev)
{
	struct rtc *rtc = dev;

	rtc->cmos[REG_B] &= ~(B_PIE | B_AIE | B_UIE);
	rtc->cmos[REG_C] = 0;
	rtc->index = 0;
	rtc->nmi_masked = false;
	update_irq(rtc);
}

static const char *check(const void *dev)
{
	const struct rtc *rtc = dev;

	if (rtc->base > TIME_MAX || rtc->base < TIME_MIN - (int64_t)(NEVER / SECOND) - 1)
		return "the date is beyond what the registers can say";
	if (rtc->second != seconds_passed(rtc, rtc->now) ||
	    rtc->period != periods_passed(rtc, rtc->now))
		return "seconds or periods are not where the time says";
	return NULL;
}

static const struct field rows[] = {
	WIRING(rtc, irq),
	FLAG(rtc, level),
	ARRAY(rtc, cmos),
	FIELD(rtc, index, .max = RTC_CMOS_SIZE - 1),
	FLAG(rtc, nmi_masked),
	FIELD(rtc, base),
	FIELD(rtc, phase, .max = SECOND - 1),
	FIELD(rtc, second),
	FIELD(rtc, period),
	FIELD(rtc, now),
	{ 0 },
};

static const struct fields fields = {
	.name = "rtc",
	.version = 1,
	.size = sizeof(struct rtc),
	.row = rows,
	.check = check,
};

const struct device_ops rtc_ops = {
	.name = "rtc",
	.width = 1,
	.read = rtc_read,
	.write = rtc_write,
	.tick = rtc_tick,
	.deadline = rtc_deadline,
	.reset = rtc_reset,
	.fields = &fields,
};

static void store_le(uint8_t *at, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = value >> i * 8;
}

static uint64_t at_most(uint64_t value, uint64_t limit)
{
	return value < limit ? value : limit;
}

static void store_memory(struct rtc *rtc, uint64_t below_4g, uint64_t above_4g)
{
	const uint64_t mib = 1 << 20;
	uint64_t extended = below_4g > mib ? below_4g - mib : 0;
	uint64_t above_16m = below_4g > 16 * mib ? below_4g - 16 * mib : 0;

	store_le(&rtc->cmos[0x15], at_most(below_4g >> 10, 640), 2);	/* KiB */
	store_le(&rtc->cmos[0x17], at_most(extended >> 10, 0xffff), 2); /* KiB from 1 MiB */
	store_le(&rtc->cmos[0x30], at_most(extended >> 10, 0xffff), 2);
	store_le(&rtc->cmos[0x34], at_most(above_16m >> 16, 0xffff), 2);  /* 64 KiB from 16 MiB */
	store_le(&rtc->cmos[0x5b], at_most(above_4g >> 16, 0xffffff), 3); /* 64 KiB from 4 GiB */
}

void rtc_init(struct rtc *rtc, struct wire irq8, int64_t base, uint64_t below_4g, uint64_t above_4g)
{
	memset(rtc, 0, sizeof(*rtc));
	rtc->irq = irq8;
	rtc->base = clamp_time(base);
	rtc->cmos[REG_A] = A_32KHZ | 6; /* 1,024 Hz, as PC firmware leaves it */
	rtc->cmos[REG_B] = B_24H;
	rtc->cmos[REG_D] = D_VRT;
	store_memory(rtc, below_4g, above_4g);
}

int rtc_attach(struct rtc *rtc, struct bus *bus)
{
	return bus_add(bus, BUS_PORT, 0x70, 2, &rtc_ops, rtc);
}

bool rtc_nmi_masked(const struct rtc *rtc)
{
	return rtc->nmi_masked;
}

/* Another relation of the wall's time to the guest's; what was due by the old one is done. */
static void set_relation(struct rtc *rtc, uint64_t now, __int128 at_zero)
{
	__int128 base = at_zero / (__int128)SECOND, phase = at_zero % (__int128)SECOND;
	bool stands = standing(rtc);

	if (phase < 0) {
		base--;
		phase += SECOND;
	}
	advance(rtc, now);
	rtc->base = clamp_time((int64_t)base);
	rtc->phase = (uint64_t)phase;
	rtc->second = seconds_passed(rtc, rtc->now);
	rtc->period = periods_passed(rtc, rtc->now);
	if (stands)
		store_time(rtc, wall_time(rtc, rtc->now));
}

void rtc_set(struct rtc *rtc, uint64_t now, int64_t seconds)
{
	set_relation(rtc, now, (__int128)clamp_time(seconds) * SECOND - now);
}

void rtc_back(struct rtc *rtc, uint64_t now, uint64_t ns)
{
	if (!standing(rtc)) /* the time that stands in the registers is nobody's clock */
		set_relation(rtc, now, (__int128)rtc->base * SECOND + rtc->phase - ns);
}

int64_t rtc_date(const struct rtc *rtc, uint64_t now, uint64_t *moment)
{
	*moment = now - ((unsigned __int128)now + rtc->phase) % SECOND;
	return standing(rtc) ? load_time(rtc) : wall_time(rtc, now);
}
