/*
 * test/bench/unlink.c - drop all keys with a prefix from Redis, and time it
 *
 *	unlink socket prefix	prints microseconds and how many keys were dropped
 *
 * One connection, SCAN with MATCH and COUNT 1000.  The UNLINK of the keys that
 * a step found goes in one message with the next SCAN.
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
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static redisReply *
reply(redisContext *c, int type)
{
	void	   *r = NULL;

	if (redisGetReply(c, &r) != REDIS_OK || ((redisReply *) r)->type != type)
	{
		fprintf(stderr, "Redis: %s\n", r != NULL ? ((redisReply *) r)->str : c->errstr);
		exit(1);
	}
	return r;
}

int
main(int argc, char **argv)
{
	redisContext *c = argc == 3 ? redisConnectUnix(argv[1]) : NULL;
	char		pattern[1024];
	char		cursor[32] = "0";
	long long	dropped = 0;
	double		start;

	if (c == NULL || c->err)
		return 1;
	snprintf(pattern, sizeof(pattern), "%s*", argv[2]);

	start = now();
	redisAppendCommand(c, "SCAN 0 MATCH %s COUNT 1000", pattern);
	do
	{
		redisReply *page = reply(c, REDIS_REPLY_ARRAY);
		redisReply *keys = page->element[1];
		int			more;

		snprintf(cursor, sizeof(cursor), "%s", page->element[0]->str);
		more = strcmp(cursor, "0") != 0;
		if (keys->elements > 0)
		{
			const char **args = malloc((keys->elements + 1) * sizeof(char *));
			size_t	   *lens = malloc((keys->elements + 1) * sizeof(size_t));

			args[0] = "UNLINK";
			lens[0] = 6;
			for (size_t i = 0; i < keys->elements; i++)
			{
				args[i + 1] = keys->element[i]->str;
				lens[i + 1] = keys->element[i]->len;
			}
			redisAppendCommandArgv(c, keys->elements + 1, args, lens);
			free(args);
			free(lens);
		}
		if (more)
			redisAppendCommand(c, "SCAN %s MATCH %s COUNT 1000", cursor, pattern);
		if (keys->elements > 0)
		{
			redisReply *r = reply(c, REDIS_REPLY_INTEGER);

			dropped += r->integer;
			freeReplyObject(r);
		}
		freeReplyObject(page);
	} while (strcmp(cursor, "0") != 0);
	printf("%.1f %lld\n", now() - start, dropped);
	redisFree(c);
	return 0;
}
