/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* CPUID by the table of cpuid_bits.c: what is offered, what a caller may show, what the guest is told. */
#include "core/cpuid.h"
#include "core/cpuid_bits.h"
#include "core/control.h"
#include "base/processor.h"

#define CPUID_HYPERVISOR 0x40000000u
#define CPUID_EXTENDED 0x80000000u
#define CPUID_WIDTHS 0x80000008u
#define LEAST_PHYS_BITS 36   /* of a processor without that leaf (SDM 2A CPUID) */
#define XSAVE_ALIGNED BIT(1) /* ECX of a component: it starts at a multiple of 64 when compacted */

struct words {
	u32 of[CPUID_REGISTERS];
};

static struct words words_of(const struct fermata_cpuid_entry *e)
{
	return (struct words){ { e->eax, e->ebx, e->ecx, e->edx } };
}

/* ---- what is offered */

static bool is_shown(const struct cpuid_bit *bit, bool host_has, u64 xcr0)
{
	switch (bit->policy) {
	case CPUID_HOST:
	case CPUID_CALLERS:
		return host_has;
	case CPUID_PKRU:
		return host_has && xcr0 & ARCH_XCR0_PKRU;
	case CPUID_SYSTEM:
		return host_offers(bit->offer);
	case CPUID_EMULATED:
		return true;
	}
	return false;
}

static u32 shown_word(const struct cpuid_leaf *l, u32 reg, u32 host, u64 xcr0)
{
	u32 word = (host & l->host[reg]) | l->own[reg], i;

	for (i = 0; l->bits[reg] && i < 32; i++)
		if (is_shown(&l->bits[reg][i], host >> i & 1, xcr0))
			word |= BIT(i);
	return word;
}

static void put(struct fermata_cpuid *out, const struct cpuid_leaf *l, u32 subleaf,
		const struct cpu_words *host, u64 xcr0)
{
	struct fermata_cpuid_entry *e = &out->entry[out->count];

	if (out->count == FERMATA_MAX_CPUID)
		return;
	out->count++;
	e->leaf = l->leaf;
	e->subleaf = subleaf;
	e->flags = l->subleaves ? FERMATA_CPUID_SUBLEAF : 0;
	e->eax = shown_word(l, EAX, host->eax, xcr0);
	e->ebx = shown_word(l, EBX, host->ebx, xcr0);
	e->ecx = shown_word(l, ECX, host->ecx, xcr0);
	e->edx = shown_word(l, EDX, host->edx, xcr0);
}

static void put_leaf(struct fermata_cpuid *out, const struct cpuid_leaf *l, u64 xcr0)
{
	u32 end = l->first + (l->subleaves ?: 1), i;

	for (i = l->first; i < end; i++) {
		struct cpu_words host;

		if (l->leaf == 0xd && !(i < 2 ? xcr0 : xcr0 >> i & 1))
			continue;
		host = cpu_cpuid(l->leaf, i);
		if (l->leaf == 0)
			host.eax = min(host.eax, CPUID_BASIC_LEAVES - 1u);
		if (l->leaf == CPUID_EXTENDED)
			host.eax = min(host.eax, CPUID_EXTENDED + CPUID_EXTENDED_LEAVES - 1u);
		if (l->leaf == 0xd && i == 0) {
			host.eax &= (u32)xcr0;
			host.edx &= (u32)(xcr0 >> 32);
		}
		if ((l->leaf == 4 || l->leaf == 0x8000001d) && !(host.eax & 0x1f))
			break; /* behind the last cache */
		put(out, l, i, &host, xcr0);
	}
}

void cpuid_supported(struct fermata_cpuid *out, u64 host_xcr0)
{
	u32 basic = cpu_cpuid(0, 0).eax, extended = cpu_cpuid(CPUID_EXTENDED, 0).eax, i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < cpuid_leaf_count; i++) {
		const struct cpuid_leaf *l = &cpuid_leaves[i];
		u32 last = l->leaf < CPUID_HYPERVISOR ? basic :
			   l->leaf < CPUID_EXTENDED   ? l->leaf :
							extended;

		if (!l->on_request && l->leaf <= last)
			put_leaf(out, l, host_xcr0);
	}
}

