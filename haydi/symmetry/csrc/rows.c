/* All renamings of a layout, as rows, each action once; sorted, so that those which begin alike stand together.
 *
 * The symmetric group on k + 1 atoms falls into k + 1 cosets of that on k, and the products of adjacent swaps
 * s_k, s_k s_{k-1}, ... are representatives of them: each row costs one composition of tables.
 */
#include "kernel.h"

#include <string.h>

/* More than that is left to the Test. */
#define ROWS_BYTES_MAX ((uint64_t)1 << 28)

typedef struct {
    const Plan *plan;
    Position *src;
    Value *values;
    uint32_t count;
} Table;

static size_t src_width(const Plan *plan) { return (size_t)plan->m; }

uint64_t rows_bytes(const Plan *plan) {
    uint64_t row = (uint64_t)plan->m * sizeof(Position) + (uint64_t)plan->values * sizeof(Value) + 8;
    if (plan->group_order > ROWS_BYTES_MAX / row) return COUNT_MAX;
    return plan->group_order * row;
}

static Trouble table_make(Table *table, const Plan *plan, uint64_t count) {
    *table = (Table){plan, NULL, NULL, 0};
    table->src = fetch((size_t)count * src_width(plan), sizeof(Position));
    table->values = fetch((size_t)count * plan->values, sizeof(Value));
    return table->src && table->values ? FINE : NO_MEMORY;
}

static void table_clear(Table *table) {
    release(table->src);
    release(table->values);
}

/* Append the row of first `one`, then `other`. */
static void compose(Table *table, const Position *one, const Value *one_values, const Position *other,
                    const Value *other_values) {
    const Plan *plan = table->plan;
    Position *src = table->src + (size_t)table->count * src_width(plan);
    Value *values = table->values + (size_t)table->count * plan->values;
    for (int32_t p = 0; p < plan->m; p++) src[p] = one[other[p]];
    for (int32_t a = 0; a < plan->n_alphabets; a++) {
        if (!plan->moving[a]) continue;
        Value at = plan->values_at[a];
        for (Value v = 0; v < plan->alphabet_size[a]; v++) values[at + v] = other_values[at + one_values[at + v]];
    }
    table->count++;
}

static void append_identity(Table *table) {
    const Plan *plan = table->plan;
    for (int32_t p = 0; p < plan->m; p++) table->src[p] = (Position)p;
    for (int32_t a = 0; a < plan->n_alphabets; a++)
        for (Value v = 0; plan->moving[a] && v < plan->alphabet_size[a]; v++)
            table->values[plan->values_at[a] + v] = v;
    table->count = 1;
}

/* All renamings: after those of slots up to k are there, come their compositions with the coset representatives. */
static Trouble compose_all(Table *table) {
    const Plan *plan = table->plan;
    size_t m = src_width(plan), width = plan->values;
    append_identity(table);
    for (int32_t k = 0; k + 1 < plan->slots; k++) {
        if (plan->slot_stop[k] == k + 1) continue;
        Table cosets;
        int32_t first = plan->slot_start[k];
        Trouble trouble = table_make(&cosets, plan, (uint64_t)(k - first + 2));
        if (trouble == FINE) {
            append_identity(&cosets);
            for (int32_t j = k; j >= first; j--)
                compose(&cosets, cosets.src + (cosets.count - 1) * m, cosets.values + (cosets.count - 1) * width,
                        plan->swap_src + (size_t)j * m, plan->swap_values + (size_t)j * width);
            uint32_t members = table->count;
            for (uint32_t c = 1; c < cosets.count; c++)
                for (uint32_t one = 0; one < members; one++)
                    compose(table, table->src + one * m, table->values + one * width, cosets.src + c * m,
                            cosets.values + c * width);
        }
        table_clear(&cosets);
        if (trouble != FINE) return trouble;
    }
    return FINE;
}

static int row_order(const Table *table, uint32_t a, uint32_t b, int32_t from) {
    size_t m = src_width(table->plan), width = table->plan->values;
    for (int32_t p = from; p < table->plan->m; p++) {
        Position x = table->src[a * m + (size_t)p], y = table->src[b * m + (size_t)p];
        if (x != y) return x < y ? -1 : 1;
    }
    return width ? memcmp(table->values + a * width, table->values + b * width, width * sizeof(Value)) : 0;
}

static void sort_few(const Table *table, uint32_t *rows, uint32_t count, int32_t from) {
    for (uint32_t i = 1; i < count; i++) {
        uint32_t row = rows[i], j = i;
        for (; j > 0 && row_order(table, rows[j - 1], row, from) > 0; j--) rows[j] = rows[j - 1];
        rows[j] = row;
    }
}

