/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* fermata caps: what the computer offers, what is missing, what stands in the way. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "caps.h"
#include "cli/run/host.h"
#include "cli/run/run.h"
#include "cli/text/json.h"
#include "cli/text/say.h"
#include "svm_features.h"

static const char *level_names[] = { "4K", "2M", "1G" };

static const char *vendor_name(const struct host *host)
{
	switch (host->caps.vendor) {
	case FERMATA_VENDOR_AMD:
		return "AMD-V (SVM)";
	case FERMATA_VENDOR_INTEL:
		return "VT-x (VMX)";
	default:
		return "none";
	}
}

static const char *brand(const struct host *host)
{
	const char *text = host->brand;

	while (*text == ' ')
		text++;
	return *text ? text : host->vendor;
}

/* ---- for people */

static const char *remark(const struct svm_feature *f, bool present)
{
	if (present)
		return f->with ? f->with : "not used by this version";
	return f->without ? f->without : "not needed by this version";
}

static void print_page_sizes(uint32_t levels)
{
	unsigned i;

	if (!levels)
		printf("-");
	for (i = 0; i < 3; i++) {
		if (levels >> (i + 1) & 1)
			printf("%s%s", levels & ((1u << (i + 1)) - 1) ? ", " : "", level_names[i]);
	}
}

static void print_svm(const struct host *host)
{
	const struct fermata_caps *caps = &host->caps;
	size_t i;

	printf("AMD-V revision          %u\n", caps->svm_revision);
	printf("address spaces (ASIDs)  %u, the host's included\n", caps->tags);
	printf("nested page sizes       ");
	print_page_sizes(caps->nested_levels);
	printf("\n\n%-22s %-8s %-35s %s\n", "feature", "present", "what it is", "what Fermata does");
	for (i = 0; i < svm_feature_count; i++) {
		const struct svm_feature *f = &svm_features[i];
		bool present = caps->svm_features >> f->bit & 1;

		printf("%-22s %-8s %-35s %s\n", f->name, present ? "yes" : "no", f->what,
		       remark(f, present));
	}
}

/* Who switches virtualization on: as it is while there are guests, and as it would be. */
static bool is_beside(const struct host *host)
{
	return host->caps.way == FERMATA_WAY_NONE ? host->kvm : host->caps.way == FERMATA_WAY_BESIDE;
}

static const char *way(const struct host *host)
{
	switch (host->caps.way) {
	case FERMATA_WAY_OWN:
		return "by Fermata, now; KVM makes no guests until Fermata's have ended";
	case FERMATA_WAY_BESIDE:
		return "by KVM, now; Fermata's guests run beside KVM's";
	default:
		return host->kvm ? "by KVM; Fermata's guests run beside KVM's" :
				   "by Fermata, when a guest starts";
	}
}

/* Of the controls that Fermata uses, those that not every VT-x has (SDM 3C 25.6.2). */
static const struct vmx_feature {
	uint32_t word, bit;
	const char *name, *key, *without;
} vmx_features[] = {
	{ FERMATA_VMX_PROC, 21, "TPR shadow", "tpr_shadow", "each access to CR8 exits" },
	{ FERMATA_VMX_PROC2, 5, "VPID", "vpid", "entries and exits drop all translations" },
	{ FERMATA_VMX_PROC2, 7, "unrestricted guest", "unrestricted_guest",
	  "no real mode, no guest without paging, one vCPU each" },
	{ FERMATA_VMX_PROC2, 12, "INVPCID", "invpcid", "guests do without it" },
	{ FERMATA_VMX_PROC2, 25, "TSC scaling", "tsc_scaling",
	  "RDTSC exits while a guest's clock has another rate than 1" },
};

#define VMX_FEATURES (sizeof(vmx_features) / sizeof(vmx_features[0]))

static bool has_vmx(const struct host *host, const struct vmx_feature *f)
{
	return host->caps.vmx[f->word] >> f->bit & 1;
}

static void print_vmx(const struct host *host)
{
	size_t i;

	if (!host->module)
		return; /* the MSRs that say it are the module's to read */
	printf("nested page sizes       ");
	print_page_sizes(host->caps.nested_levels);
	printf("\n");
	for (i = 0; i < VMX_FEATURES; i++) {
		const struct vmx_feature *f = &vmx_features[i];

		printf("%-23s %s%s\n", f->name, has_vmx(host, f) ? "yes" : "no; ",
		       has_vmx(host, f) ? "" : f->without);
	}
}

