/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The checks on the guest's segment registers: SDM 3C 27.3.1.2. */
#include "vmx/audit/audit.h"
#include "base/arch.h"

#define SEGMENTS "SDM 3C 27.3.1.2"

/* Access rights: SDM 3C table 25-2 */
#define CODE BIT(3)
#define READABLE BIT(1)
#define ACCESSED BIT(0)
#define S BIT(4)
#define DPL(access) ((access) >> 5 & 3)
#define P BIT(7)
#define L BIT(13)
#define DB BIT(14)
#define G BIT(15)
#define UNUSABLE BIT(16)
#define RESERVED 0xfffe0f00ull

#define TYPE_DATA_EXPAND_UP 3
#define TYPE_DATA_EXPAND_DOWN 7
#define TYPE_LDT 2
#define TYPE_BUSY_TSS16 3
#define TYPE_BUSY_TSS 11

static const struct vmx_segment *cs(const struct vmx_snapshot *s)
{
	return &s->segment[VMX_CS];
}

static const struct vmx_segment *ss(const struct vmx_snapshot *s)
{
	return &s->segment[VMX_SS];
}

static bool vm86(const struct vmx_snapshot *s)
{
	return s->rflags & ARCH_RFLAGS_VM;
}

static bool unrestricted(const struct vmx_snapshot *s)
{
	return s->proc2 & PROC2_UNRESTRICTED_GUEST;
}

/* CS and TR are checked whether the bit is set or not. */
static bool usable(const struct vmx_snapshot *s, u32 n)
{
	return n == VMX_CS || n == VMX_TR || !(s->segment[n].access & UNUSABLE);
}

/*
 * Outside virtual-8086 mode, which has one rule of its own for the access rights of these six. LDTR and
 * TR have theirs in any mode.
 */
static bool checked(const struct vmx_snapshot *s, u32 n)
{
	return usable(s, n) && (n >= VMX_LDTR || !vm86(s));
}

/* ---- selectors */

PREDICATE(in_gdt)
{
	return !usable(s, n) || !(value & BIT(2));
}

PREDICATE(rpl_as_cs)
{
	return vm86(s) || unrestricted(s) || (value & 3) == (cs(s)->selector & 3);
}

/* ---- bases and limits */

PREDICATE(vm86_base)
{
	return !vm86(s) || value == s->segment[n].selector << 4;
}

PREDICATE(canonical_if_usable)
{
	return (n == VMX_LDTR && !usable(s, n)) || vmx_canonical(s, value, n);
}

PREDICATE(base_is_32bit)
{
	return !usable(s, n) || !(value >> 32);
}

PREDICATE(vm86_limit)
{
	return !vm86(s) || value == 0xffff;
}

/* ---- access rights */

PREDICATE(vm86_access)
{
	return !vm86(s) || value == 0xf3;
}

PREDICATE(cs_type)
{
	u32 type = value & 15;

	return !checked(s, n) || (type & (CODE | ACCESSED)) == (CODE | ACCESSED) ||
	       (unrestricted(s) && type == TYPE_DATA_EXPAND_UP);
}

PREDICATE(ss_type)
{
	u32 type = value & 15;

	return !checked(s, n) || type == TYPE_DATA_EXPAND_UP || type == TYPE_DATA_EXPAND_DOWN;
}

PREDICATE(is_accessed)
{
	return !checked(s, n) || value & ACCESSED;
}

PREDICATE(is_readable)
{
	return !checked(s, n) || !(value & CODE) || value & READABLE;
}

PREDICATE(is_code_or_data)
{
	return !checked(s, n) || value & S;
}

PREDICATE(cs_dpl)
{
	u32 dpl = DPL(value), ss_dpl = DPL(ss(s)->access);

	if (!checked(s, n))
		return true;
	switch (value & 15) {
	case TYPE_DATA_EXPAND_UP:
		return !dpl;
	case 9:
	case 11:
		return dpl == ss_dpl;
	case 13:
	case 15:
		return dpl <= ss_dpl;
	}
	return true;
}

PREDICATE(ss_dpl_as_rpl)
{
	return vm86(s) || unrestricted(s) || DPL(value) == (ss(s)->selector & 3);
}

PREDICATE(ss_dpl_in_real_mode)
{
	return vm86(s) || !DPL(value) ||
	       (s->cr0 & ARCH_CR0_PE && (cs(s)->access & 15) != TYPE_DATA_EXPAND_UP);
}

PREDICATE(dpl_admits_rpl)
{
	return !checked(s, n) || unrestricted(s) || (value & 15) > 11 ||
	       DPL(value) >= (s->segment[n].selector & 3);
}

PREDICATE(is_present)
{
	return !checked(s, n) || value & P;
}

PREDICATE(reserved_zero)
{
	return !checked(s, n) || !(value & RESERVED);
}

PREDICATE(not_long_and_default)
{
	return !checked(s, n) || !(s->entry & ENTRY_IA32E_GUEST) || (value & (L | DB)) != (L | DB);
}

PREDICATE(bytes_for_odd_limit)
{
	return !checked(s, n) || !(value & G) || (s->segment[n].limit & 0xfff) == 0xfff;
}

PREDICATE(pages_for_large_limit)
{
	return !checked(s, n) || value & G || !(s->segment[n].limit >> 20);
}

