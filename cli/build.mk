# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The fermata command.

cli_sources := \
	cli/caps.c cli/clock.c cli/console.c cli/dirty.c cli/escape.c cli/events.c cli/guests.c cli/help.c cli/help_guests.c cli/help_events.c cli/host.c cli/log_format.c cli/main.c \
	cli/name.c cli/options.c cli/parse.c cli/rule.c cli/run.c cli/run_box.c cli/run_here.c cli/run_many.c cli/say.c \
	cli/stat.c cli/stats.c cli/svm_features.c cli/terminal.c cli/words.c
cli_libs := -ljson-c
