/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * vmm/devices/fields.c and the lists of all devices: a device that was loaded goes on as the one that was
 * saved, and bytes from anywhere are refused or harmless. test_fields_packed.c: no field is forgotten.
 */
#include "device_fuzz.h"

#include "devices/fields.h"
#include "devices/pc/acpi_pm.h"
#include "devices/pc/debug_exit.h"
#include "devices/pc/delay.h"
#include "devices/pc/i8042.h"
#include "devices/pc/ioapic.h"
#include "devices/pc/pci.h"
#include "devices/pc/pic.h"
#include "devices/pc/pit.h"
#include "devices/pc/rtc.h"
#include "devices/pc/serial.h"

#define ROOM 8192

/* All that a device tells the world outside, in order. */
struct world {
	struct bus bus;
	uint64_t told, times;
	union {
		struct serial serial;
		struct pic pic;
		struct ioapic ioapic;
		struct pit pit;
		struct rtc rtc;
		struct acpi_pm pm;
		struct pci pci;
		struct i8042 i8042;
		struct debug_exit debug_exit;
	} dev;
};

static void tell(struct world *w, uint64_t what, uint64_t value)
{
	w->told = (w->told ^ what ^ value << 8) * 0x100000001b3ull;
	w->times++;
}

static void tell_wire(void *opaque, unsigned line, bool level)
{
	tell(opaque, 1, line << 1 | level);
}

static void tell_power(void *opaque, enum power_event event, uint32_t value)
{
	tell(opaque, 2, (uint64_t)value << 8 | event);
}

static void tell_msi(void *opaque, uint64_t address, uint32_t data)
{
	tell(opaque, 3, address ^ (uint64_t)data << 32);
}

static void tell_out(void *opaque, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		tell(opaque, 4, bytes[i]);
}

static void tell_room(void *opaque)
{
	tell(opaque, 5, 0);
}

static struct wire wire(struct world *w)
{
	return (struct wire){ .set = tell_wire, .opaque = w, .line = 7 };
}

static struct power power(struct world *w)
{
	return (struct power){ .event = tell_power, .opaque = w };
}

/* ---- the devices: how each is built, and what happens to it besides accesses */

static void build_serial(struct world *w)
{
	serial_init(&w->dev.serial, wire(w), tell_out, w);
	serial_on_room(&w->dev.serial, tell_room, w);
	serial_attach(&w->dev.serial, &w->bus, SERIAL_COM1);
}

static void happen_serial(struct world *w, uint64_t now, uint64_t r)
{
	static const uint8_t text[] = "the quick brown fox jumps over the lazy dog";
	/* As a driver starts: 8 bits, OUT2 and RTS, all interrupts, FIFOs with the highest trigger level. */
	static const uint8_t start[][2] = { { 3, 0x03 }, { 4, 0x0b }, { 1, 0x0f }, { 2, 0xc1 } };

	if (!(r & 0x7f))
		serial_input_end(&w->dev.serial, now);
	else if (!(r & 0x700))
		for (unsigned i = 0; i < 4; i++)
			bus_write(&w->bus, BUS_PORT, now, SERIAL_COM1 + start[i][0], 1, start[i][1]);
	else
		tell(w, 6,
		     serial_input(&w->dev.serial, now, text,
				  (r >> 13) % (r >> 20 & 3 ? 5 : sizeof(text))));
}

static void build_pic(struct world *w)
{
	pic_init(&w->dev.pic, wire(w));
	pic_attach(&w->dev.pic, &w->bus);
}

static void happen_pic(struct world *w, uint64_t now, uint64_t r)
{
	uint16_t port = r & 1 ? 0xa0 : 0x20;

	if (!(r & 0x70)) { /* all ICWs, of which the last has 8 bits of r; and all lines open */
		bus_write(&w->bus, BUS_PORT, now, port, 1, 0x11);
		for (unsigned i = 0; i < 4; i++)
			bus_write(&w->bus, BUS_PORT, now, port + 1, 1, i < 3 ? r >> (8 + 8 * i) : 0);
	} else if (!(r & 0x60)) {
		bus_write(&w->bus, BUS_PORT, now, port, 1, 0x80); /* rotate in automatic EOI mode */
	} else if (r & 2) {
		pic_set_irq(&w->dev.pic, r >> 8 & 15, r >> 12 & 1);
	} else if (pic_output(&w->dev.pic)) {
		tell(w, 6, pic_acknowledge(&w->dev.pic));
	}
}

