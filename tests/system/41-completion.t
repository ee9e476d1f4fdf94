#!/bin/bash
# SPDX-License-Identifier: MIT OR GPL-2.0
#
# bash completes the command's words: each verb, each option that --help lists, and what is known of its value.
cd "$(dirname "$0")/../.." || exit 1
. tests/system/lab.sh
export PATH=$PWD/build:$PATH XDG_RUNTIME_DIR=$dir

build/fermata help --completion >"$dir/completion"
bash -n "$dir/completion"
ok $? 'bash reads it'
. "$dir/completion"
complete -p fermata | grep -q -- '-F _fermata fermata$'
ok $? 'and then has a completion of the command'

completed() { # WORD...: what the last of them may become, sorted, in one line
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	_fermata
	printf '%s\n' "${COMPREPLY[@]}" | sort | paste -sd ' '
}
listed() { # VERB: its options as --help has them
	build/fermata "$1" --help | grep -oE '^  --[a-z-]+' | tr -d ' ' | sort -u | paste -sd ' '
}

verbs=$(build/fermata help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p' | sed '/^fermata$/d' | sort | paste -sd ' ')
same "$(completed fermata '')" "$verbs" 'every verb'
same "$(completed fermata --)" '--help --version' 'and options without one'
for verb in ${verbs/ help/}; do
	same "$(completed fermata "$verb" --)" "$(listed "$verb")" "the options of $verb"
done
same "$(completed fermata help --)" --help 'the option of help'
same "$(completed fermata help qu)" quit 'help for a verb'
same "$(completed fermata run --ini)" --initrd 'the beginning of an option'
same "$(completed fermata run --no-)" '--no-asid --no-vpid' 'both of its names'
same "$(completed fermata run --paging '')" 'auto nested shadow' 'words for a value'
same "$(completed fermata run --paging = sh)" shadow 'behind a ='
same "$(completed fermata run --paging =)" 'auto nested shadow' 'right behind it'
same "$(completed fermata run --append c)" '' 'nothing where anything may stand'
: >"$dir/a file"
same "$(completed fermata run --kernel "$dir/a")" "$dir/a file" 'files'
same "$(completed fermata stat '')" '' 'names of guests, when there are none'
fermata() { printf 'NAME STATE\nweb running\nother paused\n'; }
same "$(completed fermata stat '')" 'other web' 'names of guests'
same "$(completed fermata pause w)" web 'by their beginning'
echo "1..$count"
