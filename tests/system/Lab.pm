# SPDX-License-Identifier: MIT OR GPL-2.0
#
# What the system tests in Perl share: commands with a time limit, scripts in the box, a terminal of
# their own, and kernels of a few bytes. What they start is recorded by its process number, and ended.
package Lab;
use strict;
use warnings;
use Exporter 'import';
use Fcntl;
use File::Temp 'tempdir';
use IO::Select;
use POSIX ':sys_wait_h';
use Time::HiRes 'time';

our @EXPORT = qw($dir $fermata $kind $slow write_file read_file command start finish box sections unexpected kernel_image $echo $five $triple);

our $dir = tempdir(CLEANUP => 1);
our $fermata = 'build/fermata';
our $box_seconds = 200; # what box() waits
# TEST -b KIND: in that kind of box, as `make test-matrix` wants it; Bochs is slower, so all has more time there.
our $kind = @ARGV == 2 && $ARGV[0] eq '-b' ? $ARGV[1] : 'amd';
our $slow = $kind eq 'amd' ? 1 : 10;
my %running; # process numbers

$SIG{$_} = sub { exit 1 } for qw(TERM INT HUP);
END {
	my $status = $?;
	for my $pid (keys %running) {
		kill KILL => $pid;
		waitpid $pid, 0;
	}
	$? = $status;
}

sub write_file {
	my ($name, $bytes) = @_;
	open my $f, '>:raw', "$dir/$name" or die "$dir/$name: $!\n";
	print $f $bytes;
	close $f or die "$dir/$name: $!\n";
	return "$dir/$name";
}

sub read_file {
	my ($path) = @_;
	open my $f, '<:raw', $path or return '';
	local $/;
	return scalar <$f> // '';
}

