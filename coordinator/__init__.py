"""The spending authority above `actp`: who may spend what, and proof of what happened."""
