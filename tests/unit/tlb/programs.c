/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Guests that do what a table says, over and over, instead of what the dice say: for flushes whose absence
 * shows in one order of things only. The vCPUs take turns as the steps name them. Each round begins with all
 * translations dropped, so that the judge may forget what was before.
 */
#include "model.h"

#define AT(page, index) DIRECT((page) << 12 | (index) * 8)
#define TO(page) ((u64)(page) << 12 | 0x67)
#define ROOT GPA_TABLES
#define UPPER (ROOT + 1)
#define LOWER (ROOT + 2)
#define LEAVES (ROOT + 3)
#define OTHER (ROOT + 4) /* a table that was data */
#define DATA GPA_TABLES_END
#define PAGE(directory, index) ((u64)(directory) << 21 | (u64)(index) << 12)

#define ANEW(id)                                                                                   \
	{ .vcpu = id, .op = OP_CR4, .value = ARCH_CR4_PGE },                                       \
		{ .vcpu = id, .op = OP_CR3, .value = (u64)ROOT << 12 }
#define STORE(id, page, index, entry)                                                              \
	{ .vcpu = id,                                                                              \
	  .op = OP_STORE,                                                                          \
	  .linear = AT(page, index),                                                               \
	  .access = ACCESS_WRITE,                                                                  \
	  .value = entry }
#define READ(id, at) { .vcpu = id, .op = OP_ACCESS, .linear = at }
/* The next step, another vCPU's, does not wait for this one. */
#define READ_MEANWHILE(id, at) { .vcpu = id, .op = OP_ACCESS, .linear = at, .meanwhile = true }
#define WRITE(id, at, entry)                                                                       \
	{ .vcpu = id, .op = OP_ACCESS, .linear = at, .access = ACCESS_WRITE, .value = entry }
#define INVLPG(id, at) { .vcpu = id, .op = OP_INVLPG, .linear = at }
#define TABLES(id)                                                                                 \
	STORE(id, ROOT, 0, TO(UPPER)), STORE(id, UPPER, 0, TO(LOWER)),                             \
		STORE(id, LOWER, 0, TO(LEAVES))

/* A page is moved, and nothing but its own translation is old. */
static const struct step invlpg[] = {
	ANEW(0),
	TABLES(0),
	STORE(0, LEAVES, 0, TO(DATA)),
	READ(0, PAGE(0, 0)),
	STORE(0, LEAVES, 0, TO(DATA + 1)),
	INVLPG(0, PAGE(0, 0)),
	READ(0, PAGE(0, 0)),
};

/* Likewise, and the owner sets the registers, to what they are. */
static const struct step state[] = {
	ANEW(0),
	TABLES(0),
	STORE(0, LEAVES, 0, TO(DATA)),
	READ(0, PAGE(0, 0)),
	STORE(0, LEAVES, 0, TO(DATA + 1)),
	{ .vcpu = 0, .op = OP_STATE },
	READ(0, PAGE(0, 0)),
};

/*
 * Data of vCPU 0's becomes a table of vCPU 1's. Its leaf is gone then, which vCPU 0 has not invalidated: it may
 * write there still, to the table.
 */
static const struct step loose[] = {
	ANEW(0),
	ANEW(1),
	TABLES(1),
	STORE(1, LOWER, 1, 0),
	STORE(1, LEAVES, 0, TO(OTHER)),
	INVLPG(1, PAGE(0, 0)),
	INVLPG(0, PAGE(0, 0)),
	WRITE(0, PAGE(0, 0), TO(DATA)),
	STORE(1, LEAVES, 0, TO(DATA + 2)),
	INVLPG(1, PAGE(0, 0)),
	STORE(1, LOWER, 1, TO(OTHER)),
	READ(1, PAGE(1, 0)),
	WRITE(0, PAGE(0, 0), TO(DATA + 1)),
	INVLPG(1, PAGE(1, 0)),
	READ(1, PAGE(1, 0)),
};

/*
 * Data becomes a table in one role, then in another: what the writer's CPU has cached of it allows writes
 * until the flush that the first one owes.
 */
