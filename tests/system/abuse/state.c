/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Register state that no processor was ever in. What SET_STATE takes, the processor takes too; VT-x may
 * refuse it at the entry, for reasons that the audit knows.
 */
#include "abuse.h"

static struct fermata_state good, tried;
static unsigned exits[FERMATA_EXIT_REASONS], refused, taken, dead, interrupted, explained;

static void mangle_segment(struct fermata_segment *s)
{
	switch (below(5)) {
	case 0:
		s->selector = interesting();
		break;
	case 1:
		s->attrib = interesting();
		break;
	case 2:
		s->attrib ^= 1u << below(13);
		break;
	case 3:
		s->limit = interesting();
		break;
	case 4:
		s->base = interesting();
		break;
	}
}

/* A change that has a chance to be taken. */
static void mangle(struct fermata_state *s)
{
	uint64_t *control = (uint64_t *)&s->control;

	switch (below(14)) {
	case 0:
		s->regs.rip = interesting();
		break;
	case 1:
		s->regs.rflags = interesting() & 0x3f7fd7;
		break;
	case 2:
		s->regs.regs[below(FERMATA_REGS)] = interesting();
		break;
	case 3:
	case 4:
		mangle_segment(&(&s->segments.es)[below(8)]);
		break;
	case 5:
		(below(2) ? &s->segments.gdt : &s->segments.idt)->base = interesting();
		(below(2) ? &s->segments.gdt : &s->segments.idt)->limit = below(1 << 16);
		break;
	case 6:
		control[below(sizeof(s->control) / 8)] = interesting();
		break;
	case 7:
		control[below(sizeof(s->control) / 8)] ^= 1ull << below(32);
		break;
	case 8:
		s->control.cr0 ^= 1u << 31;
		s->control.efer ^= 1u << 10;
		break;
	case 9:
		s->debug.dr7 = (uint32_t)interesting();
		s->debug.dr6 = (uint32_t)interesting();
		s->debug.dr[below(4)] = interesting();
		break;
	case 10:
		((uint64_t *)&s->msrs)[below(sizeof(s->msrs) / 8)] = interesting();
		break;
	case 11:
		s->pending.injection.kind = below(6);
		s->pending.injection.vector = below(below(2) ? 33 : 257);
		s->pending.injection.code = interesting();
		s->pending.init_pending = s->pending.sipi_pending = !below(20);
		s->pending.sipi_vector = below(256);
		s->pending.eoi_pending = !below(10);
		s->pending.eoi_vector = below(256);
		s->pending.nmi_pending = below(2);
		s->pending.nmi_blocked = below(2);
		s->pending.interrupts_blocked = below(2);
		s->pending.mp_state = below(5);
		break;
	case 12:
		s->apic.reg[below(64)] = interesting();
		break;
	case 13:
		s->xsave.area[below(below(2) ? 600 : FERMATA_XSAVE_SIZE)] = chance();
		break;
	}
}

static void report(const struct fermata_run *page, uint64_t seed)
{
	note("seed %#llx: %s %#x: cr0 %#llx cr3 %#llx cr4 %#llx efer %#llx cs %#x ss %#x rflags %#llx "
	     "injection %u %u",
	     (unsigned long long)seed, exit_name(page->exit.reason), page->exit.hw_reason,
	     (unsigned long long)tried.control.cr0, (unsigned long long)tried.control.cr3,
	     (unsigned long long)tried.control.cr4, (unsigned long long)tried.control.efer,
	     tried.segments.cs.attrib, tried.segments.ss.attrib,
	     (unsigned long long)tried.regs.rflags, tried.pending.injection.kind,
	     tried.pending.injection.vector);
}

/*
 * Bochs 2.7 also wants RPL = DPL in a non-conforming CS, which is not among the checks of SDM 3C 27.3.1.2
 * on unrestricted guests.
 */
