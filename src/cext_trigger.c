/*-------------------------------------------------------------------------
 *
 * cext_trigger.c
 *		cache_invalidate_trigger(): rows that change invalidate keys.
 *
 * The trigger's arguments are templates: keys or patterns with {column} in
 * them; \{ is a brace.  They are compiled once in a session, until something
 * about the table changes.  Those that need a privilege, or call output functions
 * that somebody could replace, are compiled for each statement.  For a row, a template without wildcards becomes a key, and
 * a tag, without a pattern in between; with wildcards the values are escaped,
 * so that no value can widen a pattern.  NULL invalidates nothing.
 *
 * A key must not depend on who writes: values are written with the settings of
 * pg_dump (ISO dates, shortest exact floats, bytea in hex) and in UTC.
 *
 * Row triggers see one row; statement triggers walk the transition tables.
 * Without these, and on TRUNCATE, a {column} stands for any value.  Without a
 * template, the table itself is invalidated.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/float.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "cext_compat.h"
#include "cext_guc.h"
#include "cext_inval.h"
#include "cext_pattern.h"
#include "cext_relation.h"
#include "cext_trigger.h"

PG_FUNCTION_INFO_V1(cache_invalidate_trigger);

/* Literal text, then a column's value unless attnum is 0. */
typedef struct Segment
{
	char	   *literal;
	int			len;
	AttrNumber	attnum;
	FmgrInfo	output;
} Segment;

typedef struct Template
{
	CextPatternKind kind;		/* KEY or GLOB: prefixes look like globs here */
	bool		lasting;		/* means the same until the table changes */
	int			nsegments;
	Segment    *segments;
} Template;

typedef struct Compiled
{
	Oid			trigger;
	int			ntemplates;
	Template   *templates;
} Compiled;

/* Compiled for the session. */
typedef struct Kept
{
	Oid			trigger;		/* key */
	Oid			relid;
	bool		valid;
	MemoryContext context;
	Compiled   *compiled;
} Kept;

static HTAB *kept;
static bool some_invalid;


/* ----------------------------------------------------------------
 *		Templates
 * ----------------------------------------------------------------
 */

pg_noreturn static void
invalid_template(const char *source, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid cache key template \"%s\"", source),
			 errdetail_internal("%s", detail)));
}

/*
 * Compile a template; the result is palloc'd.  As in cache_invalidate(), one
 * that may match every key needs the privilege of cache_clear(): the table
 * owner's, since the trigger is the owner's doing.  Without a relation it is for
 * no row: columns are not looked up.
 */
static void
compile_template(const char *source, Relation rel, Oid owner, Oid schema, Template *t)
{
	StringInfoData literal;
	const char *p = source;

	t->kind = CEXT_PATTERN_KEY;
	t->nsegments = 0;
	t->segments = palloc0((strlen(source) + 1) * sizeof(Segment));
	if (*source == '\0')
		invalid_template(source, _("It is empty."));
	t->lasting = *source != '{' &&
		cext_pattern_has_literal_start(source, strlen(source));
	if (!t->lasting && !cext_may_clear(schema, owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for cache key template \"%s\"", source),
				 errdetail("A template that starts with a wildcard or a column needs the privilege of the table's owner to execute cache_clear()."),
				 errhint("Start the template with a literal character.")));
	initStringInfo(&literal);

	for (;;)
	{
		Segment    *s = &t->segments[t->nsegments];

		if (*p == '\\' && p[1] != '\0')
		{
			/* a brace loses its escape here, the rest when matching */
			if (p[1] != '{' && p[1] != '}')
				appendStringInfoChar(&literal, '\\');
			appendStringInfoChar(&literal, p[1]);
			p += 2;
			continue;
		}
		if (*p == '{' || *p == '\0')
		{
			s->literal = pnstrdup(literal.data, literal.len);
			s->len = literal.len;
			s->attnum = 0;
			t->nsegments++;
			resetStringInfo(&literal);
		}
		if (*p == '\0')
			break;
		if (*p == '{')
		{
			const char *start = p;
			const char *end = strchr(p, '}');
			char	   *name;
			Oid			type;
			Oid			output;
			bool		varlena;

			if (end == NULL)
				invalid_template(source, _("A brace is not closed."));
			p = end + 1;
			if (rel == NULL)
			{
				s->attnum = 1;
				continue;
			}
			name = pnstrdup(start + 1, end - start - 1);
			s->attnum = get_attnum(RelationGetRelid(rel), name);
			if (s->attnum <= 0)
				ereport(ERROR,
						(errcode(ERRCODE_UNDEFINED_COLUMN),
						 errmsg("column \"%s\" of cache key template \"%s\" does not exist in table \"%s\"",
								name, source, RelationGetRelationName(rel))));
			type = TupleDescAttr(RelationGetDescr(rel), s->attnum - 1)->atttypid;
			if (type >= FirstNormalObjectId && get_typtype(type) != TYPTYPE_ENUM)
				t->lasting = false;
			getTypeOutputInfo(type, &output, &varlena);
			fmgr_info(output, &s->output);
			continue;
		}
		if (*p == '*' || *p == '?' || *p == '[')
			t->kind = CEXT_PATTERN_GLOB;
		appendStringInfoChar(&literal, *p++);
	}
	pfree(literal.data);

	/* without wildcards the text is a key: nothing left to escape */
	if (t->kind == CEXT_PATTERN_KEY)
	{
		for (int i = 0; i < t->nsegments; i++)
		{
			StringInfoData plain;

			initStringInfo(&plain);
			(void) cext_pattern_classify(t->segments[i].literal, t->segments[i].len, &plain);
			t->segments[i].literal = plain.data;
			t->segments[i].len = plain.len;
		}
	}
}

