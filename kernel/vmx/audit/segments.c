/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The checks on the guest's segment registers: SDM 3C 27.3.1.2. */
#include "vmx/audit/audit.h"
#include "base/arch.h"

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

PREDICATE(vm86)
{
	return s->rflags & ARCH_RFLAGS_VM;
}

static bool unrestricted(const struct vmx_snapshot *s)
{
	return s->proc2 & PROC2_UNRESTRICTED_GUEST;
}

/* CS and TR are checked whether the bit is set or not. */
PREDICATE(usable)
{
	return n == VMX_CS || n == VMX_TR || !(s->segment[n].access & UNUSABLE);
}

/*
 * Outside virtual-8086 mode, which has one rule of its own for the access rights of these six. LDTR and
 * TR have theirs in any mode.
 */
PREDICATE(checked)
{
	return usable(s, value, n) && (n >= VMX_LDTR || !vm86(s, value, n));
}

/* ---- selectors */

PREDICATE(rpl_as_cs)
{
	return vm86(s, value, n) || unrestricted(s) || (value & 3) == (cs(s)->selector & 3);
}

/* ---- bases and limits */

PREDICATE(vm86_base)
{
	return value == s->segment[n].selector << 4;
}

PREDICATE(canonical_if_usable)
{
	return (n == VMX_LDTR && !usable(s, value, n)) || vmx_canonical(s, value, n);
}

/* ---- access rights */

PREDICATE(cs_type)
{
	u32 type = value & 15;

	return (type & (CODE | ACCESSED)) == (CODE | ACCESSED) ||
	       (unrestricted(s) && type == TYPE_DATA_EXPAND_UP);
}

PREDICATE(ss_type)
{
	u32 type = value & 15;

	return type == TYPE_DATA_EXPAND_UP || type == TYPE_DATA_EXPAND_DOWN;
}

PREDICATE(is_readable)
{
	return !(value & CODE) || value & READABLE;
}

PREDICATE(cs_dpl)
{
	u32 dpl = DPL(value), ss_dpl = DPL(ss(s)->access);

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
	return vm86(s, value, n) || unrestricted(s) || DPL(value) == (ss(s)->selector & 3);
}

PREDICATE(ss_dpl_in_real_mode)
{
	return vm86(s, value, n) || !DPL(value) ||
	       (s->cr0 & ARCH_CR0_PE && (cs(s)->access & 15) != TYPE_DATA_EXPAND_UP);
}

PREDICATE(dpl_admits_rpl)
{
	return unrestricted(s) || (value & 15) > 11 || DPL(value) >= (s->segment[n].selector & 3);
}

PREDICATE(not_long_and_default)
{
	return !(s->entry & ENTRY_IA32E_GUEST) || (value & (L | DB)) != (L | DB);
}

PREDICATE(bytes_for_odd_limit)
{
	return !(value & G) || (s->segment[n].limit & 0xfff) == 0xfff;
}

PREDICATE(pages_for_large_limit)
{
	return value & G || !(s->segment[n].limit >> 20);
}

PREDICATE(tr_type)
{
	u32 type = value & 15;

	return type == TYPE_BUSY_TSS || (type == TYPE_BUSY_TSS16 && !(s->entry & ENTRY_IA32E_GUEST));
}

PREDICATE(ldtr_type)
{
	return (value & 15) == TYPE_LDT;
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
	{ .section = "SDM 3C 27.3.1.2" },
	{ "TI must be 0", SELECTOR, .zero = BIT(2), .when = usable, FOR(SYSTEM) },
	{ "in a restricted guest RPL must be that of CS", SELECTOR, .holds = rpl_as_cs,
	  FOR(BIT(VMX_SS)) },
	{ "in virtual-8086 mode the base must be 16 times the selector", BASE, .holds = vm86_base,
	  .when = vm86, FOR(ES_TO_GS) },
	{ "the address must be canonical", BASE, .holds = canonical_if_usable,
	  FOR(BIT(VMX_FS) | BIT(VMX_GS) | SYSTEM) },
	{ "bits 63:32 must be 0", BASE, .zero = ~0ull << 32, .when = usable,
	  FOR(BIT(VMX_ES) | BIT(VMX_CS) | BIT(VMX_SS) | BIT(VMX_DS)) },
	{ "in virtual-8086 mode the limit must be FFFFh", LIMIT, .one = 0xffff, .zero = ~0xffffull,
	  .when = vm86, FOR(ES_TO_GS) },
	{ "in virtual-8086 mode the access rights must be F3h", ACCESS, .one = 0xf3,
	  .zero = ~0xf3ull, .when = vm86, FOR(ES_TO_GS) },
	{ "the type must be accessed code, or 3 in an unrestricted guest", ACCESS, .holds = cs_type,
	  .when = checked, FOR(BIT(VMX_CS)) },
	{ "the type must be 3 or 7", ACCESS, .holds = ss_type, .when = checked, FOR(BIT(VMX_SS)) },
	{ "the type must be an accessed one", ACCESS, .one = ACCESSED, .when = checked, FOR(DATA) },
	{ "a code segment must be readable", ACCESS, .holds = is_readable, .when = checked,
	  FOR(DATA) },
	{ "S must be 1", ACCESS, .one = S, .when = checked, FOR(ES_TO_GS) },
	{ "DPL: 0 for type 3, that of SS for 9 and 11, not above it for 13 and 15", ACCESS,
	  .holds = cs_dpl, .when = checked, FOR(BIT(VMX_CS)) },
	{ "in a restricted guest DPL must be the selector's RPL", ACCESS, .holds = ss_dpl_as_rpl,
	  FOR(BIT(VMX_SS)) },
	{ "DPL must be 0 without CR0.PE, or where the type of CS is 3", ACCESS,
	  .holds = ss_dpl_in_real_mode, FOR(BIT(VMX_SS)) },
	{ "in a restricted guest DPL must not be below RPL, but for conforming code", ACCESS,
	  .holds = dpl_admits_rpl, .when = checked, FOR(DATA) },
	{ "P must be 1", ACCESS, .one = P, .when = checked, FOR(ES_TO_GS | SYSTEM) },
	{ "bits 31:17 and 11:8 must be 0", ACCESS, .zero = RESERVED, .when = checked,
	  FOR(ES_TO_GS | SYSTEM) },
	{ "with L in IA-32e mode D/B must be 0", ACCESS, .holds = not_long_and_default,
	  .when = checked, FOR(BIT(VMX_CS)) },
	{ "G must be 0 where a bit of 11:0 of the limit is 0", ACCESS, .holds = bytes_for_odd_limit,
	  .when = checked, FOR(ES_TO_GS | SYSTEM) },
	{ "G must be 1 where a bit of 31:20 of the limit is 1", ACCESS,
	  .holds = pages_for_large_limit, .when = checked, FOR(ES_TO_GS | SYSTEM) },
	{ "the type must be a busy TSS: 11, or outside IA-32e mode 3", ACCESS, .holds = tr_type,
	  FOR(BIT(VMX_TR)) },
	{ "the type must be 2", ACCESS, .holds = ldtr_type, .when = usable, FOR(BIT(VMX_LDTR)) },
	{ "S must be 0", ACCESS, .zero = S, .when = usable, FOR(SYSTEM) },
	{ "TR must be usable", ACCESS, .zero = UNUSABLE, FOR(BIT(VMX_TR)) },
};

const struct vmx_rules vmx_segment_rules = { rules, ARRAY_SIZE(rules) };