static bool bochs_alone(int vcpu)
{
	static struct fermata_state now;
	const struct fermata_segment *cs = &now.segments.cs;

	now.mask = FERMATA_STATE_SEGMENTS;
	must(!ioctl(vcpu, FERMATA_GET_STATE, &now), "GET_STATE");
	return (cs->attrib & 0xc) == 8 && (cs->selector & 3) != (cs->attrib >> 5 & 3);
}

/* No state that was taken may make an instruction of the module's fault. */
static bool explains(struct guest *g)
{
	return vendor() == FERMATA_VENDOR_INTEL &&
	       g->page[0]->exit.hw_reason != FERMATA_HW_REFUSED &&
	       (audit_count(g->vcpu[0]) || bochs_alone(g->vcpu[0]));
}

/* A few turns with whatever it is now. False: an entry that failed. */
static bool run_it(struct guest *g, uint64_t seed)
{
	struct fermata_run *page = g->page[0];

	for (unsigned turn = 0; turn < 4; turn++) {
		unsigned reason;

		if (ioctl(g->vcpu[0], FERMATA_RUN, 0)) {
			if (errno == EIO) {
				dead++;
				return true;
			}
			if (errno != EINTR) {
				note("seed %#llx: RUN: %s", (unsigned long long)seed,
				     strerror(errno));
				return false;
			}
			interrupted++;
			return true;
		}
		reason = page->exit.reason;
		if (reason >= FERMATA_EXIT_REASONS) {
			note("exit %u", reason);
			return false;
		}
		exits[reason]++;
		if (reason == FERMATA_EXIT_FAIL_ENTRY && explains(g)) {
			explained++;
			return true;
		}
		if (reason == FERMATA_EXIT_FAIL_ENTRY || reason == FERMATA_EXIT_UNCLAIMED) {
			report(page, seed);
			return false;
		}
		page->advance = page->exit.insn_len;
	}
	return true;
}

/* With ABUSE_TELL set: each state before it is tried, as its difference from one that runs. */
static void tell(uint64_t seed)
{
	const uint32_t *a = (const uint32_t *)&good, *b = (const uint32_t *)&tried;

	if (!getenv("ABUSE_TELL"))
		return;
	note("seed %#llx", (unsigned long long)seed);
	for (size_t i = 0; i < sizeof(tried) / 4; i++)
		if (a[i] != b[i])
			note("byte %zu: %#x, was %#x", i * 4, b[i], a[i]);
}

/* What was set is what is read, where the two can be compared. */
static bool same(struct guest *g, uint64_t seed)
{
	static struct fermata_state now;

	now.mask = tried.mask & (FERMATA_STATE_REGS | FERMATA_STATE_PENDING | FERMATA_STATE_XSAVE);
	if (ioctl(g->vcpu[0], FERMATA_GET_STATE, &now))
		return false;
	if (now.mask & FERMATA_STATE_REGS &&
	    (memcmp(now.regs.regs, tried.regs.regs, sizeof(now.regs.regs)) ||
	     now.regs.rip != tried.regs.rip)) {
		note("seed %#llx: registers read back differ", (unsigned long long)seed);
		return false;
	}
	if (now.mask & FERMATA_STATE_PENDING && now.pending.mp_state != tried.pending.mp_state) {
		note("seed %#llx: mp_state reads back as %d", (unsigned long long)seed,
		     now.pending.mp_state);
		return false;
	}
	return true;
}

static void one(struct guest *g, unsigned i, unsigned *bad)
{
	uint64_t seed = chance_seed;

	remember_seed(seed);
	/* Back to something that runs, most of the time. */
	good.mask = FERMATA_STATE_ALL;
	mode_state(&good, below(MODES));
	good.mask = FERMATA_STATE_ALL;
	if (below(8) && ioctl(g->vcpu[0], FERMATA_SET_STATE, &good)) {
		note("the good state was refused: %s", strerror(errno));
		++*bad;
	}
	tried = good;
	if (!below(10))
		chance_fill((char *)&tried + 8, below(sizeof(tried) - 8));
	for (unsigned n = below(6); n--;)
		mangle(&tried);
	tried.mask = below(4) ? FERMATA_STATE_ALL : chance() & FERMATA_STATE_ALL;
	tell(seed);
	if (!ioctl(g->vcpu[0], FERMATA_SET_STATE, &tried)) {
		taken++;
		*bad += !same(g, seed);
	} else if (errno == EINVAL) {
		refused++;
	} else {
		note("seed %#llx: SET_STATE: %s", (unsigned long long)seed, strerror(errno));
		++*bad;
	}
	*bad += !run_it(g, seed);
}

