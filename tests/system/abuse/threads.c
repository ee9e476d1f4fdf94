/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Threads that do to a vCPU what its own thread does not expect. */
#include "abuse.h"

static struct guest g;
static volatile bool stop, running;

/* A guest that only runs, and exits for nothing. */
static void spin_setup(unsigned vcpu)
{
	static const uint8_t code[] = { 0xeb, 0xfe };

	memcpy(g.low + CODE_AT, code, sizeof(code));
}

static void *run_once(void *vcpu)
{
	intptr_t result;

	running = true;
	result = ioctl((intptr_t)vcpu, FERMATA_RUN, 0) ? errno : 0;
	running = false;
	return (void *)result;
}

static pthread_t start_running(int vcpu)
{
	pthread_t thread;

	running = false;
	must(!pthread_create(&thread, NULL, run_once, (void *)(intptr_t)vcpu), "pthread_create");
	while (!running)
		sleep_us(1000);
	sleep_us(20000);
	return thread;
}

static intptr_t stop_running(pthread_t thread)
{
	void *result;

	/* A signal between two calls would be lost: again until it has ended. */
	while (running) {
		pthread_kill(thread, SIGALRM);
		sleep_us(1000);
	}
	pthread_join(thread, &result);
	return (intptr_t)result;
}

static void one_at_a_time(void)
{
	static struct fermata_stats stats;
	static struct fermata_state state = { .mask = FERMATA_STATE_REGS };
	struct fermata_injection event = { .kind = FERMATA_INJECT_NMI };
	struct fermata_translate t = { .linear = CODE_AT };
	pthread_t thread;

	guest_new(&g, 2, MODE_LONG);
	spin_setup(0);
	thread = start_running(g.vcpu[0]);
	gives(ioctl(g.vcpu[0], FERMATA_RUN, 0), EBUSY, "RUN of a running vCPU");
	gives(ioctl(g.vcpu[0], FERMATA_GET_STATE, &state), EBUSY, "GET_STATE of a running vCPU");
	gives(ioctl(g.vcpu[0], FERMATA_SET_STATE, &state), EBUSY, "SET_STATE of a running vCPU");
	gives(ioctl(g.vcpu[0], FERMATA_INJECT, &event), EBUSY, "INTERRUPT of a running vCPU");
	gives(ioctl(g.vcpu[0], FERMATA_TRANSLATE, &t), EBUSY, "TRANSLATE of a running vCPU");
	gives(ioctl(g.vcpu[0], FERMATA_GET_STATS, &stats), 0, "GET_STATS of a running vCPU");
	gives(ioctl(g.vcpu[1], FERMATA_GET_STATE, &state), 0, "GET_STATE of its neighbour");
	ok(running, "it runs on");
	ok(stop_running(thread) == EINTR, "until a signal: EINTR");
	g.page[0]->immediate_exit = 1;
	gives(ioctl(g.vcpu[0], FERMATA_RUN, 0), EINTR, "immediate_exit");
	g.page[0]->immediate_exit = 0;
	guest_end(&g);
}

/* The other descriptors' ends while a thread is in the guest. */
static void closed_under_it(void)
{
	pthread_t thread;

	guest_new(&g, 1, MODE_LONG);
	spin_setup(0);
	thread = start_running(g.vcpu[0]);
	close(g.vm);
	close(g.vcpu[0]);
	munmap(g.page[0], PAGE);
	munmap(g.low, g.low_size);
	/* Its code went with its memory. */
	for (unsigned i = 0; i < 1000 && running; i++)
		sleep_us(10000);
	ok(stop_running(thread) == 0, "descriptors closed and memory unmapped under a running vCPU");

	guest_new(&g, 1, MODE_LONG);
	spin_setup(0);
	close(g.vm);
	ticks(20000);
	gives(ioctl(g.vcpu[0], FERMATA_RUN, 0), EINTR,
	      "a vCPU runs after its VM's descriptor is closed");
	ticks(0);
	close(g.vcpu[0]);
	g.page[0]->regs[0] = 1;
	ok(g.page[0]->regs[0] == 1, "the run page is there as long as it is mapped");
	munmap(g.page[0], PAGE);
	munmap(g.low, g.low_size);

	guest_new(&g, 1, MODE_LONG);
	munmap(g.page[0], PAGE);
	close(g.vcpu[0]);
	gives(vcpu_create(g.vm, 0), EEXIST,
	      "a vCPU whose descriptor is closed stays until its VM ends");
	gives(vcpu_create(g.vm, 1), 0, "others can still be made");
	close(g.vm);
	munmap(g.low, g.low_size);
}

/* ---- a run page in hostile hands */

static void *scribble(void *at)
{
	volatile struct fermata_run *page = at;
	uint64_t z = 1;

	while (!stop) {
		z = z * 6364136223846793005 + 1442695040888963407;
		switch (z >> 60) {
		case 0:
			page->set = z >> 30 & (z >> 40 & 1 ? 3 : ~0u);
			break;
		case 1:
			page->advance = z >> 30;
			break;
		case 2:
			page->immediate_exit = z >> 40 & 1;
			break;
		case 3:
			page->rip = z;
			break;
		case 4:
			page->rflags = z;
			break;
		case 5:
			page->exit.reason = z >> 33;
			break;
		case 6:
			((volatile uint8_t *)&page->exit)[(z >> 33) % sizeof(page->exit)] = z >> 20;
			break;
		default:
			page->regs[z >> 40 & 15] = z & 1 ? z : z >> 44;
		}
	}
	return NULL;
}

