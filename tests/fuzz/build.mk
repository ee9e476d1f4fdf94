# SPDX-License-Identifier: MIT OR GPL-2.0
#
# tests/fuzz/fuzz_NAME.c becomes build/unit/test_fuzz_NAME and runs with the unit tests: some thousand wounded inputs,
# the same each time. `make fuzz` makes build/fuzz/NAME by clang, for libFuzzer. What each fuzzes, from the top of the
# tree, its libraries and its flags:
fuzz_bzimage := vmm/boot/bzimage.c vmm/boot/entry.c vmm/boot/file.c vmm/boot/layout.c
fuzz_words := cli/text/parse.c vmm/clock_spec.c lib/rule.c lib/error.c
fuzz_command := control/line.c control/command.c
fuzz_command_libs := -ljson-c
fuzz_relay := box/relay.c
fuzz_insn := kernel/insn/decode.c tests/unit/host/host.c
fuzz_insn_libs := -lZydis -lpthread
fuzz_state := $(core_sources)
fuzz_state_libs := -lcmocka -lpthread

fuzz_names := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
unit_tests += $(fuzz_names:%=$(build)/unit/test_fuzz_%)

# ---- libFuzzer's: clang is gcc's second opinion here, not on warnings

fuzz_cflags = $(filter-out -Werror,$(unit_cflags)) -w -fsanitize=fuzzer-no-link -DFUZZ_LIBFUZZER
$(build)/fuzz/obj/%.o: %.c $(build)/stamp/flags
	$(call say,CLANG,$< (fuzz))
	$(Q)mkdir -p $(@D)
	$(Q)clang $(fuzz_cflags) $(unit_extra) -c -o $@ $<
$(foreach f,core rules svm vmx,$(build)/fuzz/obj/kernel/$(f)/%.o): unit_extra := -iquote tests/unit/standin

define fuzz_rule
$(build)/unit/test_fuzz_$(1): $$(patsubst %.c,$(build)/unit/obj/%.o,tests/fuzz/fuzz.c tests/fuzz/fuzz_$(1).c $$(fuzz_$(1)))
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) -fsanitize=address,undefined -o $$@ $$^ $$(fuzz_$(1)_libs)

$(build)/fuzz/$(1): $$(patsubst %.c,$(build)/fuzz/obj/%.o,tests/fuzz/fuzz.c tests/fuzz/fuzz_$(1).c $$(fuzz_$(1)))
	$$(call say,LINK,$$@)
	$$(Q)clang -fsanitize=fuzzer,address,undefined -o $$@ $$^ $$(fuzz_$(1)_libs)
endef
$(foreach n,$(fuzz_names),$(eval $(call fuzz_rule,$(n))))

# TIME: seconds for each. TARGET: only that one.
TIME ?= 60
fuzz_targets := $(or $(TARGET),$(fuzz_names))
fuzz: $(build)/stamp/fuzz
	$(Q)$(MAKE) --no-print-directory $(fuzz_targets:%=$(build)/fuzz/%) $(fuzz_targets:%=$(build)/unit/test_fuzz_%)
	$(Q)tests/fuzz/run $(TIME) $(fuzz_targets)

$(build)/stamp/fuzz: scripts/setup $(build)/setup.mk
	$(Q)mkdir -p $(@D)
	$(Q)scripts/setup --fuzz
	$(Q)touch $@

.PHONY: fuzz
