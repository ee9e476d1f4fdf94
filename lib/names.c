// SPDX-License-Identifier: MIT OR GPL-2.0
/* Exit codes and reasons in words: Linux's own, as perf kvm stat prints them. */
#include <stddef.h>

#include <asm/svm.h>
#include <asm/vmx.h>

#include "fermata.h"

/* <asm/svm.h> names exceptions by these, but exports no header that defines them (SDM 3A table 6-1). */
#define DE_VECTOR 0
#define DB_VECTOR 1
#define BP_VECTOR 3
#define OF_VECTOR 4
#define BR_VECTOR 5
#define UD_VECTOR 6
#define NM_VECTOR 7
#define DF_VECTOR 8
#define TS_VECTOR 10
#define NP_VECTOR 11
#define SS_VECTOR 12
#define GP_VECTOR 13
#define PF_VECTOR 14
#define MF_VECTOR 16
#define AC_VECTOR 17
#define MC_VECTOR 18
#define XM_VECTOR 19

static const struct {
	uint32_t code;
	const char *name;
} svm_names[] = { SVM_EXIT_REASONS }, vmx_names[] = { VMX_EXIT_REASONS };

static const char *const reason_names[FERMATA_EXIT_REASONS] = {
	[FERMATA_EXIT_UNCLAIMED] = "UNCLAIMED",
	[FERMATA_EXIT_IO] = "IO",
	[FERMATA_EXIT_MMIO] = "MMIO",
	[FERMATA_EXIT_INTACK] = "INTACK",
	[FERMATA_EXIT_EOI] = "EOI",
	[FERMATA_EXIT_SHUTDOWN] = "SHUTDOWN",
	[FERMATA_EXIT_FAIL_ENTRY] = "FAIL_ENTRY",
	[FERMATA_EXIT_MEMORY_FAULT] = "MEMORY_FAULT",
	[FERMATA_EXIT_HALTED] = "HALTED",
	[FERMATA_EXIT_STOPPED] = "STOPPED",
	[FERMATA_EXIT_UNSUPPORTED] = "UNSUPPORTED",
};

/* SDM 3C 31.4 */
static const char *const vmx_errors[] = {
	[1] = "VMCALL in VMX root operation",
	[2] = "VMCLEAR of an address that no VMCS can have",
	[3] = "VMCLEAR of the VMXON region",
	[4] = "VMLAUNCH of a VMCS that was launched already",
	[5] = "VMRESUME of a VMCS that was not launched",
	[6] = "VMRESUME of a VMCS that was launched before VMXOFF",
	[7] = "invalid control fields",
	[8] = "invalid host-state fields",
	[9] = "VMPTRLD of an address that no VMCS can have",
	[10] = "VMPTRLD of the VMXON region",
	[11] = "VMPTRLD of a VMCS with another revision identifier",
	[12] = "VMREAD or VMWRITE of a field that this processor does not have",
	[13] = "VMWRITE of a read-only field",
	[15] = "VMXON in VMX root operation",
	[16] = "invalid executive-VMCS pointer",
	[17] = "executive VMCS that was not launched",
	[18] = "executive-VMCS pointer that is not the VMXON pointer",
	[19] = "VMCALL with a VMCS that is not clear",
	[20] = "VMCALL with invalid VM-exit control fields",
	[22] = "VMCALL with another MSEG revision identifier",
	[23] = "VMXOFF under dual-monitor treatment of SMIs and SMM",
	[24] = "VMCALL with invalid SMM-monitor features",
	[25] = "invalid VM-execution control fields in the executive VMCS",
	[26] = "events blocked by MOV SS",
	[28] = "invalid operand of INVEPT or INVVPID",
};

const char *fermata_vmx_error(uint32_t error)
{
	if (error >= sizeof(vmx_errors) / sizeof(vmx_errors[0]) || !vmx_errors[error])
		return "unknown";
	return vmx_errors[error];
}

const char *fermata_exit_reason_name(uint32_t reason)
{
	return reason < FERMATA_EXIT_REASONS ? reason_names[reason] : "unknown";
}

const char *fermata_exit_code_name(uint32_t vendor, uint32_t code)
{
	if (vendor == FERMATA_VENDOR_AMD)
		for (size_t i = 0; i < sizeof(svm_names) / sizeof(svm_names[0]); i++)
			if (svm_names[i].code == code)
				return svm_names[i].name;
	if (code == FERMATA_HW_REFUSED)
		return "REFUSED";
	if (vendor == FERMATA_VENDOR_INTEL && code == FERMATA_VMX_FAIL)
		return "VMFAIL";
	if (vendor == FERMATA_VENDOR_INTEL && code == FERMATA_VMX_UNPAGED)
		return "UNPAGED";
	/* bits 31:16 of the exit reason are flags (SDM 3C 25.9.1) */
	if (vendor == FERMATA_VENDOR_INTEL)
		for (size_t i = 0; i < sizeof(vmx_names) / sizeof(vmx_names[0]); i++)
			if (vmx_names[i].code == (code & 0xffff))
				return vmx_names[i].name;
	return "unknown";
}

const char *fermata_flush_kind_name(uint32_t kind)
{
	static const char *const name[FERMATA_FLUSH_KINDS] = {
		[FERMATA_FLUSH_NEW_TAG] = "new-tag",	   [FERMATA_FLUSH_ADDRESS] = "address",
		[FERMATA_FLUSH_LOCAL] = "local",	   [FERMATA_FLUSH_TAG] = "tag",
		[FERMATA_FLUSH_ALL_TAGS] = "all-tags",	   [FERMATA_FLUSH_NESTED] = "nested",
		[FERMATA_FLUSH_ALL_NESTED] = "all-nested", [FERMATA_FLUSH_ENTRY] = "entry",
	};

	return kind < FERMATA_FLUSH_KINDS ? name[kind] : "unknown";
}

const char *fermata_flush_cause_name(uint32_t cause)
{
	static const char *const name[FERMATA_FLUSH_CAUSES] = {
		[FERMATA_CAUSE_STATE] = "state",       [FERMATA_CAUSE_CONTROL] = "control",
		[FERMATA_CAUSE_ADDRESS] = "invlpg",    [FERMATA_CAUSE_HOST] = "host",
		[FERMATA_CAUSE_SLOT] = "slot",	       [FERMATA_CAUSE_REMAP] = "remap",
		[FERMATA_CAUSE_SHADOW] = "shadow",     [FERMATA_CAUSE_CPU] = "cpu",
		[FERMATA_CAUSE_ROLLOVER] = "rollover", [FERMATA_CAUSE_UNTAGGED] = "untagged",
		[FERMATA_CAUSE_WATCH] = "watch",       [FERMATA_CAUSE_DIRTY] = "dirty",
	};

	return cause < FERMATA_FLUSH_CAUSES && name[cause] ? name[cause] : "unknown";
}
