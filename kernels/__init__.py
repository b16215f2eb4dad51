"""Tensor operations, no models: sparse-MoE forward and merge kernels."""
