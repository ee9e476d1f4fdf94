# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The control channel: server, verbs, client.

control_sources := \
	control/client.c control/command.c control/door.c control/folder.c control/line.c control/plain.c control/porter.c \
	control/queue.c control/server.c control/verbs.c control/verbs_clock.c control/verbs_dirty.c control/verbs_events.c control/verbs_machine.c control/verbs_stats.c
control_libs := -ljson-c
