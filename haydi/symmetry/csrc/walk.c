/* The walk over the tree of canonical prefixes; see haydi/symmetry/orderly.py for choices, events and bounds.
 *
 * A Level is a node whose children are being visited. When a child is, the engine knows its entries; in a free Set
 * it also knows that all that follow in the Set are left out (the Set is *spined*), which is how the child was
 * found to be worth a visit: a Set that is not canonical by itself has no canonical extension by later items.
 */
#include "kernel.h"

#include <string.h>

/* ---- what is asked of either engine ---- */

static void rewind_to(Engine *engine, int32_t to) {
    if (engine->watch)
        watch_rewind(engine->watch, engine, to);
    else if (to < engine->known)
        engine->known = to;
}

/* Positions [start, stop) as `changed` of test_known(). */
static uint64_t bits(int32_t start, int32_t stop) {
    if (stop - start >= 64) return UINT64_MAX;
    uint64_t found = 0;
    for (int32_t p = start; p < stop; p++) found |= (uint64_t)1 << (p & 63);
    return found;
}

static bool enter(Engine *engine, Value value, const uint64_t *proofs) {
    if (engine->watch) return watch_advance(engine->watch, engine, value);
    int32_t i = engine->known;
    engine->f[engine->known++] = value;
    if (test_known(engine->test, engine, proofs, bits(i, i + 1))) return true;
    engine->known = i;
    return false;
}

static bool leave_out(Engine *engine, int32_t stop, const uint64_t *proofs) {
    int32_t start = engine->known;
    if (engine->watch) return watch_spine(engine->watch, engine, stop);
    for (int32_t i = start; i < stop; i++) engine->f[i] = 1;
    engine->known = stop;
    if (test_known(engine->test, engine, proofs, bits(start, stop))) return true;
    engine->known = start;
    return false;
}

/* Take an item in, and leave out those that follow. */
static bool take_item(Engine *engine, int32_t stop, const uint64_t *proofs) {
    int32_t at = engine->known;
    bool fine;
    if (engine->watch) {
        fine = watch_advance(engine->watch, engine, 0) && watch_spine(engine->watch, engine, stop);
    } else {
        engine->f[at] = 0;
        for (int32_t i = at + 1; i < stop; i++) engine->f[i] = 1;
        engine->known = stop;
        fine = test_known(engine->test, engine, proofs, bits(at, at + 1));
    }
    if (!fine) rewind_to(engine, at);
    return fine;
}

/* ---- levels ---- */

static const SetNode *set_at(const Walk *walk, const Level *level) {
    return &walk->plan->sets[walk->plan->node_of[level->i]];
}

/* Number of items of the Set of position i before it; the levels lead there. */
static int32_t items_before(const Walk *walk, int32_t i) {
    const SetNode *node = &walk->plan->sets[walk->plan->node_of[i]];
    if (i <= node->first) return 0;
    const Level *above = &walk->levels[walk->depth - 2];
    if (walk->plan->role[above->i] == ITEM) return above->inside + 1;
    return above->inside + (walk->engine.f[i - 1] == 0);
}

static void open_set(Walk *walk, Level *level) {
    const SetNode *node = set_at(walk, level);
    Engine *engine = &walk->engine;
    level->inside = items_before(walk, level->i);
    level->kept = -1;
    level->marked = false;
    level->bad = engine->known == level->i && !leave_out(engine, node->stop, level->proofs);
    level->spined = true;
    if (level->bad) return;
    /* Past an item at j there are stop - j - 1 others, and the Set must come to its smallest size. */
    int32_t missing = node->size_min - level->inside;
    level->last = level->inside < node->size_max ? node->stop - (missing > 1 ? missing : 1) : -1;
    level->next = missing <= 0 ? -1 : level->i;
    if (!engine->test) return;
    if (!level->marks) level->marks = fetch(((size_t)walk->plan->m + 63) / 64, sizeof *level->marks);
    if (!level->marks) {
        engine->trouble = NO_MEMORY;
        return;
    }
    level->marked = true;
    test_keep_proofs(engine->test, level->proofs);
    test_mark_repeats(engine->test, node->start, node->stop, level->marks);
}

