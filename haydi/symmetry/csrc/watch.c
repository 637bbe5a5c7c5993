/* Kernel W; see haydi/symmetry/watch.py for how it works.
 *
 * Rows are sorted by src, so those that look at the same positions first stand together. An Entry is such a run of
 * rows, which are equal before p, and waits on position max(p, src[p]). Where values move, the rows of a run do
 * different things to them, and each goes on by itself.
 */
#include "kernel.h"

#include <string.h>

typedef struct {
    uint32_t lo, hi, p;
} Entry;

typedef struct {
    Entry *entries;
    uint32_t count, room;
} List;

typedef struct {
    uint32_t list;
    Entry entry;
} Kept;

struct Watch {
    const Plan *plan;
    const Rows *rows;
    List *lists;
    uint32_t *trail; /* the lists that something was put on */
    size_t trailed, trail_room;
    Entry *todo;
    size_t todo_room;
    size_t *mark;      /* how long the trail was when a position became known */
    uint64_t *waiting; /* how many wait on positions from i on */
    uint64_t found;    /* automorphisms but the identity */
    Kept *kept;        /* blocks of replay(), one after another */
    size_t kept_used, kept_room;
    uint64_t *offsets; /* where the part of each position begins, and what waited then */
    size_t offsets_used, offsets_room;
};

void watch_free(Watch *watch) {
    if (!watch) return;
    for (int32_t i = 0; watch->lists && i < watch->plan->m; i++) release(watch->lists[i].entries);
    release(watch->lists);
    release(watch->trail);
    release(watch->todo);
    release(watch->mark);
    release(watch->waiting);
    release(watch->kept);
    release(watch->offsets);
    release(watch);
}

/* Room for one more thing in a growing block; false, and trouble, when there is none. */
#define GROW(block, room, used, engine) \
    ((used) < (room) || ((block) = grown(block, &(room), sizeof *(block), engine), (used) < (room)))

static void *grown(void *block, size_t *room, size_t size, Engine *engine) {
    size_t more = *room ? *room * 2 : 64;
    void *moved = enlarge(block, more, size);
    if (!moved) {
        engine->trouble = NO_MEMORY;
        return block;
    }
    *room = more;
    return moved;
}

static void put_to_wait(Watch *watch, Engine *engine, uint32_t list, Entry entry) {
    List *on = &watch->lists[list];
    if (on->count == on->room) {
        uint32_t more = on->room ? on->room * 2 : 8;
        Entry *moved = enlarge(on->entries, more, sizeof *moved);
        if (!moved) {
            engine->trouble = NO_MEMORY;
            return;
        }
        on->entries = moved;
        on->room = more;
    }
    if (!GROW(watch->trail, watch->trail_room, watch->trailed, engine)) return;
    on->entries[on->count++] = entry;
    watch->trail[watch->trailed++] = list;
}

/* The end of the rows from lo on that have q at column p, all before hi; row lo has. */
static uint32_t run_end(const Watch *watch, uint32_t lo, uint32_t hi, int32_t p, Position q) {
    size_t m = (size_t)watch->plan->m;
    const Position *column = watch->rows->src + p;
    if (column[(hi - 1) * m] == q) return hi;
    uint32_t has = lo, hasnt = hi - 1, step = 1;
    while (has + step < hasnt && column[(has + step) * m] == q) {
        has += step;
        step *= 2;
    }
    if (has + step < hasnt) hasnt = has + step;
    while (hasnt - has > 1) {
        uint32_t middle = has + (hasnt - has) / 2;
        if (column[middle * m] == q)
            has = middle;
        else
            hasnt = middle;
    }
    return hasnt;
}