static void build_ioapic(struct world *w)
{
	ioapic_init(&w->dev.ioapic, 2, tell_msi, w);
	ioapic_attach(&w->dev.ioapic, &w->bus, IOAPIC_BASE);
}

static void happen_ioapic(struct world *w, uint64_t now, uint64_t r)
{
	if (r & 1)
		ioapic_set_pin(&w->dev.ioapic, (r >> 1) % IOAPIC_PINS, r >> 6 & 1);
	else
		ioapic_eoi(&w->dev.ioapic, r >> 8);
}

static void build_pit(struct world *w)
{
	pit_init(&w->dev.pit, wire(w));
	pit_attach(&w->dev.pit, &w->bus);
}

static void build_rtc(struct world *w)
{
	rtc_init(&w->dev.rtc, wire(w), 1000000000, 3ull << 30, 1ull << 30);
	rtc_attach(&w->dev.rtc, &w->bus);
}

static void happen_rtc(struct world *w, uint64_t now, uint64_t r)
{
	tell(w, 6, rtc_nmi_masked(&w->dev.rtc));
	if (r & 0x3ff)
		return;
	if (r & 0x400)
		rtc_set(&w->dev.rtc, now, (int64_t)(r >> 30));
	else
		rtc_back(&w->dev.rtc, now, r >> 30);
}

static void build_acpi_pm(struct world *w)
{
	struct power p = power(w);

	acpi_pm_init(&w->dev.pm, wire(w), &p, 24);
	acpi_pm_attach(&w->dev.pm, &w->bus);
}

static void happen_acpi_pm(struct world *w, uint64_t now, uint64_t r)
{
	if (!(r & 0x3f))
		acpi_pm_power_button(&w->dev.pm, now);
	else if ((r & 0x3f) == 1)
		acpi_pm_back(&w->dev.pm, now, r >> 30);
}

static void build_pci(struct world *w)
{
	struct power p = power(w);

	pci_init(&w->dev.pci, &p);
	pci_attach(&w->dev.pci, &w->bus);
}

/* Random addresses name no function: the bridge is selected. */
static void happen_pci(struct world *w, uint64_t now, uint64_t r)
{
	if (r & 1)
		bus_write(&w->bus, BUS_PORT, now, 0xcf8, 4, 0x80000000u | (r >> 8 & 0xfc));
}

static void build_i8042(struct world *w)
{
	struct power p = power(w);

	i8042_init(&w->dev.i8042, &p);
	i8042_attach(&w->dev.i8042, &w->bus);
}

static void happen_i8042(struct world *w, uint64_t now, uint64_t r)
{
	static const uint8_t command[] = { 0x20, 0x60, 0x7f, 0xa8, 0xaa, 0xae, 0xd0, 0xd1, 0xd2 };

	bus_write(&w->bus, BUS_PORT, now, 0x64, 1, command[r % sizeof(command)]);
	if (r >> 32 & 1)
		bus_write(&w->bus, BUS_PORT, now, 0x60, 1, r >> 40);
}

static void build_debug_exit(struct world *w)
{
	struct power p = power(w);

	debug_exit_init(&w->dev.debug_exit, &p);
	debug_exit_attach(&w->dev.debug_exit, &w->bus, DEBUG_EXIT_PORT);
}

static void happen_nothing(struct world *w, uint64_t now, uint64_t r)
{
}

static const struct device {
	void (*build)(struct world *w);
	void (*happen)(struct world *w, uint64_t now, uint64_t r);
} devices[] = {
	{ build_serial, happen_serial },
	{ build_pic, happen_pic },
	{ build_ioapic, happen_ioapic },
	{ build_pit, happen_nothing },
	{ build_rtc, happen_rtc },
	{ build_acpi_pm, happen_acpi_pm },
	{ build_pci, happen_pci },
	{ build_i8042, happen_i8042 },
	{ build_debug_exit, happen_nothing },
};
#define DEVICES (sizeof(devices) / sizeof(devices[0]))

