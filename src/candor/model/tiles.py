"""Small matrix products inside of kernels, in vector registers: numba has none of its own.

A tile of the result, a few rows by one or two vectors, is held in registers while a loop adds up outer
products: no sums across a vector, as scalar products need them. The compiler finds no such loop by itself, so
the tile is written in LLVM's terms; vectors wider than the machine's are split by LLVM. Each number is a
chain of fused multiply-adds over k in its order, whatever the machine and whatever else is computed.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_LANES = 16
ROWS, COLUMNS = 4, 2 * _LANES


def _tile(tall: int, vectors: int) -> Any:
    """An intrinsic that adds to a tile of so many rows and `vectors` · 16 columns."""

    def typed(
        _context: Any,
        a: Any,
        a_at: Any,
        a_row: Any,
        a_column: Any,
        b: Any,
        b_at: Any,
        c: Any,
        c_at: Any,
        k: Any,
    ) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            arrays = {
                name: context.make_array(signature.args[place])(context, builder, arguments[place])
                for name, place in (("a", 0), ("b", 4), ("c", 6))
            }
            a_at, a_row, a_column, b_at, c_at, k = (arguments[place] for place in (1, 2, 3, 5, 7, 8))
            single, vector = ir.FloatType(), ir.VectorType(ir.FloatType(), _LANES)
            rows = {name: _row_length(builder, arrays[name]) for name in ("b", "c")}

            def place(data: Any, index: Any, kind: Any) -> Any:
                return builder.bitcast(builder.gep(data, [index]), kind.as_pointer())

            def spread_out(value: Any) -> Any:
                one = builder.insert_element(
                    ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0)
                )
                zeros = ir.Constant(ir.VectorType(ir.IntType(32), _LANES), None)
                return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)

            fused = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fma.v{_LANES}f32"
            )

            def number(value: int) -> Any:
                return ir.Constant(k.type, value)

            at_c = [
                [
                    place(
                        arrays["c"].data,
                        builder.add(builder.add(c_at, builder.mul(number(i), rows["c"])), number(j * _LANES)),
                        vector,
                    )
                    for j in range(vectors)
                ]
                for i in range(tall)
            ]
            begin = builder.block
            sums = [[builder.load(pointer, align=4) for pointer in line] for line in at_c]
            body, done = builder.append_basic_block("tile"), builder.append_basic_block("tiled")
            builder.cbranch(builder.icmp_signed(">", k, number(0)), body, done)
            builder.position_at_end(body)
            step = builder.phi(k.type)
            step.add_incoming(number(0), begin)
            running = [[builder.phi(vector) for _ in line] for line in sums]
            for line, first in zip(running, sums, strict=True):
                for one, value in zip(line, first, strict=True):
                    one.add_incoming(value, begin)
            b_line = builder.add(b_at, builder.mul(step, rows["b"]))
            right = [
                builder.load(
                    place(arrays["b"].data, builder.add(b_line, number(j * _LANES)), vector), align=4
                )
                for j in range(vectors)
            ]
            a_line = builder.add(a_at, builder.mul(step, a_column))
            after = []
            for i in range(tall):
                index = builder.add(a_line, builder.mul(number(i), a_row))
                left = spread_out(builder.load(place(arrays["a"].data, index, single)))
                after.append([builder.call(fused, [left, right[j], running[i][j]]) for j in range(vectors)])
            following = builder.add(step, number(1))
            step.add_incoming(following, body)
            for line, last in zip(running, after, strict=True):
                for one, value in zip(line, last, strict=True):
                    one.add_incoming(value, body)
            builder.cbranch(builder.icmp_signed("<", following, k), body, done)
            builder.position_at_end(done)
            for i in range(tall):
                for j in range(vectors):
                    total = builder.phi(vector)
                    total.add_incoming(sums[i][j], begin)
                    total.add_incoming(after[i][j], body)
                    sums[i][j] = total
            for i in range(tall):
                for j in range(vectors):
                    builder.store(sums[i][j], at_c[i][j], align=4)
            return context.get_dummy_value()

        whole = types.int64
        return types.void(a, whole, whole, whole, b, whole, c, whole, whole), code

    return intrinsic(typed)


def _row_length(builder: Any, array: Any) -> Any:
    return cgutils.unpack_tuple(builder, array.shape)[1]


_usual: Any = _tile(ROWS, 2)
_narrow: Any = _tile(ROWS, 1)
# Twice as many rows, where there are registers for them: more sums at once, and fewer loads for each.
_TALL = 2 * ROWS if llvm.get_host_cpu_features().get("avx512f") else ROWS
_tall: Any = _tile(_TALL, 2)
_tall_narrow: Any = _tile(_TALL, 1)


# Without fast mathematics: canonical kernels need the products as they are written.
@njit(cache=True, error_model="numpy")
def add_product(
    a: Any, a_row: int, a_column: int, b: Any, first: Any, c: Any, rows: int, columns: int, k: int
) -> None:
    """c[:rows, :columns] += a · b[:k, first : first + columns], all float32 and contiguous.

    Args:
        a: a[i · a_row + j · a_column] of its memory is row i, column j of the first factor.
        a_row: see `a`.
        a_column: see `a`.
        b: [at least k, …], whose rows have memory behind them for whole vectors.
        first: column of `b` to begin with.
        c: [at least rows, at least columns].
        rows: a multiple of 4.
        columns: a multiple of 16.
        k: rows of `b`.
    """
    width = c.shape[1]
    whole = rows // _TALL * _TALL
    for i in range(0, whole, _TALL):
        for j in range(0, columns - _LANES, COLUMNS):
            _tall(a, i * a_row, a_row, a_column, b, first + j, c, i * width + j, k)
        if columns % COLUMNS:
            j = columns - _LANES
            _tall_narrow(a, i * a_row, a_row, a_column, b, first + j, c, i * width + j, k)
    for i in range(whole, rows, ROWS):
        for j in range(0, columns - _LANES, COLUMNS):
            _usual(a, i * a_row, a_row, a_column, b, first + j, c, i * width + j, k)
        if columns % COLUMNS:
            j = columns - _LANES
            _narrow(a, i * a_row, a_row, a_column, b, first + j, c, i * width + j, k)
