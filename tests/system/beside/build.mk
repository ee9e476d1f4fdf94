# SPDX-License-Identifier: MIT OR GPL-2.0
#
# What tests/system/31-beside-kvm.t carries into the box: the program, and modules that are not in its image.

beside_objects := $(patsubst %,$(build)/obj/%.o,tests/system/beside/beside tests/system/beside/guest bench/kvm bench/kvm_stats \
	bench/fermata bench/memory bench/guest)
beside_modules := kvm_amd kvm_intel msr

$(build)/obj/tests/system/beside/guest.o: tests/system/beside/guest.S $(build)/stamp/flags
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -I. -MMD -MP -c -o $@ $<

$(build)/beside/beside: $(beside_objects) $(build)/libfermata.a
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^ $(LDFLAGS) $(lib_libs) -lpthread

$(build)/beside/modules.order: scripts/kernel-image $(build)/box/vmlinuz tests/system/beside/build.mk
	$(call say,KERNEL,$@ ($(beside_modules)))
	$(Q)mkdir -p $(@D)
	$(Q)for deb in $(build)/box/linux-image-*.deb; do ln -sf "../box/$${deb##*/}" $(@D)/; done
	$(Q)scripts/kernel-image $(kernel_release) $(@D) $(beside_modules)
	$(Q)rm -f $(@D)/vmlinuz
	$(Q)cat $(beside_modules:%=$(@D)/modules/%.order) | awk '!seen[$$0]++' >$@

system test: $(build)/beside/beside $(build)/beside/modules.order
