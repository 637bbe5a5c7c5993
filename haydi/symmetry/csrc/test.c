/* Test C; see haydi/symmetry/tester.py for how it works.
 *
 * A renaming is kept as the atoms of the slots and the slots of the atoms; where it takes positions and values is
 * looked up (tables.c).
 *
 * The next vector differs from the last one in an entry or a few, and most searches never look there. So each search
 * that failed leaves a *proof*: the positions that it looked at (those with the same last 6 bits are taken together).
 * While none of these is changed, the search need not be repeated; the walk keeps the proofs of each vector on its
 * path. Twins that were tried once for all of them would have looked elsewhere: such a proof is void.
 */
#include "tables.h"
#include "test.h"

void test_free(Test *test) {
    if (!test) return;
    cells_clear(&test->cache);
    release(test->joined);
    release(test->proofs);
    release(test->couples);
    release(test);
}

size_t test_proofs(const Test *test) {
    return test->plan->slots > PROOF_SLOTS_MAX ? 0 : 2 * (size_t)test->n_couples;
}

void test_keep_proofs(const Test *test, uint64_t *proofs) {
    memcpy(proofs, test->proofs, test_proofs(test) * sizeof *proofs);
}

void test_forget_proofs(Test *test) { memset(test->proofs, 0xFF, test_proofs(test) * sizeof *test->proofs); }

/* Slots up to k are decided; the others of its USet are a cell, those of each later USet too. */
static uint64_t level_cells(const Plan *plan, int32_t k) {
    uint64_t begins = k + 2 < 64 ? ((uint64_t)1 << (k + 2)) - 1 : UINT64_MAX;
    for (int32_t start = 0; start < plan->slots; start = plan->slot_stop[start]) begins |= (uint64_t)1 << start;
    return plan->slots < 64 ? begins & (((uint64_t)1 << plan->slots) - 1) : begins;
}

/* The first position that renamings move which leave the slots before k alone. */
static int32_t first_moved(const Plan *plan, int32_t k) {
    if (!plan->fixed) return 0;
    for (int32_t p = 0; p < plan->m; p++)
        for (int32_t i = k; i + 1 < plan->slots; i++)
            if (plan->slot_stop[i] > i + 1 && plan->swap_src[(size_t)i * (size_t)plan->m + (size_t)p] != p) return p;
    return plan->m;
}

static void make_couples(Test *test) {
    const Plan *plan = test->plan;
    for (int32_t a = plan->slots - 1; a >= 0; a--) {
        test->levels[a] = level_cells(plan, a);
        test->first[a] = first_moved(plan, a);
        for (int32_t b = a + 1; b < plan->slot_stop[a]; b++) {
            Couple *couple = &test->couples[test->n_couples++];
            *couple = (Couple){(uint8_t)a, (uint8_t)b, -1};
            int32_t p = test->first[a];
            if (!plan->fixed || p == plan->m) continue;
            const Cells *cells = cells_of(&test->cache, test->levels[a]);
            if (!cells || cells->places[p].size > 1) continue;
            Renaming swap = test->identity;
            swap_slots(&swap, a, b);
            couple->source = source(test, &swap, p);
        }
    }
}

Test *test_new(const Plan *plan, const Tables *tables) {
    Test *test = fetch(1, sizeof *test);
    if (!test) return NULL;
    test->plan = plan;
    test->tables = tables;
    for (int32_t i = 0; i < SLOTS_MAX; i++) test->identity.atom[i] = test->identity.slot[i] = (uint8_t)i;
    test->joined = fetch((size_t)plan->m, sizeof *test->joined);
    test->couples = fetch((size_t)(plan->slots * (plan->slots + 1) / 2), sizeof *test->couples);
    if (test->joined && test->couples && cells_init(&test->cache, tables) == FINE) {
        make_couples(test);
        test->proofs = fetch(test_proofs(test), sizeof *test->proofs);
        if (test->proofs) {
            test_forget_proofs(test);
            return test;
        }
    }
    test_free(test);
    return NULL;
}

/* ---- all renamings ---- */

