/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The real-time clock and CMOS memory of a PC (Motorola MC146818A datasheet; the century at 32h
 * and the memory sizes as PC firmware leaves them). IRQ 8.
 */
#ifndef VMM_RTC_H
#define VMM_RTC_H

#include "devices/bus.h"

#define RTC_CMOS_SIZE 128
#define RTC_CENTURY 0x32

struct rtc {
	struct wire irq;
	bool level;		     /* on the wire */
	uint8_t cmos[RTC_CMOS_SIZE]; /* the time in it counts only while it stands still */
	uint8_t index;
	bool nmi_masked; /* port 70h bit 7 */
	/* wall time = base + (now + phase) / 10^9 seconds since 1970 */
	int64_t base;
	uint64_t phase;	 /* 0 .. 10^9 - 1 */
	uint64_t second; /* (now + phase) / 10^9 at the last look */
	uint64_t period; /* periodic ticks at the last look */
	uint64_t now;
};

/*
 * base: wall time at now = 0, seconds since 1970 in UTC. Memory sizes in bytes: below counts from
 * address 0 up to at most 4 GiB, above is what lies from 4 GiB up.
 */
void rtc_init(struct rtc *rtc, struct wire irq8, int64_t base, uint64_t below_4g, uint64_t above_4g);
int rtc_attach(struct rtc *rtc, struct bus *bus); /* 70h, 71h */
/* From outside: the date, s since 1970, or what it was ns ago. No alarm fires for it. */
void rtc_set(struct rtc *rtc, uint64_t now, int64_t seconds);
void rtc_back(struct rtc *rtc, uint64_t now, uint64_t ns);
/* The date, without a trace; moment: the guest's ns at which its second began (or would have). */
int64_t rtc_date(const struct rtc *rtc, uint64_t now, uint64_t *moment);
bool rtc_nmi_masked(const struct rtc *rtc);

extern const struct device_ops rtc_ops;

#endif