void
cext_template_check(const char *source, Relation rel, Oid schema)
{
	Template	t;

	compile_template(source, rel, rel->rd_rel->relowner, schema, &t);
}

/* Something about a table, or all of them, has changed. */
static void
relation_changed(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS seq;
	Kept	   *k;

	if (kept == NULL)
		return;
	hash_seq_init(&seq, kept);
	while ((k = hash_seq_search(&seq)) != NULL)
	{
		if (OidIsValid(relid) && k->relid != relid)
			continue;
		/* it may be in use */
		k->valid = false;
		some_invalid = true;
	}
}

static void
forget_invalid(void)
{
	HASH_SEQ_STATUS seq;
	Kept	   *k;

	some_invalid = false;
	hash_seq_init(&seq, kept);
	while ((k = hash_seq_search(&seq)) != NULL)
	{
		if (k->valid)
			continue;
		MemoryContextDelete(k->context);
		hash_search(kept, &k->trigger, HASH_REMOVE, NULL);
	}
}

/* A trigger's templates, compiled in the current memory context. */
static Compiled *
compile(TriggerData *trigdata, Oid schema, bool *lasting)
{
	Trigger    *trigger = trigdata->tg_trigger;
	Compiled   *c = palloc0(sizeof(Compiled));

	*lasting = true;
	c->trigger = trigger->tgoid;
	c->ntemplates = trigger->tgnargs;
	c->templates = palloc0((trigger->tgnargs + 1) * sizeof(Template));
	for (int i = 0; i < trigger->tgnargs; i++)
	{
		compile_template(trigger->tgargs[i], trigdata->tg_relation,
						 trigdata->tg_relation->rd_rel->relowner, schema,
						 &c->templates[i]);
		*lasting &= c->templates[i].lasting;
	}
	return c;
}

/*
 * The trigger's templates, compiled for the session or else in the memory of
 * its FmgrInfo.  The lock that the statement holds on the table keeps them valid
 * until the trigger is done: they call nothing that could fire another.
 */