static const char *const flaw_states[] = {
	[FERMATA_FLAW_NOT_NEEDED] = "not needed", [FERMATA_FLAW_DONE] = "done",
	[FERMATA_FLAW_HOST] = "the host's",	  [FERMATA_FLAW_NOT_DONE] = "not done",
	[FERMATA_FLAW_UNKNOWN] = "unknown",
};
#define FLAW_STATES (sizeof(flaw_states) / sizeof(flaw_states[0]))

static const char *flaw_state(const struct fermata_flaw *flaw)
{
	return flaw->state < FLAW_STATES ? flaw_states[flaw->state] : "unknown";
}

static void print_flaws(void)
{
	struct fermata_flaw flaw;

	printf("\n%-25s %-10s %s\n", "flaw of processors", "guarded", "how, or why not");
	for (uint32_t i = 0; !fermata_flaw(i, &flaw); i++)
		printf("%-25s %-10s %s\n", flaw.name, flaw_state(&flaw), flaw.how);
}

void caps_print(const struct host *host)
{
	const struct fermata_caps *caps = &host->caps;
	unsigned i;

	printf("processor               %s\n", brand(host));
	printf("virtualization          %s\n", vendor_name(host));
	if (host->module) {
		printf("module                  loaded, interface %u\n", caps->abi);
		if (caps->vendor != FERMATA_VENDOR_NONE)
			printf("switched on             %s\n", way(host));
		printf("time-stamp counter      %u.%03u MHz\n", caps->tsc_khz / 1000,
		       caps->tsc_khz % 1000);
		printf("vCPUs per guest         up to %u\n", caps->max_vcpus);
		printf("XCR0 for guests         %#" PRIx64 "\n", (uint64_t)caps->xcr0);
	} else {
		printf("module                  not reached\n");
	}
	if (caps->phys_bits)
		printf("physical address        %u bits\n", caps->phys_bits);
	if (caps->vendor == FERMATA_VENDOR_AMD)
		print_svm(host);
	else if (caps->vendor == FERMATA_VENDOR_INTEL)
		print_vmx(host);
	if (host->module)
		print_flaws();
	printf("\n");
	if (!host->obstacles)
		printf("Guests can run here.\n");
	else
		printf("Guests cannot run here:\n");
	for (i = 0; i < host->obstacles; i++)
		printf("  %s; %s\n", host->obstacle[i].what, host->obstacle[i].remedy);
}

/* ---- for programs */

static void put(struct json_object *object, const char *key, struct json_object *value)
{
	json_object_object_add(object, key, value);
}

static struct json_object *json_features(uint32_t word)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < svm_feature_count; i++) {
		const struct svm_feature *f = &svm_features[i];
		struct json_object *entry = json_object_new_object();
		bool present = word >> f->bit & 1;

		json_add_text(entry, "name", f->name);
		put(entry, "bit", json_object_new_int((int)f->bit));
		put(entry, "present", json_object_new_boolean(present));
		put(entry, "used", json_object_new_boolean(present && f->with));
		put(entry, "fallback",
		    present || !f->without ? NULL : json_object_new_string(f->without));
		json_object_array_add(list, entry);
	}
	return list;
}

static struct json_object *json_obstacles(const struct host *host)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < host->obstacles; i++) {
		struct json_object *entry = json_object_new_object();

		json_add_text(entry, "what", host->obstacle[i].what);
		json_add_text(entry, "remedy", host->obstacle[i].remedy);
		json_object_array_add(list, entry);
	}
	return list;
}

static struct json_object *json_flaws(void)
{
	struct json_object *list = json_object_new_array();
	struct fermata_flaw flaw;

	for (uint32_t i = 0; !fermata_flaw(i, &flaw); i++) {
		struct json_object *entry = json_object_new_object();

		json_add_text(entry, "name", flaw.name);
		json_add_text(entry, "state", flaw_state(&flaw));
		json_add_text(entry, "how", flaw.how);
		json_object_array_add(list, entry);
	}
	return list;
}

