"""The student: a timm backbone with its new heads, and the weights that it starts from."""
