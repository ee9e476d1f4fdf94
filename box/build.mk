# SPDX-License-Identifier: MIT OR GPL-2.0

box_sources := box.c bochs.c bochs_disk.c carrier.c cpio.c process.c qemu.c relay.c wire.c
box_objects := $(box_sources:%.c=$(build)/obj/box/%.o)
box_libs :=

box_modules := virtio_pci virtio_console

$(build)/obj/box/box.o: user_cflags += -DFERMATA_LIBDIR='"$(libdir)"'
$(build)/obj/box/box.o: $(build)/stamp/libdir

$(build)/box/vmlinuz: scripts/kernel-image $(build)/stamp/release
	$(call say,KERNEL,$@ ($(kernel_release)))
	$(Q)scripts/kernel-image $(kernel_release) $(build)/box $(box_modules)

# For Bochs: the kernel unpacked, and the disk's first sector.
$(build)/box/vmlinux: $(build)/box/vmlinuz scripts/unpack-kernel
	$(call say,UNPACK,$@)
	$(Q)scripts/unpack-kernel $< $@

$(build)/box/boot: box/boot.S box/boot.h $(build)/stamp/flags
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -m32 -c -o $@.o $<
	$(Q)$(LD) -m elf_i386 -Ttext 0x7c00 --oformat binary -o $@ $@.o
	$(Q)chmod -x $@

$(build)/box/agent: $(patsubst %,$(build)/obj/box/%.o,agent agent_virtio agent_wire relay)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^

$(build)/box/box-sh: $(build)/obj/box/box-sh.o $(box_objects)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^ -lpthread

# What the box's image holds beside busybox: SOURCE=TARGET. tests/guests/build.mk adds to box_extra.
box_image := $(build)/kernel/fermata.ko=box/fermata.ko $(build)/box/agent=bin/agent
box_image += $(build)/fermata=bin/fermata $(build)/box/modules/order=box/modules/order
box_image += $(foreach e,$(examples),$(e)=$(e:$(build)/%=%))
box_image += $(box_extra)

box_image_sources = $(foreach p,$(box_image),$(firstword $(subst =, ,$(p))))

$(build)/box/modules/order: $(build)/box/vmlinuz
	$(Q)cat $(box_modules:%=$(build)/box/modules/%.order) | awk '!seen[$$0]++' >$@

$(build)/box/initrd.cpio: box/init box/make-initrd $(box_image_sources)
	$(call say,INITRD,$@)
	$(Q)box/make-initrd $@ box/init $(box_image) \
		$(foreach m,$(shell cat $(build)/box/modules/order 2>/dev/null),$(build)/box/modules/$(m)=box/modules/$(m))

$(build)/guest/initrd.cpio.gz: box/guest-init box/make-initrd
	$(call say,INITRD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)box/make-initrd $(build)/guest/initrd.cpio box/guest-init
	$(Q)gzip -9nf $(build)/guest/initrd.cpio
