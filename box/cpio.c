/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "cpio.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_all(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size) {
		ssize_t n = write(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		size -= n;
	}
	return 0;
}

static int pad(int fd, uint64_t size)
{
	return write_all(fd, "\0\0\0", -size & 3);
}

/* Exactly `size` bytes, even if the file shrinks or grows meanwhile. */
static int copy(int fd, int from, uint64_t size)
{
	char buffer[1 << 14];
	uint64_t at = 0;

	while (at < size) {
		size_t want = size - at < sizeof(buffer) ? size - at : sizeof(buffer);
		ssize_t n = pread(from, buffer, want, at);
		int err;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		err = write_all(fd, buffer, n);
		if (err)
			return err;
		at += n;
	}
	return 0;
}

static int header(int fd, const char *name, mode_t mode, uint64_t size)
{
	size_t name_size = strlen(name) + 1;
	char head[110 + 1];
	int err;

	if (size > UINT32_MAX)
		return -EFBIG;
	/* magic, inode, mode, uid, gid, links, mtime, size, device and special device, name, check */
	snprintf(head, sizeof(head), "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		 0, (unsigned int)mode, 0, 0, 1, 0, (unsigned int)size, 0, 0, 0, 0,
		 (unsigned int)name_size, 0);
	err = write_all(fd, head, 110);
	if (!err)
		err = write_all(fd, name, name_size);
	return err ? err : pad(fd, 110 + name_size);
}

int cpio_directory(int fd, const char *name)
{
	return header(fd, name, S_IFDIR | 0755, 0);
}

int cpio_file(int fd, const char *name, mode_t mode, const void *data, size_t size)
{
	int err = header(fd, name, S_IFREG | mode, size);

	if (!err)
		err = write_all(fd, data, size);
	return err ? err : pad(fd, size);
}

int cpio_copy(int fd, const char *name, mode_t mode, int from)
{
	struct stat st;
	int err;

	if (fstat(from, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	err = header(fd, name, S_IFREG | mode, st.st_size);
	if (!err)
		err = copy(fd, from, st.st_size);
	return err ? err : pad(fd, st.st_size);
}

int cpio_end(int fd)
{
	return header(fd, "TRAILER!!!", 0, 0);
}

int cpio_append(int fd, int from)
{
	struct stat st;
	int err;

	if (fstat(from, &st) < 0)
		return -errno;
	err = copy(fd, from, st.st_size);
	return err ? err : pad(fd, st.st_size);
}
