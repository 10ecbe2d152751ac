"""A genome's network a second time, in NumPy and float64, and variables to test with.

It compiles nothing and rounds at 1e-16, so that many networks can be compared closely.
"""

import numpy as np

from spjax import genomes, networks

EPSILON = 1e-5


def forward(genome, variables, x):
    """Logits of x [N, H, W, C], and what each layer emits, by name."""
    p = networks.flatten(variables["params"])
    p |= networks.flatten(variables["batch_stats"])
    p = {path: np.asarray(value, np.float64) for path, value in p.items()}
    seen = {}

    def conv(x, name, stride, padding, depthwise=False):
        kernel = p[f"{name}/kernel"]
        k = kernel.shape[0]
        if padding == "SAME":
            pads = [
                max((-(-n // stride) - 1) * stride + k - n, 0) for n in x.shape[1:3]
            ]
            pads = [(pad // 2, pad - pad // 2) for pad in pads]
            x = np.pad(x, ((0, 0), *pads, (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), (1, 2))
        windows = windows[:, ::stride, ::stride]
        if depthwise:
            y = np.einsum("nhwcij,ijc->nhwc", windows, kernel[:, :, 0])
        else:
            y = np.einsum("nhwcij,ijcd->nhwd", windows, kernel, optimize=True)
        return y + p.get(f"{name}/bias", 0.0)

    def dense(x, name):
        x = x.reshape(len(x), -1)
        return x @ p[f"{name}/kernel"] + p[f"{name}/bias"]

    def hidden(x, name):
        seen[name] = np.maximum(dense(x, name), 0)
        return seen[name]

    def finish(x, gene, norm):
        if gene.batch_norm:
            x = (x - p[f"{norm}/mean"]) / np.sqrt(p[f"{norm}/var"] + EPSILON)
            x = x * p[f"{norm}/scale"] + p[f"{norm}/bias"]
        return np.maximum(x, 0) if gene.relu else x

    def layer(x, gene, name):
        if gene.kind == "separable":
            x = conv(x, f"{name}/depthwise", gene.stride, gene.padding, depthwise=True)
            x = finish(x, gene, f"{name}/depthwise_norm")
            seen[f"{name}/depthwise"] = x
            x = conv(x, f"{name}/pointwise", 1, "SAME")
        else:
            if gene.kind == "downsampled":
                x = seen[f"{name}/reduce"] = conv(x, f"{name}/reduce", 1, "SAME")
            x = conv(x, f"{name}/conv", gene.stride, gene.padding)
        seen[name] = finish(x, gene, f"{name}/norm")
        return seen[name]

    def pool(x, gene):
        if gene.kind == "global_average":
            return x.mean((1, 2), keepdims=True)
        if gene.kind == "none":
            return x
        w = gene.window
        windows = np.lib.stride_tricks.sliding_window_view(x, (w, w), (1, 2))
        windows = windows[:, ::w, ::w]
        return windows.max((4, 5)) if gene.kind == "max" else windows.mean((4, 5))

    x = np.asarray(x, np.float64)
    branches = [hidden(x, "input_branch")] if genome.input_branch else []
    for b, block in enumerate(genome.blocks):
        entry = x
        for i, gene in enumerate(block.convs):
            x = layer(x, gene, f"block{b}_conv{i}")
            if block.residual and i == 1:
                if entry.shape != x.shape:
                    stride = block.convs[0].stride * gene.stride
                    name = f"block{b}_shortcut"
                    entry = seen[name] = conv(entry, name, stride, "SAME")
                x = x + entry
        x = pool(x, block.pool)
        if block.branch:
            branches.append(hidden(x, f"block{b}_branch"))
    for d in range(len(genome.dense)):
        x = hidden(x, f"dense{d}")
    x = np.concatenate([x.reshape(len(x), -1), *branches], axis=1)
    return dense(x, "classifier"), seen


def random_variables(rng, genome, input_shape, num_classes):
    """Variables in which biases, scales and statistics have something to say."""
    shape = genomes.deployed_shape(genome, input_shape)
    variables = networks.init_variables(
        genome, shape, num_classes, int(rng.integers(99))
    )
    drawn = {}
    for path, value in networks.flatten(variables).items():
        name = path.rpartition("/")[2]
        if name in ("bias", "mean"):
            value = rng.normal(0, 0.3, value.shape).astype(np.float32)
        elif name in ("scale", "var"):
            value = rng.uniform(0.5, 2, value.shape).astype(np.float32)
        drawn[path] = value
    return {"batch_stats": {}} | networks.unflatten(drawn)


def channel_masks(rng, params, share):
    """Masks of whole channels, with bias and batch norm, as channel pruning sets them.

    At least one channel of a kernel stays, as there.
    """
    params = networks.flatten(params)
    masks = {path: np.ones(value.shape, bool) for path, value in params.items()}
    for path, kernel in params.items():
        layer, owner = ("/" + path).rsplit("/", 2)[:2]
        fixed = owner in ("classifier", "depthwise", "reduce")
        if not path.endswith("kernel") or fixed or owner.endswith("_shortcut"):
            continue
        keep = rng.random(kernel.shape[-1]) >= share
        keep[rng.integers(len(keep))] = True
        tied = (f"{layer}/{owner}/bias", f"{layer}/norm/scale", f"{layer}/norm/bias")
        for other in (path, *(name.strip("/") for name in tied)):
            if other in masks:
                masks[other] &= keep
    return networks.unflatten(masks)


def weight_masks(rng, params, share):
    """Masks of single weights of all kernels."""
    return networks.unflatten(
        {
            path: rng.random(value.shape) >= (share if path.endswith("kernel") else 0)
            for path, value in networks.flatten(params).items()
        },
    )