PREDICATE(tr_type)
{
	u32 type = value & 15;

	return type == TYPE_BUSY_TSS || (type == TYPE_BUSY_TSS16 && !(s->entry & ENTRY_IA32E_GUEST));
}

PREDICATE(ldtr_type)
{
	return !usable(s, n) || (value & 15) == TYPE_LDT;
}

PREDICATE(is_system)
{
	return !usable(s, n) || !(value & S);
}

PREDICATE(is_usable)
{
	return !(value & UNUSABLE);
}

/* ---- the list */

#define BASE F(segment[0].base)
#define LIMIT F(segment[0].limit)
#define ACCESS F(segment[0].access)
#define SELECTOR F(segment[0].selector)

#define ES_TO_GS (BIT(VMX_ES) | BIT(VMX_CS) | BIT(VMX_SS) | BIT(VMX_DS) | BIT(VMX_FS) | BIT(VMX_GS))
#define DATA (ES_TO_GS & ~(BIT(VMX_CS) | BIT(VMX_SS)))
#define SYSTEM (BIT(VMX_LDTR) | BIT(VMX_TR))

static const struct vmx_rule rules[] = {
	{ "TI must be 0", SEGMENTS, SELECTOR, FOR(SYSTEM), .holds = in_gdt },
	{ "in a restricted guest RPL must be that of CS", SEGMENTS, SELECTOR, FOR(BIT(VMX_SS)),
	  .holds = rpl_as_cs },

	{ "in virtual-8086 mode the base must be 16 times the selector", SEGMENTS, BASE,
	  FOR(ES_TO_GS), .holds = vm86_base },
	{ "the address must be canonical", SEGMENTS, BASE, FOR(BIT(VMX_FS) | BIT(VMX_GS) | SYSTEM),
	  .holds = canonical_if_usable },
	{ "bits 63:32 must be 0", SEGMENTS, BASE,
	  FOR(BIT(VMX_ES) | BIT(VMX_CS) | BIT(VMX_SS) | BIT(VMX_DS)), .holds = base_is_32bit },
	{ "in virtual-8086 mode the limit must be FFFFh", SEGMENTS, LIMIT, FOR(ES_TO_GS),
	  .holds = vm86_limit },

	{ "in virtual-8086 mode the access rights must be F3h", SEGMENTS, ACCESS, FOR(ES_TO_GS),
	  .holds = vm86_access },
	{ "the type must be accessed code, or 3 in an unrestricted guest", SEGMENTS, ACCESS,
	  FOR(BIT(VMX_CS)), .holds = cs_type },
	{ "the type must be 3 or 7", SEGMENTS, ACCESS, FOR(BIT(VMX_SS)), .holds = ss_type },
	{ "the type must be an accessed one", SEGMENTS, ACCESS, FOR(DATA), .holds = is_accessed },
	{ "a code segment must be readable", SEGMENTS, ACCESS, FOR(DATA), .holds = is_readable },
	{ "S must be 1", SEGMENTS, ACCESS, FOR(ES_TO_GS), .holds = is_code_or_data },
	{ "DPL: 0 for type 3, that of SS for 9 and 11, not above it for 13 and 15", SEGMENTS,
	  ACCESS, FOR(BIT(VMX_CS)), .holds = cs_dpl },
	{ "in a restricted guest DPL must be the selector's RPL", SEGMENTS, ACCESS,
	  FOR(BIT(VMX_SS)), .holds = ss_dpl_as_rpl },
	{ "DPL must be 0 without CR0.PE, or where the type of CS is 3", SEGMENTS, ACCESS,
	  FOR(BIT(VMX_SS)), .holds = ss_dpl_in_real_mode },
	{ "in a restricted guest DPL must not be below RPL, but for conforming code", SEGMENTS,
	  ACCESS, FOR(DATA), .holds = dpl_admits_rpl },
	{ "P must be 1", SEGMENTS, ACCESS, FOR(ES_TO_GS | SYSTEM), .holds = is_present },
	{ "bits 31:17 and 11:8 must be 0", SEGMENTS, ACCESS, FOR(ES_TO_GS | SYSTEM),
	  .holds = reserved_zero },
	{ "with L in IA-32e mode D/B must be 0", SEGMENTS, ACCESS, FOR(BIT(VMX_CS)),
	  .holds = not_long_and_default },
	{ "G must be 0 where a bit of 11:0 of the limit is 0", SEGMENTS, ACCESS,
	  FOR(ES_TO_GS | SYSTEM), .holds = bytes_for_odd_limit },
	{ "G must be 1 where a bit of 31:20 of the limit is 1", SEGMENTS, ACCESS,
	  FOR(ES_TO_GS | SYSTEM), .holds = pages_for_large_limit },
	{ "the type must be a busy TSS: 11, or outside IA-32e mode 3", SEGMENTS, ACCESS,
	  FOR(BIT(VMX_TR)), .holds = tr_type },
	{ "the type must be 2", SEGMENTS, ACCESS, FOR(BIT(VMX_LDTR)), .holds = ldtr_type },
	{ "S must be 0", SEGMENTS, ACCESS, FOR(SYSTEM), .holds = is_system },
	{ "TR must be usable", SEGMENTS, ACCESS, FOR(BIT(VMX_TR)), .holds = is_usable },
};

const struct vmx_rules vmx_segment_rules = { rules, ARRAY_SIZE(rules) };