/* Rows that are equal before p, parted by what they look at there; i: the last position known. */
static size_t split(Watch *watch, Engine *engine, uint32_t lo, uint32_t hi, int32_t p, int32_t i, size_t waiting) {
    size_t m = (size_t)watch->plan->m;
    while (lo < hi) {
        Position q = watch->rows->src[lo * m + (size_t)p];
        uint32_t end = hi - lo == 1 ? hi : run_end(watch, lo, hi, p, q);
        Entry entry = {lo, end, (uint32_t)p};
        int32_t on = q > p ? q : p;
        if (on > i)
            put_to_wait(watch, engine, (uint32_t)on, entry);
        else if (GROW(watch->todo, watch->todo_room, waiting, engine))
            watch->todo[waiting++] = entry;
        lo = end;
    }
    return waiting;
}

Watch *watch_new(const Plan *plan, const Rows *rows) {
    Watch *watch = fetch(1, sizeof *watch);
    if (!watch) return NULL;
    size_t m = (size_t)plan->m;
    watch->plan = plan;
    watch->rows = rows;
    watch->lists = fetch(m, sizeof *watch->lists);
    watch->mark = fetch(m + 1, sizeof *watch->mark);
    watch->waiting = fetch(m + 1, sizeof *watch->waiting);
    Engine engine = {.trouble = FINE};
    if (watch->lists && watch->mark && watch->waiting) {
        if (m) split(watch, &engine, 0, rows->count, 0, -1, 0);
        watch->waiting[0] = watch->trailed;
        watch->trailed = 0; /* these are never taken back */
        if (engine.trouble == FINE) return watch;
    }
    watch_free(watch);
    return NULL;
}

bool watch_waits(const Watch *watch, int32_t i) { return watch->waiting[i] != 0; }

/* Go on with a single row from position p on, where it is equal before p. */
static bool follow(Watch *watch, Engine *engine, uint32_t row, int32_t p, int32_t i) {
    const Plan *plan = watch->plan;
    const Position *src = watch->rows->src + (size_t)row * (size_t)plan->m;
    const Value *values = watch->rows->values + (size_t)row * plan->values, *f = engine->f;
    for (; p < plan->m; p++) {
        int32_t q = src[p], on = q > p ? q : p;
        if (on > i) {
            put_to_wait(watch, engine, (uint32_t)on, (Entry){row, row + 1, (uint32_t)p});
            return true;
        }
        engine->work++;
        Value a = f[q];
        if (!plan->fixed) {
            uint16_t kind = plan->kind[p];
            if (plan->moving[kind]) a = values[plan->values_at[kind] + a];
        }
        if (a != f[p]) return a > f[p];
    }
    watch->found++;
    return true;
}

static bool compare(Watch *watch, Engine *engine, Entry entry, int32_t i) {
    const Plan *plan = watch->plan;
    const Value *f = engine->f;
    size_t todo = 0;
    for (;;) {
        int32_t p = (int32_t)entry.p;
        uint16_t kind = plan->kind[p];
        if (entry.hi - entry.lo == 1) {
            if (!follow(watch, engine, entry.lo, p, i)) return false;
        } else {
            engine->work++;
            Value a = f[watch->rows->src[(size_t)entry.lo * (size_t)plan->m + (size_t)p]], b = f[p];
            if (!plan->moving[kind]) {
                if (a < b) return false;
                if (a == b) {
                    if (p + 1 == plan->m)
                        watch->found += entry.hi - entry.lo;
                    else
                        todo = split(watch, engine, entry.lo, entry.hi, p + 1, i, todo);
                }
            } else {
                const Value *moved = watch->rows->values + plan->values_at[kind] + a;
                for (uint32_t row = entry.lo; row < entry.hi; row++) {
                    Value c = moved[(size_t)row * plan->values];
                    if (c < b || (c == b && !follow(watch, engine, row, p + 1, i))) return false;
                }
                engine->work += entry.hi - entry.lo;
            }
        }
        if (!todo) return true;
        entry = watch->todo[--todo];
    }
}

void watch_rewind(Watch *watch, Engine *engine, int32_t to) {
    if (to >= engine->known) return;
    while (watch->trailed > watch->mark[to]) watch->lists[watch->trail[--watch->trailed]].count--;
    engine->known = to;
}