/* ---- what a caller may show */

static const struct fermata_cpuid_entry nothing;

/* One that is not there has no bits. */
static const struct fermata_cpuid_entry *find(const struct fermata_cpuid *in, u32 leaf, u32 subleaf)
{
	u32 i;

	for (i = 0; i < in->count; i++)
		if (in->entry[i].leaf == leaf && (!(in->entry[i].flags & FERMATA_CPUID_SUBLEAF) ||
						  in->entry[i].subleaf == subleaf))
			return &in->entry[i];
	return &nothing;
}

static u32 phys_bits(const struct fermata_cpuid *in)
{
	return find(in, CPUID_WIDTHS, 0)->eax & 0xff ?: LEAST_PHYS_BITS;
}

static bool answers(const struct fermata_cpuid_entry *e, const struct cpuid_leaf *l)
{
	return e->leaf == l->leaf && (!(e->flags & FERMATA_CPUID_SUBLEAF) ||
				      (e->subleaf >= l->first && e->subleaf <= l->last));
}

/* For the host's log: the first bit of those that are too many. */
static void say_refused(const struct fermata_cpuid_entry *e, const struct cpuid_bit *bits, u32 reg,
			u32 excess)
{
	static const char *const registers[] = { "EAX", "EBX", "ECX", "EDX" };
	u32 number = __builtin_ctz(excess);
	const char *name = bits ? bits[number].name : NULL, *why = bits ? bits[number].why : NULL;

	host_log("SET_CPUID: leaf %#x, subleaf %#x, %s[%u] (%s) is refused: %s", e->leaf,
		 e->subleaf, registers[reg], number, name ?: "no name",
		 why  ? why :
		 name ? "this host lacks it" :
			"it is not listed");
}

/* A bit more than is supported would be a promise that we break. */
static bool exceeds(const struct fermata_cpuid_entry *e, const struct cpuid_leaf *l,
		    const struct fermata_cpuid_entry *supported)
{
	struct words wanted = words_of(e), most = words_of(supported);
	u32 reg, i;

	for (reg = 0; reg < CPUID_REGISTERS; reg++) {
		u32 excess = wanted.of[reg] & ~most.of[reg] & ~l->callers[reg];

		for (i = 0; l->bits[reg] && i < 32; i++)
			if (l->bits[reg][i].policy == CPUID_CALLERS)
				excess &= ~(u32)BIT(i);
		if (excess) {
			say_refused(e, l->bits[reg], reg, excess);
			return true;
		}
	}
	return false;
}

static const struct cpuid_leaf unlisted;

/* An entry answers every subleaf that it is the answer to, and must be allowed in each of them. */
static bool promises_too_much(const struct fermata_cpuid_entry *e,
			      const struct fermata_cpuid *supported)
{
	bool known = false;
	u32 i, width = e->eax & 0xff;

	for (i = 0; i < cpuid_leaf_count; i++) {
		const struct cpuid_leaf *l = &cpuid_leaves[i];

		if (!answers(e, l))
			continue;
		known = true;
		if (exceeds(e, l, find(supported, l->leaf, l->first)))
			return true;
	}
	if (e->leaf == CPUID_WIDTHS)
		return width < 32 || width > phys_bits(supported);
	return !known && exceeds(e, &unlisted, &nothing);
}

/* ---- what follows from it */

static void derive_word(struct cpuid_table *t, const struct cpuid_bit *bits, u32 word)
{
	u32 i;

	for (i = 0; i < 32; i++) {
		if (!(word >> i & 1))
			continue;
		t->cr4_allowed |= bits[i].cr4;
		t->efer_allowed |= bits[i].efer;
		if (bits[i].fact)
			*(bool *)((u8 *)t + bits[i].fact) = true;
	}
}

