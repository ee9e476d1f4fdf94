/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "help.h"

#include <stdio.h>
#include <string.h>

#include "uapi/fermata.h"

#ifndef FERMATA_VERSION
#define FERMATA_VERSION "unreleased"
#endif

static const char about[] =
	"fermata: runs guest operating systems on the processor's virtualization\n"
	"\n"
	"usage: fermata run --kernel FILE [OPTION...]   run a guest, its console on this terminal\n"
	"       fermata ps [--json]                     the guests that run\n"
	"       fermata stat NAME [OPTION...]           what one does, live\n"
	"       fermata pause|resume|quit NAME          hold it, let it go on, end it\n"
	"       fermata clock NAME [VERB [VALUE]]       its clock: show, freeze, thaw, rate, step, jump\n"
	"       fermata dirty NAME [on|off]             which of its memory it writes to\n"
	"       fermata on NAME 'RULE'                  count, log, change, forbid what it does\n"
	"       fermata events|log NAME, off NAME ID    the rules, what they log, remove one\n"
	"       fermata caps [--json] [--box KIND]      what this computer offers, what is in the way\n"
	"       fermata help [VERB]                     this text, or a verb's\n"
	"       fermata --version\n"
	"\n"
	"Guests run on AMD-V or VT-x through the module fermata.ko (/dev/fermata). On a computer where\n"
	"that is not possible they run in \"the box\": an emulated computer with AMD-V or VT-x, slower,\n"
	"but the same in every other way. `fermata caps` says which of the two it will be, and why.\n"
	"\n"
	"A first guest, from the files of a Debian system, and what can be done to it meanwhile:\n"
	"  fermata run --name web --kernel /boot/vmlinuz-$(uname -r) --initrd /boot/initrd.img-$(uname -r)\n"
	"  fermata stat web                                its exits, live\n"
	"  fermata on web 'syscall nr=59 do log'           each program that it starts, from now on\n"
	"  fermata clock web rate 60                       an hour of it in a minute\n"
	"\n"
	"exit status: 0 done; 1 not done, and one line on standard error says what, why and what to do.\n"
	"Only `run` has more.\n"
	"\n"
	"More: `fermata VERB --help` with any of them, `man fermata`.\n";

