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
	$(call fetch_beside_modules,$(kernel_release),$(build)/box)

$(kernels)/%/beside/modules.order: scripts/kernel-image $(kernels)/%/vmlinuz tests/system/beside/build.mk
	$(call fetch_beside_modules,$*,$(kernels)/$*,APT_CONFIG=$(top)/$(kernels)/apt.conf)

# RELEASE DIRECTORY [SETTING]: the packages of that kernel are in it.
define fetch_beside_modules
$(call say,KERNEL,$@ ($(beside_modules)))
$(Q)mkdir -p $(@D)
$(Q)ln -sf $(abspath $2)/linux-*.deb $(@D)/
$(Q)$3 scripts/kernel-image $1 $(@D) $(beside_modules)
$(Q)rm -f $(@D)/vmlinuz
$(Q)cat $(beside_modules:%=$(@D)/modules/%.order) | awk '!seen[$$0]++' >$@
endef

system test: $(build)/beside/beside $(build)/beside/modules.order
