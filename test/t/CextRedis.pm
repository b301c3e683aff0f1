# A Redis or Valkey server for a test: its own directory, a Unix socket and, if
# asked for, a loopback port.  It is ended when the object goes.
#
#	my $redis = CextRedis->new('name', port => 1, args => ['--maxmemory', '10mb']);
#	my $node = CextRedis->new('name', cluster => 1);	of a cluster not yet made
#	$redis->url, $redis->socket, $redis->port, $redis->pid
#	$redis->address			host, port and bus, as redis-cli --cluster takes it
#	$redis->cli('GET', 'key')		what redis-cli prints
#	$redis->keys('pattern')			names of keys, sorted
#	$redis->stop, ->start, ->kill_now, ->pause, ->continue
#
# Exported: what tests ask PostgreSQL about it.
#
# CEXT_REDIS names another server program than redis-server.

package CextRedis;

use strict;
use warnings;

use CextTest;
use Exporter 'import';
use IPC::Run;
use POSIX qw(:sys_wait_h);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(usleep);

our @EXPORT = qw(redis_missing tier read_tier wait_tier wait_worker reload);

sub new
{
	my ($class, $name, %params) = @_;
	my $self = bless {
		name => $name,
		dir => PostgreSQL::Test::Utils::tempdir_short(),
		args => $params{args} // [],
		port => 0,
		server => $ENV{CEXT_REDIS} // 'redis-server',
		owner => $$,
	}, $class;

	$self->{socket} = "$self->{dir}/s";

	# A port that was free may be taken by the time the server binds it, by a
	# test that runs beside this one or by whoever connects to anywhere.
	for my $attempt (1 .. 20)
	{
		$self->{port} = PostgreSQL::Test::Cluster::get_free_port()
		  if $params{port} || $params{cluster};
		$self->{bus} = PostgreSQL::Test::Cluster::get_free_port() if $params{cluster};
		eval { $self->start; 1 } and return $self;
		die $@ if !$self->{port} || $@ !~ /in use/i;
		unlink "$self->{dir}/log";
	}
	die $@;
}

sub start
{
	my ($self) = @_;
	my $log = "$self->{dir}/log";
	my @cluster = !$self->{bus} ? () : ('--cluster-enabled', 'yes', '--cluster-port', $self->{bus},
		'--cluster-config-file', 'nodes.conf');

	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		open(STDOUT, '>>', $log);
		open(STDERR, '>&', \*STDOUT);
		exec $self->{server}, '--port', $self->{port}, '--bind', '127.0.0.1',
		  '--unixsocket', $self->{socket}, '--dir', $self->{dir}, '--save', '',
		  @cluster, @{ $self->{args} };
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

sub keys
{
	my ($self, $pattern) = @_;

	return sort split /\n/, $self->cli('--scan', '--pattern', $pattern // '*');
}

sub url { my ($self) = @_; return "unix://$self->{socket}"; }
sub socket { my ($self) = @_; return $self->{socket}; }
sub port { my ($self) = @_; return $self->{port}; }
sub address { my ($self) = @_; return "127.0.0.1:$self->{port}\@$self->{bus}"; }
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

	# a child process that dies has a copy of the object
	$self->end('KILL') if $self->{owner} == $$;
	return;
}

# Why there is no Redis to test with, if so.
sub redis_missing
{
	my $server = $ENV{CEXT_REDIS} // 'redis-server';

	return system("command -v $server >/dev/null 2>&1") == 0 ? undef : "no $server here";
}

# The statement that reads a row, with the tier that it came from.
sub tier
{
	my ($id, $key) = @_;

	$key //= "item:$id";
	return "SELECT cached_json('$key', 'SELECT v FROM item WHERE id = $id', 600)->0->>'v',"
	  . " coalesce((cache_last_status()).tier, (cache_last_status()).status)";
}

sub read_tier
{
	my ($node, $id, $key) = @_;

	return $node->safe_psql('postgres', tier($id, $key));
}

# Wait until Redis answers a server with storage = redis again.
sub wait_tier
{
	my ($node, $tier) = @_;

	return $node->poll_query_until('postgres',
		q{SELECT cached_json('probe', 'SELECT 1', 600) IS NULL, (cache_last_status()).tier},
		'f|' . ($tier // 'redis'));
}

# Wait until there is who writes the values of cache_set() to Redis: what is set
# before stays in shared memory.  It sleeps once it is ready.
sub wait_worker
{
	my ($node) = @_;

	return $node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
		WHERE backend_type = 'cache_ext redis' AND wait_event_type = 'Extension'});
}

# Change settings of a running server.
sub reload
{
	my ($node, %settings) = @_;
	my $generation = $node->safe_psql('postgres', 'SELECT pg_conf_load_time()');

	$node->append_conf('postgresql.conf', join('', map { "$_ = '$settings{$_}'\n" } CORE::keys(%settings)));
	$node->reload;
	$node->poll_query_until('postgres', "SELECT pg_conf_load_time() > '$generation'")
	  or die 'no reload';
	return;
}


1;
