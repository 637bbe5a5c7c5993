/* Many events at once: vectors, or their number alone. */
#include "kernel.h"

#include <string.h>

/* Lumps of up to so many vectors are written out here, if that goes no deeper. */
#define LUMP_MAX 256
#define DEPTH_MAX 512

static uint64_t hash(uint64_t key) { return (key * 0x9E3779B97F4A7C15u) >> 20; }

static void histogram_put(Histogram *histogram, uint64_t key, uint64_t count) {
    size_t at = hash(key) & (histogram->room - 1);
    while (histogram->keys[at] && histogram->keys[at] != key) at = (at + 1) & (histogram->room - 1);
    histogram->used += histogram->keys[at] == 0;
    histogram->keys[at] = key;
    histogram->counts[at] += count;
}

/* Keys are numbers of automorphisms, and never 0. */
bool histogram_add(Histogram *histogram, uint64_t key, uint64_t count) {
    if (2 * (histogram->used + 1) > histogram->room) {
        size_t room = histogram->room ? 2 * histogram->room : 64;
        Histogram larger = {fetch(room, sizeof(uint64_t)), fetch(room, sizeof(uint64_t)), 0, room};
        if (!larger.keys || !larger.counts) {
            histogram_clear(&larger);
            return false;
        }
        for (size_t at = 0; at < histogram->room; at++)
            if (histogram->keys[at]) histogram_put(&larger, histogram->keys[at], histogram->counts[at]);
        histogram_clear(histogram);
        *histogram = larger;
    }
    histogram_put(histogram, key, count);
    return true;
}

void histogram_clear(Histogram *histogram) {
    release(histogram->keys);
    release(histogram->counts);
    *histogram = (Histogram){0};
}

/* ---- vectors ---- */

static void write_vector(Batch *batch, const Value *f, int32_t m, uint64_t automorphisms) {
    size_t at = (size_t)batch->count * (size_t)m;
    if (batch->entry_bytes == 1) {
        uint8_t *to = batch->vectors + at;
        for (int32_t p = 0; p < m; p++) to[p] = (uint8_t)f[p];
    } else if (m) {
        memcpy(batch->vectors + at * sizeof(Value), f, (size_t)m * sizeof(Value));
    }
    batch->automorphisms[batch->count++] = automorphisms;
}

/* All vectors that begin with f[:i]. Entries from i on are overwritten; `inside` counts the items of the Set at i. */
typedef struct {
    const Plan *plan;
    Value *f;
    Batch *batch;
    uint64_t automorphisms;
} Writer;

static void write_all(const Writer *writer, int32_t i, int32_t inside, bool own);

static void write_items(const Writer *writer, int32_t i, int32_t inside, bool own) {
    const SetNode *node = &writer->plan->sets[writer->plan->node_of[i]];
    Value *f = writer->f;
    for (int32_t k = i; k < node->stop; k++) f[k] = 1;
    if (own && inside >= node->size_min) write_all(writer, node->stop, 0, true);
    if (inside >= node->size_max) return;
    int32_t missing = node->size_min - inside, last = node->stop - (missing > 1 ? missing : 1);
    for (int32_t at = i; at <= last; at++) {
        f[at] = 0;
        write_all(writer, at + 1, inside + 1, true);
        f[at] = 1;
    }
}

