// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Section numbers are those of the ACPI specification 6.3. All tables lie below 4 GiB, one behind
 * the other from LAYOUT_ACPI; structures are written whole and checksummed last.
 */
#include <string.h>

#include "boot/acpi.h"
#include "boot/platform.h"
#include "vmm/dsdt.h" /* dsdt_aml_code[], generated from dsdt.asl */

#define PACKED __attribute__((packed))

struct acpi_rsdp { /* 5.2.5.3 */
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} PACKED;
static_assert(sizeof(struct acpi_rsdp) == 36, "ACPI 6.3, table 5-27");

struct acpi_header { /* 5.2.6 */
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} PACKED;
static_assert(sizeof(struct acpi_header) == 36, "ACPI 6.3, table 5-28");

struct acpi_address { /* Generic Address Structure, 5.2.3.2 */
	uint8_t space;
	uint8_t bit_width;
	uint8_t bit_offset;
	uint8_t access_size; /* 1 byte, 2 word, 3 dword */
	uint64_t address;
} PACKED;
#define SPACE_IO 1

struct acpi_fadt { /* 5.2.9 */
	struct acpi_header header;
	uint32_t firmware_ctrl;
	uint32_t dsdt;
	uint8_t reserved0;
	uint8_t preferred_pm_profile;
	uint16_t sci_int;
	uint32_t smi_cmd;
	uint8_t acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	uint32_t pm1a_evt_blk, pm1b_evt_blk, pm1a_cnt_blk, pm1b_cnt_blk;
	uint32_t pm2_cnt_blk, pm_tmr_blk, gpe0_blk, gpe1_blk;
	uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len;
	uint8_t gpe0_blk_len, gpe1_blk_len, gpe1_base, cst_cnt;
	uint16_t p_lvl2_lat, p_lvl3_lat;
	uint16_t flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alrm, mon_alrm, century;
	uint16_t iapc_boot_arch;
	uint8_t reserved1;
	uint32_t flags;
	struct acpi_address reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_revision;
	uint64_t x_firmware_ctrl;
	uint64_t x_dsdt;
	struct acpi_address x_pm1a_evt_blk, x_pm1b_evt_blk, x_pm1a_cnt_blk, x_pm1b_cnt_blk;
	struct acpi_address x_pm2_cnt_blk, x_pm_tmr_blk, x_gpe0_blk, x_gpe1_blk;
	struct acpi_address sleep_control_reg, sleep_status_reg;
	uint64_t hypervisor_id;
} PACKED;
static_assert(sizeof(struct acpi_fadt) == 276, "ACPI 6.3, table 5-33");

#define FADT_REVISION 6
#define FADT_MINOR 3
#define FADT_LAT_NO_C2 101 /* "a value > 100 indicates the system does not support a C2 state" */
#define FADT_LAT_NO_C3 1001

/* Fixed feature flags, table 5-34. Power button: fixed hardware. Sleep button, RTC wake: none. */
#define FADT_WBINVD (1u << 0)
#define FADT_PROC_C1 (1u << 2)
#define FADT_SLP_BUTTON (1u << 5)
#define FADT_FIX_RTC (1u << 6)
#define FADT_TMR_VAL_EXT (1u << 8)
#define FADT_RESET_REG_SUP (1u << 10)

/* IA-PC boot architecture flags, table 5-35. No 8042: its model only resets, it has no keyboard. */
#define FADT_LEGACY_DEVICES (1u << 0)
#define FADT_NO_VGA (1u << 2)
#define FADT_NO_ASPM (1u << 4)

struct acpi_facs { /* 5.2.10; has no checksum */
	char signature[4];
	uint32_t length;
	uint32_t hardware_signature;
	uint32_t waking_vector;
	uint32_t global_lock;
	uint32_t flags;
	uint64_t x_waking_vector;
	uint8_t version;
	uint8_t reserved[3];
	uint32_t ospm_flags;
	uint8_t reserved2[24];
} PACKED;
static_assert(sizeof(struct acpi_facs) == 64, "ACPI 6.3, table 5-39");