static struct world *new_world(const struct device *device)
{
	struct world *w = calloc(1, sizeof(*w));

	bus_init(&w->bus);
	device->build(w);
	return w;
}

/* The one list that the device's registers have. */
static const struct fields *list_of(const struct world *w)
{
	const struct fields *list = NULL;

	for (unsigned kind = 0; kind < BUS_KINDS; kind++) {
		for (unsigned i = 1; i <= w->bus.count[kind]; i++) {
			const struct bus_range *range = &w->bus.range[kind][i];

			if (!range->ops->fields)
				continue;
			assert_null(list);
			assert_ptr_equal(range->dev, &w->dev);
			list = range->ops->fields;
		}
	}
	assert_non_null(list);
	return list;
}

/* ---- loaded, it goes on as what was saved */

struct run {
	uint64_t random, now;
};

/* A step of random life; the same in another world, given the same run. Returns what the guest reads. */
static uint64_t step(const struct device *device, struct world *w, struct run *run)
{
	uint64_t r = fuzz_next(&run->random), value = fuzz_next(&run->random), read = 0, at;
	enum bus_kind kind = w->bus.count[BUS_MEMORY] ? BUS_MEMORY : BUS_PORT;
	const struct bus_range *range = &w->bus.range[kind][1 + (r >> 8) % w->bus.count[kind]];
	uint64_t addr = range->base + (r >> 16) % (range->size < 0x50 ? range->size : 0x50);
	unsigned size = 1u << (r >> 32) % 3;

	if (!(r >> 34 & 7)) /* values that devices know more of */
		value &= 0x3737373737373737ull;
	if (!(r >> 37 & 3))
		run->now += r >> 40;
	else if (!(r >> 37 & 0xff))
		run->now += value >> 24;
	else if (!(r >> 37 & 0x3f))
		run->now -= run->now > 100 ? 100 : 0;
	switch (r & 7) {
	case 0 ... 1:
		bus_write(&w->bus, kind, run->now, addr, size, value);
		break;
	case 2 ... 3:
		read = bus_read(&w->bus, kind, run->now, addr, size);
		break;
	case 4 ... 6:
		device->happen(w, run->now, value);
		break;
	case 7:
		at = bus_deadline(&w->bus);
		if (at == NEVER)
			break;
		run->now = at > run->now ? at : run->now;
		bus_tick(&w->bus, run->now);
		/* Or whoever waits for deadlines would never come to an end. */
		assert_true(bus_deadline(&w->bus) > run->now);
		break;
	}
	return read;
}

static size_t save(const struct fields *list, const struct world *w, uint8_t *out)
{
	size_t size = fields_save(list, &w->dev, out, ROOM);

	assert_true(size <= ROOM);
	return size;
}

static void goes_on(const struct device *device, uint64_t seed)
{
	struct run run = { .random = seed * 2654435769u + 1 }, other;
	struct world *a = new_world(device), *b = new_world(device);
	const struct fields *list = list_of(a);
	uint8_t *saved = malloc(ROOM), *again = malloc(ROOM);
	char problem[200];
	size_t size;

	for (unsigned i = 0; i < 20 + seed * 3; i++)
		step(device, a, &run);
	size = save(list, a, saved);
	assert_true(fields_load(list, &b->dev, saved, size, problem, sizeof(problem)));
	assert_int_equal(save(list, b, again), size);
	assert_memory_equal(saved, again, size);

	/* Time may go back a little; a device remembers where it was. */
	run.now -= run.now > 1000 ? 1000 : 0;
	a->told = a->times = 0;
	b->told = b->times = 0;
	other = run;
	for (unsigned i = 0; i < 400; i++) {
		assert_int_equal(bus_deadline(&a->bus), bus_deadline(&b->bus));
		assert_int_equal(step(device, a, &run), step(device, b, &other));
		assert_int_equal(run.now, other.now);
		assert_int_equal(a->times, b->times);
		assert_int_equal(a->told, b->told);
	}
	size = save(list, a, saved);
	assert_int_equal(save(list, b, again), size);
	assert_memory_equal(saved, again, size);
	free(saved);
	free(again);
	free(a);
	free(b);
}

