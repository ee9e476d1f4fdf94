# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The unit tests. tests/unit/test_NAME.c becomes build/unit/test_NAME: cmocka, ASan, UBSan and
# FERMATA_DEBUG. The test's own file needs no line here; what it tests does:
#
#	unit_NAME := kernel/clock/clock.c tests/unit/host/host.c	sources, from the top of the tree
#	unit_NAME_libs := -lZydis					libraries, if any
#	unit_NAME_cflags := -DPICKED					flags for test_NAME.c alone, if any
#
# Found through the include path: the top of the tree, include/, kernel/, tests/unit/, tests/unit/host/
# (host_types.h), vmm/ and build/ (generated headers).
unit_bzimage := vmm/boot/bzimage.c vmm/boot/entry.c vmm/boot/file.c vmm/boot/layout.c
unit_acpi := vmm/boot/acpi.c vmm/boot/layout.c

# kernel/memory
unit_radix := kernel/memory/radix.c kernel/memory/npt.c kernel/memory/ept.c tests/unit/host/host.c
unit_slots := kernel/memory/slots.c
unit_tags := kernel/memory/tags.c
unit_nested := kernel/memory/nested.c kernel/memory/unmap.c kernel/memory/flush.c kernel/memory/dirty.c kernel/memory/dirty_log.c kernel/memory/slots.c kernel/memory/closed.c $(unit_radix)
unit_dirty := $(unit_nested)
unit_guest_walk := kernel/memory/guest_walk.c $(unit_nested)
unit_holds = $(unit_shadow)
unit_shadow := $(wildcard kernel/memory/shadow/*.c) $(unit_guest_walk)

emulator_sources := lib/alu.c lib/emulate.c lib/error.c lib/integer.c lib/names.c lib/operand.c lib/string.c lib/vector.c
unit_emulate := $(emulator_sources)
unit_emulate_libs := -lZydis
unit_emulate_cflags := -Ilib
unit_emulate_exits := $(emulator_sources)
unit_emulate_exits_libs := -lZydis
unit_emulate_exits_cflags := -Ilib
unit_rule_words := lib/rule.c lib/error.c
unit_exit_names := lib/names.c
unit_lib_clock := lib/clock.c lib/error.c
unit_lib_clock_cflags := -Ilib

unit_cli_parse := cli/text/parse.c
cli_option_sources := $(addprefix cli/text/,option.c parse.c say.c terminal.c)
unit_cli_option := $(cli_option_sources)
unit_cli_guests := $(cli_option_sources) $(addprefix cli/run/,options.c place.c rows.c settings.c) $(addprefix cli/text/,json.c rule.c words.c)
unit_cli_guests += cli/guests/log_format.c vmm/clock_spec.c lib/error.c lib/rule.c
unit_cli_carry := $(unit_cli_guests) cli/run/carry.c
unit_cli_carry_libs := -ljson-c
unit_cli_guests_libs := -ljson-c
unit_cli_escape := cli/text/escape.c
unit_cli_stats := cli/run/stats.c
unit_relay := box/relay.c
unit_control_line := control/line.c control/queue.c
unit_control_command := control/command.c
unit_control_command_libs := -ljson-c
unit_control_server := tests/unit/fake_machine.c $(control_sources) vmm/clock_spec.c lib/error.c lib/rule.c
unit_control_server_libs := -ljson-c
# A control channel for clients that are no part of the test: tests/system/43-python.t
$(build)/unit/control_stand: $(patsubst %.c,$(build)/unit/obj/%.o,tests/unit/control_stand.c $(unit_control_server))
	$(call say,LINK,$@)
	$(Q)$(CC) -fsanitize=address,undefined -o $@ $^ $(unit_control_server_libs) -lpthread
unit_control_client := $(addprefix control/,client.c door.c folder.c line.c plain.c) cli/guests/name.c
unit_control_client_libs := -ljson-c -Wl,--wrap=fstat,--wrap=lstat
unit_clock_spec := vmm/clock_spec.c
unit_cpuid_topology := vmm/machine/cpuid.c

unit_clock := kernel/clock/clock.c tests/unit/host/host.c
unit_clock_changes := kernel/clock/clock.c lib/clock.c lib/error.c
unit_clock_changes_cflags := -Ilib
apic_sources := kernel/apic/apic.c kernel/apic/life.c kernel/apic/timer.c kernel/apic/message.c
apic_sources += kernel/apic/registers.c kernel/apic/state.c kernel/clock/clock.c
apic_sources += tests/unit/host/host.c
unit_apic := $(apic_sources)
unit_apic_messages := $(apic_sources)
unit_apic_timer := $(apic_sources)
unit_apic_state := $(apic_sources)
unit_insn := kernel/insn/decode.c tests/unit/host/host.c
unit_insn_libs := -lZydis
unit_insn_shape := kernel/insn/decode.c kernel/insn/shape.c tests/unit/host/host.c
unit_insn_shape_libs := -lZydis

# vmm/devices
unit_bus := vmm/devices/bus.c
unit_fields := vmm/devices/fields.c vmm/devices/bus.c $(wildcard vmm/devices/pc/*.c)
# The test and the devices with structs that have no padding.
packed := -fpack-struct -Wno-address-of-packed-member
unit_fields_packed_cflags := $(packed)
$(build)/unit/test_fields_packed: $(patsubst %.c,$(build)/unit/obj/packed/%.o,vmm/devices/bus.c $(wildcard vmm/devices/pc/*.c))
$(build)/unit/obj/packed/%.o: %.c $(build)/stamp/flags
	$(call say,CC,$< (packed))
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(unit_cflags) $(packed) -c -o $@ $<
unit_serial := vmm/devices/pc/serial.c vmm/devices/bus.c
unit_pic := vmm/devices/pc/pic.c vmm/devices/bus.c
unit_ioapic := vmm/devices/pc/ioapic.c vmm/devices/bus.c
unit_pit := vmm/devices/pc/pit.c vmm/devices/bus.c
unit_rtc := vmm/devices/pc/rtc.c vmm/devices/bus.c
unit_acpi_pm := vmm/devices/pc/acpi_pm.c vmm/devices/bus.c
unit_pci := vmm/devices/pc/pci.c vmm/devices/bus.c
unit_i8042 := vmm/devices/pc/i8042.c vmm/devices/pc/debug_exit.c vmm/devices/pc/delay.c vmm/devices/bus.c
unit_machine := vmm/clock_spec.c $(wildcard vmm/machine/*.c vmm/boot/*.c vmm/devices/*.c vmm/devices/*/*.c)
unit_lib_calls := $(emulator_sources) lib/answer.c lib/clock.c lib/device.c lib/dirty.c lib/events.c lib/report.c lib/rule.c lib/vcpu.c lib/vm.c
unit_lib_calls_libs := -lZydis -Wl,--wrap=open,--wrap=ioctl,--wrap=mmap
unit_lib_calls_cflags := -Ilib
unit_forecast := kernel/clock/forecast.c kernel/clock/clock.c vmm/devices/pc/pit.c vmm/devices/pc/acpi_pm.c vmm/devices/bus.c tests/unit/host/host.c

