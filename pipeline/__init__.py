"""Selective Cross-Modality Distillation as a two-stage offline pipeline."""
