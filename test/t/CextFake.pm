# A server that speaks Redis's protocol and says what the test wants.
#
#	my $fake = CextFake->new(2, sub { my ($which, @command) = @_; return "+OK\r\n" });
#	$fake->port(0), $fake->port(1)
#	$fake->log			what it was asked: "which COMMAND argument argument", ...
#
# It listens on so many ports.  The function is called in another process, one
# command at a time, with the number of the port; what it returns is sent as it
# is, undef closes the connection.

package CextFake;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use PostgreSQL::Test::Utils;

sub new
{
	my ($class, $n, $answer) = @_;
	my @listeners = map { IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1') or die "listen: $!" } 1 .. $n;
	my $self = bless {
		ports => [ map { $_->sockport } @listeners ],
		logfile => PostgreSQL::Test::Utils::tempdir_short() . '/log',
		owner => $$,
	}, $class;
	my $pid = fork() // die "fork: $!";

	if ($pid == 0)
	{
		$SIG{PIPE} = 'IGNORE';
		eval { serve($self, $answer, @listeners) };
		print STDERR "fake server: $@\n";
		POSIX::_exit(0);
	}
	$self->{pid} = $pid;
	return $self;
}

sub port { my ($self, $which) = @_; return $self->{ports}[$which]; }

sub log
{
	my ($self) = @_;

	return -e $self->{logfile} ? split /\n/, slurp_file($self->{logfile}) : ();
}

sub serve
{
	my ($self, $answer, @listeners) = @_;
	my $select = IO::Select->new(@listeners);
	my %which = map { (fileno($listeners[$_]) => $_) } 0 .. $#listeners;
	my %conns;

	open(my $log, '>>', $self->{logfile}) or die "log: $!";
	$log->autoflush(1);
	for (;;)
	{
		for my $fh ($select->can_read)
		{
			if (grep { $_ == $fh } @listeners)
			{
				my $client = $fh->accept or next;

				$conns{$client} = { which => $which{ fileno $fh }, in => '' };
				$select->add($client);
				next;
			}
			my $c = $conns{$fh};
			my $open = sysread($fh, $c->{in}, 65536, length $c->{in});

			while ($open && $c->{in} =~ /\A\*(\d+)\r\n/)
			{
				my ($n, $pos, @args) = ($1, $+[0]);

				while (@args < $n && substr($c->{in}, $pos) =~ /\A\$(\d+)\r\n/)
				{
					my $start = $pos + $+[0];

					last if length($c->{in}) < $start + $1 + 2;
					push @args, substr($c->{in}, $start, $1);
					$pos = $start + $1 + 2;
				}
				last if @args < $n;
				substr($c->{in}, 0, $pos) = '';
				# a line each, whatever a value or a token is made of
				print $log "$c->{which} @args" =~ s/[^ -~]/?/gr, "\n";
				my $reply = $answer->($c->{which}, @args);
				$open = defined $reply && syswrite($fh, $reply);
			}
			next if $open;
			$select->remove($fh);
			delete $conns{$fh};
			close $fh;
		}
	}
}

sub DESTROY
{
	my ($self) = @_;
	local $?;

	# a child process that dies has a copy of the object
	return if $self->{owner} != $$;
	kill 'KILL', $self->{pid};
	waitpid($self->{pid}, 0);
	return;
}

1;