static struct json_object *json_page_sizes(uint32_t levels)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < 3; i++) {
		if (levels >> (i + 1) & 1)
			json_object_array_add(list, json_object_new_string(level_names[i]));
	}
	return list;
}

static struct json_object *json_vmx(const struct host *host)
{
	struct json_object *vmx = json_object_new_object();

	for (size_t i = 0; i < VMX_FEATURES; i++)
		put(vmx, vmx_features[i].key,
		    json_object_new_boolean(has_vmx(host, &vmx_features[i])));
	return vmx;
}

struct json_object *caps_json(const struct host *host)
{
	struct json_object *object = json_object_new_object();
	const struct fermata_caps *caps = &host->caps;

	put(object, "usable", json_object_new_boolean(!host->obstacles));
	json_add_text(object, "processor", brand(host));
	put(object, "vendor",
	    caps->vendor == FERMATA_VENDOR_AMD	 ? json_object_new_string("amd") :
	    caps->vendor == FERMATA_VENDOR_INTEL ? json_object_new_string("intel") :
						   NULL);
	put(object, "module", json_object_new_boolean(host->module));
	if (host->module) {
		put(object, "abi", json_object_new_int64(caps->abi));
		put(object, "beside_kvm", json_object_new_boolean(is_beside(host)));
		put(object, "switched_on", json_object_new_boolean(caps->way != FERMATA_WAY_NONE));
		put(object, "tsc_khz", json_object_new_int64(caps->tsc_khz));
		put(object, "max_vcpus", json_object_new_int64(caps->max_vcpus));
		put(object, "xcr0", json_object_new_uint64(caps->xcr0));
		put(object, "flaws", json_flaws());
	}
	put(object, "phys_bits", json_object_new_int64(caps->phys_bits));
	if (caps->vendor == FERMATA_VENDOR_AMD) {
		struct json_object *svm = json_object_new_object();

		put(svm, "revision", json_object_new_int64(caps->svm_revision));
		put(svm, "asids", json_object_new_int64(caps->tags));
		put(svm, "features", json_features(caps->svm_features));
		put(object, "svm", svm);
		put(object, "nested_page_sizes", json_page_sizes(caps->nested_levels));
	}
	if (caps->vendor == FERMATA_VENDOR_INTEL && host->module) {
		put(object, "vmx", json_vmx(host));
		put(object, "nested_page_sizes", json_page_sizes(caps->nested_levels));
	}
	put(object, "obstacles", json_obstacles(host));
	return object;
}

/* ---- the verb */

struct caps_options {
	struct place place;
	bool json;
};

static int run(const struct command *command, char **argv)
{
	struct caps_options options = { .place = PLACE_DEFAULT };
	int status = options_read(command, argv, &options, NULL);
	struct host host;

	if (status != OPTIONS_READ)
		return status;
	if (options.place.where == PLACE_BOX)
		return caps_in_box(options.place.box, options.json);
	host_probe(&host);
	if (options.json) {
		struct json_object *object = caps_json(&host);

		json_print(object);
		json_object_put(object);
	} else {
		caps_print(&host);
	}
	return host.obstacles ? STATUS_FAILED : STATUS_OK;
}

static const struct option_row options[] = {
	{ "json", NULL, option_flag, offsetof(struct caps_options, json),
	  .help = "for programs: one JSON object" },
	{ "box", "KIND", take_place, offsetof(struct caps_options, place),
	  .help = "which computer: none: this one (the default, as is auto); amd, intel or "
		  "bochs:MODEL: the box, as in `fermata run`" },
	{ .name = NULL },
};

const struct command command_caps = {
	.name = "caps",
	.what = "show what this computer offers for running guests",
	.run = run,
	.usage = "[--json] [--box KIND]",
	.options = options,
	.about =
		"Shows the processor's virtualization features, what Fermata does with each or without it,\n"
		"and what stands in the way of running guests, with what to do about it. It works without\n"
		"the module too; what only the module can know is then left out.\n"
		"\n"
		"exit status: 0 guests can run there; 1 they cannot (or the question could not be asked)\n"
		"\n"
		"examples:\n"
		"  fermata caps\n"
		"  fermata caps --box bochs:corei5_lynnfield_750\n"
		"  fermata caps --json | jq -r '.obstacles[] | .what + \": \" + .remedy'\n",
};
