"""Evaluation: numbers, what they are worth, and runs side by side."""
