// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The host page behind a user address, and how large the host maps it: read from the process's page
 * table. No reference is taken. What is found there holds until the host invalidates it, and that it
 * does is told to guest_memory_invalidate_begin() before the entry changes. And the other way round: a
 * page of the module's, mapped by a process.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <asm/pgtable.h>

#include "compat.h"
#include "device.h"

/*
 * User memory that is there, and that struct pages describe. Everything else is Linux's own to look into,
 * by get_user_pages(): special and device pages, and those that a protection key may keep from us.
 */
static inline bool plain(u64 entry)
{
	const u64 odd = _PAGE_SPECIAL | COMPAT_PAGE_DEVMAP | _PAGE_PKEY_MASK;

	return (entry & (_PAGE_PRESENT | _PAGE_USER | odd)) == (_PAGE_PRESENT | _PAGE_USER);
}

/*
 * The last entry on the way to addr, and its level; level 0: the way ends before. Interrupts are off: page
 * tables are freed only after an IPI, or a grace period, that this holds off.
 */
static inline u64 walk(unsigned long addr, u8 *level, pte_t **ptes)
{
	pgd_t *pgd = pgd_offset(current->mm, addr), pgd_value = READ_ONCE(*pgd);
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	*level = 0;
	if (pgd_none(pgd_value))
		return 0;
	p4d = READ_ONCE(*p4d_offset(&pgd_value, addr));
	if (p4d_none(p4d))
		return 0;
	pud = READ_ONCE(*pud_offset(&p4d, addr));
	if (!pud_present(pud))
		return 0;
	*level = 3;
	if (pud_leaf(pud))
		return pud_val(pud);
	pmd = READ_ONCE(*pmd_offset(&pud, addr));
	*level = 2;
	if (pmd_leaf(pmd))
		return pmd_val(pmd);
	*level = 0;
	if (!(pmd_val(pmd) & _PAGE_PRESENT) || pmd_bad(pmd))
		return 0;
	*level = 1;
	*ptes = pte_offset_kernel(&pmd, addr);
	return pte_val(READ_ONCE(**ptes));
}

static noinline bool in_direct_map(u64 phys)
{
	unsigned int level;
	pte_t *pte = lookup_address((unsigned long)__va(phys), &level);

	return pte && pte_val(*pte) & _PAGE_PRESENT;
}

/*
 * Is the page in the kernel's own direct map, through which guests' tables are read (host_phys_to_virt())? Those
 * of memfd_secret() are not, as long as a process maps them. Anonymous memory always is. Interrupts are off, so
 * that neither what was found in the process's table nor the direct map's own tables go away.
 */
static inline bool direct(u64 phys)
{
	return likely(folio_test_anon(page_folio(pfn_to_page(phys >> PAGE_SHIFT)))) ||
	       in_direct_map(phys);
}

/*
 * Only what one entry of the host's own page table maps may become one entry of the guest's: a page of a
 * huge page can be unmapped alone. A page that is writable is mapped writable, whatever the access was.
 */
static bool look(unsigned long addr, bool write, struct host_page *page)
{
	unsigned long flags, mask;
	pte_t *ptes;
	u64 entry;
	u8 level;
	bool good;

	local_irq_save(flags);
	entry = walk(addr, &level, &ptes);
	mask = level == 3 ? PUD_MASK : level == 2 ? PMD_MASK : PAGE_MASK;
	page->phys = (entry & PTE_PFN_MASK & mask) | (addr & PAGE_MASK & ~mask);
	good = level && plain(entry) && (!write || entry & _PAGE_RW) && direct(page->phys);
	local_irq_restore(flags);
	if (!good)
		return false;
	page->level = level;
	page->writable = entry & _PAGE_RW;
	page->cached = true;
	page->cookie = NULL;
	return true;
}

/* Does what a page fault of the process itself would do. */
static bool bring_in(unsigned long addr, bool write)
{
	bool unlocked = false;
	int err;

	if (mmap_read_lock_killable(current->mm))
		return false;
	err = fixup_user_fault(current->mm, addr, write ? FAULT_FLAG_WRITE : 0, &unlocked);
	mmap_read_unlock(current->mm);
	return !err;
}

int host_page_get(u64 user_addr, bool write, struct host_page *page)
{
	unsigned long addr = user_addr & PAGE_MASK, flags;
	struct page *p;
	pte_t *ptes;
	bool good;
	long got;

	if (look(addr, write, page) || (bring_in(addr, write) && look(addr, write, page)))
		return 0;
	got = get_user_pages_unlocked(addr, 1, &p, write ? FOLL_WRITE : 0);
	if (got != 1)
		return got < 0 ? got : -EFAULT;
	page->phys = page_to_phys(p);
	local_irq_save(flags);
	walk(addr, &page->level, &ptes);
	good = direct(page->phys);
	local_irq_restore(flags);
	if (!good) {
		put_page(p);
		return -EFAULT;
	}
	page->level = max_t(u8, page->level, 1);
	page->writable = write;
	page->cached = true;
	page->cookie = p;
	return 0;
}

void host_page_put(struct host_page *page)
{
	if (page->cookie)
		put_page(page->cookie);
}

u32 host_pages_near(u64 user_addr, u32 count, u64 *phys)
{
	unsigned long flags;
	u64 entry;
	pte_t *pte;
	u32 i = 0;
	u8 level;

	local_irq_save(flags);
	entry = walk(user_addr, &level, &pte);
	if (level == 1)
		while (plain(entry) && entry & _PAGE_RW && direct(entry & PTE_PFN_MASK)) {
			phys[i++] = entry & PTE_PFN_MASK;
			if (i == count)
				break;
			entry = pte_val(READ_ONCE(pte[i]));
		}
	local_irq_restore(flags);
	return i;
}

/* The guest writes through a writable mapping without a word, so such a page counts as dirty at once. */
void host_page_dirty(u64 phys)
{
	struct page *p = pfn_to_page(phys >> PAGE_SHIFT);

	if (!PageReserved(p) && !PageDirty(p))
		SetPageDirty(p);
}

int linux_mmap_page(struct vm_area_struct *vma, struct page *page, bool writable)
{
	if (vma->vm_pgoff || vma->vm_end - vma->vm_start != PAGE_SIZE ||
	    !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (!writable && vma->vm_flags & VM_WRITE)
		return -EPERM;
	if (!writable)
		compat_vm_flags_clear(vma, VM_MAYWRITE);
	return vm_insert_page(vma, vma->vm_start, page);
}