bool watch_advance(Watch *watch, Engine *engine, Value value) {
    int32_t i = engine->known;
    engine->f[i] = value;
    List *list = &watch->lists[i];
    watch->mark[i] = watch->trailed;
    watch->found = 0;
    engine->known = i + 1;
    engine->work++;
    /* Nothing is put on this list meanwhile: comparisons move to later positions only. */
    for (uint32_t k = 0; k < list->count; k++)
        if (!compare(watch, engine, list->entries[k], i)) {
            watch_rewind(watch, engine, i);
            return false;
        }
    watch->waiting[i + 1] = watch->waiting[i] - list->count + (watch->trailed - watch->mark[i]);
    engine->automorphisms = (watch->found + 1) * watch->rows->kernel;
    return true;
}

bool watch_spine(Watch *watch, Engine *engine, int32_t stop) {
    int32_t start = engine->known;
    while (engine->known < stop && watch->waiting[engine->known])
        if (!watch_advance(watch, engine, 1)) {
            watch_rewind(watch, engine, start);
            return false;
        }
    if (engine->known == stop) return true;
    for (int32_t i = engine->known; i < stop; i++) {
        engine->f[i] = 1;
        watch->mark[i] = watch->trailed;
        watch->waiting[i + 1] = 0;
    }
    engine->known = stop;
    engine->automorphisms = watch->rows->kernel;
    return true;
}

int64_t watch_keep(Watch *watch, Engine *engine, int32_t i) {
    int32_t solid = i; /* from here on nothing waited, and there is nothing to keep */
    while (solid < engine->known && watch->waiting[solid]) solid++;
    size_t block = watch->offsets_used, count = watch->trailed - watch->mark[i], length = 2 + 2 * (size_t)(solid - i);
    while (count && !GROW(watch->kept, watch->kept_room, watch->kept_used + count - 1, engine))
        if (engine->trouble != FINE) return -1;
    while (!GROW(watch->offsets, watch->offsets_room, block + length - 1, engine))
        if (engine->trouble != FINE) return -1;
    uint64_t *offsets = watch->offsets + block;
    offsets[0] = (uint64_t)solid;
    offsets[1] = watch->kept_used;
    for (int32_t k = i; k < solid; k++) {
        size_t end = k + 1 < engine->known ? watch->mark[k + 1] : watch->trailed;
        offsets[2 + 2 * (k - i)] = watch->kept_used + (end - watch->mark[i]);
        offsets[3 + 2 * (k - i)] = watch->waiting[k + 1];
    }
    for (size_t k = count; k-- > 0;) {
        uint32_t list = watch->trail[--watch->trailed];
        watch->kept[watch->kept_used + k] = (Kept){list, watch->lists[list].entries[--watch->lists[list].count]};
    }
    watch->kept_used += count;
    watch->offsets_used += length;
    engine->known = i;
    return (int64_t)block;
}

void watch_replay(Watch *watch, Engine *engine, int64_t kept, int32_t i) {
    const uint64_t *offsets = watch->offsets + kept;
    int32_t at = engine->known;
    engine->f[at] = 1;
    engine->known = at + 1;
    watch->mark[at] = watch->trailed;
    watch->waiting[at + 1] = 0;
    if (at >= (int32_t)offsets[0]) return;
    uint64_t from = at == i ? offsets[1] : offsets[2 * (at - i)], to = offsets[2 + 2 * (at - i)];
    for (uint64_t k = from; k < to; k++) put_to_wait(watch, engine, watch->kept[k].list, watch->kept[k].entry);
    watch->waiting[at + 1] = offsets[3 + 2 * (at - i)];
}

void watch_forget(Watch *watch, int64_t kept) {
    watch->kept_used = watch->offsets[kept + 1];
    watch->offsets_used = (size_t)kept;
}
