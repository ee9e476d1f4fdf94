/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The box on Bochs: VT-x and AMD-V of many generations. Bochs is a child of the process that box.c
 * sees, which carries the streams (wire.h) and dies with its own parent; Bochs dies with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <termios.h>
#include <unistd.h>

#include "bochs_disk.h"
#include "machine.h"
#include "wire.h"

#define BOCHS "bochs-bin" /* what Debian's shell script `bochs` starts */
#define SHARE "/usr/share/bochs/"
#define INTEL "corei7_skylake_x"

/*
 * What Debian's kernel must not find on some models of Bochs 2.7; Bochs 3.0 is content with it.
 * COMPACT: CPUID's leaf 0Dh gives the size of the standard form of XSAVE's area as that of the
 * compacted one too. Linux sees the contradiction and then does without XSAVE altogether.
 * PKU: the same leaf says nothing about where the protection keys' register is saved; the same end.
 * FSRM: with it, the kernel overwrites its own page-fault handler and faults for ever, shortly after
 * "LSM: Security Framework initializing".
 * MWAITX: its timer does not wake the processor; the kernel's first delay lasts for ever.
 * POPCNT: CPUID has it, and the instruction is undefined.
 */
#define COMPACT "xsaves,xsavec"
#define PKU "pku"
#define FSRM "fsrm"
#define MWAITX "mwaitx"
#define POPCNT "popcnt"

/*
 * Bochs's names (bochsrc(5), cpu: model); all boot. Version 3.0 has no bx_generic, and 2.7 not the two that are the
 * newest. A guest on sapphire_rapids needs the option no5lvl: Bochs panics over a VM exit that changes CR4.LA57.
 */
static const struct model {
	const char *name;
	const char *hidden; /* as the kernel's option clearcpuid= wants them */
} models[] = {
	{ "bx_generic", NULL },
	{ "core2_penryn_t9600", NULL },
	{ "corei5_lynnfield_750", NULL },
	{ "corei5_arrandale_m520", NULL },
	{ "corei7_sandy_bridge_2600k", NULL },
	{ "corei7_ivy_bridge_3770k", NULL },
	{ "corei7_haswell_4770", NULL },
	{ "broadwell_ult", NULL },
	{ "corei7_skylake_x", COMPACT },
	{ "corei3_cnl", COMPACT "," PKU },
	{ "corei7_icelake_u", COMPACT "," PKU "," FSRM },
	{ "tigerlake", COMPACT "," PKU "," FSRM },
	{ "sapphire_rapids", COMPACT "," PKU "," FSRM },
	{ "arrow_lake", COMPACT "," PKU "," FSRM },
	{ "turion64_tyler", NULL },
	{ "phenom_8650_toliman", POPCNT },
	{ "zambezi", NULL },
	{ "trinity_apu", NULL },
	{ "ryzen", MWAITX },
};

#define MODELS (sizeof(models) / sizeof(models[0]))

static const struct model *find(const char *name)
{
	for (size_t i = 0; i < MODELS; i++)
		if (!strcmp(models[i].name, name))
			return &models[i];
	return NULL;
}

/* The model's name in the kind; NULL: not a kind of ours. */
static const char *name_in(const char *kind)
{
	if (!strcmp(kind, "intel"))
		return INTEL;
	return strncmp(kind, "bochs:", 6) ? NULL : kind + 6;
}

static int takes(const char *kind, char *error, size_t error_size)
{
	const char *name = name_in(kind);
	char list[1000] = "";

	if (!name)
		return 0;
	if (find(name))
		return 1;
	for (size_t i = 0; i < MODELS; i++) {
		strcat(list, " ");
		strcat(list, models[i].name);
	}
	complain(error, error_size, "Bochs has no such model; it has:%s", list);
	return -1;
}

static bool installed(char *error, size_t error_size)
{
	if (in_path(BOCHS) && access(SHARE "BIOS-bochs-latest", R_OK) == 0 &&
	    access(SHARE "VGABIOS-lgpl-latest", R_OK) == 0)
		return true;
	complain(error, error_size,
		 "this box needs Bochs and it is not here, or not all of it; install it: "
		 "apt-get install --no-install-recommends bochs bochs-term bochsbios vgabios");
	return false;
}

/* ---- what Bochs is told */

struct wires {
	int from, to; /* our ends */
	int printer;  /* Bochs's end of `from` */
	int line; /* Bochs's end of `to`, also open here: a terminal lasts while someone has it */
	char name[64]; /* by which Bochs opens it */
};

