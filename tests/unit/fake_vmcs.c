/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "standin/vmx/instructions.h"

struct fake_vmcs fake_vmcs;

static u64 *field_at(u32 field)
{
	if (field >= FAKE_VMCS_FIELDS) {
		fprintf(stderr, "fake VMCS: no field %#x\n", field);
		abort();
	}
	return &fake_vmcs.field[field];
}

u64 vmread(u32 field)
{
	fake_vmcs.reads++;
	return *field_at(field);
}

u64 vmread_or_zero(u32 field)
{
	return *field_at(field);
}

void vmwrite(u32 field, u64 value)
{
	fake_vmcs.writes++;
	*field_at(field) = value;
}

bool vmx_on(u64 region)
{
	return fake_vmcs.on = true;
}

void vmx_off(void)
{
	fake_vmcs.on = false;
}

void vmptrld(u64 vmcs)
{
	fake_vmcs.current = vmcs;
}

bool vmptrst(u64 *vmcs)
{
	*vmcs = fake_vmcs.current ?: ~0ull;
	return !fake_vmcs.gone;
}

void vmclear(u64 vmcs)
{
	fake_vmcs.clears++;
	if (fake_vmcs.current == vmcs)
		fake_vmcs.current = 0;
}
