/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * CPUID: APM 3 appendix E, SDM 2A CPUID. The words below are the bits a guest may see: each bit in
 * them is one that a guest can use without us, or that we emulate. All others are hidden.
 */
#include "core/cpuid.h"
#include "core/exits.h"
#include "base/processor.h"

#define B(n) (1u << (n))

/*
 * 1 ECX: SSE3 0, PCLMULQDQ 1, SSSE3 9, FMA 12, CX16 13, PCID 17, SSE4.1 19, SSE4.2 20, MOVBE 22,
 * POPCNT 23, AES 25, XSAVE 26, AVX 28, F16C 29, RDRAND 30. Hidden: DTES64 2, MONITOR 3, VMX 5, SMX 6,
 * EST 7, TM2 8, PDCM 15, DCA 18, and OSXSAVE 27, which follows CR4.
 */
#define LEAF1_ECX                                                                                  \
	(B(0) | B(1) | B(9) | B(12) | B(13) | B(17) | B(19) | B(20) | B(22) | B(23) | B(25) |      \
	 B(26) | B(28) | B(29) | B(30))
/* Emulated, whatever the host has: x2APIC 21, TSC-deadline 24; and the bit that says "a hypervisor". */
#define LEAF1_ECX_OURS (B(21) | B(24) | B(31))
/*
 * 1 EDX: FPU 0, VME 1, DE 2, PSE 3, TSC 4, MSR 5, PAE 6, MCE 7, CX8 8, APIC 9, SEP 11, MTRR 12, PGE 13,
 * MCA 14, CMOV 15, PAT 16, PSE36 17, CLFSH 19, MMX 23, FXSR 24, SSE 25, SSE2 26. HTT 28 is the caller's.
 */
#define LEAF1_EDX                                                                                  \
	(B(0) | B(1) | B(2) | B(3) | B(4) | B(5) | B(6) | B(7) | B(8) | B(9) | B(11) | B(12) |     \
	 B(13) | B(14) | B(15) | B(16) | B(17) | B(19) | B(23) | B(24) | B(25) | B(26) | B(28))
/*
 * 7.0 EBX: FSGSBASE 0, TSC_ADJUST 1, BMI1 3, HLE 4, AVX2 5, SMEP 7, BMI2 8, ERMS 9, INVPCID 10, RTM 11,
 * AVX512F 16, DQ 17, RDSEED 18, ADX 19, SMAP 20, IFMA 21, CLFLUSHOPT 23, CLWB 24, PF 26, ER 27, CD 28,
 * SHA 29, BW 30, VL 31. Hidden: SGX 2, RDT 12 and 15, MPX 14, PT 25.
 */
#define LEAF7_EBX                                                                                  \
	(B(0) | B(3) | B(5) | B(7) | B(8) | B(9) | B(10) | B(16) | B(17) | B(18) | B(19) | B(20) | \
	 B(21) | B(23) | B(24) | B(26) | B(27) | B(28) | B(29) | B(30) | B(31))
#define LEAF7_EBX_OURS B(1)
/*
 * 7.0 ECX: AVX512_VBMI 1, UMIP 2, VBMI2 6, GFNI 8, VAES 9, VPCLMULQDQ 10, VNNI 11, BITALG 12,
 * VPOPCNTDQ 14, LA57 16, RDPID 22, MOVDIRI 27, MOVDIR64B 28. PKU 3 where the host itself has set CR4.PKE.
 * Hidden: WAITPKG 5, CET 7, and OSPKE 4, which follows CR4.
 */
#define LEAF7_ECX                                                                                  \
	(B(1) | B(2) | B(6) | B(8) | B(9) | B(10) | B(11) | B(12) | B(14) | B(16) | B(22) |        \
	 B(27) | B(28))
