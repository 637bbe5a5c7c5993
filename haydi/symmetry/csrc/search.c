/* The search of test C among the renamings of a state; see haydi/symmetry/tester.py for its rules. */
#include "test.h"

static inline uint64_t parted_after(const Test *test, uint64_t begins, int32_t slot) {
    return slot + 1 < test->plan->slots ? begins | (uint64_t)1 << (slot + 1) : begins;
}

/* Put each atom of a cell into its first slot; of twins one is enough. */
static Outcome branch(Test *test, const Renaming *renaming, uint64_t begins, int32_t p, int32_t cell, int32_t size) {
    uint64_t seen = 0, parted = parted_after(test, begins, cell);
    for (int32_t slot = cell; slot < cell + size; slot++) {
        uint64_t twin = (uint64_t)1 << test->twin[renaming->atom[slot]];
        if (seen & twin) {
            test->looked = VOID;
            continue;
        }
        seen |= twin;
        Renaming next;
        copy_renaming(test, &next, renaming);
        if (slot != cell) swap_slots(&next, cell, slot);
        Outcome outcome = search(test, &next, parted, p);
        if (outcome != FAILED || test->engine->trouble != FINE) return outcome;
    }
    return FAILED;
}

typedef enum { GO_ON, BRANCH, STOP } Move;

typedef struct {
    Renaming *renaming;
    uint64_t begins;
    int32_t p;
    Outcome outcome; /* after STOP */
    int32_t cell;    /* after BRANCH */
} State;

static inline Move stop(State *state, Outcome outcome) {
    state->outcome = outcome;
    return STOP;
}

/* The position stays in its place. */
static inline Move alone(Test *test, State *state, const Cells *cells) {
    int32_t p = state->p, q = source(test, state->renaming, p);
    if (q == p && test->plan->fixed) {
        state->p++;
        return GO_ON;
    }
    look_at(test, p);
    look_at(test, q);
    if (q >= test->known) return stop(state, FAILED);
    int64_t number;
    Value value = moved(test, state->renaming, p, test->f[q], &number), here = test->f[p];
    const Reach *reach = number < 0 || cells->reaches[number].cell < 0 ? NULL : &cells->reaches[number];
    if (reach) value = reach->least;
    if (value != here) return stop(state, value < here ? REFUTED : FAILED);
    if (!reach) {
        state->p++;
        return GO_ON;
    }
    state->cell = reach->cell;
    if (reach->slot < 0) return BRANCH;
    if (reach->slot != reach->cell) swap_slots(state->renaming, reach->cell, reach->slot);
    state->begins = parted_after(test, state->begins, reach->cell);
    return GO_ON;
}

/* Put the slots of a cell into the order of their values, and part it between different ones. */
static inline void sort_cell(State *state, int32_t cell, Value *values, int32_t size) {
    for (int32_t t = 0; t < size; t++) {
        int32_t least = t;
        for (int32_t j = t + 1; j < size; j++)
            if (values[j] < values[least]) least = j;
        if (least == t) continue;
        Value value = values[t];
        values[t] = values[least];
        values[least] = value;
        swap_slots(state->renaming, cell + t, cell + least);
    }
    for (int32_t t = 1; t < size; t++)
        if (values[t] != values[t - 1]) state->begins |= (uint64_t)1 << (cell + t);
}

/* The position moves with others. */
static inline Move together(Test *test, State *state, const Cells *cells, const Place *place) {
    int32_t p = state->p, size = place->size;
    Value here = test->f[p], least = UINT32_MAX, values[SLOTS_MAX];
    bool exact = true, in_row = place->row >= 0 && place->orbit[0] == p;
    look_at(test, p);
    for (int32_t t = 0; t < size; t++) {
        int32_t at = place->orbit[t], q = source(test, state->renaming, at);
        look_at(test, q);
        if (q >= test->known) {
            exact = false;
            continue;
        }
        int64_t number;
        Value value = moved(test, state->renaming, at, test->f[q], &number);
        if (number >= 0 && cells->reaches[number].cell >= 0) {
            exact = false;
            value = cells->reaches[number].least;
        } else if (value < here) {
            return stop(state, REFUTED);
        }
        if (value < least) least = value;
        if (in_row) values[t] = value;
    }
    if (least != UINT32_MAX && least > here) return stop(state, FAILED);
    if (!exact || !in_row) {
        state->cell = place->cell;
        return BRANCH;
    }
    sort_cell(state, place->row, values, size);
    for (int32_t t = 0; t < size; t++) {
        look_at(test, p + t);
        if (p + t >= test->known) return stop(state, FAILED);
        if (values[t] != test->f[p + t]) return stop(state, values[t] < test->f[p + t] ? REFUTED : FAILED);
    }
    state->p += size;
    return GO_ON;
}

Outcome search(Test *test, Renaming *renaming, uint64_t begins, int32_t p) {
    Engine *engine = test->engine;
    State state = {renaming, begins, p, FAILED, 0};
    engine->work += 16;
    if ((++test->searches & 0xFFFFF) == 0 && engine->poll && engine->poll(engine->poll_with))
        engine->trouble = INTERRUPTED;
    const Cells *cells = NULL;
    for (;;) {
        if (state.p == test->plan->m) {
            copy_renaming(test, &test->automorphism, renaming);
            return FOUND;
        }
        if (state.p >= test->known || engine->trouble != FINE) {
            look_at(test, state.p);
            return FAILED;
        }
        if (!cells || cells->begins != state.begins) cells = cells_of(&test->cache, state.begins);
        if (!cells) {
            engine->trouble = NO_MEMORY;
            return FAILED;
        }
        const Place *place = &cells->places[state.p];
        Move move = place->size == 1 ? alone(test, &state, cells) : together(test, &state, cells, place);
        if (move == STOP) return state.outcome;
        if (move == BRANCH)
            return branch(test, renaming, state.begins, state.p, state.cell, cells->sizes[state.cell]);
    }
}
