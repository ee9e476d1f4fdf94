// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Kernel and initrd files are read, not mapped: a mapping of a file that somebody truncates raises
 * SIGBUS. What is checked was copied first; the rest goes into guest memory without a stop between.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/bzimage.h"
#include "boot/fail.h"

#define FILE_MAX (4ull << 30)

/* -1, errno set (0: the file ended early) */
static int read_at(int fd, size_t offset, uint8_t *to, size_t size)
{
	while (size) {
		ssize_t n = pread(fd, to, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = 0;
			return -1;
		}
		to += n;
		offset += (size_t)n;
		size -= (size_t)n;
	}
	return 0;
}

static int read_head(int fd, const char *path, struct boot_image *image, char *error,
		     size_t error_size)
{
	struct stat st;
	uint8_t *data;
	size_t head;

	if (fstat(fd, &st))
		return boot_fail(error, error_size, "%s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return boot_fail(error, error_size, "%s: is a directory; name a file in it", path);
	if (!S_ISREG(st.st_mode))
		return boot_fail(error, error_size,
				 "%s: not a regular file; copy its contents into one", path);
	if (st.st_size == 0)
		return boot_fail(error, error_size, "%s: the file is empty; get the file again",
				 path);
	if ((uint64_t)st.st_size > FILE_MAX)
		return boot_fail(error, error_size,
				 "%s: larger than 4 GiB, which no kernel or initrd is", path);

	head = st.st_size < BOOT_IMAGE_HEAD ? (size_t)st.st_size : BOOT_IMAGE_HEAD;
	data = malloc(head);
	if (!data)
		return boot_fail(error, error_size, "%s: no memory for %zu bytes of it", path, head);
	if (read_at(fd, 0, data, head)) {
		boot_fail(error, error_size, "%s: %s", path,
			  errno ? strerror(errno) : "it shrank while it was read; try again");
		free(data);
		return -1;
	}
	image->data = data;
	image->size = (size_t)st.st_size;
	return 0;
}

int boot_file_open(const char *path, struct boot_image *image, char *error, size_t error_size)
{
	int fd;

	*image = (struct boot_image){ 0 };
	/* O_NONBLOCK: opening a FIFO must fail below instead of waiting for its writer. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return boot_fail(error, error_size, "%s: %s; name a file that you can read", path,
				 strerror(errno));
	if (read_head(fd, path, image, error, error_size)) {
		close(fd);
		return -1;
	}
	image->rest = fd + 1;
	return 0;
}

void boot_file_close(struct boot_image *image)
{
	if (image->rest)
		close(image->rest - 1);
	free((void *)image->data);
	*image = (struct boot_image){ 0 };
}

int boot_image_copy(const struct boot_image *image, size_t offset, uint8_t *to, size_t size)
{
	if (image->rest)
		return read_at(image->rest - 1, offset, to, size);
	memcpy(to, image->data + offset, size);
	return 0;
}