/* The last vector that was tested is that of the node. */
static bool keep_proofs(Walk *walk, Level *level) {
    if (!level->proofs) level->proofs = fetch(test_proofs(walk->engine.test), sizeof *level->proofs);
    if (level->proofs)
        test_keep_proofs(walk->engine.test, level->proofs);
    else
        walk->engine.trouble = NO_MEMORY;
    return level->proofs != NULL;
}

/* Go down to the children of the node at position i, from choice `first` on. */
static bool push(Walk *walk, int32_t i, int32_t first) {
    if (walk->depth == walk->room) {
        int32_t more = walk->room ? walk->room * 2 : 32;
        Level *levels = enlarge(walk->levels, (size_t)more, sizeof *levels);
        if (!levels) {
            walk->engine.trouble = NO_MEMORY;
            return false;
        }
        memset(levels + walk->room, 0, (size_t)(more - walk->room) * sizeof *levels);
        walk->levels = levels;
        walk->room = more;
    }
    Level *level = &walk->levels[walk->depth++];
    level->i = i;
    level->next = 0;
    level->bad = false;
    level->kept = -1;
    if (walk->engine.test && !keep_proofs(walk, level)) return false;
    if (walk->plan->role[i] == ITEM)
        open_set(walk, level);
    else if (walk->plan->role[i] == BIT) {
        const SetNode *node = set_at(walk, level);
        level->inside = items_before(walk, i);
        int32_t size = node->size_min + (node->sized ? (int32_t)walk->engine.f[node->start] : 0);
        level->next = size > level->inside ? 0 : 1;
        level->last = size - level->inside < node->stop - i ? 1 : 0;
    } else if (walk->plan->role[i] == SIZE) {
        level->last = set_at(walk, level)->size_max - set_at(walk, level)->size_min;
    } else {
        level->last = (int32_t)alphabet_at(walk->plan, i) - 1;
    }
    if (first > level->next) level->next = walk->plan->role[i] == ITEM && first < i ? i : first;
    return walk->engine.trouble == FINE;
}

static void pop(Walk *walk) {
    Level *level = &walk->levels[--walk->depth];
    if (level->kept >= 0) watch_forget(walk->engine.watch, level->kept);
    rewind_to(&walk->engine, level->i);
}

static bool is_used(const Walk *walk, int32_t i, int32_t entry) {
    const OrderNode *node = &walk->plan->orders[walk->plan->node_of[i]];
    for (int32_t p = node->start; p < i; p++)
        if (walk->engine.f[p] == (Value)entry) return true;
    return false;
}

typedef enum { CHILD, NO_CHILD, REFUSED, BEYOND } Visit;

/* The next choice in a free Set. */
static Visit visit_item(Walk *walk, Level *level, bool whole) {
    Engine *engine = &walk->engine;
    int32_t stop = set_at(walk, level)->stop, choice = level->next;
    if (choice == -1) {
        rewind_to(engine, stop);
        level->next = level->i;
        walk->i = stop;
        return CHILD;
    }
    level->next++;
    if (level->marked && level->marks[choice >> 6] >> (choice & 63) & 1) return REFUSED;
    if (level->spined) {
        level->spined = false;
        rewind_to(engine, stop);
        if (engine->test) {
            engine->known = level->i;
        } else {
            level->kept = watch_keep(engine->watch, engine, level->i);
            if (level->kept < 0) return REFUSED;
        }
    } else {
        rewind_to(engine, level->choice > level->i ? level->choice : level->i);
    }
    engine->work += (uint64_t)(choice - engine->known);
    while (engine->known < choice) {
        if (engine->watch)
            watch_replay(engine->watch, engine, level->kept, level->i);
        else
            engine->f[engine->known++] = 1;
    }
    level->choice = choice;
    if (whole && choice > level->i && engine->watch && !watch_waits(engine->watch, choice)) {
        /* All that follow are canonical. */
        level->next = level->last + 1;
        walk->i = choice;
        walk->own = false;
        return CHILD;
    }
    walk->i = choice + 1;
    return take_item(engine, stop, level->proofs) ? CHILD : REFUSED;
}

