#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
# timeout: 200
#
# Several vCPUs on one processor, where their threads take turns at every point.
exec "$(dirname "$0")/20-guests.t" -c 1 smp clock