/* What XSETBV, XRSTOR and WRMSR fault on, by each way to ask for it. */
static void ring_0_values(void)
{
	static struct fermata_cpuid cpuid;
	struct fermata_cpuid_entry all = { .leaf = 0xd, .subleaf = 5, .eax = ~0u, .edx = ~0u };
	uint64_t components = 1ull << 62 | 7;
	int vm = vm_create(), device = device_open();
	struct guest g;

	must(!ioctl(device, FERMATA_GET_CPUID, &cpuid), "GET_CPUID");
	cpuid.entry[cpuid.count++] = all;
	gives(ioctl(vm, FERMATA_SET_CPUID, &cpuid), EINVAL,
	      "subleaf 5 of leaf Dh, as the answer to all");
	cpuid.entry[0] = all;
	gives(ioctl(vm, FERMATA_SET_CPUID, &cpuid), EINVAL, "the same, first");
	close(vm);
	close(device);
	guest_new(&g, 1, MODE_LONG);
	must(!slot_set(g.vm, 1, DATA_AT, PAGE, ram_new(PAGE), 0), "SET_MEMORY");
	count_setup(&g, 0, PAGE);
	good.mask = FERMATA_STATE_ALL;
	must(!ioctl(g.vcpu[0], FERMATA_GET_STATE, &good), "GET_STATE");
	tried = good;
	tried.control.xcr0 = 0x8000000000060007;
	gives(ioctl(g.vcpu[0], FERMATA_SET_STATE, &tried), EINVAL,
	      "XCR0 with components of nobody's");
	tried = good;
	memcpy(tried.xsave.area + 512, &components, sizeof(components));
	gives(ioctl(g.vcpu[0], FERMATA_SET_STATE, &tried), EINVAL, "XSTATE_BV[62]");
	tried = good;
	tried.msrs.sfmask = 1ull << 32;
	gives(ioctl(g.vcpu[0], FERMATA_SET_STATE, &tried), EINVAL, "SFMASK[32]");
	tried = good;
	tried.msrs.lstar = 1ull << 63;
	gives(ioctl(g.vcpu[0], FERMATA_SET_STATE, &tried), EINVAL, "LSTAR, not canonical");
	ok(count_run(&g, 0, 10) == 0, "the guest runs as before");
	guest_end(&g);
}

void abuse_state(void)
{
	unsigned bad = 0, count = times(6000);
	struct guest g;

	ring_0_values();
	for (unsigned i = 0; i < count && bad < 20; i++) {
		if (i % 200 == 0) {
			remember_start(chance_seed);
			ticks(0);
			if (i)
				guest_end(&g);
			guest_new(&g, 1, MODE_LONG);
			count_setup(&g, 0, PAGE);
			good.mask = FERMATA_STATE_ALL;
			must(!ioctl(g.vcpu[0], FERMATA_GET_STATE, &good), "GET_STATE");
			ticks(2000);
		}
		one(&g, i, &bad);
	}
	ticks(0);
	guest_end(&g);
	ok(!bad,
	   "random states are refused, or the processor takes them, or the audit says why not");
	note("explained by the audit: %u", explained);
	ok(taken > count / 10 && refused > count / 10, "%u taken, %u refused", taken, refused);
	for (unsigned i = 0; i < FERMATA_EXIT_REASONS; i++)
		if (exits[i])
			note("%s: %u", exit_name(i), exits[i]);
	note("interrupted: %u, dead before: %u", interrupted, dead);
}