/* Heapsort, for rows that differ in their values alone. */
static void sift(const Table *table, uint32_t *rows, uint32_t at, uint32_t count) {
    for (;;) {
        uint32_t child = 2 * at + 1, row = rows[at];
        if (child >= count) return;
        int32_t m = table->plan->m;
        if (child + 1 < count && row_order(table, rows[child], rows[child + 1], m) < 0) child++;
        if (row_order(table, row, rows[child], m) >= 0) return;
        rows[at] = rows[child];
        rows[child] = row;
        at = child;
    }
}

static void sort_by_values(const Table *table, uint32_t *rows, uint32_t count) {
    for (uint32_t at = count / 2; at-- > 0;) sift(table, rows, at, count);
    for (uint32_t left = count; left-- > 1;) {
        uint32_t row = rows[0];
        rows[0] = rows[left];
        rows[left] = row;
        sift(table, rows, 0, left);
    }
}

typedef struct {
    uint32_t start, count;
    int32_t p;
} Run;

/* By src, column by column, then by values. `counts` has room for m + 1, `other` for count, todo for count + 1. */
static void sort_rows(const Table *table, uint32_t *rows, uint32_t *other, uint32_t *counts, Run *todo) {
    size_t m = src_width(table->plan);
    uint32_t waiting = 0;
    todo[waiting++] = (Run){0, table->count, 0};
    while (waiting) {
        Run run = todo[--waiting];
        uint32_t *part = rows + run.start;
        if (run.count <= 16) {
            sort_few(table, part, run.count, run.p);
            continue;
        }
        const Position *column = table->src + run.p;
        while (run.p < table->plan->m) {
            uint32_t same = 1;
            while (same < run.count && column[part[same] * m] == column[part[0] * m]) same++;
            if (same < run.count) break;
            run.p++;
            column++;
        }
        if (run.p == table->plan->m) {
            if (table->plan->values) sort_by_values(table, part, run.count);
            continue;
        }
        memset(counts, 0, (m + 1) * sizeof *counts);
        for (uint32_t i = 0; i < run.count; i++) counts[column[part[i] * m] + 1]++;
        for (size_t q = 0; q < m; q++) {
            if (counts[q + 1] > 1) todo[waiting++] = (Run){run.start + counts[q], counts[q + 1], run.p + 1};
            counts[q + 1] += counts[q];
        }
        for (uint32_t i = 0; i < run.count; i++) other[counts[column[part[i] * m]]++] = part[i];
        memcpy(part, other, run.count * sizeof *part);
    }
}

static bool does_nothing(const Table *table, uint32_t row) {
    size_t m = src_width(table->plan), width = table->plan->values;
    for (size_t p = 0; p < m; p++)
        if (table->src[row * m + p] != p) return false;
    return !width || memcmp(table->values + row * width, table->values, width * sizeof(Value)) == 0;
}

Trouble rows_make(Rows *rows, const Plan *plan) {
    *rows = (Rows){0};
    uint64_t order = plan->group_order;
    Table table, sorted = {0};
    Trouble trouble = table_make(&table, plan, order);
    uint32_t *index = fetch(order, sizeof *index), *other = fetch(order, sizeof *other);
    uint32_t *counts = fetch(src_width(plan) + 2, sizeof *counts);
    Run *todo = fetch(order + 1, sizeof *todo);
    if (!index || !other || !counts || !todo) trouble = NO_MEMORY;
    if (trouble == FINE) trouble = compose_all(&table);
    if (trouble == FINE) trouble = table_make(&sorted, plan, order);
    if (trouble == FINE) {
        for (uint32_t i = 0; i < table.count; i++) index[i] = i;
        sort_rows(&table, index, other, counts, todo);
        size_t m = src_width(plan), width = plan->values;
        for (uint32_t i = 0; i < table.count; i++) {
            if (i && row_order(&table, index[i - 1], index[i], 0) == 0) continue;
            if (does_nothing(&table, index[i])) continue;
            memcpy(sorted.src + sorted.count * m, table.src + index[i] * m, m * sizeof(Position));
            if (width) memcpy(sorted.values + sorted.count * width, table.values + index[i] * width, width * sizeof(Value));
            sorted.count++;
        }
        *rows = (Rows){sorted.count, order / ((uint64_t)sorted.count + 1), sorted.src, sorted.values};
        sorted = (Table){0};
    }
    table_clear(&table);
    table_clear(&sorted);
    release(index);
    release(other);
    release(counts);
    release(todo);
    return trouble;
}

void rows_clear(Rows *rows) {
    release(rows->src);
    release(rows->values);
    *rows = (Rows){0};
}