static void write_all(const Writer *writer, int32_t i, int32_t inside, bool own) {
    const Plan *plan = writer->plan;
    Value *f = writer->f;
    if (i == plan->m) {
        write_vector(writer->batch, f, plan->m, writer->automorphisms);
        return;
    }
    const SetNode *node = plan->role[i] == ENTRY || plan->role[i] == ORDER ? NULL : &plan->sets[plan->node_of[i]];
    if (node && i == node->first) inside = 0;
    int32_t first = 0, last = (int32_t)alphabet_at(plan, i) - 1;
    switch ((Role)plan->role[i]) {
        case ITEM: write_items(writer, i, inside, own); return;
        case SIZE: last = node->size_max - node->size_min; break;
        case BIT: {
            int32_t size = node->size_min + (node->sized ? (int32_t)f[node->start] : 0);
            first = size > inside ? 0 : 1;
            last = size - inside < node->stop - i ? 1 : 0;
            break;
        }
        case ORDER:
        case ENTRY: break;
    }
    for (int32_t v = first; v <= last; v++) {
        if (plan->role[i] == ORDER) {
            bool used = false;
            for (int32_t p = plan->orders[plan->node_of[i]].start; p < i && !used; p++) used = f[p] == (Value)v;
            if (used) continue;
        }
        f[i] = (Value)v;
        write_all(writer, i + 1, inside + (v == 0), true);
    }
}

/* The vectors of an event, if there is room for them; otherwise a lump. */
static bool write_event(Walk *walk, Batch *batch) {
    const Plan *plan = walk->plan;
    Engine *engine = &walk->engine;
    int32_t i = walk->i;
    if (i == plan->m) {
        write_vector(batch, engine->f, plan->m, engine->automorphisms);
        return true;
    }
    uint64_t count = plan_count(plan, engine->f, i, walk->own);
    if (count > LUMP_MAX || plan->m - i > DEPTH_MAX || count > (uint64_t)(batch->limit - batch->count)) return false;
    if (count == 0) return true;
    /* Of the engine's entries only those before i are in use, but for a Set whose end is known; leave them be. */
    Value saved[DEPTH_MAX];
    memcpy(saved, engine->f + i, (size_t)(plan->m - i) * sizeof *saved);
    int32_t inside = 0;
    if (plan->role[i] == ITEM || plan->role[i] == BIT)
        inside = zeros(engine->f, plan->sets[plan->node_of[i]].first, i);
    Writer writer = {plan, engine->f, batch, engine->kernel};
    write_all(&writer, i, inside, walk->own);
    memcpy(engine->f + i, saved, (size_t)(plan->m - i) * sizeof *saved);
    return true;
}

Step bulk_run(Walk *walk, const Path *stop, uint64_t work, Batch *batch) {
    uint64_t work_stop = walk->engine.work + work;
    batch->lump = false;
    while (batch->count < batch->limit) {
        Step step = walk_next(walk, stop, work_stop);
        if (step != EVENT) return step;
        walk->engine.work++;
        if (!write_event(walk, batch)) {
            batch->lump = true;
            return EVENT;
        }
        if (walk->engine.work > work_stop) return TIRED;
    }
    return EVENT;
}

Step bulk_count(Walk *walk, const Path *stop, uint64_t work, uint64_t *number, Histogram *histogram, bool *lump) {
    const Plan *plan = walk->plan;
    uint64_t work_stop = walk->engine.work + work, last = 0, times = 0;
    Step step;
    *lump = false;
    *number = 0;
    while ((step = walk_next(walk, stop, work_stop)) == EVENT) {
        uint64_t here = walk->i == plan->m ? 1 : plan_count(plan, walk->engine.f, walk->i, walk->own);
        uint64_t automorphisms = walk->i == plan->m ? walk->engine.automorphisms : walk->engine.kernel;
        /* Half of 64 bits are left for what comes until work is over. */
        if (here >> 62 || *number >> 62) { /* the caller counts these */
            *lump = true;
            break;
        }
        walk->engine.work++;
        *number += here;
        if (automorphisms != last) {
            if (times && !histogram_add(histogram, last, times)) walk->engine.trouble = NO_MEMORY;
            last = automorphisms;
            times = 0;
        }
        times += here;
        if (walk->engine.work > work_stop || walk->engine.trouble != FINE) break;
    }
    if (times && !histogram_add(histogram, last, times)) walk->engine.trouble = NO_MEMORY;
    return walk->engine.trouble == FINE ? step : TROUBLE;
}
