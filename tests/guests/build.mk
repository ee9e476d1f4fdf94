# SPDX-License-Identifier: MIT OR GPL-2.0
#
# Test guests: tests/guests/NAME.c or NAME.S becomes build/guests/NAME, a flat image at 1 MiB; the
# runner becomes build/guests/runner. Neither is in the box's image: the test carries them in.
# runner*.c is the runner, everything else here is a guest.

guest_names := $(basename $(notdir $(filter-out tests/guests/runner%,$(wildcard tests/guests/*.[cS]))))
guest_images := $(guest_names:%=$(build)/guests/%)
guest_library := $(build)/guests/obj/lib/start.o $(build)/guests/obj/lib/guest.o
guest_cflags := -std=gnu11 -O2 -g -MMD -MP $(warnings) -Iinclude -Itests/guests/lib -ffreestanding \
	-nostdlib -mgeneral-regs-only -mno-red-zone -fno-pic -fno-pie -mcmodel=small -fno-stack-protector \
	-fcf-protection=none -fno-asynchronous-unwind-tables -fno-omit-frame-pointer

$(build)/guests/obj/%.o: tests/guests/%.c tests/guests/build.mk $(build)/stamp/flags
	$(call say,CC,$< (guest))
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(guest_cflags) -c -o $@ $<

$(build)/guests/obj/%.o: tests/guests/%.S tests/guests/build.mk $(build)/stamp/flags
	$(call say,AS,$< (guest))
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -MMD -MP -Iinclude -Itests/guests/lib -c -o $@ $<

$(guest_images): $(build)/guests/%: $(build)/guests/obj/%.o $(guest_library) tests/guests/lib/guest.ld
	$(call say,GUEST,$@)
	$(Q)$(CC) -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
		-Wl,--no-warn-rwx-segments -T tests/guests/lib/guest.ld -o $@.elf $(filter %.o,$^)
	$(Q)objcopy -O binary $@.elf $@

runner_objects := $(patsubst %.c,$(build)/obj/%.o,$(wildcard tests/guests/runner*.c))
runner_objects += $(addprefix $(build)/obj/vmm/devices/,bus.o pc/acpi_pm.o pc/pit.o pc/rtc.o)
$(runner_objects): user_cflags += -Itests/guests/lib
$(build)/guests/runner: $(runner_objects) $(build)/libfermata.a
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^ $(LDFLAGS) $(lib_libs) -lpthread

guests: $(guest_images) $(build)/guests/runner
all: guests
.PHONY: guests

-include $(wildcard $(build)/guests/obj/*.d $(build)/guests/obj/lib/*.d)
