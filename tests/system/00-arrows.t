#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The includes follow the arrows of docs/architecture.md, and no files call each other in a circle; and the
# check finds what does not.
cd "$(dirname "$0")/../.." || exit 1
check=$PWD/scripts/check-arrows

count=0
result() { # STATUS NAME
	count=$((count + 1))
	[ "$1" = 0 ] && echo "ok $count - $2" || echo "not ok $count - $2"
}

"$check" | sed 's/^/# /'
result "${PIPESTATUS[0]}" 'the tree follows the arrows'

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

try() { # WANTED FILE INCLUDE: the check's status when FILE includes that, in a tree of empty headers
	local part status
	for part in kernel kernel/{base,insn,clock,apic,memory,memory/shadow,core,rules,svm,vmx,linux} \
		kernel/{svm,vmx}/audit include include/uapi lib vmm vmm/{machine,devices,devices/pc,boot,backends} \
		control cli cli/{caps,run,guests,text} box examples; do
		mkdir -p "$dir/$part"
		: >"$dir/$part/${part##*/}.h"
	done
	: >"$dir/kernel/host.h"
	: >"$dir/kernel/linux/host_types.h"
	: >"$dir/include/fermata.h"
	: >"$dir/include/uapi/fermata.h"
	echo "#include $3" >"$dir/$2"
	"$check" --top "$dir" --known /dev/null >"$dir/out"
	status=$?
	[ $status = "$1" ] || sed 's/^/# /' "$dir/out"
	if [ "$1" = 0 ]; then
		result $((status != 0)) "$2 may include $3"
	else
		result $((status != 1)) "$2 must not include $3"
	fi
	rm -rf "${dir:?}"/*
}

try 0 kernel/linux/a.c '"../svm/svm.h"'
try 0 kernel/linux/a.c '<linux/mm.h>'
try 0 kernel/svm/a.c '"../core/core.h"'
try 0 kernel/svm/a.c '<uapi/fermata.h>'
try 0 kernel/core/a.c '"clock/clock.h"'
try 0 kernel/memory/a.c '<host_types.h>'
try 0 cli/a.c '"box/box.h"'
try 0 lib/a.c '<stdio.h>'
try 1 kernel/svm/a.c '"../vmx/vmx.h"'
try 1 kernel/vmx/a.c '"svm/svm.h"'
try 1 kernel/core/a.c '"../svm/svm.h"'
try 1 kernel/core/a.c '<linux/mm.h>'
try 1 kernel/memory/a.c '"../core/core.h"'
try 1 kernel/clock/a.c '"../memory/memory.h"'
try 1 kernel/memory/a.c '"../linux/linux.h"'
try 1 kernel/clock/a.c '<stdio.h>'
try 1 kernel/svm/a.S '<asm/asm.h>'
try 1 kernel/host.h '"core/core.h"'
try 1 vmm/devices/a.c '"lib/lib.h"'
try 1 vmm/devices/a.c '"../boot/boot.h"'
try 1 vmm/devices/a.c '"fermata.h"'
try 1 vmm/devices/a.c '<linux/kvm.h>'
try 1 vmm/boot/a.c '"../devices/devices.h"'
try 1 lib/a.c '"vmm/vmm.h"'
try 1 lib/a.c '"cli/cli.h"'
try 1 vmm/a.c '"cli/cli.h"'
try 1 box/a.c '"lib/lib.h"'
try 1 box/a.c '"control/control.h"'
try 1 vmm/a.c '"control/control.h"'
try 1 control/a.c '"cli/cli.h"'
try 1 control/a.c '"box/box.h"'
try 0 cli/a.c '"control/control.h"'
try 1 examples/a.c '"lib/lib.h"'
try 1 include/a.h '"../lib/lib.h"'
# The rooms of the house
try 0 kernel/insn/a.c '"base/base.h"'
try 0 kernel/apic/a.c '"clock/clock.h"'
try 0 kernel/memory/shadow/a.c '"memory/memory.h"'
try 0 kernel/core/a.c '"memory/shadow/shadow.h"'
try 0 kernel/core/a.c '"apic/apic.h"'
try 0 kernel/rules/a.c '"core/core.h"'
try 1 kernel/svm/a.c '"rules/rules.h"'
try 0 kernel/svm/audit/a.c '"svm/svm.h"'
try 0 kernel/svm/a.c '"svm/audit/audit.h"'
try 0 kernel/linux/a.c '"rules/rules.h"'
try 1 kernel/base/a.c '"insn/insn.h"'
try 1 kernel/insn/a.c '"memory/memory.h"'
try 1 kernel/apic/a.c '"core/core.h"'
try 1 kernel/apic/a.c '"memory/memory.h"'
try 1 kernel/memory/a.c '"memory/shadow/shadow.h"'
try 1 kernel/memory/a.c '"rules/rules.h"'
try 1 kernel/core/a.c '"rules/rules.h"'
try 1 kernel/rules/a.c '"svm/svm.h"'
try 1 kernel/rules/a.c '<linux/mm.h>'
try 1 kernel/svm/audit/a.c '"vmx/vmx.h"'
try 1 kernel/vmx/audit/a.c '<linux/mm.h>'
try 0 vmm/machine/a.c '"vmm.h"'
try 0 vmm/machine/a.c '"devices/pc/pc.h"'
try 0 vmm/machine/a.c '"backends/backends.h"'
try 0 vmm/devices/pc/a.c '"devices/devices.h"'
try 1 vmm/devices/a.c '"devices/pc/pc.h"'
try 1 vmm/devices/pc/a.c '"backends/backends.h"'
try 1 vmm/devices/pc/a.c '<linux/kvm.h>'
try 1 vmm/backends/a.c '"machine/machine.h"'
try 1 vmm/boot/a.c '"machine/machine.h"'
try 0 cli/run/a.c '"cli/text/text.h"'
try 0 cli/run/a.c '"box/box.h"'
try 0 cli/run/a.c '"cli/guests/guests.h"'
try 0 cli/a.c '"cli/run/run.h"'
try 0 cli/caps/a.c '"cli/run/run.h"'
try 0 cli/guests/a.c '"control/control.h"'
try 1 cli/run/a.c '"cli/cli.h"'
try 1 cli/text/a.c '"cli/cli.h"'
try 1 cli/text/a.c '"vmm/vmm.h"'
try 1 cli/guests/a.c '"box/box.h"'
try 1 cli/guests/a.c '"cli/run/run.h"'
try 1 control/a.c '"cli/run/run.h"'

# ---- circles of files

# round WANTED NAME: the check's answer about a tree that is read from stdin: "== FILE", then its text, and
# so on; "== known" is the list of known circles. WANTED is part of what it complains of, or "ok".
round() {
	local file line status
	: >"$dir/known"
	while IFS= read -r line; do
		case $line in
		'== '*)
			file=$dir/${line#== }
			mkdir -p "${file%/*}"
			: >"$file"
			;;
		*) printf '%s\n' "$line" >>"$file" ;;
		esac
	done
	"$check" --top "$dir" --known "$dir/known" >"$dir/out" 2>&1
	status=$?
	if [ "$1" = ok ]; then
		[ $status = 0 ]
	else
		[ $status != 0 ] && grep -qF -- "$1" "$dir/out"
	fi
	status=$?
	[ $status = 0 ] || sed 's/^/# /' "$dir/out"
	result $status "$2"
	rm -rf "${dir:?}"/*
}

round ok 'calls in one direction are no circle' <<'EOF'
== lib/a.c
int a(int n) { return b(n) + c(n); }
== lib/b.c
int b(int n) { return c(n); }
== lib/c.c
int c(int n) { return n ? c(n - 1) : 0; }
EOF

round 'the shortest way round: lib/a.c -> b.c (b, b_too) -> a.c (a)' 'two files' <<'EOF'
== lib/a.c
int a(int n) { return b(n) + b_too; }
== lib/b.c
int b_too = 3;
int b(int n) { return n ? a(n - 1) : 0; }
EOF

round 'a circle of 3 files: kernel/core/a.c kernel/core/b.c kernel/memory/c.c' 'three, and one that only calls them' <<'EOF'
== kernel/core/a.c
static void rest(void) { b(); }
void a(void) { rest(); }
== kernel/core/b.c
void *b(void) { return c(); }
== kernel/memory/c.c
void *c(void) { return a(); }
== kernel/core/d.c
void d(void) { a(); }
EOF

round 'vmm/a.c -> b.c (b) -> a.c (a_quick)' 'by an inline function, which belongs to the header and its file' <<'EOF'
== vmm/a.h
static inline int a_quick(int n) { return n ? a_slow(n) : 0; }
== vmm/a.c
#include "a.h"
int a_slow(int n) { return b(n); }
== vmm/b.c
#include "a.h"
int b(int n) { return a_quick(n - 1); }
EOF

round 'vmm/a.c -> b.c (b) -> a.c (quick)' 'by an inline function of a header that has no file' <<'EOF'
== vmm/internal.h
static inline int quick(int n) { return n ? a_slow(n) : 0; }
== vmm/a.c
int a_slow(int n) { return b(n); }
== vmm/b.c
#include "internal.h"
int b(int n) { return quick(n - 1); }
EOF

round ok 'an inline function that calls nothing is no call' <<'EOF'
== vmm/a.h
static inline int a_field(const struct a *a) { return a->field; }
== vmm/a.c
int a(struct a *a) { return b(a); }
== vmm/b.c
#include "a.h"
int b(struct a *a) { return a_field(a); }
EOF

round 'control/table.c -> verb.c (verb_do)' 'by a table of functions: who fills it in' <<'EOF'
== control/table.c
static const struct verb verbs[] = {
	{ "do", verb_do },
};
const struct verb *verb_find(const char *name) { return verbs; }
== control/verb.c
int verb_do(struct call *call) { return !!verb_find("again"); }
EOF

round 'cli/table.c -> user.c (user) -> table.c (table)' 'by a table that another file reads' <<'EOF'
== cli/table.c
int (*const table[])(void) = { [0] = user };
== cli/user.c
int user(void) { return table[0](); }
EOF

round 'kernel/core/a.c -> b.c (b) -> a.c (CALL_A)' 'by a macro of a header' <<'EOF'
== kernel/core/macros.h
#define CALL_A(n) \
	a((n) - 1)
== kernel/core/a.c
int a(int n) { return b(n); }
== kernel/core/b.c
#include "core/macros.h"
int b(int n) { return n ? CALL_A(n) : 0; }
EOF

round 'kernel/core/a.c -> b.c (b) -> a.c (a)' 'by a macro of the file itself' <<'EOF'
== kernel/core/a.c
int a(int n) { return b(n); }
== kernel/core/b.c
#define CALL_A(n) a((n) - 1)
int b(int n) { return n ? CALL_A(n) : 0; }
EOF

round 'kernel/core/low.c -> table.c (table) -> low.c (low)' 'by a list, in a column that is used' <<'EOF'
== kernel/core/list.h
#define ON(n) (1 << n)
ROW(FIRST, own, ON(1))
ROW(SECOND, low, ON(2) | ON(3))
#undef ROW
== kernel/core/table.c
static int own(void) { return 0; }
int (*const table[])(void) = {
#define ROW(name, function, bits) [name] = function,
#include "core/list.h"
};
== kernel/core/low.c
int low(void) { return table[0](); }
EOF

round ok 'by a list, in columns that are not' <<'EOF'
== kernel/core/list.h
ROW(FIRST, top, 1)
ROW(SECOND, low, 2)
== kernel/core/top.c
int top(void) { return low(); }
== kernel/core/low.c
static const int bits_of[] = {
#define ROW(name, function, bits) [name] = bits,
#include "core/list.h"
};
int low(void) { return bits_of[0]; }
EOF

round 'kernel/svm/a.c -> b.c (b_rule)' 'a function that a macro declares' <<'EOF'
== kernel/svm/rule.h
#define RULE(name) bool name(u64 value)
#define PRIVATE(name) static bool name(u64 value)
== kernel/svm/a.c
#include "svm/rule.h"
PRIVATE(b) { return b_rule(value); }
void a(void) { b(0); }
== kernel/svm/b.c
#include "svm/rule.h"
RULE(b_rule) { a(); return true; }
EOF

round 'kernel/svm/c.c -> entry.S (enter) -> c.c (leave)' 'by assembly' <<'EOF'
== kernel/svm/entry.S
#include <host_asm.h>
/* does not call elsewhere() */
HOST_FUNCTION(enter)
	call leave
	HOST_RETURN
HOST_FUNCTION_END(enter)
== kernel/svm/c.c
void leave(void) { enter(); }
void elsewhere(void) { }
EOF

round ok 'a member, a local variable, a parameter, a label, a comment, a text of the same name is no call' <<'EOF'
== lib/a.c
int a(int n) { return b(n); }
int last, other;
== lib/b.c
/* as a() does */
struct a { int a; };
static int parameter(struct a *a, int last) { return a->a + last; /* not a() */ }
int b(int n)
{
	struct a x = { .a = n }, *other = &x; // nor here: a()

	for (int i = 0, a = 1; i < n; i++)
		printf("a() is \"%d\" %c\n", a, '"');
	if (n)
		goto a;
	return parameter(other, x.a);
a:
	return 0;
}
EOF

round ok 'a static function hides another of the same name' <<'EOF'
== lib/a.c
int a(int n) { return b(n); }
== lib/b.c
static int a(int n) { return n; }
int b(int n) { return a(n); }
EOF

round ok 'the module and the programs may have functions of the same name' <<'EOF'
== kernel/core/a.c
int a(int n) { return b(n); }
== lib/b.c
int b(int n) { return a(n); }
EOF

round ok 'who does what core asks for in rules.h may call core' <<'EOF'
== kernel/core/rules.h
void rules_exit(struct vcpu *v);
== kernel/core/run.c
void run_again(struct vcpu *v) { rules_exit(v); }
== kernel/rules/exit.c
void rules_exit(struct vcpu *v) { run_again(v); }
EOF

round 'exit.c (rules_exit)' 'inside rules a circle is one, whatever rules.h declares of it' <<'EOF'
== kernel/core/rules.h
void rules_exit(struct vcpu *v);
== kernel/rules/exit.c
void rules_exit(struct vcpu *v) { rules_log(v); }
== kernel/rules/log.c
void rules_log(struct vcpu *v) { rules_exit(v); }
EOF

round 'kernel/core/a.c: CALL() puts a name together that may be a_first()' 'a name made by a macro' <<'EOF'
== kernel/core/a.c
#define CALL(what) a_##what()
int a_first(void) { return CALL(second); }
EOF

pair() { # NAME WANTED ROW...: with these rows of known circles
	local name=$1 wanted=$2
	shift 2
	{
		printf '%s\n' '== lib/a.c' 'int a(void) { return b(); }' '== lib/b.c' 'int b(void) { return a(); }'
		printf '%s\n' '== known' "$@"
	} >"$dir.tree"
	round "$wanted" "$name" <"$dir.tree"
	rm "$dir.tree"
}
pair 'a circle that is known' ok 'A reason' $'\tlib/a.c' $'\tlib/b.c'
pair 'a known circle that has become smaller' 'lib/c.c is in no circle: take it out of "A reason"' \
	'A reason' $'\tlib/a.c lib/b.c lib/c.c'
pair 'a known circle that has grown' 'known, but not together with lib/b.c' 'A reason' $'\tlib/a.c'
pair 'two known circles that have become one' 'a circle of 2 files' \
	'A reason' $'\tlib/a.c' 'Another' $'\tlib/b.c'
pair 'a known circle without a reason' 'what is known needs a reason' $'\tlib/a.c lib/b.c'

round ok 'an arrow that goes up, and is known to' <<'EOF'
== kernel/core/a.c
#include "rules/rules.h"
== kernel/rules/rules.h
== known
A reason
	kernel/core -> kernel/rules
EOF

round 'nothing needs kernel/core -> kernel/rules' 'one that is gone' <<'EOF'
== kernel/core/a.c
== kernel/rules/rules.h
== known
A reason
	kernel/core -> kernel/rules
EOF

mkdir "$dir"/{lib,vmm}
echo 'int a(void) { return b() + c(); }' >"$dir/lib/a.c"
echo 'int b(void) { return 0; } int c(void) { return 0; }' >"$dir/vmm/b.c"
[ "$("$check" --top "$dir" --calls lib)" = $'lib/a.c\n\tvmm/b.c (b, c)' ]
result $? 'it prints which files a file calls, and by which functions'
[ -z "$("$check" --top "$dir" --calls vmm)" ]
result $? 'of one folder'

echo "1..$count"
