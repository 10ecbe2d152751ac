"""Launch: sweeps over the experiments, here or on a cluster."""