static const char about_run[] =
	"fermata run: run a guest, its serial console on this terminal\n"
	"\n"
	"usage: fermata run --kernel FILE [OPTION...]\n"
	"       fermata run [OPTION...] --guest 'OPTION...' --guest 'OPTION...' ...\n"
	"\n"
	"  --kernel FILE      Linux kernel (a bzImage, 64-bit); the one option that is required\n"
	"  --initrd FILE      initial file system; default: none\n"
	"  --append STRING    kernel command line; default: \"console=ttyS0\"\n"
	"  --memory SIZE      guest memory: bytes, or with suffix K, M, G or T; a multiple of 4K,\n"
	"                     16M up to what this computer has free; default: 256M\n"
	"  --name NAME        the guest's name, one running guest at a time: 1 to 64 of A-Z a-z 0-9\n"
	"                     . _ -; default: guest- and the process number\n"
	"  --box KIND         where it runs: auto: here if this computer can, else in the box (the\n"
	"                     default); none: here or not at all; amd: in the box with AMD-V (QEMU);\n"
	"                     intel: in the box with VT-x (Bochs, a Skylake-X); bochs:MODEL: in the\n"
	"                     box with one of Bochs's processors (a wrong MODEL lists them)\n"
	"  --keys WHEN        whether Ctrl-A is for Fermata (below): on, off, or auto: when standard\n"
	"                     input is a terminal; default: auto\n"
	"  --clock SPEC       the guest's clock from its start; several words with commas: rate=X (a number\n"
	"                     or fraction, 1/1000 to 1000), frozen, date=DATE, run-only (time passes only\n"
	"                     while the guest itself executes); see `fermata clock --help`\n"
	"  --kvmclock         offer the guest KVM's paravirtual clock, which follows its clock as all its\n"
	"                     others do; without this nothing paravirtual is offered\n"
	"  --paging WHICH     nested: the processor walks two page tables (NPT, EPT); shadow: one, that\n"
	"                     the module keeps; auto: nested where there is any (the default)\n"
	"  --debug WORDS      for work on Fermata itself; a list in `man fermata`\n"
	"  --stats            at the end print the guest's exits by reason on standard error\n"
	"  --on RULE          what is to be counted, logged, changed or forbidden of what the guest does:\n"
	"                     'EVENT [FILTER...] [do ACTION...]', such as 'cpuid leaf=1 do log'; `fermata\n"
	"                     on --help` has the words; up to 64 of these options\n"
	"  --log FILE         where what rules log goes; \"-\": standard error (the default); \"channel\":\n"
	"                     nowhere, for `fermata log NAME`\n"
	"  --log-format FORM  text (the default), json (lines), chrome (a trace for Perfetto)\n"
	"  --debug-exit       give the guest a port F4h that ends it: writing V there makes the exit\n"
	"                     status (V << 1) | 1, cut to 8 bits, as QEMU's isa-debug-exit does\n"
	"  --no-vpid          VT-x: the guest gets no VPID, AMD-V: no ASID of its own, so each entry drops\n"
	"  --no-asid          the processor's translations; both names mean the same on both. Slower,\n"
	"                     to see what tags are good for\n"
	"  --guest 'OPTIONS'  one of several guests at once: its own options, quoted as in a shell; what\n"
	"                     stands outside is for all (--box, --keys only there). Lines of output\n"
	"                     begin with [NAME], input is the first guest's, its end everyone's\n"
	"  --help             this text\n"
	"\n"
	"keys:  Ctrl-A x  end the guest          Ctrl-A d       end of the guest's input\n"
	"       Ctrl-A h  help                   Ctrl-A Ctrl-A  send one Ctrl-A to the guest\n"
	"\n"
	"exit status:\n"
	"  0    the guest powered off, or asked for a reset, or you ended it with Ctrl-A x\n"
	"  1    it could not start; one line says what, why, and what to do\n"
	"  2    it died; a report on standard error says how\n"
	"  128+N  signal N ended fermata (130: Ctrl-C, 141: standard output was closed)\n"
	"  odd  with --debug-exit: what the guest said, (V << 1) | 1\n"
	"  With several guests the worst of theirs: 2 if one died, else the largest.\n"
	"\n"
	"examples:\n"
	"  fermata run --kernel vmlinuz --initrd initrd.gz --append \"console=ttyS0 quiet\"\n"
	"  fermata run --kernel vmlinuz --initrd initrd.gz --memory 1G --stats\n"
	"  fermata run --kernel vmlinuz --guest '--name a --initrd a.gz' --guest '--name b'\n"
	"  echo 'uname -a; poweroff -f' | fermata run --kernel vmlinuz --initrd initrd.gz --box amd\n"
	"  fermata run --kernel vmlinuz --initrd initrd.gz --on 'rdmsr do log' --log msrs.txt\n"
	"  fermata run --kernel vmlinuz --initrd initrd.gz --clock rate=60,date=2030-01-01\n";

static const char about_caps[] =
	"fermata caps: what this computer offers for running guests\n"
	"\n"
	"usage: fermata caps [--json] [--box KIND]\n"
	"\n"
	"  --json      for programs: one JSON object\n"
	"  --box KIND  whom to ask: none: this computer (the default, as is auto); amd, intel or\n"
	"              bochs:MODEL: the box, as in `fermata run`\n"
	"  --help      this text\n"
	"\n"
	"Shows the processor's virtualization features, what Fermata does with each or without it,\n"
	"and what stands in the way of running guests, with what to do about it. It works without\n"
	"the module too; what only the module can know is then left out.\n"
	"\n"
	"exit status: 0 guests can run there; 1 they cannot (or the question could not be asked)\n"
	"\n"
	"examples:\n"
	"  fermata caps\n"
	"  fermata caps --box bochs:corei5_lynnfield_750\n"
	"  fermata caps --json | jq -r '.obstacles[] | .what + \": \" + .remedy'\n";

static const struct {
	const char *verb, *text;
} texts[] = {
	{ "run", about_run },	    { "caps", about_caps },   { "ps", about_ps },
	{ "stat", about_stat },	    { "pause", about_pause }, { "resume", about_resume },
	{ "quit", about_quit },	    { "on", about_on },	      { "off", about_off },
	{ "events", about_events }, { "log", about_log },     { "clock", about_clock },
	{ "dirty", about_dirty },   { "help", about },
};

int help_print(const char *verb)
{
	const char *text = verb ? NULL : about;

	for (size_t i = 0; verb && i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!strcmp(verb, texts[i].verb))
			text = texts[i].text;
	if (!text)
		return -1;
	fputs(text, stdout);
	return 0;
}

void version_print(void)
{
	printf("fermata " FERMATA_VERSION " (module interface %d)\n", FERMATA_ABI_VERSION);
}