static Compiled *
get_compiled(FunctionCallInfo fcinfo, TriggerData *trigdata)
{
	Compiled   *c = fcinfo->flinfo->fn_extra;
	Oid			trigger = trigdata->tg_trigger->tgoid;
	MemoryContext context;
	MemoryContext old;
	bool		lasting;
	bool		found;
	Kept	   *k;

	if (unlikely(c != NULL && c->trigger == trigger))
		return c;
	if (unlikely(kept == NULL))
	{
		HASHCTL		ctl;

		ctl.keysize = sizeof(Oid);
		ctl.entrysize = sizeof(Kept);
		kept = hash_create("cache_ext triggers", 64, &ctl, HASH_ELEM | HASH_BLOBS);
		CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	}
	if (unlikely(some_invalid))
		forget_invalid();
	k = hash_search(kept, &trigger, HASH_FIND, NULL);
	if (likely(k != NULL))
		return k->compiled;

	context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "cache_ext templates",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	c = compile(trigdata, get_func_namespace(fcinfo->flinfo->fn_oid), &lasting);
	MemoryContextSwitchTo(old);
	if (!lasting)
	{
		fcinfo->flinfo->fn_extra = c;
		return c;
	}
	k = hash_search(kept, &trigger, HASH_ENTER, &found);
	k->relid = RelationGetRelid(trigdata->tg_relation);
	k->valid = true;
	k->context = context;
	k->compiled = c;
	MemoryContextSetParent(context, TopMemoryContext);
	return c;
}

/*
 * Invalidate what a template makes of a row; of no row, what it could make of
 * any.
 */
static void
apply_template(Template *t, TupleTableSlot *slot, StringInfo buf)
{
	CextPatternKind kind = slot == NULL && t->nsegments > 1 ? CEXT_PATTERN_GLOB : t->kind;

	resetStringInfo(buf);
	for (int i = 0; i < t->nsegments; i++)
	{
		Segment    *s = &t->segments[i];
		Datum		value;
		bool		isnull;
		char	   *str;

		if (kind != t->kind)
			cext_pattern_append_escaped(buf, s->literal, s->len);
		else
			appendBinaryStringInfo(buf, s->literal, s->len);
		if (s->attnum == 0)
			continue;
		if (slot == NULL)
		{
			appendStringInfoChar(buf, '*');
			continue;
		}
		value = slot_getattr(slot, s->attnum, &isnull);
		if (isnull)
			return;
		str = OutputFunctionCall(&s->output, value);
		if (kind == CEXT_PATTERN_GLOB)
			cext_pattern_append_escaped(buf, str, strlen(str));
		else
			appendStringInfoString(buf, str);
	}
	if (kind == CEXT_PATTERN_KEY)
		cext_inval_key(buf->data, buf->len);
	else
		cext_inval_pattern(buf->data, buf->len);
}

static void
apply_row(Compiled *c, TupleTableSlot *slot, StringInfo buf)
{
	for (int i = 0; i < c->ntemplates; i++)
		apply_template(&c->templates[i], slot, buf);
}

/* For each row of a transition table, read into the slot. */
static void
apply_table(Compiled *c, Tuplestorestate *rows, TupleTableSlot *slot, StringInfo buf)
{
	MemoryContext row_context = NULL;
	bool		first = true;

	if (rows == NULL)
		return;
	tuplestore_rescan(rows);

	/* a row read back from disk belongs to the slot, so not to row_context */
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		MemoryContext old;

		if (first)
		{
			/* what one row takes goes with the call of the trigger */
			first = false;
			apply_row(c, slot, buf);
			continue;
		}
		if (row_context == NULL)
			row_context = AllocSetContextCreate(CurrentMemoryContext,
												"cache_ext transition rows",
												ALLOCSET_SMALL_SIZES);
		old = MemoryContextSwitchTo(row_context);
		apply_row(c, slot, buf);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_context);
		CHECK_FOR_INTERRUPTS();
	}
	if (row_context != NULL)
		MemoryContextDelete(row_context);
}


/* ----------------------------------------------------------------
 *		The trigger
 * ----------------------------------------------------------------
 */