static void hostile_page(void)
{
	/* cpuid; rdmsr; wrmsr; mov cr0; out; hlt-free, for ever */
	static const uint8_t code[] = { 0x0f, 0xa2, 0x0f, 0x32, 0x0f, 0x30, 0x0f, 0x22, 0xc0,
					0xee, 0x0f, 0x23, 0xf8, 0xec, 0xf3, 0x6e, 0xeb, 0xec };
	static struct fermata_state state;
	unsigned odd = 0, ran = 0;
	pthread_t thread;
	time_t limit;

	guest_new(&g, 1, MODE_LONG);
	stop = false;
	must(!pthread_create(&thread, NULL, scribble, g.page[0]), "pthread_create");
	ticks(10000);
	limit = time(NULL) + 1 + scale / 12;
	while (time(NULL) < limit) {
		memcpy(g.low + CODE_AT, code, sizeof(code));
		state.mask = FERMATA_STATE_ALL;
		if (!ioctl(g.vcpu[0], FERMATA_GET_STATE, &state)) {
			mode_state(&state, MODE_LONG);
			ioctl(g.vcpu[0], FERMATA_SET_STATE, &state);
		}
		for (unsigned n = 0; n < 10; n++) {
			/* Most of what is scribbled there is refused, and stays while the other has no turn. */
			if (n % 2) {
				g.page[0]->set = 0;
				g.page[0]->immediate_exit = 0;
			}
			if (!ioctl(g.vcpu[0], FERMATA_RUN, 0))
				ran++;
			else if (errno != EINTR && errno != EINVAL && errno != EIO)
				odd++;
		}
	}
	ticks(0);
	stop = true;
	pthread_join(thread, NULL);
	ok(!odd && ran > 0, "a run page that changes all the time: %u exits", ran);
	memset(g.page[0], 0, sizeof(*g.page[0]));
	/* The last run may have been its death, and the dead get EIO before anyone reads their page. */
	mode_state(&state, MODE_LONG);
	must(!ioctl(g.vcpu[0], FERMATA_SET_STATE, &state), "FERMATA_SET_STATE");
	g.page[0]->set = 4;
	gives(ioctl(g.vcpu[0], FERMATA_RUN, 0), EINVAL, "set with an unknown bit");
	g.page[0]->set = 0;
	g.page[0]->advance = 16;
	gives(ioctl(g.vcpu[0], FERMATA_RUN, 0), EINVAL, "advance by 16");
	g.page[0]->advance = 0;
	guest_end(&g);
}

/* ---- many threads, all calls, one VM */

static void *any_call(void *seed)
{
	static uint8_t room[8][1 << 14];
	uint64_t z = (uintptr_t)seed;
	uint8_t *mine = room[z % 8];

	while (!stop) {
		struct fermata_msi msi = { .address = 0xfee00000 | (z >> 20 & 0xff00c),
					   .data = z >> 33 & 0x7ff };
		struct fermata_line line = { z >> 20 & 1, z >> 21 & 1, z >> 22 & 3, 0 };
		struct fermata_state *state = (void *)mine;
		int vcpu = g.vcpu[z >> 50 & 3];

		z = z * 6364136223846793005 + 1442695040888963407;
		switch (z >> 60) {
		case 0:
			ioctl(g.vm, FERMATA_SIGNAL_MSI, &msi);
			break;
		case 1:
			ioctl(g.vm, FERMATA_SET_LINE, &line);
			break;
		case 2:
			slot_set(g.vm, 5, 0x40000000, MIB, g.low, 0);
			break;
		case 3:
			slot_set(g.vm, 5, 0, 0, NULL, 0);
			break;
		case 4:
			close(vcpu_create(g.vm, 4 + (z >> 40) % 60));
			break;
		case 5:
		case 6:
			state->mask = FERMATA_STATE_ALL;
			state->reserved = 0;
			if (!ioctl(vcpu, FERMATA_GET_STATE, state) && z >> 40 & 1) {
				mode_state(state, MODE_LONG);
				state->mask = FERMATA_STATE_ALL;
				state->control.apic_base |= 0x800;
				ioctl(vcpu, FERMATA_SET_STATE, state);
			}
			break;
		case 7:
			ioctl(vcpu, FERMATA_GET_STATS, mine);
			break;
		case 8:
			madvise(g.low + MIB, MIB, MADV_DONTNEED);
			break;
		default:
			ioctl(vcpu, FERMATA_RUN, 0);
		}
	}
	return NULL;
}

static void *tick_all(void *threads)
{
	while (!stop) {
		for (unsigned i = 0; i < 6; i++)
			pthread_kill(((pthread_t *)threads)[i], SIGALRM);
		sleep_us(3000);
	}
	return NULL;
}

static void all_at_once(void)
{
	pthread_t thread[6], ticker;

	guest_new(&g, 4, MODE_LONG);
	count_setup(&g, 0, PAGE);
	stop = false;
	ticks(100000);
	ticks(0);
	for (uintptr_t i = 0; i < 6; i++)
		must(!pthread_create(&thread[i], NULL, any_call, (void *)(i + 1)), "pthread_create");
	must(!pthread_create(&ticker, NULL, tick_all, thread), "pthread_create");
	sleep_us(1000000 + scale * 80000);
	stop = true;
	/* Who sleeps in RUN needs one more signal than the ticker sends. */
	pthread_join(ticker, NULL);
	for (unsigned i = 0; i < 6; i++)
		while (pthread_tryjoin_np(thread[i], NULL)) {
			pthread_kill(thread[i], SIGALRM);
			sleep_us(1000);
		}
	ok(true, "six threads with every call at once come to an end");
	guest_end(&g);
}

void abuse_threads(void)
{
	ticks(0);
	one_at_a_time();
	closed_under_it();
	hostile_page();
	all_at_once();
}
