/* What test.c and search.c share; see there. */
#ifndef HAYDI_TEST_H
#define HAYDI_TEST_H

#include "tables.h"

#include <string.h>

typedef enum { FAILED, FOUND, REFUTED } Outcome;

typedef struct {
    uint8_t atom[SLOTS_MAX]; /* in each slot */
    uint8_t slot[SLOTS_MAX]; /* of each atom */
} Renaming;

/* Proofs are kept for up to so many slots. */
#define PROOF_SLOTS_MAX 16
#define VOID UINT64_MAX

/* Two slots a < b of one USet. */
typedef struct {
    uint8_t a, b;
    int32_t source; /* where swapping them takes the first position from that level a has to look at; or -1 */
} Couple;

struct Test {
    const Plan *plan;
    const Tables *tables;
    CellCache cache;
    const Value *f; /* of the engine, while a test goes on */
    int32_t known;
    Engine *engine;
    uint64_t searches;
    uint64_t looked; /* at these positions, by the search that goes on */
    uint64_t *proofs; /* of the last vector: that slots a < b are no twins, and that no automorphism takes a to b */
    uint64_t levels[SLOTS_MAX]; /* the cells where slots up to k are decided */
    Couple *couples; /* those with larger a first, then those with smaller b */
    int32_t n_couples;
    int32_t first[SLOTS_MAX];   /* the first position that the search at level k has to look at */
    uint8_t twin[SLOTS_MAX];  /* the first slot whose atom can be swapped with that of this one */
    Renaming identity, automorphism;
    Renaming found[SLOTS_MAX]; /* generators, beside the swaps of twins */
    int32_t n_found;
    uint32_t *joined;
};

static inline void copy_renaming(const Test *test, Renaming *to, const Renaming *from) {
    if (test->plan->slots > 16) {
        *to = *from;
        return;
    }
    memcpy(to->atom, from->atom, 16);
    memcpy(to->slot, from->slot, 16);
}

static inline void swap_slots(Renaming *renaming, int32_t i, int32_t j) {
    uint8_t a = renaming->atom[i], b = renaming->atom[j];
    renaming->atom[i] = b;
    renaming->atom[j] = a;
    renaming->slot[a] = (uint8_t)j;
    renaming->slot[b] = (uint8_t)i;
}

static inline int32_t source(const Test *test, const Renaming *renaming, int32_t p) {
    return (int32_t)image_of(&test->tables->places[p], renaming->atom, (uint32_t)test->plan->slots);
}

/* What becomes of a value at position p, and in *number which of all values that is. */
static inline Value moved(const Test *test, const Renaming *renaming, int32_t p, Value value, int64_t *number) {
    const Plan *plan = test->plan;
    uint16_t kind = plan->kind[p];
    *number = -1;
    if (!plan->moving[kind]) return value;
    Value at = plan->values_at[kind];
    *number = (int64_t)image_of(&test->tables->values[at + value], renaming->slot, (uint32_t)plan->slots);
    return (Value)*number - at;
}

/* As part of the proof that is being made. */
static inline void look_at(Test *test, int32_t p) { test->looked |= (uint64_t)1 << (p & 63); }

/* An automorphism among the renamings of a state, or that one of them refutes, or that all fail. The renaming is used
 * up. */
Outcome search(Test *test, Renaming *renaming, uint64_t begins, int32_t p);

#endif