static int32_t root8(uint8_t *joined, int32_t x) {
    while (joined[x] != x) x = joined[x] = joined[joined[x]];
    return x;
}

static void join8(uint8_t *joined, int32_t x, int32_t y) {
    x = root8(joined, x);
    y = root8(joined, y);
    if (x < y)
        joined[y] = (uint8_t)x;
    else
        joined[x] = (uint8_t)y;
}

/* Otherwise *looked says where that was seen. */
static bool are_twins(const Test *test, int32_t a, int32_t b, uint64_t *looked) {
    const Plan *plan = test->plan;
    const Tables *tables = test->tables;
    size_t at = (size_t)(a * plan->slots + b);
    const Value *f = test->f;
    for (size_t k = tables->pairs_at[at]; k < tables->pairs_at[at + 1]; k++) {
        Pair pair = tables->pairs[k];
        /* Both are known, or neither is. */
        if (pair.q >= test->known ? pair.p < test->known : plan->fixed && f[pair.p] != f[pair.q]) {
            *looked = (uint64_t)1 << (pair.p & 63) | (uint64_t)1 << (pair.q & 63);
            return false;
        }
    }
    *looked = VOID;
    if (plan->fixed) return true;
    Renaming swap = test->identity;
    swap_slots(&swap, a, b);
    for (int32_t p = 0; p < test->known; p++) {
        int64_t number;
        if (moved(test, &swap, p, f[source(test, &swap, p)], &number) != f[p]) return false;
    }
    return true;
}

/* For each slot the first one whose atom can be swapped with its atom; returns whether there are such. */
static bool find_twins(Test *test, const uint64_t *before, uint64_t changed, uint64_t *proofs) {
    bool any = false;
    memcpy(test->twin, test->identity.atom, sizeof test->twin);
    for (int32_t k = 0; k < test->n_couples; k++) {
        if (before && !(before[k] & changed)) continue;
        uint64_t looked = VOID;
        uint8_t a = test->couples[k].a, b = test->couples[k].b;
        /* What has a twin already is alike to all twins of that. */
        if (test->twin[b] == b && are_twins(test, a, b, &looked)) {
            test->twin[b] = a;
            any = true;
        }
        if (proofs) proofs[k] = looked;
    }
    for (int32_t b = 0; any && b < test->plan->slots; b++) test->twin[b] = test->twin[test->twin[b]];
    return any;
}

/* As search(), of the renamings that leave slots before a alone and take b to a. */
static Outcome search_couple(Test *test, const Couple *couple) {
    int32_t p = test->first[couple->a], q = couple->source;
    test->looked = 0;
    if (q >= 0) {
        look_at(test, p);
        look_at(test, q);
        if (p >= test->known || q >= test->known) return FAILED;
        if (test->f[q] != test->f[p]) return test->f[q] < test->f[p] ? REFUTED : FAILED;
        p++;
    }
    Renaming first;
    copy_renaming(test, &first, &test->identity);
    swap_slots(&first, couple->a, couple->b);
    return search(test, &first, test->levels[couple->a], p);
}

typedef struct {
    uint8_t joined[SLOTS_MAX]; /* slots that automorphisms take to each other */
    bool any;                  /* there are such */
    uint64_t failed;           /* slots of this level that no automorphism takes there */
    uint64_t automorphisms;
} Orbits;

/* Whether automorphisms that are known settle what a search for one from b to a comes to. */
static bool is_settled(Orbits *orbits, int32_t a, int32_t b) {
    if (!orbits->any) return false;
    int32_t orbit = root8(orbits->joined, b);
    bool settled = orbit == root8(orbits->joined, a);
    for (int32_t x = a + 1; x < b && !settled; x++)
        settled = orbits->failed >> x & 1 && root8(orbits->joined, x) == orbit;
    return settled;
}

/* All searches of the level of slot a are done. */
static void end_level(const Test *test, Orbits *orbits, int32_t a) {
    orbits->failed = 0;
    if (!orbits->any) return;
    int32_t orbit = root8(orbits->joined, a);
    uint64_t size = 0;
    for (int32_t x = a; x < test->plan->slots; x++) size += root8(orbits->joined, x) == orbit;
    orbits->automorphisms *= size;
}