static void derive(struct cpuid_table *t, const struct fermata_cpuid *in)
{
	const struct fermata_cpuid_entry *xsave = find(in, 0xd, 0);
	u32 i, reg;

	t->cr4_allowed = ARCH_CR4_PCE; /* RDPMC from CPL 3: refused anyhow */
	for (i = 0; i < cpuid_leaf_count; i++) {
		const struct cpuid_leaf *l = &cpuid_leaves[i];
		struct words words = words_of(find(in, l->leaf, l->first));

		for (reg = 0; reg < CPUID_REGISTERS; reg++)
			if (l->bits[reg])
				derive_word(t, l->bits[reg], words.of[reg]);
	}
	t->xcr0_allowed = t->cr4_allowed & ARCH_CR4_OSXSAVE ? xsave->eax | (u64)xsave->edx << 32 : 0;
	t->phys_bits = phys_bits(in);
	t->linear_bits = t->cr4_allowed & ARCH_CR4_LA57 ? 57 : 48;
	t->amd = find(in, 0, 0)->ebx == 0x68747541; /* "Auth" */
}

/* ---- the table of a VM, and a guest's CPUID */

static u8 *index_of(struct cpuid_table *t, u32 leaf)
{
	if (leaf < CPUID_BASIC_LEAVES)
		return &t->basic[host_index(leaf, CPUID_BASIC_LEAVES)];
	if (leaf - CPUID_EXTENDED < CPUID_EXTENDED_LEAVES)
		return &t->extended[host_index(leaf - CPUID_EXTENDED, CPUID_EXTENDED_LEAVES)];
	if (leaf - CPUID_HYPERVISOR < CPUID_HYPERVISOR_LEAVES)
		return &t->hypervisor[host_index(leaf - CPUID_HYPERVISOR, CPUID_HYPERVISOR_LEAVES)];
	return NULL;
}

/* Leaves of which cpuid_answer() cannot just hand out the entry. */
static bool varies(u32 leaf)
{
	return leaf == 1 || leaf == 7 || leaf == 0xb || leaf == 0xd || leaf == 0x8000001e;
}

/* Entries of one leaf are brought together; within a leaf they keep the caller's order. */
static void sort(struct cpuid_table *t, const struct fermata_cpuid *in)
{
	u32 i, at;

	t->count = 0;
	for (i = 0; i < in->count; i++) {
		for (at = t->count; at && t->entry[at - 1].leaf > in->entry[i].leaf; at--)
			t->entry[at] = t->entry[at - 1];
		t->entry[at] = in->entry[i];
		if (varies(in->entry[i].leaf))
			t->entry[at].flags |= CPUID_VARIES;
		t->count++;
	}
}

int cpuid_set(struct cpuid_table *t, const struct fermata_cpuid *wanted,
	      const struct fermata_cpuid *supported)
{
	u32 i;

	if (wanted->count > FERMATA_MAX_CPUID || wanted->reserved)
		return -EINVAL;
	for (i = 0; i < wanted->count; i++) {
		const struct fermata_cpuid_entry *e = &wanted->entry[i];

		if (e->reserved || e->flags & ~FERMATA_CPUID_SUBLEAF || !index_of(t, e->leaf) ||
		    promises_too_much(e, supported))
			return -EINVAL;
	}
	memset(t, 0, sizeof(*t)); /* what is refused leaves the guest's CPU as it was */
	sort(t, wanted);
	for (i = t->count; i--;)
		*index_of(t, t->entry[i].leaf) = i + 1;
	derive(t, wanted);
	return 0;
}

void cpuid_hide_invpcid(struct cpuid_table *t)
{
	u32 i;

	for (i = 0; i < t->count; i++)
		if (t->entry[i].leaf == 7 && !t->entry[i].subleaf)
			t->entry[i].ebx &= ~(u32)BIT(CPUID_7_EBX_INVPCID);
}

static const struct fermata_cpuid_entry *xsave_component(const struct cpuid_table *t, u32 number)
{
	u32 i = t->basic[0xd] ? t->basic[0xd] - 1u : t->count;

	for (; i < t->count && t->entry[i].leaf == 0xd; i++)
		if (t->entry[i].flags & FERMATA_CPUID_SUBLEAF && t->entry[i].subleaf == number)
			return &t->entry[i];
	return NULL;
}