/* Visit the next child. bound: the choice to stop before; past: or only after; whole: one may stand for several. */
static Visit visit(Walk *walk, Level *level, int64_t bound, bool past, bool whole) {
    Engine *engine = &walk->engine;
    bool item = walk->plan->role[level->i] == ITEM;
    if (level->bad || level->next > level->last) {
        if (level->bad || level->next != -1) return NO_CHILD;
    }
    if (level->next >= bound && (!past || level->next > bound)) return BEYOND;
    walk->own = true;
    if (item) {
        int32_t choice = level->next;
        Visit found = visit_item(walk, level, whole);
        if (found == CHILD) level->choice = choice;
        return found;
    }
    level->choice = level->next++;
    rewind_to(engine, level->i);
    walk->i = level->i + 1;
    engine->work++;
    if (walk->plan->role[level->i] == ORDER && is_used(walk, level->i, level->choice)) return REFUSED;
    return enter(engine, (Value)level->choice, level->proofs) ? CHILD : REFUSED;
}

/* ---- from event to event ---- */

/* How many choices the path to the children of the top level has in common with the stop; -1 when it is past it. */
static int32_t common(const Walk *walk, const Path *stop) {
    if (stop->length < 0) return -2;
    for (int32_t k = 0; k + 1 < walk->depth; k++) {
        if (k == stop->length || walk->levels[k].choice > stop->choices[k]) return -1;
        if (walk->levels[k].choice < stop->choices[k]) return k;
    }
    return stop->length < walk->depth ? -1 : walk->depth - 1;
}

static int32_t first_choice(const Walk *walk) {
    return walk->replaying && walk->depth < walk->start.length ? walk->start.choices[walk->depth] : FIRST;
}

/* The root; EVENT when it is one, TIRED when there is more to do. */
static Step begin(Walk *walk, const Path *stop) {
    if (walk->plan->empty) return OVER;
    if (stop->length == 0) return AT_STOP;
    walk->begun = true;
    walk->i = 0;
    walk->own = true;
    walk->length = 0;
    if (walk->plan->m == 0) return walk->replaying ? OVER : EVENT;
    if (!walk->replaying && stop->length < 0 && !engine_waits(&walk->engine, 0)) return EVENT;
    push(walk, 0, first_choice(walk));
    return TIRED;
}

/* What to do with a child that was just visited: whether it is an event, a place to go down, or neither. */
static Step meet(Walk *walk, bool inside) {
    int32_t m = walk->plan->m, level = walk->depth - 1;
    if (walk->replaying) {
        bool leads = walk->levels[level].choice == walk->start.choices[level];
        walk->replaying = leads && level + 1 < walk->start.length;
        if (walk->replaying && walk->i == m) {
            walk->replaying = false;
            return TIRED;
        }
    }
    walk->length = walk->depth;
    if (walk->i == m || !walk->own) return EVENT;
    if (!walk->replaying && !inside && !engine_waits(&walk->engine, walk->i)) return EVENT;
    push(walk, walk->i, first_choice(walk));
    return TIRED;
}

Step walk_next(Walk *walk, const Path *stop, uint64_t work_stop) {
    Engine *engine = &walk->engine;
    if (!walk->begun) {
        Step step = begin(walk, stop);
        if (step != TIRED) return step;
    }
    if (walk->depth == 0) return engine->trouble == FINE ? OVER : TROUBLE;
    int32_t same = common(walk, stop);
    if (same == -1) return AT_STOP;
    while (walk->depth && engine->trouble == FINE) {
        int32_t at = walk->depth - 1;
        Level *level = &walk->levels[at];
        if (same > at) same = at;
        bool bounded = same == at;
        int64_t bound = bounded ? stop->choices[at] : INT64_MAX;
        bool leads = walk->replaying && at + 1 < walk->start.length && level->next == walk->start.choices[at];
        switch (visit(walk, level, bound, bounded && at + 1 < stop->length, !bounded && !leads)) {
            case BEYOND: return AT_STOP;
            case NO_CHILD:
                walk->replaying = false;
                pop(walk);
                break;
            case REFUSED: break;
            case CHILD: {
                bool inside = bounded && level->choice == bound;
                if (inside) same = at + 1;
                Step step = meet(walk, inside);
                if (step != TIRED) return engine->trouble == FINE ? step : TROUBLE;
            }
        }
        if (engine->work > work_stop && engine->trouble == FINE) return TIRED;
    }
    return engine->trouble == FINE ? OVER : TROUBLE;
}

