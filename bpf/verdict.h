/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* One packet meets exactly one verdict: it is counted under the verdict's name, and its action is done. The program
 * includes its own list before: VERDICTS(X) with X(name, action, meaning). */
#pragma once

#include "types.h"

/* A verdict carries its XDP action, so that no table of constants is needed, which bcc could not place in a map. */
#define ACTION_BITS 3
#define VERDICT_INDEX(name, action, meaning) INDEX_##name,
#define VERDICT_VALUE(name, action, meaning) name = (INDEX_##name << ACTION_BITS) | (action),

enum { VERDICTS(VERDICT_INDEX) NUM_VERDICTS };
enum verdict { VERDICTS(VERDICT_VALUE) };

_Static_assert(CONTINUE == 0, "the list begins with CONTINUE, so that `if (verdict)` asks whether the story ends");

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
