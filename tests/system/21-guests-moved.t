#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 240
#
# Guests that are moved from processor to processor, and of several vCPUs, on two processors that take turns. Not smp,
# which counts interrupts (box/README.md); 20-guests.t has it.
exec "$(dirname "$0")/20-guests.t" -1 fpu pku tsc memory dirty watch_linear clock kvmclock