bool test_known(Test *test, Engine *engine, const uint64_t *before, uint64_t changed) {
    const Plan *plan = test->plan;
    size_t half = test_proofs(test) / 2;
    uint64_t *proofs = half ? test->proofs : NULL;
    test->f = engine->f;
    test->known = engine->known;
    test->engine = engine;
    test->n_found = 0;
    engine->work += 8;
    if (!half) before = NULL;
    if (before) memcpy(proofs, before, 2 * half * sizeof *proofs);
    Orbits orbits = {.automorphisms = 1};
    orbits.any = find_twins(test, before, changed, proofs);
    if (orbits.any) memcpy(orbits.joined, test->twin, sizeof orbits.joined);
    if (before) before += half;
    if (proofs) proofs += half;
    const Couple *couple = test->couples, *last = couple + test->n_couples;
    while (couple < last) {
        int32_t a = couple->a;
        for (; couple < last && couple->a == a; couple++) {
            ptrdiff_t k = couple - test->couples;
            bool proven = before && !(before[k] & changed);
            if (proven) {
                orbits.failed |= (uint64_t)1 << couple->b;
                continue;
            }
            if (proofs) proofs[k] = VOID;
            if (is_settled(&orbits, a, couple->b)) continue;
            Outcome outcome = search_couple(test, couple);
            if (outcome == REFUTED || engine->trouble != FINE) return false;
            if (outcome == FAILED) {
                orbits.failed |= (uint64_t)1 << couple->b;
                if (proofs) proofs[k] = test->looked;
                continue;
            }
            if (!orbits.any) memcpy(orbits.joined, test->identity.atom, sizeof orbits.joined);
            orbits.any = true;
            test->found[test->n_found++] = test->automorphism;
            for (int32_t x = 0; x < plan->slots; x++) join8(orbits.joined, x, test->automorphism.atom[x]);
        }
        end_level(test, &orbits, a);
    }
    engine->automorphisms = orbits.automorphisms;
    return true;
}

/* ---- what automorphisms tell of the next items ---- */

static uint32_t root32(uint32_t *joined, uint32_t x) {
    while (joined[x] != x) x = joined[x] = joined[joined[x]];
    return x;
}

static void join32(uint32_t *joined, uint32_t x, uint32_t y) {
    x = root32(joined, x);
    y = root32(joined, y);
    if (x < y)
        joined[y] = x;
    else
        joined[x] = y;
}

void test_mark_repeats(Test *test, int32_t start, int32_t stop, uint64_t *marks) {
    const Tables *tables = test->tables;
    const Plan *plan = test->plan;
    memset(marks, 0, ((size_t)plan->m + 63) / 64 * sizeof *marks);
    bool any = test->n_found > 0;
    for (int32_t b = 0; b < plan->slots && !any; b++) any = test->twin[b] != b;
    if (!any) return;
    for (int32_t x = start; x < stop; x++) test->joined[x] = (uint32_t)x;
    for (int32_t b = 0; b < plan->slots; b++) {
        if (test->twin[b] == b) continue;
        size_t at = (size_t)(test->twin[b] * plan->slots + b);
        for (size_t k = tables->pairs_at[at]; k < tables->pairs_at[at + 1]; k++)
            if (tables->pairs[k].p >= start && tables->pairs[k].q < stop)
                join32(test->joined, tables->pairs[k].p, tables->pairs[k].q);
    }
    for (int32_t k = 0; k < test->n_found; k++)
        for (int32_t x = start; x < stop; x++) {
            int32_t y = source(test, &test->found[k], x);
            if (y != x) join32(test->joined, (uint32_t)x, (uint32_t)y);
        }
    for (int32_t x = start; x < stop; x++)
        if (root32(test->joined, (uint32_t)x) != (uint32_t)x) marks[x >> 6] |= (uint64_t)1 << (x & 63);
}
