"""The front door for Python: what `import bakery` offers beyond the trainer."""
