# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The fermata command.

cli_sources := $(wildcard cli/*.c cli/*/*.c)
cli_libs := -ljson-c

$(build)/obj/cli/caps/trial.o: user_cflags += -DFERMATA_LIBDIR='"$(libdir)"'
$(build)/obj/cli/caps/trial.o: $(build)/stamp/libdir