struct acpi_madt { /* 5.2.12 */
	struct acpi_header header;
	uint32_t local_apic_address;
	uint32_t flags;
} PACKED;
#define MADT_REVISION 5
#define MADT_PCAT_COMPAT (1u << 0) /* there are 8259s, too */

struct madt_local_apic { /* 5.2.12.2 */
	uint8_t type, length, uid, apic_id;
	uint32_t flags;
} PACKED;
struct madt_io_apic { /* 5.2.12.3 */
	uint8_t type, length, id, reserved;
	uint32_t address, gsi_base;
} PACKED;
struct madt_override { /* 5.2.12.5 */
	uint8_t type, length, bus, source;
	uint32_t gsi;
	uint16_t flags;
} PACKED;
struct madt_local_nmi { /* 5.2.12.7 */
	uint8_t type, length, uid;
	uint16_t flags;
	uint8_t lint;
} PACKED;

#define MADT_LOCAL_APIC 0
#define MADT_IO_APIC 1
#define MADT_OVERRIDE 2
#define MADT_LOCAL_NMI 4
#define MADT_ENABLED (1u << 0)
#define MADT_BUS_DEFAULT 0 /* flags of 0: polarity and trigger as on the ISA bus */
#define MADT_ACTIVE_HIGH 0x1
#define MADT_LEVEL 0xc
#define MADT_UID_ALL 0xff

/* Where the next table goes. */
struct builder {
	const struct boot_memory *memory;
	uint64_t next;
};

static uint8_t checksum(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint8_t sum = 0;

	while (size--)
		sum += *bytes++;
	return -sum;
}

static struct acpi_header header(const char *signature, uint8_t revision)
{
	struct acpi_header h = { .revision = revision, .oem_revision = 1, .creator_revision = 1 };

	memcpy(h.signature, signature, sizeof(h.signature));
	memcpy(h.oem_id, "FERMAT", sizeof(h.oem_id));
	memcpy(h.oem_table_id, "FERMATA", sizeof("FERMATA"));
	memcpy(h.creator_id, "FRMT", sizeof(h.creator_id));
	return h;
}

/* Copies a table into guest memory, completes length and checksum, and returns its address. */
static uint64_t place(struct builder *b, void *table, uint32_t size)
{
	struct acpi_header *h = table;
	uint64_t address = b->next;

	h->length = size;
	h->checksum = 0;
	h->checksum = checksum(table, size);
	memcpy(b->memory->low + address, table, size);
	b->next = (address + size + 15) & ~15ull;
	return address;
}

static struct acpi_address io_address(uint16_t port, uint8_t bytes, uint8_t access_size)
{
	return (struct acpi_address){ SPACE_IO, bytes * 8, 0, access_size, port };
}

static void write_facs(const struct boot_memory *memory)
{
	struct acpi_facs facs = { .signature = "FACS", .length = sizeof(facs), .version = 2 };

	memcpy(memory->low + LAYOUT_FACS, &facs, sizeof(facs));
}

