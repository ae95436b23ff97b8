/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Each packet gets exactly one verdict, which is counted and whose XDP action is returned. The program includes its
 * list before: VERDICTS(X) with X(name, action, meaning). */
#pragma once

#include "types.h"

/* A verdict contains its XDP action: bcc cannot place a table of constants in a map. */
#define ACTION_BITS 3
#define VERDICT_INDEX(name, action, meaning) INDEX_##name,
#define VERDICT_VALUE(name, action, meaning) name = (INDEX_##name << ACTION_BITS) | (action),

enum { VERDICTS(VERDICT_INDEX) NUM_VERDICTS };
enum verdict { VERDICTS(VERDICT_VALUE) };

_Static_assert(CONTINUE == 0, "the list begins with CONTINUE, so that `if (verdict)` tests for a verdict");

struct counters {
	__u64 packets[NUM_VERDICTS];
};

BPF_PERCPU_ARRAY(counters, struct counters, 1);

/* Counts the verdict and returns its action. */
__inline int conclude(enum verdict verdict)
{
	__u64 index = (__u32)verdict >> ACTION_BITS;
	struct counters *mine;
	int zero = 0;

	barrier_var(index);
	mine = counters.lookup(&zero);
	if (mine && index < NUM_VERDICTS)
		mine->packets[index]++;
	return verdict & ((1 << ACTION_BITS) - 1);
}