#define LEAF7_ECX_PKU B(3)
/* 7.0 EDX: AVX512_4VNNIW 2, 4FMAPS 3, FSRM 4, VP2INTERSECT 8, SERIALIZE 14, AVX512_FP16 23 */
#define LEAF7_EDX (B(2) | B(3) | B(4) | B(8) | B(14) | B(23))
/* 7.1 EAX: AVX_VNNI 4, AVX512_BF16 5, FZRM 10, FSRS 11, FSRC 12 */
#define LEAF7_1_EAX (B(4) | B(5) | B(10) | B(11) | B(12))
/* D.1 EAX: XSAVEOPT 0, XSAVEC 1, XGETBV with ECX = 1 2. Hidden: XSAVES 3, XFD 4. */
#define LEAFD_1_EAX (B(0) | B(1) | B(2))
/*
 * 8000_0001 ECX: LAHF 0, CMPLEGACY 1, ABM 5, SSE4A 6, MISALIGNSSE 7, 3DNOWPREFETCH 8, XOP 11, FMA4 16,
 * TBM 21, TOPOEXT 22. Hidden: SVM 2, EXTAPIC 3, CR8LEGACY 4, OSVW 9, IBS 10, SKINIT 12, WDT 13, LWP 15,
 * the performance counters 23..28, MWAITX 29.
 */
#define LEAFX1_ECX (B(0) | B(1) | B(5) | B(6) | B(7) | B(8) | B(11) | B(16) | B(21) | B(22))
/* 8000_0001 EDX: as 1 EDX, and SYSCALL 11, NX 20, MMXEXT 22, FFXSR 25, 1G 26, RDTSCP 27, LM 29, 3DNOW 30, 31 */
#define LEAFX1_EDX                                                                                 \
	((LEAF1_EDX & 0x0183f3ff & ~B(11)) | B(11) | B(20) | B(22) | B(25) | B(26) | B(27) |       \
	 B(29) | B(30) | B(31))
/* 8000_0008 EBX: CLZERO 0, XSAVEERPTR 2, WBNOINVD 9, IBPB 12 */
#define LEAFX8_EBX (B(0) | B(2) | B(9) | B(12))
/* 8000_0021 EAX: no nested data breakpoints 0, LFENCE serializes 2, null selector clears base 6 */
#define LEAFX21_EAX (B(0) | B(2) | B(6))
/* 8000_0007 EDX: invariant TSC 8 */
#define LEAFX7_EDX B(8)

#define SIGNATURE_LEAF 0x40000000u
#define KVM_LEAF 0x40000001u
/*
 * KVM_LEAF EAX, not shown unless the caller does: the clock with its new MSRs 3, its flags can be
 * believed 24 (Linux' Documentation/virt/kvm/x86/cpuid.rst).
 */
#define KVM_EAX (B(3) | B(24))

static struct fermata_cpuid_entry *put(struct fermata_cpuid *out, u32 leaf, u32 subleaf, u32 flags,
				       struct cpu_words r)
{
	struct fermata_cpuid_entry *e = &out->entry[out->count];

	if (out->count == FERMATA_MAX_CPUID)
		return NULL;
	out->count++;
	*e = (struct fermata_cpuid_entry){ .leaf = leaf,
					   .subleaf = subleaf,
					   .flags = flags,
					   .eax = r.eax,
					   .ebx = r.ebx,
					   .ecx = r.ecx,
					   .edx = r.edx };
	return e;
}

/* The host's answer cut down to what the masks allow, plus what we emulate ourselves. */
static void put_masked(struct fermata_cpuid *out, u32 leaf, u32 subleaf, u32 flags,
		       struct cpu_words mask, struct cpu_words ours)
{
	struct cpu_words r = cpu_cpuid(leaf, subleaf);

	r.eax = (r.eax & mask.eax) | ours.eax;
	r.ebx = (r.ebx & mask.ebx) | ours.ebx;
	r.ecx = (r.ecx & mask.ecx) | ours.ecx;
	r.edx = (r.edx & mask.edx) | ours.edx;
	put(out, leaf, subleaf, flags, r);
}

#define MASK(a, b, c, d) ((struct cpu_words){ (a), (b), (c), (d) })
#define NONE MASK(0, 0, 0, 0)
#define ALL (~0u)

static void supported_xsave(struct fermata_cpuid *out, u64 xcr0)
{
	u32 i;

	put_masked(out, 0xd, 0, FERMATA_CPUID_SUBLEAF, MASK((u32)xcr0, ALL, ALL, (u32)(xcr0 >> 32)),
		   NONE);
	put_masked(out, 0xd, 1, FERMATA_CPUID_SUBLEAF, MASK(LEAFD_1_EAX, 0, 0, 0), NONE);
	for (i = 2; i < 63; i++)
		if (xcr0 & BIT_ULL(i)) /* ECX: of the compacted form's alignment alone */
			put_masked(out, 0xd, i, FERMATA_CPUID_SUBLEAF, MASK(ALL, ALL, B(1), 0),
				   NONE);
}

