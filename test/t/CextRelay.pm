# A connection to Redis, which speaks just enough of its protocol to listen to the
# relay if it has subscribed, or else to run commands.
#
#	my $sub = CextRelay->new($redis->socket, 'cache_ext:invalidate:postgres');
#	$sub->next				the next message's events, in short; dies if none comes
#	$sub->message			the next message, decoded
#	$sub->until('key x')	events up to and with this one, as a list
#	$sub->nothing($node)	what is on its way, '' if nothing
#	$sub->command(...), $sub->reply

package CextRelay;

use strict;
use warnings;

use IO::Select;
use IO::Socket::UNIX;
use JSON::PP;
use PostgreSQL::Test::Utils;

sub new
{
	my ($class, $socket, @channels) = @_;
	my $self = bless { buffer => '' }, $class;

	$self->{socket} = IO::Socket::UNIX->new(Peer => $socket) or die "connect: $!";
	$self->{socket}->autoflush(1);
	$self->command('SUBSCRIBE', @channels) if @channels;
	$self->reply for @channels;
	return $self;
}

sub command
{
	my ($self, @args) = @_;

	print { $self->{socket} } '*' . @args . "\r\n",
	  map { '$' . length($_) . "\r\n$_\r\n" } @args;
	return;
}

sub fill
{
	my ($self, $timeout) = @_;

	my $select = IO::Select->new($self->{socket});
	my $end = time + $timeout;

	# a server that is stopped, or goes on, sends us a signal
	until ($select->can_read(1))
	{
		return 0 if time >= $end;
	}
	sysread($self->{socket}, $self->{buffer}, 65536, length $self->{buffer})
	  or die "Redis has closed the connection";
	return 1;
}

sub more
{
	my ($self) = @_;

	$self->fill($PostgreSQL::Test::Utils::timeout_default) or die "nothing came";
	return;
}

sub line
{
	my ($self) = @_;

	$self->more until $self->{buffer} =~ s/^(.*?)\r\n//s;
	return $1;
}

# Null is undefined.
sub reply
{
	my ($self) = @_;
	my ($type, $rest) = $self->line =~ /^(.)(.*)/;

	die "Redis says $rest" if $type eq '-';
	return [ map { $self->reply } 1 .. $rest ] if $type eq '*';
	return $rest unless $type eq '$';
	return undef if $rest < 0;
	$self->more while length $self->{buffer} < $rest + 2;
	my $str = substr($self->{buffer}, 0, $rest);
	substr($self->{buffer}, 0, $rest + 2) = '';
	return $str;
}

sub message
{
	my ($self) = @_;
	my $r = $self->reply;

	$self->{raw} = $r->[2];
	return JSON::PP->new->utf8->decode($r->[2]);
}

sub short
{
	my ($e) = @_;

	return join ' ', map { $e->{$_} } grep { defined $e->{$_} }
	  qw(type reason key key_hex pattern pattern_hex schema table);
}

sub next
{
	my ($self) = @_;
	my $m = $self->{last} = $self->message;

	return join ', ', map { short($_) } @{ $m->{events} };
}

sub until
{
	my ($self, $last) = @_;
	my @events;

	push @events, $self->next until @events && $events[-1] eq $last;
	return @events;
}

# What follows is a key that we have sent off now, and nothing before it.
my $n = 0;

sub nothing
{
	my ($self, $node, $db) = @_;
	my $key = 'nothing:' . ++$n;

	$node->safe_psql($db // 'postgres', "SELECT cache_invalidate('$key')");
	my @events = $self->until("key $key");
	pop @events;
	return join '; ', @events;
}

1;
