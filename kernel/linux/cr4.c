// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * CR4, of which Linux keeps a copy for each CPU and writes the register from that.
 *
 * Where the function that changes both is KVM's alone, as with Linux 7.3, CR4.VMXE is set in the register only. When
 * Linux changes another bit there (TSD for a program of its own, PCE for perf, PGE for a flush), it writes VMXE = 0, and
 * that is #GP in VMX operation (SDM 3C 24.8). So whoever asks about a #GP in the kernel hears of one at such an instruction,
 * on a CPU that we have in VMX operation, and writes what was to be written, with VMXE, and goes on behind it.
 *
 * KVM looks at the copy before it switches VMX on, and would share what we switch off. So its module is not let in
 * while there are VMs, and there are none while it is in.
 */
#include <linux/kdebug.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/uaccess.h>
#include <asm/ptrace.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>

#include "compat.h"
#include "device.h"

#ifdef FERMATA_CR4_UPDATE

void cr4_change(u64 set, u64 clear)
{
	cr4_set_bits_irqsoff(set);
	cr4_clear_bits_irqsoff(clear);
}

int cr4_init(void)
{
	return 0;
}

void cr4_exit(void)
{
}

int cr4_begin(u32 vendor)
{
	return 0;
}

void cr4_end(void)
{
}

bool cr4_is_kvms(void)
{
	return false;
}

#else

static DEFINE_PER_CPU(unsigned long, kept); /* bits of CR4 that Linux's copy lacks */

/* Not __write_cr4(), which may be the kernel's own. False: #GP. */
static bool write_cr4(unsigned long value)
{
	asm goto(HOST_FAULT_TO(refused, "mov %0, %%cr4") : : "r"(value) : "memory" : refused);
	return true;
refused:
	return false;
}

void cr4_change(u64 set, u64 clear)
{
	/* First known, then set; first cleared, then forgotten: an NMI may come between. */
	this_cpu_or(kept, set);
	write_cr4((native_read_cr4() | set) & ~clear);
	this_cpu_and(kept, ~(unsigned long)clear);
}

/* ---- KVM, or us */

static DEFINE_MUTEX(vmx_lock);
static bool kvm, ours; /* vmx_lock */

int cr4_begin(u32 vendor)
{
	int err = 0;

	if (vendor != FERMATA_VENDOR_INTEL)
		return 0;
	mutex_lock(&vmx_lock);
	if (kvm)
		err = -EBUSY;
	else
		ours = true;
	mutex_unlock(&vmx_lock);
	return err;
}

void cr4_end(void)
{
	mutex_lock(&vmx_lock);
	ours = false;
	mutex_unlock(&vmx_lock);
}

bool cr4_is_kvms(void)
{
	bool is;

	mutex_lock(&vmx_lock);
	is = kvm;
	mutex_unlock(&vmx_lock);
	return is;
}

/* Before the module's init is called, which fails then, and after its exit. */
static int module_event(struct notifier_block *block, unsigned long event, void *data)
{
	bool refuse = false;

	if (strcmp(((const struct module *)data)->name, "kvm_intel"))
		return NOTIFY_DONE;
	mutex_lock(&vmx_lock);
	if (event == MODULE_STATE_COMING) {
		refuse = ours;
		kvm = !ours;
	} else if (event == MODULE_STATE_GOING) {
		kvm = false;
	}
	mutex_unlock(&vmx_lock);
	if (refuse)
		host_log(
			"kvm_intel is not loaded: there are VMs of Fermata's, and this kernel lets only one of the two use VT-x");
	return refuse ? notifier_from_errno(-EBUSY) : NOTIFY_DONE;
}

static struct notifier_block module_block = { .notifier_call = module_event };

/* ---- a write of Linux's that lacks ours */

/* MOV to CR4 from a general register: 0F 22 /4, which REX.B may precede (SDM 2B); mod is not looked at. */
static const unsigned long *operand(const struct pt_regs *regs, u32 *length)
{
	static const u8 at[16] = {
#define AT(reg) offsetof(struct pt_regs, reg) / 8
		AT(ax), AT(cx), AT(dx),	 AT(bx),  AT(sp),  AT(bp),  AT(si),  AT(di),
		AT(r8), AT(r9), AT(r10), AT(r11), AT(r12), AT(r13), AT(r14), AT(r15),
	};
	u8 bytes[4], high = 0;
	const u8 *b = bytes;

	if (copy_from_kernel_nofault(bytes, (const void *)regs->ip, sizeof(bytes)))
		return NULL;
	if ((*b & 0xf0) == 0x40)
		high = *b++ & 1 ? 8 : 0;
	if (b[0] != 0x0f || b[1] != 0x22 || (b[2] & 0x38) != 0x20)
		return NULL;
	*length = b + 3 - bytes;
	return (const unsigned long *)regs + at[(b[2] & 7) + high];
}

static int die_event(struct notifier_block *block, unsigned long event, void *data)
{
	struct pt_regs *regs = ((struct die_args *)data)->regs;
	unsigned long bits = this_cpu_read(kept);
	const unsigned long *value;
	u32 length;

	if (event != DIE_GPF || !bits || user_mode(regs))
		return NOTIFY_DONE;
	value = operand(regs, &length);
	/* With all of ours in it something else is wrong, and a second #GP says the same. */
	if (!value || (*value & bits) == bits || !write_cr4(*value | bits))
		return NOTIFY_DONE;
	regs->ip += length;
	return NOTIFY_STOP;
}

static struct notifier_block die_block = { .notifier_call = die_event, .priority = INT_MAX - 1 };

int cr4_init(void)
{
	int err = register_die_notifier(&die_block);

	if (err)
		return err;
	register_module_notifier(&module_block);
	mutex_lock(&vmx_lock);
	kvm |= module_is_loaded("kvm_intel");
	mutex_unlock(&vmx_lock);
	return 0;
}

void cr4_exit(void)
{
	unregister_module_notifier(&module_block);
	unregister_die_notifier(&die_block);
}

#endif
