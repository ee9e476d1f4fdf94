# SPDX-License-Identifier: MIT OR GPL-2.0
#
# tests/fuzz/fuzz_NAME.c becomes build/unit/test_fuzz_NAME and runs with the unit tests: some
# thousand mutations with a fixed seed. What it fuzzes, from the top of the tree:
fuzz_bzimage := vmm/boot/bzimage.c vmm/boot/entry.c vmm/boot/file.c vmm/boot/layout.c

fuzz_names := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
unit_tests += $(fuzz_names:%=$(build)/unit/test_fuzz_%)

define fuzz_rule
$(build)/unit/test_fuzz_$(1): $$(patsubst %.c,$(build)/unit/obj/%.o,tests/fuzz/fuzz_$(1).c $$(fuzz_$(1)))
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) -fsanitize=address,undefined -o $$@ $$^ $$(fuzz_$(1)_libs)
endef
$(foreach n,$(fuzz_names),$(eval $(call fuzz_rule,$(n))))
