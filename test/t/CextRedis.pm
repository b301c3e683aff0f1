# A Redis or Valkey server for a test: its own directory, a Unix socket and, if
# asked for, a loopback port.  It is ended when the object goes.
#
#	my $redis = CextRedis->new('name', port => 1, args => ['--maxmemory', '10mb']);
#	$redis->url, $redis->socket, $redis->port, $redis->pid
#	$redis->cli('GET', 'key')		what redis-cli prints
#	$redis->stop, ->start, ->kill_now, ->pause, ->continue
#
# CEXT_REDIS names another server program than redis-server.

package CextRedis;

use strict;
use warnings;

use IPC::Run;
use POSIX qw(:sys_wait_h);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(usleep);

sub new
{
	my ($class, $name, %params) = @_;
	my $self = bless {
		name => $name,
		dir => PostgreSQL::Test::Utils::tempdir_short(),
		args => $params{args} // [],
		port => $params{port} ? PostgreSQL::Test::Cluster::get_free_port() : 0,
		server => $ENV{CEXT_REDIS} // 'redis-server',
	}, $class;

	$self->{socket} = "$self->{dir}/s";
	$self->start;
	return $self;
}

sub start
{
	my ($self) = @_;
	my $log = "$self->{dir}/log";

	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		open(STDOUT, '>>', $log);
		open(STDERR, '>&', \*STDOUT);
		exec $self->{server}, '--port', $self->{port}, '--bind', '127.0.0.1',
		  '--unixsocket', $self->{socket}, '--dir', $self->{dir}, '--save', '',
		  @{ $self->{args} };
		exit 127;
	}
	$self->{pid} = $pid;
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if -S $self->{socket} && $self->raw('PING') =~ /PONG|NOAUTH|LOADING|NOPERM/;
		die "$self->{server} ended:\n" . slurp_file($log) if waitpid($pid, WNOHANG) > 0;
		usleep(100_000);
	}
	die "$self->{server} does not answer";
}

# redis-cli's output, errors and all.
sub raw
{
	my ($self, @args) = @_;
	my $out = '';
	my $cli = $self->{server} =~ /valkey/ ? 'valkey-cli' : 'redis-cli';

	IPC::Run::run([ $cli, '-s', $self->{socket}, @args ],
		'>', \$out, '2>&1', '<', '/dev/null');
	chomp $out;
	return $out;
}

sub cli
{
	my ($self, @args) = @_;
	my $out = $self->raw(@args);

	die "redis-cli @args: $out" if $out =~ /^\(?(error|ERR|Could not connect)/;
	return $out;
}

sub url { my ($self) = @_; return "unix://$self->{socket}"; }
sub socket { my ($self) = @_; return $self->{socket}; }
sub port { my ($self) = @_; return $self->{port}; }
sub pid { my ($self) = @_; return $self->{pid}; }

sub signal
{
	my ($self, $signal) = @_;

	kill $signal, $self->{pid} if defined $self->{pid};
	return;
}

sub pause { my ($self) = @_; return $self->signal('STOP'); }
sub continue { my ($self) = @_; return $self->signal('CONT'); }

sub end
{
	my ($self, $signal) = @_;

	return unless defined $self->{pid};
	$self->signal($signal);
	$self->signal('CONT');
	waitpid($self->{pid}, 0);
	unlink $self->{socket};
	delete $self->{pid};
	return;
}

sub stop { my ($self) = @_; return $self->end('TERM'); }
sub kill_now { my ($self) = @_; return $self->end('KILL'); }

sub DESTROY
{
	my ($self) = @_;
	local $?;

	$self->end('KILL');
	return;
}

1;
