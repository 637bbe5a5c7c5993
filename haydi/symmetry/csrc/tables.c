/* Where renamings take positions and values, without a table for each renaming.
 *
 * What a position stands for depends on a few atoms only: its *base*. Two slots are alike for a position when
 * swapping them leaves it in its place; the base is, of each USet, all slots but the largest class of slots that
 * are alike. A renaming takes the position to where it takes the base, so one table for each orbit of positions,
 * indexed by the images of the base, tells for all renamings. The same goes for values.
 */
#include "tables.h"

/* Entries of one table, and of all of them. */
#define TABLE_MAX ((uint64_t)1 << 20)
#define TABLES_MAX ((uint64_t)1 << 22)

typedef struct {
    const Plan *plan;
    int32_t count;       /* of points: positions or values */
    bool positions;
    Spot *spots;
    Tables *tables;
    uint64_t *used;
} Build;

static uint32_t adjacent(const Build *build, int32_t i, uint32_t x) {
    const Plan *plan = build->plan;
    if (build->positions) return plan->swap_src[(size_t)i * (size_t)plan->m + x];
    /* Values of all alphabets are numbered on; the table of a swap has them alphabet by alphabet. */
    return plan->swap_values[(size_t)i * plan->values + x] + (uint32_t)build->tables->alphabet_start[x];
}

/* The image of a point when the atoms of two slots of one USet are swapped. */
static uint32_t transposed(const Build *build, int32_t i, int32_t j, uint32_t x) {
    if (i > j) {
        int32_t k = i;
        i = j;
        j = k;
    }
    for (int32_t k = i; k < j; k++) x = adjacent(build, k, x);
    for (int32_t k = j - 2; k >= i; k--) x = adjacent(build, k, x);
    return x;
}

/* The base of a point; false when it is too large. */
static bool find_base(const Build *build, uint32_t x, Spot *spot) {
    const Plan *plan = build->plan;
    spot->rank = 0;
    for (int32_t start = 0; start < plan->slots; start = plan->slot_stop[start]) {
        int32_t stop = plan->slot_stop[start], class_of[SLOTS_MAX], sizes[SLOTS_MAX] = {0}, largest = start;
        for (int32_t b = start; b < stop; b++) {
            class_of[b] = b;
            for (int32_t a = start; a < b; a++)
                if (class_of[a] == a && transposed(build, a, b, x) == x) {
                    class_of[b] = a;
                    break;
                }
            sizes[class_of[b]]++;
        }
        for (int32_t b = start; b < stop; b++)
            if (sizes[b] >= sizes[largest]) largest = b;
        for (int32_t b = start; b < stop; b++) {
            if (class_of[b] == largest) continue;
            if (spot->rank == RANK_MAX) return false;
            spot->slots[spot->rank++] = (uint8_t)b;
        }
    }
    return true;
}

/* All images of a point, by those of its base: base slots before `level` have been put in their places. */
static void fill(const Build *build, const Spot *base, uint32_t *table, int32_t level, uint32_t x, Spot *spot,
                 uint64_t index) {
    const Plan *plan = build->plan;
    if (level == base->rank) {
        table[index] = x;
        if (!build->spots[x].table) {
            build->spots[x] = *spot;
            build->spots[x].table = table;
        }
        return;
    }
    int32_t from = spot->slots[level];
    for (int32_t to = plan->slot_start[from]; to < plan->slot_stop[from]; to++) {
        bool taken = false;
        for (int32_t k = 0; k < level; k++) taken |= spot->slots[k] == to;
        if (taken) continue;
        Spot moved = *spot;
        for (int32_t k = level; k < base->rank && k < RANK_MAX; k++)
            if (moved.slots[k] == to)
                moved.slots[k] = (uint8_t)from;
            else if (moved.slots[k] == from)
                moved.slots[k] = (uint8_t)to;
        fill(build, base, table, level + 1, transposed(build, from, to, x), &moved,
             index * (uint64_t)plan->slots + (uint64_t)to);
    }
}

