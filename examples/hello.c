// SPDX-License-Identifier: MIT OR GPL-2.0
/* A VM of one page: real-mode code says hello on port E9h, touches a device, halts. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <fermata.h>

#define CODE_AT 0x1000

static const uint8_t code[] = {
	0xbe, 0x15, 0x10, /* 1000: mov si, 1015h */
	0xba, 0xe9, 0x00, /* 1003: mov dx, E9h */
	0xac,		  /* 1006: lodsb */
	0x84, 0xc0,	  /* 1007: test al, al */
	0x74, 0x03,	  /* 1009: jz 100Eh */
	0xee,		  /* 100B: out dx, al */
	0xeb, 0xf8,	  /* 100C: jmp 1006h */
	0xa0, 0x00, 0x50, /* 100E: mov al, [5000h]: no memory is there */
	0xa2, 0x04, 0x50, /* 1011: mov [5004h], al */
	0xf4,		  /* 1014: hlt, interrupts off */
	'H',  'e',  'l',  'l', 'o', '\n', 0,
};

static void io_read(void *opaque, uint16_t port, unsigned size, uint32_t *value)
{
	*value = UINT32_MAX; /* what an empty bus reads as */
}

static void io_write(void *opaque, uint16_t port, unsigned size, uint32_t value)
{
	printf("  port %#x <- %#x\n", port, value);
}

static void mem_read(void *opaque, uint64_t gpa, unsigned size, uint64_t *value)
{
	*value = 0x2a;
	printf("  device %#llx -> %#llx\n", (unsigned long long)gpa, (unsigned long long)*value);
}

static void mem_write(void *opaque, uint64_t gpa, unsigned size, uint64_t value)
{
	printf("  device %#llx <- %#llx\n", (unsigned long long)gpa, (unsigned long long)value);
}

static int set_start(fermata_vcpu *vcpu)
{
	static struct fermata_state state;
	int ret = fermata_state_get(vcpu, &state, FERMATA_STATE_REGS | FERMATA_STATE_SEGMENTS);

	if (ret)
		return ret;
	state.segments.cs.selector = 0; /* out of reset it is F000h, with a base below 4 GiB */
	state.segments.cs.base = 0;
	state.regs.rip = CODE_AT;
	return fermata_state_set(vcpu, &state, FERMATA_STATE_REGS | FERMATA_STATE_SEGMENTS);
}

static int run(fermata_vcpu *vcpu)
{
	static const struct fermata_bus bus = {
		.io_read = io_read,
		.io_write = io_write,
		.mem_read = mem_read,
		.mem_write = mem_write,
	};
	const struct fermata_exit *exit = &fermata_vcpu_page(vcpu)->exit;

	for (;;) {
		int ret = fermata_run(vcpu);

		if (ret == -EINTR)
			continue;
		if (ret)
			return ret;
		printf("exit %s at %#llx\n", fermata_exit_reason_name(exit->reason),
		       (unsigned long long)fermata_vcpu_page(vcpu)->rip);
		if (exit->reason == FERMATA_EXIT_HALTED)
			return 0;
		ret = fermata_emulate(vcpu, &bus);
		if (ret)
			return ret;
	}
}

int main(void)
{
	fermata_vm *vm = fermata_vm_new();
	void *page = fermata_memory_alloc(4096);
	fermata_vcpu *vcpu;
	bool good;

	if (vm && page)
		memcpy(page, code, sizeof(code));
	good = vm && page && !fermata_map(vm, 0, CODE_AT, 4096, page, 0) &&
	       (vcpu = fermata_vcpu_new(vm, 0)) && !set_start(vcpu) && !run(vcpu);
	if (!good)
		fprintf(stderr, "hello: %s\n", fermata_error());
	fermata_vm_free(vm);
	fermata_memory_free(page, 4096);
	return !good;
}
