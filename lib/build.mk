# SPDX-License-Identifier: MIT OR GPL-2.0
#
# libfermata: the sources, the libraries they need and how the shared library is linked. The version
# script decides what is exported, so -fvisibility=hidden would hide the API: it is not used.

lib_sources := \
	lib/alu.c lib/answer.c lib/clock.c lib/device.c lib/dirty.c lib/emulate.c lib/enter.c lib/error.c lib/events.c \
	lib/integer.c lib/names.c lib/operand.c lib/report.c lib/rule.c lib/string.c lib/vcpu.c lib/vector.c lib/vm.c
lib_libs := -lZydis -lpthread
lib_soname := libfermata.so.0
lib_map := lib/libfermata.map
