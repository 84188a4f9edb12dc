"""Base models and adapters, loaded, composed, merged, told apart."""
