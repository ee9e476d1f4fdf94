// SPDX-License-Identifier: MIT OR GPL-2.0
/* What backend.c has set up, for all files of this folder. */
#include "svm/svm.h"

u32 svm_features;
struct svm_cpu *svm_cpus;
u64 svm_msrpm_pa, svm_iopm_pa;
