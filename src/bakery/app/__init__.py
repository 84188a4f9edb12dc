"""Where repository and stages meet: plan, do, record; take along, bring in, make again."""
