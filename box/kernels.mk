# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The same module and box for other kernels: build/kernels/RELEASE/ is for FERMATA_BOX. `make kernels` makes one for
# each that the system's archive and its backports offer besides the one that build/ is made for; `make KERNEL=RELEASE
# kernels` makes that one.

kernels := $(build)/kernels
$(kernels)/list: scripts/kernels $(build)/setup.mk
	$(call say,KERNELS,$@)
	$(Q)mkdir -p $(@D)
	$(Q)scripts/kernels $(kernels) linux-headers-cloud-amd64 -- .-backports

$(kernels)/%/headers/build: scripts/kernel-headers | $(kernels)/list
	$(call say,HEADERS,$*)
	$(Q)APT_CONFIG=$(top)/$(kernels)/apt.conf scripts/kernel-headers $* $(kernels)/$*/headers

$(kernels)/%/module/fermata.ko: $(kernel_files) $(kernels)/%/headers/build $(build)/stamp/flags
	$(call say,MODULE,$@)
	$(call build_module,$(@D),$(kernels)/$*/headers/build)

$(kernels)/%/vmlinuz: scripts/kernel-image | $(kernels)/list
	$(call say,KERNEL,$@)
	$(Q)APT_CONFIG=$(top)/$(kernels)/apt.conf scripts/kernel-image $* $(@D) $(box_modules)

$(kernels)/%/vmlinux: $(kernels)/%/vmlinuz scripts/unpack-kernel
	$(Q)scripts/unpack-kernel $< $@

$(kernels)/%/boot: $(build)/box/boot
	$(Q)mkdir -p $(@D) && cp $< $@

$(kernels)/%/initrd.cpio: $(kernels)/%/vmlinuz $(kernels)/%/module/fermata.ko $(build)/box/initrd.cpio
	$(call say,INITRD,$@)
	$(Q)cat $(box_modules:%=$(@D)/modules/%.order) | awk '!seen[$$0]++' >$(@D)/modules/order
	$(Q)box/make-initrd $@ box/init \
		$(patsubst $(build)/kernel/%,$(@D)/module/%,$(patsubst $(build)/box/modules/%,$(@D)/modules/%,$(box_image))) \
		$$(sed 's,.*,$(@D)/modules/&=box/modules/&,' $(@D)/modules/order)

# The list is known once it is made.
other_kernels = $(if $(KERNEL),$(KERNEL),$(filter-out $(kernel_release),$(shell cat $(kernels)/list)))
kernels: all $(kernels)/list
	$(Q)$(foreach k,$(other_kernels),$(MAKE) --no-print-directory $(addprefix $(kernels)/$k/,boot vmlinux initrd.cpio beside/modules.order) &&) true

# Kernels for guests: full ones, too, and those of the Debian that is stable today. Nothing of ours is built for them.
guest_kernels := $(kernels)/guests
$(guest_kernels)/list: scripts/kernels $(build)/setup.mk
	$(call say,KERNELS,$@)
	$(Q)mkdir -p $(@D)
	$(Q)scripts/kernels $(@D) linux-image-amd64 linux-image-cloud-amd64 -- . .-backports trixie trixie-backports

$(guest_kernels)/%/vmlinuz: scripts/kernel-image | $(guest_kernels)/list
	$(call say,KERNEL,$*)
	$(Q)APT_CONFIG=$(top)/$(guest_kernels)/apt.conf scripts/kernel-image $* $(@D)

guest-kernels: $(guest_kernels)/list
	$(Q)$(foreach k,$(shell cat $(guest_kernels)/list 2>/dev/null),$(MAKE) --no-print-directory $(guest_kernels)/$k/vmlinuz &&) true

.PHONY: kernels guest-kernels
