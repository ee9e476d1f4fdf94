# SPDX-License-Identifier: MIT OR GPL-2.0
#
# Writes names.h: functions, variables and types that the kernel part has at file scope are called fermata_... for the
# compiler in the module. Linux may then give the same name to something of its own, in any header and at any time.
# Reads include/uapi/fermata.h first, whose names stay, then host.h, host_types.h, device.h and all sources of the other
# folders. What a file keeps to itself (static) and calls by one word keeps its name: such words are members of Linux's
# structs, too.
#
# A macro cannot have another name. Linux's of the same name are forgotten, but not in kernel/linux, where it is an error.
#
# Made for sources as clang-format leaves them: what is declared at file scope begins in a line's first column, and is
# a type before a name before a bracket, a semicolon or an assignment.

function add(name) {
	if (name !~ /^[a-z_][A-Za-z_0-9]*$/ || name ~ /^fermata_/ || (own && name !~ /_/))
		return
	if (own && FILENAME ~ /\.c$/)
		kept[name] = 1
	else
		shared[name] = 1
}

# Linux may have a macro of that name, for which whoever wants it here gets an error.
function rename(name) {
	printf "#undef %s\n#define %s %s%s\n", name, name, ("fermata_" name) in uapi ? "fermata_k_" : "fermata_", name
}

END {
	print "/* Made by names.awk. */"
	for (name in shared)
		if (!(name in macros))
			rename(name)
	print "#ifndef FERMATA_LINUX_PART /* which calls Linux's functions */"
	for (name in kept)
		if (!(name in shared))
			rename(name)
	for (name in macros)
		printf "#undef %s\n", name
	print "#endif"
}

FILENAME == ARGV[1] {
	rest = $0
	while (match(rest, /fermata_[a-z_0-9]+/)) {
		uapi[substr(rest, RSTART, RLENGTH)] = 1
		rest = substr(rest, RSTART + RLENGTH)
	}
	next
}

# Headers' guards are macros without a value, and may be there already.
/^#define [A-Za-z_0-9]+[( ]/ && FILENAME !~ /host/ {
	split($2, word, /\(/)
	macros[word[1]] = 1
	next
}

# An enum's constants: a line each, or several.
/^(static const )?enum/ {
	values = 1
}
/^}/ {
	values = 0
}
values && /^\t[A-Z]/ {
	own = 0
	line = $0
	sub(/\/\*.*/, "", line)
	n = split(line, part, /,/)
	for (i = 1; i <= n; i++)
		if (match(part[i], /[A-Z][A-Z_0-9]*( =|$)/) && part[i] !~ /[()]/) {
			split(substr(part[i], RSTART, RLENGTH), word, / /)
			if (word[1] ~ /_/)
				shared[word[1]] = 1
		}
	next
}

# Types: struct NAME {, and struct NAME; and the values' lists of enums have their own rule: capitals.
/^(struct|union|enum) [a-z_0-9]+( \{|;)/ {
	own = 0
	split($0, word, /[ ;]/)
	add(word[2])
	next
}

/^DECLARE_STATIC_KEY_FALSE\(/ {
	own = 0
	gsub(/.*\(|\).*/, "")
	add($0)
	next
}

# Everything else that begins here with a word and has another behind it.
/^[a-z_][a-z_0-9]* / {
	line = $0
	own = line ~ /^static /
	if (line ~ /^(typedef|return|goto|else|case|default|if|for|while|switch|do) /)
		next
	sub(/__attribute__.*/, "", line)
	# A pointer to a function is in the first bracket; a function's name stands before it.
	if (line ~ /^[^(]* \(\*/) {
		gsub(/^[^(]*\(\*(const )?|[^a-z_0-9A-Z].*/, "", line)
		add(line)
		next
	}
	if (match(line, /[ *][a-z_][a-z_0-9]*\(/)) {
		add(substr(line, RSTART + 1, RLENGTH - 2))
		next
	}
	# Variables.
	sub(/ = .*/, ";", line)
	if (line !~ /;/)
		next
	sub(/;.*/, "", line)
	gsub(/\[[^]]*\]/, "", line)
	n = split(line, part, /,/)
	for (i = 1; i <= n; i++) {
		m = split(part[i], word, /[ *]+/)
		add(word[m])
	}
}
