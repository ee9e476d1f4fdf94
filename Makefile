# SPDX-License-Identifier: MIT OR GPL-2.0
#
# make            everything, into build/
# make run        BOX=amd|intel|bochs:MODEL; a Debian kernel as a guest, its shell on this terminal
# make test       all tests; unit, check (style, include directions), system (boots) are parts of it
# make kernels    module and box for the other kernels of the archive and its backports; KERNEL=RELEASE for that one
# make bench      Fermata and KVM; ROW=NAME measures one row, BOX=amd|intel in one box, BESIDE=1 with KVM loaded throughout
# make bench-docs   what `make bench` has measured, into README.md and docs/bench.md
# make fuzz       TIME=SECONDS for each TARGET=NAME: libFuzzer on parsers, decoders and the ioctls
# make test-kernels   boots the box, and a guest in it, with each of these kernels
# make test-generations   Debian's kernel on each processor that Bochs has: build/generations.md
# make test-matrix   the test guests and Debian's kernel: nested and shadow paging, with tags and without; on VT-x
#                 what `make test` runs on AMD-V only
# make test-beside   KVM's guests and Fermata's on the same CPUs, for long
# make deb        Debian packages, in build/deb
# make test-packages   the packages in Debian systems of their own: RELEASE=bookworm|trixie, or both; needs root
# make test-debian   `make run` and `make test` in a fresh Debian: RELEASE=12|13, or both; needs root
# make install    DESTDIR, prefix, libdir, includedir, mandir; the module by install-module
# make clean
#
# V=1 shows the commands, DEBUG=1 builds with the second tier of assertions, RULES=0 a module without rules.

VERSION := 0.1.0

prefix ?= /usr/local
bindir ?= $(prefix)/bin
libdir ?= $(prefix)/lib
includedir ?= $(prefix)/include
mandir ?= $(prefix)/share/man

top := $(CURDIR)
build := build

ifeq ($(origin CC),default)
CC := gcc
endif
IASL ?= iasl
PROVE ?= prove

V ?= 0
ifeq ($(V),0)
Q := @
say = @printf '  %-8s %s\n' '$(1)' '$(2)'
else
Q :=
say = @:
endif

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.SECONDARY:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

# scripts/setup installs what is missing and writes what it found out. make reads it before anything
# else, so that the rest of this file may rely on it.
ifeq ($(filter clean,$(MAKECMDGOALS)),)
include $(build)/setup.mk
endif
$(build)/setup.mk: scripts/setup
	$(Q)mkdir -p $(build)
	$(Q)scripts/setup $@

warnings := -Wall -Wextra -Werror -Wno-unused-parameter
includes := -I. -Iinclude -Ivmm -I$(build)
common := -std=gnu11 -D_GNU_SOURCE -DFERMATA_VERSION='"$(VERSION)"' -MMD -MP $(warnings) $(includes)
common += $(if $(filter 1,$(DEBUG)),-DFERMATA_DEBUG)
CFLAGS ?= -O2 -g
user_cflags = $(common) $(CFLAGS)

# Files that change when a variable does, so that what depends on it is built again.
define stamp
$(build)/stamp/$(1): FORCE
	@mkdir -p $$(@D); echo '$(2)' | cmp -s - $$@ || echo '$(2)' >$$@
endef
FORCE:
$(eval $(call stamp,flags,$(CC) $(CFLAGS) DEBUG=$(DEBUG)))
$(eval $(call stamp,rules,RULES=$(RULES)))
$(eval $(call stamp,libdir,$(libdir)))
$(eval $(call stamp,release,$(kernel_release)))
$(eval $(call stamp,install,$(VERSION) $(prefix) $(libdir) $(includedir)))

# ---- sources: each folder lists its own