static void loaded_devices_go_on(void **state)
{
	for (unsigned d = 0; d < DEVICES; d++)
		for (uint64_t seed = 1; seed <= 200; seed++)
			goes_on(&devices[d], seed);
}

/* ---- what is refused */

static const char *cannot(const struct fields *list, void *dev, const uint8_t *in, size_t size)
{
	static char problem[200];
	uint8_t before[FIELDS_MAX_SIZE];

	memcpy(before, dev, list->size);
	problem[0] = '\0';
	if (fields_load(list, dev, in, size, problem, sizeof(problem)))
		return NULL;
	assert_memory_equal(before, dev, list->size);
	assert_true(problem[0] && !strchr(problem, '\n'));
	return problem;
}

/* Which bytes of a saved state are values: the rest is names and sizes. Returns how many fields there are. */
static unsigned find_values(const uint8_t *saved, size_t size, bool *value)
{
	size_t at = 1u + saved[0] + 6;
	unsigned fields = 0;

	memset(value, 0, size);
	for (; at < size; fields++) {
		uint32_t n, bytes;

		at += 1u + saved[at];
		memcpy(&n, saved + at + 1, sizeof(n));
		bytes = saved[at] * n;
		at += 1 + sizeof(n);
		assert_true(at + bytes <= size);
		memset(value + at, 1, bytes);
		at += bytes;
	}
	return fields;
}

/* A state with up to four wrong bits or bytes; every other one only in values. */
static void bytes_of_one(const struct device *device, uint64_t seed, unsigned *accepted)
{
	struct run run = { .random = seed };
	struct world *w = new_world(device);
	const struct fields *list = list_of(w);
	uint8_t saved[ROOM];
	bool value[ROOM];
	size_t size;

	for (unsigned i = 0; i < seed % 300; i++)
		step(device, w, &run);
	size = save(list, w, saved);
	assert_true(find_values(saved, size, value) <= FIELDS_MAX);
	for (unsigned i = seed % 4; i < 4; i++) {
		uint64_t r = fuzz_next(&run.random);
		uint8_t *at = saved + r % size;

		if (!(seed & 4) || value[r % size])
			*at = r & 1ull << 32 ? r >> 33 : *at ^ 1u << (r >> 33 & 7);
	}
	if (!cannot(list, &w->dev, saved, size))
		++*accepted;
	for (unsigned i = 0; i < 300; i++)
		step(device, w, &run);
	free(w);
}

static void bytes_from_anywhere(void **state)
{
	for (unsigned d = 0; d < DEVICES; d++) {
		unsigned accepted = 0;

		for (uint64_t seed = 1; seed <= 1000; seed++)
			bytes_of_one(&devices[d], seed, &accepted);
		print_message("# %u of 1000 are accepted\n", accepted);
		assert_in_range(accepted, 20, 980);
	}
}

static void half_a_state(void **state)
{
	for (unsigned d = 0; d < DEVICES; d++) {
		struct world *w = new_world(&devices[d]),
			     *next = new_world(&devices[(d + 1) % DEVICES]);
		const struct fields *list = list_of(w);
		uint8_t saved[ROOM];
		size_t size = save(list, w, saved);

		for (size_t i = 0; i < size; i++) {
			uint8_t *part = malloc(i + 1); /* beyond its end, ASan looks */

			memcpy(part, saved, i);
			assert_non_null(cannot(list, &w->dev, part, i));
			free(part);
		}
		assert_int_equal(fields_save(list, &w->dev, saved, 0), size);
		size = save(list_of(next), next, saved);
		assert_non_null(strstr(cannot(list, &w->dev, saved, size), "another device's"));
		free(w);
		free(next);
	}
}

/* ---- word by word, with a small device */

struct point {
	uint8_t x;
	bool far;
};

struct drawing {
	void *owner;
	uint32_t pen;
	struct point point[2];
	uint16_t ink;
};

static const char *drawing_check(const void *dev)
{
	const struct drawing *d = dev;

	return d->pen > 2 && !d->ink ? "a pen needs ink" : NULL;
}

static const struct field point_rows[] = { FIELD(point, x, .max = 9), FLAG(point, far), { 0 } };
static const struct field old_rows[] = { WIRING(drawing, owner),
					 FIELD(drawing, pen, .bits = 0xff),
					 ARRAY(drawing, point, .part = point_rows),
					 WIRING(drawing, ink),
					 { 0 } };