#define SECOND (1ull << 30 | PAGE(1, 0)) /* leads there too, and is the supervisor's */
#define LOST(writer, maker)                                                                        \
	TABLES(maker), STORE(maker, UPPER, 1, TO(LOWER) & ~4ull), STORE(maker, LOWER, 1, 0),       \
		STORE(maker, LEAVES, 1, TO(DATA)), READ(maker, PAGE(0, 1)),                        \
		STORE(maker, LEAVES, 0, TO(OTHER)), INVLPG(maker, PAGE(0, 0)),                     \
		INVLPG(writer, PAGE(0, 0)), READ(maker, 1ull << 30),                               \
		WRITE(writer, PAGE(0, 0), TO(DATA)), STORE(maker, LOWER, 1, TO(OTHER)),            \
		READ(maker, PAGE(1, 0)), READ(maker, SECOND),                                      \
		WRITE(writer, PAGE(0, 0), TO(DATA + 1)), INVLPG(maker, SECOND),                    \
		READ(maker, SECOND)
static const struct step lost[] = { ANEW(0), ANEW(1), LOST(0, 1) };
static const struct step lost_alone[] = { ANEW(0), LOST(0, 0) };

/* Data becomes a table while its writer writes. */
static const struct step closing[] = {
	ANEW(0),
	ANEW(1),
	TABLES(1),
	STORE(1, LOWER, 1, 0),
	STORE(1, LEAVES, 1, TO(DATA)),
	READ(1, PAGE(0, 1)),
	STORE(1, LEAVES, 0, TO(OTHER)),
	INVLPG(1, PAGE(0, 0)),
	INVLPG(0, PAGE(0, 0)),
	WRITE(0, PAGE(0, 0), TO(DATA)),
	STORE(1, LOWER, 1, TO(OTHER)),
	READ_MEANWHILE(1, PAGE(1, 0)),
	WRITE(0, PAGE(0, 0), TO(DATA + 1)),
	INVLPG(1, PAGE(1, 0)),
	READ(1, PAGE(1, 0)),
};

/* Two flushes at once, of which one has taken a table of the nested ones out. */
static const struct step reap[] = {
	ANEW(0),
	TABLES(0),
	STORE(0, LOWER, 1, (u64)GPA_LARGE << 12 | 0xe7),
	STORE(0, LEAVES, 0, TO(DATA)),
	READ(0, PAGE(0, 0)),
	READ(0, PAGE(1, 0)),
	{ .vcpu = OWNER, .op = OP_UNMAP, .value = DATA, .meanwhile = true },
	{ .vcpu = OWNER + 1, .op = OP_SMALL, .meanwhile = true },
	READ(0, PAGE(1, 1)),
	READ(0, PAGE(1, 2)),
	READ(0, PAGE(1, 3)),
	{ .vcpu = OWNER, .op = OP_NOTHING },
	{ .vcpu = OWNER + 1, .op = OP_NOTHING },
};

const struct program program_reap = { reap, ARRAY_SIZE(reap) };
const struct program program_closing = { closing, ARRAY_SIZE(closing) };
const struct program program_lost = { lost, ARRAY_SIZE(lost) };
const struct program program_lost_alone = { lost_alone, ARRAY_SIZE(lost_alone) };
const struct program program_invlpg = { invlpg, ARRAY_SIZE(invlpg) };
const struct program program_state = { state, ARRAY_SIZE(state) };
const struct program program_loose = { loose, ARRAY_SIZE(loose) };

static const struct step *current(void)
{
	const struct program *program = world.config->program;

	return &program->step[world.step % program->steps];
}

const struct step *program_host(u8 id)
{
	const struct step *step = current();

	if (step->vcpu != id)
		return NULL;
	if (step->meanwhile)
		world.step++;
	return step;
}

void program_done(const struct step *step)
{
	if (!step->meanwhile)
		world.step++;
}

bool program_wants_state(const struct model_vcpu *mv)
{
	return world.config->program && current()->vcpu == mv->vcpu.id && current()->op == OP_STATE;
}

void program_next(struct model_vcpu *mv)
{
	const struct step *step;

	if (mv->in_step)
		world.step++;
	step = current();
	mv->in_step = step->vcpu == mv->vcpu.id && step->op != OP_STATE;
	if (!mv->in_step)
		return;
	mv->op = step->op;
	mv->linear = step->linear;
	mv->value = step->value;
	mv->access = step->access;
	mv->keep = false;
	if (step->meanwhile) {
		mv->in_step = false;
		world.step++;
	}
}