static void supported_basic(struct fermata_cpuid *out, u64 xcr0)
{
	struct cpu_words r = cpu_cpuid(0, 0);
	u32 max = min(r.eax, 0x1fu), i;

	r.eax = max;
	put(out, 0, 0, 0, r);
	put_masked(out, 1, 0, 0, MASK(ALL, 0x0000ff00, LEAF1_ECX, LEAF1_EDX),
		   MASK(0, 0, LEAF1_ECX_OURS, 0));
	if (max >= 2)
		put_masked(out, 2, 0, 0, MASK(ALL, ALL, ALL, ALL), NONE);
	for (i = 0; max >= 4 && i < 8; i++) { /* caches; sharing is the caller's */
		r = cpu_cpuid(4, i);
		if (!(r.eax & 0x1f))
			break;
		put_masked(out, 4, i, FERMATA_CPUID_SUBLEAF, MASK(0x3ff, ALL, ALL, ALL), NONE);
	}
	if (max >= 6) /* ARAT: our APIC timer never stops */
		put(out, 6, 0, 0, MASK(B(2), 0, 0, 0));
	if (max >= 7) {
		put_masked(out, 7, 0, FERMATA_CPUID_SUBLEAF,
			   MASK(0, LEAF7_EBX,
				LEAF7_ECX | (xcr0 & ARCH_XCR0_PKRU ? LEAF7_ECX_PKU : 0), LEAF7_EDX),
			   MASK(1, LEAF7_EBX_OURS, 0, 0));
		put_masked(out, 7, 1, FERMATA_CPUID_SUBLEAF, MASK(LEAF7_1_EAX, 0, 0, 0), NONE);
	}
	if (max >= 0xb)
		put(out, 0xb, 0, FERMATA_CPUID_SUBLEAF, MASK(0, 1, 0x100, 0));
	if (max >= 0xb)
		put(out, 0xb, 1, FERMATA_CPUID_SUBLEAF, MASK(0, 1, 0x201, 0));
	if (max >= 0xd && xcr0)
		supported_xsave(out, xcr0);
}

static void supported_extended(struct fermata_cpuid *out)
{
	u32 max = cpu_cpuid(0x80000000, 0).eax, leaf, i;
	struct cpu_words r;

	if (max < 0x80000000)
		return;
	max = min(max, 0x80000021u);
	r = cpu_cpuid(0x80000000, 0);
	r.eax = max;
	put(out, 0x80000000, 0, 0, r);
	put_masked(out, 0x80000001, 0, 0, MASK(ALL, ALL, LEAFX1_ECX, LEAFX1_EDX), NONE);
	for (leaf = 0x80000002; leaf <= 0x80000006 && leaf <= max; leaf++)
		put_masked(out, leaf, 0, 0, MASK(ALL, ALL, ALL, ALL), NONE);
	if (max >= 0x80000007)
		put_masked(out, 0x80000007, 0, 0, MASK(0, 0, 0, LEAFX7_EDX), NONE);
	if (max >= 0x80000008) /* EAX: widths; nested paging gives the guest the host's */
		put_masked(out, 0x80000008, 0, 0, MASK(0xffff, LEAFX8_EBX, 0, 0), NONE);
	for (i = 0; max >= 0x8000001d && i < 8; i++) {
		r = cpu_cpuid(0x8000001d, i);
		if (!(r.eax & 0x1f))
			break;
		put_masked(out, 0x8000001d, i, FERMATA_CPUID_SUBLEAF, MASK(0x3ff, ALL, ALL, ALL),
			   NONE);
	}
	if (max >= 0x8000001e)
		put(out, 0x8000001e, 0, 0, NONE);
	if (max >= 0x80000021)
		put_masked(out, 0x80000021, 0, 0, MASK(LEAFX21_EAX, 0, 0, 0), NONE);
}

void cpuid_supported(struct fermata_cpuid *out, u64 host_xcr0)
{
	memset(out, 0, sizeof(*out));
	supported_basic(out, host_xcr0);
	/* The signature of a hypervisor without paravirtual leaves. */
	put(out, SIGNATURE_LEAF, 0, 0,
	    MASK(SIGNATURE_LEAF, 0x6d726546, 0x46617461, 0x61746d72)); /* "FermataFrmta" */
	supported_extended(out);
}

