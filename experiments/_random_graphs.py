"""Random inference functions in plain JAX, for property tests.

`random_function` draws a graph of operators on small maps: up to 16 parallel branches,
residual additions, concatenations, shared inputs, side outputs, in float32 or int8.
"""

import jax
import jax.numpy as jnp
import numpy as np

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def random_function(rng, *, int8=False, branches=4, depth=3, side=6, outputs=1):
    """Returns ``(fn, params, x)``: ``fn(params, x)`` is a random graph of operators.

    Args:
      rng: numpy generator.
      int8: whether all tensors are int8, with int32 accumulators.
      branches: most parallel branches per stage.
      depth: most operators per branch.
      side: height and width of the input.
      outputs: number of results.
    """
    channels = int(rng.integers(1, 4))
    shape = (1, side, side + int(rng.integers(0, 2)), channels)
    make = _Int8(rng) if int8 else _Float(rng)
    plan, shapes = [], [shape]
    for _ in range(rng.integers(1, 3)):
        fork = len(shapes) - 1
        ends = []
        for _ in range(rng.integers(1, branches + 1)):
            at = fork
            for _ in range(rng.integers(0, depth + 1)):
                plan.append(make.unary(at, shapes))
                shapes.append(plan[-1][-1])
                at = len(shapes) - 1
            ends.append(at)
        groups: dict[tuple, list[int]] = {}
        for end in dict.fromkeys(ends):
            groups.setdefault(shapes[end][1:3], []).append(end)
        joined = []
        for group in groups.values():
            at = group[0]
            for other in group[1:]:
                same = shapes[at] == shapes[other]
                kind = "add" if same and rng.random() < 0.6 else "concatenate"
                plan.append(make.binary(kind, at, other, shapes))
                shapes.append(plan[-1][-1])
                at = len(shapes) - 1
            joined.append(at)
        if len(joined) > 1:  # maps of different sides meet as features
            plan.append(make.features(joined, shapes))
            shapes.append(plan[-1][-1])
            break
    params = {f"p{i}": step[2] for i, step in enumerate(plan)}
    steps = [(step[0], step[1]) for step in plan]
    results = [len(shapes) - 1 - i for i in range(min(outputs, len(steps)))] or [0]

    def fn(params, x):
        values = [x]
        for i, (apply, inputs) in enumerate(steps):
            values.append(apply(params[f"p{i}"], *(values[j] for j in inputs)))
        picked = tuple(values[i] for i in results)
        return picked if len(picked) > 1 else picked[0]

    x = make.input(shape)
    return fn, params, x