static uint64_t place_fadt(struct builder *b, uint64_t dsdt)
{
	/* SMI_CMD is 0: the machine is always in ACPI mode (4.8.3.2.1, SCI_EN). */
	struct acpi_fadt fadt = {
		.header = header("FACP", FADT_REVISION),
		.firmware_ctrl = LAYOUT_FACS, /* X_FIRMWARE_CTRL stays 0: only one may be set */
		.dsdt = dsdt,
		.x_dsdt = dsdt,
		.sci_int = PLATFORM_SCI_IRQ,
		.pm1a_evt_blk = PLATFORM_PM1A_EVT_PORT,
		.pm1a_cnt_blk = PLATFORM_PM1A_CNT_PORT,
		.pm_tmr_blk = PLATFORM_PM_TMR_PORT,
		.pm1_evt_len = PLATFORM_PM1A_EVT_LEN,
		.pm1_cnt_len = PLATFORM_PM1A_CNT_LEN,
		.pm_tmr_len = PLATFORM_PM_TMR_LEN,
		.p_lvl2_lat = FADT_LAT_NO_C2,
		.p_lvl3_lat = FADT_LAT_NO_C3,
		.century = PLATFORM_RTC_CENTURY,
		.iapc_boot_arch = FADT_LEGACY_DEVICES | FADT_NO_VGA | FADT_NO_ASPM,
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC |
			 (PLATFORM_PM_TMR_BITS == 32 ? FADT_TMR_VAL_EXT : 0) | FADT_RESET_REG_SUP,
		.reset_reg = io_address(PLATFORM_RESET_PORT, 1, 1),
		.reset_value = PLATFORM_RESET_VALUE,
		.minor_revision = FADT_MINOR,
		.x_pm1a_evt_blk = io_address(PLATFORM_PM1A_EVT_PORT, PLATFORM_PM1A_EVT_LEN, 2),
		.x_pm1a_cnt_blk = io_address(PLATFORM_PM1A_CNT_PORT, PLATFORM_PM1A_CNT_LEN, 2),
		.x_pm_tmr_blk = io_address(PLATFORM_PM_TMR_PORT, PLATFORM_PM_TMR_LEN, 3),
	};

	return place(b, &fadt, sizeof(fadt));
}

static uint64_t place_madt(struct builder *b, unsigned vcpus)
{
	struct {
		struct acpi_madt madt;
		uint8_t entries[PLATFORM_MAX_VCPUS * sizeof(struct madt_local_apic) +
				sizeof(struct madt_io_apic) + 2 * sizeof(struct madt_override) +
				sizeof(struct madt_local_nmi)];
	} PACKED table = {
		.madt = { header("APIC", MADT_REVISION), PLATFORM_LAPIC_ADDRESS, MADT_PCAT_COMPAT },
	};
	const struct madt_io_apic io_apic = {
		MADT_IO_APIC, sizeof(io_apic), PLATFORM_IOAPIC_ID, 0, PLATFORM_IOAPIC_ADDRESS, 0
	};
	const struct madt_override pit = { MADT_OVERRIDE,    sizeof(pit),      0,
					   PLATFORM_PIT_IRQ, PLATFORM_PIT_GSI, MADT_BUS_DEFAULT };
	const struct madt_override sci = {
		MADT_OVERRIDE,	  sizeof(sci),	    0,
		PLATFORM_SCI_IRQ, PLATFORM_SCI_IRQ, MADT_ACTIVE_HIGH | MADT_LEVEL
	};
	const struct madt_local_nmi nmi = { MADT_LOCAL_NMI, sizeof(nmi), MADT_UID_ALL, 0, 1 };
	uint8_t *p = table.entries;
	unsigned i;

	for (i = 0; i < vcpus; i++) {
		const struct madt_local_apic cpu = { MADT_LOCAL_APIC, sizeof(cpu), i, i,
						     MADT_ENABLED };

		p = mempcpy(p, &cpu, sizeof(cpu));
	}
	p = mempcpy(p, &io_apic, sizeof(io_apic));
	p = mempcpy(p, &pit, sizeof(pit));
	p = mempcpy(p, &sci, sizeof(sci));
	p = mempcpy(p, &nmi, sizeof(nmi));
	return place(b, &table, p - (uint8_t *)&table);
}

/* A processor device (8.4), as AML (20.2): Device (CPnn) { _HID "ACPI0007", _UID nn } */
struct aml_cpu {
	uint8_t device[2];  /* ExtOpPrefix DeviceOp */
	uint8_t pkg_length; /* itself and all that follows; one byte up to 63 */
	char name[4];
	uint8_t hid_op; /* NameOp */
	char hid_name[4];
	uint8_t hid_string; /* StringPrefix */
	char hid[9];
	uint8_t uid_op;
	char uid_name[4];
	uint8_t uid_byte; /* BytePrefix */
	uint8_t uid;
} PACKED;

/* Scope (\_SB) { ... } */
struct aml_scope {
	uint8_t scope;	       /* ScopeOp */
	uint8_t pkg_length[3]; /* bits 7:6 of the first: how many more; its 3:0 are the low bits */
	uint8_t root;	       /* '\' */
	char name[4];
} PACKED;

