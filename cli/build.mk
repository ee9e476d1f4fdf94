# SPDX-License-Identifier: MIT OR GPL-2.0
#
# The fermata command.

cli_sources := cli/main.c
cli_sources += cli/caps/caps.c cli/caps/svm_features.c
cli_sources += cli/run/console.c cli/run/host.c cli/run/options.c cli/run/run.c cli/run/run_box.c cli/run/run_here.c cli/run/run_many.c cli/run/stats.c
cli_sources += cli/guests/clock.c cli/guests/dirty.c cli/guests/events.c cli/guests/guests.c cli/guests/log_format.c cli/guests/name.c cli/guests/stat.c
cli_sources += cli/text/escape.c cli/text/help.c cli/text/help_events.c cli/text/help_guests.c cli/text/parse.c cli/text/rule.c cli/text/say.c cli/text/terminal.c cli/text/words.c
cli_libs := -ljson-c
