/*
 * test/redis/get.c - what a bare GET costs, for comparison
 *
 *	get socket key seconds		prints the mean in microseconds
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	redisContext *c = redisConnectUnix(argv[1]);
	const char *args[2] = {"GET", argv[2]};
	size_t		lens[2] = {3, strlen(argv[2])};
	double		start = now();
	double		seconds = atof(argv[3]);
	long		n = 0;

	if (c == NULL || c->err)
		return 1;
	while (now() - start < seconds)
		for (int i = 0; i < 100; i++, n++)
		{
			redisReply *r = redisCommandArgv(c, 2, args, lens);

			if (r == NULL || r->type != REDIS_REPLY_STRING)
				return 1;
			freeReplyObject(r);
		}
	printf("%.2f\n", (now() - start) * 1e6 / n);
	return 0;
}