static uint64_t place_ssdt(struct builder *b, unsigned vcpus)
{
	struct {
		struct acpi_header header;
		struct aml_scope scope;
		struct aml_cpu cpu[PLATFORM_MAX_VCPUS];
	} PACKED table = {
		.header = header("SSDT", 2),
		.scope = { .scope = 0x10, .root = '\\', .name = "_SB_" },
	};
	static const char digit[] = "0123456789ABCDEF";
	const uint32_t scope_size = sizeof(table.scope) - 1 + vcpus * sizeof(struct aml_cpu);
	unsigned i;

	table.scope.pkg_length[0] = 2 << 6 | (scope_size & 0xf);
	table.scope.pkg_length[1] = scope_size >> 4;
	table.scope.pkg_length[2] = scope_size >> 12;
	for (i = 0; i < vcpus; i++) {
		struct aml_cpu *cpu = &table.cpu[i];

		*cpu = (struct aml_cpu){
			.device = { 0x5b, 0x82 },
			.pkg_length = sizeof(*cpu) - sizeof(cpu->device),
			.name = { 'C', 'P', digit[i / 16], digit[i % 16] },
			.hid_op = 0x08,
			.hid_name = "_HID",
			.hid_string = 0x0d,
			.hid = "ACPI0007",
			.uid_op = 0x08,
			.uid_name = "_UID",
			.uid_byte = 0x0a,
			.uid = i,
		};
	}
	return place(b, &table,
		     sizeof(table.header) + sizeof(table.scope) + vcpus * sizeof(struct aml_cpu));
}

static uint64_t place_dsdt(struct builder *b)
{
	uint8_t table[sizeof(dsdt_aml_code)];

	memcpy(table, dsdt_aml_code, sizeof(table));
	return place(b, table, sizeof(table));
}

static uint64_t place_xsdt(struct builder *b, uint64_t fadt, uint64_t madt, uint64_t ssdt)
{
	struct {
		struct acpi_header header;
		uint64_t table[3];
	} PACKED xsdt = { .header = header("XSDT", 1), .table = { fadt, madt, ssdt } };

	return place(b, &xsdt, sizeof(xsdt));
}

static void write_rsdp(const struct boot_memory *memory, uint64_t xsdt)
{
	struct acpi_rsdp rsdp = {
		.oem_id = { 'F', 'E', 'R', 'M', 'A', 'T' },
		.revision = 2,
		.length = sizeof(rsdp),
		.xsdt = xsdt,
	};

	memcpy(rsdp.signature, "RSD PTR ", sizeof(rsdp.signature));
	rsdp.checksum = checksum(&rsdp, offsetof(struct acpi_rsdp, length));
	rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
	memcpy(memory->low + LAYOUT_ACPI, &rsdp, sizeof(rsdp));
}

/* Room for everything with the most vCPUs, so that building cannot fail halfway. */
static_assert(sizeof(dsdt_aml_code) + sizeof(struct acpi_fadt) + sizeof(struct acpi_madt) +
			      PLATFORM_MAX_VCPUS *
				      (sizeof(struct madt_local_apic) + sizeof(struct aml_cpu)) +
			      1024 <=
		      LAYOUT_ACPI_SIZE,
	      "the tables outgrew their place");

uint64_t acpi_build(const struct boot_memory *memory, unsigned vcpus)
{
	struct builder b = { memory, LAYOUT_ACPI + 64 };
	uint64_t fadt, madt, ssdt;

	if (!vcpus || vcpus > PLATFORM_MAX_VCPUS || !memory->low ||
	    memory->low_size < LAYOUT_HIGH_MEMORY)
		return 0;
	write_facs(memory);
	fadt = place_fadt(&b, place_dsdt(&b));
	madt = place_madt(&b, vcpus);
	ssdt = place_ssdt(&b, vcpus);
	write_rsdp(memory, place_xsdt(&b, fadt, madt, ssdt));
	return LAYOUT_ACPI;
}
