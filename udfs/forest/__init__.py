"""The ensemble: nodes, kernels, objectives and LightGBM's text format."""
