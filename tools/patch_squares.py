"""The innermost sum of patch synthesis, written as vector instructions.

numba's own loop over a patch's row (60 numbers, say) is unrolled for hundreds and spends most of its time on what is left
over: this one takes eight at a time whatever the machine's widest vector is, and the remainder by one overlapping load.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

WIDE = 8  # float32 in a vector of AVX2, and two of SSE or NEON
_FAST = ("fast",)
_FLOAT, _INDEX = ir.FloatType(), ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, WIDE)


def _at(context: Any, builder: Any, kind: Any, array: Any, row: Any, column: Any) -> Any:
    """The address of array[row, column]."""
    struct = context.make_array(kind)(context, builder, array)
    pitch = cgutils.unpack_tuple(builder, struct.strides)[0]
    row_at = builder.gep(builder.bitcast(struct.data, ir.IntType(8).as_pointer()), [builder.mul(row, pitch)],
                         source_etype=ir.IntType(8))  # fmt: skip
    return builder.gep(builder.bitcast(row_at, _FLOAT.as_pointer()), [column], source_etype=_FLOAT)


def _squares(builder: Any, kind: Any, places: list[Any], at: Any) -> Any:
    """(a - b)^2, times w where there are three places, of `kind` (a vector or one number) at index `at`."""
    parts = []
    for place in places:
        here = builder.gep(place, [at], source_etype=_FLOAT)
        load = builder.load(builder.bitcast(here, kind.as_pointer()), typ=kind)
        load.align = 4
        parts.append(load)
    d = builder.fsub(parts[0], parts[1], flags=_FAST)
    d2 = builder.fmul(d, d, flags=_FAST)
    return builder.fmul(d2, parts[2], flags=_FAST) if len(parts) == 3 else d2


def _sum_of(builder: Any, places: list[Any], length: Any) -> Any:
    """The sum over `length` numbers from the places on."""
    one, wide, zero = _INDEX(1), _INDEX(WIDE), _INDEX(0)
    total = cgutils.alloca_once_value(builder, _FLOAT(0.0))
    whole = builder.sdiv(length, wide)
    with builder.if_else(builder.icmp_signed(">", whole, zero)) as (many, few):
        with many:
            even = cgutils.alloca_once_value(builder, ir.Constant(_VECTOR, [0.0] * WIDE))
            odd = cgutils.alloca_once_value(builder, ir.Constant(_VECTOR, [0.0] * WIDE))

            def add(to: Any, at: Any) -> None:
                builder.store(builder.fadd(builder.load(to), _squares(builder, _VECTOR, places, at), flags=_FAST), to)

            with cgutils.for_range(builder, builder.sdiv(whole, _INDEX(2)), intp=_INDEX) as loop:
                at = builder.mul(loop.index, _INDEX(2 * WIDE))
                add(even, at)
                add(odd, builder.add(at, wide))
            with builder.if_then(builder.icmp_signed("==", builder.and_(whole, one), one)):
                add(even, builder.mul(builder.sub(whole, one), wide))
            left = builder.sub(length, builder.mul(whole, wide))
            with builder.if_then(builder.icmp_signed(">", left, zero)):  # the last eight, less those that are in already
                last = _squares(builder, _VECTOR, places, builder.sub(length, wide))
                lanes = ir.Constant(ir.VectorType(_INDEX, WIDE), list(range(WIDE)))
                first = builder.insert_element(ir.Constant(lanes.type, ir.Undefined), builder.sub(wide, left), zero)
                first = builder.shuffle_vector(first, ir.Constant(lanes.type, ir.Undefined),
                                               ir.Constant(ir.VectorType(ir.IntType(32), WIDE), [0] * WIDE))
                fresh = builder.icmp_signed(">=", lanes, first)
                last = builder.select(fresh, last, ir.Constant(_VECTOR, [0.0] * WIDE))
                builder.store(builder.fadd(builder.load(odd), last, flags=_FAST), odd)
            v = builder.fadd(builder.load(even), builder.load(odd), flags=_FAST)
            for half in (4, 2, 1):  # fold: lane i + lane i + half
                order = [min(i + half, WIDE - 1) for i in range(WIDE)]
                upper = builder.shuffle_vector(v, v, ir.Constant(ir.VectorType(ir.IntType(32), WIDE), order))
                v = builder.fadd(v, upper, flags=_FAST)
            builder.store(builder.extract_element(v, ir.IntType(32)(0)), total)
        with few, cgutils.for_range(builder, length, intp=_INDEX) as loop:
            square = _squares(builder, _FLOAT, places, loop.index)
            builder.store(builder.fadd(builder.load(total), square, flags=_FAST), total)
    return builder.load(total)


def _intrinsic(arrays: int) -> Callable[..., Any]:
    """The sum over two arrays, or over three."""

    def codegen(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        places = [_at(context, builder, signature.args[3 * i], *given[3 * i : 3 * i + 3]) for i in range(arrays)]
        return _sum_of(builder, places, given[-1])

    def taken(array: Any) -> Any:
        return types.float32(*[t for _ in range(arrays) for t in (array, types.int64, types.int64)], types.int64), codegen

    if arrays == 2:

        @intrinsic
        def squares(typing: Any, a: Any, row_a: Any, at_a: Any, b: Any, row_b: Any, at_b: Any, length: Any) -> Any:
            """Sum of (a[row_a, at_a + k] - b[row_b, at_b + k])^2 for k below length; a, b float32 [H, W], C-contiguous."""
            return taken(a)

        return squares  # type: ignore[no-any-return]

    @intrinsic
    def weighted(typing: Any, a: Any, row_a: Any, at_a: Any, b: Any, row_b: Any, at_b: Any, w: Any, row_w: Any, at_w: Any,
                 length: Any) -> Any:
        """The same with each square times w[row_w, at_w + k]."""
        return taken(a)

    return weighted  # type: ignore[no-any-return]


squares = _intrinsic(2)
weighted_squares = _intrinsic(3)
