# A proxy in front of a Redis server that does what networks and enemies do.
#
#	my $proxy = CextProxy->new($redis);
#	$proxy->url
#	$proxy->mode('stall')			returns when it does
#	$proxy->tampered				how many replies it has tampered with in this mode
#
# pass			forwards
# stall			forwards nothing more, and takes nothing
# half_open		the connections there are fall silent for good, new ones work
# cut			closes the connections there are, and new ones at once
# truncate		sends the first half of a value, and closes
# hang			sends the first half of a value, and nothing more
# shorten		half the value, properly framed
# flip			turns a bit of a value over
# swap			answers with the value of another key
# old			answers with the first value this key ever had
# twice			sends every reply twice
# nil			answers that there is nothing
# forget		does not forward SET, but says it is done
# ...			the replies of %canned, whatever is asked

package CextProxy;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use Socket;

my %canned = (
	garbage => join('', map { chr(($_ * 7919 + 13) % 256) } 1 .. 300),
	http => "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
	negative => "\$-77\r\n",
	huge_bulk => "\$99999999999999\r\n",
	large_bulk => "\$500000000\r\nabc",
	huge_array => "*2147483647\r\n",
	nested => "*1\r\n" x 50,
	wrong_type => "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
	integer => ":1\r\n",
	empty => "\$0\r\n\r\n",
	moved => undef,
	loop => undef,
	echo => undef,
	newline => "-ERR one\nFATAL:  two\x1b[2J\xff\xfe\r\n",
	endless_line => undef,
	flood => undef,
);

sub modes
{
	return (qw(stall half_open cut truncate hang shorten flip swap old twice nil forget),
		sort keys %canned);
}

sub new
{
	my ($class, $redis) = @_;
	my $listener = IO::Socket::INET->new(Listen => 128, LocalAddr => '127.0.0.1', ReuseAddr => 1)
	  or die "listen: $!";
	my ($ours, $theirs) = IO::Socket->socketpair(Socket::AF_UNIX, Socket::SOCK_STREAM, Socket::PF_UNSPEC);
	my $self = bless { control => $ours, port => $listener->sockport, owner => $$ }, $class;
	my $pid = fork() // die "fork: $!";

	if ($pid == 0)
	{
		close $ours;
		$SIG{PIPE} = 'IGNORE';
		eval { serve($listener, $theirs, $redis->socket) };
		print STDERR 'proxy: ', $@ ne '' ? $@ : "ends: $!\n";
		POSIX::_exit(0);
	}
	close $theirs;
	$self->{pid} = $pid;
	return $self;
}

sub url
{
	my ($self, $auth) = @_;

	return 'redis://' . (defined $auth ? "$auth\@" : '') . "127.0.0.1:$self->{port}";
}

sub mode
{
	my ($self, $mode) = @_;

	my ($n, $answer);

	syswrite($self->{control}, "$mode\n");
	# a child that ends may interrupt it
	do { $n = sysread($self->{control}, $answer, 100) } until defined $n || !$!{EINTR};
	die "the proxy has gone: $!" unless $n;
	chomp $answer;
	return $answer;
}