int32_t walk_path(const Walk *walk, int32_t at) { return walk->levels[at].choice; }

/* ---- beginning and end ---- */

static void reset(Walk *walk) {
    while (walk->depth) pop(walk);
    rewind_to(&walk->engine, 0);
    if (walk->engine.test) test_forget_proofs(walk->engine.test);
    walk->engine.trouble = FINE;
    walk->begun = walk->replaying = false;
    walk->i = walk->length = 0;
    walk->own = true;
}

Trouble walk_init(Walk *walk, const Plan *plan, const Rows *rows, const Tables *tables) {
    *walk = (Walk){.plan = plan, .own = true};
    walk->engine = (Engine){.plan = plan, .automorphisms = plan->group_order, .kernel = plan->group_order};
    walk->engine.f = fetch((size_t)plan->m + 1, sizeof(Value));
    if (rows) {
        walk->engine.watch = watch_new(plan, rows);
        walk->engine.kernel = rows->kernel;
    } else {
        walk->engine.test = test_new(plan, tables);
    }
    return walk->engine.f && (walk->engine.watch || walk->engine.test) ? FINE : NO_MEMORY;
}

void walk_clear(Walk *walk) {
    for (int32_t k = 0; k < walk->room; k++) {
        release(walk->levels[k].marks);
        release(walk->levels[k].proofs);
    }
    release(walk->levels);
    release(walk->start.choices);
    release(walk->engine.f);
    watch_free(walk->engine.watch);
    test_free(walk->engine.test);
    *walk = (Walk){0};
}

void walk_seek(Walk *walk, int32_t *choices, int32_t length) {
    reset(walk);
    release(walk->start.choices);
    walk->start = (Path){choices, length};
    walk->replaying = length > 0;
}

/* ---- looking at one node ---- */

static bool add_choice(Look *look, int32_t choice) {
    if (look->count == look->room) {
        int32_t more = look->room ? look->room * 2 : 64;
        int32_t *choices = enlarge(look->choices, (size_t)more, sizeof *choices);
        if (!choices) return false;
        look->choices = choices;
        look->room = more;
    }
    look->choices[look->count++] = choice;
    return true;
}

/* Go to the node of a path; what is on the way already is kept. */
static Looked go_to(Walk *walk, const int32_t *path, int32_t length, int32_t *i) {
    int32_t same = 0;
    while (same < walk->depth && same < length && walk->levels[same].choice == path[same]) same++;
    *i = same < walk->depth ? walk->levels[same].i : walk->i;
    while (walk->depth > same) pop(walk);
    if (walk->engine.test) test_forget_proofs(walk->engine.test);
    for (int32_t k = same; k < length; k++) {
        if (*i == walk->plan->m || !push(walk, *i, path[k])) return NO_SUCH_NODE;
        Level *level = &walk->levels[k];
        if (level->next != path[k] || visit(walk, level, INT64_MAX, false, false) != CHILD) {
            pop(walk);
            return NO_SUCH_NODE;
        }
        *i = walk->i;
    }
    walk->i = *i;
    return LOOKED;
}

Looked walk_look(Walk *walk, const int32_t *path, int32_t length, Look *look) {
    Engine *engine = &walk->engine;
    if (walk->plan->empty && length > 0) return NO_SUCH_NODE;
    Looked looked = go_to(walk, path, length, &look->i);
    if (looked == LOOKED) {
        look->free = walk->plan->empty || !engine_waits(engine, look->i);
        if (!look->free && push(walk, look->i, FIRST)) {
            Level *level = &walk->levels[walk->depth - 1];
            Visit found = REFUSED;
            while (found != NO_CHILD && engine->trouble == FINE) {
                found = visit(walk, level, INT64_MAX, false, false);
                if (found == CHILD && !add_choice(look, level->choice)) engine->trouble = NO_MEMORY;
            }
            pop(walk);
            walk->i = look->i;
        }
    }
    if (engine->trouble != FINE) looked = LOOK_TROUBLE;
    /* Where it went wrong, the next look begins anew. */
    if (looked != LOOKED) {
        Trouble trouble = engine->trouble;
        reset(walk);
        engine->trouble = trouble;
    }
    return looked;
}