static bool open_wires(struct wires *w)
{
	struct termios raw;
	int ends[2];

	*w = (struct wires){ -1, -1, -1, -1, "" };
	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	w->from = ends[0];
	w->printer = ends[1];
	w->to = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (w->to < 0 || unlockpt(w->to) < 0 || ptsname_r(w->to, w->name, sizeof(w->name)))
		return false;
	w->line = open(w->name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (w->line < 0 || tcgetattr(w->line, &raw) < 0)
		return false;
	cfmakeraw(&raw);
	return tcsetattr(w->line, TCSANOW, &raw) == 0;
}

static int text_file(const char *text)
{
	int fd = memfd_create("fermata-box-text", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/*
 * ips: the time of day in instructions. So many that the kernel's clock ticks seldom: Bochs executes
 * about 100 million a second.
 * reset_on_triple_fault: `reboot=t` makes every restart a triple fault, and that ends Bochs.
 * rfb is the only display without a window in Debian's Bochs; nobody looks at it, and nobody can: it listens on
 * a network of its own (leave_rights()).
 */
static int configuration(const struct box_boot *boot, const char *model, int disk,
			 unsigned int cylinders, const struct wires *w)
{
	const struct box_request *r = boot->request;
	char text[2000];

	snprintf(text, sizeof(text),
		 "romimage: file=" SHARE "BIOS-bochs-latest, options=fastboot\n"
		 "vgaromimage: file=" SHARE "VGABIOS-lgpl-latest\n"
		 "display_library: rfb, options=\"timeout=0\"\n"
		 "memory: guest=%llu, host=%llu\n"
		 "cpu: model=%s, count=%u, ips=1000000000, reset_on_triple_fault=0\n"
		 "clock: sync=%s\n"
		 "ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14\n"
		 "ata0-master: type=disk, path=/proc/self/fd/%d, mode=flat, cylinders=%u, heads=%d, "
		 "spt=%d\n"
		 "boot: disk\n"
		 "com1: enabled=1, mode=term, dev=%s\n"
		 "parport1: enabled=1, file=/proc/self/fd/%d\n"
		 "port_e9_hack: enabled=1\n"
		 "log: /dev/null\n"
		 "panic: action=fatal\n"
		 "error: action=ignore\n"
		 "info: action=ignore\n",
		 (unsigned long long)((boot->memory + MIB - 1) / MIB),
		 (unsigned long long)((boot->memory + MIB - 1) / MIB), model,
		 r->cpus && !r->count ? r->cpus : 1, r->count ? "none" : "slowdown", disk,
		 cylinders, DISK_HEADS, DISK_SECTORS, w->name, w->printer);
	return text_file(text);
}

/*
 * The early console writes each character to port E9h, which Bochs passes to its standard output at
 * once; as there is no UART, the status it asks for reads as ready. The local APIC's timer counts
 * instructions where Linux expects a crystal.
 */
static int make_disk(const struct box_boot *boot, const struct model *model,
		     unsigned int *cylinders, char *error, size_t error_size)
{
	const char *more = boot->request->kernel_options;
	char *line;
	int fd;

	if (asprintf(&line,
		     "earlycon=uart8250,io,0xe9 keep_bootcon reboot=t nolapic_timer tsc_early_khz=1000000 " BOX_KERNEL_OPTIONS
		     "%s%s %s",
		     model->hidden ? " clearcpuid=" : "", model->hidden ? model->hidden : "",
		     more ? more : "") < 0) {
		complain(error, error_size, "no memory for the box");
		return -1;
	}
	fd = bochs_disk(boot->dir, boot->initrd, line, cylinders, error, error_size);
	free(line);
	return fd;
}

/* ---- its processes */

static void run_bochs(int log, int disk, const struct wires *w, int config, int commands)
{
	struct command command = { .count = 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(log, 1);
	keep_open(disk);
	keep_open(w->printer);
	keep_open(config);
	keep_open(commands);
	add(&command, BOCHS);
	add(&command, "-q");
	add(&command, "-f");
	add(&command, "/proc/self/fd/%d", config);
	add(&command, "-rc");
	add(&command, "/proc/self/fd/%d", commands);
	run_command(&command);
}

static void pump(const struct wires *w, const int port[])
{
	int keep[3 + PORTS] = { w->from, w->to, w->line };

	memcpy(keep + 3, port, PORTS * sizeof(*port));
	close_others(keep, 3 + PORTS);
	wire_pump(w->from, w->to, port);
}

/*
 * The child that box.c sees. It reads what a hostile box may write, so it leaves its user's rights as Bochs
 * does, and the files that Bochs opens again by their names in /proc are made behind that.
 */
static void run_both(const struct box_boot *boot, const struct model *model, int disk,
		     unsigned int cylinders)
{
	int config = -1, commands = -1;
	struct wires wires;
	pid_t pid = -1;

	leave_rights();
	if (open_wires(&wires)) {
		config = configuration(boot, model->name, disk, cylinders, &wires);
		commands = text_file("c\n");
	}
	if (config >= 0 && commands >= 0)
		pid = fork();
	if (pid == 0)
		run_bochs(boot->log, disk, &wires, config, commands);
	if (pid < 0) {
		dprintf(2, BOCHS ": %s\n", strerror(errno));
		_exit(1);
	}
	pump(&wires, boot->port);
}

static pid_t start(const struct box_boot *boot, char *error, size_t error_size)
{
	const struct model *model = find(name_in(boot->request->kind));
	unsigned int cylinders;
	pid_t pid;
	int disk;

	if (boot->request->gdb_path) {
		complain(error, error_size, "the box on Bochs cannot be controlled by gdb");
		return -1;
	}
	disk = make_disk(boot, model, &cylinders, error, error_size);
	if (disk < 0)
		return -1;
	pid = fork_child(boot->log);
	if (pid == 0)
		run_both(boot, model, disk, cylinders);
	if (pid < 0)
		complain(error, error_size, "cannot start the box: %s", strerror(errno));
	close(disk);
	return pid;
}

/*
 * turn: Bochs 2.7 masks the host's interrupts while a guest that was entered with RFLAGS.IF = 0 leaves
 * IF alone, although external-interrupt exiting is on (SDM 3C 26.2). The VMX-preemption timer ends such
 * a turn; a million instructions are 10 ms.
 */
const struct box_machine box_bochs = {
	.name = "Bochs",
	.ports = "wire",
	.module_options = "turn=1024",
	.complaint = BOCHS ": ",
	.takes = takes,
	.installed = installed,
	.start = start,
};
