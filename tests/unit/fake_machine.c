/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "fake_machine.h"

#include <errno.h>
#include <string.h>

#include "fermata.h"

struct fake_machine fake = { .lock = PTHREAD_MUTEX_INITIALIZER };

void fake_news(enum machine_news news)
{
	pthread_mutex_lock(&fake.lock);
	fake.paused = news == MACHINE_NEWS_PAUSED;
	if (fake.listener)
		fake.listener(fake.opaque, news, &fake.end);
	pthread_mutex_unlock(&fake.lock);
}

void machine_listen(struct machine *m, machine_listener *listener, void *opaque)
{
	pthread_mutex_lock(&fake.lock);
	fake.listener = listener;
	fake.opaque = opaque;
	pthread_mutex_unlock(&fake.lock);
}

int machine_pause(struct machine *m)
{
	fake_news(MACHINE_NEWS_PAUSED);
	return 0;
}

int machine_resume(struct machine *m)
{
	if (fake.end.kind)
		return -ESRCH;
	fake.advances = false;
	fake_news(MACHINE_NEWS_RESUMED);
	return 0;
}

void machine_pause_advances(struct machine *m, bool advances)
{
	fake.advances = advances;
}

bool machine_pause_advancing(struct machine *m)
{
	return fake.advances;
}

bool machine_paused(struct machine *m)
{
	return fake.paused;
}

void machine_stop(struct machine *m)
{
	fake.end.kind = MACHINE_STOPPED;
	fake_news(MACHINE_NEWS_ENDED);
}

bool machine_ended(struct machine *m, struct machine_end *end)
{
	return fake.end.kind;
}

int machine_rule_add(struct machine *m, struct fermata_rule *rule)
{
	rule->id = FAKE_RULE;
	fake.rule = *rule;
	return 0;
}

int machine_rule_remove(struct machine *m, unsigned id)
{
	if (id != FAKE_RULE)
		return -ENOENT;
	fake.rule.id = 0;
	return 0;
}

int machine_rule_get(struct machine *m, struct fermata_rule *rule)
{
	if (!fake.rule.id || rule->id > fake.rule.id)
		return -ENOENT;
	*rule = fake.rule;
	return 0;
}

unsigned machine_log_read(struct machine *m, struct fermata_record *out, unsigned room,
			  uint64_t *dropped)
{
	unsigned count = fake.records < room ? fake.records : room;

	pthread_mutex_lock(&fake.lock);
	for (unsigned i = 0; i < count; i++)
		out[i] = (struct fermata_record){
			.sequence = fake.sequence++,
			.guest_ns = 1000,
			.number = 59,
			.value = ~0ull,
			.regs = { 1, 2, 3 },
			.linear = ~0ull,
			.rule = FAKE_RULE,
			.event = FERMATA_ON_SYSCALL,
			.flags = FERMATA_RECORD_SKIPPED | FERMATA_RECORD_SET,
		};
	fake.records -= count;
	*dropped = fake.dropped;
	pthread_mutex_unlock(&fake.lock);
	return count;
}

int machine_stats(struct machine *m, struct fermata_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->vendor = FERMATA_VENDOR_AMD;
	stats->entries = 11;
	stats->exit[fermata_exit_slot(0x72)] = (struct fermata_exit_count){ 5, 50 };
	return 0;
}

int machine_log_dirty(struct machine *m, bool on)
{
	fake.dirty_log = on;
	return 0;
}

int machine_dirty(struct machine *m, struct machine_dirty *dirty)
{
	memset(dirty, 0, sizeof(*dirty));
	dirty->pages = 3;
	dirty->ns = 17;
	dirty->ranges = 1;
	dirty->range[0] = (struct machine_dirty_range){ 0x5000, 3 };
	dirty->left_out = 2;
	return fake.dirty_log ? 0 : -ENOENT;
}

/* ---- its clock */

static int did(const char *what, int64_t number, int64_t den)
{
	fake.hand.did = what;
	fake.hand.number = number;
	fake.hand.den = den;
	return fake.hand.result;
}

int machine_clock_catch_up(struct machine *m)
{
	return did("catch up", 0, 0);
}

int machine_clock_rate(struct machine *m, uint32_t num, uint32_t den)
{
	return did("rate", num, den);
}

int machine_clock_freeze(struct machine *m)
{
	return did("freeze", 0, 0);
}

int machine_clock_thaw(struct machine *m)
{
	return did("thaw", 0, 0);
}

int machine_clock_step(struct machine *m, int64_t ns)
{
	return did("step", ns, 0);
}

int machine_clock_jump(struct machine *m, int64_t *ns)
{
	return did("jump", *ns, 0);
}

void machine_clock_set_date(struct machine *m, int64_t seconds)
{
	did("set", seconds, 0);
}

void machine_clock_show(struct machine *m, struct machine_clock *clock)
{
	*clock = (struct machine_clock){
		.now = { .clock = { .num = 1, .den = 3, .flags = FERMATA_CLOCK_TRAPPED } },
		.date = 1893456000,
		.sources = 1,
		.source = { { "TSC", "ticks", 77, -5 } },
	};
}

int fermata_caps(struct fermata_caps *caps)
{
	caps->vendor = FERMATA_VENDOR_AMD;
	caps->tsc_khz = 1000000;
	return 0;
}

const char *fermata_flush_kind_name(uint32_t kind)
{
	return "a-kind";
}

const char *fermata_flush_cause_name(uint32_t cause)
{
	return "a-cause";
}

const char *fermata_exit_code_name(uint32_t vendor, uint32_t code)
{
	return code == 0x72 ? "cpuid" : "?";
}