static void
fire(FunctionCallInfo fcinfo, TriggerData *trigdata)
{
	Compiled   *c = get_compiled(fcinfo, trigdata);
	TriggerEvent event = trigdata->tg_event;
	Relation	rel = trigdata->tg_relation;
	StringInfoData buf;

	initStringInfo(&buf);
	if (TRIGGER_FIRED_FOR_ROW(event))
	{
		apply_row(c, trigdata->tg_trigslot, &buf);
		if (TRIGGER_FIRED_BY_UPDATE(event))
			apply_row(c, trigdata->tg_newslot, &buf);
	}
	else if (!TRIGGER_FIRED_BY_TRUNCATE(event) &&
			 (trigdata->tg_oldtable != NULL || trigdata->tg_newtable != NULL))
	{
		TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel),
														&TTSOpsMinimalTuple);

		apply_table(c, trigdata->tg_oldtable, slot, &buf);
		apply_table(c, trigdata->tg_newtable, slot, &buf);
		ExecDropSingleTupleTableSlot(slot);
	}
	else
	{
		for (int i = 0; i < c->ntemplates; i++)
			apply_template(&c->templates[i], NULL, &buf);
	}
	pfree(buf.data);
}

/*
 * Do what the TRUNCATE triggers of a relation would do if they fired.  Ours are
 * told by their function's C name.
 *
 * The relation is one above that which TRUNCATE is about to lock, and not locked
 * itself; nor is it here, for TRUNCATE would wait for no lock on it either.  So
 * it may be gone, and the relcache entry may change: what we use is a copy.
 */
void
cext_trigger_truncated(Oid relid)
{
	Relation	rel = RelationIdGetRelation(relid);
	TriggerDesc *desc;
	Oid			owner;

	if (!RelationIsValid(rel))
		return;
	desc = CopyTriggerDesc(rel->trigdesc);
	owner = rel->rd_rel->relowner;
	RelationClose(rel);
	for (int i = 0; desc != NULL && i < desc->numtriggers; i++)
	{
		Trigger    *trigger = &desc->triggers[i];
		StringInfoData buf;
		FmgrInfo	flinfo;

		if (!TRIGGER_FOR_TRUNCATE(trigger->tgtype) ||
			trigger->tgenabled == TRIGGER_DISABLED)
			continue;
		fmgr_info(trigger->tgfoid, &flinfo);
		if (flinfo.fn_addr != cache_invalidate_trigger)
			continue;
		initStringInfo(&buf);
		for (int j = 0; j < trigger->tgnargs; j++)
		{
			Template	t;

			compile_template(trigger->tgargs[j], NULL, owner,
							 get_func_namespace(trigger->tgfoid), &t);
			apply_template(&t, NULL, &buf);
		}
		pfree(buf.data);
	}
	FreeTriggerDesc(desc);
}

/* cache_invalidate_trigger('template', ...) */
Datum
cache_invalidate_trigger(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	int			saved_datestyle = DateStyle;
	int			saved_intervalstyle = IntervalStyle;
	int			saved_float_digits = extra_float_digits;
	int			saved_bytea_output = bytea_output;
	pg_tz	   *saved_timezone = session_timezone;
	static pg_tz *utc = NULL;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"cache_invalidate_trigger")));
	if (!TRIGGER_FIRED_AFTER(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired AFTER the event",
						"cache_invalidate_trigger")));

	if (trigdata->tg_trigger->tgnargs == 0)
	{
		Oid		   *done = fcinfo->flinfo->fn_extra;

		if (TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
			cext_inval_relation_tree(RelationGetRelid(trigdata->tg_relation));
		else if (done == NULL || *done != trigdata->tg_trigger->tgoid)
		{
			/* once for a statement is enough */
			cext_inval_relation(RelationGetRelid(trigdata->tg_relation));
			done = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(Oid));
			*done = trigdata->tg_trigger->tgoid;
			fcinfo->flinfo->fn_extra = done;
		}
		return PointerGetDatum(NULL);
	}

	if (utc == NULL)
		utc = pg_tzset("UTC");
	DateStyle = USE_ISO_DATES;
	IntervalStyle = INTSTYLE_POSTGRES;
	extra_float_digits = 1;
	bytea_output = BYTEA_OUTPUT_HEX;
	if (utc != NULL)
		session_timezone = utc;
	PG_TRY();
	{
		fire(fcinfo, trigdata);
	}
	PG_FINALLY();
	{
		DateStyle = saved_datestyle;
		IntervalStyle = saved_intervalstyle;
		extra_float_digits = saved_float_digits;
		bytea_output = saved_bytea_output;
		session_timezone = saved_timezone;
	}
	PG_END_TRY();
	return PointerGetDatum(NULL);
}
