# SPDX-License-Identifier: MIT OR GPL-2.0
#
# What tests/system/30-abuse.t carries into the box: the program, and modules that are not in its image.

abuse_objects := $(patsubst %.c,$(build)/obj/%.o,$(wildcard tests/system/abuse/*.c))
abuse_modules := kvm_amd kvm_intel zram lzo-rle

$(build)/abuse/abuse: $(abuse_objects)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^ -lpthread

$(build)/abuse/modules.order: scripts/kernel-image $(build)/box/vmlinuz tests/system/abuse/build.mk
	$(call say,KERNEL,$@ ($(abuse_modules)))
	$(Q)mkdir -p $(@D)
	$(Q)for deb in $(build)/box/linux-*.deb; do ln -sf "../box/$${deb##*/}" $(@D)/; done
	$(Q)scripts/kernel-image $(kernel_release) $(@D) $(abuse_modules)
	$(Q)rm -f $(@D)/vmlinuz
	$(Q)cat $(abuse_modules:%=$(@D)/modules/%.order) | awk '!seen[$$0]++' >$@

system test: $(build)/abuse/abuse $(build)/abuse/modules.order
