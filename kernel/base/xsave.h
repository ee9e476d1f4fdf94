/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What XSETBV and XRSTOR take without a fault: SDM 1 13.3, 13.8; APM 2 11.5. Values that came from a guest or a
 * caller were checked when they came. The system below clamps them once more where they go to the processor, so
 * that a check which is missing costs a guest a feature and not the host a #GP.
 */
#ifndef BASE_XSAVE_H
#define BASE_XSAVE_H

#include "host.h"

#define XSAVE_X87 BIT_ULL(0)
#define XSAVE_MXCSR 24 /* where it is in the area */
#define XSAVE_HEADER 512
#define XSAVE_HEADER_SIZE 64

/* Components that need each other and are not all there are left to XSETBV's fix-up. */
static inline u64 xsave_clamp_xcr0(u64 xcr0, u64 offered)
{
	return (xcr0 & offered) | XSAVE_X87;
}

/* The area, in the standard format: no component but those `offered`, no reserved bit in the header or in MXCSR. */
static inline void xsave_clamp_area(u8 *area, u64 offered, u32 mxcsr_mask)
{
	u64 header[XSAVE_HEADER_SIZE / 8] = { 0 };
	u32 mxcsr;

	memcpy(header, area + XSAVE_HEADER, sizeof(header[0]));
	header[0] &= offered;
	memcpy(area + XSAVE_HEADER, header, sizeof(header));
	memcpy(&mxcsr, area + XSAVE_MXCSR, sizeof(mxcsr));
	mxcsr &= mxcsr_mask;
	memcpy(area + XSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
}

#endif
