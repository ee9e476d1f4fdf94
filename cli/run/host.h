/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What this computer offers, and what stands in the way of running guests on it. */
#ifndef CLI_HOST_H
#define CLI_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "fermata.h"

#define HOST_OBSTACLES 8

struct host_obstacle {
	char what[160];
	char remedy[160];
};

struct host {
	bool module;		  /* /dev/fermata answered; caps are its */
	struct fermata_caps caps; /* without the module: what CPUID says, and zero where it cannot */
	char vendor[13];	  /* CPUID 0 */
	char brand[49];		  /* CPUID 8000_0002 .. 4 */
	bool svm, vmx;		  /* CPUID says so */
	bool hypervisor;	  /* this is a virtual machine itself */
	bool kvm;		  /* /dev/kvm opens: guests run beside KVM's */
	int kvm_error;		  /* errno of that; 0: it does */
	unsigned obstacles;	  /* 0: guests can run here */
	struct host_obstacle obstacle[HOST_OBSTACLES];
};

void host_probe(struct host *host);
/* Bytes of memory a new process could have: MemAvailable and free swap. */
uint64_t host_memory_available(void);

#endif
