#!/usr/bin/perl
#
# test/bench/parts/eviction.pl - access traces, and what other policies make of them
#
#	eviction.pl traces CHUNKS ACCESSES SIZE=CHUNKS...
#		traces for a cache of so many chunks, in which an entry of SIZE bytes
#		takes as many as said; lines for COPY: trace, number, key, size, chunks,
#		cost in microseconds
#	eviction.pl simulate CHUNKS
#		reads these lines with a seventh column, 1 where cache_ext had a hit;
#		prints lines for COPY: trace, policy, accesses, share of hits, share of
#		the computing time that hits saved
#
# The same arguments give the same traces everywhere, with the numbers of the
# generator below.  All policies begin with an empty cache and have the same
# memory, counted in the same chunks.
#
# LRU		what was used least recently goes
# Belady	what will be used again last goes, or is not stored at all: as many
#			hits as are possible, if all entries are of one size
# bound		no schedule does better.  A hit takes the entry's chunks for the time
#			since its last use; the hits that are worth most for that are taken
#			until all the room there is over the whole trace is used up (PFOO-L:
#			Berger et al., "Practical bounds on optimal caching with variable
#			object sizes", SIGMETRICS 2018).

use strict;
use warnings;

my $seed = 42;

# Uniform in [0, 1): drand48's generator.
sub uniform
{
	use integer;
	$seed = ($seed * 25214903917 + 11) & ((1 << 48) - 1);
	no integer;
	return $seed / 2**48;
}

# ---------------------------------------------------------------------------
# Traces
# ---------------------------------------------------------------------------

# A function that draws 0 .. $n - 1, the first most often.
sub zipf
{
	my ($n, $s) = @_;
	my (@upto, $sum);

	push @upto, $sum += 1 / $_**$s for 1 .. $n;
	return sub {
		my ($lo, $hi, $u) = (0, $n - 1, uniform() * $sum);

		while ($lo < $hi)
		{
			my $mid = int(($lo + $hi) / 2);
			if ($upto[$mid] < $u) { $lo = $mid + 1; }
			else { $hi = $mid; }
		}
		return $lo;
	};
}

