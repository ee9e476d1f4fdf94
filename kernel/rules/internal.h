/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the files behind rules_exit() share. */
#ifndef RULES_INTERNAL_H
#define RULES_INTERNAL_H

#include "core/exits.h"

/* An exit in the words of the rules, and what the rules said. */
struct scene {
	u8 event, second; /* FERMATA_ON_*; second: FERMATA_ON_EVENTS: none */
	u8 result, width; /* as in struct aftermath */
	u8 log_event;
	bool log, decided, where_known;
	u32 code, log_rule;
	u32 size; /* of an access to memory; 0: none */
	u64 number, value, old, linear;
	/* from here on meaningful when the above says so */
	struct where where;
	struct fermata_rule decision;
};

/* table.c: what is out of force from the next entry on, LIFT_*. */
void rules_lift(struct vcpu *v, u8 lift);

/* exit.c: the instruction is done, or will not be: FERMATA_RECORD_* */
void rules_finish(struct vcpu *v, u8 flags);

/*
 * An access to watched memory. False: the instruction is to be carried out; what is owed to it then is
 * remembered.
 */
bool rules_memory(struct vcpu *v, struct scene *scene, enum verdict *verdict);
/* ... by whoever answers for memory that is none. */
enum verdict rules_memory_elsewhere(struct vcpu *v);

/* memory.c: EXIT_NESTED_FAULT where rules are about memory */
enum verdict watch_fault(struct vcpu *v);

/* step.c */
void step_stop(struct vcpu *v);
enum verdict step_exit(struct vcpu *v);
/* An exception that came while an event was on its way in: that goes in again and may meet it. */
enum verdict rules_deliver_again(struct vcpu *v);

/* syscall.c: SYSCALL and SYSRET, which raise #UD where a rule is about SYSCALL */
enum syscall_insn { INSN_NEITHER, INSN_SYSCALL, INSN_SYSRET };
enum syscall_insn syscall_which(struct vcpu *v);
enum verdict syscall_carry_out(struct vcpu *v);

#endif
