/* The layout as plain numbers, and how many vectors begin with some entries. */
#include "kernel.h"

#include <Python.h>

/* No single block is larger than that. */
#define BLOCK_BYTES_MAX ((size_t)1 << 30)

void *fetch(size_t count, size_t size) {
    if (count > BLOCK_BYTES_MAX / size) return NULL;
    return PyMem_RawCalloc(count ? count : 1, size);
}

void *enlarge(void *block, size_t count, size_t size) {
    if (count > BLOCK_BYTES_MAX / size) return NULL;
    return PyMem_RawRealloc(block, count ? count * size : 1);
}

void release(void *block) { PyMem_RawFree(block); }

void plan_clear(Plan *plan) {
    release(plan->kind);
    release(plan->alphabet_size);
    release(plan->moving);
    release(plan->values_at);
    release(plan->role);
    release(plan->node_of);
    release(plan->sets);
    release(plan->orders);
    release(plan->swap_src);
    release(plan->swap_values);
    release(plan->below);
    *plan = (Plan){0};
}

int32_t zeros(const Value *f, int32_t start, int32_t stop) {
    int32_t count = 0;
    for (int32_t i = start; i < stop; i++) count += f[i] == 0;
    return count;
}

static uint64_t times(uint64_t a, uint64_t b) {
    uint64_t product;
    if (a == 0 || b == 0) return 0;
    return __builtin_mul_overflow(a, b, &product) ? COUNT_MAX : product;
}

static uint64_t plus(uint64_t a, uint64_t b) {
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? COUNT_MAX : sum;
}

/* Number of sets of least to most out of n things. */
static uint64_t choose(int32_t n, int32_t least, int32_t most) {
    if (most > n) most = n;
    if (least < 0) least = 0;
    if (least > most) return 0;
    if (most == n && least <= 1) return n < 64 ? ((uint64_t)1 << n) - (uint64_t)least : COUNT_MAX;
    if (n - most < least) {
        /* Say what stays out. So numbers grow up to `least`, and one that is too large settles the matter. */
        int32_t out = n - most;
        most = n - least;
        least = out;
    }
    uint64_t total = 0, number = 1;
    for (int32_t size = 0; size <= most; size++) {
        if (size >= least) total = plus(total, number);
        __extension__ unsigned __int128 next = number;
        next = next * (uint64_t)(n - size) / (uint64_t)(size + 1);
        if (size < most && next >= COUNT_MAX) return COUNT_MAX;
        number = (uint64_t)next;
    }
    return total;
}

static uint64_t factorial(int32_t n) {
    uint64_t product = 1;
    for (int32_t k = 2; k <= n; k++) product = times(product, (uint64_t)k);
    return product;
}

/* Number of vectors of the node that holds position i, in the middle of it. */
static uint64_t count_inside(const Plan *plan, const Value *f, int32_t i, bool own) {
    if (plan->role[i] == ORDER) return factorial(plan->orders[plan->node_of[i]].stop - i);
    const SetNode *node = &plan->sets[plan->node_of[i]];
    int32_t at = i > node->first ? i : node->first;
    int32_t inside = zeros(f, node->first, at);
    int32_t least = node->size_min - inside, most = node->size_max - inside;
    if (node->sized && i > node->start) least = most = node->size_min + (int32_t)f[node->start] - inside;
    if (node->free && !own && least < 1) least = 1;
    return choose(node->stop - at, least, most);
}

static int32_t node_start(const Plan *plan, int32_t i) {
    if (plan->role[i] == ENTRY) return i;
    return plan->role[i] == ORDER ? plan->orders[plan->node_of[i]].start : plan->sets[plan->node_of[i]].start;
}

static int32_t node_stop(const Plan *plan, int32_t i) {
    if (plan->role[i] == ENTRY) return i + 1;
    return plan->role[i] == ORDER ? plan->orders[plan->node_of[i]].stop : plan->sets[plan->node_of[i]].stop;
}

uint64_t plan_count(const Plan *plan, const Value *f, int32_t i, bool own) {
    if (plan->empty) return 0;
    if (i == plan->m || (own && node_start(plan, i) == i)) return plan->below[i];
    return times(count_inside(plan, f, i, own), plan->below[node_stop(plan, i)]);
}

Trouble plan_finish(Plan *plan) {
    int32_t m = plan->m;
    plan->role = fetch((size_t)m + 1, 1);
    plan->node_of = fetch((size_t)m + 1, sizeof *plan->node_of);
    plan->below = fetch((size_t)m + 1, sizeof *plan->below);
    plan->values_at = fetch((size_t)plan->n_alphabets, sizeof *plan->values_at);
    if (!plan->role || !plan->node_of || !plan->below || !plan->values_at) return NO_MEMORY;
    Value at = 0;
    for (int32_t a = 0; a < plan->n_alphabets; a++) {
        plan->values_at[a] = at;
        if (plan->moving[a]) at += plan->alphabet_size[a];
    }
    for (int32_t k = 0; k < plan->n_sets; k++) {
        const SetNode *node = &plan->sets[k];
        for (int32_t i = node->start; i < node->stop; i++) {
            plan->role[i] = i < node->first ? SIZE : node->free ? ITEM : BIT;
            plan->node_of[i] = k;
        }
    }
    for (int32_t k = 0; k < plan->n_orders; k++)
        for (int32_t i = plan->orders[k].start; i < plan->orders[k].stop; i++) {
            plan->role[i] = ORDER;
            plan->node_of[i] = k;
        }
    plan->below[m] = 1;
    for (int32_t i = m - 1; i >= 0; i--) {
        if (node_start(plan, i) != i) continue;
        uint64_t here = plan->role[i] == ENTRY ? alphabet_at(plan, i) : count_inside(plan, NULL, i, true);
        plan->below[i] = times(here, plan->below[node_stop(plan, i)]);
    }
    return FINE;
}
