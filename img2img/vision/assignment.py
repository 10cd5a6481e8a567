"""Who goes with whom at the least cost altogether."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def assignment(cost: NDArray[np.floating[Any]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns, min(N, M) pairs, whose costs (N, M) have the least sum; rows ascend.

    Shortest augmenting paths, as in scipy's `linear_sum_assignment`, which takes longer to import
    than 68 points need here.

    Source: Crouse: On implementing 2D rectangular assignment algorithms, IEEE TAES 2016.
    """
    if cost.shape[0] > cost.shape[1]:
        columns, rows = assignment(cost.T)
        order = rows.argsort()
        return rows[order], columns[order]
    n, m = cost.shape
    row_price, column_price = cost.min(axis=1).astype(np.float64), np.zeros(m)
    column_of, row_of = np.full(n, -1), np.full(m, -1)
    # What is first to ask for its cheapest column has it: mostly, that is all there is to do.
    columns, rows = np.unique(cost.argmin(axis=1), return_index=True)
    column_of[rows], row_of[columns] = columns, rows
    for row in np.flatnonzero(column_of < 0).tolist():
        distance, before, last = _path(row, cost - column_price, row_of, row_price)
        reached = np.isfinite(distance) & (distance <= distance[last])
        gain = np.where(reached, distance[last] - distance, 0)
        row_price[row] += distance[last]
        taken = reached & (row_of >= 0)
        row_price[row_of[taken]] += gain[taken]
        column_price -= gain
        column = last
        while True:
            owner = before[column]
            row_of[column] = owner
            column_of[owner], column = column, column_of[owner]
            if owner == row:
                break
    return np.arange(n), column_of


def _path(
    row: int,
    cost: NDArray[np.floating[Any]],
    row_of: NDArray[np.intp],
    row_price: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.intp], int]:
    """The cheapest way from a row to a free column, over rows that would have to change theirs.

    Gives the lengths of the ways to the columns visited (M,), infinite for others; the row before
    each column; and the free column. `cost` is less the columns' prices.
    """
    m = cost.shape[1]
    shortest, before = cost[row] - row_price[row], np.full(m, row)
    visited, closed = np.full(m, np.inf), np.zeros(m)
    free = np.flatnonzero(row_of < 0)
    while True:
        column = int(shortest.argmin())
        # Among columns as near, a free one ends the search: of capped costs many are the same.
        nearest_free = int(free[shortest[free].argmin()])
        if shortest[nearest_free] <= shortest[column]:
            column = nearest_free
        length = visited[column] = float(shortest[column])
        here = int(row_of[column])
        if here < 0:
            return visited, before, column
        shortest[column] = closed[column] = np.inf
        reduced = cost[here] + (length - row_price[here]) + closed
        before[reduced < shortest] = here
        np.minimum(shortest, reduced, out=shortest)