static const struct fermata_cpuid_entry *find(const struct fermata_cpuid *in, u32 leaf, u32 subleaf)
{
	u32 i;

	for (i = 0; i < in->count; i++)
		if (in->entry[i].leaf == leaf && (!(in->entry[i].flags & FERMATA_CPUID_SUBLEAF) ||
						  in->entry[i].subleaf == subleaf))
			return &in->entry[i];
	return NULL;
}

/* Leaves whose words are feature bits: a bit more than is supported would be a promise we break. */
static bool promises_too_much(const struct fermata_cpuid_entry *e,
			      const struct fermata_cpuid *supported)
{
	const struct fermata_cpuid_entry *s = find(supported, e->leaf, e->subleaf);
	struct cpu_words mask = NONE;

	switch (e->leaf) {
	case 1: /* HTT is topology, the caller's */
		mask = MASK(0, 0, ALL, ALL & ~B(28));
		break;
	case 7:
		mask = e->subleaf ? MASK(ALL, ALL, ALL, ALL) : MASK(0, ALL, ALL, ALL);
		break;
	case 0xd:
		mask = e->subleaf == 0 ? MASK(ALL, 0, 0, ALL) :
		       e->subleaf == 1 ? MASK(ALL, 0, ALL, ALL) :
					 NONE;
		break;
	case 0x80000001: /* so is CmpLegacy */
		mask = MASK(0, 0, ALL & ~B(1), ALL);
		break;
	case 0x80000021:
		mask = MASK(ALL, ALL, ALL, ALL);
		break;
	case 0x80000007:
		mask = MASK(0, 0, 0, ALL);
		break;
	case 0x80000008:
		mask = MASK(0, ALL, 0, 0);
		break;
	case KVM_LEAF:
		return (e->eax & ~KVM_EAX) | e->ebx | e->ecx | e->edx;
	case 0x8000000a:
		return e->eax | e->ebx | e->ecx | e->edx;
	}
	if (!s)
		return (e->eax & mask.eax) | (e->ebx & mask.ebx) | (e->ecx & mask.ecx) |
		       (e->edx & mask.edx);
	if (e->leaf == 0x80000008 && ((e->eax & 0xff) > (s->eax & 0xff) || (e->eax & 0xff) < 32))
		return true;
	return (e->eax & mask.eax & ~s->eax) | (e->ebx & mask.ebx & ~s->ebx) |
	       (e->ecx & mask.ecx & ~s->ecx) | (e->edx & mask.edx & ~s->edx);
}

static u64 cr4_from(u32 c1, u32 d1, u32 b7, u32 c7)
{
	u64 cr4 = ARCH_CR4_PCE; /* RDPMC from CPL 3: refused anyhow */

	cr4 |= d1 & B(1) ? ARCH_CR4_VME | ARCH_CR4_PVI : 0;
	cr4 |= d1 & B(2) ? ARCH_CR4_DE : 0;
	cr4 |= d1 & B(3) ? ARCH_CR4_PSE : 0;
	cr4 |= d1 & B(4) ? ARCH_CR4_TSD : 0;
	cr4 |= d1 & B(6) ? ARCH_CR4_PAE : 0;
	cr4 |= d1 & B(7) ? ARCH_CR4_MCE : 0;
	cr4 |= d1 & B(13) ? ARCH_CR4_PGE : 0;
	cr4 |= d1 & B(24) ? ARCH_CR4_OSFXSR : 0;
	cr4 |= d1 & B(25) ? ARCH_CR4_OSXMMEXCPT : 0;
	cr4 |= c1 & B(17) ? ARCH_CR4_PCIDE : 0;
	cr4 |= c1 & B(26) ? ARCH_CR4_OSXSAVE : 0;
	cr4 |= b7 & B(0) ? ARCH_CR4_FSGSBASE : 0;
	cr4 |= b7 & B(7) ? ARCH_CR4_SMEP : 0;
	cr4 |= b7 & B(20) ? ARCH_CR4_SMAP : 0;
	cr4 |= c7 & B(2) ? ARCH_CR4_UMIP : 0;
	cr4 |= c7 & B(3) ? ARCH_CR4_PKE : 0;
	cr4 |= c7 & B(16) ? ARCH_CR4_LA57 : 0;
	return cr4;
}

