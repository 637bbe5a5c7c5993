/* Cells: a partition of the slots, and the orbits of positions and values under permutations inside the cells. */
#include "tables.h"

#include <string.h>

/* When more than that is remembered, all is forgotten. */
#define CACHE_BYTES_MAX ((size_t)1 << 26)

Trouble cells_init(CellCache *cache, const Tables *tables) {
    size_t points = (size_t)tables->plan->m + tables->plan->values + 1;
    *cache = (CellCache){.tables = tables, .room = 64};
    cache->known = fetch(cache->room, sizeof *cache->known);
    cache->joined = fetch(points, sizeof *cache->joined);
    cache->next = fetch(points, sizeof *cache->next);
    cache->members = fetch(points, sizeof *cache->members);
    return cache->known && cache->joined && cache->next && cache->members ? FINE : NO_MEMORY;
}

static void cells_free(Cells *cells) {
    if (!cells) return;
    release(cells->places);
    release(cells->reaches);
    release(cells->orbits);
    release(cells);
}

static void forget(CellCache *cache) {
    for (size_t at = 0; at < cache->room; at++) {
        cells_free(cache->known[at]);
        cache->known[at] = NULL;
    }
    cache->used = cache->bytes = 0;
}

void cells_clear(CellCache *cache) {
    if (cache->known) forget(cache);
    release(cache->known);
    release(cache->joined);
    release(cache->next);
    release(cache->members);
    *cache = (CellCache){0};
}

/* Permutations of count points; table(i) is that of the swap of slots i and i + 1. */
typedef struct {
    const Plan *plan;
    uint64_t begins;
    const uint8_t *cell_of;
    const uint8_t *sizes;
    uint32_t count;
    const Position *positions; /* one of these two */
    const Value *values;
    const Value *alphabet_start;
} Points;

static inline bool swaps(const Points *points, int32_t i) {
    return i + 1 < points->plan->slots && !(points->begins >> (i + 1) & 1);
}

static inline uint32_t swapped(const Points *points, int32_t i, uint32_t x) {
    if (points->positions) return points->positions[(size_t)i * points->count + x];
    return points->values[(size_t)i * points->count + x] + points->alphabet_start[x];
}

static uint32_t root(uint32_t *joined, uint32_t x) {
    while (joined[x] != x) x = joined[x] = joined[joined[x]];
    return x;
}

/* The orbits as lists: joined[x] is the least of the orbit of x, next[x] the one after x or UINT32_MAX. */
static void find_orbits(const Points *points, uint32_t *joined, uint32_t *next, uint32_t *last) {
    for (uint32_t x = 0; x < points->count; x++) joined[x] = x;
    for (int32_t i = 0; i < points->plan->slots; i++) {
        if (!swaps(points, i)) continue;
        for (uint32_t x = 0; x < points->count; x++) {
            uint32_t y = swapped(points, i, x);
            if (y <= x) continue;
            uint32_t a = root(joined, x), b = root(joined, y);
            if (a < b)
                joined[b] = a;
            else
                joined[a] = b;
        }
    }
    for (uint32_t x = 0; x < points->count; x++) {
        uint32_t least = root(joined, x);
        next[x] = UINT32_MAX;
        if (least != x) next[last[least]] = x;
        last[least] = x;
    }
}

typedef struct {
    int32_t first; /* the first cell that moves the orbit */
    int32_t row;   /* the cell whose slots it stands for in order, or -1 */
} Moved;

static Moved cells_moving(const Points *points, const uint32_t *next, uint32_t least, uint32_t size) {
    Moved moved = {-1, -1};
    bool several = false;
    for (int32_t i = 0; i < points->plan->slots; i++) {
        if (!swaps(points, i)) continue;
        bool moves = false;
        for (uint32_t x = least; x != UINT32_MAX && !moves; x = next[x]) moves = swapped(points, i, x) != x;
        if (!moves) continue;
        if (moved.first < 0)
            moved.first = points->cell_of[i];
        else
            several |= moved.first != points->cell_of[i];
    }
    if (several || points->sizes[moved.first] != size) return moved;
    int32_t i = moved.first;
    for (uint32_t x = least; next[x] != UINT32_MAX; x = next[x], i++)
        if (swapped(points, i, x) != next[x]) return moved;
    moved.row = moved.first;
    return moved;
}

