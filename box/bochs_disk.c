/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "bochs_disk.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot.h"
#include "machine.h"

#define SECTOR 512
#define CHUNK 65536 /* what is zero in pieces of this size stays off the disk: memory is zero too */
#define HUGE_PAGE (2ull << 20)
#define ADDRESS_END (1ull << 32) /* as far as boot.S reaches */

struct row {
	uint32_t to, sector, count;
};
_Static_assert(sizeof(struct row) == BOOT_TABLE_SIZE, "boot.S reads rows of this size");
#define ROWS (BOOT_TABLE_BYTES / sizeof(struct row))

struct file {
	const unsigned char *bytes;
	size_t size;
};

struct disk {
	int fd;
	uint32_t sector; /* the next free one */
	struct row row[ROWS];
	size_t rows;
	const char *problem;
};

static bool map(struct file *file, int fd)
{
	struct stat st;
	void *bytes;

	if (fstat(fd, &st) < 0 || st.st_size == 0)
		return false;
	bytes = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		return false;
	*file = (struct file){ bytes, st.st_size };
	return true;
}

static bool map_named(struct file *file, const char *dir, const char *name, char *error,
		      size_t error_size)
{
	char path[4200];
	bool good;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	good = fd >= 0 && map(file, fd);
	if (!good)
		complain(error, error_size,
			 "cannot read %s, which the box on Bochs starts from; run make", path);
	if (fd >= 0)
		close(fd);
	return good;
}

static void unmap(struct file *file)
{
	if (file->bytes)
		munmap((void *)file->bytes, file->size);
}

static bool put(struct disk *disk, uint32_t sector, const void *bytes, size_t size)
{
	off_t at = (off_t)sector * SECTOR;

	for (size_t done = 0; done < size;) {
		ssize_t n = pwrite(disk->fd, (const char *)bytes + done, size - done, at + done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			disk->problem = strerror(errno);
			return false;
		}
		done += n;
	}
	return true;
}

static bool zero(const unsigned char *bytes, size_t size)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

static size_t chunk(size_t left)
{
	return left < CHUNK ? left : CHUNK;
}

/* The bytes, to be found at that address: a row of the table for each run that is not zero. */
static bool place(struct disk *disk, uint64_t to, const unsigned char *bytes, size_t size)
{
	size_t at = 0, end;

	if (to < (1 << 20) || to + size > ADDRESS_END) {
		disk->problem = "the kernel asks for memory it cannot have";
		return false;
	}
	while (at < size) {
		if (zero(bytes + at, chunk(size - at))) {
			at += chunk(size - at);
			continue;
		}
		for (end = at; end < size && !zero(bytes + end, chunk(size - end));)
			end += chunk(size - end);
		if (disk->rows == ROWS - 1) {
			disk->problem = "the kernel is in too many pieces";
			return false;
		}
		disk->row[disk->rows++] = (struct row){
			.to = to + at,
			.sector = disk->sector,
			.count = (end - at + SECTOR - 1) / SECTOR,
		};
		if (!put(disk, disk->sector, bytes + at, end - at))
			return false;
		disk->sector += (end - at + SECTOR - 1) / SECTOR;
		at = end;
	}
	return true;
}

/* The kernel's end in memory; 0 with disk->problem set. */
static uint64_t place_kernel(struct disk *disk, const struct file *kernel, uint32_t *entry)
{
	const Elf64_Ehdr *elf = (const void *)kernel->bytes;
	uint64_t end = 0;

	disk->problem = "its vmlinux is not one";
	if (kernel->size < sizeof(*elf) || memcmp(elf->e_ident, ELFMAG, SELFMAG) ||
	    elf->e_machine != EM_X86_64 || elf->e_phentsize != sizeof(Elf64_Phdr) ||
	    elf->e_phoff > kernel->size ||
	    elf->e_phnum > (kernel->size - elf->e_phoff) / sizeof(Elf64_Phdr))
		return 0;
	*entry = elf->e_entry;
	for (int i = 0; i < elf->e_phnum; i++) {
		const Elf64_Phdr *p = (const Elf64_Phdr *)(kernel->bytes + elf->e_phoff) + i;

		if (p->p_type != PT_LOAD)
			continue;
		if (p->p_offset > kernel->size || p->p_filesz > kernel->size - p->p_offset ||
		    p->p_memsz < p->p_filesz || p->p_memsz > ADDRESS_END)
			return 0;
		if (!place(disk, p->p_paddr, kernel->bytes + p->p_offset, p->p_filesz))
			return 0;
		if (end < p->p_paddr + p->p_memsz)
			end = p->p_paddr + p->p_memsz;
	}
	return end;
}