sub tampered
{
	my ($self) = @_;

	return $self->mode('count');
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

# Take complete replies or commands off the front of a buffer.
sub complete
{
	my ($buf, $pos) = @_;
	my $end = index($$buf, "\r\n", $pos);

	return -1 if $end < 0;
	my $type = substr($$buf, $pos, 1);
	my $n = substr($$buf, $pos + 1, $end - $pos - 1);
	$pos = $end + 2;
	if ($type eq '$' && $n >= 0)
	{
		return length($$buf) >= $pos + $n + 2 ? $pos + $n + 2 : -1;
	}
	if ($type eq '*')
	{
		for (1 .. $n)
		{
			$pos = complete($buf, $pos);
			return -1 if $pos < 0;
		}
	}
	return $pos;
}

sub take
{
	my ($buf) = @_;
	my $end = length($$buf) > 0 ? complete($buf, 0) : -1;

	return $end < 0 ? undef : substr($$buf, 0, $end, '');
}

sub bulk
{
	my ($value) = @_;

	return '$' . length($value) . "\r\n$value\r\n";
}

sub serve
{
	my ($listener, $control, $upstream) = @_;
	my $mode = 'pass';
	my $tampered = 0;
	my %conns;					# by fileno of either side
	my %first;					# key => its first value
	my @recent;					# [key, value]
	my $drop = sub {
		my ($c) = @_;
		delete $conns{ fileno($_) } for $c->{client}, $c->{server};
		close $c->{client};
		close $c->{server};
	};
	my $put = sub {
		my ($fh, $bytes) = @_;
		my $pos = 0;

		$fh->blocking(1);
		while ($pos < length $bytes)
		{
			my $n = syswrite($fh, $bytes, length($bytes) - $pos, $pos);
			return unless $n;
			$pos += $n;
		}
	};
	my $reply = sub {
		my ($c, $bytes) = @_;
		my ($name, $key) = @{ shift @{ $c->{asked} } // [ '', '' ] };
		my $value = $bytes =~ /\A\$\d+\r\n(.*)\r\n\z/s ? $1 : undef;
		my $get = $name eq 'GET' && defined $value;

		if ($get)
		{
			$first{$key} //= $value;
			push @recent, [ $key, $value ] if $mode eq 'pass' || rand() < 0.1;
			shift @recent if @recent > 50;
		}
		if ($mode eq 'twice')
		{
			$tampered++;
			$bytes .= $bytes;
		}
		elsif ($get && $mode =~ /^(truncate|hang)$/)
		{
			$tampered++;
			$put->($c->{client}, substr($bytes, 0, length($bytes) / 2));
			if ($mode eq 'hang') { $c->{dead} = 1; return }
			$drop->($c);
			return;
		}
		elsif ($get && $mode eq 'shorten') { $tampered++; $bytes = bulk(substr($value, 0, length($value) / 2)) }
		elsif ($get && $mode eq 'flip')
		{
			my $at = int(rand(length $value));

			$tampered++;
			substr($value, $at, 1) = chr(ord(substr($value, $at, 1)) ^ (1 << int(rand(8))));
			$bytes = bulk($value);
		}
		elsif ($get && $mode eq 'swap')
		{
			my @others = grep { $_->[0] ne $key } @recent;

			if (@others) { $tampered++; $bytes = bulk($others[ rand @others ]->[1]) }
		}
		elsif ($get && $mode eq 'old')
		{
			$tampered++ if $first{$key} ne $value;
			$bytes = bulk($first{$key});
		}
		elsif ($get && $mode eq 'nil') { $tampered++; $bytes = "\$-1\r\n" }
		$put->($c->{client}, $bytes);
	};
	my $canned = sub {
		my ($c, $command) = @_;

		$tampered++;
		if ($mode eq 'moved')
		{
			$put->($c->{client}, sprintf("-MOVED %d 127.0.0.1:%d\r\n", rand 16384, 1 + rand 1000));
		}
		elsif ($mode eq 'loop')
		{
			$put->($c->{client}, '-' . (rand() < 0.5 ? 'MOVED' : 'ASK') . ' 1 127.0.0.1:' . $listener->sockport . "\r\n");
		}
		elsif ($mode eq 'echo')
		{
			$command =~ s/\r\n/ /g;
			$command =~ s/[^ -~]/?/g;
			$put->($c->{client}, "-ERR unknown command 'X', with args beginning with: $command\r\n");
		}
		elsif ($mode eq 'endless_line' || $mode eq 'flood')
		{
			$put->($c->{client}, $mode eq 'flood' ? "\$2000000000\r\n" : '+');
			$c->{endless} = 1;
		}
		else
		{
			$put->($c->{client}, $canned{$mode});
		}
	};

	for (;;)
	{
		my @watch = ($control);
		my @endless = grep { $_->{endless} } values %conns;

		if ($mode ne 'stall')
		{
			push @watch, $listener;
			push @watch, map { $_->{dead} || $_->{endless} ? () : ($_->{client}, $_->{server}) } values %conns;
		}
		my %seen;
		for my $c (grep { !$seen{$_}++ } @endless)
		{
			$c->{client}->blocking(0);
			for (1 .. 50)
			{
				my $n = syswrite($c->{client}, 'a' x 65536);
				next if $n;
				$drop->($c) unless $!{EAGAIN};
				last;
			}
		}
		for my $fh (IO::Select->new(@watch)->can_read(@endless ? 0.001 : undef))
		{
			if ($fh == $control)
			{
				sysread($control, my $line, 100) or return;
				chomp $line;
				if ($line eq 'count') { syswrite($control, "$tampered\n"); next }
				$mode = $line;
				$tampered = 0;
				if ($mode eq 'half_open') { $_->{dead} = 1 for values %conns }
				if ($mode eq 'cut') { %conns and $drop->($_) for map { $conns{$_} // () } grep { exists $conns{$_} } keys %conns }
				syswrite($control, "$mode\n");
				last;
			}
			if ($fh == $listener)
			{
				my $client = $listener->accept or next;
				my $server = IO::Socket::UNIX->new(Peer => $upstream);

				if ($mode eq 'cut' || !$server) { close $client; next }
				my $c = { client => $client, server => $server, in => '', out => '', asked => [] };
				$conns{ fileno $client } = $conns{ fileno $server } = $c;
				next;
			}
			my $c = $conns{ fileno($fh) // -1 } or next;
			my $from_client = $fh == $c->{client};
			my $buf = $from_client ? \$c->{in} : \$c->{out};

			if (!sysread($fh, $$buf, 1048576, length $$buf)) { $drop->($c); next }
			while (defined(my $message = take($buf)))
			{
				last unless exists $conns{ fileno($c->{client}) // -1 };
				if (!$from_client) { $reply->($c, $message); next }
				my (undef, @words) = split /\r\n/, $message, 7;
				my ($name, $key) = ($words[1] // '', $words[3] // '');

				if (exists $canned{$mode}) { $canned->($c, $message); next }
				if ($mode eq 'forget' && $name eq 'SET') { $tampered++; $put->($c->{client}, "+OK\r\n"); next }
				push @{ $c->{asked} }, [ $name, $key ];
				$put->($c->{server}, $message);
			}
		}
	}
}

1;