static void derive(struct cpuid_table *t, const struct fermata_cpuid *in)
{
	static const struct fermata_cpuid_entry none;
	const struct fermata_cpuid_entry *l0 = find(in, 0, 0) ?: &none,
					 *l1 = find(in, 1, 0) ?: &none;
	const struct fermata_cpuid_entry *l7 = find(in, 7, 0) ?: &none,
					 *ld = find(in, 0xd, 0) ?: &none;
	const struct fermata_cpuid_entry *x1 = find(in, 0x80000001, 0) ?: &none;
	const struct fermata_cpuid_entry *x8 = find(in, 0x80000008, 0) ?: &none;
	const struct fermata_cpuid_entry *kvm = find(in, KVM_LEAF, 0) ?: &none;

	t->cr4_allowed = cr4_from(l1->ecx, l1->edx, l7->ebx, l7->ecx);
	t->efer_allowed = x1->edx & B(11) ? ARCH_EFER_SCE : 0;
	t->efer_allowed |= x1->edx & B(29) ? ARCH_EFER_LME | ARCH_EFER_LMA : 0;
	t->efer_allowed |= x1->edx & B(20) ? ARCH_EFER_NXE : 0;
	t->efer_allowed |= x1->edx & B(25) ? ARCH_EFER_FFXSR : 0;
	t->xcr0_allowed = l1->ecx & B(26) ? ld->eax | (u64)ld->edx << 32 : 0;
	t->phys_bits = x8->eax & 0xff ?: 36;
	t->linear_bits = l7->ecx & B(16) ? 57 : 48;
	t->rdtscp = x1->edx & B(27) || l7->ecx & B(22);
	t->x2apic = l1->ecx & B(21);
	t->tsc_deadline = l1->ecx & B(24);
	t->tsc_adjust = l7->ebx & B(1);
	t->mtrr = l1->edx & B(12);
	t->mce = l1->edx & B(14);
	t->ibpb = x8->ebx & B(12);
	t->kvmclock = kvm->eax & B(3);
	t->kvmclock_stable = kvm->eax & B(24);
	t->amd = l0->ebx == 0x68747541; /* "Auth" */
}

static u8 *index_of(struct cpuid_table *t, u32 leaf)
{
	if (leaf < CPUID_BASIC_LEAVES)
		return &t->basic[host_index(leaf, CPUID_BASIC_LEAVES)];
	if (leaf - 0x80000000 < CPUID_EXTENDED_LEAVES)
		return &t->extended[host_index(leaf - 0x80000000, CPUID_EXTENDED_LEAVES)];
	if (leaf - SIGNATURE_LEAF < CPUID_HYPERVISOR_LEAVES)
		return &t->hypervisor[host_index(leaf - SIGNATURE_LEAF, CPUID_HYPERVISOR_LEAVES)];
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
	memset(t, 0, sizeof(*t));
	for (i = 0; i < wanted->count; i++) {
		const struct fermata_cpuid_entry *e = &wanted->entry[i];

		if (e->reserved || e->flags & ~FERMATA_CPUID_SUBLEAF || !index_of(t, e->leaf) ||
		    promises_too_much(e, supported))
			return -EINVAL;
	}
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
			t->entry[i].ebx &= ~B(10);
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
			size = (e->ecx & B(1) ? (size + 63) & ~63u : size) + e->eax;
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
	struct cpu_words r = NONE;
	const u8 *at = index_of(t, leaf);
	u32 i;

	for (i = at && *at ? *at - 1u : t->count; i < t->count && t->entry[i].leaf == leaf; i++) {
		const struct fermata_cpuid_entry *e = &t->entry[i];

		if (e->flags & FERMATA_CPUID_SUBLEAF && e->subleaf != subleaf)
			continue;
		r = MASK(e->eax, e->ebx, e->ecx, e->edx);
		break;
	}
	switch (leaf) {
	case 1:
		r.ebx = (r.ebx & 0xffffff) | v->id << 24;
		if (v->guest.cr4 & ARCH_CR4_OSXSAVE)
			r.ecx |= B(27);
		if (!apic_enabled(&v->apic)) /* SDM 3A 11.4.3 */
			r.edx &= ~B(9);
		break;
	case 7:
		if (subleaf == 0 && v->guest.cr4 & ARCH_CR4_PKE)
			r.ecx |= B(4);
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
		} else if (subleaf == 1 && r.eax & B(1)) {
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
