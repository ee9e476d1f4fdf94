# SPDX-License-Identifier: MIT OR GPL-2.0
#
# Which file calls which, read from the C sources alone: no build is needed, and nothing is compiled.
#
# A unit is a .c or .S file together with the header of the same name beside it. It uses another unit
# when its code names a function or a variable that the other defines: a call, or an address put into a
# table. So a call through a table of functions belongs to whoever fills in the table. Members of
# structs, local variables, and static functions hide a name. What stands in a header (static inline
# functions, macros) counts if functions of a .c file are called from there: its user uses the header's
# unit, and that one uses what is called. Where no .c file goes with the header, its user uses what is
# called. What calls nothing is as good as a member of a struct.
#
# A list is a header of rows, ROW(column, ...), for whoever includes it: the file names what stands in those
# columns that its own macro ROW() uses as they are.
#
# A seam is a header whose functions are implemented further up. Who calls them uses the header, and the
# way ends there.
package Calls;
use strict;
use warnings;
use File::Basename qw(dirname);

my %keyword = map { $_ => 1 } qw(if else for while do switch case default return goto break continue
	sizeof typeof __typeof__ static_assert _Static_assert asm __asm__ volatile __volatile__ const static
	extern inline register unsigned signed int long short char void struct union enum typedef);

# ---- one file