/*
 * The XSAVE area's size for the components in xcr0 (SDM 1 13.4.3). Compacted, they follow each other
 * in their order, some aligned to 64 bytes: ECX[1].
 */
static u32 xsave_size(const struct cpuid_table *t, u64 xcr0, bool compacted)
{
	u32 size = 576, i;

	for (i = 2; i < 63 && xcr0 >> i; i++) {
		const struct fermata_cpuid_entry *e = xcr0 & BIT_ULL(i) ? xsave_component(t, i) :
									  NULL;

		if (!e)
			continue;
		if (compacted)
			size = (e->ecx & XSAVE_ALIGNED ? (size + 63) & ~63u : size) + e->eax;
		else
			size = max(size, e->eax + e->ebx);
	}
	return size;
}

/* Leaves with subleaves, and the few words that depend on the vCPU and its registers. */
static noinline void answer_in_full(struct vcpu *v)
{
	u64 *regs = v->page->regs;
	u32 leaf = regs[FERMATA_RAX], subleaf = regs[FERMATA_RCX];
	struct cpuid_table *t = &v->vm->cpuid;
	struct cpu_words r = { 0 };
	const u8 *at = index_of(t, leaf);
	u32 i;

	for (i = at && *at ? *at - 1u : t->count; i < t->count && t->entry[i].leaf == leaf; i++) {
		const struct fermata_cpuid_entry *e = &t->entry[i];

		if (e->flags & FERMATA_CPUID_SUBLEAF && e->subleaf != subleaf)
			continue;
		r = (struct cpu_words){ e->eax, e->ebx, e->ecx, e->edx };
		break;
	}
	switch (leaf) {
	case 1:
		r.ebx = (r.ebx & 0xffffff) | v->id << 24;
		if (v->guest.cr4 & ARCH_CR4_OSXSAVE)
			r.ecx |= BIT(CPUID_1_ECX_OSXSAVE);
		if (!apic_enabled(&v->apic)) /* SDM 3A 11.4.3 */
			r.edx &= ~(u32)BIT(CPUID_1_EDX_APIC);
		break;
	case 7:
		if (subleaf == 0 && v->guest.cr4 & ARCH_CR4_PKE)
			r.ecx |= BIT(CPUID_7_ECX_OSPKE);
		break;
	case 0xb:
		r.ecx = (r.ecx & ~0xffu) | (subleaf & 0xff);
		r.edx = v->id;
		break;
	case 0xd:
		vcpu_sync_xcr0(v);
		if (subleaf == 0 && r.eax) {
			r.ebx = xsave_size(t, v->guest.xcr0, false);
			r.ecx = xsave_size(t, t->xcr0_allowed, false);
		} else if (subleaf == 1 && r.eax & BIT(CPUID_D_1_EAX_XSAVEC)) {
			r.ebx = xsave_size(t, v->guest.xcr0, true);
		}
		break;
	case 0x8000001e:
		r.eax = v->id;
		break;
	}
	regs[FERMATA_RAX] = r.eax;
	regs[FERMATA_RBX] = r.ebx;
	regs[FERMATA_RCX] = r.ecx;
	regs[FERMATA_RDX] = r.edx;
}

void cpuid_answer(struct vcpu *v)
{
	struct cpuid_table *t = &v->vm->cpuid;
	u64 *regs = v->page->regs;
	const u8 *at = index_of(t, regs[FERMATA_RAX]);
	const struct fermata_cpuid_entry *e;

	if (unlikely(!at || !*at || t->entry[*at - 1].flags)) {
		answer_in_full(v);
		return;
	}
	e = &t->entry[*at - 1];
	regs[FERMATA_RAX] = e->eax;
	regs[FERMATA_RBX] = e->ebx;
	regs[FERMATA_RCX] = e->ecx;
	regs[FERMATA_RDX] = e->edx;
}