sub traces
{
	my ($capacity, $n, %chunks) = @_;
	my @sizes = sort { $a <=> $b } keys %chunks;
	my $size = $sizes[int($#sizes / 2)];
	my $fit = int($capacity / $chunks{$size});
	my $keys = 10 * $fit;
	my ($draw, $i);
	my $access = sub {
		my ($trace, $number, $key, $bytes, $cost) = @_;
		print join("\t", $trace, $number, $key, $bytes, $chunks{$bytes}, $cost), "\n";
	};

	# ten times as many keys as fit
	$draw = zipf($keys, 0.9);
	$access->('Zipf', $_, $draw->(), $size, 100) for 1 .. $n;

	# the same; what it costs to compute, and how large it is, differ by key
	my (@bytes, @cost);
	for (1 .. $keys)
	{
		my $u = uniform();
		push @bytes, $sizes[int(uniform() * @sizes)];
		push @cost, $u < 0.6 ? 20 : $u < 0.9 ? 200 : 2000;
	}
	for (1 .. $n)
	{
		my $key = $draw->();
		$access->('Zipf, mixed sizes', $_, $key, $bytes[$key], $cost[$key]);
	}

	# five times in between, as many keys as fit, each asked for once
	$i = 0;
	my $scanned = $keys;
	while ($i < $n)
	{
		$access->('Zipf with scans', ++$i, $draw->(), $size, 100) for 1 .. int($n / 5) - $fit;
		$access->('Zipf with scans', ++$i, $scanned++, $size, 100) for 1 .. $fit;
		last if $n - $i < $n / 5;
	}

	# a report that reads 1.2 times what fits, again and again, among others
	my $next = 0;
	for (1 .. $n)
	{
		my $loop = uniform() < 0.3;
		$access->('Zipf with a loop', $_, $loop ? $keys + $next++ % int(1.2 * $fit) : $draw->(), $size, 100);
	}

	# what is new is popular; a new key with every eighth access, or every other
	for ([ 'churning', 8 ], [ 'churning fast', 2 ])
	{
		my ($trace, $pace) = @$_;

		$access->($trace, $_, $keys + int($_ / $pace) - $draw->(), $size, 100) for 1 .. $n;
	}
}

# ---------------------------------------------------------------------------
# Policies: each takes the capacity and a trace, an array of [key, chunks,
# cost, next use], and returns an array of hits.
# ---------------------------------------------------------------------------

sub lru
{
	my ($capacity, $trace) = @_;
	my ($used, @hits, @queue, %last) = (0);

	for my $i (0 .. $#$trace)
	{
		my ($key, $chunks) = @{ $trace->[$i] };

		$hits[$i] = exists $last{$key} ? 1 : 0;
		$used += $chunks unless $hits[$i];
		$last{$key} = $i;
		push @queue, $i;
		while ($used > $capacity)
		{
			my $oldest = shift @queue;
			my ($victim, $size) = @{ $trace->[$oldest] };

			# used again since: it is in the queue once more
			next if !exists $last{$victim} || $last{$victim} != $oldest;
			delete $last{$victim};
			$used -= $size;
		}
	}
	return \@hits;
}

# The heap holds numbers of accesses, the one whose key is used again last on
# top; those of keys that have been used or evicted since are passed over.
sub belady
{
	my ($capacity, $trace) = @_;
	my ($used, @hits, @heap, %last) = (0);
	my $later = sub { $trace->[ $_[0] ][3] > $trace->[ $_[1] ][3] };

	for my $i (0 .. $#$trace)
	{
		my ($key, $chunks) = @{ $trace->[$i] };

		$hits[$i] = exists $last{$key} ? 1 : 0;
		$used += $chunks unless $hits[$i];
		$last{$key} = $i;

		my $at = @heap;
		while ($at > 0 && $later->($i, $heap[ ($at - 1) >> 1 ]))
		{
			$heap[$at] = $heap[ ($at - 1) >> 1 ];
			$at = ($at - 1) >> 1;
		}
		$heap[$at] = $i;

		while ($used > $capacity)
		{
			my $top = $heap[0];
			my $moved = pop @heap;

			if (@heap)
			{
				my $hole = 0;
				while ((my $child = 2 * $hole + 1) < @heap)
				{
					$child++ if $child + 1 < @heap && $later->($heap[ $child + 1 ], $heap[$child]);
					last unless $later->($heap[$child], $moved);
					$heap[$hole] = $heap[$child];
					$hole = $child;
				}
				$heap[$hole] = $moved;
			}
			my ($victim, $size) = @{ $trace->[$top] };
			next if !exists $last{$victim} || $last{$victim} != $top;
			delete $last{$victim};
			$used -= $size;
		}
	}
	return \@hits;
}

# The most that hits can be worth in all, where worth($access) is what one is.
sub bound
{
	my ($capacity, $trace, $worth) = @_;
	my (@uses, $sum) = ();
	my $room = $capacity * @$trace;

	for my $i (0 .. $#$trace)
	{
		my ($key, $chunks, $cost, $next) = @{ $trace->[$i] };
		push @uses, [ $chunks * ($next - $i), $worth->($trace->[$i]) ] if $next < @$trace;
	}
	$sum = 0;
	for (sort { $a->[0] / $a->[1] <=> $b->[0] / $b->[1] } @uses)
	{
		my $part = $_->[0] <= $room ? 1 : $room / $_->[0];

		$sum += $part * $_->[1];
		$room -= $part * $_->[0];
		last if $room <= 0;
	}
	return $sum;
}

sub simulate
{
	my ($capacity) = @_;
	my (%traces, %ours, @order);

	while (<STDIN>)
	{
		chomp;
		my ($name, $number, $key, $size, $chunks, $cost, $hit) = split /\t/;

		push @order, $name unless $traces{$name};
		push @{ $traces{$name} }, [ $key, $chunks, $cost ];
		push @{ $ours{$name} }, $hit;
	}
	for my $name (@order)
	{
		my $trace = $traces{$name};
		my $n = @$trace;
		my ($all, %next) = (0);
		my $print = sub { printf "%s\t%s\t%d\t%.6f\t%.6f\n", $name, $_[0], $n, $_[1] / $n, $_[2] / $all; };

		for my $i (reverse 0 .. $n - 1)
		{
			my $key = $trace->[$i][0];

			# never again: later than everything, all the same
			$trace->[$i][3] = $next{$key} // 2 * $n;
			$next{$key} = $i;
			$all += $trace->[$i][2];
		}
		my %policies = (cache_ext => $ours{$name}, LRU => lru($capacity, $trace), Belady => belady($capacity, $trace));
		for my $policy (sort keys %policies)
		{
			my ($hits, $saved) = (0, 0);

			for my $i (0 .. $n - 1)
			{
				next unless $policies{$policy}[$i];
				$hits++;
				$saved += $trace->[$i][2];
			}
			$print->($policy, $hits, $saved);
		}
		$print->('bound', bound($capacity, $trace, sub { 1 }), bound($capacity, $trace, sub { $_[0][2] }));
	}
}

my $what = shift @ARGV;
if ($what eq 'traces') { traces(@ARGV[ 0, 1 ], map { split /=/ } @ARGV[ 2 .. $#ARGV ]); }
else { simulate(@ARGV); }
