# SPDX-License-Identifier: MIT OR GPL-2.0
#
# What bench/run carries into the box: its programs, and KVM's modules of the box's kernel.

bench_objects := $(patsubst %,$(build)/obj/bench/%.o,bench rows memory kvm kvm_stats fermata guest)
bench_boot := $(patsubst %,$(build)/obj/%.o,bench/kvmboot bench/kvm_stats $(addprefix vmm/boot/,acpi bzimage entry file layout))
bench_modules := kvm_amd kvm_intel

$(build)/obj/bench/guest.o: bench/guest.S bench/guest.h $(build)/stamp/flags
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -MMD -MP -c -o $@ $<

$(build)/bench/bench: $(bench_objects) $(build)/libfermata.a
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^ $(LDFLAGS) $(lib_libs) -lpthread

$(build)/bench/kvmboot: $(bench_boot)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^

$(build)/bench/ticks: $(build)/obj/bench/ticks.o
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^

# What the guests' Linux runs, and all of their file system.
$(build)/bench/load: $(build)/obj/bench/load.o
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -static -o $@ $^

$(build)/bench/load.cpio: $(build)/bench/load
	$(call say,INITRD,$@)
	$(Q)rm -rf $@.root && mkdir -p $@.root/tmp && cp $< $@.root/init
	$(Q)(cd $@.root && find init tmp | cpio --quiet -o -H newc -R 0:0) >$@
	$(Q)rm -r $@.root

$(build)/bench/modules.order: scripts/kernel-image $(build)/box/vmlinuz bench/build.mk
	$(call say,KERNEL,$@ ($(bench_modules)))
	$(Q)mkdir -p $(@D)
	$(Q)for deb in $(build)/box/linux-*.deb; do ln -sf "../box/$${deb##*/}" $(@D)/; done
	$(Q)scripts/kernel-image $(kernel_release) $(@D) $(bench_modules)
	$(Q)rm -f $(@D)/vmlinuz
	$(Q)cat $(bench_modules:%=$(@D)/modules/%.order) | awk '!seen[$$0]++' >$@

$(build)/bench/floor/fermata.ko: $(kernel_files) $(wildcard bench/floor/*) $(build)/stamp/flags $(build)/stamp/release | $(filter $(top)/%,$(kernel_headers))
	$(call say,MODULE,$@)
	$(Q)mkdir -p $(@D)
	$(Q)cp -rp bench/floor $(@D)/
	$(call build_module,$(@D),$(kernel_headers))

bench_files := $(addprefix $(build)/bench/,bench kvmboot ticks load load.cpio modules.order floor/fermata.ko)

system test: $(bench_files)