# kernel/core, kernel/svm and kernel/vmx. Their processor is tests/unit/fake_processor.c, and fake_vmcs.c:
# privileged instructions have no place in a user process.
$(foreach f,core rules svm vmx,$(build)/unit/obj/kernel/$(f)/%.o): unit_extra := -iquote tests/unit/standin
kernel_folders := insn clock apic memory memory/shadow core rules
core_sources := $(wildcard $(kernel_folders:%=kernel/%/*.c))
core_sources += tests/unit/host/host.c tests/unit/fake_backend.c tests/unit/fake_processor.c
unit_cpuid := $(core_sources)
unit_cpuid_hosts := $(core_sources)
unit_msr := $(core_sources)
unit_control := $(core_sources)
unit_state := $(core_sources)
unit_exits := $(core_sources)
unit_exits_libs := -Wl,--wrap=insn_decode
unit_events := $(core_sources) lib/rule.c lib/error.c
# core alone: what it asks rules for is answered as in a module without them
unit_no_rules := $(filter-out kernel/rules/%,$(core_sources)) kernel/rules/none/none.c
unit_watch_linear := $(core_sources)
unit_run := $(core_sources)
unit_paging := $(core_sources)
unit_vm := $(core_sources)
unit_gather := $(core_sources)
unit_requests := $(core_sources)
unit_vm_clock := $(core_sources)
unit_pvclock := $(core_sources)
svm_sources := $(filter-out tests/unit/fake_backend.c,$(core_sources)) $(wildcard kernel/svm/*.c kernel/svm/audit/*.c)
unit_svm_exit := $(svm_sources)
unit_svm_run := $(svm_sources)
unit_svm_state := $(svm_sources)
unit_svm_audit := $(svm_sources)
unit_vmx_audit := $(wildcard kernel/vmx/audit/*.c) tests/unit/fake_vmcs.c $(core_sources)
unit_vmx_audit_cflags := -iquote tests/unit/standin
unit_vmx_flush := kernel/vmx/flush.c tests/unit/fake_vmcs.c $(core_sources)
unit_vmx_flush_cflags := -iquote tests/unit/standin
# kernel/vmx/host.c is instructions that a user process cannot execute.
unit_vmx_exit := $(filter-out kernel/vmx/host.c,$(wildcard kernel/vmx/*.c kernel/vmx/audit/*.c)) tests/unit/fake_vmcs.c
unit_vmx_exit += $(filter-out tests/unit/fake_backend.c,$(core_sources))
unit_vmx_exit_cflags := -iquote tests/unit/standin

# The adversarial TLB: see tests/unit/tlb/model.h. It has a host.h of its own.
tlb_sources := $(wildcard tests/unit/tlb/*.c kernel/svm/*.c kernel/svm/audit/*.c $(kernel_folders:%=kernel/%/*.c))
tlb_sources += $(filter-out kernel/vmx/host.c,$(wildcard kernel/vmx/*.c kernel/vmx/audit/*.c))
tlb_sources += tests/unit/fake_processor.c
tlb_libs := -Wl,--wrap=cpu_vmrun,--wrap=cpu_invlpga,--wrap=cpu_invvpid,--wrap=cpu_invept,--wrap=tag_get,--wrap=vcpu_owe
tlb_libs += -Wl,--wrap=guest_memory_reap,--wrap=guest_memory_owe
unit_tlb := $(tlb_sources)
unit_tlb_libs := $(tlb_libs)
unit_tlb_vmx := $(tlb_sources)
unit_tlb_vmx_libs := $(tlb_libs)
unit_tlb_vmx_cflags := -iquote tests/unit/standin
$(build)/unit/obj/tests/unit/tlb/%.o: unit_extra := -iquote tests/unit/standin
# What runs most of the time, and is no code under test:
$(build)/unit/obj/tests/unit/tlb/processor.o $(build)/unit/obj/tests/unit/tlb/reference.o: unit_extra := -iquote tests/unit/standin -O2 -fno-sanitize=all
