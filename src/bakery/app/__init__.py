"""Where repository and stages meet: plan, do, record; share, import, make again."""
