/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The neutral exit record: why the guest stopped, in words of no vendor. */
#ifndef CORE_EXIT_H
#define CORE_EXIT_H

#include "core/backend.h"
#include "uapi/fermata.h"

/* Why the guest stopped, in neutral words. Starts as UNCLAIMED and must not stay so. */
enum exit_kind {
#define EXIT(kind, ...) EXIT_##kind,
#include "core/exit_kinds.h"
	EXIT_KINDS
};
static_assert(EXIT_KINDS <= 64, "vcpu.ruled has a bit for each");

struct exit {
	u8 kind;
	u8 length; /* of the instruction; 0: not known, exit_length() finds it */
	u32 code;  /* the vendor's */
	u64 rip;
	u64 info1, info2; /* the vendor's */
	u64 tsc;	  /* the host's, when the guest had stopped */
	union {
		struct fermata_exit_io io; /* but for its value */
		struct {
			u8 number;     /* which CR or DR */
			u8 reg;	       /* general register; valid when decoded */
			u8 size;       /* of it, bytes: SMSW writes 2, 4 or 8 */
			bool stored;   /* SMSW to memory: done already */
			bool decoded;  /* else exit_length() finds it */
			bool by_value; /* CLTS, LMSW: value holds what CR0 becomes */
			u8 via;	       /* MOV_* */
			u64 value;
		} mov;
		struct {
			u64 gpa;
			u32 access; /* RADIX_READ, _WRITE, _EXEC */
			bool table; /* while the processor walked the guest's own tables */
			bool linear_known;
			u32 code;   /* EXIT_PAGE_FAULT: the error code */
			u64 linear; /* EXIT_PAGE_FAULT; else with linear_known */
		} fault;
		struct {
			struct injection exception;
			u64 exception_address; /* of a page fault: what goes to CR2 */
		};
		u64 linear; /* INVLPG */
		struct {
			u8 reg, size;
		} random;
	};
};

/* What a handler wants next. */
enum verdict {
	GO_ON,	    /* back into the guest */
	SERVE_HOST, /* the host's interrupt ended the turn: interrupts on for a moment, then back */
	LEAVE_FOR_HOST, /* out of guest context first: something may sleep; then back */
	LEAVE_FOR_FAULT, /* ... and there a nested fault's memory is brought in: exit_handle_fault() */
	LEAVE_FOR_USER, /* the run page holds an exit record */
	HANDLE_AGAIN,	/* v->exit is of another kind now; between shadowing.c and exits.c only */
};

/* exit.mov.via */
enum { MOV_PLAIN, MOV_CLTS, MOV_LMSW };

static inline bool exit_is_mov(const struct exit *x)
{
	return x->kind >= EXIT_CR_READ && x->kind <= EXIT_DR_WRITE;
}

static inline bool exit_is_table(const struct exit *x)
{
	return x->kind >= EXIT_SGDT && x->kind <= EXIT_LTR;
}

#endif
