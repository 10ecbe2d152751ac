"""Convolution and its gradients in NumPy, tap by tap, for images [H, C, W, N]."""

import numpy as np


def pads(size, kernel, stride, padding):
    """Zeros before and after a side, by TensorFlow's rule for SAME."""
    if padding == "VALID":
        return 0, 0
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def conv(x, kernel, stride, padding, dy=None, depthwise=False):
    """Returns y, or (dx, dkernel) if ``dy`` is given; float64."""
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    k = kernel.shape[0]
    rows, columns = (pads(x.shape[a], k, stride, padding) for a in (0, 2))
    padded = np.pad(x, (rows, (0, 0), columns, (0, 0)))
    height = (padded.shape[0] - k) // stride + 1
    width = (padded.shape[2] - k) // stride + 1
    d_padded, d_kernel, y = np.zeros_like(padded), np.zeros_like(kernel), 0.0
    for i in range(k):
        for j in range(k):
            at = (
                slice(i, i + (height - 1) * stride + 1, stride),
                slice(None),
                slice(j, j + (width - 1) * stride + 1, stride),
            )
            tap, taps = kernel[i, j], "c" if depthwise else "cd"
            tap = tap[0] if depthwise else tap
            out = "hcwn" if depthwise else "hdwn"
            y = y + np.einsum(f"hcwn,{taps}->{out}", padded[at], tap)
            if dy is not None:
                dy = np.asarray(dy, np.float64)
                d_padded[at] += np.einsum(f"{out},{taps}->hcwn", dy, tap)
                d_kernel[i, j] = np.einsum(f"hcwn,{out}->{taps}", padded[at], dy)
    if dy is None:
        return y
    bottom, right = rows[0] + x.shape[0], columns[0] + x.shape[2]
    return d_padded[rows[0] : bottom, :, columns[0] : right], d_kernel
