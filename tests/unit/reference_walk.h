/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A page walk as the manual tells it, one sentence after the other (SDM 3A 4.3 to 4.8), to compare
 * faster ones with. It works on a copy of the guest's memory, and sets accessed and dirty bits there.
 */
#ifndef REFERENCE_WALK_H
#define REFERENCE_WALK_H

#include "memory/guest_walk.h"

#define CR0_WP (1ull << 16)
#define CR0_PG (1ull << 31)
#define CR4_PSE (1ull << 4)
#define CR4_PAE (1ull << 5)
#define CR4_LA57 (1ull << 12)
#define CR4_SMEP (1ull << 20)
#define CR4_SMAP (1ull << 21)
#define CR4_PKE (1ull << 22)
#define EFER_LMA (1ull << 10)
#define EFER_NXE (1ull << 11)

#define READ FERMATA_ACCESS_READ
#define WRITE FERMATA_ACCESS_WRITE
#define FETCH FERMATA_ACCESS_FETCH
#define USER FERMATA_ACCESS_USER
#define SYSTEM FERMATA_ACCESS_SYSTEM

static u8 *ref_ram;
static u64 ref_ram_size;

struct reference {
	int err;
	bool fault;
	u32 code;
	u64 gpa;
	u32 page_size;
};

static u64 ref_load(u64 gpa, u32 size, int *err)
{
	u64 value = 0;

	if (gpa >= ref_ram_size)
		*err = -ENOENT;
	else
		memcpy(&value, ref_ram + gpa, size);
	return value;
}

static void ref_or(u64 gpa, u32 bits)
{
	u32 value;

	memcpy(&value, ref_ram + gpa, 4);
	value |= bits;
	memcpy(ref_ram + gpa, &value, 4);
}

static bool any_bit(u64 value, int low, int high)
{
	for (int bit = low; bit <= high; bit++)
		if (value >> bit & 1)
			return true;
	return false;
}

static struct reference ref_walk(const struct guest_paging *p, u32 maxphyaddr, u64 linear,
				 u32 access)
{
	bool pae = p->cr4 & CR4_PAE, lma = p->efer & EFER_LMA, nxe = pae && (p->efer & EFER_NXE);
	bool write = access & WRITE, fetch = access & FETCH;
	bool user_mode = (access & SYSTEM) ? false : (access & USER) ? true : p->cpl == 3;
	bool smep = p->cr4 & CR4_SMEP, smap = p->cr4 & CR4_SMAP, wp = p->cr0 & CR0_WP;
	int level = !pae ? 2 : !lma ? 3 : p->cr4 & CR4_LA57 ? 5 : 4;
	u32 entry_size = pae ? 8 : 4;
	struct reference r = { 0 };
	u64 at, visited[6], entry = 0;
	bool w = true, u = true, x = true, present = true, reserved = false, denied = false,
	     key = false;
	int visits = 0, linear_bits = pae ? 9 : 10;

	if (!(p->cr0 & CR0_PG)) {
		r.gpa = linear & 0xffffffff;
		r.page_size = 4096;
		return r;
	}
	if (!lma)
		linear &= 0xffffffff;
	at = !pae ? p->cr3 & 0xfffff000 : !lma ? p->cr3 & 0xffffffe0 : p->cr3 & 0xffffffffff000;
	while (1) {
		int shift = 12 + linear_bits * (level - 1);
		bool pdpte = pae && !lma && level == 3, ps = false, leaf;
		u64 index = (linear >> shift) % (1u << linear_bits);

		at += index * entry_size;
		if (pdpte && p->has_pdptes) {
			entry = p->pdpte[index];
		} else {
			entry = ref_load(at, entry_size, &r.err);
			if (r.err) {
				r.gpa = at;
				return r;
			}
		}
		if (!(entry & 1)) {
			present = false;
			break;
		}
		ps = entry >> 7 & 1;
		leaf = level == 1;
		if (!pae) {
			leaf |= level == 2 && ps && (p->cr4 & CR4_PSE);
			if (leaf && level == 2) {
				int m = maxphyaddr < 40 ? (int)maxphyaddr : 40;

				reserved |= any_bit(entry, m - 19, 21);
			}
		} else if (pdpte) {
			reserved |= any_bit(entry, 1, 2) || any_bit(entry, 6, 8) ||
				    any_bit(entry, (int)maxphyaddr, 63);
		} else {
			leaf |= ps && (level == 2 || (level == 3 && !p->no_1g));
			reserved |= any_bit(entry, (int)maxphyaddr, 51);
			reserved |= !nxe && entry >> 63;
			reserved |= !lma && any_bit(entry, 52, 62);
			reserved |= level >= 4 && ps;
			reserved |= level == 3 && ps && p->no_1g;
			reserved |= leaf && level == 2 && any_bit(entry, 13, 20);
			reserved |= leaf && level == 3 && any_bit(entry, 13, 29);
		}
		if (reserved)
			break;
		if (!pdpte) {
			w = w && (entry & 2);
			u = u && (entry & 4);
			x = x && !(entry >> 63);
			visited[visits++] = at;
		}
		if (leaf) {
			u64 size = 1ull << shift, base = entry & 0xffffffffff000;

			if (!pae && level == 2)
				base = (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32;
			r.gpa = base / size * size + linear % size;
			r.page_size = (u32)size;
			break;
		}
		at = entry & 0xffffffffff000;
		level--;
	}

	if (present && !reserved) {
		/* 4.6.1, mode by mode and access by access */
		if (user_mode) {
			denied = !u || (write && !w) || (fetch && !x);
		} else if (fetch) {
			denied = !x || (u && smep);
		} else {
			if (u && smap)
				denied = (access & SYSTEM) || !p->ac;
			if (write && wp && !w)
				denied = true;
		}
		/* 4.6.2 */
		if (lma && (p->cr4 & CR4_PKE) && u && !fetch) {
			u32 rights = p->pkru >> (entry >> 59 & 15) * 2 & 3;

			key = (rights & 1) || ((rights & 2) && write && (user_mode || wp));
			denied |= key;
		}
	}
	if (!present || reserved || denied) {
		r.fault = true;
		r.code = (present ? 1 : 0) | (write ? 2 : 0) | (user_mode ? 4 : 0) |
			 (reserved ? 8 : 0) | (fetch && (nxe || smep) ? 16 : 0) | (key ? 32 : 0);
		return r;
	}
	if (!(access & GUEST_WALK_PEEK))
		for (int v = 0; v < visits; v++)
			ref_or(visited[v], v == visits - 1 && write ? 0x60 : 0x20);
	return r;
}

#endif