static const struct field new_rows[] = { WIRING(drawing, owner),
					 FIELD(drawing, ink, .since = 2),
					 ARRAY(drawing, point, .part = point_rows),
					 FIELD(drawing, pen, .bits = 0xff),
					 { 0 } };
static const struct fields old_list = { "drawing", 1, sizeof(struct drawing), old_rows, NULL };
static const struct fields new_list = { "drawing", 2, sizeof(struct drawing), new_rows,
					drawing_check };

#define OLD_SIZE 59
static const uint8_t old_bytes[OLD_SIZE + 1] = "\7drawing\1\0\55\0\0\0"
					       "\3pen\4\1\0\0\0\2\0\0\0"
					       "\7point.x\1\2\0\0\0\5\6"
					       "\11point.far\1\2\0\0\0\1\0";

static void the_format(void **state)
{
	struct drawing d = {
		.owner = &d, .pen = 2, .point = { { 5, true }, { 6, false } }, .ink = 7
	};
	struct drawing fresh = { .owner = &fresh, .ink = 3 };
	uint8_t out[ROOM];

	assert_int_equal(fields_save(&old_list, &d, out, sizeof(out)), OLD_SIZE);
	assert_memory_equal(out, old_bytes, OLD_SIZE);
	/* In a later version, with its rows in another order: what was not there yet stays. */
	assert_null(cannot(&new_list, &fresh, old_bytes, OLD_SIZE));
	assert_ptr_equal(fresh.owner, &fresh);
	assert_int_equal(fresh.pen, 2);
	assert_int_equal(fresh.point[1].x, 6);
	assert_true(fresh.point[0].far && !fresh.point[1].far);
	assert_int_equal(fresh.ink, 3);
}

static void refusals(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		const char *problem;
	} change[] = {
		{ 1, 'D', "drawing: the saved state is another device's" },
		{ 8, 0, "drawing: the saved state has version 0; this program knows 1 to 2" },
		{ 8, 3, "drawing: the saved state has version 3; this program knows 1 to 2" },
		{ 8, 2, "drawing: ink is missing" },
		{ 10, 44, "drawing: the saved state has 45 bytes, and says that it has 44" },
		{ 15, 'P', "drawing: the saved state has a field that this version does not know" },
		{ 18, 8, "drawing: pen has 1 elements of 4 bytes, not 1 of 8" },
		{ 22, 1, "drawing: pen has 1 elements of 4 bytes, not 16777217 of 4" },
		{ 24, 1, "drawing: pen cannot be 0x102" },
		{ 23, 3, "drawing: a pen needs ink" },
		{ 40, 10, "drawing: point.x cannot be 0xa" },
		{ 58, 2, "drawing: point.far cannot be 0x2" },
		{ 14, 60, "drawing: the saved state ends too early" },
	};
	struct drawing d = { .pen = 1 };
	uint8_t bytes[OLD_SIZE + 13];

	for (unsigned i = 0; i < sizeof(change) / sizeof(change[0]); i++) {
		memcpy(bytes, old_bytes, OLD_SIZE);
		bytes[change[i].at] = change[i].value;
		assert_string_equal(cannot(&new_list, &d, bytes, OLD_SIZE), change[i].problem);
	}
	/* A field that is there twice, and one that is missing. */
	memcpy(bytes, old_bytes, OLD_SIZE);
	memcpy(bytes + OLD_SIZE, old_bytes + 14, 13);
	bytes[10] += 13;
	assert_string_equal(cannot(&new_list, &d, bytes, sizeof(bytes)),
			    "drawing: pen is there twice");
	memcpy(bytes, old_bytes, 14);
	memcpy(bytes + 14, old_bytes + 27, OLD_SIZE - 27);
	bytes[10] = OLD_SIZE - 27;
	assert_string_equal(cannot(&new_list, &d, bytes, OLD_SIZE - 13), "drawing: pen is missing");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loaded_devices_go_on),
		cmocka_unit_test(bytes_from_anywhere),
		cmocka_unit_test(half_a_state),
		cmocka_unit_test(the_format),
		cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