lib_sources :=
vmm_sources :=
cli_sources :=
control_sources :=
box_sources :=
box_extra :=
examples := $(patsubst %.c,$(build)/%,$(wildcard examples/*.c))
-include lib/build.mk vmm/build.mk cli/build.mk control/build.mk tests/guests/build.mk
include box/build.mk

# $(call in,FOLDER): its sources from the top of the tree, listed with or without the folder's name.
in = $(foreach s,$($(1)_sources),$(if $(filter $(1)/%,$(s)),$(s),$(1)/$(s)))
objects = $(patsubst %.c,$(build)/obj/%.o,$(filter %.c,$(1)))

lib_objects := $(call objects,$(call in,lib))
cli_objects := $(call objects,$(call in,cli) $(call in,control) $(call in,vmm) $(call in,box))

all: $(build)/fermata $(build)/libfermata.a $(build)/libfermata.so $(build)/fermata.pc
all: $(build)/kernel/fermata.ko $(examples)
all: $(build)/box/vmlinux $(build)/box/boot
all: $(build)/box/vmlinuz $(build)/box/initrd.cpio $(build)/box/box-sh $(build)/guest/initrd.cpio.gz

$(lib_objects): user_cflags += -fPIC

$(build)/obj/%.o: %.c $(build)/stamp/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(user_cflags) -c -o $@ $<

# The ACPI tables' bytecode is generated before anything that may include it.
$(call objects,$(call in,vmm)) $(call objects,$(call in,cli)): | $(build)/vmm/dsdt.h
$(build)/unit/obj/vmm/boot/acpi.o: $(build)/vmm/dsdt.h
# iasl knows no macros, so the C preprocessor goes first; -we: its warnings are errors.
$(build)/vmm/dsdt.h: vmm/boot/dsdt.asl vmm/boot/platform.h
	$(call say,IASL,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -E -P -undef -nostdinc -x c -o $(build)/vmm/dsdt.i $<
	$(Q)$(IASL) -we -p $(build)/vmm/dsdt -tc $(build)/vmm/dsdt.i >$(build)/vmm/dsdt.log || \
		{ cat $(build)/vmm/dsdt.log; exit 1; }
	$(Q)mv $(build)/vmm/dsdt.hex $@

$(build)/libfermata.a: $(lib_objects)
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

comma := ,
$(build)/libfermata.so.0: $(lib_objects) $(lib_map)
	$(call say,LINK,$@)
	$(Q)$(CC) -shared -Wl,-soname,libfermata.so.0 -Wl,-z,defs \
		$(addprefix -Wl$(comma)--version-script=,$(filter %.map,$^)) \
		-o $@ $(filter %.o,$^) $(LDFLAGS) $(lib_libs)


$(build)/libfermata.so: $(build)/libfermata.so.0
	$(Q)ln -sf $(<F) $@

$(build)/fermata: $(cli_objects) $(build)/libfermata.a
	$(call say,LINK,$@)
	$(Q)$(CC) -o $@ $^ $(LDFLAGS) $(sort $(lib_libs) $(vmm_libs) $(cli_libs) $(control_libs) $(box_libs)) -lpthread

$(build)/examples/%: $(build)/obj/examples/%.o $(build)/libfermata.a
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^ $(LDFLAGS) $(lib_libs) -lpthread

$(build)/fermata.pc: lib/fermata.pc.in $(build)/stamp/install
	$(call say,GEN,$@)
	$(Q)sed -e 's,@prefix@,$(prefix),' -e 's,@libdir@,$(libdir),' \
		-e 's,@includedir@,$(includedir),' -e 's,@version@,$(VERSION),' $< >$@

# ---- the kernel module

# The kernel builds external modules where their sources are; these are links to ours, so that the
# source tree stays clean.
kernel_files := $(shell find kernel include/uapi -type f)
# Headers that are installed, or else unpacked.
kernel_headers := $(firstword $(wildcard /lib/modules/$(kernel_release)/build) $(top)/$(build)/headers/$(kernel_release)/build)
$(top)/$(build)/headers/%/build: scripts/kernel-headers
	$(call say,HEADERS,$*)
	$(Q)scripts/kernel-headers $* $(@D)
	$(Q)touch -h $@ && touch $@/.

# The second one is for a test; RULES=0 makes the first one so.
RULES ?= 1
$(build)/norules/fermata.ko: override RULES := 0
$(build)/kernel/fermata.ko: $(build)/stamp/rules
$(build)/kernel/fermata.ko $(build)/norules/fermata.ko: $(kernel_files) $(build)/stamp/flags $(build)/stamp/release | $(filter $(top)/%,$(kernel_headers))
	$(call say,MODULE,$@)
	$(call build_module,$(@D),$(kernel_headers))

# $(call build_module,FOLDER,HEADERS)
define build_module
	$(Q)mkdir -p $(1)
	$(Q)find $(1) \( -type l $(if $(filter $(build)/stamp/release,$?),-o -name '*.o') \) -delete
	$(Q)cp -rs $(top)/kernel/. $(1)/
	$(Q)flock $(build)/stamp/kernel.lock $(MAKE) $(if $(filter 0,$(V)),-s) -C $(2) M=$(top)/$(1) CC=gcc CFLAGS= CONFIG_DEBUG_INFO_BTF_MODULES= \
		FERMATA_INCLUDE=$(top)/include FERMATA_DEBUG=$(DEBUG) FERMATA_RULES=$(RULES) modules
	$(Q)touch $(1)/fermata.ko
endef

# ---- unit tests

include tests/unit/build.mk

unit_names := $(patsubst tests/unit/test_%.c,%,$(wildcard tests/unit/test_*.c))
unit_cflags := $(common) -O1 -g -DFERMATA_DEBUG -Ikernel -Itests/unit -Itests/unit/host \
	-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
unit_tests := $(unit_names:%=$(build)/unit/test_%)

$(build)/unit/obj/%.o: %.c $(build)/stamp/flags
	$(call say,CC,$< (unit))
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(unit_cflags) $(unit_extra) -c -o $@ $<

define unit_rule
$(build)/unit/obj/tests/unit/test_$(1).o: unit_extra := $$(unit_$(1)_cflags)
$(build)/unit/test_$(1): $$(patsubst %.c,$(build)/unit/obj/%.o,tests/unit/test_$(1).c $$(unit_$(1)))
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) -fsanitize=address,undefined -o $$@ $$^ -lcmocka $$(unit_$(1)_libs) -lpthread
endef
$(foreach n,$(unit_names),$(eval $(call unit_rule,$(n))))

include tests/fuzz/build.mk
include box/kernels.mk
include tests/system/abuse/build.mk
include bench/build.mk
include tests/system/beside/build.mk

# ---- running things

units: $(unit_tests) $(build)/unit/control_stand

# BOX=amd|intel|bochs:MODEL: in that box, whatever this computer can.
run: all $(if $(filter intel bochs:%,$(BOX)),bochs)
	$(Q)$(build)/fermata run $(if $(BOX),--box $(BOX)) --kernel $(build)/box/vmlinuz \
		--initrd $(build)/guest/initrd.cpio.gz --append 'console=ttyS0 quiet'

# What only the box on Bochs needs; more than all the rest together, so not before it is asked for.
bochs: $(build)/stamp/bochs
$(build)/stamp/bochs: scripts/setup
	$(Q)mkdir -p $(@D)
	$(Q)scripts/setup --bochs
	$(Q)touch $@

test: all units bochs deb $(build)/norules/fermata.ko
	$(Q)tests/run unit check system

unit: units
	$(Q)tests/run unit

check: $(build)/setup.mk
	$(Q)tests/run check

system: all bochs deb $(build)/norules/fermata.ko $(build)/unit/control_stand
	$(Q)tests/run system

test-generations: all bochs
	$(Q)tests/generations

# The same source on the other kernels that the archive offers.
test-kernels: kernels guest-kernels bochs $(build)/beside/beside $(build)/beside/modules.order
	$(Q)$(PROVE) --timer -v tests/system/13-kernels.t tests/system/14-guest-kernels.t
	$(Q)$(foreach k,$(other_kernels),FERMATA_BOX=$(kernels)/$k $(PROVE) --timer -v tests/system/31-beside-kvm.t &&) true

# The last: what `make test` runs on AMD-V only, because Bochs is slow.
test-matrix: all bochs $(build)/abuse/abuse $(build)/abuse/modules.order
	$(Q)$(PROVE) -v tests/matrix
	$(Q)$(PROVE) --timer -v $(addprefix tests/system/,20-boot.t 25-many.t 26-clock.t 27-kvmclock.t 30-abuse.t \
		40-cli.t 42-events.t 45-control.t) :: -b intel

test-beside: all bochs $(build)/beside/beside $(build)/beside/modules.order
	$(Q)$(PROVE) --timer -v tests/system/31-beside-kvm.t :: -l

# What is downloaded and made stays in build/chroot.
RELEASE ?= bookworm trixie
test-packages: all
	$(Q)scripts/setup --systems
	$(Q)$(foreach r,$(RELEASE),$(PROVE) --timer -v tests/packages/chroot.t tests/packages/box.t :: $(r) &&) true

# The two commands of README.md, from an empty system. Logs stay in build/chroot/debian-RELEASE.
test-debian: $(build)/setup.mk
	$(Q)scripts/setup --systems
	$(Q)set -e; $(foreach r,$(if $(filter file,$(origin RELEASE)),12 13,$(RELEASE)),$(PROVE) --timer -v tests/debian :: $(r);)

# ROW=NAME, or several in quotes: only those. BOX=KIND: only in that box. BESIDE=1: KVM stays loaded.
bench: all $(if $(BOX),$(if $(filter amd,$(BOX)),,bochs),bochs) $(bench_files)
	$(Q)bench/run $(if $(BOX),-b $(BOX)) $(if $(BESIDE),-k) $(ROW)

# Writes what `make bench` has measured into the documentation.
bench-docs:
	$(Q)bench/report -s -r README.md -m $(build)/bench/machine.txt $(build)/bench/bench.json
	$(Q)bench/report -r docs/bench.md -m $(build)/bench/machine.txt $(build)/bench/bench.json
	$(Q)cp $(build)/bench/bench.svg docs/bench.svg

# The boot alone, natively too, on QEMU.
bench-boot: all $(bench_files)
	$(Q)bench/run -b amd boot

kernel-release:
	@echo $(kernel_release)

format: $(build)/setup.mk
	$(Q)find . -name build -prune -o -name "*.[ch]" -print | xargs clang-format-19 -i --style=file

install: all
	install -d $(DESTDIR)$(bindir) $(DESTDIR)$(libdir)/pkgconfig $(DESTDIR)$(libdir)/fermata/box
	install -d $(DESTDIR)$(libdir)/fermata/guests
	install $(build)/guests/runner $(DESTDIR)$(libdir)/fermata/guests/
	install -m 644 $(guest_images) $(DESTDIR)$(libdir)/fermata/guests/
	install -d $(DESTDIR)$(includedir)/uapi $(DESTDIR)$(mandir)/man1 $(DESTDIR)$(mandir)/man3
	install $(build)/fermata $(DESTDIR)$(bindir)/
	install -m 644 $(build)/libfermata.a $(build)/libfermata.so.0 $(DESTDIR)$(libdir)/
	ln -sf libfermata.so.0 $(DESTDIR)$(libdir)/libfermata.so
	install -m 644 $(build)/fermata.pc $(DESTDIR)$(libdir)/pkgconfig/
	install -m 644 include/fermata.h $(DESTDIR)$(includedir)/
	install -m 644 include/uapi/fermata.h $(DESTDIR)$(includedir)/uapi/
	install -m 644 $(addprefix $(build)/box/,vmlinuz vmlinux boot initrd.cpio) $(DESTDIR)$(libdir)/fermata/box/
	$(if $(wildcard docs/*.1),install -m 644 $(wildcard docs/*.1) $(DESTDIR)$(mandir)/man1/)
	$(if $(wildcard docs/*.3),install -m 644 $(wildcard docs/*.3) $(DESTDIR)$(mandir)/man3/)

# Debian packages, in build/deb.
deb_parts := Makefile LICENSE LICENSES README.md box cli control debian docs examples include kernel lib python scripts vmm
deb: $(build)/stamp/deb
$(build)/stamp/deb: $(build)/box/vmlinuz $(shell find $(deb_parts) -type f)
	$(call say,DEB,$(build)/deb)
	$(Q)scripts/deb $(build)/deb
	$(Q)touch $@

install-module: $(build)/kernel/fermata.ko
	install -d $(DESTDIR)/lib/modules/$(kernel_release)/extra
	install -m 644 $< $(DESTDIR)/lib/modules/$(kernel_release)/extra/
	$(if $(DESTDIR),,depmod $(kernel_release))

clean:
	rm -rf $(build)

.PHONY: FORCE all run bochs test units unit check system test-kernels test-generations test-matrix test-beside test-packages test-debian format bench bench-docs bench-boot kernel-release install install-module deb clean

-include $(shell find $(build)/obj $(build)/unit/obj -name '*.d' 2>/dev/null)
