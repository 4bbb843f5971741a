"""The project's promises about speed and memory, measured side by side with the rivals' own best settings.

Every figure is a ratio of two medians taken in turns within one run on one machine, so that a busy or a slow machine slows
both sides. Memory is the peak of a process of its own over what that process held idle, imports and a warm-up included.
"""
