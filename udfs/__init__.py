"""What runs inside a database process: the model format, the kernels and their registration; never imports sqlml."""
