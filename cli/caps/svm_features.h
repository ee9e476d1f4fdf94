/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* The features of AMD-V, and what Fermata does with each or without it. */
#ifndef CLI_SVM_FEATURES_H
#define CLI_SVM_FEATURES_H

#include <stddef.h>

/* A bit of CPUID 8000_000A EDX; names as in APM 3 E.4.9. */
struct svm_feature {
	unsigned bit;
	const char *name;
	const char *what;
	const char *with;    /* what Fermata does when it is there; NULL: nothing yet */
	const char *without; /* what it does instead; NULL: it has no need of it */
};

extern const struct svm_feature svm_features[];
extern const size_t svm_feature_count;

#endif