class _Float:
    """Operators on float32 maps; each is (apply, inputs, params, output shape)."""

    def __init__(self, rng):
        self.rng = rng

    def input(self, shape):
        return self.rng.normal(size=shape).astype(np.float32)

    def kernel(self, *shape):
        return self.rng.normal(size=shape).astype(np.float32)

    def conv(self, x, p, strides, padding, groups):
        y = jax.lax.conv_general_dilated(
            x, p["kernel"], strides, padding,
            dimension_numbers=DIMENSIONS, feature_group_count=groups,
        )  # fmt: skip
        return y + p["bias"]

    def unary(self, at, shapes):
        rng, shape = self.rng, shapes[at]
        _, height, width, channels = shape
        kind = rng.choice(["conv", "depthwise", "pointwise", "pool", "mean", "scale"])
        if kind in ("pool", "mean"):
            if min(height, width) < 2:
                kind = "scale"
            else:
                return self.pool(kind, at, shape)
        if kind == "scale":
            return self.scale(at, shape)
        size = {"pointwise": 1}.get(kind, int(rng.integers(1, 4)))
        groups = channels if kind == "depthwise" else 1
        out = channels if kind == "depthwise" else int(rng.integers(1, 5))
        stride = int(rng.integers(1, 3)) if min(height, width) > 2 else 1
        padding = "SAME" if size > min(height, width) or rng.random() < 0.7 else "VALID"
        params = self.layer((size, size, channels // groups, out))
        relu = rng.random() < 0.5

        def apply(p, x):
            y = self.conv(x, p, (stride, stride), padding, groups)
            return self.finish(y, p, relu)

        probe = jax.eval_shape(apply, params, self.abstract(shape))
        return apply, (at,), params, probe.shape

    def layer(self, shape):
        return {"kernel": self.kernel(*shape), "bias": self.kernel(shape[-1])}

    def finish(self, y, p, relu):
        return jnp.maximum(y, 0) if relu else y

    def abstract(self, shape):
        return jax.ShapeDtypeStruct(shape, np.float32)

    def pool(self, kind, at, shape):
        stride = int(self.rng.integers(1, 3))
        window, strides = (1, 2, 2, 1), (1, stride, stride, 1)

        def apply(p, x):
            if kind == "pool":
                return jax.lax.reduce_window(
                    x, self.lowest, jax.lax.max, window, strides, "VALID"
                )
            return self.average(x, window, strides)

        probe = jax.eval_shape(apply, (), self.abstract(shape))
        return apply, (at,), (), probe.shape

    lowest = -jnp.inf

    def average(self, x, window, strides):
        total = jax.lax.reduce_window(x, 0.0, jax.lax.add, window, strides, "VALID")
        return total / 4

    def scale(self, at, shape):
        return lambda p, x: jnp.tanh(x), (at,), (), shape

    def binary(self, kind, a, b, shapes):
        if kind == "add":
            return self.add, (a, b), self.sum_params(), shapes[a]
        out = (*shapes[a][:3], shapes[a][3] + shapes[b][3])
        return lambda p, x, y: jnp.concatenate([x, y], -1), (a, b), (), out

    def sum_params(self):
        return ()

    def add(self, p, x, y):
        return x + y

    def features(self, at, shapes):
        sizes = [int(np.prod(shapes[i])) for i in at]
        params = self.layer((sum(sizes), 5))

        def apply(p, *xs):
            x = jnp.concatenate([x.reshape(1, -1) for x in xs], -1)
            return self.dense(p, x).reshape(1, 1, 1, 5)

        return apply, tuple(at), params, (1, 1, 1, 5)

    def dense(self, p, x):
        return x @ p["kernel"] + p["bias"]


class _Int8(_Float):
    """The same operators with int8 tensors, zero points and requantisation."""

    lowest = np.int8(-128)
    zero = 3

    def input(self, shape):
        return self.rng.integers(-128, 128, shape).astype(np.int8)

    def abstract(self, shape):
        return jax.ShapeDtypeStruct(shape, np.int8)

    def kernel(self, *shape):
        return self.rng.integers(-127, 128, shape).astype(np.int8)

    def layer(self, shape):
        return {
            "kernel": self.kernel(*shape),
            "bias": self.rng.integers(-900, 900, shape[-1:]).astype(np.int32),
            "multiplier": self.rng.uniform(1e-4, 1e-2, shape[-1:]).astype(np.float32),
        }

    def conv(self, x, p, strides, padding, groups):
        y = jax.lax.conv_general_dilated(
            x.astype(jnp.int32) - self.zero, p["kernel"].astype(jnp.int32),
            strides, padding, dimension_numbers=DIMENSIONS,
            feature_group_count=groups,
        )  # fmt: skip
        return y + p["bias"]

    def finish(self, y, p, relu):
        return self.narrow(y.astype(jnp.float32) * p["multiplier"], relu)

    def narrow(self, y, relu=False):
        low = self.zero if relu else -128
        return jnp.clip(jnp.round(y) + self.zero, low, 127).astype(jnp.int8)

    def average(self, x, window, strides):
        wide = x.astype(jnp.int32) - self.zero
        total = jax.lax.reduce_window(wide, 0, jax.lax.add, window, strides, "VALID")
        return self.narrow(total.astype(jnp.float32) * 0.25)

    def scale(self, at, shape):
        return (
            lambda p, x: self.narrow((x.astype(jnp.float32) - self.zero) * 0.7),
            (at,),
            (),
            shape,
        )

    def add(self, p, x, y):
        a = (x.astype(jnp.float32) - self.zero) * 0.8
        b = (y.astype(jnp.float32) - self.zero) * 0.6
        return self.narrow(a + b)

    def dense(self, p, x):
        wide = x.astype(jnp.int32) - self.zero
        y = wide @ p["kernel"].astype(jnp.int32) + p["bias"]
        return self.finish(y, p, False)