static Trouble make_spots(Build *build, bool *unfit) {
    Tables *tables = build->tables;
    for (int32_t x = 0; x < build->count; x++) {
        if (build->spots[x].table) continue;
        Spot base = {0};
        if (!find_base(build, (uint32_t)x, &base)) {
            *unfit = true;
            return FINE;
        }
        uint64_t size = 1;
        for (int32_t k = 0; k < base.rank && size <= TABLE_MAX; k++) size *= (uint64_t)build->plan->slots;
        *build->used += size;
        if (size > TABLE_MAX || *build->used > TABLES_MAX) {
            *unfit = true;
            return FINE;
        }
        uint32_t *table = fetch(size, sizeof *table);
        uint32_t **blocks = enlarge(tables->blocks, tables->n_blocks + 1, sizeof *blocks);
        if (blocks) tables->blocks = blocks;
        if (!table || !blocks) {
            release(table);
            return NO_MEMORY;
        }
        tables->blocks[tables->n_blocks++] = table;
        Spot spot = base;
        fill(build, &base, table, 0, (uint32_t)x, &spot, 0);
    }
    return FINE;
}

/* For each pair of slots of one USet, the pairs of positions that swapping their atoms swaps. */
static Trouble make_pairs(Tables *tables) {
    const Plan *plan = tables->plan;
    Build build = {.plan = plan, .count = plan->m, .positions = true};
    size_t slots = (size_t)plan->slots, used = 0, room = 0;
    tables->pairs_at = fetch(slots * slots + 1, sizeof *tables->pairs_at);
    if (!tables->pairs_at) return NO_MEMORY;
    for (size_t a = 0; a < slots; a++)
        for (size_t b = 0; b < slots; b++) {
            tables->pairs_at[a * slots + b] = used;
            if (a >= b || plan->uset_of[a] != plan->uset_of[b]) continue;
            for (int32_t p = 0; p < plan->m; p++) {
                int32_t q = (int32_t)transposed(&build, (int32_t)a, (int32_t)b, (uint32_t)p);
                if (q <= p) continue;
                if (used == room) {
                    size_t more = room ? room * 2 : 256;
                    Pair *moved = enlarge(tables->pairs, more, sizeof *moved);
                    if (!moved) return NO_MEMORY;
                    tables->pairs = moved;
                    room = more;
                }
                tables->pairs[used++] = (Pair){(Position)p, (Position)q};
            }
        }
    tables->pairs_at[slots * slots] = used;
    return FINE;
}

static Trouble fill_tables(Tables *tables, bool *unfit) {
    const Plan *plan = tables->plan;
    uint64_t used = 0;
    tables->places = fetch((size_t)plan->m, sizeof *tables->places);
    tables->values = fetch(plan->values, sizeof *tables->values);
    tables->alphabet_start = fetch(plan->values, sizeof *tables->alphabet_start);
    if (!tables->places || !tables->values || !tables->alphabet_start) return NO_MEMORY;
    for (int32_t a = 0; a < plan->n_alphabets; a++)
        for (Value v = 0; plan->moving[a] && v < plan->alphabet_size[a]; v++)
            tables->alphabet_start[plan->values_at[a] + v] = plan->values_at[a];
    Build places = {plan, plan->m, true, tables->places, tables, &used};
    Trouble trouble = make_spots(&places, unfit);
    if (trouble != FINE || *unfit) return trouble;
    Build values = {plan, (int32_t)plan->values, false, tables->values, tables, &used};
    trouble = make_spots(&values, unfit);
    if (trouble != FINE || *unfit) return trouble;
    return make_pairs(tables);
}

Tables *tables_new(const Plan *plan, Trouble *trouble, bool *unfit) {
    *unfit = plan->m > TEST_POSITIONS_MAX || plan->values > TEST_VALUES_MAX || plan->group_order == COUNT_MAX;
    *trouble = FINE;
    if (*unfit) return NULL;
    Tables *tables = fetch(1, sizeof *tables);
    if (!tables) {
        *trouble = NO_MEMORY;
        return NULL;
    }
    tables->plan = plan;
    *trouble = fill_tables(tables, unfit);
    if (*trouble == FINE && !*unfit) return tables;
    tables_free(tables);
    return NULL;
}

void tables_free(Tables *tables) {
    if (!tables) return;
    for (size_t k = 0; k < tables->n_blocks; k++) release(tables->blocks[k]);
    release(tables->blocks);
    release(tables->places);
    release(tables->values);
    release(tables->alphabet_start);
    release(tables->pairs_at);
    release(tables->pairs);
    release(tables);
}