# start({ in =>, out =>, err => (paths), env => {} }, COMMAND...): its process number
sub start {
	my ($options, @command) = @_;
	my $pid = fork // die "fork: $!\n";
	if (!$pid) {
		$SIG{$_} = 'DEFAULT' for qw(TERM INT HUP);
		%running = ();
		open STDIN, '<', $options->{in} // '/dev/null' or POSIX::_exit(126);
		open STDOUT, '>', $options->{out} // '/dev/null' or POSIX::_exit(126);
		open STDERR, '>', $options->{err} // '/dev/null' or POSIX::_exit(126);
		$ENV{$_} = $options->{env}{$_} for keys %{ $options->{env} // {} };
		exec { $command[0] } @command or POSIX::_exit(127);
	}
	$running{$pid} = 1;
	return $pid;
}

# finish(PID, SECONDS): the exit status as a shell counts it, or 'time' after killing it
sub finish {
	my ($pid, $seconds) = @_;
	my $end = time + $seconds * $slow;
	my $late = 0;
	until (waitpid($pid, WNOHANG) == $pid) {
		if (!$late && time > $end) {
			kill KILL => $pid;
			$late = 1;
		}
		select undef, undef, undef, 0.01;
	}
	my $status = $?;
	delete $running{$pid};
	return 'time' if $late;
	return WIFSIGNALED($status) ? 128 + WTERMSIG($status) : WEXITSTATUS($status);
}

# command({ options of start, seconds => }, COMMAND...): status, standard output, standard error
sub command {
	my ($options, @command) = @_;
	my %files = (out => "$dir/stdout", err => "$dir/stderr");
	my $pid = start({ %$options, %files }, @command);
	my $status = finish($pid, $options->{seconds} // 30);
	return ($status, read_file($files{out}), read_file($files{err}));
}

# box([OPTION OF BOX-SH...], SCRIPT, FILE...): status and output of a script in the box
sub box {
	my ($options, $script, @files) = @_;
	my $path = write_file('script', $script);
	my @options = ('-b', $kind, @$options, $slow > 1 ? ('-t', $box_seconds * $slow) : ());
	my ($status, $out, $err) = command({ seconds => $box_seconds }, 'build/box/box-sh', @options, $path, @files);
	$out =~ s/\r//g;
	print STDERR map { "# $_\n" } split /\n/, $err if $err ne '';
	return ($status, $out);
}

# What a script printed behind each line "@@ NAME"
sub sections {
	my ($text) = @_;
	my ($name, %section) = ('');
	for my $line (split /^/, $text) {
		if ($line =~ /^@@ (.*)\n/) {
			$name = $1;
			$section{$name} //= '';
		} else {
			$section{$name} .= $line;
		}
	}
	return %section;
}

# A bzImage (Linux, Documentation/arch/x86/boot.rst) whose 64-bit entry point is the given code.
sub kernel_image {
	my ($code, %field) = @_;
	my $size = 4096;
	my %f = (
		setup_sects => 1, boot_flag => 0xaa55, magic => 'HdrS', version => 0x20f, loadflags => 1,
		syssize => $size / 16, kernel_alignment => 0x200000, relocatable => 1, xloadflags => 1,
		cmdline_size => 2047, payload_offset => 0x300, payload_length => 0x100,
		pref_address => 0x1000000, init_size => 0x100000, %field,
	);
	my $image = "\0" x 1024 . ("\0" x 512 . $code . "\xf4" x $size);
	$image = substr $image, 0, 1024 + $size;
	my $put = sub { substr $image, $_[0], length $_[1], $_[1] };
	$put->(0x1f1, pack 'C', $f{setup_sects});
	$put->(0x1f4, pack 'V', $f{syssize});
	$put->(0x1fe, pack 'v', $f{boot_flag});
	$put->(0x200, pack 'CC', 0xeb, $f{jump} // 0x6a);
	$put->(0x202, $f{magic});
	$put->(0x206, pack 'v', $f{version});
	$put->(0x211, pack 'C', $f{loadflags});
	$put->(0x22c, pack 'V', 0x7fffffff);
	$put->(0x230, pack 'VCCv', $f{kernel_alignment}, $f{relocatable}, 0, $f{xloadflags});
	$put->(0x238, pack 'V', $f{cmdline_size});
	$put->(0x248, pack 'VV', $f{payload_offset}, $f{payload_length});
	$put->(0x258, pack 'Q<V', $f{pref_address}, $f{init_size});
	return $image;
}

# ---- kernels of a few bytes, from their 64-bit entry point on

# Says "ready", then sends back what it receives, until ^D: powers off.
our $echo = write_file('echo', kernel_image(
	"\x66\xba\xf9\x03\xb0\x01\xee"			# mov $0x3f9, %dx; mov $1, %al; out: IER.ERBFI
	. "\x48\x8d\x35\x2e\x00\x00\x00"		# lea text(%rip), %rsi
	. "\x66\xba\xf8\x03"				# mov $0x3f8, %dx
	. "\xac\x84\xc0\x74\x03\xee\xeb\xf8"		# 1: lodsb; test %al, %al; jz 2f; out; jmp 1b
	. "\x66\xba\xfd\x03"				# 2: mov $0x3fd, %dx
	. "\xec\xa8\x01\x74\xfb"			# 3: in: LSR; test $1, %al; jz 3b
	. "\x66\xba\xf8\x03\xec"			# mov $0x3f8, %dx; in: RBR
	. "\x3c\x04\x74\x03"				# cmp $4, %al; je 4f
	. "\xee\xeb\xeb"				# out; jmp 2b
	. "\x66\xba\x04\x06\x66\xb8\x00\x34\x66\xef"	# 4: out $0x3400 to 0x604: S5
	. "\xf4\xeb\xfd"				# hlt; jmp
	. "ready\r\n\0"));
# Leaves by --debug-exit.
our $five = write_file('five', kernel_image("\xb0\x05\xe6\xf4\xf4\xeb\xfd"));
# Loads an IDT without entries and executes UD2: #UD, #GP, #DF, shutdown.
our $triple = write_file('triple', kernel_image(
	"\x48\xb8\xef\xcd\xab\x89\x67\x45\x23\x01"	# mov $0x123456789abcdef, %rax
	. "\x0f\x01\x1d\x02\x00\x00\x00"		# lidt table(%rip)
	. "\x0f\x0b"					# ud2
	. "\0" x 10));

# A kernel's log without a Skylake's own weakness, which Debian's kernel announces without us, too.
sub unexpected {
	my ($log) = @_;
	return $log =~ s/^.*RETBleed: WARNING: Spectre v2 mitigation leaves.*\n//mgr;
}

# A terminal of its own for a command: what is typed, what is shown, and the terminal's settings.
package Lab::Terminal;
use strict;
use warnings;
use Fcntl;
use IO::Select;
use POSIX ();
use Time::HiRes 'time';

# asm-generic/ioctls.h
use constant { TIOCGPTN => 0x80045430, TIOCSPTLCK => 0x40045431, TIOCSCTTY => 0x540e };

sub new {
	my ($class, @command) = @_;
	my ($zero, $number) = (pack('i', 0), pack('i', 0));
	sysopen my $master, '/dev/ptmx', O_RDWR | O_NOCTTY or die "/dev/ptmx: $!\n";
	ioctl $master, TIOCSPTLCK, $zero or die "TIOCSPTLCK: $!\n";
	ioctl $master, TIOCGPTN, $number or die "TIOCGPTN: $!\n";
	my $path = '/dev/pts/' . unpack 'i', $number;
	# Kept open: its settings last, and reading from the other side does not end, with the command.
	sysopen my $slave, $path, O_RDWR | O_NOCTTY or die "$path: $!\n";
	my $self = bless { master => $master, slave => $slave, seen => '' }, $class;
	$self->{before} = $self->settings;
	my $pid = fork // die "fork: $!\n";
	if (!$pid) {
		$SIG{$_} = 'DEFAULT' for qw(TERM INT HUP);
		POSIX::setsid();
		ioctl $slave, TIOCSCTTY, 0 or POSIX::_exit(126);
		POSIX::dup2(fileno $slave, $_) for 0 .. 2;
		exec { $command[0] } @command or POSIX::_exit(127);
	}
	$running{$pid} = 1;
	$self->{pid} = $pid;
	return $self;
}

sub settings {
	my ($self) = @_;
	my $t = POSIX::Termios->new;
	$t->getattr(fileno $self->{slave}) or die "tcgetattr: $!\n";
	return join ' ', map({ sprintf '%x', $_ } $t->getiflag, $t->getoflag, $t->getcflag, $t->getlflag),
		map { $t->getcc($_) } 0 .. POSIX::NCCS() - 1;
}

sub restored {
	my ($self) = @_;
	return $self->settings eq $self->{before};
}

sub type {
	my ($self, $bytes) = @_;
	syswrite $self->{master}, $bytes;
}

# Waits until the screen shows it; what came up to its end is then forgotten.
sub shows {
	my ($self, $pattern, $seconds) = @_;
	my $end = time + ($seconds // 20) * $Lab::slow;
	until ($self->{seen} =~ s/^.*?$pattern//s) {
		my $left = $end - time;
		return 0 if $left <= 0 || !IO::Select->new($self->{master})->can_read($left);
		sysread $self->{master}, $self->{seen}, 4096, length $self->{seen} or return 0;
	}
	return 1;
}

sub finish {
	my ($self, $seconds) = @_;
	return Lab::finish($self->{pid}, $seconds // 20);
}

1;