/* Linux, Documentation/x86/boot.rst: the header comes from the bzImage that vmlinux was in. */
static bool parameters(struct boot_params *p, const struct file *image)
{
	size_t start = offsetof(struct boot_params, hdr), end;

	if (image->size < sizeof(*p) || memcmp(image->bytes + 0x202, "HdrS", 4))
		return false;
	end = 0x202 + image->bytes[0x201];
	if (end > start + sizeof(p->hdr))
		end = start + sizeof(p->hdr);
	memset(p, 0, sizeof(*p));
	memcpy((char *)p + start, image->bytes + start, end - start);
	p->hdr.type_of_loader = 0xff;
	p->hdr.cmd_line_ptr = BOOT_COMMAND_LINE;
	return true;
}

static bool fill(struct disk *disk, const struct file *loader, const struct file *image,
		 const struct file *kernel, const struct file *initrd, const char *command_line)
{
	char line[BOOT_COMMAND_LINE_SIZE] = "";
	struct boot_params p;
	uint32_t entry = 0;
	uint64_t end;

	if (loader->size != SECTOR || !parameters(&p, image)) {
		disk->problem = "its boot sector or vmlinuz is not one";
		return false;
	}
	if (strlen(command_line) >= sizeof(line) || strlen(command_line) > p.hdr.cmdline_size) {
		disk->problem = "the kernel's command line is too long";
		return false;
	}
	strcpy(line, command_line);
	disk->sector = 1 + BOOT_HEAD_SECTORS;
	end = place_kernel(disk, kernel, &entry);
	if (!end)
		return false;
	end = (end + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	if (!place(disk, end, initrd->bytes, initrd->size))
		return false;
	p.hdr.ramdisk_image = end;
	p.hdr.ramdisk_size = initrd->size;
	disk->row[disk->rows++] = (struct row){ .to = entry };
	return put(disk, 0, loader->bytes, SECTOR) && put(disk, 1, &p, sizeof(p)) &&
	       put(disk, 1 + (BOOT_COMMAND_LINE - BOOT_HEAD) / SECTOR, line, sizeof(line)) &&
	       put(disk, 1 + (BOOT_TABLE - BOOT_HEAD) / SECTOR, disk->row,
		   disk->rows * sizeof(disk->row[0]));
}

int bochs_disk(const char *dir, int initrd_fd, const char *command_line, unsigned int *cylinders,
	       char *error, size_t error_size)
{
	struct file loader = { 0 }, image = { 0 }, kernel = { 0 }, initrd = { 0 };
	struct disk disk = { .fd = memfd_create("fermata-box-disk", MFD_CLOEXEC) };
	const uint32_t cylinder = DISK_HEADS * DISK_SECTORS;
	bool good;

	good = map_named(&loader, dir, "boot", error, error_size) &&
	       map_named(&image, dir, "vmlinuz", error, error_size) &&
	       map_named(&kernel, dir, "vmlinux", error, error_size);
	if (good) {
		good = disk.fd >= 0 && map(&initrd, initrd_fd) &&
		       fill(&disk, &loader, &image, &kernel, &initrd, command_line);
		*cylinders = (disk.sector + cylinder - 1) / cylinder;
		if (good && ftruncate(disk.fd, (off_t)*cylinders * cylinder * SECTOR) < 0)
			good = false;
		if (!good)
			complain(error, error_size, "cannot prepare the box's disk: %s",
				 disk.problem ? disk.problem : strerror(errno));
	}
	unmap(&loader);
	unmap(&image);
	unmap(&kernel);
	unmap(&initrd);
	if (!good && disk.fd >= 0)
		close(disk.fd);
	return good ? disk.fd : -1;
}
