// SPDX-License-Identifier: MIT OR GPL-2.0
/* The host page behind a user address, and how large the host maps it. */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/pgtable.h>

#include "host.h"

/*
 * Only what one entry of the host's own page table maps may become one entry of the guest's: a page
 * of a huge page can be unmapped alone. Page tables are freed only after an IPI that we hold off.
 */
static u8 mapping_level(struct mm_struct *mm, unsigned long addr)
{
	unsigned long flags;
	u8 level = 1;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	local_irq_save(flags);
	pgd = READ_ONCE(*pgd_offset(mm, addr));
	if (pgd_none(pgd))
		goto out;
	p4d = READ_ONCE(*p4d_offset(&pgd, addr));
	if (p4d_none(p4d) || !p4d_present(p4d))
		goto out;
	pud = READ_ONCE(*pud_offset(&p4d, addr));
	if (pud_none(pud) || !pud_present(pud))
		goto out;
	if (pud_leaf(pud)) {
		level = 3;
		goto out;
	}
	pmd = READ_ONCE(*pmd_offset(&pud, addr));
	if (pmd_present(pmd) && pmd_leaf(pmd))
		level = 2;
out:
	local_irq_restore(flags);
	return level;
}

int host_page_get(u64 user_addr, bool write, struct host_page *page)
{
	unsigned long addr = user_addr & PAGE_MASK;
	struct page *p;
	long got;

	page->writable = true;
	/* A page that is there and writable is mapped writable, whatever the access was. */
	if (get_user_pages_fast_only(addr, 1, FOLL_WRITE, &p) != 1) {
		got = get_user_pages_unlocked(addr, 1, &p, write ? FOLL_WRITE : 0);
		if (got != 1)
			return got < 0 ? got : -EFAULT;
		page->writable = write;
	}
	page->phys = page_to_phys(p);
	page->level = mapping_level(current->mm, addr);
	page->cached = true;
	page->cookie = p;
	return 0;
}

/* The guest writes through a writable mapping without a word, so such a page counts as dirty at once. */
void host_page_put(struct host_page *page, bool dirtied)
{
	struct page *p = page->cookie;

	if ((dirtied || page->writable) && !PageReserved(p))
		SetPageDirty(p);
	put_page(p);
}