# The text without comments, and with empty strings unless $keep; a line keeps its number.
sub blank {
	my ($text, $keep) = @_;
	$text =~ s{(/\*.*?\*/|//[^\n]*)|("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+')}{
		defined $1 ? ' ' . $1 =~ tr/\n//cdr : $keep ? $2 : '""'
	}gse;
	return $text;
}

sub tokens {
	return $_[0] =~ /[A-Za-z_]\w*|\d[\w.]*|->|\.\.\.|[^\s\w]/g;
}

# What this stretch of code names: not members, labels, tags of structs.
sub names {
	my %names;
	for my $i (0 .. $#_) {
		next unless $_[$i] =~ /^[A-Za-z_]/ && !$keyword{ $_[$i] };
		next if $i && $_[$i - 1] =~ /^(\.|->|goto|struct|union|enum)$/;
		next if $i && $i < $#_ && $_[$i + 1] eq ':' && $_[$i - 1] =~ /^[;{}]$/; # a label
		$names{ $_[$i] } = 1;
	}
	return \%names;
}

# Where the bracket at $i is closed.
sub closing {
	my ($t, $i) = @_;
	my $depth = 0;
	for (; $i < @$t; $i++) {
		$depth++ if $t->[$i] =~ /^[({[]$/;
		$depth-- if $t->[$i] =~ /^[)}\]]$/;
		return $i unless $depth;
	}
	return;
}

# What a list like "int a = f(x), *b[2], (*c)(int)" declares: in each part the last name before "=", "[",
# ":" or "(", or the one after "(*".
sub declared {
	my (@names, $last, $over);
	for (my $i = 0; $i < @_; $i++) {
		if ($_[$i] eq ',') {
			push @names, $last if defined $last;
			undef $last;
			$over = 0;
		} elsif ($_[$i] eq '(' && $i + 1 < @_ && $_[$i + 1] eq '*') { # a pointer to a function
			($last) = grep { /^[A-Za-z_]/ && !$keyword{$_} } @_[$i .. $#_];
			$over = 1;
			$i = closing(\@_, $i) // last;
		} elsif ($_[$i] =~ /^[({[]$/) {
			$over = 1 if defined $last;
			$i = closing(\@_, $i) // last;
		} elsif ($_[$i] =~ /^[=:]$/) {
			$over = 1;
		} elsif (!$over && $_[$i] =~ /^[A-Za-z_]/ && !$keyword{ $_[$i] }) {
			$last = $_[$i];
		}
	}
	push @names, $last if defined $last;
	return @names;
}

# The local variables of a function's body: a statement that begins with two words in a row, or with a
# word and stars before the next, declares.
sub locals {
	my ($t) = @_;
	my @names;
	for my $i (1 .. $#$t) {
		next unless $t->[$i - 1] =~ /^[{};]$/ || $t->[$i - 1] eq '(' && $i > 1 && $t->[$i - 2] eq 'for';
		my $j = $i;
		my $words = 0;
		while ($j < $#$t && $t->[$j] =~ /^(?:[A-Za-z_]\w*|\*)$/) {
			last if $t->[$j] =~ /^(?:return|else|goto|case|do|sizeof|default|break|continue)$/;
			$words++ if $t->[$j] ne '*';
			$j++;
		}
		next if $words < 2;
		my $end = $j;
		while ($end < @$t && $t->[$end] ne ';') {
			$end = closing($t, $end) // last if $t->[$end] =~ /^[({[]$/;
			$end++;
		}
		push @names, declared(@$t[$i .. $end - 1]);
	}
	return @names;
}

# A file: its includes [ line, quote, name ]; its macros and its things (functions, variables), by name,
# with the names that each uses; what it declares of others; what is used outside of both ("loose"); and
# macros that paste names together [ macro, front, back ].
sub parse {
	my ($file) = @_;
	open my $f, '<', $file or die "$file: $!\n";
	local $/;
	my $raw = <$f>;
	my %file = (macros => {}, things => {}, declares => {}, loose => {}, includes => [], pastes => []);

	my $line = 0;
	for (split /\n/, blank($raw, 1)) {
		$line++;
		push @{ $file{includes} }, [ $line, $1, $2 ] if /^\s*#\s*include\s*(["<])([^">]+)[">]/;
	}
	my $code = blank($raw) =~ s/\\\n/ /gr;
	$code =~ s{^[ \t]*#[ \t]*(\w*)(.*)$}{ directive(\%file, $1, $2); '' }gme;
	my @t = tokens($code);

	if ($file =~ /\.S$/) {
		my @labels = $code =~ /(?:HOST_FUNCTION|HOST_LABEL)\s*\(\s*(\w+)|\.globl\s+(\w+)/g;
		$file{things}{$_} = { names => {} } for grep { defined } @labels;
		$file{loose} = names(@t);
		return \%file;
	}
	my ($start, $i) = (0, 0);
	for (; $i < @t; $i++) {
		if ($t[$i] eq ';') {
			object(\%file, @t[$start .. $i - 1]);
			$start = $i + 1;
		} elsif ($t[$i] =~ /^[({[]$/) {
			my $end = closing(\@t, $i) // die "$file: a bracket is not closed\n";
			my @before = @t[$start .. $i - 1];
			if ($t[$i] eq '{' && function(\%file, \@before, [ @t[$i .. $end] ])) {
				$start = $end + 1;
			} elsif ($t[$i] eq '{' && !grep { $_ eq '=' } @before) {
				splice @t, $i, $end - $i + 1; # the inside of a struct or an enum
				$end = $i - 1;
			}
			$i = $end;
		} elsif ($t[$i] =~ /^[)}\]]$/) {
			die "$file: a bracket too many\n";
		}
	}
	$file{rows} = rows(@t[$start .. $#t]) if $file =~ /\.h$/;
	return \%file;
}

# The rows of a list: [ macro, [ names of the first column ], ... ].
sub rows {
	my @t = @_;
	my @rows;
	while (@t > 1 && $t[1] eq '(') {
		my $end = closing(\@t, 1);
		my @row = ([]);
		for my $i (2 .. $end - 1) {
			push @row, [] if $t[$i] eq ',';
			push @{ $row[-1] }, $t[$i] if $t[$i] =~ /^[A-Za-z_]/;
		}
		push @rows, [ $t[0], @row ];
		splice @t, 0, $end + 1;
	}
	return \@rows;
}

sub directive {
	my ($file, $what, $rest) = @_;
	return unless $what eq 'define' && $rest =~ s/^\s+(\w+)(?:\(([^()]*)\))?//;
	my ($name, $parameters) = ($1, $2 // '');
	my %parameter = map { $_ => 1 } '', '__VA_ARGS__', $parameters =~ /\w+/g;
	push @{ $file->{pastes} }, [ $name, map { $parameter{ $_ // '' } ? '' : $_ } $1, $2 ]
		while $rest =~ /(\w+)?\s*##\s*(\w+)?/g;
	my @columns = $parameters =~ /\w+|\.\.\./g;
	my $alone = $rest =~ s/\w*\s*##\s*\w*/ /gr;
	my @used = grep { $alone =~ /\b\Q$columns[$_]\E\b/ } 0 .. $#columns;
	my $names = names(tokens($rest));
	delete $names->{$_} for $name, $parameters =~ /\w+/g;
	my $macro = $file->{macros}{$name} //= { names => {} };
	$macro->{names}{$_} = 1 for keys %$names;
	$macro->{used}{$_} = 1 for @used;
	$macro->{static} = 1 if $rest =~ /\bstatic\b/;
}

# Without __attribute__((...)).
sub bare {
	my @t = @_;
	for (my $i = 0; $i < @t; $i++) {
		splice @t, $i--, closing(\@t, $i + 1) - $i + 1 if $t[$i] eq '__attribute__';
	}
	return @t;
}

sub add {
	my ($file, $name, $static, $names) = @_;
	my $thing = $file->{things}{$name} //= { static => $static, names => {} };
	$thing->{names}{$_} = 1 for keys %$names;
}

# Is this the head of a function? Its parameters are the last pair of brackets. If a macro declares it,
# "static" is left to that: its name is kept until all files are read.
sub function {
	my ($file, $before, $body) = @_;
	my @head = bare(@$before);
	return if !@head || $head[-1] ne ')' || grep { $_ eq '=' } @head;
	my ($open, $name) = (0);
	for (my $i = 0; $i < @head; $i++) {
		next unless $head[$i] eq '(';
		$open = $i;
		$i = closing(\@head, $i);
	}
	$name = $head[$open - 1];
	my @parameters = @head[$open + 1 .. $#head - 1];
	my $names = names(@head[0 .. $open - 2], @parameters, @$body);
	if ($open == 1) { # MACRO(name) { ... }
		$file->{loose}{ $head[0] } = 1;
		add($file, $parameters[-1], $name, $names);
		return 1;
	}
	delete $names->{$_} for declared(@parameters), locals($body);
	add($file, $name, scalar(grep { $_ eq 'static' } @head), $names);
	return 1;
}

# A declaration at file level: variables, prototypes, or the use of a macro.
sub object {
	my ($file, @t) = @_;
	@t = bare(@t);
	return if !@t || $t[0] eq 'typedef';
	my $static = grep { $_ eq 'static' } @t;
	my $names = names(@t);
	my ($open) = grep { $t[$_] eq '(' } 0 .. $#t;
	my ($equals) = grep { $t[$_] eq '=' } 0 .. $#t;
	if (defined $open && !(defined $equals && $equals < $open) && $t[$open + 1] ne '*') {
		if ($open == 1 || $open == 2 && $static) {
			if ($t[$open - 1] =~ /^DEFINE_/) {
				my ($name) = reverse grep { /^[A-Za-z_]/ } @t[$open .. $#t];
				add($file, $name, $static, {});
			} else {
				$file->{loose}{$_} = 1 for keys %$names;
			}
		} else {
			$file->{declares}{ $t[$open - 1] } = 1;
		}
		return;
	}
	my @declared = declared(@t);
	if ($t[0] eq 'extern') {
		$file->{declares}{$_} = 1 for @declared;
		return;
	}
	return if @t < 2 || !defined $equals && $t[0] =~ /^(struct|union|enum)$/ && @t == 2;
	delete $names->{$_} for @declared;
	add($file, $_, $static, $names) for @declared;
}

# ---- all of them

sub unit {
	my ($file) = @_;
	my ($stem) = $file =~ /^(.*)\.[chS]$/;
	return -f "$stem.c" ? "$stem.c" : -f "$stem.S" ? "$stem.S" : $file;
}

# What is linked together: the module, or the programs.
sub program {
	return $_[0] =~ m{^kernel/} ? 'kernel' : 'user';
}

# files: path => parse(); includes: path => [paths]; seams: [headers]. Returns unit => unit => names,
# and a list of what is beyond this reader.
sub between {
	my ($files, $includes, $seams) = @_;
	my (%defined, %calls, @beyond);
	for my $file (sort keys %$files) {
		next if $file =~ /\.h$/;
		my $things = $files->{$file}{things};
		for my $name (sort keys %$things) {
			my $static = $things->{$name}{static};
			if ($static && $static =~ /\D/) { # declared by that macro
				$static = grep { ($_->{macros}{$static} // {})->{static} } values %$files;
			}
			$things->{$name}{static} = $static;
			push @{ $defined{ program($file) }{$name} }, $file unless $static;
		}
	}
	for my $file (sort keys %$files) {
		my @globals = sort keys %{ $defined{ program($file) } // {} };
		for (@{ $files->{$file}{pastes} }) {
			my ($macro, $front, $back) = @$_;
			my ($hit) = grep { /^\Q$front\E/ && /\Q$back\E$/ } @globals;
			push @beyond, "$file: $macro() puts a name together that may be $hit(): write it out" if $hit;
		}
	}

	my %seam = map { $_ => 1 } grep { $files->{$_} } @$seams;
	my %sees;
	my $sees = sub { # a file and all headers that it includes, by any way
		my ($file) = @_;
		return $sees{$file} //= do {
			my (%seen, @list);
			my @todo = ($file);
			while (defined(my $next = shift @todo)) {
				next if $seen{$next}++;
				push @list, $next;
				push @todo, @{ $includes->{$next} // [] };
			}
			\@list;
		};
	};

	# What a name means in a file: [ 'own' ], [ 'header', header, entry ], [ 'global', units ], or nothing
	my $meaning = sub {
		my ($file, $name) = @_;
		my $own = $files->{$file};
		return ['own'] if $own->{things}{$name};
		return [ 'header', $file, $own->{macros}{$name} ] if $own->{macros}{$name};
		for my $header (@{ $sees->($file) }) {
			next if $header eq $file || $header =~ /\.[cS]$/;
			my $entry = $files->{$header}{things}{$name} // $files->{$header}{macros}{$name};
			return [ 'header', $header, $entry ] if $entry;
		}
		my @where = @{ $defined{ program($file) }{$name} // [] };
		my @beside = grep { dirname($_) eq dirname($file) } @where;
		return [ 'global', @beside ] if @beside;
		for my $seam (grep { program($_) eq program($file) } sort keys %seam) {
			return [ 'seam', $seam ] if $files->{$seam}{declares}{$name};
		}
		return @where ? [ 'global', @where ] : undef;
	};

	# Does what stands in a header call functions of .c files?
	my %heavy;
	my $heavy;
	$heavy = sub {
		my ($header, $name, $entry) = @_;
		my $key = "$header $name";
		return $heavy{$key} if exists $heavy{$key};
		$heavy{$key} = 0;
		for my $used (sort keys %{ $entry->{names} }) {
			my $what = $meaning->($header, $used) // next;
			my $found = $what->[0] eq 'global';
			$found = $heavy->($header, $used, $files->{$header}{things}{$used}) if $what->[0] eq 'own';
			$found = $heavy->($what->[1], $used, $what->[2]) if $what->[0] eq 'header';
			return $heavy{$key} = 1 if $found;
		}
		return 0;
	};

	my $note;
	$note = sub { # UNIT uses what NAME means in FILE, and calls it AS that
		my ($unit, $file, $name, $as, $deep) = @_;
		my $what = $meaning->($file, $name);
		return if !$what || $what->[0] eq 'own' && $file !~ /\.h$/;
		if ($what->[0] =~ /^(seam|global)$/) {
			$calls{$unit}{ unit($_) }{$as} = 1 for @$what[1 .. $#$what];
			return;
		}
		my ($header, $entry) = $what->[0] eq 'own' ? ($file, $files->{$file}{things}{$name}) : @$what[1, 2];
		if ($header eq $file || $header eq unit($header) && !$seam{$header}) {
			my @names = $deep < 9 ? sort keys %{ $entry->{names} } : ();
			$note->($unit, $header, $_, $header =~ /\.h$/ ? $as : $_, $deep + 1) for @names;
		} elsif ($heavy->($header, $name, $entry)) {
			$calls{$unit}{ unit($header) }{$as} = 1;
		}
	};
	for my $file (sort keys %$files) {
		my $own = $files->{$file};
		next if $file =~ /\.h$/ && unit($file) eq $file;
		my @parts = (values %{ $own->{things} }, { names => $own->{loose} });
		push @parts, values %{ $own->{macros} } if $file =~ /\.h$/;
		for my $part (@parts) {
			$note->(unit($file), $file, $_, $_, 0) for sort keys %{ $part->{names} };
		}
	}
	for my $file (sort keys %$files) {
		for (map { @{ $files->{$_}{rows} // [] } } @{ $includes->{$file} // [] }) {
			my ($row, @columns) = @$_;
			my $used = ($files->{$file}{macros}{$row} // next)->{used};
			$note->(unit($file), $file, $_, $_, 0) for map { @{ $columns[$_] // [] } } sort keys %$used;
		}
	}
	delete $calls{$_}{$_} for keys %calls;
	return (\%calls, \@beyond);
}

# ---- circles

# The strongly connected components of more than one unit, by Tarjan.
sub circles {
	my ($calls) = @_;
	my (%index, %low, %on, @stack, @circles);
	my $count = 0;
	my $visit;
	$visit = sub {
		my ($unit) = @_;
		$index{$unit} = $low{$unit} = $count++;
		push @stack, $unit;
		$on{$unit} = 1;
		for my $to (sort keys %{ $calls->{$unit} // {} }) {
			$visit->($to) unless exists $index{$to};
			$low{$unit} = $low{$to} if $on{$to} && $low{$to} < $low{$unit};
		}
		return unless $low{$unit} == $index{$unit};
		my @members;
		do {
			push @members, pop @stack;
			delete $on{ $members[-1] };
		} until $members[-1] eq $unit;
		push @circles, [ sort @members ] if @members > 1;
	};
	for my $unit (sort keys %$calls) {
		$visit->($unit) unless exists $index{$unit};
	}
	return sort { $a->[0] cmp $b->[0] } @circles;
}

1;
