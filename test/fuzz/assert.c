/*
 * test/fuzz/assert.c - where a failed Assert() of the server's headers ends
 *
 * On its own, as its parameters differ between PostgreSQL's versions.
 */
#include <stdio.h>
#include <stdlib.h>

void
ExceptionalCondition(const char *condition)
{
	fprintf(stderr, "failed Assert(\"%s\")\n", condition);
	abort();
}
