// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Kernel and initrd files are read, not mapped: a mapping of a file that somebody truncates
 * raises SIGBUS, and one that somebody rewrites changes after it was checked.
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

static int read_whole(int fd, const char *path, struct boot_image *image, char *error,
		      size_t error_size)
{
	struct stat st;
	uint8_t *data;
	size_t size, done = 0;
	ssize_t n;

	if (fstat(fd, &st))
		return boot_fail(error, error_size, "%s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return boot_fail(error, error_size, "%s: is a directory; name a file in it", path);
	if (!S_ISREG(st.st_mode))
		return boot_fail(error, error_size,
				 "%s: not a regular file; copy its contents into one", path);
	if (st.st_size == 0)
		return boot_fail(error, error_size, "%s: the file is empty", path);
	if ((uint64_t)st.st_size > FILE_MAX)
		return boot_fail(error, error_size,
				 "%s: larger than 4 GiB, which no kernel or initrd is", path);

	size = st.st_size;
	data = malloc(size);
	if (!data)
		return boot_fail(error, error_size, "%s: no memory for its %zu bytes", path, size);
	while (done < size) {
		n = read(fd, data + done, size - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			boot_fail(error, error_size, "%s: %s", path,
				  n ? strerror(errno) : "it shrank while it was read; try again");
			free(data);
			return -1;
		}
		done += n;
	}
	image->data = data;
	image->size = size;
	return 0;
}

int boot_file_read(const char *path, struct boot_image *image, char *error, size_t error_size)
{
	int fd, result;

	image->data = NULL;
	image->size = 0;
	/* O_NONBLOCK: opening a FIFO must fail below instead of waiting for its writer. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return boot_fail(error, error_size, "%s: %s", path, strerror(errno));
	result = read_whole(fd, path, image, error, error_size);
	close(fd);
	return result;
}

void boot_file_free(struct boot_image *image)
{
	free((void *)image->data);
	image->data = NULL;
	image->size = 0;
}