static void fill_places(Cells *cells, const Points *points, const CellCache *cache) {
    uint32_t used = 0;
    for (uint32_t least = 0; least < points->count; least++) {
        if (cache->joined[least] != least) continue;
        uint32_t size = 0, highest = least;
        Position *orbit = cells->orbits + used;
        for (uint32_t x = least; x != UINT32_MAX; x = cache->next[x]) {
            orbit[size++] = (Position)x;
            highest = x;
        }
        if (size == 1) {
            cells->places[least] = (Place){NULL, 1, -1, -1};
            continue;
        }
        used += size;
        Moved moved = cells_moving(points, cache->next, least, size);
        if (highest - least != size - 1) moved.row = -1;
        for (uint32_t x = least; x != UINT32_MAX; x = cache->next[x]) {
            int32_t cell = moved.first;
            for (int32_t i = 0; i < points->plan->slots; i++)
                if (swaps(points, i) && swapped(points, i, x) != x) {
                    cell = points->cell_of[i];
                    break;
                }
            cells->places[x] = (Place){orbit, (uint16_t)size, (int8_t)moved.row, (int8_t)cell};
        }
    }
}

static void fill_reaches(Cells *cells, const Points *points, const CellCache *cache) {
    for (uint32_t least = 0; least < points->count; least++) {
        if (cache->joined[least] != least) continue;
        uint32_t size = 0;
        for (uint32_t x = least; x != UINT32_MAX; x = cache->next[x]) size++;
        Moved moved = {-1, -1};
        if (size > 1) moved = cells_moving(points, cache->next, least, size);
        int32_t t = 0;
        for (uint32_t x = least; x != UINT32_MAX; x = cache->next[x], t++) {
            int32_t slot = moved.row >= 0 ? moved.row + t : -1;
            cells->reaches[x] = (Reach){least - points->alphabet_start[least], (int8_t)slot, (int8_t)moved.first};
        }
    }
}

static Cells *compute(CellCache *cache, uint64_t begins) {
    const Tables *tables = cache->tables;
    const Plan *plan = tables->plan;
    Cells *cells = fetch(1, sizeof *cells);
    if (!cells) return NULL;
    cells->begins = begins;
    cells->places = fetch((size_t)plan->m, sizeof *cells->places);
    cells->orbits = fetch((size_t)plan->m, sizeof *cells->orbits);
    cells->reaches = fetch(plan->values, sizeof *cells->reaches);
    if (!cells->places || !cells->orbits || !cells->reaches) {
        cells_free(cells);
        return NULL;
    }
    uint8_t cell_of[SLOTS_MAX], cell = 0;
    for (int32_t i = 0; i < plan->slots; i++) {
        if (begins >> i & 1) cell = (uint8_t)i;
        cell_of[i] = cell;
        cells->sizes[cell]++;
    }
    Points positions = {plan, begins, cell_of, cells->sizes, (uint32_t)plan->m, plan->swap_src, NULL, NULL};
    find_orbits(&positions, cache->joined, cache->next, cache->members);
    fill_places(cells, &positions, cache);
    Points values = {plan, begins, cell_of, cells->sizes, plan->values, NULL, plan->swap_values, tables->alphabet_start};
    find_orbits(&values, cache->joined, cache->next, cache->members);
    fill_reaches(cells, &values, cache);
    return cells;
}

static void put(Cells **known, size_t room, Cells *cells) {
    size_t at = cells_hash(cells->begins, room);
    while (known[at]) at = (at + 1) & (room - 1);
    known[at] = cells;
}

const Cells *cells_make(CellCache *cache, uint64_t begins) {
    const Plan *plan = cache->tables->plan;
    size_t bytes = sizeof(Cells) + (size_t)plan->m * (sizeof(Place) + sizeof(Position)) + plan->values * sizeof(Reach);
    if (cache->bytes + bytes > CACHE_BYTES_MAX) forget(cache);
    if (2 * (cache->used + 1) > cache->room) {
        Cells **known = fetch(2 * cache->room, sizeof *known);
        if (!known) return NULL;
        for (size_t at = 0; at < cache->room; at++)
            if (cache->known[at]) put(known, 2 * cache->room, cache->known[at]);
        release(cache->known);
        cache->known = known;
        cache->room *= 2;
    }
    Cells *cells = compute(cache, begins);
    if (!cells) return NULL;
    put(cache->known, cache->room, cells);
    cache->used++;
    cache->bytes += bytes;
    return cells;
}
